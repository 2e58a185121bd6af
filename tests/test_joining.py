"""Workers of a run as processes that are killed, suspended, late, or called by hand."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import ROOT
from hypercurve.config.experiment import Experiment
from hypercurve.config.files import read_setting
from hypercurve.events.journal import read_lines
from hypercurve.runs.run import Run

pytestmark = pytest.mark.slow

HEARTBEAT = 2
LOOPS = """\
import os, time

class Loop:
    def __init__(self, hyperparameters, context):
        self.rate, self.context, self.epoch, self.x = hyperparameters["rate"], context, 0, 1.0 + context.seed % 97 / 97

    def train(self):
        while self.epoch < self.context.epochs:
            time.sleep(float(os.environ.get("SECONDS", 0.03)))
            self.epoch += 1
            self.x -= self.rate * self.x
            with open("epochs", "a") as log:
                log.write(f"{self.context.trial} {self.epoch} {os.getpid()}\\n")
            yield {"loss": self.x, "val_loss": self.x}

class Saved(Loop):
    def save(self):
        return {"epoch": self.epoch, "x": self.x}

    def load(self, state):
        self.epoch, self.x = int(state["epoch"]), float(state["x"])
"""


class Runs:
    """A folder with a run that workers carry out."""

    def __init__(self, folder: Path):
        self.folder, self.run = folder, folder / "results/e/runs/m/0"
        self.journal, self.processes = self.run / "journal.jsonl", list[subprocess.Popen[bytes]]()
        (folder / "loops.py").write_text(LOOPS)

    def write(self, method: dict[str, Any], trials: int = 20, loop: str = "Saved", **more: Any) -> None:
        """Write the method's setting."""
        content = {
            "model": {"loop": f"loops:{loop}"},
            "objective": {"metric": "loss"},
            "space": {"rate": {"uniform": [0.01, 0.3]}, "epochs": 9},
            "budget": {"trials": trials},
            "training": {"accumulation_points": 4},
            "methods": {"m": {"workers": 3, **method}},
            **more,
        }
        path = self.run.parent / "setting.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(Experiment.model_validate(content).setting("e", "m").model_dump_json())

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start a command; by default another worker."""
        if not arguments:
            arguments = ("search", str(self.run.parent / "setting.json"), "-o", str(self.journal), "--worker")
            arguments += ("--heartbeat", str(HEARTBEAT), "--snapshot-minutes", "0")
        command = [sys.executable, "-m", "hypercurve", *arguments]
        with (self.folder / "said").open("ab") as said:
            process = subprocess.Popen(
                command, cwd=self.folder, stdout=said, stderr=said, env={**os.environ, **environment}
            )
        self.processes.append(process)
        return process

    def wait(self, *processes: subprocess.Popen[bytes]) -> None:
        """Wait for workers, which must end with 0."""
        for process in processes:
            assert process.wait(timeout=120) == 0, self.said[-4000:]

    @property
    def said(self) -> str:
        """What the workers have printed."""
        return (self.folder / "said").read_text()

    def epochs(self) -> Counter[str]:
        """How often each epoch of each trial was trained."""
        return Counter(line.rpartition(" ")[0] for line in (self.folder / "epochs").read_text().splitlines())

    def by(self, process: subprocess.Popen[bytes]) -> int:
        """How many epochs a process has trained so far."""
        path = self.folder / "epochs"
        return 0 if not path.exists() else path.read_text().count(f" {process.pid}\n")

    def check(self) -> Run:
        """The run, folded from its journal; nothing is left beside that."""
        setting, lines = read_setting(self.run.parent / "setting.json"), read_lines(self.journal)[0]
        run = Run(setting, 0, samples=lines[0]["samples"], data=lines[0]["data"], model=lines[0]["model"])
        run.fold(lines, str(self.journal))
        assert run.complete
        assert {trial.status for trial in run.trials.values()} <= {"completed", "stopped"}
        left = {path.name for path in self.run.iterdir()}
        assert left <= {"journal.jsonl", "journal.states", "history", "best.npz"}, left
        assert not list(self.run.glob("journal.states/[0-9]*")), "states of trials that are over"
        return run


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Runs]:
    made = Runs(tmp_path)
    yield made
    for process in made.processes:
        if process.poll() is None:
            process.kill()
            process.wait()


def until(condition: Callable[[], Any], what: str) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_that_are_killed_at_random_lose_at_most_what_they_were_about_to_save(runs: Runs, workers: int) -> None:
    runs.write({"search": "random", "stop": {"halving": {}}} if workers > 1 else {"search": "random"}, trials=24)
    chance, killed = random.Random(workers), 0
    going = [runs.start() for _ in range(workers)]
    while killed < 4 and not runs.journal.exists():
        victim = chance.choice(going)
        more = runs.by(victim) + 1
        while runs.by(victim) < more and not runs.journal.exists():
            assert victim.poll() is None, runs.said
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 0.1))
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        killed += 1
        going[going.index(victim)] = runs.start()
    runs.wait(*going)
    run = runs.check()
    assert len(run.trials) == 24
    twice = runs.epochs() - Counter(list(runs.epochs()))
    assert twice.total() <= killed, "each costs at most the epoch that was not saved yet"


def test_a_worker_that_was_suspended_for_long_drops_what_is_anothers_by_now(runs: Runs) -> None:
    runs.write({"search": "random"}, trials=6)
    asleep = runs.start(SECONDS="0.5")
    until(lambda: runs.by(asleep) >= 2, "it trains")
    time.sleep(0.25)  # its report is made, and it trains the next epoch
    asleep.send_signal(signal.SIGSTOP)
    other = runs.start()
    until(lambda: "taken over from a worker that has ended" in runs.said, "its trial is taken over")
    until(lambda: runs.by(other) >= 9, "the other trains")
    asleep.send_signal(signal.SIGCONT)
    runs.wait(asleep, other)
    runs.check()
    assert "another worker has taken it over; dropped here" in runs.said or runs.by(asleep) <= 3
    twice = runs.epochs() - Counter(list(runs.epochs()))
    assert twice.total() <= 1, "the epoch that it was in the middle of"


@pytest.mark.parametrize(
    ("search", "stop"),
    [
        ("tpe", "asha"),
        ("sobol", {"lcm": {"check_points": [0.5]}}),
        ("cmaes", "hyperband"),
    ],
)
def test_searchers_and_stoppers_decide_as_the_journal_says(runs: Runs, search: str, stop: Any) -> None:
    method: dict[str, Any] = {"search": search} if stop is None else {"search": search, "stop": stop}
    if search == "grid":
        method["space"] = {"rate": {"choice": [0.02, 0.05, 0.1, 0.2]}}
    runs.write(method, trials=18)
    runs.wait(runs.start(SECONDS="0.005"), runs.start(SECONDS="0.01"))
    run = runs.check()
    assert len(run.trials) == (4 if search == "grid" else 18)
    assert set(runs.epochs().values()) == {1}


def test_paused_trials_that_cannot_be_saved_stay_where_they_are(runs: Runs) -> None:
    runs.write({"search": "random", "stop": "halving"}, trials=9, loop="Loop")
    runs.wait(runs.start(), runs.start())
    runs.check()
    assert "paused trials cannot save their states" in runs.said
    assert set(runs.epochs().values()) == {1}


def test_anybody_may_join_a_run_by_the_name_of_its_folder(runs: Runs) -> None:
    runs.write({"search": "random"}, trials=12)
    first = runs.start()
    until(lambda: runs.by(first), "it trains")
    joined = runs.start("join", str(runs.run))
    runs.wait(first, joined)
    assert runs.by(joined) > 0, runs.said
    assert set(runs.epochs().values()) == {1}
    runs.check()
    before = runs.journal.read_bytes()
    runs.wait(runs.start("join", str(runs.run)), runs.start())  # too late
    assert runs.journal.read_bytes() == before
    assert set(runs.epochs().values()) == {1}


def test_a_worker_that_is_asked_to_end_hands_over_at_once(runs: Runs) -> None:
    runs.write({"search": "random"}, trials=3)
    asked = runs.start("search", str(runs.run.parent / "setting.json"), "-o", str(runs.journal), "--worker")  # 60 s
    until(lambda: runs.by(asked) >= 4, "it trains")
    asked.terminate()
    assert asked.wait() == 75
    began = time.monotonic()
    runs.wait(runs.start("search", str(runs.run.parent / "setting.json"), "-o", str(runs.journal), "--worker"))
    assert time.monotonic() - began < 50, "nobody waited for a sign of it"
    runs.check()
    assert set(runs.epochs().values()) == {1}


@pytest.mark.parametrize("changed", [False, True], ids=["the same settings", "a larger budget"])
def test_a_run_of_dead_workers_is_gone_on_with(runs: Runs, changed: bool) -> None:
    runs.write({"search": "random"}, trials=6)
    dead = runs.start()
    until(lambda: runs.by(dead) >= 20, "it trains")
    dead.send_signal(signal.SIGTERM if changed else signal.SIGKILL)
    dead.wait()
    runs.write({"search": "random"}, trials=9 if changed else 6)
    arguments = ["search", str(runs.run.parent / "setting.json"), "-o", str(runs.journal), "--snapshot-minutes", "0"]
    runs.wait(runs.start(*arguments, *(["--worker"] if changed else [])))
    assert len(runs.check().trials) == (9 if changed else 6)
    assert (runs.epochs() - Counter(list(runs.epochs()))).total() <= 1


def test_a_run_whose_trials_fail_alike_ends_for_all_its_workers(runs: Runs) -> None:
    runs.write({"search": "random"}, trials=30, loop="Missing")
    (runs.folder / "loops.py").write_text(LOOPS + "def Missing(h, c):\n    raise FileNotFoundError('no such data')\n")
    ended = [runs.start() for _ in range(2)]
    assert [process.wait(timeout=60) for process in ended] == [2, 2], runs.said
    assert "no such data" in runs.said
    assert not list(runs.run.glob("journal*.jsonl"))
    assert len(list((runs.run / "history").glob("*.failed.jsonl"))) >= 1
    assert json.loads((runs.run.parent / "setting.json").read_text())["order"] == "arrival"


EXPERIMENT = """\
model: {{loop: "loops:Saved"}}
objective: {{metric: loss}}
space: {{rate: {{uniform: [0.01, 0.3]}}, epochs: 9}}
budget: {{trials: {trials}}}
training: {{accumulation_points: 4}}
snapshot: {{minutes: 0}}
methods:
  m: {{search: random, stop: halving, workers: 3, heartbeat: 2}}
