"""What a stopper is: a rule that says which trials go on, and all that the package must know of it.

A stopper is one class in one file, with one line in :mod:`.registry`; or a class of the user's own, named in the experiment
(docs/your-rule.md). What its rule does not need, it leaves to :class:`Stopper`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Annotated, Any, ClassVar, Literal, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import Field

from ..curves.record import Record
from ..space.search_space import Configuration, Space
from ..util.rule import Rule
from ..util.schema import Model, Problem, Whole
from .quotas import COST, first_rung_of

Floats = npt.NDArray[np.float64]
Factor = Annotated[Whole, Field(ge=2, le=1_000_000)]
Point = Annotated[Whole, Field(ge=1)]
"""Number of an accumulation point, from 1."""


class Decision(Enum):
    """What becomes of a trial that has reported."""

    CONTINUE = "continue"
    PAUSE = "pause"
    """Wait, without a slot, for the others; its session is kept, so it can go on where it is."""
    STOP = "stop"
    """End for good, and free the memory."""


class Prior(Protocol):
    """What a record says about trials by number: :class:`..search.preselection.Preselection`."""

    chosen: int
    probed: int

    @property
    def final(self) -> Floats:
        """Their predicted order at the end."""
        ...

    @property
    def first(self) -> Floats:
        """Their predicted order at the first rung."""
        ...


class TrialCost(Protocol):
    """What a trial costs, in any unit: :class:`..curves.cost.TrialCost`."""

    def seconds(self, progress: float) -> float:
        """Until a share of the training is reached."""
        ...


class EqualCost:
    """All trials cost the same."""

    def seconds(self, progress: float) -> float:
        """As much as the share of the training."""
        return progress


@dataclass(frozen=True)
class StopContext:
    """What a stopper may know of its run beside its own options.

    Attributes:
        points: accumulation points: shares of training, increasing, ending with 1.
        trials: how many trials may start; None: without end.
        mode: whether a performance is better when larger (``max``) or smaller (``min``). Losses are lower, the better.
        space: the search space.
        cost: share of all trials' full training that the budget allows; None: it does not say.
        cost_of: what a configuration's training costs.
        record: earlier experiments, where the method has them.
        prior: what they say about the trials, where trials come in the order of a record.
        method: the method's name, for messages.
    """

    points: tuple[float, ...]
    trials: int | None = None
    mode: Literal["min", "max"] = "max"
    space: Space = field(default_factory=lambda: Space({}))
    cost: float | None = None
    cost_of: Callable[[Configuration], TrialCost] = lambda _: EqualCost()
    record: Record | None = None
    prior: Prior | None = None
    method: str = ""


class StopOptions(Model):
    """Base of stoppers' options."""

    def problems(self, points: Sequence[float], trials: int | None) -> Iterator[Problem]:
        """What does not fit the rest of an experiment; paths begin at the options.

        Args:
            points: the accumulation points.
            trials: the budget's number of trials, if that is what it is in.
        """
        yield from ()

    @classmethod
    def moved(cls, given: Mapping[str, Any], points: Sequence[float]) -> dict[str, Any]:
        """Options that name shares of training, moved to the nearest accumulation points."""
        return {}

    @property
    def pauses(self) -> bool:
        """Whether trials wait for others, so that a run with fewer trials is not the beginning of one with more."""
        return False

    @property
    def counts_trials(self) -> bool:
        """Whether decisions depend on the budget's number of trials."""
        return False

    @property
    def calibrates(self) -> bool:
        """Whether an option follows from a record, which then chooses no trials."""
        return False

    @property
    def tests_record(self) -> bool:
        """Whether the rule compares what a record predicts with what is seen, so that all trials may start."""
        return False


