"""Finished runs as plain records, read from their journals; and `trials.csv`.

This folds a journal lightly: it believes what was decided instead of deciding it again (:meth:`hypercurve.runs.run.Run.fold`
does that). Only the standard library and the journal module are imported, since a cluster job starts for every
`trials.csv`.
"""

import csv
import gc
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from ..events.journal import JournalError, Line, read_lines
from ..util.files import appearing

if TYPE_CHECKING:  # would import pydantic and NumPy
    from ..config.setting import Setting
    from ..space.search_space import Value

Status = Literal["running", "paused", "completed", "stopped", "failed"]
Kind = Literal["reported", "completed", "failed"]


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
    configuration: "Mapping[str, Value]"
    donor: int | None = None
    at: float = 0.0
    generation: int = 0


@dataclass(slots=True)
class TrialRecord:
    """One trial.

    Attributes:
        number: from 0.
        configuration: its hyperparameters, for a member of a population those that it had at its end; inactive ones are
            absent.
        started: virtual time of its start.
        status: how it ended; ``running`` and ``paused`` only while reading.
        progress: share of the training done, in [0, 1].
        metrics: what it reported at its end; empty if it did not get there.
        seconds: computing seconds (training and evaluation).
        cost: virtual seconds.
        curve: (progress, metrics) of every report.
        reason: why it failed; None again once it has been revived.
        reports: how many reports, completions and failures it has had.
        history: what it trained under, in order; a copy begins a new stretch.
        paused: virtual seconds for which it was paused.
    """

    number: int
    configuration: "Mapping[str, Value]"
    started: float
    status: Status = "running"
    progress: float = 0.0
    metrics: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    cost: float = 0.0
    curve: list[tuple[float, Mapping[str, float]]] = field(default_factory=list)
    reason: str | None = None
    reports: int = 0
    history: list[Stretch] = field(default_factory=list)
    paused: float = 0.0

    def __post_init__(self) -> None:
        if not self.history:
            self.history.append(Stretch(0.0, self.configuration))

    def performance(self, objective: str) -> float | None:
        """The objective's value at the end, given its key (``val_accuracy``); None if the trial did not get there."""
        return self.metrics.get(objective)


class EventRecord(NamedTuple):
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

    @property
    def began(self) -> float | None:
        """When the training for this report began, in seconds since 1970."""
        return None if self.at is None else self.at - self.seconds - self.overhead


@dataclass(slots=True)
class RunRecord:
    """One finished run.

    Attributes:
        experiment, method, repeat: which run it is.
        setting: digest of the setting.
        data: digest of the prepared data set.
        samples: size of the training part; None in journals that do not say.
        trials: by number.
        events: what happened, in order.
        best: the chosen trial's number; None if no trial completed.
        test: the chosen trial's metrics on the test set, as ``test_...``; empty if there are none.
        reason: why the run ended: ``finished``, ``seconds`` or ``samples``.
        time: virtual time of the last event.
        stopping_rate: what a record gave LCM for a regret budget; None where there is none.
    """

    experiment: str
    method: str
    repeat: int
    setting: str
    data: str
    samples: int | None
    trials: dict[int, TrialRecord] = field(default_factory=dict)
    events: list[EventRecord] = field(default_factory=list)
    best: int | None = None
    test: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""
    time: float = 0.0
    stopping_rate: float | None = None

    @property
    def chosen(self) -> TrialRecord | None:
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


def read_run(path: Path) -> RunRecord:
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


def _read(path: Path) -> RunRecord:
    lines, _ = read_lines(path)
    if not lines:
        raise JournalError(f"{path}: is empty: its run has not begun")
    if lines[0].get("event") != "run":
        raise JournalError(f"{path}:1: must be the run's first line, but says event = {lines[0].get('event')!r}")
    run: RunRecord | None = None
    for number, line in enumerate(lines, start=1):
        try:
            run = _take(run, line)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise JournalError(f"{path}:{number}: is not what a run writes ({_say(error)})") from None
    if run is None or not run.reason:
        raise JournalError(f"{path}: its run has not ended; start it again, and it goes on from here")
    return run


