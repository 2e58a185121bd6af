"""Showing where runs stand: live in a terminal, as plain lines elsewhere."""

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from .progress import say_duration
from .state import WatchedExperiment, WatchedRun, experiments_in

PLAIN_WIDTH = 120
FEWEST_ROWS = 3


def watch(results: Path, once: bool = False, every: float = 2.0) -> None:
    """Show where the runs of a results folder stand until all are finished, or once.

    In a terminal the picture is drawn anew; elsewhere, a line for each experiment is printed when something has changed.

    Args:
        results: a results folder, or an experiment's.
        once: print the picture once.
        every: seconds between two readings.

    Raises:
        UserError: there is nothing to watch.
    """
    experiments = list(experiments_in(results))
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=max(PLAIN_WIDTH, console.width))
    _poll(experiments)
    if once:
        console.print(picture(experiments, time.time()))
    elif console.is_terminal:
        with Live(console=console, auto_refresh=False, screen=False, vertical_overflow="crop") as live:
            while True:
                live.update(picture(experiments, time.time(), rows=_rows(console, experiments)), refresh=True)
                if all(experiment.finished for experiment in experiments):
                    return
                time.sleep(every)
                _poll(experiments)
    else:
        shown: dict[str, str] = {}
        while True:
            for experiment in experiments:
                text = line(experiment)
                if shown.get(experiment.name) != text:
                    console.print(text, markup=False, soft_wrap=True)
                    shown[experiment.name] = text
            if all(experiment.finished for experiment in experiments):
                return
            time.sleep(every)
            _poll(experiments)


def _poll(experiments: Sequence[WatchedExperiment]) -> None:
    for experiment in experiments:
        experiment.poll()


def _rows(console: Console, experiments: Sequence[WatchedExperiment]) -> int:
    """How many running runs of each experiment fit the terminal beside the methods."""
    methods = sum(len(e.experiment.methods) if e.experiment else 0 for e in experiments)
    return max(FEWEST_ROWS, (console.height - methods - 9 * len(experiments)) // max(1, len(experiments)))


def line(experiment: WatchedExperiment) -> str:
    """An experiment in a line."""
    if not experiment.runs:
        return f"{experiment.name}: {experiment.problem}"
    counts = _counts(experiment.runs)
    phases = Counter(run.phase for run in experiment.runs)
    parts = [
        f"{experiment.name}: {phases['finished']} of {len(experiment.runs)} runs finished, {phases['running']} running",
        f"{counts['completed']} trials completed, {counts['stopped']} stopped, {counts['failed']} failed",
    ]
    if (best := _best(experiment.runs)) is not None:
        parts.append(f"best {best:.4f}")
    if experiment.left is not None:
        parts.append(f"about {say_duration(experiment.left)} left")
    return " | ".join(parts)


def picture(experiments: Sequence[WatchedExperiment], now: float, rows: int | None = None) -> RenderableType:
    """All experiments as tables.

    Args:
        now: seconds since 1970, for how long ago something happened.
        rows: how many running runs to show at most; None: all.
    """
    parts: list[RenderableType] = []
    for experiment in experiments:
        parts.append(Text(line(experiment), style="bold"))
        if experiment.runs:
            parts.append(_methods(experiment))
            going = [run for run in experiment.runs if run.phase == "running"]
            if going:
                parts.append(_running(going, now, rows))
        damaged = sum(run.damaged for run in experiment.runs)
        if damaged:
            parts.append(Text(f"{damaged} lines of journals could not be read", style="red"))
    return Group(*parts)


def _methods(experiment: WatchedExperiment) -> Table:
    """A row for each method."""
    assert experiment.experiment is not None
    objective = experiment.experiment.objective
    table = _table(
        "method", "runs", "running", "slots in use", "completed", "stopped", "failed", f"best {objective.key}"
    )
    for method in experiment.experiment.methods:
        own = [run for run in experiment.runs if run.setting.method == method]
        phases, counts, best = Counter(run.phase for run in own), _counts(own), _best(own)
        slots = sum(run.slots for run in own if run.phase == "running")
        table.add_row(
            method,
            f"{phases['finished']}/{len(own)}",
            str(phases["running"]),
            f"{sum(run.in_use for run in own)}/{slots}" if slots else "",
            *(str(counts[status]) for status in ("completed", "stopped", "failed")),
            "" if best is None else f"{best:.4f}",
        )
    return table


def _running(runs: Sequence[WatchedRun], now: float, rows: int | None) -> Table:
    """A row for each running run; the ones with the most to do first, as they decide when all is over."""
    table = _table(
        "running", "done", "slots in use", "over", "completed", "stopped", "failed", "best", "last event", "left"
    )
    ordered = sorted(runs, key=lambda run: -(run.left or 0.0))
    shown = ordered if rows is None else ordered[:rows]
    for run in shown:
        counts, total = run.counts, run.setting.trials
        table.add_row(
            f"{run.setting.method}/{run.repeat}",
            "" if run.share is None else f"{run.share:.0%}",
            f"{run.in_use}/{run.slots}",
            f"{run.over}/{total}" if total is not None else str(run.over),
            *(str(counts[status]) for status in ("completed", "stopped", "failed")),
            "" if run.best is None else f"{run.best:.4f}",
            "" if run.at is None else f"{say_duration(max(0.0, now - run.at))} ago",
            "" if run.left is None else say_duration(run.left),
        )
    if len(shown) < len(ordered):
        table.add_row(f"and {len(ordered) - len(shown)} more")
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _counts(runs: Sequence[WatchedRun]) -> Counter[str]:
    return sum((run.counts for run in runs), Counter[str]())


def _best(runs: Sequence[WatchedRun]) -> float | None:
    best: float | None = None
    for run in runs:
        if run.best is not None and (best is None or run.setting.objective.better(run.best, best)):
            best = run.best
    return best
