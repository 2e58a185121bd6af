"""A new command, figure, data set or optimizer is one file and a word in a list: each is added to a copy of the package."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from results_data import make_results

pytestmark = pytest.mark.slow

COMMAND = """
HELP = "greet somebody"
EXAMPLE = "Ada"

def add_arguments(parser):
    parser.add_argument("name")

def run(given):
    print(f"hello {given.name}")
"""
FIGURE = """
from .style import new_figure

TITLE = "A dot per method"
CAPTION = "A dot.\\n\\n**What to look for:** the dot.\\n"

def draw(experiment, runs):
    figure = new_figure(2.0)
    figure.subplots().plot(range(len(runs)), "o")
    return figure
"""
DATA = """
import numpy as np

ORIGIN = "nowhere"

def load():
    x, y = np.arange(80, dtype=np.uint8).reshape(20, 2, 2), np.arange(20) % 2
    return {"x_train": x, "y_train": y, "x_test": x, "y_test": y}
"""
OPTIMIZER = """
from ..space.hyperparameter import NETWORKS, Hyperparameter
from .optimizer import Optimizer

def _update(weights, slots, gradients, rate, coefficients):
    return [w - rate * g / (abs(g) + coefficients[0]) for w, g in zip(weights, gradients)], slots

SOFTENING = Hyperparameter("softening", "float", 0.1, "numeric", "keeps small gradients small", 0, open_lower=True)
OPTIMIZER = Optimizer(0, _update, (SOFTENING,), help="signs of gradients")
"""
EXPERIMENT = """\
data: {name: digits, validation: 5}
model: synthetic
space: {learning_rate: {log_uniform: [0.001, 1.0]}, momentum: {uniform: [0.0, 0.99]}}
budget: {trials: 4}
methods: {random: {search: random}}
"""

Call = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def hypercurve(tmp_path: Path, root: Path) -> Call:
    """Calls the command of a copy of the package that has a file more for each of them."""
    package = tmp_path / "package" / "hypercurve"
    shutil.copytree(root / "workflow" / "hypercurve", package, ignore=shutil.ignore_patterns("__pycache__"))
    for name, text, listed, before, line in [
        ("cli/hello.py", COMMAND, "cli/__init__.py", '"check try', '"hello check try'),
        (
            "analysis/figures/dots.py",
            FIGURE,
            "config/figures.py",
            '    "best":',
            '    "dots": lambda _: True,\n    "best":',
        ),
        (
            "training/data_sets/toy.py",
            DATA,
            "config/data_sets.py",
            '    "mnist":',
            '    "toy": DataSet(20),\n    "mnist":',
        ),
        ("optimizers/soft.py", OPTIMIZER, "optimizers/__init__.py", '"adam")', '"adam", "soft")'),
    ]:
        (package / name).write_text(text)
        held = (package / listed).read_text()
        assert before in held
        (package / listed).write_text(held.replace(before, line))

    def call(*arguments: object) -> "subprocess.CompletedProcess[str]":
        environment = os.environ | {"PYTHONPATH": str(package.parent)}
        command = [sys.executable, "-m", "hypercurve", *map(str, arguments)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, cwd=tmp_path)

    return call


def test_a_command_is_listed_explained_and_called(hypercurve: Call) -> None:
    assert "hello      greet somebody" in hypercurve("--help").stdout
    assert "hypercurve hello Ada" in hypercurve("hello", "--help").stdout
    assert hypercurve("hello", "Ada").stdout == "hello Ada\n"


@pytest.mark.slow
def test_a_figure_is_known_to_experiments_and_drawn(hypercurve: Call, tmp_path: Path) -> None:
    experiment = tmp_path / "mine.yaml"
    experiment.write_text(EXPERIMENT + "figures: [dotz]\n")
    assert "did you mean 'dots'?" in hypercurve("check", experiment).stderr
    results = make_results(tmp_path, EXPERIMENT)
    (results / "figures").mkdir(exist_ok=True)
    done = hypercurve("figure", results, "dots", "-o", results / "figures" / "dots.svg")
    assert done.returncode == 0, done.stderr
    done = hypercurve("report", results, "-o", tmp_path / "report.html")
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "A dot per method" in page
    assert "<strong>What to look for:</strong> the dot." in page


def test_a_data_set_is_known_to_experiments_and_prepared(hypercurve: Call, tmp_path: Path) -> None:
    experiment = tmp_path / "mine.yaml"
    experiment.write_text(EXPERIMENT.replace("digits", "toy"))
    assert "runs on toy" in hypercurve("check", experiment).stdout
    assert "toy" in hypercurve("data", "--help").stdout
    done = hypercurve("data", "toy", "--validation", 5, "-o", tmp_path / "toy")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "toy" / "manifest.json").is_file()


@pytest.mark.slow
def test_an_optimizer_is_known_with_its_hyperparameters_and_trains(hypercurve: Call, tmp_path: Path) -> None:
    text = "data: {name: toy, validation: 5}\nmodel: softmax\nbudget: {trials: 1}\nmethods: {a: {search: random}}\n"
    space = "space: {optimizer: soft, softening: %s, epochs: 1, batch_size: 5}\n"
    experiment = tmp_path / "mine.yaml"
    experiment.write_text(text + space % "0")
    assert "space.softening" in hypercurve("check", experiment).stderr, "zero is out of its bounds"
    experiment.write_text(text + space % "0.5")
    hypercurve("resolve", experiment, "--method", "a", "-o", "setting.json")
    hypercurve("data", "toy", "--validation", 5, "-o", "toy")
    done = hypercurve("search", "setting.json", "--data", "toy", "-o", "journal.jsonl")
    assert done.returncode == 0, done.stderr
    assert '"completed"' in (tmp_path / "journal.jsonl").read_text()
