"""Networks of a run's best trials stay when it is over: a method that chooses another trial trains nothing for it."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

from hypercurve.config.experiment import Experiment
from hypercurve.config.model import LoopSpec
from hypercurve.events.journal import read_lines
from hypercurve.execution.event_loop import Best
from hypercurve.execution.serial import execute
from hypercurve.runs.known import KnownTrainings
from hypercurve.runs.resuming import resumable
from hypercurve.runs.run import Run
from hypercurve.runs.trial import Trial
from hypercurve.training.loop import LoopTrainer
from hypercurve.training.saving import MOST, SavingTrainer, identity_of
from hypercurve.training.trainer import Snapshot
from user_models import Loop

TRIALS = 15
trained: list[int] = []


class Noting(Loop):
    def train(self) -> Iterator[Mapping[str, object]]:
        for report in super().train():
            trained.append(self.context.trial)
            yield {name: report[name] for name in ("loss", "val_loss")}


def experiment() -> Experiment:
    return Experiment.model_validate(
        {
            "model": {"loop": "user_models:Loop"},
            "objective": {"metric": "loss"},
            "space": {"learning_rate": {"uniform": [0.0, 0.4]}, "epochs": 4},
            "budget": {"trials": TRIALS},
            "training": {"accumulation_points": 4},
            "methods": {"random": {"search": "random"}, "other": {"search": "random", "stop": "median"}},
        }
    )


def run_of(method: str) -> Run:
    return Run(experiment().setting("kept", method), 0, samples=0, data="none", model="same")


def saving(folder: Path, run: Run) -> SavingTrainer:
    trainer = LoopTrainer(LoopSpec(loop="user_models:Loop"), None, target=Noting)
    return SavingTrainer(
        trainer, folder / "journal.states", identity=identity_of(run.header.training), runs=folder.parents[1]
    )


@pytest.fixture
def done(tmp_path: Path) -> Path:
    """The folder of a random search that is over."""
    folder, run = tmp_path / "runs" / "random" / "0", run_of("random")
    trainer = saving(folder, run)
    with resumable(folder / "journal.jsonl", run.header) as journal:
        execute(run, trainer, journal)
    trainer.clear()
    return folder


def losses(folder: Path) -> dict[int, float]:
    lines, _ = read_lines(folder / "journal.jsonl")
    return {line["trial"]: line["metrics"]["val_loss"] for line in lines if line["event"] == "completed"}


def test_those_of_the_best_trials_are_kept_and_nothing_else(done: Path) -> None:
    found = losses(done)
    best = sorted(found, key=lambda trial: found[trial])[:MOST]
    assert len(found) == TRIALS > MOST
    assert {path.name for path in (done / "journal.states").iterdir()} == {
        f"best-0-{trial}_{found[trial]!r}.state" for trial in best
    }


def test_they_are_fewer_where_they_are_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hypercurve.training.saving.MOST_BYTES", 1000)
    run = run_of("random")
    trainer = saving(tmp_path / "runs" / "random" / "0", run)
    for number, loss in enumerate([0.3, 0.1, 0.2, -0.0, 1e-9]):
        trial = Trial(number, {"learning_rate": 0.1, "epochs": 4})
        trainer.keep(trial, lambda: Snapshot(1.0, 4, np.zeros(100, np.float32), np.zeros(0, np.float32)), loss)
    assert [path.name for path in trainer.folder.iterdir()] == ["best-0-3_-0.0.state"]


@pytest.mark.parametrize("rank", [0, 1, MOST - 1, MOST])
def test_another_method_that_chooses_one_of_them_has_its_network(done: Path, rank: int) -> None:
    found = losses(done)
    number = sorted(found, key=lambda trial: found[trial])[rank]
    folder, run = done.parents[1] / "other" / "0", run_of("other")
    folder.mkdir(parents=True)
    known = KnownTrainings(folder / "journal.jsonl", run.header)
    searched = run_of("random")
    searched.fold(read_lines(done / "journal.jsonl")[0], "journal")
    trial = searched.trial(number)
    trained.clear()
    curve, complete = known.ahead(trial, [0.25, 0.5, 0.75, 1.0])
    _, wall = Best(trial, curve).finish(saving(folder, run), known, folder, equal=True)
    assert complete
    assert trained == []
    assert (wall.network is not None) == (folder / "best.npz").exists() == (rank < MOST)
