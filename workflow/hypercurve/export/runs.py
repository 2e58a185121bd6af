"""Which runs to export, with what both exports want to know of their trials."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..config.cost import CostModel
from ..config.files import read_setting
from ..config.setting import Setting
from ..curves.cost import step_at
from ..events.journal import JournalError
from ..events.trials import TrialState
from ..results.runs import RunResult, read_run
from ..util.errors import UserError


@dataclass(frozen=True)
class ExportedRun:
    """A finished run.

    Attributes:
        result: the run.
        setting: what it depended on.
        times: by trial and progress of a report, when it came by the clock, in seconds since 1970.
    """

    result: RunResult
    setting: Setting
    times: dict[tuple[int, float], float]

    @property
    def name(self) -> str:
        """Experiment, method and repeat."""
        return f"{self.result.experiment}/{self.result.method}/{self.result.repeat}"

    def trials(self) -> list[TrialState]:
        """The trials by number."""
        return sorted(self.result.trials.values(), key=lambda trial: trial.number)

    def step(self, trial: TrialState, progress: float) -> int:
        """The optimizer step at which a trial reaches a share of its training."""
        if self.result.samples is None:
            raise JournalError(f"{self.name}: the journal does not say how many samples are trained on")
        cost = CostModel(self.setting.model, self.setting.cost, self.result.samples)
        return step_at(progress, cost.of(trial.configuration).steps)

    def span(self, trial: TrialState) -> tuple[float, float]:
        """When a trial's training began and ended, in seconds since 1970, as far as the journal tells."""
        own = [event for event in self.result.events if event.trial == trial.number and event.at is not None]
        if not own:
            return 0.0, 0.0
        return min(event.began or 0.0 for event in own), max(event.at or 0.0 for event in own)


def read_runs(places: Sequence[Path]) -> Iterator[ExportedRun]:
    """The finished runs in and below some folders, each once.

    Args:
        places: folders of runs, or of anything above them: a method, an experiment, all results.

    Raises:
        UserError: there is no finished run there, or one is damaged.
    """
    journals: dict[Path, None] = {}
    for place in places:
        if not place.is_dir():
            raise UserError(f"{place}: is no folder of a run or of results")
        found = sorted(place.rglob("journal.jsonl"), key=lambda path: (path.parts[:-2], _number(path)))
        if not found:
            raise UserError(f"{place}: holds no finished run (journal.jsonl)")
        journals |= dict.fromkeys(found)
    for path in journals:
        result, setting = read_run(path), read_setting(path.parents[1] / "setting.json")
        if setting.digest != result.setting:
            raise UserError(f"{path}: was made with another setting than {path.parents[1] / 'setting.json'}")
        times = {(event.trial, event.progress): event.at for event in result.events if event.at is not None}
        yield ExportedRun(result, setting, times)


def _number(path: Path) -> int:
    return int(path.parent.name) if path.parent.name.isdigit() else -1
