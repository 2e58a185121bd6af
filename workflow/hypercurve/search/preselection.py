"""Who starts, by what a record of earlier experiments says about configurations."""

from functools import cached_property

import numpy as np
import numpy.typing as npt

from ..curves.record import Record, shares_below
from ..space.search_space import Configuration, Space
from .searcher import Searcher

Floats = npt.NDArray[np.float64]

SOFTENED = 0.02
"""Forests learn the logarithm of a standing plus this, so that telling the best from the good counts as much as
telling the good from the bad."""
TREES = 100


def forecast(record: Record, coded: Floats, share: float) -> tuple[Floats, Floats]:
    """Predict the standing of configurations by a random forest (Breiman 2001) over all tasks of a record.

    Each task's trainings are ranked among themselves, so the tasks need no common scale of losses.

    Args:
        record: earlier experiments.
        coded: configurations in the unit cube, shape (n, variables); NaN where a name is absent.
        share: share of training at which the first rung lies.

    Returns:
        Predictions for the end of training and for the first rung, each of shape (n,); lower is better, and only their order
        has a meaning.
    """
    from sklearn.ensemble import RandomForestRegressor  # takes longer to import than all the rest

    inputs = np.concatenate([task.coded for task in record.tasks])
    final = np.concatenate([np.log(task.standing + SOFTENED) for task in record.tasks])
    first = np.concatenate([_early(task.at((share,))[:, 0]) for task in record.tasks])
    targets = np.stack([_standard(final), _standard(first)], axis=1)
    forest = RandomForestRegressor(TREES, max_features=0.5, random_state=0)
    forest.fit(_filled(inputs), targets)
    found = forest.predict(_filled(coded))
    return found[:, 0], found[:, 1]


def _early(losses: Floats) -> Floats:
    return shares_below(np.where(np.isnan(losses), np.inf, losses))


def _standard(values: Floats) -> Floats:
    spread = float(values.std())
    found: Floats = (values - values.mean()) / (spread if spread > 0 else 1.0)
    return found


def _filled(coded: Floats) -> Floats:
    return np.nan_to_num(coded, nan=-0.5)  # outside the cube, so that a tree can tell what is absent


class Preselection(Searcher):
    """Draws a pool of configurations with another searcher and gives those first that a record thinks well of.

    Trial numbers count in the new order: first the chosen ones, the best first; then some of the others, spread
    evenly over their order, by whom one can see whether the record is right; then the rest, as they were drawn.

    Args:
        inner: the searcher whose configurations make up the pool; it must be independent.
        size: how many it is asked for.
        space: what codes configurations.
        record: earlier experiments.
        share: share of training at which the first rung lies.
        chosen: how many are chosen.
        probed: how many follow, spread over the others.
        only: whether no others are given.

    Attributes:
        chosen: how many are chosen.
        probed: how many follow, spread over the others.
    """

    independent = True

    def __init__(
        self,
        inner: Searcher,
        size: int,
        space: Space,
        record: Record,
        *,
        share: float,
        chosen: int,
        probed: int,
        only: bool = False,
    ):
        self._pool = [found for trial in range(size) if (found := inner.suggest(trial)) is not None]
        self._space, self._record, self._share, self._only = space, record, share, only
        self.chosen = min(chosen, len(self._pool))
        self.probed = 0 if only else min(probed, len(self._pool) - self.chosen)

    @cached_property
    def _forecast(self) -> tuple[Floats, Floats, list[int]]:
        """Made only when asked for: where nothing can guard the record, nobody asks."""
        coded = np.array([self._space.encode(c) for c in self._pool]).reshape(len(self._pool), -1)
        final, first = forecast(self._record, coded, self._share)
        order = np.argsort(final, kind="stable")
        best, others = order[: self.chosen], order[self.chosen :]
        spread = np.unique(np.linspace(0, len(others) - 1, self.probed).round().astype(int))
        rest = np.sort(np.delete(others, spread))  # as without a record, which may turn out wrong
        order = best if self._only else np.concatenate([best, others[spread], rest])
        return final[order], first[order], order.tolist()

    @property
    def final(self) -> Floats:
        """The predicted order at the end, by trial number."""
        return self._forecast[0]

    @property
    def first(self) -> Floats:
        """The predicted order at the first rung, by trial number."""
        return self._forecast[1]

    def suggest(self, trial: int) -> Configuration | None:
        """The configuration with this number in the new order."""
        order = self._forecast[2]
        return self._pool[order[trial]] if trial < len(order) else None
