"""Finished runs as plain values, read from their journals; and `trials.csv`.

This folds a journal lightly: it believes what was decided instead of deciding it again (:meth:`hypercurve.runs.run.Run.fold`
does that). Only the standard library and the modules of events are imported, since a cluster job starts for every
`trials.csv`.
"""

import csv
import gc
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, Self

from ..events.encoding import decode_line
from ..events.events import Completed, Continue, Copy, Event, Failed, Reported, Start, Started
from ..events.journal import UNREADABLE, JournalError, decode_header, read_lines, unreadable
from ..events.lines import NO_WALL, Ended, EventLine, Line, RunHeader, Tested, Wall, began_at
from ..events.trials import Status, TrialState
from ..util.files import appearing
from ..util.words import inert

if TYPE_CHECKING:  # would import pydantic and NumPy
    from ..config.setting import Setting

Kind = Literal["reported", "completed", "failed"]
KINDS: dict[type[Event], Kind] = {Reported: "reported", Completed: "completed", Failed: "failed"}


class RunEvent(NamedTuple):
    """One report, completion or failure, in the journal's order.

    Attributes:
        kind: which of these.
        trial: the trial's number.
        progress: share of its training.
        time: virtual time.
        seconds: computing seconds since the trial's last report.
        overhead: seconds of compilation and initialisation beside them.
        worker: who trained; None if the journal does not say.
        at: when that ended, in seconds since 1970; None if the journal does not say.
        cost: virtual seconds of the trial so far.
        reused: the run that had trained it, such as ``random/0``: no time by the clock went into it here. None: this.
    """

    kind: Kind
    trial: int
    progress: float
    time: float
    seconds: float
    overhead: float = 0.0
    worker: int | None = None
    at: float | None = None
    cost: float = 0.0
    reused: str | None = None

    @property
    def began(self) -> float | None:
        """When the training for this report began, in seconds since 1970."""
        return began_at(self.at, self.seconds, self.overhead, self.reused is not None)


@dataclass(slots=True)
class RunResult:
    """One run, as far as its journal's lines that it was given tell.

    Attributes:
        experiment, method, repeat: which run it is.
        setting: digest of the setting.
        data: digest of the prepared data set.
        samples: size of the training part; None in journals that do not say.
        trials: by number.
        events: what happened, in order; only of a run that was read whole.
        best: the chosen trial's number; None if no trial completed.
        test: the chosen trial's metrics on the test set, as ``test_...``; empty if there are none.
        reason: why the run ended: ``finished``, ``seconds``, ``samples`` or ``cost``; empty before.
        time: virtual time of the last event.
        stopping_rate: what a record gave LCM for a regret budget; None where there is none.
        model: digest of the user's own code that was trained; None for a built-in model.
        rules: digest of the user's own searcher and stopper; None without any.
        begun: when it began, and with what code on what machine, as far as its journal says.
    """

    experiment: str
    method: str
    repeat: int
    setting: str
    data: str
    samples: int | None
    trials: dict[int, TrialState] = field(default_factory=dict)
    events: list[RunEvent] = field(default_factory=list)
    best: int | None = None
    test: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""
    time: float = 0.0
    stopping_rate: float | None = None
    model: str | None = None
    rules: str | None = None
    begun: Wall = NO_WALL

    @property
    def chosen(self) -> TrialState | None:
        """The trial with the best performance."""
        return None if self.best is None else self.trials[self.best]

    def performance(self, objective: str) -> float | None:
        """The chosen trial's performance, given the objective's key."""
        return None if self.chosen is None else self.chosen.performance(objective)

    @property
    def seconds(self) -> float:
        """Computing seconds, summed over workers."""
        return sum(trial.seconds for trial in self.trials.values())

    @property
    def cost(self) -> float:
        """Virtual seconds, summed over trials."""
        return sum(trial.cost for trial in self.trials.values())

    @property
    def wall(self) -> float | None:
        """Seconds by the clock: from when the first report's training began to the last report.

        The beginning of a report's training is the report's `at` less its `seconds` and `overhead`, and the earliest of all
        reports counts: so a run whose trials were scattered over jobs is measured from its first job to its last,
        including what the jobs waited in between; likewise a resumed run includes its pause. Starting up, reading data
        and the final test are not included. A replay keeps the clock of the run that it replays.
        """
        began = [event.began for event in self.events if event.began is not None]
        ended = [event.at for event in self.events if event.at is not None]
        return max(ended) - min(began) if ended else None

    def count(self, status: Status) -> int:
        """How many trials ended so."""
        return sum(trial.status == status for trial in self.trials.values())

    @classmethod
    def of(cls, header: RunHeader) -> Self:
        """A run that has begun."""
        run = cls(header.experiment, header.method, header.repeat, header.setting, header.data, header.samples)
        run.stopping_rate, run.model, run.rules = header.stopping_rate, header.model, header.rules
        run.begun = header.wall
        run._apply(header)
        return run

    def take(self, line: Line) -> TrialState | None:
        """The next line.

        Returns:
            The trial that has reported, completed or failed, if one has.

        Raises:
            KeyError, ValueError: it does not follow from the lines before it.
        """
        trial: TrialState | None = None
        match line:
            case EventLine(event, wall, time):
                if self.reason:
                    raise ValueError("the run has ended before it")
                trial = self.trials[event.trial]
                self.time = max(self.time, time or 0.0)
                trial.take(event, time or 0.0, wall.seconds or 0.0)
                self._apply(line)
                return None if isinstance(event, Started) else trial
            case Tested():
                self.test = line.metrics
            case Ended():
                if self.reason:
                    raise ValueError("the run has ended before it")
                self.reason, self.best, self.time = line.reason, line.best, max(self.time, line.time)
                if self.best is not None and self.trials[self.best].status != "completed":
                    raise ValueError(f"trial {self.best} is chosen but did not complete")
                self._apply(line)
            case _:
                raise ValueError("a second first line")
        return None

    def _apply(self, line: RunHeader | EventLine | Ended) -> None:
        for action in line.actions:
            match action:
                case Continue():
                    continue
                case Start(number, configuration):
                    self.trials[number] = TrialState(number, configuration, self.time)
                    continue
                case Copy(_, source):
                    self.trials[source]  # must be there
            self.trials[action.trial].apply(action, self.time)


