"""Asynchronous successive halving (ASHA; Li et al. 2020), in its two forms: the stopper ``asha``.

In both, trials that reach a rung are compared with all that have reached it so far; nobody waits for anybody. A failed trial
leaves its losses at the rungs that it has passed, and counts at no other. A trial without a loss at a rung reaches it with
its next one; if that is at another rung, it is compared there alone.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

from typing_extensions import override

from ..space.search_space import Configuration
from ..util.schema import Problem
from ..util.words import shares
from . import brackets
from .halving import too_few
from .lowest import Lowest
from .rungs import Rungs
from .stopper import Decision, Factor, Point, StopContext, StopOptions, Stopper, beyond


class AshaOptions(StopOptions):
    """Asynchronous successive halving (Li et al. 2020): at rungs, trials are compared with those that were there before."""

    form: Literal["promotion", "stopping"] = "promotion"
    """`promotion` (the paper's): everybody pauses at a rung, and goes on when good enough; `stopping`: who is not good
    enough at once stops."""
    reduction_factor: Factor = 3
    """η: one in so many goes on at each rung."""
    first_rung: Point | None = None
    """r: number of the accumulation point of the first rung; the next are at η, η², ... times this. By default, a fifteenth
    of all points, rounded down, but at least 1."""

    def rungs(self, points: Sequence[float]) -> list[float]:
        """Shares of training at which trials are compared."""
        first = brackets.first_of(self.first_rung, len(points))
        return [points[k - 1] for k in brackets.rung_points(len(points), self.reduction_factor, first)]

    @override
    def problems(self, points: Sequence[float], trials: int | None) -> Iterator[Problem]:
        """A rung at the end or beyond."""
        yield from beyond("first_rung", self.first_rung, points)

    @property
    @override
    def pauses(self) -> bool:
        return self.form == "promotion"


class Asha(Stopper):
    """At rungs, a trial is compared with all that were there before, and goes on while among the best floor(n/η)."""

    source = "Li et al. 2020, A system for massively parallel hyperparameter tuning, MLSys, Algorithm 2"
    Options = AshaOptions
    examples = (
        {},
        {"reduction_factor": 2, "first_rung": 2},
        {"form": "stopping"},
        {"form": "stopping", "reduction_factor": 4, "first_rung": 2},
    )

    @override
    @classmethod
    def build(cls, options: AshaOptions, context: StopContext) -> "Asha":
        rungs = options.rungs(context.points)
        if options.form == "promotion":
            return AshaPromotion(rungs, options.reduction_factor, context.points, context.trials)
        return AshaStopping(rungs, options.reduction_factor, context.points)

    @override
    @classmethod
    def explain(cls, options: AshaOptions, context: StopContext) -> str:
        rungs = options.rungs(context.points)
        if not rungs:
            return "Asynchronous successive halving without rungs: every trial is trained to its end."
        best = f"among the best 1/{options.reduction_factor} of all that have come there"
        rule = (
            f"a trial pauses, and goes on once it is {best}"
            if options.form == "promotion"
            else f"a trial is stopped unless it is {best} so far, or the best"
        )
        return f"Asynchronous successive halving ({options.form} form): at {shares(rungs)} of its training {rule}."

    @override
    @classmethod
    def doubts(cls, options: AshaOptions, context: StopContext) -> Iterator[Problem]:
        """Fewer trials than those of which one goes on."""
        yield from too_few(options.reduction_factor, context.trials)


class AshaStopping(Asha):
    """The stopping form: whoever is not good enough at a rung stops there.

    The rule: let n trials have reached the rung, this one included. It goes on if fewer than max(1, floor(n / η)) of them
    have a loss strictly lower than its own *at this rung*; otherwise it stops. So the first at a rung always goes on, and
    equal losses are equally good. Nobody is judged again later.

    This is the rule of Optuna's ``SuccessiveHalvingPruner`` at one rung. Ray Tune and Syne Tune, in their stopping forms,
    compare with an interpolated quantile instead; the paper describes the promotion form alone.

    Args:
        rungs: shares of training, increasing, below 1.
        factor: η, at least 2.
        points: the accumulation points.
    """

    def __init__(self, rungs: Sequence[float], factor: int, points: Sequence[float]):
        self._rungs = {point: Lowest() for point in rungs}
        self._factor, self._passed = factor, Rungs(rungs, points)

    def on_report(self, trial: int, progress: float, loss: float) -> Decision:
        """Compare at rungs."""
        at = self._passed.reached(trial, progress)
        if at is None:
            return Decision.CONTINUE
        rung = self._rungs[at]
        rung.add(loss, trial, max(1, (len(rung) + 1) // self._factor))
        if loss <= rung.highest[0]:
            return Decision.CONTINUE
        self._passed.forget(trial)
        return Decision.STOP

    def next_check(self, trial: int, progress: float) -> float:
        """The next rung."""
        return self._passed.next(trial, progress)

    def on_complete(self, trial: int, loss: float, performance: float) -> None:
        """Forget it."""
        self._passed.forget(trial)

    def on_failure(self, trial: int) -> None:
        """Forget it."""
        self._passed.forget(trial)


class AshaPromotion(Asha):
    """The promotion form (Li et al. 2020, Algorithm 2): everybody pauses at each rung, and goes on when good enough.

    The rule: a trial that comes to a rung pauses. Of the n trials that have reached a rung so far, those among the best
    floor(n / η) that have not gone on yet may go on at once, the best first; a free slot takes them before it starts a new
    trial. Equal losses: the lower trial number is better. A report makes at most one trial at one rung good enough, so the
    paper's search from the top rung down always finds it.

    The paper's runs end by time. Where the number of trials is known, the end is this: when all have started and none is
    going, and none has completed yet, the best paused trial at the highest rung with any goes on; once one has
    completed, all that are paused stop.

    Args:
        rungs: shares of training, increasing, below 1.
        factor: η, at least 2.
        points: the accumulation points.
        trials: how many trials there will be; None: without end.
    """

    def __init__(self, rungs: Sequence[float], factor: int, points: Sequence[float], trials: int | None):
        self._rungs = {point: Lowest() for point in rungs}
        self._factor, self._passed = factor, Rungs(rungs, points)
        self._left = trials  # to start
        self._going = 0
        self._completed = False
        self._paused: dict[int, tuple[float, float]] = {}  # by trial: rung and loss
        self._good: int | None = None  # goes on next

    def on_start(self, trial: int, configuration: Configuration) -> None:
        """Count it."""
        self._going += 1
        if self._left is not None:
            self._left -= 1

    def on_report(self, trial: int, progress: float, loss: float) -> Decision:
        """Pause at rungs."""
        at = self._passed.reached(trial, progress)
        if at is None:
            return Decision.CONTINUE
        rung = self._rungs[at]
        self._paused[trial] = at, loss
        self._going -= 1
        entered = rung.add(loss, trial, (len(rung) + 1) // self._factor)
        # One that had gone on and was overtaken since may be among the best again.
        if entered is not None and self._paused.get(entered, (None,))[0] == at:
            self._good = entered
        return Decision.PAUSE

    def next_check(self, trial: int, progress: float) -> float:
        """The next rung."""
        return self._passed.next(trial, progress)

    def on_complete(self, trial: int, loss: float, performance: float) -> None:
        """Count it."""
        self._going -= 1
        self._completed = True
        self._passed.forget(trial)

    def on_failure(self, trial: int) -> None:
        """Count it."""
        self._going -= 1
        self._passed.forget(trial)

    def decide_paused(self) -> Sequence[tuple[int, Decision]]:
        """Whoever has become good enough; at the end of all trials, what becomes of the rest."""
        if self._good is None and self._left == 0 and not self._going and self._paused:
            if self._completed:
                stopped = [(trial, Decision.STOP) for trial in sorted(self._paused)]
                self._paused.clear()
                return stopped
            self._good = min(self._paused, key=lambda trial: (-self._paused[trial][0], self._paused[trial][1], trial))
        if self._good is None:
            return ()
        good, self._good = self._good, None
        del self._paused[good]
        self._going += 1
        return [(good, Decision.CONTINUE)]
