"""What a thousand waiting trials of 20 MB each hold of memory, and what it costs that they leave it and come back.

    python benchmarks/waiting.py --trials 1000 --memory 1610612736

Prints one line of JSON.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hypercurve.config.model import LoopSpec
from hypercurve.runs.trial import Trial
from hypercurve.training.loop import Context, LoopTrainer
from hypercurve.training.saving import SavingTrainer

NUMBERS = 5_000_000
"""Of four bytes, in a state."""


class Large:
    """A loop whose state is large, and different in each trial and epoch."""

    def __init__(self, hyperparameters: Mapping[str, Any], context: Context):
        self.epoch, self.epochs = 0, context.epochs
        self.weights = np.full(NUMBERS, context.trial, np.float32)

    def train(self) -> Iterator[Mapping[str, float]]:
        """Add one to every number, once per epoch."""
        while self.epoch < self.epochs:
            self.epoch += 1
            self.weights += 1
            yield {"loss": float(self.weights[0]) + float(self.weights[-1])}

    def save(self) -> dict[str, Any]:
        """All numbers."""
        return {"weights": self.weights, "epoch": self.epoch}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take them back."""
        self.weights, self.epoch = state["weights"], int(state["epoch"])


def main() -> None:
    """Train all trials halfway, then to their ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--memory", type=int, default=3 * 2**29, help="bytes of states that stay in memory")
    parser.add_argument("--folder", type=Path, default=None, help="where states are, on a disk with room for them all")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        trainer = LoopTrainer(LoopSpec(loop="large:Large"), None, target=Large)
        saving = SavingTrainer(trainer, Path(folder), memory=given.memory)
        sessions = []
        began = time.perf_counter()
        for number in range(given.trials):
            sessions.append(saving.open(Trial(number, {"epochs": 2})))
            sessions[-1].advance(0.5)
        left = time.perf_counter()
        states = sum(session.size for session in sessions)
        equal = True
        for number, session in enumerate(sessions):
            equal &= session.advance(1.0).metrics["loss"] == 2.0 * (number + 2)
            session.close()
        back = time.perf_counter()
    # not getrusage: its maximum holds that of the process which started this one
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    peak = int(status["VmHWM"].split()[0]) * 1024
    measured = {"trials": given.trials, "states_bytes": states, "memory_bytes": given.memory, "peak_rss_bytes": peak}
    print(json.dumps({**measured, "halfway_seconds": left - began, "back_seconds": back - left, "equal": equal}))


if __name__ == "__main__":
    main()
