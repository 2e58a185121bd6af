"""Tables of replays: what each method costs and loses, with confidence intervals over repeats.

Intervals are 95 % bootstrap percentile intervals of the mean (Efron and Tibshirani 1993, section 13.3): repeats are drawn
with replacement, the same ones for all methods, by a generator of their own, so equal outcomes give equal intervals.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..execution.replay import Outcome
from ..util.errors import UserError
from ..util.seeding import generator

Floats = npt.NDArray[np.float64]

RESAMPLES = 2000
CONFIDENCE = 0.95
NOTHING = 1.0
"""Regret of a replay that found nothing: that of one trial at random."""
ALL = "(mean)"
"""Name of the line that holds the mean over tasks."""
VARIED = ["vary", "settings"]
"""Columns of variants: the entry of `vary`, and what it has set, as JSON."""


def runs(outcomes: Iterable[Outcome]) -> pd.DataFrame:
    """One row per replay: task, method, repeat, trials by how they ended, cost, performance found, regret."""
    columns = ["task", "method", "repeat", "trials", "completed", "stopped", "failed", "cost", "found", "regret"]
    return pd.DataFrame([[getattr(one, name) for name in columns] for one in outcomes], columns=columns)


def summary(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """One row per task and method, and for several tasks one of their mean.

    Columns: ``task``, ``method``, ``repeats``; ``cost``, ``regret``, each the mean with ``_low`` and ``_high``, the bounds
    of its interval; ``same_best``: share of the repeats that found the best trial; ``completed``, ``stopped``, ``failed``:
    mean numbers of trials.
    """
    rows = []
    for (task, method), own in _grouped(outcomes).items():
        row: dict[str, object] = {"task": task, "method": method, "repeats": len(own[0])}
        row |= interval("cost", [[one.cost for one in part] for part in own])
        row |= interval("regret", [[_known(one.regret) for one in part] for part in own])
        every = [one for part in own for one in part]
        row["same_best"] = float(np.mean([one.regret == 0 for one in every]))
        for status in ("completed", "stopped", "failed"):
            row[status] = float(np.mean([getattr(one, status) for one in every]))
        rows.append(row)
    return pd.DataFrame(rows)


def at_costs(outcomes: Sequence[Outcome], costs: Sequence[float]) -> pd.DataFrame:
    """The regret that replays had reached at smaller costs, read off from their courses; the methods were not told.

    One row per task, method and cost: ``task``, ``method``, ``at``, ``repeats``, and ``regret`` with ``_low`` and ``_high``.
    A replay that had found nothing counts with a regret of :data:`NOTHING`.
    """
    rows = []
    for (task, method), own in _grouped(outcomes).items():
        for cost in costs:
            row: dict[str, object] = {"task": task, "method": method, "at": cost, "repeats": len(own[0])}
            row |= interval("regret", [[_known(one.regret_at(cost)) for one in part] for part in own])
            rows.append(row)
    return pd.DataFrame(rows)


def variants(found: Iterable[tuple[str, Mapping[str, Any], Sequence[Outcome]]]) -> pd.DataFrame:
    """The summary of each combination of varied settings.

    Args:
        found: name of the entry of `vary`, the settings, and the outcomes.
    """
    parts = []
    for name, settings, outcomes in found:
        part = summary(outcomes)
        part.insert(0, "settings", json.dumps(settings))
        part.insert(0, "vary", name)
        parts.append(part)
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=[*VARIED, "task", "method"])


def read(path: Path) -> pd.DataFrame:
    """A table that one of these functions made.

    Raises:
        UserError: it cannot be read.
    """
    try:
        return pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None


def interval(name: str, values: Sequence[Sequence[float]]) -> dict[str, float]:
    """The mean over tasks and repeats, and its interval.

    Args:
        values: shape (tasks, repeats); a resample draws repeats, the same for all tasks.
    """
    table: Floats = np.array(values, dtype=float)
    per_repeat: Floats = table.mean(axis=0)
    low, high = _bounds(per_repeat)
    return {name: float(per_repeat.mean()), f"{name}_low": low, f"{name}_high": high}


def _bounds(values: Floats) -> tuple[float, float]:
    if len(values) < 2:
        return float("nan"), float("nan")
    drawn = generator(0, 0, "bootstrap").integers(len(values), size=(RESAMPLES, len(values)))
    means = values[drawn].mean(axis=1)
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def _known(regret: float) -> float:
    return NOTHING if np.isnan(regret) else regret


def _grouped(outcomes: Sequence[Outcome]) -> dict[tuple[str, str], list[list[Outcome]]]:
    """Outcomes by task and method, in a list of one; and, with several tasks, by method in a list of all tasks."""
    groups: dict[tuple[str, str], list[Outcome]] = {}
    for one in outcomes:
        groups.setdefault((one.task, one.method), []).append(one)
    result = {key: [own] for key, own in groups.items()}
    tasks = list(dict.fromkeys(task for task, _ in groups))
    if len(tasks) > 1:
        for method in dict.fromkeys(method for _, method in groups):
            result[(ALL, method)] = [groups[(task, method)] for task in tasks]
    return result
