"""The cells of the report's tables, and its sentences about them, as a reader wants them: rounded, with units."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ..config.experiment import Experiment
from ..runs.failures import common
from ..util.words import listing
from . import prose, replays
from .figures.style import format_performance, short
from .sections import DASH
from .tables import Runs, at_budgets, same_configuration

MOST = 20
"""Most repeats of a method whose chosen configurations are listed, and most reasons of failures."""


def summary(
    experiment: Experiment, table: pd.DataFrame, played: Mapping[str, Any] | None = None
) -> Iterator[dict[str, str]]:
    """What came out, a line per method other than the baseline, which has one if it completed no trial.

    Args:
        experiment: the experiment.
        table: its comparison.
        played: of a replay, what :func:`replayed` gives; then every method has a line.
    """
    bests = dict(zip(table["method"], table["best_performance_mean"], strict=True))
    regrets = {row["method"]: row for row in played["rows"]} if played else {}
    for row in table.to_dict("records"):
        method, parts = str(row["method"]), []
        if method in regrets:
            own = regrets[method]
            parts.append(f"{own['cost']} of full training with a regret of {own['regret']}")
        elif pd.notna(row["speedup"]) and row["speedup"] > 0 and method != experiment.reference:
            parts.append(_computing(1 / row["speedup"]))
        if method == experiment.reference and row.get("completed") == 0:
            parts.append(_nothing(row))
        if method != experiment.reference:
            parts += _against(experiment, row, bests.get(experiment.reference))
        if parts:
            yield {"method": method, "text": "; ".join(parts)}


def _against(experiment: Experiment, row: Mapping[Any, Any], best: float | None) -> Iterator[str]:
    """What a method found, against the baseline.

    Args:
        experiment: the experiment.
        row: the method's, of the comparison.
        best: what the baseline found, on average.
    """
    metric, repeats = experiment.objective.metric, int(row["repeats"])
    if pd.notna(row["difference_mean"]):
        mean, low, high = (_signed(experiment, row[f"difference_{which}"]) for which in ("mean", "low", "high"))
        interval = f"95{prose.NARROW}% interval {low.removesuffix(' points')} to {high.removesuffix(' points')}"
        interval += f", from {repeats} repeats only" if repeats < prose.FEW_REPEATS else ""
        word = {"+": " higher", "−": " lower"}.get(mean[0])
        yield (
            f"best {metric} {mean[1:]}{word} ({interval})"
            if word
            else f"best {metric} the same on average ({interval})"
        )
    elif row["same_best"] == 0 and pd.notna(row["best_performance_mean"]) and best is not None and pd.notna(best):
        found = (format_performance(value, experiment.objective) for value in (row["best_performance_mean"], best))
        yield f"best {metric} {' against '.join(found)}"
    if pd.notna(row["best_performance_mean"]):
        yield f"the same best configuration in {int(row['same_best'])} of {repeats} repeat{'s' * (repeats > 1)}"
    else:
        yield _nothing(row)


def _nothing(row: Mapping[Any, Any]) -> str:
    """What a method says that completed no trial."""
    return "no trial completed" + ("; all failed, see Failed trials" if row["failed"] == row["trials"] > 0 else "")


def _computing(ratio: float) -> str:
    """How much computing a method took, as a ratio to the baseline's."""
    if abs(ratio - 1) < 0.005:
        return "as much computing"
    if ratio < 1:
        return f"{100 * (1 - ratio):.0f}{prose.NARROW}% less computing ({1 / ratio:.2f}{prose.NARROW}× the speed)"
    return f"{100 * (ratio - 1):.0f}{prose.NARROW}% more computing" if ratio < 2 else f"{ratio:.3g} times the computing"


def _signed(experiment: Experiment, value: float) -> str:
    """A difference of performances; of accuracies in percentage points."""
    text = f"{100 * value:+.2f} points" if experiment.objective.metric == "accuracy" else f"{value:+.3g}"
    if not text.strip("+-.0 points"):
        text = text[1:]  # nothing has no sign
    return text.replace("-", "−")


