"""What a person sees of a run while it goes on: one live line in a terminal, a plain line now and then in a log."""

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live

from ..runs.run import Run

SECONDS_BETWEEN_PLAIN_LINES = 10.0


class Progress:
    """Shows where a run stands, on the standard error stream.

    Use as a context manager and call it with the run after every event.
    """

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._live = Live(console=self._console, refresh_per_second=4) if sys.stderr.isatty() else None
        self._began = time.monotonic()
        self._at_begin: float | None = None
        self._last_plain = 0.0
        self._text = ""

    def __call__(self, run: Run) -> None:
        """Show the run's state."""
        now = time.monotonic()
        share = _share(run)
        if self._at_begin is None:
            self._at_begin = share or 0.0
        if self._live is None and run.ended is None and now - self._last_plain < SECONDS_BETWEEN_PLAIN_LINES:
            return
        self._text = describe(run, self._left(share, now - self._began))
        if self._live is not None:
            self._live.update(self._text)
        else:
            self._last_plain = now
            self._console.print(self._text, soft_wrap=True, markup=False)

    def _left(self, share: float | None, elapsed: float) -> float | None:
        """Seconds left, judged by the pace since the start of this process."""
        done = None if share is None or self._at_begin is None else share - self._at_begin
        return None if share is None or not done else elapsed * (1 - share) / done

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()


def _share(run: Run) -> float | None:
    """How much of the budget is spent, in [0, 1]."""
    budget = run.setting.budget
    if budget.seconds is not None:
        return run.seconds / budget.seconds
    if budget.samples is not None:
        return run.samples / budget.samples
    total = run.setting.trials
    if total is None:
        return None
    over = sum(trial.progress if trial.status in ("running", "paused") else 1.0 for trial in run.trials.values())
    return over / total


def _fitness(run: Run) -> tuple[float, int] | None:
    """The best fitness of a population's last reports, and whose."""
    objective = run.setting.objective
    last = [(trial.curve[-1][1].get(objective.key), trial.number) for trial in run.trials.values() if trial.curve]
    known = [(value, number) for value, number in last if value is not None]
    choose = max if objective.mode == "max" else min
    return choose(known, key=lambda pair: pair[0], default=None)


def describe(run: Run, left: float | None = None) -> str:
    """A run's state in a line."""
    counts = dict.fromkeys(("completed", "stopped", "failed"), 0)
    for trial in run.trials.values():
        if trial.status in counts:
            counts[trial.status] += 1
    setting = run.setting
    total = f"/{setting.trials}" if setting.trials is not None else ""
    parts = [
        f"{setting.experiment} {setting.method} {run.repeat}: {sum(counts.values())}{total} trials over",
        ", ".join(f"{number} {status}" for status, number in counts.items()),
    ]
    if run.best is not None:
        best = run.best.metrics[setting.objective.key]
        parts.append(f"best {setting.objective.metric} {best:.4f} (trial {run.best.number})")
    elif setting.population is not None and (fitness := _fitness(run)):
        parts.append(f"best fitness so far {fitness[0]:.4f} (member {fitness[1]})")
    if run.ended is not None:
        parts.append("done")
    elif left is not None:
        parts.append(f"about {say_duration(left)} left")
    return " | ".join(parts)


def say_duration(seconds: float) -> str:
    """A duration as a person says it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
