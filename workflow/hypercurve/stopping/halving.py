"""Synchronous successive halving: the stopper ``halving``, and what ``hyperband`` and ``fixed`` share with it.

Successive halving as in Jamieson and Talwalkar 2016 and Karnin et al. 2013; brackets in :mod:`.brackets`.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from typing_extensions import override

from ..space.search_space import Configuration
from ..util.schema import Problem
from ..util.words import listing, shares, short
from . import brackets
from .brackets import Bracket, Rung, total
from .stopper import Decision, Factor, Point, StopContext, StopOptions, Stopper, beyond, number_of, undecided


@dataclass(slots=True)
class Round:
    """A bracket under way.

    Attributes:
        rungs: that are still to come, the next first.
        missing: trials that have neither come to the next rung nor failed.
        arrived: loss and number of the trials that wait there.
    """

    rungs: list[Rung]
    missing: int
    arrived: list[tuple[float, int]] = field(default_factory=list)


class SuccessiveHalving(Stopper):
    """Trials of a bracket wait at each rung for each other; the best go on, the others stop.

    The rule:

    - Trials belong to brackets by number: the first bracket has the first trials, and so on; after the last bracket comes
      the first again. Where the number of trials is known, the last bracket may have fewer: see :meth:`Bracket.of`.
    - A trial that comes to the next rung of its bracket pauses. When all trials of the bracket have come there, failed, or
      been stopped before, the ``keep`` with the lowest losses *at this rung* go on, the best first, and the others stop for
      good. If fewer than ``keep`` have come, all go on.
    - Equal losses: the lower trial number is better.
    - A failed trial (NaN and infinite losses fail trials) counts as one of the bracket, and is never kept.
    - A trial without a loss at the rung comes to it with its next one; one that completes first is no longer waited for.
    - What has passed the last rung trains to its end.

    While a bracket waits for its slowest, its slots go to the next bracket's trials.

    Args:
        brackets: at least one.
        points: accumulation points, increasing, ending with 1.
        trials: how many trials there will be; None: without end.
    """

    def __init__(self, brackets: Sequence[Bracket], points: Sequence[float], trials: int | None):
        self._brackets, self._points, self._trials = brackets, points, trials
        self._numbers = {point: number for number, point in enumerate(points, start=1)}
        self._ends = list(accumulate(bracket.size for bracket in brackets))
        self._total = total(brackets)
        self._rounds: dict[int, Round] = {}  # by number of the bracket in the run
        self._verdicts: list[tuple[int, Decision]] = []

    def on_start(self, trial: int, configuration: Configuration) -> None:
        """Open its bracket."""
        number, bracket = self._bracket(trial)
        if bracket.rungs and number not in self._rounds:
            self._rounds[number] = Round(list(bracket.rungs), bracket.size)

    def on_report(self, trial: int, progress: float, loss: float) -> Decision:
        """Pause at the bracket's next rung."""
        number, _ = self._bracket(trial)
        current = self._rounds.get(number)
        if current is None or self._numbers[progress] < current.rungs[0].point:
            return Decision.CONTINUE
        current.arrived.append((loss, trial))
        self._miss_one_less(number, current)
        return Decision.PAUSE

    def next_check(self, trial: int, progress: float) -> float:
        """The next rung of the trial's bracket."""
        number, bracket = self._bracket(trial)
        later = [self._points[rung.point - 1] for rung in bracket.rungs]
        current = self._rounds.get(number)
        if current is not None and self._points[current.rungs[0].point - 1] <= progress:  # it had no loss there
            later = [*self._points]
        return min((point for point in later if point > progress), default=1.0)

    def on_complete(self, trial: int, loss: float, performance: float) -> None:
        """The others no longer wait for it, if they did."""
        self.on_failure(trial)

    def on_failure(self, trial: int) -> None:
        """The others no longer wait for it."""
        number, _ = self._bracket(trial)
        if (current := self._rounds.get(number)) is not None:
            self._miss_one_less(number, current)

    def decide_paused(self) -> Sequence[tuple[int, Decision]]:
        """Who goes on and who stops where a rung is complete."""
        verdicts, self._verdicts = self._verdicts, []
        return verdicts

    def _bracket(self, trial: int) -> tuple[int, Bracket]:
        """Number of a trial's bracket in the run, from 0, and the bracket as large as it will be."""
        cycle, place = divmod(trial, self._total)
        index = bisect_right(self._ends, place)
        number, bracket = cycle * len(self._brackets) + index, self._brackets[index]
        if self._trials is not None and (left := self._trials - self._first(number)) < bracket.size:
            return number, bracket.of(left)
        return number, bracket

    def _first(self, number: int) -> int:
        """The first trial of a bracket."""
        cycle, index = divmod(number, len(self._brackets))
        return cycle * self._total + self._ends[index] - self._brackets[index].size

    def _miss_one_less(self, number: int, current: Round) -> None:
        current.missing -= 1
        if current.missing:
            return
        keep = current.rungs.pop(0).keep
        for rank, (_, trial) in enumerate(sorted(current.arrived)):
            self._verdicts.append((trial, Decision.CONTINUE if rank < keep else Decision.STOP))
        current.missing = min(keep, len(current.arrived))
        current.arrived.clear()
        if not current.rungs or not current.missing:
            del self._rounds[number]


