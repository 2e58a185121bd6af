"""Watching runs: what is shown follows from journals that grow, are renamed, begun anew or cut, whatever reads them when."""

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from conftest import resealed
from hypercurve.cli import main
from hypercurve.results.runs import read_run
from hypercurve.watching import view
from hypercurve.watching.state import WatchedExperiment, WatchedRun, experiments_in
from hypercurve.watching.tail import Tail
from results_data import call, make_results

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_results(tmp_path_factory.mktemp("made"))


@pytest.fixture
def growing(results: Path, tmp_path: Path) -> Path:
    """Results of which no run has begun."""
    shutil.copytree(results, tmp_path / "results" / "small")
    for journal in (tmp_path / "results").rglob("journal.jsonl"):
        journal.unlink()
    return tmp_path / "results" / "small"


def run_of(experiment: WatchedExperiment, method: str, repeat: int = 0) -> WatchedRun:
    return next(run for run in experiment.runs if (run.setting.method, run.repeat) == (method, repeat))


def shown(experiment: WatchedExperiment, rows: int | None = None) -> str:
    console = Console(file=io.StringIO(), width=120)
    console.print(view.picture([experiment], 0.0, rows))
    return console.file.getvalue()  # type: ignore[attr-defined]


# Reading


def test_only_what_was_added_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'{"a":1}\n{"a":')
    tail = Tail()
    assert tail.poll(path) == (False, [{"a": 1}])
    opened: list[Path] = []
    original = Path.open
    monkeypatch.setattr(Path, "open", lambda self, *a, **k: opened.append(self) or original(self, *a, **k))
    with original(path, "ab") as file:
        file.write(b'2}\n{"a":3}\n')
    assert tail.poll(path) == (False, [{"a": 2}, {"a": 3}])
    assert len(opened) == 1
    assert tail.poll(path) == (False, [])
    assert len(opened) == 1, "a file that has not grown is not opened"


def test_a_renamed_file_is_the_same_and_a_new_or_shorter_one_is_another(tmp_path: Path) -> None:
    partial, journal = tmp_path / "journal.partial.jsonl", tmp_path / "journal.jsonl"
    tail = Tail()
    assert tail.poll(journal, partial) == (False, [])
    partial.write_bytes(b'{"a":1}\n')
    assert tail.poll(journal, partial) == (False, [{"a": 1}])
    partial.rename(journal)
    with journal.open("ab") as file:
        file.write(b'{"a":2}\n')
    assert tail.poll(journal, partial) == (False, [{"a": 2}])
    os.truncate(journal, 8)
    assert tail.poll(journal, partial) == (True, [{"a": 1}])
    other = tmp_path / "other"
    other.write_bytes(b'{"a":3}\n{"a":4}\n')
    other.replace(journal)
    assert tail.poll(journal, partial) == (True, [{"a": 3}, {"a": 4}])


def test_damaged_lines_are_counted_and_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'{"a":1}\nnonsense\n[]\n' + b"[" * 100_000 + b'\n\xff\n{"a":2}\n')
    tail = Tail()
    assert tail.poll(path) == (False, [{"a": 1}, {"a": 2}])
    assert tail.damaged == 4


# Folding


@pytest.mark.parametrize("method", ["random", "lcm", "pbt"])
@pytest.mark.parametrize("piece", [5000, 97])
def test_a_run_read_in_pieces_stands_where_its_record_stands(
    results: Path, growing: Path, method: str, piece: int
) -> None:
    source = results / "runs" / method / "1" / "journal.jsonl"
    record = read_run(source)
    experiment = WatchedExperiment(growing)
    experiment.poll()
    run = run_of(experiment, method, 1)
    assert run.phase == "waiting"
    partial = growing / "runs" / method / "1" / "journal.partial.jsonl"
    raw, shares = source.read_bytes(), [0.0]
    for start in range(0, len(raw), piece):
        with partial.open("ab") as file:
            file.write(raw[start : start + piece])
        experiment.poll()
        shares.append(run.share or 0.0)
        assert run.in_use <= run.slots
    partial.rename(partial.with_name("journal.jsonl"))
    experiment.poll()
    assert run.phase == "finished"
    assert shares == sorted(shares), "nothing goes backward"
    for status in ("completed", "stopped", "failed"):
        assert run.counts[status] == record.count(status)
    assert run.best == record.performance("val_accuracy")
    assert run.seconds == pytest.approx(record.seconds)
    assert run.duration == pytest.approx(record.wall, abs=0.5)
    assert (run.in_use, run.left) == (0, None)


