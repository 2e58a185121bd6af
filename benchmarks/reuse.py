"""What is trained again where nothing need be: after changes, between methods, after kills. One line of JSON.

    python benchmarks/reuse.py --data mnist.npz

Everything is done by Snakemake and `hypercurve` in a copy of this checkout, on `config/experiments/mnist-trials.yaml` with
the data that are named. What is really trained is counted apart from journals: in the copy, the trainer of networks notes
every piece of training, and a loop notes its epochs.

- extend_retrained: trainings that were done again in part after the number of trials was doubled.
- methods_union: steps that random search and LCM trained in one call, over those of random search alone.
- comment_retrained: trainings done after a comment in every module of the package and in a file that is not used.
- rename_retrained: trainings done after both methods got other names.
- killed_epochs_again: the most epochs trained again after a kill, of a long training whose state is saved once a second. A
  second holds ten epochs.
- reuse_overhead: seconds spent looking for known trainings, over those of training, in the call with both methods.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).parents[1]
EXPERIMENT = Path("config/experiments/mnist-trials.yaml")
NOTES = "REUSE_NOTES"
"""The variable that names the file of notes."""

STEPS = """

def _noted(train):
    import json
    import os

    def noted(self, stop):
        step, updates, began = self.step, self._updates, time.perf_counter()
        train(self, stop)
        trial = self.trial
        line = {
            "training": [trial.repeat, trial.number, trial.configuration],
            "first": step,
            "steps": self._updates - updates,
            "seconds": time.perf_counter() - began,
        }
        if line["steps"]:
            with open(os.environ["REUSE_NOTES"], "a") as file:
                file.write(json.dumps(line) + "\\n")

    return noted


KerasSession._train = _noted(KerasSession._train)
"""
"""Ends the copy's trainer of networks: every piece of training is noted."""

LOOKS = """

def _timed():
    import atexit
    import os

    depth, spent = [0], [0.0]

    def timed(method):
        def look(*arguments, **named):
            began = time.perf_counter()
            depth[0] += 1
            try:
                return method(*arguments, **named)
            finally:
                depth[0] -= 1
                if not depth[0]:
                    spent[0] += time.perf_counter() - began

        return look

    def note():
        with open(os.environ["REUSE_NOTES"], "a") as file:
            file.write(json.dumps({"looked": spent[0]}) + "\\n")

    for name in ("__init__", "refresh", "report", "ahead", "test", "network"):
        setattr(KnownTrainings, name, timed(getattr(KnownTrainings, name)))
    atexit.register(note)


_timed()
"""
"""Ends the copy's module of known trainings: the seconds spent in it are noted."""

LOOP = """\
import os
import time


class Long:
    def __init__(self, hyperparameters, context):
        self.epoch, self.epochs, self.value = 0, context.epochs, 0.0

    def train(self):
        while self.epoch < self.epochs:
            time.sleep(0.1)
            self.epoch += 1
            self.value = 0.9 * self.value + self.epoch
            with open(os.environ["REUSE_NOTES"], "a") as file:
                file.write(f'{{"epoch": {self.epoch}}}\\n')
            yield {"loss": self.value, "val_loss": self.value}

    def save(self):
        return {"epoch": self.epoch, "value": self.value}

    def load(self, state):
        self.epoch, self.value = int(state["epoch"]), float(state["value"])
"""
INTERVAL, EPOCHS_A_SECOND = 1.0, 10


def _not_copied(folder: str, names: list[str]) -> set[str]:
    """What stays behind: what tools made, and results; a package has their name too."""
    return {name for name in names if name.startswith(".") or (name == "results" and Path(folder) == ROOT)}


class Piece(NamedTuple):
    """A piece of a training, by its steps."""

    training: str
    first: int
    steps: int
    seconds: float