def too_few(factor: int, trials: int | None) -> Iterator[Problem]:
    """Fewer trials than those of which one goes on."""
    if trials is not None and trials < factor:
        said = f"one in {factor} trials goes on at a rung, and there are {trials}"
        yield Problem(("reduction_factor",), f"{said}: take more trials, or a smaller `reduction_factor`")


def waiting(bracket: Bracket, points: Sequence[float]) -> str:
    """A bracket of trials that wait for each other, in words."""
    if not bracket.rungs:
        return f"{short(bracket.size)} trials train to the end."
    steps = [f"the best {short(keep)} go on at {shares([points[point - 1]])}" for point, keep in bracket.rungs]
    return f"of {short(bracket.size)} trials, {listing(steps)} of training."


class HalvingOptions(StopOptions):
    """Synchronous successive halving (Jamieson and Talwalkar 2016): trials wait at rungs, and the best share goes on."""

    reduction_factor: Factor = 3
    """η: one in so many goes on at each rung."""
    first_rung: Point | None = None
    """r: number of the accumulation point of the first rung; the next are at η, η², ... times this. By default, a fifteenth
    of all points, rounded down, but at least 1."""
    configurations: Point | None = None
    """n: trials in a bracket; by default the budget's number of trials."""

    def bracket(self, context: StopContext) -> Bracket:
        """The bracket that all trials belong to, or as many as it has."""
        points = len(context.points)
        size = number_of(self.configurations, context)
        return brackets.halving(size, points, self.reduction_factor, brackets.first_of(self.first_rung, points))

    @override
    def problems(self, points: Sequence[float], trials: int | None) -> Iterator[Problem]:
        """A rung at the end or beyond, and a number of configurations that is open."""
        yield from beyond("first_rung", self.first_rung, points)
        yield from undecided(self.configurations, trials)

    @property
    @override
    def pauses(self) -> bool:
        return True


class Halving(SuccessiveHalving):
    """Trials wait for each other at rungs; at rung k = 1, 2, ... the best floor(n/η^k) go on."""

    source = "Karnin et al. 2013; Jamieson and Talwalkar 2016, Non-stochastic best arm identification, AISTATS"
    Options = HalvingOptions
    examples = ({}, {"configurations": 7, "reduction_factor": 2, "first_rung": 2})

    def __init__(self, options: HalvingOptions, context: StopContext):
        super().__init__([options.bracket(context)], context.points, context.trials)

    @override
    @classmethod
    def explain(cls, options: HalvingOptions, context: StopContext) -> str:
        return f"Successive halving: {waiting(options.bracket(context), context.points)}"

    @override
    @classmethod
    def doubts(cls, options: HalvingOptions, context: StopContext) -> Iterator[Problem]:
        """A bracket that the trials do not fill, or that is none."""
        size, trials = number_of(options.configurations, context), context.trials
        if trials is not None and size > trials:
            said = f"the bracket is of {size} trials, and there are {trials}, which all wait for each other"
            yield Problem(("configurations",), f"{said}: take {trials} at most, or more trials")
        yield from too_few(options.reduction_factor, size)
