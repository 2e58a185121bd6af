"""Where runs stand, folded from their journals lightly, as they grow; what is shown of them follows from here."""

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from ..config.cost import CostModel
from ..config.experiment import Experiment
from ..config.files import read_resolved
from ..config.jobs import batches as batches_of
from ..config.setting import Setting
from ..curves.cost import TrialCost
from ..events.encoding import RawLine, decode_line, is_last
from ..events.events import Completed
from ..events.journal import UNREADABLE
from ..events.lines import BatchHeader, Ended, EventLine, Line, RunHeader, Tested
from ..events.trials import TrialState
from ..results.runs import RunResult
from ..util.errors import UserError
from .tail import Tail

Phase = Literal["waiting", "running", "finished"]


class WatchedRun:
    """One run, as far as its journal or its batches tell.

    Attributes:
        setting: what it depends on.
        repeat: which repeat.
        phase: whether it has begun, or ended.
        counts: how many trials there are of each status.
        share: how much of the run is done, in [0, 1]; None where that cannot be told.
        best: performance of the best trial so far; None if there is none.
        seconds: computing seconds so far.
        at: when anything last happened, in seconds since 1970; None before it began.
    """

    def __init__(self, folder: Path, setting: Setting, repeat: int, batches: int):
        self.setting, self.repeat = setting, repeat
        self._folder = folder
        self._journal = Tail()
        self._batches = [Tail() for _ in range(batches)]
        self._gathered = False  # the journal is there, so batches are of no more interest
        self._clear()

    def _clear(self) -> None:
        self.phase: Phase = "waiting"
        self.counts: Counter[str] = Counter()
        self.share: float | None = 0.0
        self.best: float | None = None
        self.seconds = 0.0
        self.at: float | None = None
        setting = self.setting
        self._run = RunResult(setting.experiment, setting.method, self.repeat, setting.digest, "", None)
        self._costs: dict[int, TrialCost] = {}
        self._began: float | None = None

    def poll(self) -> None:
        """Take what has happened since the last time."""
        if self.phase == "finished" and self._gathered:
            return
        void, lines = self._journal.poll(self._folder / "journal.jsonl", self._folder / "journal.partial.jsonl")
        if void or (lines and not self._gathered):
            self._clear()
            self._gathered = True
        self._take_all(lines)
        changed = bool(lines) or void
        if not self._gathered:
            changed |= self._poll_batches()
        if changed:  # once for all that is shown of it: a run may have a million trials
            self.counts = Counter(trial.status for trial in self._run.trials.values())
            self.share = self._done()

    def _poll_batches(self) -> bool:
        folder = self._folder / "batches"
        changed = False
        for number, tail in enumerate(self._batches):
            void, lines = tail.poll(folder / f"{number}.jsonl", folder / f"{number}.partial.jsonl")
            if void:  # one batch was begun anew, so all are read anew
                self._batches = [Tail() for _ in self._batches]
                self._clear()
                self._poll_batches()
                return True
            self._take_all([raw for raw in lines if not is_last(raw)])  # a batch's test is not the run's
            changed |= bool(lines)
        return changed

    def _take_all(self, lines: list[RawLine]) -> None:
        for raw in lines:
            try:
                self._take(decode_line(raw))
            except UNREADABLE:
                self._journal.damaged += 1

    def _take(self, line: Line) -> None:
        if self.phase == "waiting":
            self.phase = "running"
        if line.wall.at is not None and line.wall.began is not None:
            self.at = max(line.wall.at, self.at or line.wall.at)
            self._began = min(line.wall.began, self._began or line.wall.began)
        match line:
            case RunHeader():
                self._run = RunResult.of(line)
            case EventLine(event, wall, time):
                if time is None:  # of a batch, where trials start by themselves
                    self._run.trials.setdefault(event.trial, TrialState(event.trial, {}))
                self._run.take(line)
                self._run.trials[event.trial].curve.clear()  # there may be a million trials
                self.seconds += wall.seconds or 0.0
                if isinstance(event, Completed):
                    value = event.metrics[self.setting.objective.key]
                    if math.isfinite(value) and (self.best is None or self.setting.objective.better(value, self.best)):
                        self.best = value
            case Ended() | Tested():
                if isinstance(line, Tested) or line.best is None:
                    self.phase = "finished"
                self._run.take(line)
            case BatchHeader():
                pass

    @property
    def over(self) -> int:
        """Trials that have ended."""
        return self.counts["completed"] + self.counts["stopped"] + self.counts["failed"]

    @property
    def in_use(self) -> int:
        """Slots in use: trials that are going now."""
        return self.counts["running"] if self.phase == "running" else 0

    @property
    def slots(self) -> int:
        """Slots that the run has: for a population its members, for trials in batches the batches."""
        if self.setting.population is not None:
            return self.setting.members
        return len(self._batches) if self._batches and not self._gathered else self.setting.slots

    @property
    def damaged(self) -> int:
        """Lines that could not be read."""
        return self._journal.damaged + sum(tail.damaged for tail in self._batches)

    def _done(self) -> float | None:
        if self.phase != "running":
            return 1.0 if self.phase == "finished" else 0.0
        budget = self.setting.budget
        trials = self._run.trials.values()
        done: float
        if budget.seconds is not None:
            done = self.seconds / budget.seconds
        elif budget.samples is not None:
            try:
                done = sum(self._cost_of(trial).trained(trial.progress) for trial in trials) / budget.samples
            except (LookupError, TypeError, ValueError, ArithmeticError):  # the lines that say it are damaged
                return None
        else:
            total = self.setting.trials
            if total is None:
                return None
            # A member of a population that failed is not over: it copies another one and goes on.
            going = ("running", "paused", "failed" if self.setting.population is not None else "")
            done = sum(t.progress if t.status in going else 1.0 for t in trials) / total
        return min(done, 1.0)

    def _cost_of(self, trial: TrialState) -> TrialCost:
        if trial.number not in self._costs:
            if self._run.samples is None:
                raise ValueError("a run's first line has its samples")
            model = CostModel(self.setting.model, self.setting.cost, self._run.samples)
            self._costs[trial.number] = model.of(trial.configuration)
        return self._costs[trial.number]

    @property
    def duration(self) -> float | None:
        """Seconds by the clock since the run began, up to the last event."""
        return None if self.at is None or self._began is None else self.at - self._began

    @property
    def left(self) -> float | None:
        """Seconds left, if the run goes on at its pace so far."""
        share, duration = self.share, self.duration
        if not share or duration is None or self.phase != "running":
            return None
        return duration * (1 - share) / share


