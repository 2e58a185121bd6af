"""Failures in the open: runs whose first trials fail alike end with the user's error, and begin anew once it is mended."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from conftest import MPIEXEC, QUIET, needs_mpi
from hypercurve.cli import main
from hypercurve.config.experiment import Experiment
from hypercurve.events.encoding import RawLine, without_wall
from hypercurve.events.events import Completed, Event, Failed, Reported, Started
from hypercurve.events.journal import read_lines
from hypercurve.runs.failures import Failures, Hopeless

Told = list[Event]


def failures_of(trials: int = 10, slots: int = 1, population: bool = False) -> Failures:
    method = {"population": {"every": 1}} if population else {"search": "random", "slots": slots}
    given = {
        "model": {"loop": "a:B"},
        "space": {"x": {"uniform": [0.0, 1.0]}, "epochs": 3},
        "budget": {"trials": trials},
    }
    return Failures(Experiment.model_validate({**given, "methods": {"m": method}}).setting("e", "m"), ends=True)


def fails(trial: int, reason: str = "KeyError: 'alpha'") -> Told:
    return [Started(trial), Failed(trial, 0.5, reason)]


def ends(failures: Failures, events: Sequence[Event]) -> int | None:
    """After how many events the run ends; None if it does not."""
    for number, event in enumerate(events, start=1):
        failures.take(event, {"x": 0.5, "epochs": 3})
        try:
            failures.check()
        except Hopeless:
            return number
    return None


NONE = "the trainer reported no val_accuracy, which is the objective; it reported loss"


@pytest.mark.parametrize(
    ("options", "events", "end"),
    [
        ({}, fails(0) + fails(1) + fails(2), 6),
        ({}, fails(0, "a 1.5e-3 at 0x7f00") + fails(1, "a 7 at 0x7e11") + fails(2, "a -0.1 at 0xab"), 6),
        ({}, fails(0) + fails(1) + fails(2, "ValueError") + fails(3), None),
        ({}, fails(0) + fails(1) + [Started(2), Completed(2, {"val_accuracy": 1.0})] + fails(3), None),
        ({}, [Started(0), Started(1), Failed(1, 1, "x"), Started(2), Failed(2, 1, "x"), Failed(0, 1, "x")], 6),
        ({}, [Started(0), Reported(0, 0.1, {"loss": 1.0}), *fails(1), *fails(2), *fails(3)], None),
        ({}, [one for trial in range(9) for one in fails(trial, "diverged: loss is nan")], None),
        ({}, [one for trial in range(9) for one in fails(trial, "size is 9, above its bound 3")], None),
        ({"slots": 5}, [one for trial in range(5) for one in fails(trial)], 10),
        ({"trials": 2}, fails(0) + fails(1), 4),
        ({"trials": 1}, fails(0), 2),
        ({}, fails(0, NONE), 2),
        ({}, [Started(0), Reported(0, 0.1, {"val_accuracy": 1.0}), Failed(0, 1, NONE)], None),
        ({}, fails(0, "the trainer reported no size, on which there is a bound; it reported loss"), 2),
        ({"population": True, "trials": 4}, [one for trial in range(4) for one in fails(trial)], 8),
        ({"population": True, "trials": 4}, [one for trial in range(3) for one in fails(trial)], None),
        (
            {"population": True, "trials": 2},
            [
                Started(0),
                Started(1),
                Reported(0, 0.1, {}),
                Failed(1, 0.1, "a"),
                Failed(0, 0.2, "a"),
                Failed(1, 0.2, "a"),
            ],
            None,
        ),
    ],
)
def test_when_a_run_ends(options: dict[str, int], events: Told, end: int | None) -> None:
    assert ends(failures_of(**options), events) == end


def test_a_run_with_fewer_trials_than_it_could_have_had_is_judged_at_its_end() -> None:
    failures = failures_of(10)
    assert ends(failures, fails(0) + fails(1)) is None
    with pytest.raises(Hopeless, match="the first 2 trials failed alike"):
        failures.check(over=True)


@pytest.mark.parametrize(
    ("there", "said"),
    [
        ("loss, val_acc", "did you mean `objective: {metric: acc}`?"),
        ("loss, accuracy", "if accuracy is measured on the validation part, report it as val_accuracy"),
        ("loss, acc", "if acc is measured on the validation part, report it as val_accuracy"),
        ("loss", "`objective: {metric: NAME}` asks for val_NAME"),
    ],
)
def test_the_nearest_metric_is_told(there: str, said: str) -> None:
    failures = failures_of()
    failures.take(
        Failed(0, 1.0, f"the trainer reported no val_accuracy, which is the objective; it reported {there}"), {}
    )
    with pytest.raises(Hopeless) as caught:
        failures.check()
    assert there in str(caught.value)
    assert said in str(caught.value)


# --- real runs

LOOP = """\
model: {{loop: {module}:train}}
objective: {{metric: loss}}
space: {{x: {{uniform: [0.0, 1.0]}}, epochs: 3}}
budget: {{trials: 9}}
training: {{accumulation_points: 3}}
methods:
  random: {{search: random}}
  asha: {{search: random, slots: 4, stop: asha}}
  tpe: {{search: tpe}}
