"""Trainer for training loops that users write in Python, with whatever library they like.

A loop is a generator function of (hyperparameters, context), or a class with the same arguments and a generator method
`train`; either yields a mapping of metrics once per epoch. A class may have `save`, `load` and `adjust`; with them, a
population of it exchanges states. See docs/models.md.
"""

import os
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt
from threadpoolctl import threadpool_limits

from ..config.model import LoopSpec
from ..runs.trial import Trial
from ..util.errors import UserError
from ..util.seeding import integer_seed
from ..util.user_code import load_object
from .data import Dataset, load
from .epochs import EpochSession, tested
from .network_files import write_state
from .trainer import Snapshot, Trainer, TrialFailed
from .user_states import State

EXCHANGE = ("save", "load", "adjust")
"""What a class needs for a population."""
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Environment variables by which numeric libraries are told how many threads they may use."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a loop is told besides its hyperparameters.

    Attributes:
        seed: of this trial, in [0, 2**31); all that is random should follow from it.
        trial: the trial's number, from 0.
        repeat: which repeat of the experiment, from 0.
        epochs: how often to yield.
        data: the prepared data set; None where the experiment has none.
        threads: threads that the trial may use.
        comm: the trial's own communicator, an `mpi4py.MPI.Comm`, where the method has `ranks`; else None.
    """

    seed: int
    trial: int
    repeat: int
    epochs: int
    data: Dataset | None
    threads: int
    comm: Any = None


class LoopTrainer(Trainer):
    """Follows :class:`hypercurve.training.trainer.Trainer`.

    Args:
        spec: which loop.
        dataset: the folder of the prepared data set; None: the loop has data of its own.
        threads: threads that a trial may use.
        exchanges: whether sessions are members of a population.
        target: the loop itself, where it is at hand and need not be imported.
        lead: gives what runs the loop (first argument, with the data) on all ranks of each trial, where it has several.

    Raises:
        UserError: the loop cannot be imported, or cannot do what a population asks for.
    """

    def __init__(
        self,
        spec: LoopSpec,
        dataset: Path | None,
        *,
        threads: int = 1,
        exchanges: bool = False,
        target: Callable[..., Any] | None = None,
        lead: Callable[[Callable[..., Any], Any], Callable[..., Any]] | None = None,
    ) -> None:
        self.spec, self.threads, self.exchanges = spec, threads, exchanges
        self.data = None if dataset is None else load(dataset)
        for name in THREADS:
            os.environ[name] = str(threads)
        self.target: Callable[..., Any] = load_object(spec.loop, "model.loop") if target is None else target
        self.limits = threadpool_limits(threads)  # of libraries that had read the environment before, as NumPy has
        if isinstance(self.target, type):
            if not callable(getattr(self.target, "train", None)):
                raise UserError(f"model.loop: class {spec.loop} has no method train")
            missing = [name for name in EXCHANGE if not callable(getattr(self.target, name, None))]
        else:
            missing = list(EXCHANGE)
        if exchanges and missing:
            raise UserError(
                f"model.loop: {spec.loop} has no {', '.join(missing)}: members of a population exchange states, so it must "
                f"be a class with {', '.join(EXCHANGE)}"
            )
        if lead is not None:
            self.target = lead(self.target, self.data)

    def open(self, trial: Trial) -> "LoopSession":
        """A session at the start of its training."""
        return LoopSession(self, trial)

    def test(self, trial: Trial, snapshot: Snapshot) -> dict[str, float]:
        """What the loop reported last as `test_...`."""
        del trial
        return tested(snapshot)

    def export(self, trial: Trial, snapshot: Snapshot, folder: Path) -> Path | None:
        """What the loop's `save` gave at the end: `best.npz`, or `best.bin` for bytes."""
        del trial
        return write_state(snapshot, folder, "best.bin")


class LoopSession(EpochSession):
    """One trial in training."""

    def __init__(self, trainer: LoopTrainer, trial: Trial) -> None:
        super().__init__(trainer.spec, trial, trainer.exchanges)
        seed = integer_seed(trial.seed, trial.repeat, "trainable", trial.draws)
        context = Context(seed, trial.number, trial.repeat, self.epochs, trainer.data, trainer.threads)
        made = trainer.target(dict(self.hyperparameters), context)
        self._loop: Any = made if isinstance(trainer.target, type) else None
        self._yields: Iterator[Any] = self._train() if self._loop is not None else self._iterator(made)

    def _train(self) -> Iterator[Any]:
        return self._iterator(self._loop.train())

    def _iterator(self, made: object) -> Iterator[Any]:
        if not isinstance(made, Iterator):
            raise TrialFailed(f"{self.trained} gave {type(made).__name__}, no generator: it must yield metrics")
        return made

    @property
    def trained(self) -> str:
        """The loop's name."""
        assert isinstance(self.spec, LoopSpec)
        return self.spec.loop

    def _begin(self, until: int) -> None:
        """A generator begins where it stands."""

    def _next(self) -> object:
        try:
            return next(self._yields)
        except StopIteration:
            raise TrialFailed(f"yielded {self.done} times; epochs = {self.epochs}") from None

    def _reached(self, end: bool) -> None:
        if not end or self.restored:
            return
        try:
            next(self._yields)
        except StopIteration:
            return
        raise TrialFailed(f"yielded more than epochs = {self.epochs} times")

    def can_save(self) -> bool:
        """A class that has `save` and `load`, between two epochs."""
        return not self.exchanges and all(callable(getattr(self._loop, name, None)) for name in EXCHANGE[:2])

    def _save(self) -> State:
        state: State = self._loop.save()
        return state

    def _end_state(self) -> State | None:
        return self._save() if callable(getattr(self._loop, "save", None)) else None

    def _load(self, state: bytes | dict[str, npt.NDArray[Any]]) -> None:
        if self._loop is None or not callable(getattr(self._loop, "load", None)):
            raise TypeError(f"{self.trained} has no method load")
        if isinstance(self._yields, Generator):
            self._yields.close()
        self._loop.load(state)
        self._yields = self._train()

    def _adjust(self) -> None:
        self._loop.adjust(dict(self.hyperparameters))
