"""The report's part on retrainings: what is owed to schedules, and what to the selection of weights."""

from pathlib import Path
from typing import Any

import pandas as pd

from ..config.experiment import Experiment
from ..config.figures import populations
from ..util.errors import UserError
from .figures.style import format_performance
from .schedules_gain import verdict

DASH = "–"
NARROW = "\u202f"


def schedule_section(experiment: Experiment, path: Path) -> dict[str, Any] | None:
    """Rows of `schedule.csv` for readers, and a sentence for each population; None without `retrain`.

    Args:
        experiment: the experiment.
        path: the table, as :func:`hypercurve.analysis.tables.write` wrote it.

    Raises:
        UserError: it cannot be read.
    """
    if not experiment.retrain:
        return None
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    rows = []
    for row in table.to_dict("records"):
        sd = row["test_sd"]
        rows.append(
            {
                "method": row["method"],
                "network": row["network"],
                "networks": row["networks"],
                "failed": f"{row['failed']} failed" if row["failed"] else "",
                "test": DASH
                if pd.isna(row["test_mean"])
                else format_performance(row["test_mean"], experiment.objective),
                "sd": "" if pd.isna(sd) else f"± {format_performance(sd, experiment.objective)}",
                "difference": _difference(row, "difference", experiment),
                "selection": _difference(row, "selection", experiment),
                "share": _share(row),
            }
        )
    others = [method for method in populations(experiment) if method in set(table["method"])]
    return {"rows": rows, "text": {method: verdict(table, method, experiment.objective) for method in others}}


def _difference(row: dict[Any, Any], name: str, experiment: Experiment) -> dict[str, str]:
    if pd.isna(row[f"{name}_mean"]):
        return {"mean": DASH, "interval": ""}
    scale, digits = (100, ".2f") if experiment.objective.metric == "accuracy" else (1, ".3g")
    mean, low, high = (f"{scale * row[f'{name}_{end}']:+{digits}}".replace("-", "−") for end in ("mean", "low", "high"))
    unit = " points" if scale == 100 else ""
    return {"mean": mean + unit, "interval": "" if pd.isna(row[f"{name}_low"]) else f"{low} to {high}"}


def _share(row: dict[Any, Any]) -> dict[str, str]:
    if pd.isna(row["share"]):
        return {"mean": DASH, "interval": ""}
    mean, low, high = (f"{100 * row[name]:.0f}".replace("-", "−") for name in ("share", "share_low", "share_high"))
    return {"mean": f"{mean}{NARROW}%", "interval": f"{low} to {high}{NARROW}%"}