class Copy:
    """A copy of the checkout, in which all is done and noted.

    Args:
        folder: where.
    """

    def __init__(self, folder: Path):
        self.folder, self._read = folder / "checkout", 0
        self.notes = folder / "notes.jsonl"
        self.notes.touch()
        shutil.copytree(ROOT, self.folder, symlinks=True, ignore=_not_copied)
        for module, text in {"training/keras_trainer.py": STEPS, "runs/known.py": LOOKS}.items():
            with (self.folder / "workflow" / "hypercurve" / module).open("a") as file:
                file.write(text)
        paths = f"{self.folder / 'workflow'}{os.pathsep}{self.folder}"
        self._environment = os.environ | {NOTES: str(self.notes), "PYTHONPATH": paths}

    def write(self, name: str, experiment: Mapping[str, Any]) -> None:
        """Write an experiment file."""
        path = self.folder / "config" / "experiments" / f"{name}.yaml"
        path.write_text(yaml.safe_dump(experiment, sort_keys=False), encoding="utf-8")

    def start(self, *command: str | Path) -> subprocess.Popen[str]:
        """Start a command of the environment that this runs in."""
        program = Path(sys.executable).with_name(str(command[0]))
        options: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.Popen([program, *command[1:]], cwd=self.folder, env=self._environment, **options)

    def call(self, *command: str | Path) -> list[dict[str, Any]]:
        """Carry out a command; what is noted meanwhile.

        Raises:
            SystemExit: it failed; its output is shown.
        """
        process = self.start(*command)
        said, _ = process.communicate()
        if process.returncode:
            sys.exit(f"{' '.join(map(str, command))} ended with {process.returncode}:\n{said[-3000:]}")
        return self.noted()

    def compared(self, name: str, cores: int) -> list[dict[str, Any]]:
        """Make an experiment's comparison; what is noted meanwhile."""
        return self.call("snakemake", "--cores", str(cores), f"results/{name}/comparison.csv")

    def noted(self) -> list[dict[str, Any]]:
        """What has been noted since the last time."""
        lines = self.notes.read_text(encoding="utf-8").splitlines()
        self._read, new = len(lines), lines[self._read :]
        return [json.loads(line) for line in new]


def pieces(notes: Iterable[Mapping[str, Any]]) -> list[Piece]:
    """The pieces of trainings among notes."""
    return [
        Piece(json.dumps(note["training"], sort_keys=True), note["first"], note["steps"], note["seconds"])
        for note in notes
        if "training" in note
    ]


def trained(done: Iterable[Piece]) -> set[tuple[str, int]]:
    """The steps of pieces, by training and number."""
    return {(piece.training, step) for piece in done for step in range(piece.first, piece.first + piece.steps)}


def changes(copy: Copy, data: Path, trials: int, repeats: int, cores: int) -> dict[str, float]:
    """What methods share, and what changes of an experiment and of code train again."""
    given: dict[str, Any] = yaml.safe_load((ROOT / EXPERIMENT).read_text(encoding="utf-8"))
    spec = {name: value for name, value in given["data"].items() if name != "name"}
    given |= {"data": {"path": str(data.resolve()), **spec}, "budget": {"trials": trials}, "repeats": repeats}
    baseline = given["baseline"]

    copy.write("alone", given | {"methods": {baseline: given["methods"][baseline]}})
    alone = sum(piece.steps for piece in pieces(copy.compared("alone", cores)))
    copy.write("both", given)
    notes = copy.compared("both", cores)
    first = pieces(notes)
    both, looked = sum(piece.steps for piece in first), sum(note.get("looked", 0.0) for note in notes)
    overhead = looked / sum(piece.seconds for piece in first)
    print(
        f"{baseline} alone: {alone} steps; all methods: {both}; {looked:.2f} s of looking ({overhead:.2%})", flush=True
    )

    copy.write("both", given | {"budget": {"trials": 2 * trials}})
    more = pieces(copy.compared("both", cores))
    again = {training for training, _ in trained(first) & trained(more)}
    print(f"{2 * trials} trials: {len({piece.training for piece in more})} trainings, {len(again)} again", flush=True)

    (copy.folder / "unused.py").write_text("def unused():\n    return 1\n")
    copy.compared("both", cores)
    for path in [copy.folder / "unused.py", *copy.folder.glob("workflow/hypercurve/**/*.py")]:
        path.write_text(f"{path.read_text(encoding='utf-8')}\n# another comment\n", encoding="utf-8")
    comment = {piece.training for piece in pieces(copy.compared("both", cores))}
    print(f"comments: {len(comment)} trainings", flush=True)

    methods = {f"{name}-renamed": method for name, method in given["methods"].items()}
    copy.write(
        "both", given | {"budget": {"trials": 2 * trials}, "methods": methods, "baseline": f"{baseline}-renamed"}
    )
    renamed = {piece.training for piece in pieces(copy.compared("both", cores))}
    print(f"other names: {len(renamed)} trainings", flush=True)
    return {
        "extend_retrained": len(again),
        "methods_union": round(both / alone, 4),
        "comment_retrained": len(comment),
        "rename_retrained": len(renamed),
        "reuse_overhead": round(overhead, 5),
    }


