"""The runs that benchmarks/kills.py kills: experiments of some seconds, the code that they train, and their commands."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PYTHON = sys.executable
HYPERCURVE = [PYTHON, "-m", "hypercurve"]
MPIEXEC = [str(Path(PYTHON).with_name("mpiexec")), "--oversubscribe", "--bind-to", "none", "-n"]

CODE = '''\
"""What is trained: a parabola, descended slowly, with a state in each epoch; as a loop and as a program."""

import json
import os
import sys
import time


class Slow:
    def __init__(self, hyperparameters, context):
        self.rate, self.epochs = hyperparameters["rate"], context.epochs
        self.epoch, self.x = 0, 1 + context.seed % 97 / 97

    def train(self):
        while self.epoch < self.epochs:
            time.sleep(0.02)
            self.epoch += 1
            self.x -= self.rate * self.x
            yield {"loss": self.x, "val_loss": self.x, "test_loss": 2 * self.x}

    def save(self):
        return {"epoch": self.epoch, "x": self.x}

    def load(self, state):
        self.epoch, self.x = int(state["epoch"]), float(state["x"])

    def adjust(self, hyperparameters):
        self.rate = hyperparameters["rate"]


if __name__ == "__main__":
    closed = [(os.POSIX_SPAWN_CLOSE, number) for number in range(3)]
    os.posix_spawnp("sleep", ["sleep", "600"], os.environ, file_actions=closed, setsid=True)  # a daemon
    rate, seed, resume, snapshot, until = sys.argv[1:]
    context = type("Context", (), {"epochs": int(until), "seed": int(seed)})
    slow = Slow({"rate": float(rate)}, context)
    if resume:
        with open(resume) as file:
            slow.load(json.load(file))
    for report in slow.train():
        print(json.dumps(report), flush=True)
    if snapshot:
        with open(snapshot, "w") as file:
            json.dump(slow.save(), file)
'''
TUNE = """\
import hypercurve
from slow import Slow

hypercurve.tune(Slow, {"rate": {"uniform": [0.0, 0.4]}, "epochs": 20}, trials=8, slots=3,
    stop={"lcm": {"split": 0.5, "check_points": [0.3, 0.6]}}, folder="found")
"""
LCM = "{lcm: {split: 0.5, check_points: [0.3, 0.6]}}"
EXPLORE = "explore: {rate: {factors: [0.8, 1.2]}}"
SLOW = """\
model: %s
objective: {metric: loss}
space: {rate: {uniform: [0.0, 0.4]}, epochs: 20}
budget: {trials: 8}
methods:
"""
NETWORK = """\
data: {name: digits}
model: %s
space: {learning_rate: {log_uniform: [0.0001, 0.1]}, batch_size: 32, epochs: %d}
budget: {trials: 6}
methods:
"""
LOOP = SLOW % "{loop: 'slow:Slow'}"
ARGUMENTS = 'slow.py, "{rate}", "{seed}", "{resume}", "{snapshot}", "{until}"'
PROGRAM = SLOW % f"{{command: [{PYTHON}, -I, -S, {ARGUMENTS}], grace: 1}}"
SEARCH = f"  m: {{search: random, slots: 3, stop: {LCM}}}\n"
VIRTUAL = f"  m: {{search: random, slots: 3, stop: {LCM}, tasks: 2}}\n"
ARRIVAL = f"  m: {{search: random, slots: 3, stop: {LCM}, tasks: 2, order: arrival}}\n"
BATCHES = "  m: {search: random, trials_per_job: 4}\n"
MEMBERS = "  m: {population: {every: %d, lag: %d, snapshot_every: 1, %s}, tasks: 2}\n"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of run.

    Attributes:
        experiment: its file.
        ranks: numbers of MPI processes, of which each start takes one; none: it is no MPI job.
        weight: how often it is chosen.
    """

    experiment: str
    ranks: Sequence[int] = ()
    weight: float = 1.0