"""
NEEDS_A_FILE = """\
from pathlib import Path

def train(h, context):
    offset = float(Path("offset.txt").read_text())
    for epoch in range(context.epochs):
        loss = h["x"] / (epoch + 1) + offset
        yield {"loss": loss, "val_loss": loss}
"""
HALF = """\
def train(h, context):
    for _ in range(context.epochs):
        loss = h["x"] if h["x"] > 0.2 else 1 / 0
        yield {"loss": loss, "val_loss": loss}
"""
PROGRAM = """\
model: {command: [python, program.py, "--x={x}", "--epochs={epochs}"]}
objective: {metric: loss}
space: {x: {uniform: [0.0, 1.0]}, epochs: 3}
budget: {trials: 8}
methods: {random: {search: random}}
"""
BROKEN = """\
import sys
def main(arguments):
    return arguments["no such key"]
main({})
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


def setting_of(folder: Path, text: str, method: str = "random") -> Path:
    (folder / "exp.yaml").write_text(text)
    setting = folder / "results/exp/runs" / method / "setting.json"
    assert main(["resolve", "exp.yaml", "--method", method, "-o", str(setting)]) == 0
    return setting


def search(setting: Path, *options: str) -> int:
    return main(["search", str(setting), "-o", str(setting.parent / "0/journal.jsonl"), *options])


def statuses(journal: Path) -> list[str]:
    return [line["event"] for line in read_lines(journal)[0] if line["event"] in ("completed", "failed", "ended")]


@pytest.mark.parametrize(("method", "first"), [("random", 3), ("asha", 4), ("tpe", 3)])
def test_a_run_ends_with_the_users_error_and_begins_anew_when_what_was_missing_is_there(
    folder: Path, capsys: pytest.CaptureFixture[str], method: str, first: int
) -> None:
    (folder / f"needs_{method}.py").write_text(NEEDS_A_FILE)
    setting = setting_of(folder, LOOP.format(module=f"needs_{method}"), method)
    run = setting.parent / "0"
    assert search(setting) == 2
    said = capsys.readouterr().err
    assert (
        f"first {first} trials failed alike: FileNotFoundError: [Errno 2] No such file or directory: 'offset.txt'"
        in said
    )
    assert f"needs_{method}.py, line 4, in train: offset = float(" in said
    named = Path(re.search(r"whole of it: (\S+)", said)[1])  # type: ignore[index]
    assert named.read_text().startswith(f"{first} of ")
    assert "Traceback (most recent call last)" in named.read_text()
    assert not (run / "journal.jsonl").exists()
    assert not (run / "journal.partial.jsonl").exists()
    assert statuses(run / "history/journal.1.failed.jsonl") == ["failed"] * first
    assert search(setting) == 2
    (folder / "offset.txt").write_text("1.0")
    assert search(setting) == 0
    assert "failed" not in statuses(run / "journal.jsonl")
    assert not named.exists()
    assert "failed" not in capsys.readouterr().err.splitlines()[-1].replace("0 failed", "")


def test_what_the_last_line_of_a_log_says(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "half.py").write_text(HALF)
    setting = setting_of(folder, LOOP.format(module="half"))
    assert search(setting) == 0
    *_, last = capsys.readouterr().err.splitlines()
    found = re.fullmatch(r"(\d) of 9 trials failed: ZeroDivisionError: division by zero; see (\S+)", last)
    assert found is not None
    assert statuses(setting.parent / "0/journal.jsonl").count("failed") == int(found[1]) > 0
    assert "half.py" in Path(found[2]).read_text()


def test_failures_of_a_finished_run_are_tried_again_on_demand(folder: Path) -> None:
    (folder / "needs_again.py").write_text(NEEDS_A_FILE)
    setting = setting_of(folder, LOOP.format(module="needs_again"))
    journal = setting.parent / "0/journal.jsonl"
    assert search(setting, "--no-fail-fast") == 0
    assert statuses(journal) == ["failed"] * 9 + ["ended"]
    (folder / "offset.txt").write_text("1.0")
    assert search(setting) == 0
    assert statuses(journal).count("failed") == 9
    assert main(["restart", "--failed", str(journal.parent)]) == 0
    assert search(setting) == 0
    assert statuses(journal).count("completed") == 9


