"""Runs of synthetic trainings that are records for others, and that start from one."""

from pathlib import Path
from typing import Any

from hypercurve.config.experiment import Experiment
from hypercurve.config.setting import Setting
from hypercurve.events.journal import Journal
from hypercurve.execution.serial import execute
from hypercurve.runs.run import Run
from hypercurve.training.synthetic import SyntheticTrainer


def live(budget: Any = None, **method: Any) -> Setting:
    content = {
        "data": {"name": "digits"},
        "model": "synthetic",
        "space": {"learning_rate": {"uniform": [0.0, 1.0]}, "momentum": {"uniform": [0.0, 1.0]}},
        "budget": budget or {"trials": 60},
        "seed": method.pop("seed", 0),
        "training": {"accumulation_points": 20},
        "methods": {"method": {"search": "random", **method}},
    }
    return Experiment.model_validate(content).setting("e", "method")


def carried_out(setting: Setting, path: Path, record: Any = None) -> Run:
    run = Run(setting, 0, samples=1000, data="none", record=record)
    with Journal(path) as journal:
        execute(run, SyntheticTrainer(), journal)
    return run
