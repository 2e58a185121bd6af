"""The end of a run in one process by SIGTERM, as Slurm sends it before the time limit."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..training.saving import SavingTrainer
from .mpi.comm import EXIT_INTERRUPTED, GRACE, Interrupted


@contextmanager
def ended_by_sigterm(trainer: SavingTrainer, leaving: Callable[[], None] = lambda: None) -> Iterator[None]:
    """What runs in here ends with code 75 on SIGTERM, once its trials in flight are saved.

    A training in progress is saved at its next safe moment, but not later than some seconds from now.

    Args:
        trainer: of the run.
        leaving: called before the end.
    """
    asked = False

    def leave(*_: object) -> None:
        leaving()
        os.write(2, b"ended by SIGTERM; run the same command again to go on\n")
        os._exit(EXIT_INTERRUPTED)  # an exception may be raised where libraries swallow it

    def end(*_: object) -> None:
        nonlocal asked
        asked = True
        if not trainer.training:
            trainer.save_now()
            leave()
        signal.setitimer(signal.ITIMER_REAL, GRACE)

    def check() -> None:
        if asked:
            raise Interrupted

    trainer.bounds.ask = check
    before = signal.signal(signal.SIGTERM, end), signal.signal(signal.SIGALRM, leave)
    try:
        yield
    except Interrupted:
        leave()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGTERM, before[0])
        signal.signal(signal.SIGALRM, before[1])
