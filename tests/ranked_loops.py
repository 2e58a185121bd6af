"""Loops that train on several MPI ranks, for `test_ranks.py`."""

import os
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np


class Loop:
    """Each rank has a part of a straight line's points, and a velocity of its own; gradients are summed over ranks."""

    together = True

    def __init__(self, hyperparameters: dict[str, Any], context: Any) -> None:
        self.hyperparameters, self.context, self.comm = hyperparameters, context, context.comm
        rng = np.random.default_rng([context.seed, self.comm.rank])
        self.x = rng.normal(size=50)
        self.weights, self.velocity = np.zeros(2), np.zeros(2)
        self.epoch = 0

    def gradient(self) -> tuple[np.ndarray, float]:
        error = self.weights[0] * self.x + self.weights[1] - (3 * self.x - 1)
        mine = np.array([(error * self.x).mean(), error.mean(), (error**2).mean()])
        total = self.comm.allreduce(mine) / self.comm.size
        return total[:2], float(total[2])

    def train(self) -> Iterator[Mapping[str, object]]:
        try:
            while self.epoch < self.context.epochs:
                self.before()
                gradient, loss = self.gradient()
                # Velocities differ from rank to rank, so that a rank which gets another's state shows.
                self.velocity = (0.5 + 0.1 * self.comm.rank) * self.velocity - self.hyperparameters["rate"] * gradient
                self.weights = self.weights + self.comm.allreduce(self.velocity) / self.comm.size
                self.epoch += 1
                yield {"loss": loss, "val_loss": loss, "size": self.comm.size}
        finally:
            assert not self.together or self.comm.allreduce(1) == self.comm.size, "all ranks come here together"

    def before(self) -> None: ...

    def save(self) -> dict[str, Any]:
        return {"weights": self.weights, "velocity": self.velocity, "epoch": self.epoch}

    def load(self, state: dict[str, Any]) -> None:
        self.weights, self.velocity, self.epoch = state["weights"], state["velocity"], int(state["epoch"])

    def adjust(self, hyperparameters: dict[str, Any]) -> None:
        self.hyperparameters = hyperparameters


class Faulty(Loop):
    """Errors on all ranks, on one of two after they have met, and by an end that comes too early on one."""

    together = False

    def train(self) -> Iterator[Mapping[str, object]]:
        for report in super().train():
            match self.context.trial, self.comm.rank:
                case 1, _:
                    raise KeyError("on all")
                case 2, 1:
                    raise ValueError("only here")
                case 3, 0:
                    raise ValueError("only with the leader")
                case 4, 1:
                    return
            yield report


class Killed(Loop):
    """Ends its process in the middle of a trial, once: which rank, is in the environment."""

    def before(self) -> None:
        time.sleep(0.01)
        late = self.context.trial >= 3 and self.epoch >= 1
        if late and self.comm.rank == int(os.environ["KILL_RANK"]) and not Path("killed").exists():
            Path("killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)


class Hanging(Loop):
    """One rank fails where the other waits for it."""

    together = False

    def before(self) -> None:
        if self.comm.rank == int(os.environ["FAILING"]):
            raise OSError("no more data here")


def function(hyperparameters: dict[str, Any], context: Any) -> Iterator[Mapping[str, object]]:
    """A generator function in place of a class."""
    return Loop(hyperparameters, context).train()