class Stopper(Rule):
    """Decides which trials go on, from learning curves alone.

    Reports of one trial come in order of progress; reports of different trials may interleave. A loss that is NaN or
    infinite never arrives. A trial need not report at every accumulation point: one with fewer epochs than points reports
    each epoch once, and where it has no loss (yet), the stopper is not asked and the trial goes on. Decisions follow from
    the calls alone: no clock, no files, no random numbers but those of :func:`hypercurve.util.seeding.generator`.

    Args:
        options: its options, an instance of :attr:`Options`.
        context: what else it may know.

    Attributes:
        rule, source, examples: see :class:`hypercurve.util.rule.Rule`.
        Options: the model of its options; the docstring below each field says what it means.
        takes_prior: whether trials may come in the order that a record predicts.
    """

    rule: ClassVar[str] = ""  # so that a subclass that says nothing has none of ours
    Options: ClassVar[type[StopOptions]] = StopOptions
    takes_prior: bool = True

    def __init__(self, options: Any, context: StopContext):
        self.options, self.context = options, context

    @classmethod
    def build(cls, options: Any, context: StopContext) -> "Stopper":
        """The stopper of a run, for a rule with a class for each of its forms."""
        return cls(options, context)

    @classmethod
    def explain(cls, options: Any, context: StopContext) -> str:
        """What it does with these options, in a sentence for the report."""
        return cls.with_options(options)

    @classmethod
    def explain_record(cls, options: Any) -> str:
        """What becomes of the trials that a record has put in order, for a rule that tests it; the end of a sentence."""
        return ""

    @classmethod
    def preselected(cls, options: Any, context: StopContext, share: float | None) -> tuple[int, int]:
        """How many trials a record chooses, and how many others go to the first rung to test it.

        Args:
            share: share of the trials to choose, where the method says it.
        """
        assert context.trials is not None, "checked with the experiment"
        return context.trials, 0

    @classmethod
    def first_rung(cls, options: Any, context: StopContext) -> float:
        """Share of training at which trials are compared first, for what a record predicts there."""
        return first_rung_of(context.points, COST)

    def can_start(self, trial: int) -> bool:
        """Whether the trial that is next may start, as things stand; asked again after every event."""
        return True

    def on_start(self, trial: int, configuration: Configuration) -> None:
        """A trial is about to train."""

    def on_report(self, trial: int, progress: float, loss: float) -> Decision:
        """A trial has reached an accumulation point in (0, 1), and has a loss there."""
        return Decision.CONTINUE

    def next_check(self, trial: int, progress: float) -> float:
        """The next point after ``progress`` at which the trial may be stopped or paused, as far as is known; 1: its end.

        Up to there its training will not be in vain, so executors train it ahead of decisions. Asked of trials that
        have not started as well. By default the next accumulation point.
        """
        return next(point for point in self.context.points if point > progress)

    def on_complete(self, trial: int, loss: float, performance: float) -> None:
        """A trial has trained to its end; the loss is NaN where none was reported there."""

    def on_failure(self, trial: int) -> None:
        """A trial diverged or raised."""

    def decide_paused(self) -> Sequence[tuple[int, Decision]]:
        """What becomes of paused trials; asked after every event, and each paused trial is answered for once.

        CONTINUE: it goes on as soon as a slot is free, in this order and before new trials start. STOP: it never goes on.
        What is still paused when nothing is going any more, and no trial is left to start, ends with the run, as stopped.
        A stopper that never pauses returns nothing.
        """
        return ()


def beyond(name: str, point: int | None, points: Sequence[float]) -> Iterator[Problem]:
    """An accumulation point, given by its number, at which nobody can stop any more."""
    if point is not None and point >= len(points):
        last = len(points) - 1
        said = f"there are {len(points)}, and at the last a trial is at its end: at most {last}"
        yield Problem((name,), f"is the number of an accumulation point; {said if last else 'there is only one'}")


def nearest_point(share: float, points: Sequence[float]) -> float | None:
    """The accumulation point before the end that is nearest to a share of training; None if there is none."""
    return min((point for point in points if point < 1), key=lambda point: abs(point - share), default=None)


def foreign(share: float, points: Sequence[float]) -> str:
    """What is wrong with a share of training that is no accumulation point."""
    around = (max((p for p in points if p < share), default=None), min((p for p in points if p > share), default=None))
    close = " and ".join(f"{p if p < 1 else 1}" for p in around if p is not None)
    return f"{share} is not an accumulation point; training.accumulation_points has {len(points)}, next to it {close}"


def undecided(configurations: int | None, trials: int | None) -> Iterator[Problem]:
    """A number of configurations that is neither given nor the budget's."""
    if configurations is None and trials is None:
        yield Problem((), "needs `configurations` (n): the budget is not in trials, so their number is open")


def number_of(configurations: int | None, context: StopContext) -> int:
    """n: as given, or the number of trials."""
    found = configurations or context.trials
    assert found is not None, "checked with the experiment"
    return found
