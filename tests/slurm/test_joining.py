"""Workers that the queue lets start when it can, and that are killed: 2, then 8, then 3 of them."""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from checkout import Site, until

from hypercurve.config.files import read_setting
from hypercurve.events.journal import read_lines
from hypercurve.runs.run import Run

TRIALS, EPOCHS, WORKERS = 200, 24, 8
LOOP = """\
import os, time

class Loop:
    def __init__(self, hyperparameters, context):
        self.rate, self.context, self.epoch, self.x = hyperparameters["rate"], context, 0, 1.0 + context.seed % 97 / 97

    def train(self):
        while self.epoch < self.context.epochs:
            time.sleep(0.5)
            self.epoch += 1
            self.x -= self.rate * self.x
            with open("epochs", "a") as log:
                log.write(f"{self.context.trial} {self.epoch} {os.getpid()}\\n")
            yield {"loss": self.x, "val_loss": self.x}

    def save(self):
        return {"epoch": self.epoch, "x": self.x}

    def load(self, state):
        self.epoch, self.x = int(state["epoch"]), float(state["x"])
"""
EXPERIMENT = f"""\
model: {{loop: "joined:Loop"}}
objective: {{metric: loss}}
space: {{rate: {{uniform: [0.01, 0.2]}}, epochs: {EPOCHS}}}
budget: {{trials: {TRIALS}}}
snapshot: {{minutes: 0}}
methods:
  m: {{search: random, stop: halving, workers: {WORKERS}, heartbeat: 4}}
"""
JOURNAL = "results/joined/runs/m/0/journal.jsonl"


class Workers:
    """The workers' processes of a checkout."""

    def __init__(self, site: Site):
        self.site, self.killed, self._chance = site, 0, random.Random(0)

    def going(self) -> dict[int, str]:
        """Their numbers, and the nodes that they are on."""
        found = {}
        for process in Path("/proc").glob("[0-9]*"):
            try:
                words, said = (process / "cmdline").read_bytes().split(b"\0"), (process / "environ").read_bytes()
                inside = (process / "cwd").readlink() == self.site.folder
            except OSError:
                continue
            if inside and b"--worker" in words and b"python" in words[0]:
                found[int(process.name)] = said.partition(b"SLURMD_NODENAME=")[2].split(b"\0")[0].decode()
        return found

    def kill(self, *numbers: int) -> None:
        """Kill some; one at random without a number."""
        for number in numbers or self._chance.sample(sorted(self.going()), 1):
            os.kill(number, signal.SIGKILL)
            self.killed += 1

    def nodes(self, state: str) -> None:
        """Let the queue use all nodes, or only the first."""
        self.site.cluster.output("scontrol", "update", "nodename=n[2-4]", f"state={state}", "reason=test")

    def wait_for(self, count: int) -> None:
        """Wait until there are so many, which all have trained."""

        def there() -> bool:
            going = self.going()
            return len(going) == count and set(going) <= {int(line.split()[2]) for line in self.trained()}

        until(there, f"{count} workers", seconds=240)

    def trained(self) -> list[str]:
        """Trial, epoch and process of each epoch."""
        path = self.site.folder / "epochs"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def workers(site: Site) -> Iterator[Workers]:
    made = Workers(site)
    yield made
    made.nodes("resume")


def test_nothing_is_lost_by_workers_that_come_and_go(site: Site, workers: Workers) -> None:
    (site.folder / "joined.py").write_text(LOOP)
    (site.folder / "config/experiments/joined.yaml").write_text(EXPERIMENT)
    journal = site.folder / JOURNAL
    workers.nodes("drain")
    called = site.on_slurm("--", JOURNAL)
    workers.wait_for(2)
    workers.kill()
    workers.wait_for(2)
    workers.nodes("resume")
    workers.wait_for(WORKERS)
    for _ in range(3):
        time.sleep(random.uniform(0, 1))
        workers.kill()
    workers.nodes("drain")
    time.sleep(1)
    others = [number for number, node in workers.going().items() if node != "n1"]
    workers.kill(*others[1:])
    until(lambda: len(workers.going()) <= 3, "few are left")
    workers.wait_for(3)
    until(lambda: not list(journal.parent.glob("*.workers-*")), "the run is complete", seconds=400)
    assert not journal.with_name("journal.partial.jsonl").exists(), "three have completed it"
    workers.nodes("resume")
    site.wait(called)
    assert workers.killed >= 6
    lines, setting = read_lines(journal)[0], read_setting(journal.parents[1] / "setting.json")
    run = Run(setting, 0, samples=lines[0]["samples"], data=lines[0]["data"], model=lines[0]["model"])
    run.fold(lines, str(journal))
    assert run.complete
    assert len(run.trials) == TRIALS
    assert {trial.status for trial in run.trials.values()} <= {"completed", "stopped"}
    assert len({line["wall"]["worker"] for line in lines if "worker" in line.get("wall", {})}) >= WORKERS
    trained = Counter(line.rpartition(" ")[0] for line in workers.trained())
    assert trained.total() - len(trained) <= workers.killed, "each costs the epoch that was not saved yet"
    assert not (journal.parent / "joined").exists()
