"""Early stopping within a trial: the stopper ``patience``."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field
from typing_extensions import override

from ..space.search_space import Configuration
from ..util.schema import Number, Problem, Whole
from ..util.words import short
from .stopper import Decision, StopContext, StopOptions, Stopper


class PatienceOptions(StopOptions):
    """Early stopping: a trial ends when its own loss has not improved for a while."""

    points: Annotated[Whole, Field(ge=1)] | None = None
    """Accumulation points without improvement that end a trial; by default, a fifth of all points, rounded down, but at
    least 2."""
    margin: Annotated[Number, Field(ge=0)] = 0.0
    """How much lower a loss must be to be an improvement."""

    def wait(self, points: int) -> int:
        """Points without improvement that end a trial, of so many."""
        return self.points or max(2, points // 5)


class Patience(Stopper):
    """A trial stops when its loss has not improved for a number of points; it is compared with itself alone.

    The rule, as in Keras' ``EarlyStopping`` (Prechelt 1998 compares criteria): a loss below the lowest so far by more
    than ``margin`` is an improvement, and the first loss is one. At the ``points``-th report in a row without one, the trial
    stops. Equal losses are no improvement. A point without a loss is not counted.
    """

    rule = "Stop a trial when its own loss has not improved for a number of points."
    source = "Prechelt 1998, Early stopping — but when?"
    Options = PatienceOptions
    examples = ({}, {"points": 2})

    @override
    @classmethod
    def explain(cls, options: PatienceOptions, context: StopContext) -> str:
        points = len(context.points)
        least = f" by more than {options.margin:g}" if options.margin else ""
        return (
            f"Early stopping: a trial ends when its loss has not improved{least} for {short(options.wait(points))} of "
            f"{short(points)} accumulation points."
        )

    @override
    @classmethod
    def doubts(cls, options: PatienceOptions, context: StopContext) -> Iterator[Problem]:
        """More patience than there are points: the first loss is one, and at the last point a trial is at its end."""
        points = len(context.points)
        if options.wait(points) > points - 2 > -1:
            said = f"{options.wait(points)} points without improvement never come before the end of {points}"
            less = f"take {points - 2} at most, or " if points > 2 else "take "
            yield Problem(("points",), f"{said}, so no trial is stopped: {less}more `training.accumulation_points`")

    def __init__(self, options: PatienceOptions, context: StopContext):
        super().__init__(options, context)
        self._all = context.points
        self._numbers = {point: number for number, point in enumerate(self._all, start=1)}
        self._points, self._margin = options.wait(len(self._all)), options.margin
        self._best: dict[
            int, tuple[float, int]
        ] = {}  # by trial: lowest loss, and reports since; -1 before there is one

    def on_start(self, trial: int, configuration: Configuration) -> None:
        """Nothing is known yet."""
        self._best[trial] = float("inf"), -1

    def on_report(self, trial: int, progress: float, loss: float) -> Decision:
        """Count the reports since the lowest loss."""
        best, since = self._best[trial]
        self._best[trial] = (loss, 0) if loss < best - self._margin else (best, since + 1)
        if self._best[trial][1] >= self._points:
            del self._best[trial]
            return Decision.STOP
        return Decision.CONTINUE

    def next_check(self, trial: int, progress: float) -> float:
        """The earliest point at which patience can be at its end."""
        since = self._best.get(trial, (0.0, -1))[1]
        number = self._numbers.get(progress, 0) + self._points - since
        return self._all[number - 1] if number < len(self._all) else 1.0

    def on_complete(self, trial: int, loss: float, performance: float) -> None:
        """Forget it."""
        del self._best[trial]

    def on_failure(self, trial: int) -> None:
        """Forget it."""
        del self._best[trial]
