"""Runs: the journal is the state. Killed at any byte, batched or not, a run ends with the same journal."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from conftest import resealed
from hypercurve.cli import main
from hypercurve.config.experiment import Experiment
from hypercurve.config.setting import Setting
from hypercurve.events.encoding import RawLine, without_wall
from hypercurve.events.journal import Journal, JournalError, read_lines
from hypercurve.events.lines import RunHeader
from hypercurve.execution.batches import Row, batch_of, run_batch, trial_table
from hypercurve.execution.serial import execute
from hypercurve.runs.known import KnownTrainings
from hypercurve.runs.run import Run
from hypercurve.runs.trial import Trial
from hypercurve.training.synthetic import SyntheticTrainer
from hypercurve.training.trainer import Report, Session, Trainer


def setting(**changes: object) -> Setting:
    method = {key: changes.pop(key) for key in ("search", "stop", "slots", "order") if key in changes}
    experiment = Experiment.model_validate(
        {
            "data": {"name": "digits"},
            "model": "synthetic",
            "space": {
                "learning_rate": {"uniform": [0.0, 1.0]},
                "momentum": {"uniform": [0.0, 1.0]},
                "batch_size": {"choice": [32, 64, 128], "ordered": True},
            },
            "budget": {"trials": 30},
            "training": {"accumulation_points": 5},
            "methods": {"method": {"search": "random", **method}},
            **changes,
        }
    )
    return experiment.setting("runs", "method")


HEADER = RunHeader("runs", "method", 0, "other", "none", 1000)
LCM = {"lcm": {"check_points": [0.2, 0.4]}}


def run(given: Setting, path: Path, trainer: Trainer | None = None, known: KnownTrainings | None = None) -> Run:
    state = Run(given, 0, samples=1000, data="none")
    with Journal(path) as journal:
        execute(state, trainer or SyntheticTrainer(), journal, known=known)
    return state


def batch(given: Setting, table: list[Row], path: Path, number: int = 0, trainer: Trainer | None = None) -> None:
    state = Run(given, 0, samples=1000, data="none")
    with Journal(path) as journal:
        run_batch(state, table, trainer or SyntheticTrainer(), journal, number, known_in(given, path.parent.parent))


def known_in(given: Setting, folder: Path) -> KnownTrainings:
    return KnownTrainings(folder / "journal.jsonl", Run(given, 0, samples=1000, data="none").header)


class Untrainable(Trainer):
    """Whatever is trained fails the test."""

    def open(self, trial: Trial) -> Session:
        raise AssertionError(f"trial {trial.number} is trained")

    def test(self, *arguments: object) -> dict[str, float]:
        raise AssertionError("a network is tested")


def events(path: Path) -> list[RawLine]:
    return [without_wall(line) for line in read_lines(path)[0]]


@pytest.mark.slow
@pytest.mark.parametrize(("stop", "slots"), [(None, 1), (LCM, 4)], ids=str)
def test_a_run_killed_at_any_byte_ends_with_the_same_journal(tmp_path: Path, stop: object, slots: int) -> None:
    given = setting(stop=stop, slots=slots, budget={"trials": 12})
    whole = tmp_path / "whole.jsonl"
    run(given, whole)
    content = whole.read_bytes()
    cuts = sorted({*range(0, 400, 7), *range(0, len(content), 97), *range(len(content) - 100, len(content) + 1)})
    for cut in cuts:
        torn = tmp_path / "torn.jsonl"
        torn.write_bytes(content[:cut])
        run(given, torn)
        assert events(torn) == events(whole), f"cut at byte {cut}"


@pytest.mark.parametrize("budget", [{"samples": 3e4}, {"seconds": 0.4}], ids=str)
def test_open_budgets_end_runs_and_resumed_ones_as_well(tmp_path: Path, budget: dict[str, float]) -> None:
    given = setting(stop={"lcm": {"check_points": [0.2], "configurations": 20}}, slots=3, budget=budget)
    state = run(given, tmp_path / "journal.jsonl", Slow(0.01))
    assert state.ended == given.budget.kind
    spent = state.samples if given.budget.kind == "samples" else state.seconds
    assert 0.8 * given.budget.limit < spent <= given.budget.limit
    assert not any(trial.status == "running" for trial in state.trials.values())
    lines = events(tmp_path / "journal.jsonl")
    if given.budget.kind == "samples":  # equality from the seed alone
        content = (tmp_path / "journal.jsonl").read_bytes()
        for cut in range(0, len(content), 501):
            (tmp_path / "torn.jsonl").write_bytes(content[:cut])
            run(given, tmp_path / "torn.jsonl")
            assert events(tmp_path / "torn.jsonl") == lines


class Slow(Trainer):
    """The synthetic trainer, saying that every report took so many seconds."""

    def __init__(self, seconds: float):
        self.seconds, self.inner = seconds, SyntheticTrainer()

    def open(self, trial: Trial) -> Session:
        session, seconds = self.inner.open(trial), self.seconds
        advance = session.advance

        def slowly(progress: float) -> Report:
            report = advance(progress)
            return Report(report.progress, report.metrics, seconds=seconds)

        session.advance = slowly  # type: ignore[method-assign]
        return session

    def test(self, *arguments: object) -> dict[str, float]:
        return self.inner.test(*arguments)  # type: ignore[arg-type]


def test_folding_a_journal_gives_the_state_that_wrote_it(tmp_path: Path) -> None:
    given = setting(stop=LCM, slots=3)
    state = run(given, tmp_path / "journal.jsonl")
    again = Run(given, 0, samples=1000, data="none")
    again.fold(read_lines(tmp_path / "journal.jsonl")[0], "journal")
    assert again.trials == state.trials
    assert (again.best, again.ended, again.tested, again.time) == (state.best, state.ended, state.tested, state.time)


def test_events_come_in_virtual_time_order_with_ties_by_trial(tmp_path: Path) -> None:
    run(setting(slots=5), tmp_path / "journal.jsonl")
    order = [
        (line["time"], line["trial"])
        for line in events(tmp_path / "journal.jsonl")
        if "trial" in line and "time" in line
    ]
    reports = [
        key
        for key, line in zip(order, events(tmp_path / "journal.jsonl")[1:], strict=False)
        if line["event"] != "started"
    ]
    assert [time for time, _ in order] == sorted(time for time, _ in order)
    assert len(reports) > 50


@pytest.mark.parametrize("count", [1, 3, 7])
@pytest.mark.parametrize("slots", [1, 4])
def test_batches_give_the_journal_of_a_single_process(tmp_path: Path, count: int, slots: int) -> None:
    given = setting(slots=slots)
    run(given, tmp_path / "single.jsonl")
    table = trial_table(given, 0)
    for index in range(count):
        batch(given, batch_of(table, index, count), tmp_path / "run" / "batches" / f"{index}.jsonl", index)
    run(given, tmp_path / "gathered.jsonl", Untrainable(), known_in(given, tmp_path / "run"))
    assert events(tmp_path / "gathered.jsonl") == events(tmp_path / "single.jsonl")
    walls = [
        line["wall"]["worker"] for line in read_lines(tmp_path / "gathered.jsonl")[0] if line["event"] == "completed"
    ]
    assert set(walls) == set(range(count)), "wall-clock readings are the batches' own"


@pytest.mark.slow
def test_a_batch_killed_at_any_byte_ends_with_the_same_reports(tmp_path: Path) -> None:
    given = setting(budget={"trials": 8})
    table = trial_table(given, 0)

    def reports(path: Path) -> dict[int, RawLine]:
        batch(given, table, path)
        lines = read_lines(path)[0]
        assert sum(line["event"] in ("completed", "failed") for line in lines) == 8
        return {
            (line["trial"], line.get("progress", 1.0)): without_wall(line)
            for line in lines[1:]
            if line["event"] not in ("started", "tested")
        }  # type: ignore[misc]

    whole = reports(tmp_path / "whole" / "batches" / "0.jsonl")
    content = (tmp_path / "whole" / "batches" / "0.jsonl").read_bytes()
    for cut in range(0, len(content), 61):
        torn = tmp_path / str(cut) / "batches" / "0.jsonl"
        torn.parent.mkdir(parents=True)
        torn.write_bytes(content[:cut])
        assert reports(torn) == whole


class Faulty(Trainer):
    """Fails in the ways that users' models do."""

    def __init__(self) -> None:
        self.inner = SyntheticTrainer(failures=False)

    def open(self, trial: Trial) -> Session:
        if trial.number == 1:
            raise ValueError("no such layer\nand a second line")
        session = self.inner.open(trial)
        advance = session.advance
        spoilt = {2: float("nan"), 3: float("inf")}

        def fail(progress: float) -> Report:
            if trial.number in spoilt and progress == 0.6:
                return Report(progress, {"loss": spoilt[trial.number]})
            if trial.number == 4 and progress == 1.0:
                return Report(progress, {"loss": 0.1})
            if trial.number == 5 and progress == 0.4:
                raise MemoryError
            return advance(progress)

        session.advance = fail  # type: ignore[method-assign]
        return session

    def test(self, *arguments: object) -> dict[str, float]:
        return self.inner.test(*arguments)  # type: ignore[arg-type]


