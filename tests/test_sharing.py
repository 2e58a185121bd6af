"""Methods that train the same: who waits for whom, so that a comparison costs the union of its trainings."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from conftest import ROOT, needs_mpi
from hypercurve.config.experiment import Experiment
from hypercurve.config.sharing import lenders

LCM = {"lcm": {"check_points": [0.2, 0.4], "configurations": 20}}
RANDOM: dict[str, Any] = {"search": "random"}
STOPPED: dict[str, Any] = {"search": "random", "stop": LCM}


def experiment(methods: dict[str, Any], **changes: Any) -> Experiment:
    given = {
        "data": {"name": "digits"},
        "model": "synthetic",
        "space": {"learning_rate": {"log_uniform": [0.001, 1.0]}, "momentum": {"uniform": [0.0, 0.9]}},
        "budget": {"trials": 20},
        "training": {"accumulation_points": 5},
        "methods": methods,
    }
    return Experiment.model_validate(given | changes)


@pytest.mark.parametrize(
    "method",
    [
        STOPPED,
        {**STOPPED, "tasks": 2},
        {**STOPPED, "slots": 3, "order": "arrival"},
        {"search": "random", "stop": "asha"},
        {"search": "random", "stop": "hyperband"},
        {
            "search": "random",
            "stop": {"lcm": {"stopping_rate": {"regret": 0.1}, "check_points": [0.2], "configurations": 20}},
            "record": ["earlier.csv"],
        },
        {**RANDOM, "description": "once more"},
    ],
    ids=str,
)
def test_whoever_draws_the_same_waits_for_who_trains_it_to_the_end(method: dict[str, Any]) -> None:
    for own in (RANDOM, {**RANDOM, "tasks": 4}, {**RANDOM, "trials_per_job": 2}):
        assert lenders(experiment({"a": own, "b": method}), "b") == ("a",)
        assert lenders(experiment({"a": own, "b": method}), "a") == ()


@pytest.mark.parametrize(
    "method",
    [
        {**STOPPED, "search": "sobol"},
        {**STOPPED, "search": {"tpe": {"startup": 5}}},
        {**STOPPED, "space": {"momentum": 0.5}},
        {**STOPPED, "space": {"epochs": {"choice": [4, 8]}}},
        {**RANDOM, "record": ["earlier.csv"]},
        {"population": {"members": 8, "every": 500, "explore": {}}},
    ],
    ids=str,
)
def test_whoever_draws_others_waits_for_nobody(method: dict[str, Any]) -> None:
    trained = {"learning_rate": {"log_uniform": [0.001, 0.1]}, "momentum": {"uniform": [0.0, 0.9]}, "epochs": 4}
    e = experiment({"a": RANDOM, "b": method}, space=trained)
    assert lenders(e, "a") == lenders(e, "b") == ()


@pytest.mark.parametrize(
    "change", [{"budget": {"seconds": 60}}, {"budget": {"samples": 1e6}}, {"reuse": False}], ids=str
)
def test_nobody_waits_where_that_would_only_delay(change: dict[str, Any]) -> None:
    assert lenders(experiment({"a": RANDOM, "b": STOPPED}, **change), "b") == ()
    assert lenders(experiment({"a": RANDOM, "b": STOPPED}, reuse=["elsewhere"]), "b") == ("a",)


def test_two_that_stop_trials_wait_for_nobody_and_of_two_that_do_not_the_slower_one_waits() -> None:
    assert lenders(experiment({"a": STOPPED, "b": {"search": "random", "stop": "median"}}), "b") == ()
    methods = {"lcm": STOPPED, "one": RANDOM, "four": {**RANDOM, "tasks": 4}, "same": RANDOM}
    waiting = {name: lenders(experiment(methods), name) for name in methods}
    assert waiting == {"lcm": ("four", "one", "same"), "one": ("four",), "four": (), "same": ("four", "one")}


TRIALS, EPOCHS, REPEATS = 12, 4, 2

HEAD = f"""\
model: {{loop: "own_loop:train"}}
objective: {{metric: loss}}
space: {{rate: {{uniform: [0.1, 0.9]}}, epochs: {EPOCHS}}}
budget: {{trials: {TRIALS}}}
training: {{accumulation_points: 4}}
repeats: {REPEATS}
methods:"""

IMPORTER = f"""\
module hypercurve:
    snakefile: "{ROOT}/workflow/Snakefile"
    config: {{"experiments": ["own"], "folder": "trials"}}
    prefix: "tuning"


use rule * from hypercurve as hc_*


onstart:
    hypercurve.onstart()
"""

LOOP = """\
import os
import time

def train(hyperparameters, context):
    for epoch in range(context.epochs):
        with open(os.environ["EPOCHS"], "a") as file:
            file.write(f"{hyperparameters['rate']} {epoch}\\n")
        if os.path.exists("broken"):
            os.kill(os.getpid(), 9)
        time.sleep(0.02)
        loss = hyperparameters["rate"] ** (epoch + 1)
        yield {"loss": loss, "val_loss": loss}
