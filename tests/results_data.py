"""A small experiment's results on disk, made by the same commands as the workflow's."""

import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hypercurve.archive.checking import table_files
from hypercurve.cli import main
from hypercurve.config.figures import applicable
from hypercurve.config.files import read_resolved

SMALL = """\
description: a small experiment
data: {name: digits, validation: 0.25}
model: synthetic
space:
  learning_rate: {log_uniform: [0.001, 1.0]}
  momentum: {uniform: [0.0, 0.99]}
  batch_size: {choice: [32, 64], ordered: true}
budget: {trials: 12, at: [6]}
repeats: 2
training: {accumulation_points: 5}
methods:
  random: {search: random}
  lcm: {search: random, slots: 2, stop: {lcm: {configurations: 12, split: 0.3, check_points: [0.2, 0.4]}}}
  pbt:
    space: {batch_size: 32}
    population: {members: 6, every: 20, explore: {learning_rate: {factors: [0.8, 1.2]}}}
"""


def small_data(size: int = 60, **changes: Any) -> dict[str, Any]:
    """The four arrays of a tiny data set with so many examples to train on, with changes; None leaves an array out."""
    rng = np.random.default_rng(0)
    made = {
        "x_train": rng.integers(0, 256, (size, 4, 4), dtype=np.uint8),
        "y_train": np.arange(size) % 3,
        "x_test": rng.integers(0, 256, (30, 4, 4), dtype=np.uint8),
        "y_test": np.arange(30) % 3,
    } | changes
    return {name: array for name, array in made.items() if array is not None}


def carried_out(folder: Path, text: str, name: str, runs: Mapping[str, Iterable[int]] | None = None) -> Path:
    """Runs of an experiment, by default all, where the workflow would put them; gives the results of the experiment."""
    source = folder / f"{name}.yaml"
    source.write_text(text)
    results = folder / "results" / name
    call("resolve", source, "-o", results / "experiment.json")
    experiment = read_resolved(results / "experiment.json")
    data = folder / "results" / "data" / experiment.data.key
    if not data.exists():
        call("data", "digits", "--validation", experiment.data.validation, "-o", data)
    for method, repeats in (runs or dict.fromkeys(experiment.methods, range(experiment.repeats))).items():
        setting = results / "runs" / method / "setting.json"
        call("resolve", source, "--method", method, "-o", setting)
        for repeat in repeats:
            output = results / "runs" / method / str(repeat) / "journal.jsonl"
            # MPI is initialised once in a process, and not in this one.
            alone = experiment.methods[method].population is not None or experiment.model != "synthetic"
            (in_a_process if alone else call)("search", setting, "--repeat", repeat, "--data", data, "-o", output)
    return results


def make_results(folder: Path, text: str = SMALL, name: str = "small", figures: bool = False) -> Path:
    """Carry an experiment out in a folder, tables included; gives the results of the experiment."""
    results = carried_out(folder, text, name)
    experiment = read_resolved(results / "experiment.json")
    for method, options in experiment.methods.items():
        setting = results / "runs" / method / "setting.json"
        for repeat in range(experiment.repeats):
            run = results / "runs" / method / str(repeat)
            call("trials", setting, run / "journal.jsonl", "-o", run / "trials.csv")
            if options.population is not None:
                call("members", setting, run / "journal.jsonl", "-o", run / "members.csv")
    for table in table_files(experiment):
        if "/" not in table:
            call("compare", results, "--table", table.removesuffix(".csv"), "-o", results / table)
    if figures:
        for figure in applicable(experiment):
            call("figure", results, figure, "-o", results / "figures" / f"{figure}.svg")
        call("report", results, "-o", results / "report.html")
    return results


def call(*arguments: object) -> None:
    """A command, which must succeed."""
    assert main([str(argument) for argument in arguments]) == 0


def in_a_process(*arguments: object) -> None:
    """The same in a process of its own."""
    command = [sys.executable, "-m", "hypercurve", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
