"""`--help` of every command: what it says is true, and its examples run, one after the other, as they stand there."""

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hypercurve.cli import _parser, main
from results_data import SMALL, make_results

INFORMED = """\
data: {name: digits, validation: 0.25}
model: synthetic
space: {learning_rate: {log_uniform: [0.001, 1.0]}, momentum: {uniform: [0.0, 0.99]}, batch_size: {choice: [32, 64]}}
budget: {trials: 6}
training: {accumulation_points: 5}
methods:
  informed: {search: random, preselect: 0.5, record: [results/demo/runs/random]}
"""

NOT_RUN = {
    "hypercurve watch results": "goes on until one ends it",
    "hypercurve cut cifar10 data/cifar10-10k.npz --train 10000 --test 5000": "wants CIFAR-10",
    "hypercurve schedule results/demo/runs/pbt/0 --seeds 5 --against results/demo/runs/random/0": "trains for minutes",
}
"""Examples that are only parsed, and why."""


def commands() -> dict[str, argparse.ArgumentParser]:
    """All subcommands by name, in the order of `hypercurve --help`."""
    (found,) = (action for action in _parser()._actions if isinstance(action, argparse._SubParsersAction))
    return dict(found.choices)


def examples(parser: argparse.ArgumentParser) -> list[str]:
    """The command lines after `example:` or `examples:`."""
    _, _, after = (parser.epilog or "").partition(":\n")
    return [line.strip().partition("  #")[0].strip() for line in after.splitlines() if line.strip()]


@pytest.mark.parametrize("name", commands())
def test_every_command_has_an_example_that_is_one_of_its_own(name: str) -> None:
    found = examples(commands()[name])
    assert found, f"`hypercurve {name} --help` has no example"
    for line in found:
        program, command, *_ = words = shlex.split(line)
        assert (program, command) == ("hypercurve", name)
        assert _parser().parse_args(words[1:]).name == name


@pytest.mark.parametrize("name", commands())
def test_every_option_is_explained(name: str) -> None:
    silent = [action.dest for action in commands()[name]._actions if not action.help and action.dest != "files"]
    assert silent == []


def test_the_programs_own_examples_are_of_commands_that_there_are() -> None:
    for line in examples(_parser()):
        assert re.fullmatch(r"hypercurve \w+ .+", line)
        assert line.split()[1] in commands()


@pytest.fixture
def checkout(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as the README's commands leave it: experiments, the demo's results, and another experiment's."""
    experiments = tmp_path / "config" / "experiments"
    experiments.mkdir(parents=True)
    shutil.copy(root / "config" / "experiments" / "demo.yaml", experiments)
    results = make_results(tmp_path, SMALL, name="demo", figures=True)
    shutil.copytree(results, results.with_name("mnist-trials"))
    monkeypatch.chdir(tmp_path)
    (experiments / "demo.yaml").write_text(SMALL)  # so that its settings are those of its results
    informed = experiments / "mine.yaml"
    informed.write_text(INFORMED)
    setting = "results/mine/runs/informed/setting.json"
    assert main(["resolve", str(informed), "--method", "informed", "-o", setting]) == 0
    return tmp_path


@pytest.mark.slow
def test_examples_run(checkout: Path) -> None:
    environment = os.environ | {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    environment["PRTE_MCA_rmaps_default_mapping_policy"] = ":oversubscribe"
    listed = [line for parser in commands().values() for line in examples(parser)]
    for line in sorted(listed, key=lambda line: " restart " in line):  # it puts aside what others read
        if line in NOT_RUN:
            continue
        words = [name for word in shlex.split(line)[1:] for name in (sorted(map(str, Path().glob(word))) or [word])]
        if words[0] in ("batch", "search", "preflight", "verify"):  # MPI is initialised once in a process
            command = [sys.executable, "-m", "hypercurve", *words]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
            assert done.returncode == 0, f"{line}: {done.stderr}"
        else:
            assert main(words) == 0, line
    made = {path.name for path in checkout.iterdir()}
    assert {"setting.json", "digits", "journal.jsonl", "trials.csv", "best.svg", "report.html", "replays"} <= made
    assert (checkout / "results" / "report.html").is_file()