def test_failing_trials_are_recorded_and_never_end_the_run(tmp_path: Path) -> None:
    state = run(setting(budget={"trials": 8}), tmp_path / "journal.jsonl", Faulty())
    failures = {line["trial"]: line for line in read_lines(tmp_path / "journal.jsonl")[0] if line["event"] == "failed"}
    assert {trial: (line["progress"], line["reason"]) for trial, line in failures.items()} == {
        1: (0.2, "ValueError: no such layer"),
        2: (0.6, "diverged: loss is nan"),
        3: (0.6, "diverged: loss is inf"),
        4: (1.0, "the trainer reported no val_accuracy, which is the objective; it reported loss"),
        5: (0.4, "MemoryError"),
    }
    assert "Traceback" in failures[1]["wall"]["traceback"]
    assert state.ended == "finished"
    assert state.best is not None
    assert state.best.number in (0, 6, 7)


def test_a_run_in_which_everything_fails_ends_without_a_choice(tmp_path: Path) -> None:
    class Broken(Faulty):
        def open(self, trial: Trial) -> Session:
            raise RuntimeError("broken")

    state = run(setting(budget={"trials": 3}), tmp_path / "journal.jsonl", Broken())
    assert state.complete
    assert state.best is None
    assert events(tmp_path / "journal.jsonl")[-1]["event"] == "ended"


