"""How much of a population's gain is its schedule, and how much the selection of weights: `schedule.csv`.

A *found* network is the one that a run chose and kept. A *retrained* one is trained from scratch, from a fresh seed, under
what the run chose: a search's best configuration, or the schedule that a population's winner went through. All numbers
are of the test part, on which nothing was chosen.

    gain      = found network of the method − retrained networks of the baseline
    schedule  = retrained networks of the method − retrained networks of the baseline
    selection = found network of the method − its retrained networks = gain − schedule

The schedule's share is schedule / gain. It is told only where the gain's confidence interval does not hold 0: else the gain
is within noise, and a share of it would be noise over noise.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..config.experiment import Experiment
from ..config.objective import Objective
from ..results.runs import RunResult, read_run
from ..util.errors import UserError
from ..util.seeding import generator
from .tables import CONFIDENCE, Floats, Runs, paired

RESAMPLES = 10_000
COLUMNS = ["method", "network", "repeats", "networks", "failed", "test_mean", "test_sd"]


def retrained_of(folder: Path, method: str, repeat: int) -> Path:
    """Where the retrainings of a run are, given the experiment's results folder."""
    return folder / "schedules" / method / str(repeat) / "retrained.jsonl"


def read_retrained(folder: Path, runs: Runs) -> dict[tuple[str, int], RunResult]:
    """The retrainings of all of an experiment's runs, by method and repeat; runs that found nothing have none.

    Raises:
        UserError: one is missing or damaged.
    """
    found = {}
    for method, own in runs.items():
        for run in own:
            path = retrained_of(folder, method, run.repeat)
            if run.best is None:
                continue
            if not path.is_file():
                raise UserError(f"{path}: is missing; the experiment's `retrain` makes the workflow train it")
            found[method, run.repeat] = read_run(path)
    return found


def networks(runs: Runs, retrained: Mapping[tuple[str, int], RunResult], objective: Objective) -> pd.DataFrame:
    """All networks that were tested: a row for each.

    Columns: ``method``; ``repeat``; ``network``, ``found`` or ``retrained``; ``seed``, the number of the fresh seed, −1
    where found; ``validation`` and ``test``, the objective on these parts, empty where training failed.
    """
    key, test = objective.key, f"test_{objective.metric}"
    rows: list[dict[str, object]] = []
    for method, own in runs.items():
        for run in own:
            if run.best is None:
                continue
            one = {"method": method, "repeat": run.repeat}
            values = {"validation": run.performance(key), "test": run.test.get(test)}
            rows.append({**one, "network": "found", "seed": -1, **values})
            for number, trial in sorted(retrained[method, run.repeat].trials.items()):
                values = {"validation": trial.performance(key), "test": trial.metrics.get(test)}
                rows.append({**one, "network": "retrained", "seed": number, **values})
    columns = ["method", "repeat", "network", "seed", "validation", "test"]
    return pd.DataFrame(rows, columns=columns).astype({"validation": float, "test": float})


def gain(table: pd.DataFrame, baseline: str, objective: Objective) -> pd.DataFrame:
    """`schedule.csv`: two rows per method, its found networks and its retrained ones.

    Columns:

    - ``method``; ``network``: ``found`` or ``retrained``; ``repeats``; ``networks``: how many were tested; ``failed``: how
      many trainings diverged, which count nowhere else.
    - ``test_mean``, ``test_sd``: over all these networks; sample standard deviation.
    - ``difference_mean``, ``_low``, ``_high``: test performance less that of the baseline's retrained networks, better is
      positive whatever the objective; with the 95 % interval of a paired t test. In a population's row ``found`` this is its
      gain, in its row ``retrained`` the schedule's part. Units are repeats (means over seeds, which are paired); with a
      single repeat they are seeds, and the interval is of this run alone.
    - ``selection_mean``, ``_low``, ``_high``: in rows ``found``, less the method's own retrained networks: what is owed to
      the selection of weights.
    - ``share``, ``share_low``, ``share_high``: in rows ``retrained``, the schedule's part over the gain, with the 95 %
      percentile interval of a bootstrap over units; empty where the gain is not above 0 with 95 % confidence.

    Args:
        table: as :func:`networks` gives it.
        baseline: the method to compare with.
        objective: what was measured.
    """
    sign = 1.0 if objective.mode == "max" else -1.0
    by_seed = len(set(table["repeat"])) == 1
    units = {
        (str(method), str(network)): _units(rows, by_seed) * sign
        for (method, network), rows in table.groupby(["method", "network"], sort=False)
    }
    reference = units.get((baseline, "retrained"), pd.Series(dtype=float))
    result = []
    for method in dict.fromkeys(table["method"]):
        found, again = units[method, "found"], units[method, "retrained"]
        gained, scheduled = _less(found, reference), _less(again, reference)
        for network in ("found", "retrained"):
            own = table[(table["method"] == method) & (table["network"] == network)]
            tested = own["test"].dropna()
            row: dict[str, object] = {"method": method, "network": network, "repeats": own["repeat"].nunique()}
            row |= {"networks": len(tested), "failed": len(own) - len(tested)}
            row |= {"test_mean": tested.mean(), "test_sd": tested.std(ddof=1)}
            if (method, network) != (baseline, "retrained"):
                row |= _interval("difference", scheduled if network == "retrained" else gained)
            if network == "found":
                row |= _interval("selection", _less(found, again))
            elif method != baseline:
                row |= share(scheduled, gained)
            result.append(row)
    names = [f"{name}_{end}" for name in ("difference", "selection") for end in ("mean", "low", "high")]
    return pd.DataFrame(result, columns=[*COLUMNS, *names, "share", "share_low", "share_high"])