class WatchedExperiment:
    """An experiment in a results folder, and all its runs."""

    def __init__(self, folder: Path):
        self.folder, self.name = folder, folder.name
        self.experiment: Experiment | None = None
        self.problem = "has not begun"
        self.runs: list[WatchedRun] = []
        self._file: tuple[int, int] | None = None

    def poll(self) -> None:
        """Take what has happened since the last time."""
        self._poll_experiment()
        for run in self.runs:
            run.poll()

    def _poll_experiment(self) -> None:
        path = self.folder / "experiment.json"
        try:
            status = path.stat()
            if self._file == (status.st_ino, status.st_mtime_ns):
                return
            self.experiment = experiment = read_resolved(path)
        except OSError:
            return
        except UserError as error:
            self.problem = str(error)
            return
        self._file = status.st_ino, status.st_mtime_ns
        self.runs = [
            WatchedRun(self.folder / "runs" / method / str(repeat), setting, repeat, batches)
            for method in experiment.methods
            for setting, batches in [(experiment.setting(self.name, method), batches_of(experiment, method))]
            for repeat in range(experiment.repeats)
        ]

    @property
    def finished(self) -> bool:
        """Whether all runs are finished."""
        return bool(self.runs) and all(run.phase == "finished" for run in self.runs)

    @property
    def left(self) -> float | None:
        """Seconds left, if as many runs go on at once as now, each as long as its method's runs took or will take."""
        going = [run for run in self.runs if run.phase == "running"]
        if not going or any(run.left is None for run in going):
            return None
        own = [run.left or 0.0 for run in going]
        waiting = 0.0
        for method in {run.setting.method for run in self.runs if run.phase == "waiting"}:
            mine = [run for run in self.runs if run.setting.method == method]
            known = [(run.duration or 0.0) + (run.left or 0.0) for run in mine if run.phase != "waiting"]
            if not known:
                return None
            waiting += sum(run.phase == "waiting" for run in mine) * sum(known) / len(known)
        return max(max(own), (sum(own) + waiting) / len(going))


def experiments_in(results: Path) -> Iterator[WatchedExperiment]:
    """The experiments of a results folder; or the one, if the folder is an experiment's own.

    Raises:
        UserError: there is no such folder, or it holds no experiments.
    """
    if (results / "experiment.json").exists():
        yield WatchedExperiment(results)
        return
    if not results.is_dir():
        raise UserError(f"{results}: there is no such folder of results")
    found = sorted(path.parent for path in results.glob("[!.]*/experiment.json"))
    if not found:
        raise UserError(f"{results}: holds no experiment; `snakemake` writes experiment.json there when it begins")
    yield from map(WatchedExperiment, found)
