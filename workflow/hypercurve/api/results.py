"""Results in Python: finished runs as pandas frames and figures, for notebooks and scripts.

What :mod:`hypercurve` offers by name: `load`, `figure` and :class:`Results`. Reads what runs have written.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from ..analysis import importance, tables
from ..analysis.tables import Runs
from ..config.experiment import Experiment
from ..config.figures import FIGURES
from ..config.files import read_resolved
from ..results.runs import RunResult, beside, read_run
from ..util.errors import UserError
from ..util.schema import hint
from .best import Best

if TYPE_CHECKING:
    from matplotlib.figure import Figure

JOURNAL = "journal.jsonl"


@dataclass(frozen=True, eq=False)
class Results:
    """The finished runs of an experiment, or some of them.

    Frames have a row for each thing, with the columns ``method`` and ``repeat`` first where it belongs to a run. They are
    made when they are asked for.

    Attributes:
        name: the experiment's name.
        experiment: what was asked.
        runs: the runs, by method, repeats in order.
        folder: where they were read from; None for a search in memory.
        missing: (method, repeat) of the runs that have not ended.
        home: the folder of the whole experiment, of which these may be a part; None for a search in memory.
    """

    name: str
    experiment: Experiment
    runs: Runs
    folder: Path | None = None
    missing: tuple[tuple[str, int], ...] = ()
    home: Path | None = None

    def __repr__(self) -> str:
        runs = [run for own in self.runs.values() for run in own]
        trials = sum(len(run.trials) for run in runs)
        text = f"{self.name}: {_many(len(runs), 'run')} of {', '.join(self.runs)}; {_many(trials, 'trial')}"
        missing = f"; {_many(len(self.missing), 'run')} missing" if self.missing else ""
        return f"<{text}{missing}>"

    @cached_property
    def trials(self) -> pd.DataFrame:
        """A row per trial.

        Columns: ``trial``; every hyperparameter (empty where inactive; of a population's members those at their ends);
        ``status``, which is completed, stopped or failed; ``progress``, the share of training done; ``performance``, the
        objective at the end, empty unless completed; ``seconds`` of computing; ``cost`` in virtual seconds; ``reason`` of a
        failure; and the other metrics at the end, by name.
        """
        names, objective = self._hyperparameters(), self.experiment.objective.key
        others: dict[str, None] = {}
        rows = []
        for run in self._all():
            for trial in sorted(run.trials.values(), key=lambda trial: trial.number):
                row: dict[str, object] = {"method": run.method, "repeat": run.repeat, "trial": trial.number}
                row |= {name: trial.configuration.get(name) for name in names}
                row |= {"status": trial.status, "progress": trial.progress}
                row |= {"performance": trial.performance(objective)}
                row |= {"seconds": trial.seconds, "cost": trial.cost, "reason": trial.reason}
                ends = {beside(name, row): value for name, value in trial.metrics.items() if name != objective}
                others |= dict.fromkeys(ends)
                rows.append(row | ends)
        usual = ["status", "progress", "performance", "seconds", "cost", "reason"]
        found = pd.DataFrame(rows, columns=["method", "repeat", "trial", *names, *usual, *others])
        return found.astype({"performance": float})

    @cached_property
    def curves(self) -> pd.DataFrame:
        """A row per report: ``trial``, ``progress`` (share of training) and every metric, such as ``loss``."""
        rows = []
        for run in self._all():
            for trial in sorted(run.trials.values(), key=lambda trial: trial.number):
                for progress, reported in trial.curve:
                    row = {"method": run.method, "repeat": run.repeat, "trial": trial.number, "progress": progress}
                    rows.append(row | {beside(name, row): value for name, value in reported.items()})
        metrics = dict.fromkeys(name for row in rows for name in row)
        return pd.DataFrame(rows, columns=list(dict.fromkeys(["method", "repeat", "trial", "progress", *metrics])))

    @cached_property
    def events(self) -> pd.DataFrame:
        """A row per report, completion or failure, in the order of the journal.

        Columns: ``event``, ``trial``, ``progress``; ``time``, virtual; ``seconds`` of computing since the trial's last
        report and ``overhead`` beside them; ``worker``; ``at``, when it ended, in seconds since 1970; ``cost``, virtual
        seconds of the trial so far; ``reused``, whether another run had trained it.
        """
        columns = ["event", "trial", "progress", "time", "seconds", "overhead", "worker", "at", "cost", "reused"]
        rows = [(run.method, run.repeat, *event) for run in self._all() for event in run.events]
        return pd.DataFrame(rows, columns=["method", "repeat", *columns])

    @cached_property
    def chosen(self) -> pd.DataFrame:
        """The row of `trials` that each run has chosen, the best on validation, with its metrics on the test part."""
        best = pd.DataFrame(
            [
                {"method": run.method, "repeat": run.repeat, "trial": run.best}
                | {beside(name, self.trials.columns): value for name, value in run.test.items()}
                for run in self._all()
            ]
        )
        if best.empty:
            return self.trials.iloc[:0]
        return self.trials.merge(best.dropna(subset="trial"), on=["method", "repeat", "trial"])

    @property
    def best(self) -> Best:
        """What the best of all runs has chosen: configuration, performance, and the network itself."""
        return self.best_of()

    def best_of(self, method: str | None = None, repeat: int | None = None) -> Best:
        """The same among the runs of a method, of a repeat, or both.

        Raises:
            UserError: there is no such run, or no trial of these has completed.
        """
        if method is not None and method not in self.runs:
            raise UserError(f"{self.name} has no method {method!r}{hint(method, self.runs)}")
        objective = self.experiment.objective
        runs = [run for run in self._all() if method in (None, run.method) and repeat in (None, run.repeat)]
        if not runs:
            raise UserError(f"{self.name} has no run of {method or 'any method'} with repeat {repeat}")
        found: Best | None = None
        for run in runs:
            performance, trial = run.performance(objective.key), run.chosen
            if trial is None or performance is None:
                continue
            if found is None or objective.better(performance, found.performance):
                folder = None if self.home is None else self.home / "runs" / run.method / str(run.repeat)
                found = Best(
                    run.method, run.repeat, trial.configuration, performance, run.test, self.experiment, folder
                )
        if found is None:
            raise UserError(f"{self.name}: no trial has completed, so there is no best one")
        return found

    @cached_property
    def comparison(self) -> pd.DataFrame:
        """A row per method, as in `comparison.csv`: :func:`hypercurve.analysis.tables.comparison`."""
        return tables.comparison(self.experiment, self.runs)

    @cached_property
    def importance(self) -> pd.DataFrame:
        """A row per hyperparameter, the most important first: :func:`hypercurve.analysis.importance.table`."""
        return importance.table(importance.importances(self.experiment, self.runs))

    def figure(self, name: str) -> "Figure":
        """A figure by its name in `figures` of an experiment file, such as ``best``, ``curves`` or ``parallel``.

        Raises:
            UserError: there is no such figure, or the results have no table that it is drawn from.
        """
        from ..analysis import figures

        _known(name)
        return figures.draw(name, self.experiment, self.runs, self.folder)

    def _all(self) -> list[RunResult]:
        return [run for own in self.runs.values() for run in own]

    def _hyperparameters(self) -> list[str]:
        spaces = [self.experiment.space_of(method).names for method in self.runs]
        seen = (name for run in self._all() for trial in run.trials.values() for name in trial.configuration)
        return list(dict.fromkeys([*(name for names in spaces for name in names), *seen]))


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"


def load(path: str | Path, *, whole: bool = False) -> Results:
    """Read results: of an experiment (``results/demo``), a method (``results/demo/runs/lcm``) or a run (``.../runs/lcm/0``).

    Args:
        path: a folder that the workflow, or `hypercurve.tune`, has written.
        whole: refuse results in which a run has not ended, instead of naming it in `Results.missing`.

    Raises:
        UserError: there are no results, none of their runs has ended, or one is damaged; the message names the file.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise UserError(f"{folder}: is no folder of results")
    top = folder.resolve()
    home = next((place for place in (top, *list(top.parents)[:3]) if (place / "experiment.json").is_file()), None)
    if home is None:
        raise UserError(f"{folder}: holds no results: neither it nor a folder above it has an experiment.json")
    experiment = read_resolved(home / "experiment.json")
    wanted = top.relative_to(home).parts
    if len(wanted) == 1 or (wanted and wanted[0] != "runs") or len(wanted) > 3:
        raise UserError(f"{folder}: is no folder of an experiment, a method or a run")
    methods = [wanted[1]] if len(wanted) > 1 else list(experiment.methods)
    repeats = [wanted[2]] if len(wanted) > 2 else [str(repeat) for repeat in range(experiment.repeats)]
    if unknown := [method for method in methods if method not in experiment.methods]:
        raise UserError(f"{folder}: {home.name} has no method {unknown[0]!r}; it has {', '.join(experiment.methods)}")
    runs: dict[str, list[RunResult]] = {method: [] for method in methods}
    missing: list[tuple[str, int]] = []
    for method in methods:
        for repeat in repeats:
            journal = home / "runs" / method / repeat / JOURNAL
            if journal.is_file() or whole:
                runs[method].append(read_run(journal))
            else:
                missing.append((method, int(repeat) if repeat.isdigit() else -1))
    if not any(runs.values()):
        raise UserError(f"{folder}: no run has ended: there is no {JOURNAL}")
    if len(methods) < len(experiment.methods):
        one = {method: experiment.methods[method] for method in methods}
        experiment = experiment.model_copy(update={"methods": one, "baseline": methods[0]})
    return Results(home.name, experiment, runs, top if top == home else None, tuple(missing), home)


def figure(results: Results | str | Path, name: str, *, whole: bool = False) -> "Figure":
    """A figure of results; notebooks show it, and its method ``savefig`` writes it to a file.

    Args:
        results: results, or their folder as for :func:`load`.
        name: as for :meth:`Results.figure`.
        whole: as for :func:`load`.

    Raises:
        UserError: the results cannot be read, or have no such figure.
    """
    if isinstance(results, Results):
        return results.figure(name)
    from ..analysis import figures

    _known(name)
    if figures.table_of(name) is not None:  # these need no journals, which may be thousands
        return figures.draw_table(name, Path(results))
    return load(results, whole=whole).figure(name)


def _known(name: str) -> None:
    if name not in FIGURES:
        raise UserError(f"there is no figure {name!r}{hint(name, tuple(FIGURES))}")