def share(scheduled: "pd.Series[float]", gained: "pd.Series[float]") -> dict[str, float]:
    """The schedule's share of the gain, by units that both have; empty where the gain is within noise."""
    both = pd.concat({"scheduled": scheduled, "gained": gained}, axis=1).dropna()
    if not _interval("gain", both["gained"])["gain_low"] > 0:
        return dict.fromkeys(["share", "share_low", "share_high"], np.nan)
    values: Floats = both.to_numpy(dtype=float)
    draws = generator(0, 0, "share").integers(len(values), size=(RESAMPLES, len(values)))
    means = values[draws].mean(axis=1)
    ratios = means[:, 0] / means[:, 1]
    low, high = np.quantile(ratios, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    whole = values.mean(axis=0)
    return {"share": float(whole[0] / whole[1]), "share_low": float(low), "share_high": float(high)}


def verdict(table: pd.DataFrame, method: str, objective: Objective) -> str:
    """What :func:`gain` says of a method, in a sentence or two."""
    rows = {row["network"]: row for row in table[table["method"] == method].to_dict("records")}
    found, again = rows["found"], rows["retrained"]

    def written(row: Mapping[Any, Any], name: str) -> str:
        scale, unit = (100, " points") if objective.metric == "accuracy" else (1, "")
        mean, low, high = (f"{scale * row[f'{name}_{end}']:+.3g}" for end in ("mean", "low", "high"))
        interval = "" if pd.isna(row[f"{name}_low"]) else f" (95 % interval {low} to {high})"
        return f"{mean}{unit}{interval}".replace("-", "−")

    text = (
        f"Gain {written(found, 'difference')}: schedule {written(again, 'difference')}, "
        f"selection of weights {written(found, 'selection')}. "
    )
    if pd.isna(again["share"]):
        return text + "The gain is within noise, or none, so no share of it can be told."
    low, high = 100 * again["share_low"], 100 * again["share_high"]
    return text + f"The schedule's share of the gain is {100 * again['share']:.0f} % ({low:.0f} to {high:.0f} %)."


def _units(rows: pd.DataFrame, by_seed: bool) -> "pd.Series[float]":
    """The test performance by repeat, means over seeds; with one repeat by seed."""
    return rows.groupby("seed" if by_seed else "repeat")["test"].mean()


def _less(one: "pd.Series[float]", other: "pd.Series[float]") -> "pd.Series[float]":
    """Differences by unit. A found network is one for all seeds of its repeat."""
    if list(one.index) == [-1] and list(other.index) != [-1]:
        one = pd.Series(one.iloc[0], index=other.index)
    return (one - other).dropna()


def _interval(name: str, differences: Iterable[float]) -> dict[str, float]:
    values = [float(value) for value in differences]
    found = paired(values)
    mean = values[0] if len(values) == 1 else found["difference_mean"]
    return {f"{name}_mean": mean, f"{name}_low": found["difference_low"], f"{name}_high": found["difference_high"]}


def of_experiment(experiment: Experiment, runs: Runs, folder: Path) -> pd.DataFrame:
    """`schedule.csv` of an experiment with `retrain`, from its results folder."""
    table = networks(runs, read_retrained(folder, runs), experiment.objective)
    return gain(table, experiment.reference, experiment.objective)
