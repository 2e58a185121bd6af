"""Trials in flight that are killed and go on: equal metrics, little trained again, bounded memory and disk."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import CC, ROOT
from hypercurve.config.experiment import Experiment
from hypercurve.config.model import CommandSpec, LoopSpec
from hypercurve.config.segments import Segment
from hypercurve.runs.trial import Trial
from hypercurve.training import make_trainer
from hypercurve.training.command import CommandTrainer
from hypercurve.training.loop import LoopTrainer
from hypercurve.training.saving import SavingTrainer
from hypercurve.training.saving_bounds import Bounds
from hypercurve.training.scheduled import ScheduledTrainer
from hypercurve.training.trainer import Trainer
from user_models import Loop

pytestmark = pytest.mark.slow

POINTS = (0.25, 0.5, 0.75, 1.0)
TRIAL = Trial(3, {"learning_rate": 0.1, "epochs": 8}, seed=5)
SEGMENTS = ["--resume={resume}", "--snapshot={snapshot}", "--until={until}"]
MODELS: dict[str, Any] = {
    "built-in": "softmax",
    "keras": {"keras": "user_models:network"},
    "loop": {"loop": "user_models:Loop"},
    "program": {"command": ["./logistic", "--rate={learning_rate}", "--epochs={epochs}", "--seed={seed}", *SEGMENTS]},
}


@pytest.fixture(autouse=True)
def _at_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)


@pytest.fixture(params=MODELS)
def trainer(request: pytest.FixtureRequest, prepared: Path, monkeypatch: pytest.MonkeyPatch) -> Trainer:
    """A trainer of each kind that can save; networks come to a safe moment after every step."""
    if request.param == "program" and CC is None:
        pytest.skip("there is no cc")
    data = request.param in ("built-in", "keras")
    if data:
        from hypercurve.training.keras_trainer import KerasSession

        monkeypatch.setattr(KerasSession, "_chunk", 1)
    setting = Experiment.model_validate(
        {
            "data": {"name": "digits"} if data else None,
            "model": MODELS[request.param],
            "objective": {"metric": "loss"},
            "space": {"learning_rate": {"uniform": [0.01, 0.4]}, "epochs": 8} | ({"batch_size": 16} if data else {}),
            "budget": {"trials": 8},
            "training": {"accumulation_points": list(POINTS)},
            "methods": {"random": {"search": "random"}},
        }
    ).setting("saving", "random")
    return make_trainer(setting, prepared if data else None)


class Killed(BaseException):
    """Ends a training as a kill does: nobody cleans up."""


def killed_at(saving: SavingTrainer, moment: float) -> list[float]:
    """Let a trainer save at all safe moments before one, and end there; gives the moments that have passed."""
    moments: list[float] = []

    def allows(waited: float, spent: float) -> bool:
        moments.append(waited)
        if len(moments) == moment:
            raise Killed
        return True

    saving.bounds.allows = allows  # type: ignore[method-assign]
    return moments


def reports(trainer: Trainer, trial: Trial = TRIAL) -> tuple[list[Mapping[str, float]], bytes]:
    """A trial's metrics at all points, and its weights at the end."""
    session = trainer.open(trial)
    metrics = [dict(session.advance(point).metrics) for point in POINTS]
    return metrics, session.snapshot().weights.tobytes()


# Killed


@pytest.mark.slow
def test_a_training_whose_end_is_not_recorded_yet_is_not_lost(trainer: Trainer, tmp_path: Path) -> None:
    """Ranks train ahead: a report may wait for long until it is written, and the job may be killed meanwhile."""
    first = SavingTrainer(trainer, tmp_path, minutes=0)
    session = first.open(TRIAL)
    expected = [session.advance(point) for point in POINTS]
    weights = session.snapshot().weights.tobytes()
    session.rest()
    assert not first.bounds.awake
    second = SavingTrainer(trainer, tmp_path, minutes=0)
    trained = killed_at(second, np.inf)
    session = second.open(TRIAL)
    again = [session.advance(point) for point in POINTS]
    assert [(one.metrics, one.test) for one in again] == [(one.metrics, one.test) for one in expected]
    assert session.snapshot().weights.tobytes() == weights
    assert trained == []
    session.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_trial_killed_at_any_safe_moment_goes_on_to_equal_bits(trainer: Trainer, tmp_path: Path) -> None:
    whole = SavingTrainer(trainer, tmp_path / "whole", minutes=0)
    moments = killed_at(whole, np.inf)
    expected = reports(whole)
    assert expected[0] == reports(trainer)[0]
    assert len(moments) > 2 * len(POINTS)
    for moment in range(1, len(moments) + 1):
        folder = tmp_path / str(moment)
        first = SavingTrainer(trainer, folder, minutes=0)
        killed_at(first, moment)
        with pytest.raises(Killed):
            reports(first)
        second = SavingTrainer(trainer, folder, minutes=0)
        again = killed_at(second, np.inf)
        assert reports(second) == expected
        assert len(again) <= len(moments) - (moment - 1)  # what was saved is not trained again
        second.clear()
        assert not folder.exists()