@pytest.mark.parametrize("batches", [2, 4])
def test_batches_judge_their_own_trials_and_the_run_what_they_could_not(
    folder: Path, capsys: pytest.CaptureFixture[str], batches: int
) -> None:
    (folder / "program.py").write_text(BROKEN)
    setting = setting_of(folder, PROGRAM)
    run = setting.parent / "0"
    assert main(["table", str(setting), "-o", str(run / "trials.jsonl")]) == 0
    said = ""
    for batch in range(batches):
        output = run / f"batches/{batch}.jsonl"
        arguments = [
            "--table",
            str(run / "trials.jsonl"),
            "--batch",
            str(batch),
            "--of",
            str(batches),
            "-o",
            str(output),
        ]
        code = main(["batch", str(setting), *arguments])
        said = capsys.readouterr().err
        assert code == (2 if batches == 2 else 0), said
        log = run / re.search(r"see (programs/\d+\.log)", said)[1]  # type: ignore[index]
        assert "no such key" in log.read_text()
        assert "no such key" in (run / f"batches/{batch}.failures.txt").read_text()
    if batches == 2:
        assert "first 3 trials failed alike" in said
        assert "program.py, line 3, in main: return arguments" in said
        return
    assert search(setting) == 2  # from four batches of two
    assert not list(run.glob("batches/*.jsonl"))  # so they are made again
    assert "first 3 trials failed alike" in capsys.readouterr().err
    text = 'import json\nfor _ in range(3):\n    print(json.dumps({"val_loss": 1.0, "loss": 1.0}))\n'
    (folder / "program.py").write_text(text)
    assert search(setting) == 0
    assert statuses(run / "journal.jsonl").count("completed") == 8


# --- processes

POPULATION = """\
class Member:
    def __init__(self, h, context):
        self.x, self.epochs, self.trial = h["x"], context.epochs, context.trial
        self.loss = 1.0
    def train(self):
        for _ in range(self.epochs):
            if {fails}:
                raise RuntimeError("CUDA error: no device")
            self.loss *= 0.9
            yield {{"loss": self.loss, "val_loss": self.loss}}
    def save(self):
        import numpy as np
        return {{"loss": np.array([self.loss])}}
    def load(self, state):
        self.loss = float(state["loss"][0])
    def adjust(self, h):
        self.x = h["x"]
"""
MEMBERS = """\
model: {{loop: {module}:Member}}
objective: {{metric: loss}}
space: {{x: {{uniform: [0.0, 1.0]}}, epochs: 4}}
budget: {{trials: 4}}
methods:
  pbt: {{population: {{every: 1, lag: {lag}}}}}
"""


def parallel(ranks: int, setting: Path, name: str, folder: Path) -> tuple[subprocess.CompletedProcess[str], Path]:
    run = setting.parent / name
    command = ["search", str(setting), "-o", str(run / "journal.jsonl"), "--tasks", str(ranks)]
    started = [str(MPIEXEC), "--oversubscribe", "-n", str(ranks), sys.executable, "-m", "hypercurve", *command]
    environment = {**os.environ, **QUIET, "PYTHONPATH": f"{Path(__file__).parents[1] / 'workflow'}{os.pathsep}{folder}"}
    return subprocess.run(started, capture_output=True, text=True, env=environment, timeout=300), run


def decided(journal: Path) -> list[RawLine]:
    return [json.loads(json.dumps(without_wall(line))) for line in read_lines(journal)[0]]


@needs_mpi
@pytest.mark.slow
@pytest.mark.parametrize("method", ["random", "asha"])
def test_runs_over_mpi_end_at_the_same_event_with_one_message(folder: Path, method: str) -> None:
    (folder / "needs_mpi_file.py").write_text(NEEDS_A_FILE)
    setting = setting_of(folder, LOOP.format(module="needs_mpi_file"), method)
    assert search(setting) == 2
    serial = decided(setting.parent / "0/history/journal.1.failed.jsonl")
    for ranks in (2, 3):
        done, run = parallel(ranks, setting, f"ranks{ranks}", folder)
        assert done.returncode == 2, done.stderr
        assert done.stderr.count("failed alike: FileNotFoundError") == 1
        assert "needs_mpi_file.py, line 4" in done.stderr
        assert decided(run / "history/journal.1.failed.jsonl") == serial
        assert "needs_mpi_file.py" in (run / "journal.failures.txt").read_text()


@needs_mpi
@pytest.mark.slow
@pytest.mark.parametrize("lag", [0, 1])
def test_a_population_ends_where_all_members_fail_at_their_first_report(folder: Path, lag: int) -> None:
    (folder / "all_members.py").write_text(POPULATION.format(fails="True"))
    (folder / "one_member.py").write_text(POPULATION.format(fails="self.trial == 1"))
    setting = setting_of(folder, MEMBERS.format(module="all_members", lag=lag), "pbt")
    journals = []
    for ranks in (1, 2, 3):
        done, run = parallel(ranks, setting, f"ranks{ranks}", folder)
        assert done.returncode == 2, done.stderr
        assert done.stderr.count("the first 4 trials failed alike: RuntimeError: CUDA error: no device") == 1
        assert "all_members.py, line 8, in train: raise RuntimeError" in done.stderr
        journals.append(decided(run / "history/journal.1.failed.jsonl"))
    assert journals[0] == journals[1] == journals[2]
    setting = setting_of(folder, MEMBERS.format(module="one_member", lag=lag), "pbt")
    done, run = parallel(2, setting, "one", folder)
    assert done.returncode == 0, done.stderr
    assert statuses(run / "journal.jsonl").count("completed") >= 3
