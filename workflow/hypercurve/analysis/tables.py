"""Tables over an experiment's runs: the comparison of its methods, and the best result at smaller budgets.

Accuracies are fractions, as recorded. Standard deviations are those of a sample (n - 1), so one repeat has none. Where runs
found nothing because all their trials failed, means are over the other repeats, and cells are empty if there is none.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from ..config.cost import CostModel
from ..config.experiment import Experiment
from ..curves.cost import TrialCost
from ..events.journal import JournalError
from ..results.runs import RunResult
from ..util.files import appearing
from ..util.words import inert

Runs = Mapping[str, Sequence[RunResult]]
"""All runs of an experiment by method, repeats in order."""

CONFIDENCE = 0.95
FEWEST_PAIRS = 5
"""With fewer pairs, no outcome of a two-sided signed-rank test is below 0.1: a p-value would only look like one."""

Floats = npt.NDArray[np.float64]


def comparison(experiment: Experiment, runs: Runs) -> pd.DataFrame:
    """One row per method, in the order of the experiment.

    Columns:

    - ``method``, ``repeats``; ``trials``: trials started per run, on average.
    - ``computing_seconds_mean``/``_sd``: seconds of training and evaluation, summed over workers; without compilation.
    - ``wall_seconds_mean``/``_sd``: by the clock, see :attr:`~hypercurve.results.runs.RunResult.wall`.
    - ``best_performance_mean``/``_sd``: the objective on the validation part, of the chosen trials.
    - ``test_performance_mean``/``_sd``: the same configurations on the test set.
    - ``same_best``: repeats in which the chosen configuration equals the baseline's.
    - ``speedup``: the baseline's computing seconds over the method's, both summed over repeats.
    - ``completed``, ``stopped``, ``failed``: trials per run, on average. ``cost_mean``: virtual seconds per run.
    - ``difference_mean``, ``_low``, ``_high``: best performance less the baseline's of the same repeat, with the 95 %
      confidence interval of a paired t test; empty for the baseline and below two pairs.
    - ``p_value``: Wilcoxon's signed-rank test of these differences, two-sided, zero differences left out; exact up to 13
      pairs, and up to 50 without ties. Empty with fewer than 5 pairs, or if no pair differs.
    """
    reference = experiment.reference
    objective = experiment.objective.key
    baseline = {run.repeat: run for run in runs[reference]}
    rows = []
    for method in experiment.methods:
        own = runs[method]
        both = [(run, baseline[run.repeat]) for run in own if run.repeat in baseline]
        seconds = sum(run.seconds for run, _ in both)
        trials = _mean([len(run.trials) for run in own])
        row: dict[str, object] = {"method": method, "repeats": len(own), "trials": trials}
        row |= _spread("computing_seconds", [run.seconds for run in own])
        row |= _spread("wall_seconds", [run.wall for run in own])
        row |= _spread("best_performance", [run.performance(objective) for run in own])
        row |= _spread("test_performance", [run.test.get(f"test_{experiment.objective.metric}") for run in own])
        row["same_best"] = sum(same_configuration(run, other) for run, other in both)
        row["speedup"] = sum(other.seconds for _, other in both) / seconds if seconds > 0 else np.nan
        row |= {status: _mean([run.count(status) for run in own]) for status in ("completed", "stopped", "failed")}
        row["cost_mean"] = _mean([run.cost for run in own])
        row |= paired([_difference(run, other, objective) for run, other in both] if method != reference else [])
        if all(part_of(run, other) for run, other in both):
            row["p_value"] = np.nan
        rows.append(row)
    table = pd.DataFrame(rows)
    if (table["trials"] % 1 == 0).all():
        table["trials"] = table["trials"].astype(int)
    return table


def same_configuration(run: RunResult, other: RunResult) -> bool:
    """Whether both runs chose the same configuration, whatever its trial number."""
    if run.chosen is None or other.chosen is None:
        return False
    return dict(run.chosen.configuration) == dict(other.chosen.configuration)


def part_of(run: RunResult, baseline: RunResult) -> bool:
    """Whether all that a run completed is part of what the baseline completed, to the last bit.

    So it is for a stopper on the baseline's own draws: it can find as good a configuration but never a better one, and a
    test of whether the two differ would be decided before it is made.
    """
    theirs = {trial.number: trial for trial in baseline.trials.values() if trial.status == "completed"}
    own = [trial for trial in run.trials.values() if trial.status == "completed"]
    return all(
        trial.number in theirs
        and dict(trial.configuration) == dict(theirs[trial.number].configuration)
        and trial.curve == theirs[trial.number].curve
        for trial in own
    )


def paired(differences: Sequence[float | None]) -> dict[str, float]:
    """Mean, confidence interval and p-value of paired differences, as :func:`comparison` describes them.

    Args:
        differences: one per repeat; None where a run found nothing.
    """
    result = dict.fromkeys(["difference_mean", "difference_low", "difference_high", "p_value"], np.nan)
    values: Floats = np.array([value for value in differences if value is not None], dtype=float)
    if len(values) < 2:
        return result
    mean = float(values.mean())
    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    result |= {"difference_mean": mean, "difference_low": mean - reach, "difference_high": mean + reach}
    # 0.98 - 0.97 and 0.97 - 0.96 are the same difference, but not the same float.
    apart = np.round(values, 12)
    apart = apart[apart != 0]
    if len(apart) >= FEWEST_PAIRS:
        result["p_value"] = float(stats.wilcoxon(apart).pvalue)
    return result


def at_budgets(experiment: Experiment, runs: Runs) -> pd.DataFrame:
    """The best performance at the smaller budgets (``budget.at``) and the whole one: one row per method and budget.

    Columns: ``method``, ``budget``, ``best_performance_mean``/``_sd``, and ``completed_mean``, the number of trials
    completed by then. What counts are the trials that completed before the run's consumption passed the budget. For seconds
    and samples that is what a run with the smaller budget would have found, since a run takes its reports in the same
    order and ends at the first that would pass the budget. For trials it is the best of the first so many.
    """
    budget = experiment.budget
    rows = []
    for method in experiment.methods:
        used = [consumption(experiment, run) for run in runs[method]]
        for limit in dict.fromkeys((*budget.at, budget.limit)):
            found = [
                [
                    performance
                    for trial, spent in per_run.items()
                    if spent <= limit
                    and (performance := run.trials[trial].performance(experiment.objective.key)) is not None
                ]
                for run, per_run in zip(runs[method], used, strict=True)
            ]
            pick = max if experiment.objective.mode == "max" else min
            row: dict[str, object] = {"method": method, "budget": int(limit) if limit == int(limit) else limit}
            row |= _spread("best_performance", [pick(values) if values else None for values in found])
            row["completed_mean"] = _mean([len(values) for values in found])
            rows.append(row)
    return pd.DataFrame(rows)


def consumption(experiment: Experiment, run: RunResult) -> dict[int, float]:
    """How much of the budget a run had used, in the budget's own unit, when each of its completed trials completed."""
    if experiment.budget.kind == "trials":
        return {trial.number: trial.number + 1.0 for trial in run.trials.values() if trial.status == "completed"}
    costs: dict[int, TrialCost] = {}
    if experiment.budget.kind == "samples":
        if run.samples is None:
            raise JournalError(f"{run.method}/{run.repeat}: the journal does not say how many samples are trained on")
        model = CostModel(experiment.model, experiment.cost, run.samples)
        costs = {number: model.of(trial.configuration) for number, trial in run.trials.items()}
    used, result = 0.0, {}
    trained = dict.fromkeys(run.trials, 0)
    for event in run.events:
        if costs:
            now = costs[event.trial].trained(event.progress)
            used += now - trained[event.trial]
            trained[event.trial] = now
        else:
            used += event.seconds
        if event.kind == "completed":
            result[event.trial] = used
    return result


def write(table: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV, whole or not at all; numbers read back as exactly what they were, texts are no formulas."""
    texts = table.select_dtypes(exclude="number").map(lambda value: inert(value) if isinstance(value, str) else value)
    table = table.assign(**texts).rename(columns=inert)
    with appearing(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")


def _difference(run: RunResult, other: RunResult, objective: str) -> float | None:
    mine, theirs = run.performance(objective), other.performance(objective)
    return None if mine is None or theirs is None else mine - theirs


def _spread(name: str, values: Sequence[float | None]) -> dict[str, float]:
    known = [value for value in values if value is not None]
    sd = float(np.std(known, ddof=1)) if len(known) > 1 else np.nan
    return {f"{name}_mean": _mean(known), f"{name}_sd": sd}


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else np.nan
