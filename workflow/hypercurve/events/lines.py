"""The lines of a journal, typed. What they look like in the file is :mod:`hypercurve.events.encoding`'s part."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from .events import Action, Event

EndReason = Literal["finished", "seconds", "samples", "cost"]


def began_at(at: float | None, seconds: float, overhead: float, reused: bool) -> float | None:
    """When the training for a report that ended then began, in seconds since 1970; what is reused took no time."""
    return at if at is None or reused else at - seconds - overhead


class Wall(NamedTuple):  # and not a dataclass, like EventLine: there are millions of them
    """The part of a line that may differ between two equal runs. None: not known.

    Attributes:
        seconds: computing seconds since the trial's last report.
        overhead: seconds of compilation and initialisation beside them.
        worker: who trained.
        at: when that ended, in seconds since 1970.
        compiler: who ran a network, where the compiler that it was meant for refused it.
        traceback: of an exception of the user's code, or the end of what a program that failed wrote to standard error.
        origin: code, packages and machine (:func:`hypercurve.util.provenance.origin`); in a first line.
        test: what the model itself has measured on the test part, of a trial that completed.
        reused: the run that had trained it, such as ``random/0``; None: this one.
        network: file and digest of the chosen trial's network; in a last line.
        differs: by how much the chosen trial came out different where it had to be trained again.
    """

    seconds: float | None = None
    overhead: float | None = None
    worker: int | None = None
    at: float | None = None
    compiler: str | None = None
    traceback: str | None = None
    origin: Mapping[str, Any] | None = None
    test: Mapping[str, float] | None = None
    reused: str | None = None
    network: Mapping[str, str] | None = None
    differs: float | None = None

    @property
    def began(self) -> float | None:
        """When the training for this report began, in seconds since 1970."""
        return began_at(self.at, self.seconds or 0.0, self.overhead or 0.0, self.reused is not None)


NO_WALL = Wall()


@dataclass(frozen=True, slots=True)
class RunHeader:
    """A run's first line.

    Attributes:
        experiment, method, repeat: which run it is.
        setting: digest of the setting.
        data: digest of the prepared data set.
        samples: size of the training part; None in journals that do not say.
        model: digest of the user's own code that is trained; None for a built-in model.
        rules: digest of the user's own searcher and stopper; None without any.
        record: digest of the record of earlier experiments; None where there is none.
        stopping_rate: what that record gave LCM for a regret budget; None where there is none.
        seed: the experiment's; None in older journals, as the next.
        training: what its trainings are: :func:`hypercurve.config.identity.training_digest`.
        actions: the first ones.
        wall: when and where it began.
    """

    experiment: str
    method: str
    repeat: int
    setting: str
    data: str
    samples: int | None
    model: str | None = None
    rules: str | None = None
    record: str | None = None
    stopping_rate: float | None = None
    seed: int | None = None
    training: str | None = None
    actions: Sequence[Action] = ()
    wall: Wall = NO_WALL


@dataclass(frozen=True, slots=True)
class BatchHeader:
    """The first line of a batch of independent trials; event lines without times follow, and a test of the best of them.

    Where a trial starts, the line's action tells its configuration.

    Attributes:
        setting: digest of the setting.
        repeat: the run's.
        batch: which batch, from 0.
        model: digest of the user's own code that is trained; None for a built-in model.
        seed, training: as in a run's first line.
        wall: where it was begun.
    """

    setting: str
    repeat: int
    batch: int
    model: str | None = None
    seed: int | None = None
    training: str | None = None
    wall: Wall = NO_WALL


class EventLine(NamedTuple):
    """An event and what followed.

    Attributes:
        event: what happened.
        wall: when, by the clock, and who trained.
        time: virtual time; None where nothing is decided: in batches and messages.
        actions: what was decided.
    """

    event: Event
    wall: Wall = NO_WALL
    time: float | None = None
    actions: Sequence[Action] = ()


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of a run.

    Attributes:
        reason: why.
        best: the chosen trial; None if none completed.
        time: virtual time of the last event.
        actions: trials that were still going are stopped.
        wall: when.
    """

    reason: EndReason
    best: int | None
    time: float
    actions: Sequence[Action] = ()
    wall: Wall = NO_WALL


@dataclass(frozen=True, slots=True)
class Tested:
    """The chosen trial's metrics on the test set: the last line of a run that found anything."""

    trial: int
    metrics: Mapping[str, float]
    wall: Wall = NO_WALL


Header = RunHeader | BatchHeader
Line = RunHeader | BatchHeader | EventLine | Ended | Tested