def test_ties_go_to_the_lower_trial_number(tmp_path: Path) -> None:
    class Equal(Faulty):
        def open(self, trial: Trial) -> Session:
            session = self.inner.open(trial)
            session.advance = lambda p: Report(p, {"loss": 1.0} | ({"val_accuracy": 0.5} if p == 1 else {}))  # type: ignore[assignment,method-assign]
            return session

    state = run(setting(budget={"trials": 20}, slots=20), tmp_path / "journal.jsonl", Equal())
    assert state.best is not None
    assert state.best.number == 0


def test_a_resumed_run_that_trains_differently_says_so(tmp_path: Path) -> None:
    given = setting(budget={"trials": 3})
    path = tmp_path / "journal.jsonl"
    run(given, path)
    lines = path.read_text().splitlines()
    changed = json.loads(lines[2]) | {"metrics": {"loss": 0.5}}
    path.write_bytes(resealed([*lines[:2], changed, lines[3]]))
    with pytest.raises(JournalError, match=r"trial 0 at 0\.2 of its training: loss was 0\.5, and training again gave"):
        run(given, path)


def test_two_processes_cannot_write_one_journal(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.jsonl") as journal:
        journal.append(HEADER)
        with pytest.raises(JournalError, match="another process is writing"):
            Journal(tmp_path / "journal.jsonl")
    with Journal(tmp_path / "journal.jsonl") as again:
        assert len(again.lines) == 1


def test_a_process_waits_for_another_that_is_ending(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    for renamed in (False, True):
        first = Journal(path)
        first.append(HEADER)

        def end(journal: Journal = first, renamed: bool = renamed) -> None:
            if renamed:
                path.rename(tmp_path / "whole.jsonl")
            journal.close()

        threading.Timer(0.3, end).start()
        with Journal(path, patience=30) as second:
            assert len(second.lines) == (0 if renamed else 1), "it never writes to a file that has another name by now"


def test_what_another_process_completes_meanwhile_is_taken(tmp_path: Path, prepared: Path) -> None:
    given, output, partial = setting(), tmp_path / "journal.jsonl", tmp_path / "journal.partial.jsonl"
    (tmp_path / "setting.json").write_text(given.model_dump_json())
    search = ["search", str(tmp_path / "setting.json"), "--data", str(prepared), "--output", str(output)]
    assert main(search) == 0
    whole = output.read_bytes()
    output.rename(partial)
    other = Journal(partial)

    def complete() -> None:
        partial.rename(output)
        other.close()

    threading.Timer(0.5, complete).start()
    assert main(search) == 0
    assert output.read_bytes() == whole, "line for line, wall-clock readings included"


def search_in(folder: Path, prepared: Path, given: Setting) -> list[str]:
    (folder / "setting.json").write_text(given.model_dump_json())
    output = folder / "journal.jsonl"
    return ["search", str(folder / "setting.json"), "--data", str(prepared), "--output", str(output)]


def test_a_journal_that_is_being_written_is_neither_emptied_nor_deleted_by_another_setting(
    tmp_path: Path, prepared: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("hypercurve.runs.resuming.PATIENCE", 0.0)
    partial = tmp_path / "journal.partial.jsonl"
    with Journal(partial) as other:
        other.append(HEADER)
        before = partial.read_bytes()
        assert main(search_in(tmp_path, prepared, setting())) == 2
        assert "another process is writing this journal" in capsys.readouterr().err
        assert partial.read_bytes() == before
        other.check_place()
    assert main(search_in(tmp_path, prepared, setting())) == 0
    assert "begun with other setting, data; kept as" in capsys.readouterr().err
    assert (tmp_path / "history" / "journal.1.jsonl").read_bytes() == before
    there = ["history", "journal.failures.txt", "journal.jsonl", "journal.states", "setting.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == there


def test_a_journal_that_was_replaced_meanwhile_is_not_given_out_as_complete(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path) as journal:
        path.unlink()
        path.write_text("")
        with pytest.raises(JournalError, match="was deleted or replaced"):
            journal.check_place()


def test_a_complete_journal_is_taken_as_it_is_whatever_version_of_this_code_made_it(
    tmp_path: Path, prepared: Path
) -> None:
    search, output = search_in(tmp_path, prepared, setting()), tmp_path / "journal.jsonl"
    assert main(search) == 0
    source = json.loads(output.read_bytes().splitlines()[0])["wall"]["origin"]["source"]
    other = resealed(output.read_bytes().replace(source.encode(), b"0123456789abcdef", 1).splitlines())
    output.unlink()
    (tmp_path / "journal.partial.jsonl").write_bytes(other)
    assert main(search) == 0
    assert output.read_bytes() == other


def test_a_test_metric_that_is_not_finite_is_left_out_and_the_run_ends(tmp_path: Path) -> None:
    class Undefined(Faulty):
        def test(self, *arguments: object) -> dict[str, float]:
            return {"test_loss": float("inf"), "test_accuracy": 0.5}

    state = run(setting(budget={"trials": 2}), tmp_path / "journal.jsonl", Undefined())
    assert state.complete
    assert events(tmp_path / "journal.jsonl")[-1]["metrics"] == {"test_accuracy": 0.5}
    run(setting(budget={"trials": 2}), tmp_path / "journal.jsonl", Undefined())


DAMAGE = [
    (lambda lines: [*lines[:5], *lines[6:]], ":6: "),
    (lambda lines: [*lines[:5], lines[6], lines[5], *lines[7:]], ":6: "),
    (lambda lines: lines[1:], ":1: "),
    (lambda lines: [lines[0].replace('"repeat":0', '"repeat":1'), *lines[1:]], ":1: says repeat = 1"),
    (lambda lines: [lines[0], lines[1], lines[2].replace('"continue"', '"stop"'), *lines[3:]], ":3: says then"),
    (lambda lines: [*lines[:4], lines[4][:-9], *lines[5:]], ":5: damaged line"),
    (lambda lines: [*lines[:4], "[]", *lines[5:]], ":5: damaged line: not a JSON object"),
    (
        lambda lines: [*lines[:2], lines[2].replace('"metrics":{"loss":', '"metrics":{"loss":NaN,"x":'), *lines[3:]],
        ":3: damaged",
    ),
    (lambda lines: [*lines, lines[-1]], "the run is complete"),
]


@pytest.mark.parametrize(("damage", "words"), DAMAGE)
def test_any_other_damage_is_an_error_that_names_the_line(tmp_path: Path, damage: object, words: str) -> None:
    given = setting(budget={"trials": 5})
    run(given, tmp_path / "journal.jsonl")
    # Without checksums, as older versions wrote them.
    lines = [json.dumps(line, separators=(",", ":")) for line in read_lines(tmp_path / "journal.jsonl")[0]]
    (tmp_path / "journal.jsonl").write_text("\n".join(damage(lines)) + "\n")  # type: ignore[operator]
    with pytest.raises(JournalError) as error:
        run(given, tmp_path / "journal.jsonl")
    assert words in str(error.value)


def test_every_flipped_byte_outside_wall_is_noticed_or_leads_to_the_same_run(tmp_path: Path) -> None:
    given = setting(budget={"trials": 3}, stop=LCM)
    path = tmp_path / "journal.jsonl"
    run(given, path)
    content, whole = path.read_bytes(), events(path)
    rng = np.random.default_rng(0)
    noticed = 0
    for position in rng.integers(0, len(content), 150):
        flipped = bytearray(content)
        flipped[position] ^= 1 << int(rng.integers(0, 7))
        path.write_bytes(flipped)
        try:
            run(given, path)
        except JournalError:
            noticed += 1
            continue
        changed = [line for line, old in zip(events(path), whole, strict=False) if line != old]
        # Metrics and reasons are the trainer's word: only a digest could tell that they were altered, not the run's logic.
        assert all(line["event"] in ("reported", "completed", "failed", "tested") for line in changed)
    assert noticed > 50


# --- the real trainer, in real processes -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from hypercurve.config.data import DataSpec
    from hypercurve.training.data import prepare

    folder = tmp_path_factory.mktemp("data") / "digits"
    prepare(DataSpec(name="digits"), folder)
    return folder


REAL = {
    "model": "dense",
    "space": {
        "learning_rate": {"log_uniform": [0.001, 1.0]},
        "batch_size": {"choice": [32, 64]},
        "units": 16,
        "epochs": 60,
    },
    "budget": {"trials": 14},
    "stop": {"lcm": {"check_points": [0.2], "split": 0.2}},
}


def command(folder: Path, data: Path, output: Path) -> list[str]:
    (folder / "setting.json").write_text(setting(**REAL).model_dump_json())
    return [
        sys.executable,
        "-m",
        "hypercurve",
        "search",
        str(folder / "setting.json"),
        "--data",
        str(data),
        "-o",
        str(output),
    ]


@pytest.mark.slow
def test_a_real_search_killed_again_and_again_ends_with_the_same_journal(tmp_path: Path, prepared: Path) -> None:
    whole = tmp_path / "once" / "whole.jsonl"
    whole.parent.mkdir()
    subprocess.run(command(tmp_path, prepared, whole), check=True, capture_output=True)
    output, partial = tmp_path / "killed.jsonl", tmp_path / "killed.partial.jsonl"
    for kills in (1, 3):
        process = subprocess.Popen(command(tmp_path, prepared, output), stderr=subprocess.PIPE)
        for _ in follow(partial, lines=15 * kills):
            if process.poll() is not None:
                break
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "the test means to kill it in the middle"
        assert not output.exists(), "a killed run leaves nothing that looks finished"
    ended = subprocess.run(command(tmp_path, prepared, output), check=True, capture_output=True, text=True)
    assert "going on after line" in ended.stderr
    assert events(output) == events(whole)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "best.keras",
        "history",
        "killed.jsonl",
        "killed.states",
        "once",
        "setting.json",
    ]
    assert {path.name for path in whole.parent.iterdir()} == {"best.keras", "history", "whole.jsonl", "whole.states"}
    assert [path.name for path in (tmp_path / "history").iterdir()] == ["killed.1.jsonl"]
    assert [path.name for path in (whole.parent / "history").iterdir()] == ["whole.1.jsonl"]


@pytest.mark.slow
def test_sigterm_ends_a_search_of_one_process_with_75(tmp_path: Path, prepared: Path) -> None:
    output, partial = tmp_path / "ended.jsonl", tmp_path / "ended.partial.jsonl"
    process = subprocess.Popen(command(tmp_path, prepared, output), stderr=subprocess.PIPE, text=True)
    for _ in follow(partial, lines=10):
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 75
    assert "ended by SIGTERM; run the same command again to go on" in said
    assert "Traceback" not in said
    assert partial.exists()
    assert not output.exists()


def follow(path: Path, lines: int) -> Iterator[None]:
    while not path.exists() or path.read_bytes().count(b"\n") < lines:
        time.sleep(0.005)
        yield


@pytest.mark.slow
@pytest.mark.parametrize("stop", [REAL["stop"], "halving"], ids=str)
def test_a_real_journal_cut_at_some_bytes_ends_equal_and_batches_as_well(
    tmp_path: Path, prepared: Path, stop: object
) -> None:
    from hypercurve.training import make_trainer

    given = setting(**{**REAL, "stop": stop, "slots": 3})
    trainer = make_trainer(given, prepared)
    run(given, tmp_path / "whole.jsonl", trainer)
    content = (tmp_path / "whole.jsonl").read_bytes()
    for cut in (3, len(content) // 3, len(content) // 2, len(content) - 150):
        (tmp_path / "torn.jsonl").write_bytes(content[:cut])
        run(given, tmp_path / "torn.jsonl", trainer)
        assert events(tmp_path / "torn.jsonl") == events(tmp_path / "whole.jsonl")

    free = setting(**{**REAL, "stop": None, "budget": {"trials": 6}})
    run(free, tmp_path / "single.jsonl", trainer)
    for index in range(2):
        table = batch_of(trial_table(free, 0), index, 2)
        batch(free, table, tmp_path / "run" / "batches" / f"{index}.jsonl", index, trainer)
    run(free, tmp_path / "gathered.jsonl", Untrainable(), known_in(free, tmp_path / "run"))
    assert events(tmp_path / "gathered.jsonl") == events(tmp_path / "single.jsonl")


@pytest.mark.slow
def test_other_settings_begin_anew_and_damage_ends_with_a_message(tmp_path: Path, prepared: Path) -> None:
    synthetic = setting(budget={"trials": 5})
    (tmp_path / "setting.json").write_text(synthetic.model_dump_json())
    arguments = [
        sys.executable,
        "-m",
        "hypercurve",
        "search",
        "setting.json",
        "--data",
        str(prepared),
        "-o",
        "journal.jsonl",
    ]

    def search() -> subprocess.CompletedProcess[str]:
        return subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, env={**os.environ})

    assert search().returncode == 0
    whole = (tmp_path / "journal.jsonl").read_text()
    partial = tmp_path / "journal.partial.jsonl"

    def leave(text: str) -> None:
        partial.write_text(text)

    leave("\n".join(whole.splitlines()[:7]) + "\n")
    assert "going on after line 7" in search().stderr

    changed = json.loads(whole.splitlines()[0]) | {"setting": "0000000000000000"}
    leave(resealed([changed]).decode())
    assert "begun with other setting; kept as" in search().stderr

    lines = whole.splitlines()
    leave("\n".join([*lines[:3], lines[3][:-5], *lines[4:8]]) + "\n")
    ended = search()
    assert ended.returncode == 2
    assert "journal.partial.jsonl:4: damaged line" in ended.stderr
    assert "Traceback" not in ended.stderr
