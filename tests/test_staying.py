"""Programs that stay: one process, many trials; what it does wrong, and what becomes of it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import ROOT
from hypercurve.cli import main
from hypercurve.config.experiment import Experiment
from hypercurve.config.files import ConfigError, read_experiment
from hypercurve.config.model import CommandSpec
from hypercurve.config.setting import Setting
from hypercurve.events.encoding import without_wall
from hypercurve.events.events import Completed, Event, Failed
from hypercurve.events.journal import read_lines
from hypercurve.execution.advance import ReportCheck, advance
from hypercurve.runs.trial import Trial
from hypercurve.training import make_trainer
from hypercurve.training.saving import SavingTrainer
from hypercurve.training.staying import StayingTrainer
from hypercurve.util.errors import UserError

POINTS = (1 / 3, 2 / 3, 1.0)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("tests/staying_program.py", "examples/hypercurve_program.py"):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def setting(*arguments: str, population: bool = False, **options: Any) -> Setting:
    methods = {"a": {"population": {"every": 1, "members": 3}} if population else {"search": "random"}}
    given = {
        "model": {"command": [sys.executable, "staying_program.py", *arguments], "stays": True, **options},
        "objective": {"metric": "loss"},
        "space": {"learning_rate": {"log_uniform": [0.01, 0.4]}, "epochs": 3},
        "budget": {"trials": 3},
        "methods": methods,
    }
    return Experiment.model_validate(given).setting("staying", "a")


@pytest.fixture
def trainer_of(home: Path) -> Callable[..., StayingTrainer]:
    def make(*arguments: str, **options: Any) -> StayingTrainer:
        found = make_trainer(setting(*arguments, **options), None, home / "programs")
        assert isinstance(found, StayingTrainer)
        return found

    return make


def trial(number: int) -> Trial:
    return Trial(number, {"learning_rate": 0.1, "epochs": 3}, seed=5)


def ends(trainer: StayingTrainer, count: int = 3) -> list[Event]:
    """What becomes of trials that take turns."""
    check = ReportCheck.of(setting())
    sessions = {number: trainer.open(trial(number)) for number in range(count)}
    found: dict[int, Event] = {}
    for point in POINTS:
        for number, session in list(sessions.items()):
            (found[number], *_), kept = advance(lambda session=session: session, number, point, check, 0)
            if kept is None:
                del sessions[number]
    return [found[number] for number in range(count)]


def alone() -> list[Event]:
    """The same, each in a program of its own."""
    found = []
    for number in range(3):
        made = make_trainer(setting(), None)
        session = made.open(trial(number))
        metrics = [session.advance(point).metrics for point in POINTS]
        found.append(Completed(number, metrics[-1]))
    return found


# One process, many trials


@pytest.mark.slow
@pytest.mark.parametrize(("arguments", "processes"), [((), 1), (("plain",), 3)])
def test_trials_take_turns_in_a_program_as_if_each_had_its_own(
    arguments: tuple[str, ...], processes: int, trainer_of: Callable[..., StayingTrainer], home: Path
) -> None:
    trainer = trainer_of(*arguments)
    assert ends(trainer) == alone()
    assert len(trainer.slots) == processes
    held = [slot.program._process.pid for slot in trainer.slots]
    session = trainer.open(trial(3))
    session.advance(1.0)
    assert [slot.program._process.pid for slot in trainer.slots] == held, "programs of closed sessions are used again"
    assert (home / "programs" / "1.log").read_text() == "training 1\n" * 3
    for slot in trainer.slots:
        slot.program.close()
    assert {path.name for path in home.glob("ended-*")} >= {f"ended-{pid}" for pid in held}, "they end by themselves"


@pytest.mark.slow
def test_a_program_that_is_killed_costs_no_trial(trainer_of: Callable[..., StayingTrainer]) -> None:
    trainer = trainer_of()
    sessions = [trainer.open(trial(number)) for number in range(3)]
    for session in sessions:
        session.advance(POINTS[0])
    for session in sessions:
        os.kill(trainer.slots[0].program._process.pid, signal.SIGKILL)
        session.advance(POINTS[1])
    assert [Completed(number, sessions[number].advance(1.0).metrics) for number in range(3)] == alone()


@pytest.mark.slow
def test_members_are_told_since_when_their_hyperparameters_hold(trainer_of: Callable[..., StayingTrainer]) -> None:
    trainer = trainer_of(population=True)
    donor, member = trainer.open(trial(0)), trainer.open(trial(1))
    for session in (donor, member):
        assert session.advance(POINTS[0]).metrics["since"] == 0
    member.restore(donor.snapshot())
    member.adjust({"learning_rate": 0.2, "epochs": 3}, 1)
    assert member.advance(POINTS[1]).metrics["since"] == 1
    assert donor.advance(POINTS[1]).metrics["loss"] != member.advance(POINTS[1]).metrics["loss"]


# Faults


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("none", None),
        ("exits", "ended with exit code 3 after 1 of 3 epochs; see programs/1.log"),
        ("crashes", "was ended by signal SIGSEGV after 1 of 3 epochs; see programs/1.log"),
        ("killed once", None),
        ("hangs", "printed nothing for 2 s (`timeout`); see programs/1.log"),
        ("no loss", "epoch 2: reported no loss, only val_loss"),
        ("cannot save", None),
        ("saves half", None),
        ("grows", None),
    ],
)
def test_faults_fail_the_trial_that_has_them_and_no_other(
    fault: str, reason: str | None, trainer_of: Callable[..., StayingTrainer], home: Path
) -> None:
    found = ends(trainer_of(fault, timeout=2, grace=0.2))
    expected: list[Event] = [*alone()]
    if reason is not None:
        expected[1] = Failed(1, POINTS[1], reason)
    assert found == expected
    if fault == "exits":
        assert (home / "programs" / "1.log").read_text().endswith("no more memory\n")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("rubbish",), """printed 'hello' first; a program with `stays: true` begins with {"protocol": 2, ...}"""),
        (("error",), "there is no GPU; see programs/0.log"),
    ],
)
def test_what_does_not_follow_the_protocol_says_so(
    arguments: tuple[str, ...], reason: str, trainer_of: Callable[..., StayingTrainer]
) -> None:
    trainer = trainer_of(*arguments)
    line, _ = advance(lambda: trainer.open(trial(0)), 0, POINTS[0], ReportCheck.of(setting()), 0)
    assert line.event == Failed(0, POINTS[0], reason)
    if arguments == ("error",):
        assert line.wall.traceback == "no device found\n"


@pytest.mark.slow
def test_a_population_needs_programs_that_save(trainer_of: Callable[..., StayingTrainer]) -> None:
    with pytest.raises(UserError, match="says that it cannot save"):
        ends(trainer_of("plain", population=True))


@pytest.mark.slow
def test_states_of_members_may_outgrow_the_first_ones_by_little_only(
    trainer_of: Callable[..., StayingTrainer],
) -> None:
    trainer = trainer_of("grows", population=True)
    sessions = [trainer.open(trial(number)) for number in range(2)]
    for session in sessions:
        session.advance(POINTS[0])
        room = session.sizes()[0]
        session.agree(room)
    assert 4 * room > 1 << 16
    sessions[0].advance(POINTS[1])
    out = np.ones(room + len(sessions[0].snapshot().slots), np.float32)
    sessions[0].snapshot(out)
    sessions[0].restore(sessions[0].snapshot(out))
    sessions[0].advance(1.0)
    (event, *_), _ = advance(lambda: sessions[1], 1, POINTS[1], ReportCheck.of(setting()), 0)
    assert isinstance(event, Failed)
    assert "say in `state_bytes` how large states become" in event.reason


# Experiment files


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--data={data}",), "{data} is given nothing"),
        (("--rate={learning_rate}",), "is told learning_rate on its standard input: leave out {learning_rate}"),
        (("{resume}",), "is told resume on its standard input"),
        (("{x}",), "unknown placeholder {x}"),
    ],
)
def test_its_command_names_nothing_that_differs_between_trials(arguments: tuple[str, ...], said: str) -> None:
    with pytest.raises((ConfigError, ValueError), match=said.replace("{", r"\{").replace("}", r"\}")):
        setting(*arguments)
    assert setting("--threads={threads}")


# With the rest


@pytest.mark.slow
def test_saved_states_bring_trials_back_and_let_them_leave_memory(
    trainer_of: Callable[..., StayingTrainer], home: Path
) -> None:
    expected = [event.metrics for event in alone() if isinstance(event, Completed)]
    first = SavingTrainer(trainer_of(), home / "states", minutes=0, memory=0)
    sessions = [first.open(trial(number)) for number in range(3)]
    for session in sessions:
        session.advance(POINTS[0])
    assert len(list((home / "states").iterdir())) == 3
    assert len(first.bounds.awake) == 1, "the others wait on the disk"
    sessions[0].advance(POINTS[1])
    second = SavingTrainer(trainer_of(), home / "states", minutes=0)  # as after a kill
    others = [second.open(trial(number)) for number in range(3)]
    assert [other.progress for other in others] == [POINTS[1], POINTS[0], POINTS[0]]
    assert [other.advance(1.0).metrics for other in others] == expected
    assert others[0].snapshot().weights.nbytes > 32


@pytest.mark.slow
def test_it_is_tried_searched_archived_and_rerun(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = ["staying_program.py", "hypercurve_program.py"]
    given = setting(files=files).model
    (home / "mine.yaml").write_text(
        json.dumps(
            {
                "model": given.model_dump(mode="json") if isinstance(given, CommandSpec) else None,
                "objective": {"metric": "loss"},
                "space": {"learning_rate": {"uniform": [0.01, 0.4]}, "epochs": 4},
                "budget": {"trials": 4},
                "methods": {"asha": {"search": "random", "stop": {"asha": {"first_rung": 1}}, "slots": 2}},
            }
        )
    )
    run = home / "results" / "mine" / "runs" / "asha" / "0"
    run.mkdir(parents=True)
    experiment = read_experiment(home / "mine.yaml")
    (run.parents[2] / "experiment.json").write_text(experiment.model_dump_json())
    (run.parent / "setting.json").write_text(experiment.setting("mine", "asha").model_dump_json())
    for command in (
        ["try", "mine.yaml"],
        ["search", f"{run.parent}/setting.json", "-o", f"{run}/journal.jsonl"],
        ["trials", f"{run.parent}/setting.json", f"{run}/journal.jsonl", "-o", f"{run}/trials.csv"],
        ["compare", "results/mine", "-o", "results/mine/comparison.csv"],
        ["archive", "results/mine", "-o", "mine.tar.gz"],
        ["verify", "mine.tar.gz", "--rerun", "asha/0", "--trust"],
    ):
        assert main(command) == 0, capsys.readouterr().err
        if command[0] == "try":
            said = capsys.readouterr().out
            assert "the program stays for the next trial" in said
            assert "Nothing is wrong" in said
            assert "equal digits" in said
    assert (run / "best.snapshot").stat().st_size == 32


@pytest.mark.slow
def test_a_population_that_is_killed_goes_on_and_leaves_no_program(home: Path) -> None:
    given = setting("slow", population=True)
    (home / "setting.json").write_text(given.model_dump_json())

    def command(name: str) -> list[str]:
        return [sys.executable, "-m", "hypercurve", "search", "setting.json", "-o", f"{name}/journal.jsonl"]

    subprocess.run(command("whole"), check=True, capture_output=True)
    process = subprocess.Popen(command("killed"), stderr=subprocess.DEVNULL)
    journal = home / "killed" / "journal.partial.jsonl"
    while not journal.exists() or journal.read_bytes().count(b'"reported"') < 3:
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.wait()
    subprocess.run(command("killed"), check=True, capture_output=True)
    whole, killed = (
        [without_wall(line) for line in read_lines(home / name / "journal.jsonl")[0]] for name in ("whole", "killed")
    )
    assert killed == whole
    assert any("copy" in action for line in whole for action in line["then"])
    deadline = time.monotonic() + 30
    while (left := programs_in(home)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left


def programs_in(folder: Path) -> list[str]:
    """Processes that run in a folder, besides this one."""
    found = []
    for one in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if one.name != str(os.getpid()) and (one / "cwd").readlink() == folder:
                found.append((one / "cmdline").read_text())
    return found