"""


def test_snakemake_gathers_what_workers_did_whatever_happens_to_them(runs: Runs) -> None:
    (runs.folder / "trials").mkdir()
    experiment = runs.folder / "trials/e.yaml"
    experiment.write_text(EXPERIMENT.format(trials=24))
    command = [str(Path(sys.executable).with_name("snakemake")), "--cores", "2", "--snakefile", str(ROOT / "Snakefile")]
    command += ["--configfile", str(ROOT / "config/config.yaml"), "--config", "folder=trials", "experiments=[e]"]

    def call(*options: str) -> subprocess.Popen[bytes]:
        with (runs.folder / "said").open("ab") as said:
            environment = {**os.environ, "PYTHONPATH": str(runs.folder), "SECONDS": "0.1"}
            runs.processes.append(
                subprocess.Popen(
                    [*command, *options, "--", str(runs.journal.relative_to(runs.folder))],
                    cwd=runs.folder,
                    stdout=said,
                    stderr=said,
                    env=environment,
                )
            )
        return runs.processes[-1]

    first, epochs = call(), runs.folder / "epochs"
    until(epochs.exists, "a worker trains")
    os.kill(int(epochs.read_text().split()[2]), signal.SIGKILL)
    assert first.wait(timeout=120) == 1, "a killed job is told"
    runs.wait(call())
    assert len(runs.check().trials) == 24
    assert (runs.epochs() - Counter(list(runs.epochs()))).total() <= 1
    runs.wait(call("--dry-run"))
    assert "Nothing to be done" in runs.said.splitlines()[-2:][0] + runs.said.splitlines()[-1]
    experiment.write_text(EXPERIMENT.format(trials=27))
    runs.wait(call())
    assert len(runs.check().trials) == 27
    assert (runs.epochs() - Counter(list(runs.epochs()))).total() <= 1, "what was trained is known"
    assert not (runs.run / "joined").exists()
