"""Learning Curve Matching's stopping rate from a regret budget, by what it would have cost on earlier tasks. Pure.

LCM is replayed on the curves of earlier experiments on related tasks, with s from .05 to .95, on many draws of trials. The
stopping rate is the largest at which, on *every* task, the regret is within the budget, at it and at all smaller ones: the
upper end of a one-sided interval of its mean over draws, nominally of 95 %. Regrets are mostly 0, and draws without any show
no spread: so one more draw is added, with the largest regret that was seen.

Why the worst task, and not the mean: each task has a largest s of its own, and the least of T of them is chosen. Of T + 1
tasks that are alike (exchangeable), the one that is new has the least with a probability of 1 / (T + 1); so its mean regret
exceeds the budget no more often than that, whatever the tasks are (the argument of conformal prediction, Vovk et al. 2005),
up to the error of the draws. It is a bound over tasks, not for each of them: ten alike tasks allow one that is off, by any
amount.

The replays are those of :mod:`hypercurve.execution.replay`, in virtual time with the method's slots, but only starts, checks
and ends are played, and distances are taken once for all s; a test holds both to be equal.
"""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from ..config.setting import Setting
from ..curves.record import Calibration, HeldOut, RecordError
from ..curves.table import Curves
from ..stopping.lcm import DISTANCES, SUMS, ends_badly
from ..stopping.stopper import Floats
from ..util.seeding import generator

RATES = tuple(round(0.05 * k, 2) for k in range(1, 20))
"""s: the rates that are tried, the smallest first."""
FEWEST = 30
"""A task with fewer trainings to the end says too little of how often the best of them is stopped."""
LARGEST = 100
"""Trials of a draw at most. A larger run is taken to go as a smaller one, with the same shares of slots and accumulation."""
MOST, LEAST, TRIALS = 100, 50, 40_000
"""Draws from each task: at most and at least, and otherwise so many that all together have this number of trials."""
ONE_SIDED = 1.645
"""Quantile of the normal distribution: 95 % lie below."""


@dataclass(frozen=True)
class Draw:
    """Trials of a task in the order of their start, and all of them that LCM looks at.

    Attributes:
        ends: performances, larger is better, shape (n,); NaN for those that fail.
        seconds: virtual seconds to the check points and to the end, shape (n, checks + 1).
        lasts: virtual seconds to where a trial fails, or to its end, shape (n,).
        passed: how many check points a trial reports at, shape (n,): those before it fails.
        distances: between the losses up to a check point, shape (checks, n, n); infinite where there is none.
    """

    ends: Floats
    seconds: Floats
    lasts: Floats
    passed: npt.NDArray[np.int64]
    distances: Floats


def drawn(curves: Curves, setting: Setting, size: int, number: int) -> Draw:
    """A draw of trials from a task, keyed by the experiment's seed.

    Args:
        curves: the task; all of its trainings completed or failed.
        setting: of the method.
        size: how many trials.
        number: which draw.
    """
    assert setting.stop is not None
    rows = generator(setting.seed, number, "calibration").permutation(len(curves))[:size]
    some = curves.taken(rows.tolist())
    points, options = setting.training.accumulation_points, setting.stop.options
    checks = [points.index(point) + 1 for point in options.check_points]
    losses = some.losses(points, setting.judged.loss)
    known = np.isfinite(losses)
    reached = np.where(known.all(axis=1), len(points), np.argmin(known, axis=1))  # points before it fails
    seconds = some.costs(points)
    ends = some.performance(setting.objective.key) * (1.0 if setting.objective.mode == "max" else -1.0)
    return Draw(
        ends,
        seconds[:, [*(k - 1 for k in checks), len(points) - 1]],
        seconds[np.arange(len(rows)), np.minimum(reached, len(points) - 1)],
        np.searchsorted(checks, reached, side="right"),
        np.nan_to_num(_distances(losses, checks, options.distance), nan=np.inf),
    )


def _distances(losses: Floats, checks: Sequence[int], distance: str) -> Floats:
    """Of all curves to all, up to each of some points, shape (checks, n, n); NaN where one of them has failed before.

    To the last bit as the stopper has them, since losses are often rounded, and distances then equal.
    """
    found = np.full((len(checks), len(losses), len(losses)), np.nan)
    if distance in SUMS:
        terms, whole = SUMS[distance]
        sums = np.zeros(found.shape[1:])
        for point in range(checks[-1]):
            sums += terms(losses[None, :, point], losses[:, None, point])
            if point + 1 in checks:
                found[checks.index(point + 1)] = whole(sums)
        return found
    for number, point in enumerate(checks):
        there = np.flatnonzero(np.isfinite(losses[:, :point]).all(axis=1))
        for row in there:
            found[number, row, there] = DISTANCES[distance](losses[row, :point], losses[there, :point])
    return found


