"""Where runs stand, folded from their journals lightly, as they grow; what is shown of them follows from here."""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..config.cost import CostModel
from ..config.experiment import Experiment
from ..config.files import read_resolved
from ..config.jobs import batches as batches_of
from ..config.setting import Setting
from ..curves.cost import TrialCost
from ..util.errors import UserError
from .tail import Line, Tail

Phase = Literal["waiting", "running", "finished"]


@dataclass(slots=True)
class _Trial:
    status: str = "running"
    progress: float = 0.0
    configuration: dict[str, Any] = field(default_factory=dict)
    cost: TrialCost | None = None


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
        self._trials: dict[int, _Trial] = {}
        self._began: float | None = None
        self._cost: CostModel | None = None
        self._batches_over = 0

    def look(self) -> None:
        """Take what has happened since the last look."""
        if self.phase == "finished" and self._gathered:
            return
        void, lines = self._journal.look(self._folder / "journal.jsonl", self._folder / "journal.partial.jsonl")
        if void or (lines and not self._gathered):
            self._clear()
            self._gathered = True
        self._take_all(lines)
        changed = bool(lines) or void
        if not self._gathered:
            changed |= self._look_at_batches()
        if changed:  # once for all that is shown of it: a run may have a million trials
            self.counts = Counter(trial.status for trial in self._trials.values())
            self.share = self._done()

    def _look_at_batches(self) -> bool:
        folder = self._folder / "batches"
        changed = False
        for number, tail in enumerate(self._batches):
            void, lines = tail.look(folder / f"{number}.jsonl", folder / f"{number}.partial.jsonl")
            if void:  # one batch was begun anew, so all are read anew
                self._batches = [Tail() for _ in self._batches]
                self._clear()
                self._look_at_batches()
                return True
            self._take_all(lines)
            changed |= bool(lines)
        return changed

    def _take_all(self, lines: list[Line]) -> None:
        for line in lines:
            try:
                self._take(line)
            except (KeyError, TypeError, ValueError, AttributeError):
                self._journal.damaged += 1

    def _take(self, line: Line) -> None:
        event, wall = line["event"], line.get("wall", {})
        if self.phase == "waiting":
            self.phase = "running"
        if "at" in wall:
            at = _number(wall["at"])
            self.at = max(at, self.at or at)
            begun = at - _number(wall.get("seconds", 0.0)) - _number(wall.get("overhead", 0.0))
            self._began = min(begun, self._began or begun)
        match event:
            case "run":
                samples = line["samples"]
                self._cost = CostModel(self.setting.model, self.setting.cost, samples)
            case "started":
                self._trials.setdefault(line["trial"], _Trial())
            case "reported" | "completed" | "failed":
                self._happened(self._trials[line["trial"]], line, wall)
            case "ended":
                for trial in self._trials.values():
                    trial.status = "stopped" if trial.status in ("running", "paused") else trial.status
                if line["best"] is None:
                    self.phase = "finished"
            case "tested":
                self.phase = "finished"
        for action in line.get("then", ()):
            if "start" in action:
                self._trials[action["start"]] = _Trial(configuration=action["configuration"])
            elif "stop" in action:
                self._trials[action["stop"]].status = "stopped"
            elif "pause" in action:
                self._trials[action["pause"]].status = "paused"
            elif "resume" in action:
                self._trials[action["resume"]].status = "running"
            elif "copy" in action:
                self._trials[action["copy"]].status = "running"

    def _happened(self, trial: _Trial, line: Line, wall: Line) -> None:
        self.seconds += _number(wall.get("seconds", 0.0))
        trial.progress = 1.0 if line["event"] == "completed" else _number(line["progress"])
        if line["event"] == "failed":
            trial.status = "failed"
        elif line["event"] == "completed":
            trial.status = "completed"
            value = _number(line["metrics"][self.setting.objective.key])
            if self.best is None or self.setting.objective.better(value, self.best):
                self.best = value

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
        trials = self._trials.values()
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

    def _cost_of(self, trial: _Trial) -> TrialCost:
        if trial.cost is None:
            if self._cost is None:
                raise ValueError("a run's first line has its samples")
            trial.cost = self._cost.of(trial.configuration)
        return trial.cost

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


def _number(value: object) -> float:
    """A number in a journal.

    Raises:
        TypeError: it is none, or not finite.
    """
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise TypeError(f"{value!r} is no number")
    return value


class WatchedExperiment:
    """An experiment in a results folder, and all its runs."""

    def __init__(self, folder: Path):
        self.folder, self.name = folder, folder.name
        self.experiment: Experiment | None = None
        self.problem = "has not begun"
        self.runs: list[WatchedRun] = []
        self._file: tuple[int, int] | None = None

    def look(self) -> None:
        """Take what has happened since the last look."""
        self._look_at_experiment()
        for run in self.runs:
            run.look()

    def _look_at_experiment(self) -> None:
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
