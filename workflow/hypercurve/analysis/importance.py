"""Which hyperparameters decide how well a network does: functional analysis of variance on random forests.

Follows Hutter, Hoos and Leyton-Brown, "An Efficient Approach for Assessing Hyperparameter Importance" (ICML 2014). A
forest is fitted to configurations and performances. Each of its trees is a function that is constant in boxes of the unit
cube, so its variance over the whole space, and that of its mean along one axis (the *main effect*), are sums over boxes,
exact and without sampling. A hyperparameter's importance is the share of the variance that its main effect makes.

What the numbers are worth is told beside them: how well the forest foretells trials that it was not fitted to, and what
hyperparameters get that do nothing, which are copies of the real ones with their values shuffled among the trials (the
shadow attributes of Kursa and Rudnicki, "Feature Selection with the Boruta Package", 2010).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from ..config.experiment import Experiment
from ..config.figures import FEWEST
from ..config.objective import Objective
from ..results.runs import RunResult
from ..space.search_space import Space
from ..util.seeding import generator, integer_seed
from .spaces import alike, completed, searched
from .tables import CONFIDENCE, Runs

TREES = 64
DRAWN = 1000
"""Most trials that a tree is fitted to, drawn with replacement, so that 10,000 trials take seconds."""
SHUFFLES = 3
"""Times that the hyperparameters' values are shuffled, to see what those get that do nothing."""
WORST = 0.05
"""Share of the performances, the worst, that count as the best of them: a loss that diverged would be all the variance."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Importance:
    """The importance of the hyperparameters of one space.

    Attributes:
        methods: whose trials it is taken from.
        names: the hyperparameters.
        trials: completed trials with different configurations, of each sample.
        pooled: whether all repeats are one sample, each having too few trials for itself.
        shares: shape (samples, names), main effects as shares of the variance; no samples where trials are too few.
        rest: shape (samples,): what main effects leave of the variance, interactions of several hyperparameters.
        idle: shape (samples,): the greatest share of a shuffled copy, in forests of hyperparameters and their copies.
        explained: shape (samples,): R² on trials that trees were not fitted to; 0 is no better than the mean.
    """

    methods: tuple[str, ...]
    names: tuple[str, ...]
    trials: tuple[int, ...]
    pooled: bool
    shares: Floats
    rest: Floats
    idle: Floats
    explained: Floats

    @property
    def known(self) -> bool:
        """Whether the forests say anything: trials are enough, and on average they foretell better than the mean does."""
        return len(self.shares) > 0 and bool(self.explained.mean() > 0)

    def interval(self) -> tuple[Floats, Floats] | None:
        """Bounds of the means over repeats: 95 % confidence, by Student's t, inside [0, 1]; None with one sample."""
        n = len(self.shares)
        if n < 2:
            return None
        reach = stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * self.shares.std(axis=0, ddof=1) / np.sqrt(n)
        mean = self.shares.mean(axis=0)
        return np.clip(mean - reach, 0, 1), np.clip(mean + reach, 0, 1)


def importances(experiment: Experiment, runs: Runs) -> list[Importance]:
    """The importance of hyperparameters in each of an experiment's spaces.

    The completed trials of all methods that search a space are one sample per repeat: importance is a property of the
    space, not of the method. Stopped and failed trials have no final performance and are left out, so importance is that
    among trainings that succeed.
    """
    found = []
    for space, methods in alike(searched(experiment, runs)):
        if not space.variables:
            continue
        repeats = sorted({run.repeat for method in methods for run in runs[method]})
        samples = [[run for method in methods for run in runs[method] if run.repeat == repeat] for repeat in repeats]
        sizes = [len(completed(own, experiment.objective.key)) for own in samples]
        pooled = len(samples) > 1 and min(sizes) < FEWEST
        if pooled:
            samples = [[run for own in samples for run in own]]
            sizes = [len(completed(samples[0], experiment.objective.key))]
        rows = [
            _sample(space, own, experiment.objective, experiment.seed, repeat)
            for repeat, own in enumerate(samples)
            if min(sizes) >= FEWEST
        ]
        table = np.array([row for row in rows if row is not None], dtype=float).reshape(-1, len(space.variables) + 2)
        shares, idle, explained = table[:, :-2], table[:, -2], table[:, -1]
        rest = np.maximum(0.0, 1 - shares.sum(axis=1))
        found.append(Importance(tuple(methods), space.variables, tuple(sizes), pooled, shares, rest, idle, explained))
    return found