ALL = (1, 2, 3, 4)
KINDS = {
    "loop": Kind(LOOP + SEARCH, weight=2),
    "program": Kind(PROGRAM + SEARCH, weight=2),
    "batches": Kind(LOOP + BATCHES, weight=2),
    "tune": Kind("", weight=2),
    "mpi": Kind(LOOP + VIRTUAL, ALL, 2),
    "mpi-program": Kind(PROGRAM + VIRTUAL, ALL),
    "arrival": Kind(LOOP + ARRIVAL, ALL, 2),
    "population-lag-0": Kind(LOOP + MEMBERS % (2, 0, EXPLORE), ALL, 2),
    "population-lag-1": Kind(LOOP + MEMBERS % (2, 1, EXPLORE), ALL, 2),
    "population-program": Kind(PROGRAM + MEMBERS % (4, 1, EXPLORE), ALL),
    "network": Kind(NETWORK % ("mlp", 120) + SEARCH, weight=0.3),
    "network-batches": Kind(NETWORK % ("mlp", 120) + BATCHES, weight=0.2),
    "network-mpi": Kind(NETWORK % ("mlp", 120) + VIRTUAL, (2,), 0.2),
    "network-population": Kind(
        NETWORK % ("mlp", 80) + MEMBERS % (200, 0, EXPLORE.replace("rate", "learning_rate", 1)), (1, 2), 0.3
    ),
    "keras": Kind(NETWORK % ("{keras: 'models:network'}", 40) + SEARCH, weight=0.3),
}
KERAS = """\
import keras


def network(hyperparameters, input_shape, classes):
    layers = [keras.layers.Flatten(), keras.layers.Dense(8, activation="relu"), keras.layers.Dropout(0.1)]
    model = keras.Sequential([keras.Input(input_shape), *layers, keras.layers.Dense(classes)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(hyperparameters["learning_rate"]), loss, metrics=["accuracy"])
    return model
"""


class Place:
    """A folder with the user's code, an experiment of each kind, and data; runs lie in folders of it.

    Args:
        folder: an empty one.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.environment = {
            **dict.fromkeys(("OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"), "1"),
            "OMPI_MCA_osc": "^ucx",
            "PYTHONDONTWRITEBYTECODE": "",  # what is compiled once is started sooner
            "PYTHONPYCACHEPREFIX": str(folder / "compiled"),
        }
        for name, text in (("slow.py", CODE), ("tune.py", TUNE), ("models.py", KERAS)):
            (folder / name).write_text(text)

    def prepare(self, kind: str) -> None:
        """Write what all runs of a kind share."""
        text = KINDS[kind].experiment
        if not text:
            return
        (self.folder / f"{kind}.yaml").write_text(text)
        self.carry_out([*HYPERCURVE, "resolve", f"{kind}.yaml", "--method", "m", "-o", f"{kind}.json"])
        if "data:" in text and not (self.folder / "digits").exists():
            self.carry_out([*HYPERCURVE, "data", "digits", "-o", "digits"])
        if "trials_per_job" in text:
            self.carry_out([*HYPERCURVE, "table", f"{kind}.json", "-o", f"{kind}.jsonl"])

    def carry_out(self, command: Sequence[str]) -> None:
        """A command that nobody kills."""
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)}: {done.stderr}")

    def steps(self, kind: str, run: Path) -> list[Path]:
        """The journals that a run writes one after the other, the last of which is that of the run."""
        if kind == "tune":
            return [run / "found" / "runs" / "lcm" / "0" / "journal.jsonl"]
        batches = [run / "batches" / f"{number}.jsonl" for number in range(2)] if "batches" in kind else []
        return [*batches, run / "journal.jsonl"]

    def command(self, kind: str, output: Path, ranks: int) -> tuple[list[str], Path]:
        """What writes a journal, and the folder in which it is typed; 0 ranks: without MPI."""
        if kind == "tune":
            folder = output.parents[4]
            folder.mkdir(exist_ok=True)
            for name in ("slow.py", "tune.py"):
                shutil.copy(self.folder / name, folder)
            return [PYTHON, "tune.py"], folder
        options = ["--data", "digits"] if "data:" in KINDS[kind].experiment else []
        options += ["--snapshot-minutes", "0", "-o", str(output)]
        if output.parent.name == "batches":
            batch = ["--table", f"{kind}.jsonl", "--batch", output.stem, "--of", "2"]
            return [*HYPERCURVE, "batch", f"{kind}.json", *batch, *options], self.folder
        search = [*HYPERCURVE, "search", f"{kind}.json", *options]
        return [*MPIEXEC, str(ranks), *search, "--tasks", str(ranks)] if ranks else search, self.folder
