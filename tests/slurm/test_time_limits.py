"""Trainings that are longer than their jobs may be: they end by resubmission, and little is trained twice."""

import os
import subprocess
import sys
from collections import Counter
from typing import NamedTuple

from checkout import Site, events

SECONDS = 0.5  # of an epoch
MINUTES = 0.05  # between two saved states
UNSAVED = 60 * MINUTES / SECONDS + 1
"""Epochs of a trial that a kill may cost: those between two saved states, and the one that has just been written down."""
EVERY = 6  # epochs between two evolution steps

LOOPS = """\
import os, time

class Loop:
    def __init__(self, hyperparameters, context):
        self.rate, self.context, self.epoch, self.x = hyperparameters["rate"], context, 0, 1.0 + context.seed % 97 / 97

    def train(self):
        while self.epoch < self.context.epochs:
            time.sleep(float(os.environ.get("SECONDS", 0.5)))
            self.epoch += 1
            self.x -= self.rate * self.x
            with open(f"epochs-{type(self).__name__}", "a") as log:
                log.write(f"{self.context.trial} {self.epoch}\\n")
            yield {"loss": self.x, "val_loss": self.x}

    def save(self):
        return {"epoch": self.epoch, "x": self.x}

    def load(self, state):
        self.epoch, self.x = int(state["epoch"]), float(state["x"])

    def adjust(self, hyperparameters):
        self.rate = hyperparameters["rate"]

class Search(Loop): pass
class Batches(Loop): pass
class Parallel(Loop): pass
class Members(Loop): pass
"""
EXPERIMENT = """\
model: {{loop: "long:{loop}"}}
objective: {{metric: loss}}
space: {{rate: {{uniform: [0.01, 0.02]}}, epochs: {epochs}}}
budget: {{trials: {trials}}}
snapshot: {{minutes: {minutes}}}
methods:
  m: {method}
"""


class Long(NamedTuple):
    """Some three minutes of training for each job of a run.

    Attributes:
        rule: which makes its jobs.
        epochs: of a trial.
        trials: how many.
        method: how they are searched.
        unsaved: epochs of each trial that the end of a job may cost.
    """

    rule: str
    epochs: int
    trials: int
    method: str
    unsaved: float = UNSAVED


RUNS = {
    "Search": Long("search", 360, 1, "{search: random}"),
    "Batches": Long("batch", 180, 4, "{search: random, trials_per_job: 2}"),
    "Parallel": Long("parallel_search", 180, 4, "{search: random, slots: 2, tasks: 2, stop: {lcm: {split: 0.5}}}"),
    # killed before the snapshot of the last evolution step is complete, they go on from that of the one before
    "Members": Long(
        "parallel_search",
        180,
        4,
        f"{{population: {{every: {EVERY}, explore: {{rate: {{factors: [0.9, 1.1]}}}}}}, tasks: 2}}",
        2 * EVERY,
    ),
}


def test_trainings_of_three_minutes_end_under_a_limit_of_one(site: Site) -> None:
    (site.folder / "long.py").write_text(LOOPS)
    site.change(
        "slurm/config.yaml",
        ("min(60 * attempt, 1440)", "1"),
        ("min(240 * attempt, 1440)", "1"),
        ("--signal=TERM@120", "--nice=0"),  # it is sent up to a minute earlier; at the limit there is another
        ("retries: 10", "retries: 30"),
    )
    targets = {name: f"results/{name.lower()}/runs/m/0/journal.jsonl" for name in RUNS}
    for name, run in RUNS.items():
        text = EXPERIMENT.format(loop=name, minutes=MINUTES, **run._asdict())
        (site.folder / f"config/experiments/{name.lower()}.yaml").write_text(text)
    site.wait(site.on_slurm("--", *targets.values()))
    for name, run in RUNS.items():
        journal, alone = site.folder / targets[name], site.folder / f"{name}.jsonl"
        trained = Counter((site.folder / f"epochs-{name}").read_text().splitlines())
        jobs = [
            job for job in site.jobs(run.rule) if f"_{name.lower()}_" in job.comment.removeprefix(f"rule_{run.rule}")
        ]
        states = Counter(job.state for job in jobs)
        assert states["COMPLETED"] == (2 if name == "Batches" else 1)
        ended = len(jobs) - states["COMPLETED"]
        assert ended >= 2, "its jobs have reached their limit"
        twice = Counter(line.partition(" ")[0] for line in trained.elements()) - Counter(
            line.partition(" ")[0] for line in trained
        )
        assert all(epochs <= ended * run.unsaved for epochs in twice.values()), (name, twice, ended)
        left = [path for what in ("*.states/[0-9]*", "snapshots", "*.partial.*") for path in journal.parent.rglob(what)]
        assert not left, "states of trials that are over"
        setting = journal.parents[1] / "setting.json"
        command = [sys.executable, "-m", "hypercurve", "search", str(setting), "-o", str(alone)]
        environment = {**os.environ, "SECONDS": "0"}
        subprocess.run(command, cwd=site.folder, env=environment, check=True, capture_output=True)
        assert events(journal) == events(alone), name
