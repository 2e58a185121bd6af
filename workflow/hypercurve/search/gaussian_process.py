"""Bayesian optimisation with a Gaussian process and expected improvement (Jones et al. 1998, Snoek et al. 2012)."""

import warnings
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field
from typing_extensions import override

from ..space.domains import Choice
from ..space.search_space import Configuration
from ..util.schema import Whole
from ..util.seeding import generator
from ..util.words import short
from .learning import LearningSearch, Startup, rounded
from .outcomes import normal_scores
from .searcher import SearchContext, SearchOptions

Array = npt.NDArray[np.float64]

# Standard deviations of the candidates around good trials, in widths of the cube.
STEPS = (0.2, 0.05, 0.01)
LEADERS = 5
# The model holds at most so many trials, and its length scales are fitted to at most so many: half of them the best, half
# the latest. So a suggestion costs the same from some number of trials on.
MOST_MODELLED = 1000
MOST_FITTED = 200
# Length scales are fitted anew when there are so many times more trials than at the last fit.
GROWTH = 1.1


class GPOptions(SearchOptions):
    """A Gaussian process with expected improvement."""

    startup: Startup = 10
    """Random search until this many trials are over."""
    candidates: Annotated[Whole, Field(ge=2, le=100_000)] = 1000
    """Draws that are compared for each suggestion, half of them around the best trials."""


