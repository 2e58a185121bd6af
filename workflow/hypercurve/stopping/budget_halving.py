"""The stopper ``budget_halving``: successive halving within a given cost, with or without a record.

The rule:

- The budget is a share of all trials' full training, ``cost``. Rungs and the numbers that go on at each follow from it
  (:mod:`.quotas`). Where even the first rung is too dear for all, fewer trials start.
- A trial that comes to the next rung pauses. When all have come there or failed, they are ordered by the mean of their
  ranks under several views (:mod:`.ranking`), and as many as the rest of the budget allows go on, the best first; the
  others stop. What failed trials have left of the budget is spent on those that remain. Equal means: the lower loss at
  the rung is better, then the lower number. Trials that cost more than others count for more: the budget is in means of
  the started trials' full cost, and after the last rung no more go on than it pays for, but one at least.
- ``split``: the first so many trials never pause, as in LCM's accumulation stage; others are matched with them.
- With a record (:mod:`..curves.record`), trials come in the order that it predicts. The chosen ones, and others, go to the
  first rung; the *guard* then compares the order that the record predicts for this rung with what is seen, by rank
  correlation. If it is at least ``guard``, no others start; as many as were chosen go on, the best of those trained; the
  next rungs are laid anew, further on, for so few; and the ranks by what the record says about configurations are
  added to the mean, with a weight of :data:`RECORD_WEIGHT` times the correlation times the share of training that is still
  to come. If not, the record is dropped: all others start, and the run goes on as one without.

A failed trial (NaN and infinite losses fail trials) is never kept. A trial without a loss at a rung comes to it with its
next one; one that completes first is no longer waited for. In its curve, a point without a loss has the last one before,
and points before the first loss have that. Decisions depend on losses only up to a common scale and offset, so losses,
errors and negated scores are treated alike.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Annotated

import numpy as np
from pydantic import Field
from typing_extensions import override

from ..space.search_space import Configuration
from ..util.schema import Number, Problem, Share
from ..util.words import listing, shares, short
from .quotas import (
    COST,
    FEW,
    FEWEST,
    LEAST,
    chosen_of,
    counts_of,
    finalists_of,
    first_rung_of,
    probed_of,
    rungs_of,
    starters,
)
from .ranking import VIEWS, Library, Matcher, View, correlation, gain, library_of, lowest, normalised, ranks
from .stopper import (
    Decision,
    Floats,
    Point,
    Prior,
    StopContext,
    StopOptions,
    Stopper,
    TrialCost,
    number_of,
    undecided,
)

GUARD = 0.5
"""Least rank correlation between the first rung that a record predicts and the one that is seen."""
RECORD_WEIGHT = 1.0
"""Weight of a record's view of configurations against all other views together."""


class BudgetHalvingOptions(StopOptions):
    """Learning curves and, if there is one, a record of earlier experiments decide who goes on, within a given cost."""

    cost: Share | None = None
    """What the run may cost, as a share of training all its trials to the end; rungs and quotas follow from it. By default
    the budget's `cost`, or 0.15."""
    views: Annotated[tuple[View, ...], Field(min_length=1)] = ("lowest", "gain")
    """By what trials are ranked at a rung; the mean of their ranks decides."""
    match: Matcher = Matcher()
    """How curves are matched, for the view `match`."""
    split: Annotated[Number, Field(ge=0, lt=1)] = 0.0
    """r: share of the trials that never pause, so that others can be matched with them; for the view `match`."""
    guard: Annotated[Number, Field(ge=-1, le=1)] = GUARD
    """Least rank correlation between the first rung that a record predicts and the one seen at which it is believed."""
    configurations: Point | None = None
    """n: trials that compete; by default the budget's number of trials."""

    def share(self, context: StopContext) -> float:
        """What the run may cost, as a share of full training."""
        return self.cost or context.cost or COST

    @override
    def problems(self, points: Sequence[float], trials: int | None) -> Iterator[Problem]:
        """Options that have no effect or leave no budget, and a number of configurations that is open."""
        if "match" not in self.views and self.split > 0:
            yield Problem(("split",), "has an effect only with `match` among the `views`")
        if self.cost is not None and self.split >= self.cost:
            yield Problem(("split",), f"alone costs as much as `cost` allows, {self.cost:g} of full training")
        yield from undecided(self.configurations, trials)

    @property
    @override
    def pauses(self) -> bool:
        return True

    @property
    @override
    def tests_record(self) -> bool:
        return True