def kills(copy: Copy, times: int, seconds: float) -> int:
    """The most epochs that are trained again after a kill, of a training of so many seconds."""
    epochs = round(seconds * EPOCHS_A_SECOND)
    (copy.folder / "long_loop.py").write_text(LOOP, encoding="utf-8")
    copy.write(
        "long",
        {
            "model": {"loop": "long_loop:Long"},
            "objective": {"metric": "loss"},
            "space": {"rate": {"uniform": [0.0, 1.0]}, "epochs": epochs},
            "budget": {"trials": 1},
            "training": {"accumulation_points": 2},
            "methods": {"one": {"search": "random"}},
        },
    )
    run = Path("results/long/runs/one")
    copy.call("hypercurve", "resolve", "config/experiments/long.yaml", "--method", "one", "-o", run / "setting.json")
    search = "hypercurve", "search", run / "setting.json", "--snapshot-minutes", str(INTERVAL / 60)
    draw, reached, again = random.Random(0), 0, []
    for number in range(times + 1):
        process = copy.start(*search, "-o", run / "0" / "journal.jsonl")
        size = copy.notes.stat().st_size
        while copy.notes.stat().st_size == size and process.poll() is None:
            time.sleep(0.01)
        if number < times:
            time.sleep(draw.uniform(0.0, 2 * seconds / (times + 1)))
            process.kill()
        said, _ = process.communicate()
        done = [note["epoch"] for note in copy.noted() if "epoch" in note]
        if number == times and process.returncode:
            sys.exit(f"the training that was killed does not end: {said[-3000:]}")
        again.append(sum(epoch <= reached for epoch in done))
        reached = max([reached, *done])
    value = 0.0
    for epoch in range(1, epochs + 1):
        value = 0.9 * value + epoch
    lines = (copy.folder / run / "0" / "journal.jsonl").read_text(encoding="utf-8").splitlines()
    found = [line["metrics"]["val_loss"] for line in map(json.loads, lines) if line["event"] == "completed"]
    if found != [value]:
        sys.exit(f"the training that was killed ends with {found}, not with {value}")
    average = sum(again) / max(times, 1)
    print(f"{times} kills in {epochs} epochs: {average:.1f} epochs again after each, at most {max(again)}", flush=True)
    return int(max(again))


def main() -> None:
    """Measure all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="MNIST as an .npz file")
    parser.add_argument("--trials", type=int, default=100, help="before there are twice as many (100)")
    parser.add_argument("--repeats", type=int, default=1, help="of each method (1)")
    parser.add_argument("--cores", type=int, default=os.cpu_count(), help="for Snakemake (all)")
    parser.add_argument("--kills", type=int, default=5, help="of the long training (5)")
    parser.add_argument("--seconds", type=float, default=60.0, help="that the long training takes (60)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        copy = Copy(Path(folder))
        line = changes(copy, given.data, given.trials, given.repeats, given.cores)
        line["killed_epochs_again"] = kills(copy, given.kills, given.seconds)
    print(json.dumps(line))


if __name__ == "__main__":
    main()