def test_a_trial_under_a_schedule_goes_on_under_it(tmp_path: Path) -> None:
    segments = [
        Segment(member=0, step=step, configuration={"learning_rate": rate, "epochs": 8})
        for step, rate in ((0, 0.3), (3, 0.1), (5, 0.01))
    ]
    trainer = ScheduledTrainer(LoopTrainer(LoopSpec(loop="user_models:Loop"), None), segments, 8)
    expected = reports(trainer)[0]
    for moment in range(1, 12):
        first, second = (SavingTrainer(trainer, tmp_path / str(moment), minutes=0) for _ in range(2))
        killed_at(first, moment)
        with pytest.raises(Killed):
            reports(first)
        assert reports(second)[0] == expected


DRIVER = """
import sys
from pathlib import Path
from hypercurve.config.model import CommandSpec, KerasSpec, LoopSpec
from hypercurve.runs.trial import Trial
from hypercurve.training.saving import SavingTrainer

kind, folder, data = sys.argv[1:]
if kind == "loop":
    from hypercurve.training.loop import LoopTrainer
    trainer = LoopTrainer(LoopSpec(loop="slow:Slow"), None)
elif kind == "program":
    from hypercurve.training.command import CommandTrainer
    command = (sys.executable, "slow.py", "{resume}", "{snapshot}", "{until}", "{learning_rate}")
    trainer = CommandTrainer(CommandSpec(command=command, grace=0), None)
else:
    from hypercurve.training.keras_trainer import KerasSession, KerasTrainer
    KerasSession._chunk = 1
    trainer = KerasTrainer(KerasSpec(keras="user_models:network"), Path(data), points=(0.5, 1.0))
saving = SavingTrainer(trainer, Path(folder), minutes=0)
session = saving.open(Trial(0, {"learning_rate": 0.1, "epochs": 400 if kind == "network" else 40}))
print("ready", flush=True)
print([dict(session.advance(point).metrics) for point in (0.5, 1.0)], flush=True)
saving.clear()
"""
SLOW = """
import os, sys, time, json

class Slow:
    def __init__(self, hyperparameters, context):
        self.rate, self.epochs, self.epoch, self.x = hyperparameters["learning_rate"], context.epochs, 0, 1.0

    def train(self):
        while self.epoch < self.epochs:
            with open("epochs", "a") as log:
                log.write(f"{self.epoch}\\n")
            time.sleep(0.05)  # in all, longer than the first two kills take
            self.epoch += 1
            self.x -= self.rate * self.x
            yield {"loss": self.x, "val_loss": self.x}

    def save(self):
        return {"epoch": self.epoch, "x": self.x}

    def load(self, state):
        self.epoch, self.x = int(state["epoch"]), float(state["x"])

if __name__ == "__main__":
    resume, snapshot, until, rate = sys.argv[1:]
    slow = Slow({"learning_rate": float(rate)}, type("Context", (), {"epochs": int(until)}))
    if resume:
        slow.load(json.load(open(resume)))
    for report in slow.train():
        print(json.dumps(report), flush=True)
    with open(snapshot, "w") as file:
        json.dump({"epoch": slow.epoch, "x": slow.x}, file)
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["loop", "program", "network"])
def test_processes_killed_at_random_moments_go_on(kind: str, prepared: Path, tmp_path: Path, home: Path) -> None:
    shutil.copy(home / "user_models.py", tmp_path)
    (tmp_path / "slow.py").write_text(SLOW)

    def start(folder: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", DRIVER, kind, folder, str(prepared)]
        process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    expected, _ = start("whole").communicate()
    (tmp_path / "epochs").unlink(missing_ok=True)
    most = 1 if kind == "network" else 8  # TensorFlow takes long to start
    draw, kills, found, said = random.Random(1), 0, "", ""
    while not found:
        process = start("killed")
        while kind == "network" and process.poll() is None and not list((tmp_path / "killed").glob("*.state")):
            time.sleep(0.001)  # it is compiled, and trains
        try:
            found, errors = process.communicate(timeout=draw.uniform(0.1, 1.0) if kills < most else None)
            assert found, errors
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            kills += 1
            found, errors = process.communicate()  # it may have come to its end, and be leaving
        said += errors
    assert found == expected
    assert kills >= min(most, 2)
    assert "trial 0: going on from" in said
    if kind != "network":
        epochs = (tmp_path / "epochs").read_text().split()
        assert len(epochs) <= 40 + 2 * kills  # a segment's first line may be written before ours is taken


@pytest.mark.parametrize("die", [True, False])
def test_tuning_that_died_inside_a_trial_goes_on_inside_it(die: bool, tmp_path: Path) -> None:
    script = tmp_path / "tuning.py"
    script.write_text(
        "import os, sys, hypercurve\nfrom user_models import Loop\n"
        "from hypercurve.training import saving_bounds\n"
        "saving_bounds.ALLOWANCE = 1e9\n"  # however slow the disk is
        "class Dying(Loop):\n"
        "    def train(self):\n"
        "        for report in super().train():\n"
        "            open('epochs', 'a').write(f'{self.context.trial} {self.epoch}\\n')\n"
        "            if 'die' in sys.argv and (self.context.trial, self.epoch) == (1, 9): os._exit(9)\n"
        "            yield report\n"
        "hypercurve.tune(Dying, {'learning_rate': {'uniform': [0.0, 0.4]}, 'epochs': 10}, trials=3,\n"
        "    folder='found')\n"
    )
    shutil.copy(ROOT / "tests" / "user_models.py", tmp_path)
    command = [sys.executable, str(script)]
    if die:
        assert subprocess.run([*command, "die"], cwd=tmp_path).returncode == 9
    subprocess.run(command, cwd=tmp_path, check=True)
    epochs = (tmp_path / "epochs").read_text().splitlines()
    assert len(epochs) == len(set(epochs)) + die  # the one that it died in
    kept = sorted(path.name for path in (tmp_path / "found" / "runs" / "random" / "0").iterdir())
    assert kept == ["best.npz", "history", "journal.jsonl", "journal.states"]


# What is saved when


def loops(target: Callable[..., Any] = Loop) -> LoopTrainer:
    return LoopTrainer(LoopSpec(loop="user_models:Loop"), None, target=target)


def test_reports_before_the_saved_state_are_given_again(tmp_path: Path) -> None:
    first = SavingTrainer(loops(), tmp_path, minutes=0).open(TRIAL)
    given = [first.advance(point) for point in (0.25, 0.5)]
    second = SavingTrainer(loops(), tmp_path, minutes=0).open(TRIAL)
    assert second.progress == 0.5
    assert [second.advance(point) for point in (0.25, 0.5)] == given
    with pytest.raises(ValueError, match="no report there"):
        second.advance(0.4)
    third = second.advance(0.75)
    assert third.seconds > 0


def test_what_is_damaged_or_of_another_training_is_not_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    session = SavingTrainer(loops(), tmp_path, minutes=0).open(TRIAL)
    session.advance(0.5)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    place = random.Random(0)
    damaged = [whole[:n] + bytes([whole[n] ^ 1]) + whole[n + 1 :] for n in place.sample(range(len(whole)), 30)]
    for content in [*damaged, b"", whole[:-1], whole + b"\0", b"hypercurve state 1\n"]:
        path.write_bytes(content)
        assert SavingTrainer(loops(), tmp_path).open(TRIAL).progress == 0
        assert "trial 3: its saved state is damaged" in capsys.readouterr().err
    path.write_bytes(whole)
    assert SavingTrainer(loops(), tmp_path, identity=lambda _: "other code").open(TRIAL).progress == 0
    assert "is of another training" in capsys.readouterr().err
    assert SavingTrainer(loops(), tmp_path).open(TRIAL).progress == 0.5
    assert capsys.readouterr().err == "trial 3: going on from 50% of its training\n"


def test_a_trial_has_one_file_which_goes_with_it(tmp_path: Path) -> None:
    saving = SavingTrainer(loops(), tmp_path, minutes=0)
    (tmp_path / ".0-3.state.4711").write_bytes(b"of a process that was killed while it wrote")
    session = saving.open(TRIAL)
    for point in (0.25, 0.5, 0.75):
        session.advance(point)
        assert [path.name for path in tmp_path.iterdir()] == ["0-3.state"]
    session.close()
    assert not any(tmp_path.iterdir())
    assert not saving.bounds.awake


def test_nothing_is_saved_where_nobody_wants_it(tmp_path: Path) -> None:
    reports(SavingTrainer(loops(), tmp_path / "states", minutes=None))
    assert not (tmp_path / "states").exists()


def test_saving_costs_little_unless_the_time_has_come() -> None:
    bounds = Bounds(minutes=5, memory=None)
    bounds.trials, bounds.cost, bounds.saving = 1, 0.004, 0.007
    assert bounds.allows(waited=0, spent=0.006)  # within a trial's 10 ms
    assert not bounds.allows(waited=100, spent=0.007)
    bounds.trained = 1.0
    assert bounds.allows(waited=100, spent=0.007)  # 4 ms are within 2 % of a second
    assert not bounds.allows(waited=1, spent=0.007)
    bounds.cost = 1.0
    assert not bounds.allows(waited=299, spent=0)
    assert bounds.allows(waited=300, spent=0)
    assert not Bounds(minutes=None, memory=None).allows(waited=1e9, spent=0)


def test_a_signal_saves_all_trials_and_ends(tmp_path: Path) -> None:
    saving = SavingTrainer(loops(), tmp_path, minutes=1e9)
    saving.bounds.cost = 1.0  # so that nothing is saved before
    waiting = saving.open(Trial(0, TRIAL.configuration))
    waiting.advance(0.5)

    def asked() -> None:
        raise Killed

    class Signalled(Loop):
        def train(self) -> Iterator[Mapping[str, object]]:
            for report in super().train():
                if self.epoch == 3:
                    saving.bounds.ask = asked
                yield report

    saving.trainer = loops(Signalled)
    training = saving.open(Trial(1, TRIAL.configuration))
    assert not any(tmp_path.iterdir())
    with pytest.raises(Killed):
        training.advance(1.0)
    again = SavingTrainer(loops(), tmp_path)
    assert again.open(Trial(0, TRIAL.configuration)).progress == 0.5
    states = [again.open(Trial(number, TRIAL.configuration)).snapshot() for number in (0, 1)]
    assert [state.step for state in states] == [4, 3]


# What cannot be saved


class Unsaved(Loop):
    """Cannot say what it has learned."""

    def save(self) -> dict[str, Any]:
        raise RuntimeError("as it is meant to")


class Objects(Loop):
    """Gives what is no array."""

    def save(self) -> dict[str, Any]:
        return {"x": None}


class Unloaded(Loop):
    """Cannot take back what it gave."""

    def load(self, state: Mapping[str, Any]) -> None:
        raise RuntimeError("as it is meant to")


@pytest.mark.parametrize(("target", "why"), [(Unsaved, "as it is meant to"), (Objects, "no array of numbers")])
def test_a_state_that_cannot_be_saved_is_done_without(
    target: type[Loop], why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saving = SavingTrainer(loops(target), tmp_path, minutes=0, memory=0)
    sessions = [saving.open(Trial(number, TRIAL.configuration, seed=5)) for number in range(3)]
    found = [[session.advance(point).metrics for session in sessions] for point in POINTS]
    assert [row[2] for row in found] == [
        loops().open(Trial(2, TRIAL.configuration, seed=5)).advance(point).metrics for point in POINTS
    ]
    assert all(len(session.snapshot().weights) == 0 for session in sessions)
    said = capsys.readouterr().err
    assert said.count("cannot be saved") == 1
    assert why in said


def test_a_state_that_cannot_be_loaded_is_trained_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expected = reports(loops())[0]
    session = SavingTrainer(loops(Unloaded), tmp_path, minutes=0).open(TRIAL)
    for point in POINTS[:2]:
        session.advance(point)
    session = SavingTrainer(loops(Unloaded), tmp_path, minutes=0).open(TRIAL)
    assert [session.advance(point).metrics for point in POINTS] == expected
    assert "its saved state cannot be loaded: RuntimeError: as it is meant to" in capsys.readouterr().err


def test_a_function_trains_as_ever(tmp_path: Path) -> None:
    from user_models import function

    saving = SavingTrainer(loops(function), tmp_path / "states", minutes=0, memory=0)
    assert reports(saving) == (reports(loops())[0], b"")
    assert not (tmp_path / "states").exists()


def test_a_full_disk_is_no_reason_to_stop(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "states").write_text("no folder")
    assert reports(SavingTrainer(loops(), tmp_path / "states", minutes=0, memory=0))[0] == reports(loops())[0]
    assert capsys.readouterr().err.count("states of trials in flight cannot be saved") == 1


# Programs in segments


def programs(folder: Path, script: str = SLOW) -> CommandTrainer:
    (folder / "slow.py").write_text(
        script.replace("resume, snapshot", "open('starts', 'a').write('x')\n    resume, snapshot", 1)
    )
    os.chdir(folder)
    command = (sys.executable, "slow.py", "{resume}", "{snapshot}", "{until}", "{learning_rate}")
    return CommandTrainer(CommandSpec(command=command, grace=0), None)


def starts() -> int:
    path = Path("starts")
    number = len(path.read_text()) if path.exists() else 0
    path.unlink(missing_ok=True)
    return number


def test_long_programs_run_in_segments_and_short_ones_through(tmp_path: Path) -> None:
    trainer = programs(tmp_path)
    trial = Trial(0, {"learning_rate": 0.1, "epochs": 20})
    expected = reports(trainer, trial)[0]
    assert starts() == 1
    short = SavingTrainer(trainer, tmp_path / "short", minutes=5)
    assert reports(short, trial)[0] == expected
    assert starts() == 2  # the first of all tells how long an epoch takes
    assert reports(short, Trial(1, trial.configuration))[0] == expected
    assert starts() == 1
    long = SavingTrainer(trainer, tmp_path / "long", minutes=0.25 / 60)  # some five epochs of 50 ms
    assert reports(long, trial)[0] == expected
    assert 3 <= starts() <= 12


@pytest.mark.parametrize("fault", ["no snapshot", "ends badly", "deaf"])
def test_programs_without_snapshots_run_through(fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changes = {
        "no snapshot": ("with open(snapshot", "sys.exit(0)\n    with open(snapshot"),
        "ends badly": ("with open(snapshot", "sys.exit(3 if int(until) < 8 else 0)\n    with open(snapshot"),
        "deaf": ("int(until)", "8"),
    }
    trainer = programs(tmp_path, SLOW.replace(*changes[fault]))
    expected = reports(trainer)[0]
    starts()
    saving = SavingTrainer(trainer, tmp_path / "states", minutes=0)
    assert reports(saving)[0] == expected
    assert reports(saving, Trial(1, TRIAL.configuration))[0] == expected
    assert starts() == 3
    assert capsys.readouterr().err.count("warning") == 1


# Memory


def test_sessions_that_wait_leave_memory_and_come_back_to_equal_bits(trainer: Trainer, tmp_path: Path) -> None:
    trials = [Trial(number, TRIAL.configuration, seed=5) for number in range(6)]
    sessions = [trainer.open(trial) for trial in trials]
    expected = [[session.advance(point).metrics for session in sessions] for point in POINTS]
    saving = SavingTrainer(trainer, tmp_path, minutes=0, memory=0)
    kept = [saving.open(trial) for trial in trials]
    found = []
    for point in POINTS:
        found.append([session.advance(point).metrics for session in kept])
        if point < 1:
            assert list(saving.bounds.awake) == kept[-1:]
    assert found == expected


def test_sessions_leave_memory_in_the_order_of_their_last_training(tmp_path: Path) -> None:
    saving = SavingTrainer(loops(), tmp_path, memory=3 * 17_000)
    sessions = [saving.open(Trial(number, TRIAL.configuration)) for number in range(4)]
    for number in (0, 1, 2, 0, 3):
        sessions[number].advance(0.25 if number or sessions[0].progress == 0 else 0.5)
    assert 16_384 < sessions[0].size < 17_000
    assert list(saving.bounds.awake) == [sessions[2], sessions[0], sessions[3]]


def test_a_parked_state_that_is_lost_is_trained_again(tmp_path: Path) -> None:
    saving = SavingTrainer(loops(), tmp_path, memory=0)
    first, second = saving.open(TRIAL), saving.open(Trial(4, TRIAL.configuration))
    first.advance(0.5)
    second.advance(0.5)
    (tmp_path / "0-3.state").unlink()
    assert first.advance(1.0).metrics == reports(loops())[0][-1]


@pytest.mark.slow
def test_many_waiting_trials_fit_into_memory() -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "waiting.py"), "--trials", "60", "--memory", str(200 * 2**20)]
    measured = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert measured["states_bytes"] > 60 * 20e6
    assert measured["peak_rss_bytes"] < 500 * 2**20
    assert measured["equal"]


def test_a_best_network_that_cannot_be_kept_is_no_end_of_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "states").write_text("in the way")
    saving = SavingTrainer(LoopTrainer(LoopSpec(loop="user_models:Loop"), None, threads=1), tmp_path / "states")
    session = saving.open(TRIAL)
    session.advance(1.0)
    saving.keep(TRIAL, session.snapshot, 0.5)
    assert "cannot be kept" in capsys.readouterr().err