def _take(run: RunRecord | None, line: Line) -> RunRecord:
    event = line["event"]
    if (run is None) != (event == "run"):
        raise ValueError("a second `run` line")
    if run is None:
        run = RunRecord(
            str(line["experiment"]),
            str(line["method"]),
            int(line["repeat"]),
            str(line["setting"]),
            str(line["data"]),
            line.get("samples"),
            stopping_rate=line.get("stopping_rate"),
        )
    elif event == "tested":
        run.test = _numbers(line["metrics"])
    elif run.reason:
        raise ValueError("the run has ended before it")
    elif event == "ended":
        run.reason = str(line["reason"])
        run.best = line["best"]
        if run.best is not None and run.trials[run.best].status != "completed":
            raise ValueError(f"trial {run.best} is chosen but did not complete")
    elif event in ("reported", "completed", "failed"):
        _happened(run, run.trials[line["trial"]], line)
    elif event != "started":
        raise ValueError(f"unknown event {event!r}")
    run.time = max(run.time, float(line.get("time", 0.0)))
    for action in line.get("then", ()):
        if "continue" in action:
            continue
        if "start" in action:
            number = int(action["start"])
            run.trials[number] = TrialRecord(number, dict(action["configuration"]), run.time)
        elif "stop" in action:
            run.trials[action["stop"]].status = "stopped"
        elif "pause" in action:
            run.trials[action["pause"]].status = "paused"
        elif "resume" in action:
            trial = run.trials[action["resume"]]
            trial.status, trial.paused = "running", run.time - trial.cost - trial.started
        elif "copy" in action:
            _copied(run.trials[action["copy"]], run.trials[action["from"]].number, action)
    return run


def _copied(trial: TrialRecord, donor: int, action: Mapping[str, Any]) -> None:
    """Go on as a copy; a member that had failed is running again."""
    trial.configuration = dict(action["configuration"])
    trial.history.append(
        Stretch(trial.progress, trial.configuration, donor, float(action["at"]), generation=trial.reports)
    )
    trial.status, trial.reason = "running", None


def _happened(run: RunRecord, trial: TrialRecord, line: Line) -> None:
    wall: Mapping[str, Any] = line.get("wall", {})
    kind: Kind = line["event"]
    progress = 1.0 if kind == "completed" else float(line["progress"])
    time = float(line["time"])
    seconds = float(wall.get("seconds", 0.0))
    at = wall.get("at")
    overhead = float(wall.get("overhead", 0.0))
    trial.cost = time - (trial.started + trial.paused)
    at = None if at is None else float(at)
    run.events.append(
        EventRecord(kind, trial.number, progress, time, seconds, overhead, wall.get("worker"), at, trial.cost)
    )
    trial.reports += 1
    trial.progress = progress
    trial.seconds += seconds
    if kind == "failed":
        trial.status, trial.reason = "failed", str(line["reason"])
    else:
        metrics = _numbers(line["metrics"])
        trial.curve.append((progress, metrics))
        if kind == "completed":
            trial.status, trial.metrics = "completed", metrics


def _numbers(metrics: dict[str, Any]) -> dict[str, float]:
    for value in metrics.values():
        if type(value) is not float:  # a whole number, or no number at all
            return {name: float(value) for name, value in metrics.items()}
    return metrics


def _say(error: Exception) -> str:
    return f"no {error.args[0]!r}" if isinstance(error, KeyError) else str(error)


def beside(name: str, taken: Container[str]) -> str:
    """A reported metric's column beside others: under a name of its own where another column is called so."""
    return f"reported_{name}" if name in taken else name


def write_trials(run: RunRecord, setting: "Setting", path: Path) -> None:
    """Write `trials.csv`: one row per trial.

    The columns are trial, the hyperparameters in the order of the space (empty where inactive), status (completed, stopped
    or failed), progress, performance (empty unless completed), seconds (of computing) and cost (virtual seconds). Numbers
    read back as exactly what they were. Hyperparameters of a population's member are those that it had at its end, as
    they were set when it last copied. Further columns hold what else trials reported at their ends: of a user's own model
    all of it, of a built-in one what is not always reported; `reported_` sets those apart that are called as another
    column is.
    """
    names = setting.space.names
    usual = {setting.objective.key} | (
        {"loss", "val_loss", "val_accuracy"} if isinstance(setting.model, str) else set()
    )
    trials = sorted(run.trials.values(), key=lambda trial: trial.number)
    others = list(dict.fromkeys(name for trial in trials for name in trial.metrics if name not in usual))
    with appearing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        columns = ["trial", *names, "status", "progress", "performance", "seconds", "cost"]
        writer.writerow([*columns, *(beside(name, columns) for name in others)])
        for trial in trials:
            values = [_cell(trial.configuration.get(name)) for name in names]
            performance = trial.performance(setting.objective.key)
            row = [trial.number, *values, trial.status, trial.progress, _cell(performance), trial.seconds, trial.cost]
            writer.writerow([*row, *(_cell(trial.metrics.get(name)) for name in others)])


def _cell(value: object) -> object:
    """A value as it would stand in an experiment file; nothing for None."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else value
