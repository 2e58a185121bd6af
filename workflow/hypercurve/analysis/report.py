"""The report of an experiment: one HTML file that holds everything and needs neither network nor scripts.

Tables are those of :mod:`hypercurve.analysis.tables`, figures the files that were drawn before; here they are put together
with the question, the setting and what made them. Captions are the ones that Snakemake's own report shows.
"""

import base64
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
from docutils.core import publish_parts  # type: ignore[import-untyped]
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ..config import Experiment
from ..errors import UserError
from ..files import write_text
from ..hyperparameters import HYPERPARAMETERS
from ..provenance import PACKAGE
from . import prose
from .figures.style import format_performance, looks, short
from .origins import digests, versions
from .sections import DASH, population_sections, traits_section
from .tables import Runs, at_budgets, same_configuration

# In an installed package the captions lie beside this module, in a checkout with Snakemake's rules.
_CAPTIONS = (Path(__file__).parent / "captions", PACKAGE.parents[1] / "rules" / "captions")

MOST = 20
"""Most repeats of a method whose chosen configurations are listed, and most reasons of failures."""

TITLES = {
    "pareto": "Cost against regret",
    "heatmaps": "What settings cost and lose",
    "best": "Best so far",
    "curves": "Learning curves",
    "parallel": "All trials over all hyperparameters",
    "importance": "Importance of hyperparameters",
    "budgets": "At smaller budgets",
    "grid": "The grid",
    "schedules": "Learning rate schedules",
    "population": "The population's schedules",
    "fitness": "The population's fitness",
    "timeline": "Workers over time",
    "traits": "Traits of the methods",
}