def played(draw: Draw, stopping_rate: float, accumulate: float, slots: int) -> tuple[float, float]:
    """Cost and regret of LCM on a draw.

    Args:
        draw: the trials.
        stopping_rate: s.
        accumulate: n·r; while at most so many are complete, trials that start are not checked.
        slots: trials going at once.

    Returns:
        The share of all trials' full cost, and (best - found) / (best - median) of the performances; 1 if nothing was found.
    """
    trials, checks = len(draw.ends), len(draw.distances)
    completed, size = np.empty(trials, np.int64), 0  # trials, in the order of their ends
    checked: set[int] = set()
    spent, begun = 0.0, [0.0] * trials
    # In virtual time, ties by trial number: (time, trial, number of the check point; -1: start; checks: end or failure).
    queue = [(0.0, trial, -1) for trial in range(min(slots, trials))]
    waiting = len(queue)
    while queue:
        time, trial, at = heapq.heappop(queue)
        if at < 0:
            begun[trial] = time
            if size > accumulate + 1e-9:
                checked.add(trial)
        elif at == checks and np.isfinite(draw.ends[trial]):
            completed[size] = trial
            size += 1
        over = at == checks or (at >= 0 and _bad(draw, trial, at, completed[:size], stopping_rate))
        if not over:
            coming = at + 1 if trial in checked and at + 1 < draw.passed[trial] else checks
            way = draw.lasts[trial] if coming == checks else draw.seconds[trial, coming]
            heapq.heappush(queue, (begun[trial] + way, trial, coming))
            continue
        spent += draw.lasts[trial] if at == checks else draw.seconds[trial, at]
        if waiting < trials:
            heapq.heappush(queue, (time, waiting, -1))
            waiting += 1
    return spent / draw.seconds[:, -1].sum(), _regret(draw.ends, completed[:size])


def _bad(draw: Draw, trial: int, check: int, completed: npt.NDArray[np.int64], stopping_rate: float) -> bool:
    distances = draw.distances[check, trial, completed]
    nearest = int(distances.argmin())
    return distances[nearest] != np.inf and ends_badly(nearest, draw.ends[completed], 1.0 - stopping_rate)


def _regret(ends: Floats, completed: npt.NDArray[np.int64]) -> float:
    known = ends[np.isfinite(ends)]
    if not len(completed):
        return 1.0
    best, found, middle = known.max(), ends[completed].max(), np.median(known)
    if found == best:
        return 0.0
    return float((best - found) / (best - middle)) if best > middle else 1.0


def upper(regrets: Floats, miss: float) -> float:
    """Upper end of a one-sided interval of the mean regret, nominally of 95 %.

    Args:
        regrets: of draws, shape (draws,).
        miss: the regret of one more draw, so that draws without any do not seem certain. Without any, 2.6 · miss / draws
            results, near the rule of three.
    """
    known = np.append(regrets, miss)
    return float(known.mean() + ONE_SIDED * known.std(ddof=1) / np.sqrt(len(known)))


class Replays:
    """LCM with all rates on draws of one task; each is replayed once, when it is asked for."""

    def __init__(self, task: Curves, setting: Setting, trials: int, size: int, draws: int):
        assert setting.stop is not None
        options, part = setting.stop.options, size / trials
        self._accumulate = (options.configurations or trials) * options.split * part
        self._slots = max(1, round(setting.slots * part))
        self._draws = [drawn(task, setting, size, number) for number in range(draws)]
        self._known: dict[int, Floats] = {}

    def at(self, rate: int) -> Floats:
        """Costs and regrets with one of the rates, shape (draws, 2)."""
        if rate not in self._known:
            found = [played(draw, RATES[rate], self._accumulate, self._slots) for draw in self._draws]
            self._known[rate] = np.array(found)
        return self._known[rate]

    def bound(self, rate: int) -> float:
        """Upper end of the interval of the mean regret, see :func:`upper`."""
        seen = (
            self.at(other)[:, 1].max() for other in range(rate, len(RATES))
        )  # a larger s if nothing was missed with this
        return upper(self.at(rate)[:, 1], next((float(regret) for regret in seen if regret > 0), 1.0))

    def kept(self, budget: float) -> int:
        """How many rates keep a budget, from the smallest up to the first that does not."""
        return next((rate for rate in range(len(RATES)) if self.bound(rate) > budget), len(RATES))