def read_run(path: Path) -> RunResult:
    """The run in a journal.

    Raises:
        JournalError: the journal is damaged, or its run has not ended; the message names the file and, where there is
            one, the line.
    """
    with _no_collection():
        return _read(path)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Without garbage collection, which takes more than half the time of reading a long journal, and finds nothing."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()


def _read(path: Path) -> RunResult:
    lines, _ = read_lines(path)
    if not lines:
        raise JournalError(f"{path}: is empty: its run has not begun")
    run = RunResult.of(decode_header(lines[0], f"{path}:1"))
    for number, raw in enumerate(lines[1:], start=2):
        try:
            line = decode_line(raw)
            trial = run.take(line)
        except UNREADABLE as error:
            raise unreadable(error, f"{path}:{number}") from None
        if trial is not None and isinstance(line, EventLine):
            event, wall, time, _ = line
            run.events.append(
                RunEvent(
                    KINDS[type(event)],
                    trial.number,
                    trial.progress,
                    time or 0.0,
                    wall.seconds or 0.0,
                    wall.overhead or 0.0,
                    wall.worker,
                    wall.at,
                    trial.cost,
                    wall.reused,
                )
            )
    if not run.reason:
        raise JournalError(f"{path}: its run has not ended; start it again, and it goes on from here")
    return run


def beside(name: str, taken: Container[str]) -> str:
    """A reported metric's column beside others: under a name of its own where another column is called so."""
    while name in taken:
        name = f"reported_{name}"
    return name


def write_trials(run: RunResult, setting: "Setting", path: Path) -> None:
    """Write `trials.csv`: one row per trial.

    The columns are trial, the hyperparameters in the order of the space (empty where inactive), status (completed, stopped
    or failed), progress, performance (empty unless completed), seconds (of computing), cost (virtual seconds) and reason
    (why it failed). Numbers read back as exactly what they were. Hyperparameters of a population's member are those that
    it had at its end, as they were set when it last copied. Further columns hold what else trials reported at their ends:
    of a user's own model all of it, of a built-in one what is not always reported; `reported_` sets those apart that are
    called as another column is.
    """
    names = setting.space.names
    usual = {setting.objective.key} | (
        {"loss", "val_loss", "val_accuracy"} if isinstance(setting.model, str) else set()
    )
    trials = sorted(run.trials.values(), key=lambda trial: trial.number)
    others = list(dict.fromkeys(name for trial in trials for name in trial.metrics if name not in usual))
    with appearing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        columns = ["trial", *names, "status", "progress", "performance", "seconds", "cost", "reason"]
        writer.writerow([*map(inert, columns), *(inert(beside(name, columns)) for name in others)])
        for trial in trials:
            values = [_cell(trial.configuration.get(name)) for name in names]
            performance = trial.performance(setting.objective.key)
            row = [trial.number, *values, trial.status, trial.progress, _cell(performance), trial.seconds, trial.cost]
            writer.writerow([*row, _cell(trial.reason), *(_cell(trial.metrics.get(name)) for name in others)])


def _cell(value: object) -> object:
    """A value as it would stand in an experiment file; nothing for None."""
    if value is None:
        return ""
    if isinstance(value, str):
        return inert(value)
    return str(value).lower() if isinstance(value, bool) else value