def row(experiment: Experiment, row: Mapping[Any, Any]) -> dict[str, Any]:
    """A line of the comparison for readers."""
    objective = experiment.objective
    baseline = row["method"] == experiment.reference

    def number(key: str, write: Callable[[float], str]) -> dict[str, str]:
        mean, sd = row[f"{key}_mean"], row[f"{key}_sd"]
        return {"mean": DASH if pd.isna(mean) else write(mean), "sd": "" if pd.isna(sd) else f"± {write(sd)}"}

    def performance(value: float) -> str:
        return format_performance(value, objective)

    low, high = (_signed(experiment, row[f"difference_{end}"]).removesuffix(" points") for end in ("low", "high"))
    interval = f"{low} to {high}"
    return {
        "method": row["method"],
        "baseline": baseline,
        "trials": prose.count(row["trials"]),
        "ends": {end: prose.count(row[end]) for end in ("completed", "stopped", "failed") if row[end] > 0},
        "computing": number("computing_seconds", prose.seconds),
        "wall": number("wall_seconds", prose.seconds),
        "best": number("best_performance", performance),
        "test": number("test_performance", performance),
        "same": DASH if baseline else f"{int(row['same_best'])} of {int(row['repeats'])}",
        "speedup": DASH if pd.isna(row["speedup"]) else f"{row['speedup']:.2f}{prose.NARROW}×",
        "difference": DASH if pd.isna(row["difference_mean"]) else _signed(experiment, row["difference_mean"]),
        "interval": "" if pd.isna(row["difference_mean"]) else interval,
        "p": DASH if pd.isna(row["p_value"]) else f"{row['p_value']:.3f}" if row["p_value"] >= 0.001 else "< 0.001",
    }


def nothing(experiment: Experiment, runs: Runs) -> dict[str, int]:
    """Repeats in which a method found nothing, by method."""
    empty = {method: sum(run.chosen is None for run in runs[method]) for method in experiment.methods}
    return {method: many for method, many in empty.items() if many}


def reused(runs: Runs) -> list[str]:
    """Of each method for which trainings were taken from other runs: how many, from where, and what that saved."""
    found = []
    for method, own in runs.items():
        events = [(run.repeat, event) for run in own for event in run.events]
        if not any(event.reused for _, event in events):
            continue
        trials = {(repeat, event.trial) for repeat, event in events}
        here = {(repeat, event.trial) for repeat, event in events if not event.reused}
        sources = dict.fromkeys(event.reused.rpartition("/")[0] for _, event in events if event.reused)
        spent, whole = (
            sum(event.seconds for _, event in events if every or not event.reused) for every in (False, True)
        )
        found.append(
            f"{method}: {len(here)} of {len(trials)} trials trained here, the others known from {listing(sources)}; "
            f"{prose.seconds(spent)} of {prose.seconds(whole)} computing really spent"
        )
    return found


def budgets(experiment: Experiment, runs: Runs) -> dict[str, Any] | None:
    """The best performances at smaller budgets; None where the experiment has none."""
    if not experiment.budget.at:
        return None
    table = at_budgets(experiment, runs)
    rows = []
    for method in experiment.methods:
        own = table[table["method"] == method]
        cells = []
        for mean, sd in zip(own["best_performance_mean"], own["best_performance_sd"], strict=True):
            text = DASH if pd.isna(mean) else format_performance(mean, experiment.objective)
            cells.append(
                text
                if pd.isna(sd)
                else text.replace(f"{prose.NARROW}%", "") + f" ± {format_performance(sd, experiment.objective)}"
            )
        rows.append({"method": method, "cells": cells})
    limits = [short(value) for value in dict.fromkeys((*experiment.budget.at, experiment.budget.limit))]
    return {"kind": experiment.budget.kind, "limits": limits, "rows": rows}