class GaussianProcessSearch(LearningSearch):
    """Tries the candidate with the largest expected improvement under a Gaussian process of the trials so far.

    The process has a Matérn kernel (ν = 5/2) with a length scale for each axis, and noise; both are fitted by maximum
    likelihood. It models the normal deviates of the scores' ranks. Axes are those of the unit cube, an unordered choice has
    one for each value, and inactive hyperparameters stand in the middle. Trials that are going are taken to end as the model
    expects (Ginsbourger et al. 2010, "kriging believer"). Half of the candidates are uniform draws, half lie around the best
    trials. As candidates are drawn from keyed generators, the last bits of the model matter to no suggestion.
    """

    rule = "Bayesian optimisation: a Gaussian process and expected improvement."
    source = "Jones et al. 1998 (expected improvement); Snoek et al. 2012, Practical Bayesian optimization, NeurIPS 25"
    Options = GPOptions
    examples = ({"startup": 4, "candidates": 20},)

    @override
    @classmethod
    def explain(cls, options: GPOptions) -> str:
        return (
            f"Bayesian optimisation: after {options.startup} random trials, the one of {short(options.candidates)} "
            "draws with the largest expected improvement under a Gaussian process."
        )

    def __init__(self, options: GPOptions, context: SearchContext):
        super().__init__(options, context, options.startup)
        self._candidates = options.candidates
        self._tried: dict[int, Configuration] = {}
        self._features: dict[int, Array] = {}
        self._scores: dict[int, float] = {}
        self._kernel: Any = None
        self._fitted = 0

    @override
    def drawn(self, trial: int, configuration: Configuration) -> None:
        self._tried[trial] = configuration
        self._features[trial] = self._coded(configuration)

    @override
    def learn(self, trial: int, score: float) -> None:
        self._scores[trial] = score

    @override
    def learned(self, trial: int) -> Configuration:
        found = self._random.suggest(trial) if not self.space.variables else self._most_promising(trial)
        self.drawn(trial, found)
        return found

    def _most_promising(self, trial: int) -> Configuration:
        from threadpoolctl import threadpool_limits

        over = list(self._scores)
        x, y = np.array([self._features[t] for t in over]), normal_scores([self._scores[t] for t in over])
        going = [self._features[t] for t in self._features if t not in self._scores]
        candidates = self._drawn_candidates(trial, [over[i] for i in np.argsort(y, kind="stable")[:LEADERS]])
        at = np.array([self._coded(configuration) for configuration in candidates])
        new = self._untried(at)
        if new.any():  # a small space may be exhausted
            candidates, at = [candidates[i] for i in np.flatnonzero(new)], at[new]
        with threadpool_limits(1):  # the number of threads decides the last bits of sums
            if self._kernel is None or len(over) >= GROWTH * self._fitted:
                fitted = _best_and_latest(y, MOST_FITTED)
                self._kernel = _fitted(self._kernel, x[fitted], y[fitted])
                self._fitted = len(over)
            modelled = _best_and_latest(y, MOST_MODELLED)
            x, y = x[modelled], y[modelled]
            model = _model(self._kernel, x, y)
            if going:
                x, y = np.vstack([x, going]), np.concatenate([y, model.predict(np.array(going))])
                model = _model(self._kernel, x, y)
            mean, deviation = model.predict(at, return_std=True)
            # Of the mean, not of another noisy trial.
            deviation = np.sqrt(np.maximum(deviation**2 - self._kernel.k2.noise_level, 0.0))
            best = float(np.min(model.predict(x)))
        return candidates[int(np.argmax(expected_improvement(mean, deviation, best)))]

    def _drawn_candidates(self, trial: int, leaders: list[int]) -> list[Configuration]:
        axes, half = len(self.space.variables), self._candidates // 2
        draw = generator(self.seed, self.repeat, "candidates", trial)
        anywhere = draw.random((self._candidates - half, axes))
        centres = np.nan_to_num([self.space.encode(self._tried[t]) for t in leaders], nan=0.5)
        steps = np.array(STEPS)[np.arange(half) // len(leaders) % len(STEPS), None]
        near = centres[np.arange(half) % len(leaders)] + steps * draw.standard_normal((half, axes))
        # A normal step rarely takes a choice elsewhere, so some axes are drawn anew.
        near = np.where(draw.random((half, axes)) < 1 / (2 * axes), draw.random((half, axes)), near)
        return [self._decoded(point) for point in np.vstack([anywhere, near])]

    def _decoded(self, point: Array) -> Configuration:
        configuration = self.space.decode(point)
        return {
            name: self.space[name].clip(rounded(value)) if isinstance(value, float) and self._is_number(name) else value
            for name, value in configuration.items()
        }

    def _is_number(self, name: str) -> bool:
        return name in self.space.variables and not isinstance(self.space[name], Choice)

    def _untried(self, at: Array) -> npt.NDArray[np.bool_]:
        tried = {features.tobytes() for features in self._features.values()}
        return np.array([features.tobytes() not in tried for features in at])

    def _coded(self, configuration: Configuration) -> Array:
        parts: list[float] = []
        for name in self.space.variables:
            domain = self.space[name]
            if isinstance(domain, Choice) and not domain.ordered:
                # Any two values are as far from each other as the ends of another axis.
                place = domain.index(configuration[name]) if name in configuration else -1
                parts += [2**-0.5 if i == place else 0.0 for i in range(len(domain.choice))]
            else:
                parts.append(domain.encode(configuration[name]) if name in configuration else 0.5)
        return np.array(parts)


def expected_improvement(mean: Array, deviation: Array, best: float) -> Array:
    """By how much a normal variable is expected to lie below ``best``, nothing counting as 0 (Jones et al. 1998, eq. 15)."""
    from scipy.special import ndtr

    deviation = np.maximum(deviation, 1e-12)
    z = (best - mean) / deviation
    improvement: Array = (best - mean) * ndtr(z) + deviation * np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    return improvement


def _best_and_latest(y: Array, most: int) -> npt.NDArray[np.intp]:
    """Which observations to keep, in order: all, or half of so many with the lowest values and half the latest."""
    if len(y) <= most:
        return np.arange(len(y))
    return np.union1d(np.argsort(y, kind="stable")[: most // 2], np.arange(len(y))[-(most // 2) :])


def _fitted(kernel: Any, x: Array, y: Array) -> Any:
    """A kernel whose parameters make the observations most likely, looked for from those of the last fit."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    if kernel is None:
        matern = Matern(np.full(x.shape[1], 0.5), length_scale_bounds=(0.1, 3.0), nu=2.5)
        kernel = ConstantKernel(1.0, (0.1, 10.0)) * matern + WhiteKernel(0.01, (1e-4, 0.1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a parameter at its bound
        return GaussianProcessRegressor(kernel, alpha=1e-8).fit(x, y).kernel_


def _model(kernel: Any, x: Array, y: Array) -> Any:
    from sklearn.gaussian_process import GaussianProcessRegressor

    return GaussianProcessRegressor(kernel, alpha=1e-8, optimizer=None).fit(x, y)
