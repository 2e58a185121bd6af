"""Trials that fail: what their failures have in common, and when a run is better ended. Pure.

A mistake in a user's code fails one trial like another. So a run ends when its first trials have all failed alike, or when a
trial came to its end without the objective and none has ever reported it. Trials that diverged or broke a bound tell
something of their configurations, not of the code: they end no run. Only events in the order of the journal decide, so that
a run ends at the same event on any number of processes.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from ..config.model import counts_epochs
from ..events.events import Completed, Event, Failed, Reported, Started
from ..util.errors import UserError, line_of_code, nearest_name, own_traceback

if TYPE_CHECKING:  # would import pydantic and NumPy
    from ..config.setting import Setting
    from ..space.search_space import Value

FEWEST = 3
"""Trials that must fail alike; with more slots, as many as there are slots."""
MOST = 50
"""Kinds of failures that are told apart."""
COMPARED = 120
"""Characters of a reason that are compared: what is longer may have been cut."""
NOT_REPORTED = "the trainer reported no "
"""How the reason begins where a metric is missing that a trial must have at its end."""
_NUMBER = re.compile(r"0x\w+|[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", re.IGNORECASE)
_RESULT = re.compile(r"diverged\b|.* its bound ")


class Hopeless(UserError):
    """The run is ended, since its trials fail for a reason that will fail all others."""


@dataclass(slots=True)
class Alike:
    """Failures whose reasons agree but for numbers and addresses; all but the number of trials is of the first of them.

    Attributes:
        reason: why.
        trial, configuration: whose.
        told: its traceback, or the end of what a program wrote to standard error.
        trials: how many trials failed so.
    """

    reason: str
    trial: int
    configuration: "Mapping[str, Value]"
    told: str | None
    trials: int = 1


class Failures:
    """The failures of a run, or of a batch, so far.

    Args:
        setting: of the method.
        ends: whether failures may end the run.

    Attributes:
        kinds: by what they have in common, in order of appearance.
        started: how many trials have started.
        warning: that the first report of a loop or program lacks the objective, which may still come at the end.
    """

    def __init__(self, setting: "Setting", *, ends: bool):
        self._ends, self._population = ends, setting.population is not None
        self._objective = setting.objective.key if ends and counts_epochs(setting.model) else None
        self._needed = setting.members if self._population else max(FEWEST, setting.slots)
        if setting.starters is not None:
            self._needed = min(self._needed, setting.starters)
        self._first: dict[int, str | None] = {}  # the first trials, and how they failed
        self._failed: set[int] = set()
        self._seen: set[str] = set()  # metrics reported before an end
        self._missing: Alike | None = None
        self._well = False
        self.kinds: dict[str, Alike] = {}
        self.started = 0
        self.warning: str | None = None

    @property
    def failed(self) -> int:
        """How many trials have failed; members that went on as copies have not."""
        return len(self._failed)

    @property
    def commonest(self) -> Alike | None:
        """The most frequent failures; of two, the earlier."""
        return max(self.kinds.values(), key=lambda kind: kind.trials, default=None)

    def take(self, event: Event, configuration: "Mapping[str, Value]", told: str | None = None) -> None:
        """The next event, of a trial with this configuration; of a failure, with what its code said."""
        match event:
            case Started(trial):
                self.started += 1
                if len(self._first) < self._needed:
                    self._first[trial] = None
            case Reported(trial, _, metrics):
                self._failed.discard(trial)
                if self._objective is not None and self._objective not in metrics:
                    there = f"{NOT_REPORTED}{self._objective}, which is the objective; it reported {', '.join(metrics)}"
                    self.warning = (
                        f"at its first point, {_nothing_ranked(there)}. A trial that ends without it has failed"
                    )
                self._objective = None
                if not self._well:
                    self._seen |= metrics.keys()
                    self._well = self._population  # who is well is copied
            case Completed(trial):
                self._failed.discard(trial)
                self._well = True
            case Failed(trial, _, reason):
                self._failed.add(trial)
                self._fail(trial, reason, configuration, told)

    def _fail(self, trial: int, reason: str, configuration: "Mapping[str, Value]", told: str | None) -> None:
        key = common(reason)
        kind = self.kinds.get(key)
        if kind is not None:
            kind.trials += 1
        else:
            kind = Alike(reason, trial, configuration, told)
            if len(self.kinds) < MOST:
                self.kinds[key] = kind
        if trial in self._first:
            self._first[trial] = key
        if reason.startswith(NOT_REPORTED) and not self._well and missing_in(reason)[0] not in self._seen:
            self._missing = self._missing or kind

    def check(self, over: bool = False) -> None:
        """End a run in which every trial fails.

        Args:
            over: no trial is going, and no other will start.

        Raises:
            Hopeless: the message says why, for the user.
        """
        if not self._ends or self._well:
            return
        if self._missing is not None:
            why = _nothing_ranked(self._missing.reason)
            raise Hopeless(f"the run is ended, since no trial can be ranked: {why}{_how(self._missing)}")
        keys = set(self._first.values())
        if None in keys or len(keys) != 1 or len(self._first) < (1 if over else self._needed):
            return
        kind = self.kinds[keys.pop() or ""]
        if not is_result(kind.reason):
            many = len(self._first)
            who = f"the first {many} trials failed alike" if many > 1 else "its trial failed"
            raise Hopeless(f"the run is ended, since {who}: {kind.reason}{_how(kind)}")


def common(reason: str) -> str:
    """What reasons have in common that differ in numbers and addresses only.

    >>> common("IndexError: index 12 is out of range at 0x7f12") == common("IndexError: index 7 is out of range at 0x7e90")
    True
    """
    return _NUMBER.sub("#", reason)[:COMPARED]


def missing_in(reason: str) -> tuple[str, list[str]]:
    """The metric that was not reported, and those that were."""
    name = re.split(r"\W", reason.removeprefix(NOT_REPORTED), maxsplit=1)[0]
    _, _, there = reason.partition("it reported ")
    return name, [one for one in there.split(", ") if one]


def _nothing_ranked(reason: str) -> str:
    """That metrics are missing, and which could be meant."""
    name, there = missing_in(reason)
    if "objective" not in reason:
        near = get_close_matches(name, there, n=1, cutoff=0.5)
        return reason + (f"; did you mean {near[0]}?" if near else "")
    metric = name.removeprefix("val_")
    short = {one.removeprefix("val_"): one for one in sorted(there)}  # `val_...` last, and so first
    near = get_close_matches(metric, short, n=1, cutoff=0.5)
    if not near:
        return f"{reason}; `objective: {{metric: NAME}}` asks for val_NAME"
    found = short[near[0]]
    if found.startswith("val_"):
        return f"{reason}; did you mean `objective: {{metric: {near[0]}}}`?"
    return f"{reason}; if {found} is measured on the validation part, report it as {name}"


def _how(kind: Alike) -> str:
    """Where the failure was in the user's code, and what its trial was given; lines of their own."""
    return "".join(f"\n  {line}" for line in [kind.told and line_of_code(kind.told), _given(kind)] if line)


def _given(kind: Alike) -> str | None:
    """Of a hyperparameter that was looked for in vain: those that there are."""
    key = re.fullmatch(r"KeyError: '(\w+)'", kind.reason)
    if key is None or key[1] in kind.configuration:
        return None
    near = get_close_matches(key[1], kind.configuration, n=1)
    meant = f"; did you mean {near[0]}?" if near else ""
    return f"the hyperparameters are {', '.join(kind.configuration)}{meant}"


def explained(kind: Alike) -> tuple[str, list[str]]:
    """Why a trial failed, in a line; and the user's own part of the traceback, with the nearest names, in some."""
    reason = _nothing_ranked(kind.reason) if kind.reason.startswith(NOT_REPORTED) else kind.reason
    told = [] if kind.told is None else own_traceback(kind.told).splitlines()
    if told and reason[:COMPARED] in told[-1]:
        told.pop()
    near = kind.told and nearest_name(kind.told)
    return reason, [*told, *(line for line in [near and f"did you mean {near}?", _given(kind)] if line)]


def is_result(reason: str) -> bool:
    """Whether a failure tells something of its configuration, and not of the code: it diverged, or broke a bound."""
    return _RESULT.match(reason) is not None
