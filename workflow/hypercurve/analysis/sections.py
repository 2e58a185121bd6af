"""Parts of the report that only some experiments have: populations, and the slides' table of methods."""

from collections import Counter
from itertools import groupby
from typing import Any

import pandas as pd

from ..config.experiment import Experiment
from ..config.figures import populations
from ..results.runs import RunResult
from .figures.style import format_performance, short
from .figures.traits import written
from .lineage import ancestry, differing, lineage, members
from .tables import Runs
from .traits import TRAITS, slides, traits

DASH = "–"
MOST = 100
"""Most members that are listed."""


def population_sections(experiment: Experiment, runs: Runs) -> list[dict[str, Any]]:
    """Of each population's first repeat: its members, and a line on who descends from whom."""
    sections = []
    for method in populations(experiment):
        run = next((run for run in runs[method] if run.trials), None)
        if run is None:
            continue
        setting = experiment.setting("", method)
        names = differing(run, setting)
        rows = []
        for row in members(run, setting).head(MOST).to_dict("records"):
            performance = row["performance"]
            rows.append(
                {
                    "member": row["member"],
                    "chosen": row["member"] == run.best,
                    "performance": row["status"]
                    if pd.isna(performance)
                    else format_performance(performance, experiment.objective),
                    "values": [DASH if name not in row else short(row[name], 4) for name in names],
                    "ancestor": row["ancestor"],
                    "copies": row["copies"],
                }
            )
        sections.append(
            {
                "method": method,
                "repeat": run.repeat,
                "names": names,
                "rows": rows,
                "hidden": len(run.trials) - len(rows),
                "text": _descent(experiment, run),
            }
        )
    return sections


def _descent(experiment: Experiment, run: RunResult) -> str:
    """The lineage in a sentence or two."""
    setting = experiment.setting("", run.method)
    copies = lineage(run, setting)
    if copies.empty:
        return "No member copied another."
    steps = copies["generation"].nunique()
    text = f"{_many(len(copies), 'copy', 'copies')} at {_many(steps, 'evolution step', 'evolution steps')}."
    table = members(run, setting)
    founders = Counter(table.loc[table["status"] == "completed", "ancestor"])
    if founders:
        (first, most), total = founders.most_common(1)[0], sum(founders.values())
        text += (
            f" All {total} final networks descend from the weights that member {first} began with."
            if len(founders) == 1
            else f" The {total} final networks descend from {len(founders)} of the members at the start, "
            f"{most} of them from member {first}."
        )
    if run.best is not None:
        way = ancestry(run, run.best)
        moved = [member for member, _ in groupby(way, key=lambda key: key[0])]
        if len(way) > 1:
            text += (
                f" The chosen network began in member {way[0][0]} and was copied {_many(len(way) - 1, 'time', 'times')}"
            )
            text += f", by way of members {', '.join(map(str, moved))}." if len(moved) <= 8 else "."
        else:
            text += f" The chosen network, member {run.best}, never copied another."
    return text


def traits_section(experiment: Experiment, runs: Runs) -> list[dict[str, Any]]:
    """Rows of the slides' table with measured numbers; empty with a single method."""
    if len(experiment.methods) < 2:
        return []
    table = {str(row["method"]): row for row in traits(experiment, runs).to_dict("records")}
    rows = []
    for i, trait in enumerate(TRAITS):
        new = i == 0 or TRAITS[i - 1].group != trait.group
        cells = []
        for method, given in experiment.methods.items():
            value, said = float(table[method][trait.column]), slides(given, trait.group) if new else None
            cells.append(
                {
                    "value": DASH if pd.isna(value) else written(value, trait, experiment),
                    "slides": "" if said is None else "✓" if said else "✗",
                }
            )
        rows.append({"group": trait.group if new else "", "text": trait.text, "cells": cells})
    return rows


def _many(count: int, one: str, more: str) -> str:
    return f"{short(count)} {one if count == 1 else more}"
