"""Replays: methods on recorded curves, by the same schedulers and the same serial executor as any search.

How good a replay is, is told by two numbers that do not depend on the task's scale. Its *cost* is the virtual time of all
that it trained, as a share of training all its trials to their ends. Its *regret* is (found - best) / (median - best), where
best and median are of the final performances of all its trials, known from the records. 0: it found the best one; 1: it did
no better than one trial at random, which is also what it counts where the median is the best. Trials that failed are no part
of best and median.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from ..config.code_files import rules_digest
from ..config.setting import Setting
from ..curves.record import Record
from ..curves.table import Curves
from ..events.journal import Journal
from ..runs.run import Run
from ..training.recorded_curves import CurvesTrainer
from ..util.files import check_plain
from .serial import execute


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one replay cost and found.

    Attributes:
        task: the curves' name.
        method, repeat: which replay it is.
        trials, completed, stopped, failed: how many of them.
        cost: share of full training.
        found: performance of the best completed trial; NaN if none completed.
        regret: of what was found; NaN if nothing was.
        path: (cost, regret) at each improvement, in order. Until a trial completes, what counts is the best performance
            that was measured on the way, if any was.
    """

    task: str
    method: str
    repeat: int
    trials: int
    completed: int
    stopped: int
    failed: int
    cost: float
    found: float
    regret: float
    path: tuple[tuple[float, float], ...]

    def regret_at(self, cost: float) -> float:
        """The regret had the replay ended at this cost; NaN if there was nothing yet.

        For methods that do not plan with their budget, that is what a replay with the smaller budget would have found.
        """
        return next((regret for spent, regret in reversed(self.path) if spent <= cost + 1e-9), math.nan)


def replay(
    setting: Setting, curves: Curves, repeat: int, journal: Journal | None = None, record: Record | None = None
) -> Outcome:
    """Carry out one replay.

    Args:
        setting: of a method with `model: recorded`.
        curves: the recorded task.
        repeat: which repeat; it draws its trials and their order.
        journal: keeps the events, if wanted.
        record: earlier experiments, where the method has a record.
    """
    assert setting.data is not None, "checked with the experiment"
    drawn = curves.drawn(setting.trials, setting.seed, repeat, setting.data.shuffle)
    rules = rules_digest(setting)
    run = Run(setting, repeat, samples=curves.samples, data=curves.digest, curves=drawn, record=record, rules=rules)
    track = _Track(run, drawn)
    execute(run, CurvesTrainer(drawn), journal, watch=track)
    counts = Counter(trial.status for trial in run.trials.values())
    found = math.nan if run.best is None else run.best.metrics[setting.objective.key]
    return Outcome(
        task=curves.name,
        method=setting.method,
        repeat=repeat,
        trials=len(run.trials),
        completed=counts["completed"],
        stopped=counts["stopped"],
        failed=counts["failed"],
        cost=run.spent / drawn.full_cost,
        found=found,
        regret=track.regret(found),
        path=tuple(track.path),
    )


class _Track:
    """Follows what a replay has found at which cost."""

    def __init__(self, run: Run, drawn: Curves):
        self._run, self._full = run, drawn.full_cost
        self._key = run.setting.objective.key
        performances = drawn.performance(self._key)
        known = performances[np.isfinite(performances)]
        pick = np.max if run.setting.objective.mode == "max" else np.min
        self._best = float(pick(known)) if len(known) else math.nan
        self._scale = float(np.median(known)) - self._best if len(known) else math.nan
        self._found: object = None
        self._partial: float | None = None
        self._reports = 0
        self.path: list[tuple[float, float]] = []

    def __call__(self, run: Run) -> None:
        """See whether the last event has improved anything."""
        best = run.best
        if best is not None:
            if best is not self._found:
                self._found = best
                self.path.append((run.spent / self._full, self.regret(best.metrics[self._key])))
            return
        value = run.reported.get(self._key)
        if value is not None and (self._partial is None or run.setting.objective.better(value, self._partial)):
            self._partial = value
            self.path.append((run.spent / self._full, self.regret(value)))

    def regret(self, found: float) -> float:
        """The regret of a performance."""
        if found == self._best:
            return 0.0
        return (found - self._best) / self._scale if self._scale else 1.0


Job = tuple[Setting, Curves, Sequence[int], Path | None, Record | None]


def replays(jobs: Sequence[Job], processes: int = 1) -> Iterator[list[Outcome]]:
    """Carry out many replays, in this process or over several; results come in the order of the jobs.

    Args:
        jobs: setting, curves, repeats, where journals go (``FOLDER/REPEAT/journal.jsonl``; None: nowhere), record if any.
        processes: how many at once.
    """
    if processes == 1:
        yield from map(_carry_out, jobs)
        return
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        yield from pool.map(_carry_out, jobs)


def _carry_out(job: Job) -> list[Outcome]:
    setting, curves, repeats, folder, record = job
    return [_journalled(setting, curves, repeat, folder, record) for repeat in repeats]


def _journalled(setting: Setting, curves: Curves, repeat: int, folder: Path | None, record: Record | None) -> Outcome:
    if folder is None:
        return replay(setting, curves, repeat, record=record)
    path = folder / str(repeat) / "journal.jsonl"
    partial = path.with_suffix(".partial.jsonl")
    for written in (path, partial):
        check_plain(written)
    partial.unlink(missing_ok=True)  # it takes longer to go on than to begin anew
    with Journal(partial) as journal:
        outcome = replay(setting, curves, repeat, journal, record)
        partial.replace(path)
    return outcome