def calibrated(setting: Setting, tables: Sequence[Curves], unfit: Mapping[str, str] | None = None) -> Calibration:
    """The stopping rate for a method's regret budget.

    Args:
        setting: of a method with LCM and a regret budget.
        tables: the trainings of its record's tasks, those in the space that is searched now.
        unfit: other tasks of the record, and why they cannot be replayed.

    Raises:
        RecordError: no task can be replayed, or no stopping rate keeps the budget.
    """
    assert setting.stop is not None
    options = setting.stop.options
    budget, trials = options.stopping_rate.regret, setting.trials or options.configurations
    assert trials is not None, "checked with the experiment"
    tasks, unused, known = [], [f"{name}: {reason}" for name, reason in (unfit or {}).items()], dict[str, str]()
    for table in tables:
        reason = f"the same as {known[table.digest]}" if table.digest in known else unusable(table, setting)
        known.setdefault(table.digest, table.name)
        if reason:
            unused.append(f"{table.name}: {reason}")
        else:
            tasks.append(table)
    if not tasks:
        raise RecordError(
            f"{setting.method}: stopping_rate: a regret budget needs a task in the record that can be replayed, a random "
            f"search with at least {FEWEST} trainings to the end: there is none. {'; '.join(unused)}"
        )
    sizes = [min(trials, LARGEST, len(task)) for task in tasks]
    draws = max(LEAST, min(MOST, TRIALS // sum(sizes)))
    replays = [Replays(task, setting, trials, size, draws) for task, size in zip(tasks, sizes, strict=True)]
    kept = [replay.kept(budget) for replay in replays]
    if not min(kept):
        worst = int(np.argmin(kept))
        raise RecordError(
            f"{setting.method}: stopping_rate.regret = {budget:g}: cannot be kept: on {tasks[worst].name}, a task of its "
            f"record, even s = {RATES[0]:g} has a mean regret of up to {replays[worst].bound(0):.3f}; allow as much, or "
            "stop nobody"
        )
    chosen = np.array([replay.at(min(kept) - 1) for replay in replays])
    held_out = []
    for left, task in enumerate(tasks):
        least = min(kept[:left] + kept[left + 1 :], default=0)
        if least:
            held_out.append(HeldOut(task.name, RATES[least - 1], float(replays[left].at(least - 1)[:, 1].mean())))
    return Calibration(
        budget=budget,
        stopping_rate=RATES[min(kept) - 1],
        cost=float(chosen[..., 0].mean()),
        regret=float(chosen[..., 1].mean()),
        missed=float((chosen[..., 1] > 0).mean()),
        draws=draws,
        tasks=tuple(task.name for task in tasks),
        held_out=tuple(held_out),
        unused=tuple(unused),
    )


def unusable(table: Curves, setting: Setting) -> str:
    """Why a task cannot be replayed; empty if it can.

    Its trainings must be a random sample: what is complete of a search with a stopper is what it liked. They must have
    reports where LCM looks: since the start, or the check point before. Else a loss from later would stand in for one that
    is not there, or LCM would be judged by checks at which it learns nothing.
    """
    assert setting.stop is not None
    outcomes = [curve.outcome for curve in table.curves]
    completed = outcomes.count("completed")
    if stopped := outcomes.count("stopped"):
        return f"{stopped} of {len(table)} trainings were stopped"
    if completed < FEWEST:
        return f"{completed} trainings to the end, {FEWEST} are needed"
    if silent := completed - int(np.isfinite(table.performance(setting.objective.key)).sum()):
        return f"{silent} of {completed} trainings to the end do not tell {setting.objective.key}"
    for before, check in pairwise((0.0, *setting.stop.options.check_points)):
        missing = sum(
            not curve.failed_by(check) and not any(before + 1e-9 < share <= check + 1e-9 for share in curve.shares)
            for curve in table.curves
        )
        if missing:
            return (
                f"{missing} of {len(table)} trainings have no report after {before:g} up to the check point {check:g}"
            )
    return ""