"""

METHODS = {
    "random": "{search: random}",
    "random in batches": "{search: random, trials_per_job: 4}",
    "lcm": "{search: random, stop: {lcm: {split: 0.3, check_points: [0.25, 0.5]}}}",
    "lcm in ranks": "{search: random, stop: {lcm: {split: 0.3, check_points: [0.25, 0.5]}}, tasks: 2}",
    "asha": "{search: random, stop: asha}",
}


class Project:
    """Somebody's folder with a loop that notes every epoch that it really trains."""

    def __init__(self, folder: Path):
        self.folder, self.noted = folder, folder / "epochs.txt"
        self.options: list[str | Path] = [
            "--snakefile",
            ROOT / "Snakefile",
            "--configfile",
            ROOT / "config/config.yaml",
        ]
        self.options += ["--config", "folder=trials", "experiments=[own]"]
        (folder / "own_loop.py").write_text(LOOP)
        (folder / "trials").mkdir()

    def write(self, **methods: str) -> None:
        given = [f"  {name}: {METHODS[method]}" for name, method in methods.items()]
        (self.folder / "trials" / "own.yaml").write_text("\n".join([HEAD, *given, ""]))

    def make(self, *targets: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [Path(sys.executable).with_name("snakemake"), "--cores", "2", *options, *self.options, "--", *targets],
            cwd=self.folder,
            env=os.environ | {"EPOCHS": str(self.noted), "PYTHONPATH": f"{ROOT / 'workflow'}:{self.folder}"},
            capture_output=True,
            text=True,
        )

    def trained(self) -> Counter[str]:
        """How often each epoch of each training was trained."""
        return Counter(self.noted.read_text().splitlines() if self.noted.exists() else [])

    def trained_by(self, *targets: str) -> Counter[str]:
        """The same, of a call that ends well."""
        before, run = self.trained(), self.make(*targets)
        assert run.returncode == 0, run.stderr[-3000:]
        return self.trained() - before


def journal(method: str, repeat: int = 0) -> str:
    return f"results/own/runs/{method}/{repeat}/journal.jsonl"


ALL = "results/own/comparison.csv"


@pytest.mark.slow
@pytest.mark.parametrize(
    "methods",
    [
        {"lcm": "lcm", "random": "random"},
        {"asha": "asha", "random": "random in batches", "lcm": "lcm"},
        pytest.param({"lcm": "lcm in ranks", "random": "random in batches"}, marks=needs_mpi),
    ],
    ids=" ".join,
)
def test_a_comparison_costs_the_union_of_its_trainings(tmp_path: Path, methods: dict[str, str]) -> None:
    project = Project(tmp_path)
    project.write(**methods)
    trained = project.trained_by(ALL)
    assert len(trained) == TRIALS * EPOCHS * REPEATS
    assert set(trained.values()) == {1}
    assert "Nothing to be done" in project.make(ALL, options=("--dry-run",)).stdout
    assert "Nothing to be done" in project.make(journal("lcm"), options=("--dry-run",)).stdout


@pytest.mark.slow
def test_a_run_that_is_asked_for_alone_trains_what_it_needs_and_nothing_is_outdated_by_the_others(
    tmp_path: Path,
) -> None:
    project = Project(tmp_path)
    project.write(random="random", lcm="lcm")
    alone = project.trained_by(journal("lcm"))
    assert 0 < alone.total() < TRIALS * EPOCHS
    assert not (tmp_path / "results" / "own" / "runs" / "random").exists()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("results/own/runs/lcm/0/*.jsonl")}
    rest = project.trained_by(ALL)
    assert before == {path: path.stat().st_mtime_ns for path in before}
    # A loop without `save` begins trials anew that were stopped.
    assert set((alone + rest).values()) <= {1, 2}
    assert len(alone + rest) == TRIALS * EPOCHS * REPEATS
    assert "Nothing to be done" in project.make(ALL, options=("--dry-run",)).stdout
    project.write(lcm="lcm")
    assert project.trained_by(ALL).total() == 0
    assert before == {path: path.stat().st_mtime_ns for path in before}


@pytest.mark.slow
def test_runs_that_are_to_end_early_or_in_groups_wait_for_nobody(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.write(random="random", lcm="lcm")
    run = project.make(ALL, options=("--until", "search"))
    assert run.returncode == 0, run.stderr[-3000:]
    assert all((tmp_path / journal(method, repeat)).exists() for method in ("random", "lcm") for repeat in (0, 1))


@pytest.mark.slow
def test_who_waits_for_a_run_that_fails_is_made_by_its_target(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.write(random="random", lcm="lcm")
    (tmp_path / "broken").touch()
    run = project.make(ALL, options=("--keep-going",))
    assert run.returncode == 1
    (tmp_path / "broken").unlink()
    assert project.trained_by(journal("lcm"))


@pytest.mark.slow
def test_an_importers_runs_wait_too(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.write(lcm="lcm", random="random")
    (tmp_path / "Snakefile").write_text(IMPORTER)
    project.options = []
    trained = project.trained_by("tuning/" + ALL)
    assert len(trained) == TRIALS * EPOCHS * REPEATS
    assert set(trained.values()) == {1}