def write(experiment: Experiment, name: str, runs: Runs, comparison: Path, figures: Path, output: Path) -> None:
    """Write an experiment's report.

    Args:
        experiment: the experiment.
        name: its name.
        runs: all its runs by method.
        comparison: `comparison.csv`, as :func:`hypercurve.analysis.tables.write` wrote it.
        figures: folder of the figures; those that are there are shown, in the order of :data:`TITLES`.
        output: the file.

    Raises:
        UserError: the comparison cannot be read.
    """
    try:
        table = pd.read_csv(comparison)
    except (OSError, ValueError) as error:
        raise UserError(f"{comparison}: cannot be read: {error}") from None
    environment = Environment(
        loader=PackageLoader("hypercurve.analysis", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = environment.get_template("report.html.j2").render(
        name=name,
        experiment=experiment,
        colours={method: look.colour for method, look in looks(experiment).items()},
        summary=list(_summary(experiment, table)),
        facts=_facts(experiment, runs),
        space=list(_space(experiment)),
        methods={method: prose.rules(experiment, given) for method, given in experiment.methods.items()},
        comparison=[_row(experiment, row) for row in table.to_dict("records")],
        nothing=_nothing(experiment, runs),
        metric=experiment.objective.metric,
        caption=caption("comparison", name),
        budgets=_budgets(experiment, runs),
        budgets_caption=caption("budgets", name),
        figures=list(_figures(name, figures)),
        traits=traits_section(experiment, runs),
        traits_caption=caption("traits", name),
        populations=population_sections(experiment, runs),
        chosen=_chosen(experiment, runs),
        variables=_variables(experiment),
        most=MOST,
        failures=_failures(runs),
        made=list(digests(experiment, runs)),
        versions=versions(),
    )
    write_text(output, text)


def caption(which: str, experiment: str, figure: str = "") -> Markup:
    """A caption of ``rules/captions`` as HTML; empty where the captions are not at hand.

    The text is what Snakemake renders in its report, with the same two names to fill in.
    """
    path = next((path for folder in _CAPTIONS if (path := folder / f"{which}.rst").exists()), None)
    if path is None:
        return Markup()
    job = SimpleNamespace(wildcards=SimpleNamespace(experiment=experiment, figure=figure))
    template = Environment(trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    text = template.from_string(path.read_text(encoding="utf-8")).render(snakemake=job)
    settings = {"raw_enabled": False, "file_insertion_enabled": False, "report_level": 5}
    return Markup(publish_parts(text, writer="html5", settings_overrides=settings)["body"])


def _summary(experiment: Experiment, table: pd.DataFrame) -> Iterator[dict[str, str]]:
    """What came out, a line per method other than the baseline."""
    for row in table.to_dict("records"):
        if row["method"] == experiment.reference:
            continue
        repeats = int(row["repeats"])
        parts = []
        if pd.notna(row["speedup"]) and row["speedup"] > 0:
            parts.append(_computing(1 / row["speedup"]))
        if pd.notna(row["difference_mean"]):
            mean, low, high = (_signed(experiment, row[f"difference_{which}"]) for which in ("mean", "low", "high"))
            interval = f"95{prose.NARROW}% interval {low.removesuffix(' points')} to {high.removesuffix(' points')}"
            parts.append(f"best {experiment.objective.metric} {mean} ({interval})")
        if pd.notna(row["best_performance_mean"]):
            parts.append(
                f"the same best configuration in {int(row['same_best'])} of {repeats} repeat{'s' * (repeats > 1)}"
            )
        else:
            parts.append("no trial completed")
        yield {"method": str(row["method"]), "text": "; ".join(parts)}


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
    return text.replace("-", "−")


def _facts(experiment: Experiment, runs: Runs) -> dict[str, str]:
    data = experiment.data
    kept = (
        f"{data.validation:,}".replace(",", prose.NARROW)
        if isinstance(data.validation, int)
        else prose.shares([data.validation])
    )
    samples = next((run.samples for own in runs.values() for run in own if run.samples), None)
    points = experiment.training.accumulation_points
    better = "higher" if experiment.objective.mode == "max" else "lower"
    return {
        **(
            {"Recorded curves": str(data.curves)}
            if data.curves
            else {
                "Data": f"{data.label}; {kept} of the training part kept for validation"
                + (f", {short(samples)} left to train on" if samples else ""),
                "Network": experiment.model,
            }
        ),
        "Objective": f"validation {experiment.objective.metric}, the {better} the better",
        "Budget of a run": prose.budget(experiment.budget),
        "Repeats": f"{experiment.repeats}, each with seeds of its own, which the methods share",
        "Baseline": experiment.reference,
        "Learning curves": f"the training loss at {len(points)} points of training"
        + (f", {prose.shares(points)}" if len(points) <= 10 else ""),
    }


def _space(experiment: Experiment) -> Iterator[dict[str, str]]:
    for name in experiment.space.names:
        known = HYPERPARAMETERS.get(name)
        domain = experiment.space[name]
        yield {
            "name": name,
            "domain": prose.domain(domain),
            "when": prose.condition(domain),
            "help": known.help if known else "",
        }


def _row(experiment: Experiment, row: Mapping[Any, Any]) -> dict[str, Any]:
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


def _nothing(experiment: Experiment, runs: Runs) -> dict[str, int]:
    """Repeats in which a method found nothing, by method."""
    empty = {method: sum(run.chosen is None for run in runs[method]) for method in experiment.methods}
    return {method: many for method, many in empty.items() if many}


def _budgets(experiment: Experiment, runs: Runs) -> dict[str, Any] | None:
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


def _figures(name: str, folder: Path) -> Iterator[dict[str, Any]]:
    for figure in TITLES:
        path = folder / f"{figure}.svg"
        if path.exists():
            data = base64.b64encode(path.read_bytes()).decode()
            yield {"name": figure, "title": TITLES[figure], "data": data, "caption": caption("figure", name, figure)}


def _variables(experiment: Experiment) -> list[str]:
    """All names that some method varies."""
    spaces = [experiment.setting("", method).space for method in experiment.methods]
    return list(dict.fromkeys(name for space in spaces for name in space.variables))


def _chosen(experiment: Experiment, runs: Runs) -> list[dict[str, Any]]:
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
                        for name in _variables(experiment)
                    ],
                    "best": DASH if performance is None else format_performance(performance, objective),
                    "test": DASH if test is None else format_performance(test, objective),
                    "same": method != experiment.reference and other is not None and same_configuration(run, other),
                }
            )
    return rows


def _failures(runs: Runs) -> list[dict[str, Any]]:
    """Why trials failed, the most frequent reasons first."""
    counts = Counter(
        (method, trial.reason or "")
        for method, own in runs.items()
        for run in own
        for trial in run.trials.values()
        if trial.status == "failed"
    )
    return [{"method": method, "reason": reason, "count": many} for (method, reason), many in counts.most_common(MOST)]