def table(found: Sequence[Importance]) -> pd.DataFrame:
    """One row per space and hyperparameter, the most important first.

    Columns: ``methods``, ``hyperparameter``, ``importance``, the mean over repeats, with ``low`` and ``high``, the bounds
    of its 95 % interval, and ``explained``, R² on held-out trials. Empty cells where nothing can be said.
    """
    rows = []
    for one in found:
        mean = one.shares.mean(axis=0) if one.known else np.full(len(one.names), np.nan)
        nothing = np.full(len(one.names), np.nan)
        low, high = (one.interval() if one.known else None) or (nothing, nothing)
        explained = float(one.explained.mean()) if len(one.explained) else np.nan
        for i in np.argsort(-mean, kind="stable"):
            rows.append([", ".join(one.methods), one.names[i], mean[i], low[i], high[i], explained])
    return pd.DataFrame(rows, columns=["methods", "hyperparameter", "importance", "low", "high", "explained"])


def _sample(
    space: Space, runs: Sequence[RunResult], objective: Objective, seed: int, repeat: int
) -> list[float] | None:
    """Shares of the hyperparameters, the greatest of shuffled copies, and R²; None where all trials did equally well."""
    trials = completed(runs, objective.key)
    points = np.array([space.encode(configuration) for configuration, _ in trials])
    values = np.array([value for _, value in trials])
    if objective.mode == "max":
        values = np.maximum(values, np.quantile(values, WORST))
    else:
        values = np.minimum(values, np.quantile(values, 1 - WORST))
    if np.ptp(values) == 0:
        return None
    # Where a conditional hyperparameter is not there, it counts as the middle of its axis (as in the authors' program).
    points = np.nan_to_num(points, nan=0.5)
    forest_seed = integer_seed(seed, repeat, "importance forest")
    forest = fit(points, values, forest_seed)
    idle = 0.0
    for number in range(SHUFFLES):
        shuffled = points[generator(seed, repeat, "importance", number).permutation(len(points))]
        both = main_effects(fit(np.hstack([points, shuffled]), values, forest_seed))
        idle = max(idle, float(both[points.shape[1] :].max()))
    return [*main_effects(forest), idle, float(forest.oob_score_)]


def fit(points: Floats, values: Floats, seed: int) -> Any:
    """A random forest of performances.

    Args:
        points: configurations in the unit cube, shape (trials, axes).
        values: performances, shape (trials,).
        seed: decides what the trees are fitted to.
    """
    from sklearn.ensemble import RandomForestRegressor  # takes a second to import

    forest = RandomForestRegressor(
        TREES, random_state=seed, oob_score=True, max_samples=min(len(values), DRAWN), max_features=1.0
    )
    return forest.fit(points, values)


def main_effects(forest: Any) -> Floats:
    """The share of each axis's main effect in the variance of a forest over the unit cube, mean over trees.

    Returns:
        shape (axes,), each in [0, 1], together at most 1.
    """
    found = []
    for one in forest.estimators_:
        low, high, values = boxes(one.tree_, forest.n_features_in_)
        shares = shares_of(low, high, values)
        if shares is not None:
            found.append(shares)
    return np.mean(found, axis=0) if found else np.zeros(forest.n_features_in_)


def boxes(tree: Any, axes: int) -> tuple[Floats, Floats, Floats]:
    """The leaves of a tree of scikit-learn: lower and upper corners, shape (leaves, axes), and values, shape (leaves,)."""
    low, high = np.zeros((tree.node_count, axes)), np.ones((tree.node_count, axes))
    for node in range(tree.node_count):  # parents come before their children
        left, right = tree.children_left[node], tree.children_right[node]
        if left >= 0:
            axis, cut = tree.feature[node], tree.threshold[node]
            low[[left, right]], high[[left, right]] = low[node], high[node]
            high[left, axis] = low[right, axis] = cut
    leaves = tree.children_left < 0
    return low[leaves], high[leaves], tree.value[leaves, 0, 0]


def shares_of(low: Floats, high: Floats, values: Floats) -> Floats | None:
    """The share of each main effect in the variance of a function that is constant in boxes; None if it is constant.

    Args:
        low, high: corners of boxes that fill the unit cube, shape (boxes, axes).
        values: shape (boxes,).
    """
    sides = high - low
    volumes = sides.prod(axis=1)
    centred = values - volumes @ values
    variance = float(volumes @ centred**2)
    if variance <= 1e-15 * float(np.max(values**2)):
        return None
    shares = []
    for axis in range(low.shape[1]):
        edges, at = np.unique(np.concatenate([low[:, axis], high[:, axis]]), return_inverse=True)
        begins, ends = at[: len(low)], at[len(low) :]
        # The mean over all other axes is a step function: a box adds to it where it begins, and no more where it ends.
        weights = centred * volumes / sides[:, axis]
        steps = np.bincount(begins, weights, len(edges)) - np.bincount(ends, weights, len(edges))
        marginal = np.cumsum(steps)[:-1]
        shares.append(float(np.diff(edges) @ marginal**2) / variance)
    return np.array(shares)