def half(source: Path, target: Path) -> None:
    lines = source.read_bytes().splitlines(keepends=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(b"".join(lines[: len(lines) // 2]))


def test_slots_in_use_are_the_trials_that_are_going(results: Path, growing: Path) -> None:
    half(results / "runs/lcm/0/journal.jsonl", growing / "runs/lcm/0/journal.partial.jsonl")
    half(results / "runs/pbt/0/journal.jsonl", growing / "runs/pbt/0/journal.partial.jsonl")
    experiment = WatchedExperiment(growing)
    experiment.poll()
    assert (run_of(experiment, "lcm").in_use, run_of(experiment, "lcm").slots) == (2, 2)
    assert (run_of(experiment, "pbt").slots) == 6
    assert 0 < (run_of(experiment, "lcm").share or 0) < 1
    assert run_of(experiment, "lcm").left is not None


def test_a_run_that_begins_anew_is_forgotten(results: Path, growing: Path) -> None:
    partial = growing / "runs/lcm/0/journal.partial.jsonl"
    half(results / "runs/lcm/0/journal.jsonl", partial)
    experiment = WatchedExperiment(growing)
    experiment.poll()
    run = run_of(experiment, "lcm")
    before = run.over
    first = partial.read_bytes().splitlines(keepends=True)[0]
    partial.unlink()
    (growing / "x").write_bytes(first)
    (growing / "x").rename(partial)
    experiment.poll()
    assert before > 0
    assert (run.over, run.best, run.phase) == (0, None, "running")


def test_another_experiment_in_the_same_place_is_read_anew(growing: Path) -> None:
    experiment = WatchedExperiment(growing)
    experiment.poll()
    path = growing / "experiment.json"
    path.write_text(path.read_text().replace('"repeats": 2', '"repeats": 5'))
    experiment.poll()
    assert len(experiment.runs) == 15


def test_batches_count_until_the_journal_gathers_them(results: Path, growing: Path, tmp_path: Path) -> None:
    path = growing / "experiment.json"
    text = json.loads(path.read_text())
    text["methods"]["random"]["trials_per_job"] = 4
    path.write_text(json.dumps(text))
    setting, run = growing / "runs/random/setting.json", growing / "runs/random/0"
    data = next((results.parent / "data").iterdir())
    call("table", setting, "-o", run / "trials.jsonl")
    experiment = WatchedExperiment(growing)
    experiment.poll()
    watched = run_of(experiment, "random")
    assert watched.phase == "waiting"
    for batch in range(3):
        place = run / "batches" / f"{batch}.jsonl"
        call(
            *("batch", setting, "--table", run / "trials.jsonl", "--batch", batch, "--of", 3),
            *("--data", data, "-o", place),
        )
        experiment.poll()
        assert watched.phase == "running"
        assert watched.over == 4 * (batch + 1)
    best = watched.best
    call("search", setting, "--data", data, "-o", run / "journal.jsonl")
    experiment.poll()
    assert (watched.phase, watched.over, watched.best) == ("finished", 12, best)


# Showing


def test_the_picture_says_how_methods_and_running_runs_stand(results: Path, growing: Path) -> None:
    shutil.copy(results / "runs/random/0/journal.jsonl", growing / "runs/random/0/journal.jsonl")
    half(results / "runs/lcm/1/journal.jsonl", growing / "runs/lcm/1/journal.partial.jsonl")
    experiment = WatchedExperiment(growing)
    experiment.poll()
    text = shown(experiment)
    assert "small: 1 of 6 runs finished, 1 running" in text
    assert [line.split()[0] for line in text.splitlines()[1:]] == ["method", "random", "lcm", "pbt", "running", "lcm/1"]
    random = read_run(results / "runs/random/0/journal.jsonl")
    assert f"{random.performance('val_accuracy'):.4f}" in text
    assert "2/2" in text


def test_hundreds_of_runs_fit_a_terminal(results: Path, growing: Path) -> None:
    path = growing / "experiment.json"
    path.write_text(path.read_text().replace('"repeats": 2', '"repeats": 200'))
    for repeat in range(200):
        for method in ("random", "lcm"):
            target = growing / "runs" / method / str(repeat) / "journal.partial.jsonl"
            half(results / "runs" / method / "0" / "journal.jsonl", target)
    experiment = WatchedExperiment(growing)
    experiment.poll()
    text = shown(experiment, rows=10)
    assert "0 of 600 runs finished, 400 running" in text
    assert len(text.splitlines()) < 20
    assert "and 390 more" in text


def test_a_journal_that_is_no_journal_does_not_end_the_watch(growing: Path) -> None:
    partial = growing / "runs/lcm/0/journal.partial.jsonl"
    partial.write_text('{"event":"completed","trial":7,"metrics":{}}\n{"event":"run","samples":"x","then":3}\nx\n')
    experiment = WatchedExperiment(growing)
    experiment.poll()
    assert "3 lines of journals could not be read" in shown(experiment)


@pytest.mark.parametrize(
    "line",
    [
        '{"event":"reported","trial":0,"progress":null,"metrics":{},"wall":{}}',
        '{"event":"reported","trial":0,"progress":0.5,"metrics":{},"wall":{"seconds":"1"}}',
        '{"event":"started","trial":0,"wall":{"at":true}}',
        '{"event":"run","samples":-3,"wall":{"at":"now"}}',
    ],
)
def test_a_line_with_other_things_for_numbers_is_passed_over(results: Path, growing: Path, line: str) -> None:
    whole = (results / "runs/lcm/0/journal.jsonl").read_text().splitlines(keepends=True)
    partial = growing / "runs/lcm/0/journal.partial.jsonl"
    partial.write_bytes(resealed([*whole[:4], line, *whole[4:6]]))
    experiment = WatchedExperiment(growing)
    experiment.poll()
    assert "1 line of journals could not be read" in shown(experiment).replace("lines", "line")
    assert "nan" not in shown(experiment)


def test_once_prints_the_picture_of_all_experiments(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("small", "other"):
        shutil.copytree(results, tmp_path / "results" / name)
    (tmp_path / "results" / "data").mkdir()
    assert [found.name for found in experiments_in(tmp_path / "results")] == ["other", "small"]
    assert main(["watch", str(tmp_path / "results"), "--once"]) == 0
    said = capsys.readouterr().out
    assert "other: 6 of 6 runs finished" in said
    assert "small: 6 of 6 runs finished" in said


@pytest.mark.parametrize("place", ["nowhere", "."])
def test_where_there_is_nothing_to_watch_is_said(
    tmp_path: Path, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["watch", str(tmp_path / place)]) == 2
    assert str(tmp_path) in capsys.readouterr().err


@pytest.fixture
def watcher(growing: Path) -> Iterator[subprocess.Popen[str]]:
    """`hypercurve watch` on growing results, without a terminal."""
    command = [sys.executable, "-u", "-m", "hypercurve", "watch", str(growing), "--every", "0.1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def test_the_watch_goes_on_until_all_runs_are_finished(
    results: Path, growing: Path, watcher: subprocess.Popen[str]
) -> None:
    """Line by line, as runs are carried out by another process."""
    assert watcher.stdout is not None
    assert watcher.stdout.readline().startswith("small: 0 of 6 runs finished, 0 running")
    data = next((results.parent / "data").iterdir())
    call("search", growing / "runs/lcm/setting.json", "--data", data, "-o", growing / "runs/lcm/0/journal.jsonl")
    while not watcher.stdout.readline().startswith("small: 1 of 6 runs finished, 0 running"):
        pass
    for source in results.rglob("journal.jsonl"):
        shutil.copy(source, growing / source.relative_to(results))
    rest = watcher.stdout.read().splitlines()
    assert rest[-1].startswith("small: 6 of 6 runs finished, 0 running")
    assert watcher.wait(timeout=30) == 0


def test_in_a_terminal_the_picture_is_live(results: Path) -> None:
    import pty

    parent, child = pty.openpty()
    command = [sys.executable, "-m", "hypercurve", "watch", str(results)]
    with subprocess.Popen(
        command, stdout=child, env=os.environ | {"TERM": "xterm", "COLUMNS": "120", "LINES": "40"}
    ) as run:
        os.close(child)
        said = b""
        while True:
            try:
                piece = os.read(parent, 4096)
            except OSError:  # the other side is closed
                break
            if not piece:
                break
            said += piece
    os.close(parent)
    assert run.returncode == 0
    assert b"6 of 6 runs finished" in said
    assert b"\x1b[" in said
