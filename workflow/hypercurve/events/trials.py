"""A trial so far, as the events and actions of a journal tell it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

from .events import Action, Completed, Copy, Event, Failed, Pause, Reported, Resume, Started, Stop

if TYPE_CHECKING:  # would import pydantic and NumPy
    from ..space.search_space import Configuration

Status = Literal["running", "paused", "completed", "stopped", "failed"]


class Stretch(NamedTuple):
    """A part of a trial's training under one configuration; only members of populations have more than one.

    Attributes:
        progress: share of the training from which it holds.
        configuration: the hyperparameters; a schedule of theirs counts from here.
        donor: the member whose weights and hyperparameters were copied; None at the start.
        at: share of training at which the donor's state was taken: as it arrived there, before it copied anybody itself.
        generation: the member's reports before it, which is the number of the evolution step.
    """

    progress: float
    configuration: "Configuration"
    donor: int | None = None
    at: float = 0.0
    generation: int = 0


@dataclass(slots=True)
class TrialState:
    """One trial so far.

    Attributes:
        number: from 0.
        configuration: its hyperparameters, for a member of a population those that it has now; inactive ones are absent.
        started: virtual time of its start.
        status: where it stands.
        progress: share of the training reported, in [0, 1].
        curve: (progress, metrics) of every report, as long as somebody needs it.
        seconds: computing seconds (training and evaluation).
        cost: virtual seconds.
        reports: how many reports, completions and failures it has had.
        paused: virtual seconds for which it was paused.
        reason: why it failed; None again once it has been revived by a copy.
        stretches: what it trained under, once it has copied anybody; see :attr:`history`.
    """

    number: int
    configuration: "Configuration"
    started: float = 0.0
    status: Status = "running"
    progress: float = 0.0
    curve: list[tuple[float, Mapping[str, float]]] = field(default_factory=list)
    seconds: float = 0.0
    cost: float = 0.0
    reports: int = 0
    paused: float = 0.0
    reason: str | None = None
    stretches: tuple[Stretch, ...] = ()

    @property
    def origin(self) -> float:
        """Virtual time at which it would have started, had it never been paused: it reaches cost c at origin + c."""
        return self.started + self.paused

    @property
    def history(self) -> tuple[Stretch, ...]:
        """What it trained under, in order; a copy begins a new stretch."""
        return self.stretches or (Stretch(0.0, self.configuration),)

    @property
    def metrics(self) -> Mapping[str, float]:
        """What it reported at its end; empty if it did not get there, or its curve is not kept."""
        return self.curve[-1][1] if self.status == "completed" and self.curve else {}

    def performance(self, objective: str) -> float | None:
        """The objective's value at the end, given its key (``val_accuracy``); None where :attr:`metrics` has none."""
        return self.metrics.get(objective)

    def take(self, event: Event, time: float, seconds: float) -> None:
        """An event of this trial, at a virtual time, after so many computing seconds."""
        self.progress = event.progress
        self.cost = time - self.origin
        self.seconds += seconds
        match event:
            case Reported(metrics=metrics):
                self.curve.append((event.progress, metrics))
            case Completed(metrics=metrics):
                self.curve.append((1.0, metrics))
                self.status = "completed"
            case Failed(reason=reason):
                self.status, self.reason = "failed", reason
            case Started():
                return
        self.reports += 1

    def apply(self, action: Action, time: float) -> None:
        """An action on this trial, which has started, at a virtual time."""
        match action:
            case Stop():
                self.status = "stopped"
            case Pause():
                self.status = "paused"
            case Resume():
                self.status, self.paused = "running", time - self.cost - self.started
            case Copy(_, source, at, configuration):
                self.stretches = (*self.history, Stretch(self.progress, configuration, source, at, self.reports))
                self.configuration, self.status, self.reason = configuration, "running", None