class BudgetHalving(Stopper):
    """Halving within a given cost, by several views of the learning curves, and by a record if there is one.

    Attributes:
        takes_prior: whether the guard can judge the record: only then may trials come in its order.
    """

    source = "this project: docs/methods.md"
    Options = BudgetHalvingOptions
    examples = ({"cost": 0.4}, {"cost": 0.5, "views": ["match", "last"], "split": 0.1, "match": {"stopped": True}})

    @override
    @classmethod
    def explain(cls, options: BudgetHalvingOptions, context: StopContext) -> str:
        cost, known = options.share(context), short(number_of(options.configurations, context))
        rungs = rungs_of(context.points, cost)
        if not rungs:
            return f"As many of {known} trials as {shares([cost])} of full training allow are trained to the end."
        views = listing(VIEWS[view] for view in options.views)
        return (
            f"Curve matching in halving quotas: at {shares(rungs)} of training, trials wait for each other, and the best "
            f"go on, so that the whole costs {shares([cost])} of training all {known} trials. They are ranked by the mean "
            f"of their ranks by {views}."
        )

    @override
    @classmethod
    def doubts(cls, options: BudgetHalvingOptions, context: StopContext) -> Iterator[Problem]:
        """A budget that pays for a comparison, and for little besides."""
        number, cost = number_of(options.configurations, context), options.share(context)
        number = min(number, context.trials or number)
        if cost * number < FEW - 1e-9:
            said = (
                f"{number} trials at a `cost` of {cost:g} are worth {cost * number:.2g} full trainings, which is little"
            )
            yield Problem((), f"{said}: take {math.ceil(FEW / cost - 1e-9)} trials or more, or a larger `cost`")

    @override
    @classmethod
    def explain_record(cls, options: BudgetHalvingOptions) -> str:
        return (
            "and the best and a few others start; the rest as well, unless its prediction for the first comparison "
            f"correlates with what is seen by at least {options.guard:g}."
        )

    @override
    @classmethod
    def preselected(cls, options: BudgetHalvingOptions, context: StopContext, share: float | None) -> tuple[int, int]:
        assert context.trials is not None, "checked with the experiment"
        if share is not None:
            chosen = max(1, round(share * context.trials))
        else:
            chosen = chosen_of(context.trials, context.points, options.share(context))
        return chosen, probed_of(context.trials, chosen)

    @override
    @classmethod
    def first_rung(cls, options: BudgetHalvingOptions, context: StopContext) -> float:
        return first_rung_of(context.points, options.share(context))

    def __init__(self, options: BudgetHalvingOptions, context: StopContext):
        super().__init__(options, context)
        number, cost = number_of(options.configurations, context), options.share(context)
        trials = min(number, context.trials or number)
        self._points, self._space = context.points, context.space
        self._views, self._matcher = options.views, options.match
        self._prior = prior = context.prior
        self._library = None if context.record is None else library_of(context.record, self._points, cost)
        self._rungs = rungs_of(self._points, cost)
        self._legs = [b - a for a, b in pairwise((0.0, *self._rungs, 1.0))]
        self._exempt = round(options.split * trials) if "match" in self._views else 0
        # In full trainings; what never pauses is paid for.
        self._budget = max(cost * trials, min(LEAST, trials)) - self._exempt
        self._finalists = finalists_of(self._budget)
        self._all = self._exempt + starters(trials - self._exempt, self._legs, self._budget, self._finalists)
        self._costs: dict[int, TrialCost] = {}  # of trials that are not over
        self._started, self._full, self._spent = 0, 0.0, 0.0  # trials, their full cost, and what they have cost so far
        self._trust: float | None = None  # the guard's correlation; None before, 0 where a record is dropped
        self.takes_prior = bool(self._rungs) and prior is not None and FEWEST <= prior.chosen + prior.probed < self._all
        if prior is not None and self.takes_prior:
            self._admitted = max(self._exempt + 1, prior.chosen + prior.probed)
        else:
            self._admitted = self._all
        self._rung = 0  # number of the next rung
        self._missing = self._admitted - self._exempt
        self._curves: dict[int, dict[float, float]] = {}  # losses by point
        self._coded: dict[int, Floats] = {}
        self._first: dict[int, float] = {}  # losses at the first rung; infinite for those that failed before
        self._waiting: list[int] = []
        self._verdicts: list[tuple[int, Decision]] = []

    def can_start(self, trial: int) -> bool:
        """Whether a trial may start, as things stand."""
        return trial < self._admitted

    def on_start(self, trial: int, configuration: Configuration) -> None:
        """Begin the trial's curve."""
        self._curves[trial] = {}
        if trial >= self._exempt:
            cost = self._costs[trial] = self.context.cost_of(configuration)
            self._started += 1
            self._full += cost.seconds(1.0)
        if "match" in self._views:
            self._coded[trial] = self._space.encode(configuration)

    def on_report(self, trial: int, progress: float, loss: float) -> Decision:
        """Pause at the next rung."""
        curve = self._curves[trial]
        before = max(curve, default=0.0)
        curve[progress] = loss
        if trial < self._exempt:
            return Decision.CONTINUE
        self._spent += self._way(trial, before, progress)
        if self._rung == len(self._rungs) or progress < self._rungs[self._rung]:
            return Decision.CONTINUE
        if self._rung == 0:
            self._first[trial] = min(curve.values())
        self._waiting.append(trial)
        self._miss_one_less()
        return Decision.PAUSE

    def next_check(self, trial: int, progress: float) -> float:
        """The next rung."""
        if trial < self._exempt:
            return 1.0
        late = self._rung < len(self._rungs) and self._rungs[self._rung] <= progress  # it had no loss there
        return min((point for point in (self._points if late else self._rungs) if point > progress), default=1.0)

    def on_complete(self, trial: int, loss: float, performance: float) -> None:
        """Keep the curve, if others may be matched with it."""
        curve = self._curves[trial]
        if trial < self._exempt:
            curve[1.0] = loss if loss == loss else [*curve.values(), np.nan][-1]
            return
        if self._rung < len(self._rungs):
            self._spent += self._way(trial, max(curve, default=0.0), 1.0)
            if self._rung == 0:
                self._first[trial] = loss if loss == loss else np.inf
            self._miss_one_less()
        self._forget(trial)

    def on_failure(self, trial: int) -> None:
        """The others no longer wait for it."""
        if trial >= self._exempt:
            before = max(self._curves[trial], default=0.0)
            ways = (self._way(trial, before, point) for point in self._points if point > before)
            self._spent += next((way for way in ways if way > 0), 0.0)
            if self._rung == 0:
                self._first[trial] = np.inf
            if self._rung < len(self._rungs):
                self._miss_one_less()
        self._forget(trial)

    def decide_paused(self) -> Sequence[tuple[int, Decision]]:
        """Who goes on and who stops where a rung is complete."""
        verdicts, self._verdicts = self._verdicts, []
        return verdicts

    def _forget(self, trial: int) -> None:
        self._curves.pop(trial, None)
        self._coded.pop(trial, None)
        self._costs.pop(trial, None)

    def _way(self, trial: int, start: float, end: float) -> float:
        """What a trial costs between two shares of its training."""
        return self._costs[trial].seconds(end) - self._costs[trial].seconds(start)

    def _left(self) -> float:
        """What is left of the budget, in means of the started trials' full cost."""
        return self._budget - self._spent * self._started / self._full

    def _miss_one_less(self) -> None:
        self._missing -= 1
        if self._missing:
            return
        if self._prior is None or self._trust is not None or self._judge(self._prior):
            self._close()

    def _judge(self, prior: Prior) -> bool:
        """The guard: believe the record, or drop it and let the others start. Whether there is nobody to wait for."""
        seen = sorted(self._first)
        found = correlation(prior.first[seen], np.array([self._first[trial] for trial in seen]))
        believed = found >= self.options.guard and len(seen) >= FEWEST
        self._trust = found if believed else 0.0
        if not believed:
            self._missing = self._all - self._admitted
            self._admitted = self._all
        return self._missing == 0

    def _close(self) -> None:
        """Let the best go on and stop the others."""
        waiting = sorted(self._waiting)
        if self._rung == 0 and self._trust and self._prior is not None:
            keep = min(self._prior.chosen, len(waiting))
            self._plan_anew(keep)
        else:
            keep = self._quota(waiting, waiting) if waiting else 0
        order = self._ordered(waiting) if keep < len(waiting) else waiting
        if not (self._rung == 0 and self._trust):
            while keep and (fewer := self._quota(waiting, order[:keep])) < keep:  # the better may be the longer
                keep = fewer
        if self._rung == len(self._rungs) - 1:
            keep = self._payable(order[:keep])
        self._verdicts += [(trial, Decision.CONTINUE) for trial in order[:keep]]
        self._verdicts += [(trial, Decision.STOP) for trial in order[keep:]]
        for trial in order[keep:]:
            self._forget(trial)
        self._waiting.clear()
        self._rung += 1
        self._missing = keep
        # Whoever is kept passes every further rung: with nobody left there is nothing to close.
        if not keep:
            self._rung = len(self._rungs)

    def _quota(self, waiting: Sequence[int], going: Sequence[int]) -> int:
        """How many go on; if those that may cost more than the mean of all, legs are longer."""
        mean = sum(self._costs[trial].seconds(1.0) for trial in going) / len(going)
        longer = mean * self._started / self._full
        legs = (0.0, *(leg * longer for leg in self._legs[self._rung + 1 :]))
        return counts_of(len(waiting), legs, self._left(), self._finalists)[1]

    def _payable(self, order: Sequence[int]) -> int:
        """How many of those that would go to the end the budget pays for, one at least."""
        left, keep = self._left() * self._full / self._started if order else 0.0, 0
        for trial in order:
            left -= self._way(trial, self._rungs[-1], 1.0)
            if keep and left < -1e-9 * self._full:
                break
            keep += 1
        return keep

    def _plan_anew(self, trials: int) -> None:
        """Rungs for so many trials in place of all: there is more for each, so the next comparison may come later."""
        first = self._rungs[0]
        cost = min(self._left() / max(1, trials), 1.0)
        self._rungs = (first, *(rung for rung in rungs_of(self._points, cost) if rung > first))
        self._legs = [b - a for a, b in pairwise((0.0, *self._rungs, 1.0))]

    def _ordered(self, waiting: Sequence[int]) -> list[int]:
        """The trials that wait, the best first."""
        rung = self._rungs[self._rung]
        reached = [point for point in self._points if point <= rung]
        curves = np.array([self._filled(trial, reached) for trial in waiting])
        curves[:, -1] = [
            [*self._curves[trial].values()][-1] for trial in waiting
        ]  # of those that came late, a later one
        score = np.mean([ranks(self._view(name, curves, waiting)) for name in self._views], axis=0)
        if self._prior is not None and self._trust:
            weight = RECORD_WEIGHT * self._trust * (1.0 - rung)
            score = score + weight * ranks(self._prior.final[list(waiting)])
        return [waiting[place] for place in np.lexsort((curves[:, -1], score))]

    def _filled(self, trial: int, points: Sequence[float]) -> list[float]:
        """A trial's losses at points: where there is none, the last before, or else the first of all."""
        curve, filled = self._curves[trial], []
        last = next(iter(curve.values()), np.nan)
        for point in points:
            last = curve.get(point, last)
            filled.append(last)
        return filled

    def _view(self, name: str, curves: Floats, waiting: Sequence[int]) -> Floats:
        match name:
            case "last":
                return curves[:, -1]
            case "lowest":
                return lowest(curves)
            case "gain":
                return gain(curves, self._points[: curves.shape[1]])
            case _:
                first = np.array([loss for loss in self._first.values() if np.isfinite(loss)])
                coded = np.array([self._coded[trial] for trial in waiting])
                return self._matcher.predictions(normalised(curves, first), coded, self._known(first))

    def _known(self, first: Floats) -> Library:
        """The record's curves and those of this run that never paused."""
        own = [trial for trial in range(self._exempt) if trial in self._curves]
        levels = np.full((len(own), len(self._points)), np.nan)
        there = [[p for p in self._points if p <= max(self._curves[trial], default=0.0)] for trial in own]
        for row, trial in enumerate(own):
            levels[row, : len(there[row])] = self._filled(trial, there[row])
        reached = np.array([*map(len, there)], np.int64)
        coded = np.array([self._coded[trial] for trial in own]).reshape(len(own), len(self._space.variables))
        ours = Library(normalised(levels, first), coded, reached)
        return ours if self._library is None else self._library.joined(ours)