def variables(experiment: Experiment) -> list[str]:
    """All names that some method varies."""
    spaces = [experiment.setting("", method).space for method in experiment.methods]
    return list(dict.fromkeys(name for space in spaces for name in space.variables))


def chosen(experiment: Experiment, runs: Runs) -> list[dict[str, Any]]:
    """The configurations that runs have chosen, for each method of the first :data:`MOST` repeats."""
    objective = experiment.objective
    baseline = {run.repeat: run for run in runs[experiment.reference]}
    rows = []
    for method in experiment.methods:
        for run in runs[method][:MOST]:
            trial = run.chosen
            performance, test = run.performance(objective.key), run.test.get(f"test_{objective.metric}")
            other = baseline.get(run.repeat)
            rows.append(
                {
                    "method": method,
                    "repeat": run.repeat,
                    "trial": DASH if trial is None else trial.number,
                    "values": [
                        DASH
                        if trial is None or name not in trial.configuration
                        else short(trial.configuration[name], 4)
                        for name in variables(experiment)
                    ],
                    "best": DASH if performance is None else format_performance(performance, objective),
                    "test": DASH if test is None else format_performance(test, objective),
                    "same": method != experiment.reference and other is not None and same_configuration(run, other),
                }
            )
    return rows


def failed(runs: Runs) -> str:
    """How many of all trials failed, and the most frequent reason, as it was told first; empty if none failed."""
    trials = [trial for own in runs.values() for run in own for trial in run.trials.values()]
    reasons = [trial.reason or "" for trial in trials if trial.status == "failed"]
    if not reasons:
        return ""
    kinds = Counter(map(common, reasons))
    kind, many = kinds.most_common(1)[0]
    reason = next(reason for reason in reasons if common(reason) == kind)
    most = "" if len(kinds) == 1 else f", {short(many)} of them alike"
    return f"{short(len(reasons))} of {short(len(trials))} trials failed{most}: {reason}"


def failures(runs: Runs) -> list[dict[str, Any]]:
    """Why trials failed, the most frequent reasons first."""
    counts = Counter(
        (method, trial.reason or "")
        for method, own in runs.items()
        for run in own
        for trial in run.trials.values()
        if trial.status == "failed"
    )
    return [{"method": method, "reason": reason, "count": many} for (method, reason), many in counts.most_common(MOST)]


def replayed(results: Path) -> dict[str, Any]:
    """Cost and regret of every method of a replay, and its regret at smaller costs.

    Raises:
        UserError: `replay.csv` or `costs.csv` cannot be read.
    """
    table, costs = replays.read(results / "replay.csv"), replays.read(results / "costs.csv")
    at = sorted(set(costs["at"]))
    rows = []
    for row in table.to_dict("records"):
        own = {line["at"]: line for line in costs[costs["method"] == row["method"]].to_dict("records")}
        rows.append(
            {
                "method": row["method"],
                "cost": prose.shares([round(row["cost"], 3)]),
                "cost_interval": _between(row, "cost", lambda value: f"{100 * value:.1f}"),
                "regret": _regret(row["regret"]),
                "regret_interval": _between(row, "regret", _regret),
                "same": prose.shares([round(row["same_best"], 3)]),
                "at": [
                    {"mean": _regret(own[cost]["regret"]), "interval": _between(own[cost], "regret", _regret)}
                    if cost in own
                    else {"mean": DASH, "interval": ""}
                    for cost in at
                ],
            }
        )
    return {"at": [prose.shares([cost]) for cost in at], "rows": rows}


def _regret(value: float) -> str:
    return DASH if pd.isna(value) else f"{value:.3f}"


def _between(row: Mapping[Any, Any], key: str, write: Callable[[float], str]) -> str:
    """An interval; empty where there is none."""
    low, high = row[f"{key}_low"], row[f"{key}_high"]
    return "" if pd.isna(low) else f"{write(low)} to {write(high)}"
