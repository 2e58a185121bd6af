"""The search space: how configurations are drawn from it, laid on a grid, spread, coded and perturbed.

A space is a mapping from name to domain, as it stands in an experiment file::

    learning_rate: {log_uniform: [0.0001, 0.1], points: 4}      # `points`: values on this axis of a grid
    layers: {integer: [1, 8]}                                   # inclusive; `log: true` for a log scale
    optimizer: {choice: [sgd, adam]}                            # `ordered: true` if neighbours are alike
    momentum: {uniform: [0.0, 1.0], when: {optimizer: sgd}}     # only where the parent has this value, or one of a list
    epochs: 5                                                   # a constant; {constant: 5, when: ...} if conditional

A configuration holds a value for each *active* name: one whose parents are all active and have the values it asks for.
Every way to draw (random, Sobol, new values in PBT) goes through one code: a point of the unit cube, with one axis per
variable, is decoded into a configuration. Searchers that model the space work on the same cube. Single domains are in
:mod:`hypercurve.space.domains`. Nothing here reads files, and SciPy is imported only where it is needed, since Snakemake
loads this module in every cluster job.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from math import inf, nan, prod
from typing import Annotated, Any, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, RootModel, WrapValidator
from typing_extensions import override

from ..util.partial import told
from ..util.schema import Consistent, Number, Problem, by_key, hint
from .domains import Choice, Constant, Domain, Integer, LogUniform, Uniform, between, pick
from .values import Finite, PositiveBounds, Value, check_numbers, same

Configuration = dict[str, Value]
MOST_COUNTED = 100_000
"""A space with more parents' combinations, or runs with more configurations, are taken to have no end of them."""

_T = TypeVar("_T")


_Probability = Annotated[Number, Field(ge=0, le=1)]


class _Rule(BaseModel):
    """How PBT changes one hyperparameter when it explores (Jaderberg et al. 2017, section 4)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    resample: _Probability = 0.0
    """Probability to draw anew from the domain; the factor, if any, is for the other cases."""

    @abstractmethod
    def factor(self, u: float) -> float:
        """The factor at `u` in [0, 1), which is drawn uniformly."""


class Factors(_Rule):
    """Multiply by one of the factors, equally likely."""

    factors: Annotated[tuple[Annotated[Finite, Field(gt=0)], ...], BeforeValidator(check_numbers)]

    @override
    def factor(self, u: float) -> float:
        return pick(self.factors, u)


class UniformFactor(_Rule):
    """Multiply by a factor that is drawn uniformly between two bounds."""

    uniform_factor: PositiveBounds

    @override
    def factor(self, u: float) -> float:
        return between(self.uniform_factor, u)


class Resample(_Rule):
    """Draw anew from the domain with a probability, and else change nothing."""

    resample: _Probability

    @override
    def factor(self, u: float) -> float:
        return 1.0


_RULES: dict[str, type[_Rule]] = {"factors": Factors, "uniform_factor": UniformFactor, "resample": Resample}
Rule = Annotated[Factors | UniformFactor | Resample, WrapValidator(lambda data, _: by_key(data, _RULES, "rule"))]


def _parents_first(domains: Mapping[str, Domain]) -> tuple[list[str], list[str]]:
    """The names with parents before children, otherwise as declared; and a circle of names that depend on themselves."""
    order: dict[str, None] = {}
    circle: list[str] = []

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            circle[:] = circle or [*path[path.index(name) :], name]
        elif name not in order:
            for parent in domains[name].when:
                visit(parent, (*path, name))
            order[name] = None

    for name in domains:
        visit(name, ())
    return list(order), circle


class Space(RootModel[dict[str, Domain]], Consistent):
    """A mapping from name to domain, in the order of the file."""

    model_config = ConfigDict(frozen=True)

    @override
    def faults(self) -> Iterator[Problem]:
        """Conditions on what is no parent, or on values that a parent never has."""
        found = list(told(*(self._condition_faults(name) for name in self.root)))
        yield from found
        if not found and (circle := _parents_first(self.root)[1]):
            yield Problem((circle[0], "when"), f"depends on itself: {' -> '.join(circle)}")

    def _condition_faults(self, name: str) -> Iterator[Problem]:
        for parent, values in self.root[name].when.items():
            place = (name, "when", parent)
            given = self.root.get(parent)
            if given is None:
                others = [other for other in self.root if other != name]
                yield Problem(place, f"unknown parent {parent!r}{hint(parent, others)}")
            elif isinstance(given, Uniform | LogUniform):
                yield Problem(place, f"{parent} is continuous, so it has no single values to depend on")
            else:
                for value in values:
                    if not given.contains(value):
                        yield Problem(place, f"{parent} can never be {value!r}; it has {given}")

    @override
    def __iter__(self) -> Iterator[str]:  # type: ignore[override]
        return iter(self.root)

    def __len__(self) -> int:
        return len(self.root)

    def __getitem__(self, name: str) -> Domain:
        return self.root[name]

    def __contains__(self, name: object) -> bool:
        return name in self.root

    @property
    def domains(self) -> Mapping[str, Domain]:
        """The domains by name."""
        return self.root

    @property
    def names(self) -> tuple[str, ...]:
        """All names, as declared."""
        return tuple(self.root)

    @cached_property
    def variables(self) -> tuple[str, ...]:
        """The names that are not constants, as declared: the axes of the unit cube."""
        return tuple(name for name, domain in self.root.items() if not isinstance(domain, Constant))

    @cached_property
    def _order(self) -> list[str]:
        return _parents_first(self.root)[0]

    def _holds(self, name: str, values: Mapping[str, object]) -> bool:
        """Whether a name is active, given the values of the active names before it."""
        return all(
            parent in values and any(same(values[parent], value) for value in allowed)
            for parent, allowed in self.root[name].when.items()
        )

    def build(self, choose: Callable[[str], _T]) -> dict[str, _T]:
        """Choose a value for each active name, parents first; the result is in declared order."""
        values: dict[str, _T] = {}
        for name in self._order:
            if self._holds(name, values):
                values[name] = choose(name)
        return self._as_declared(values)

    def _as_declared(self, values: Mapping[str, _T]) -> dict[str, _T]:
        return {name: values[name] for name in self.root if name in values}

    def active(self, configuration: Mapping[str, Value]) -> tuple[str, ...]:
        """The names that a configuration with these values must have, as declared, constants included."""
        return tuple(self.build(configuration.get))

    def validate_configuration(self, configuration: Mapping[str, Value]) -> None:
        """Check that a configuration belongs to the space.

        Raises:
            ValueError: a name is unknown, missing or inactive, or its value is outside; the message names both.
        """
        active = self.active(configuration)
        for name, value in configuration.items():
            if name not in self.root:
                raise ValueError(f"unknown hyperparameter {name!r} = {value!r}{hint(name, self.root)}")
        for name, domain in self.root.items():
            if name not in active and name in configuration:
                needs = " and ".join(f"{parent} in {list(values)}" for parent, values in domain.when.items())
                raise ValueError(f"{name} = {configuration[name]!r} is superfluous: it needs {needs}")
            if name in active and name not in configuration:
                raise ValueError(f"{name} is missing; it has {domain}")
            if name in active and not domain.contains(configuration[name]):
                raise ValueError(f"{name} = {configuration[name]!r} is outside {domain}")

    def encode(self, configuration: Mapping[str, Value]) -> npt.NDArray[np.float64]:
        """The configuration's point in the unit cube, shape (len(variables),), NaN for absent names.

        Raises:
            ValueError: a value is outside its domain.
        """
        return np.array(
            [self[n].encode(configuration[n]) if n in configuration else nan for n in self.variables], float
        )

    def decode(self, vector: npt.ArrayLike) -> Configuration:
        """The configuration at a point of shape (len(variables),).

        Numbers are clipped to [0, 1], and NaN means the middle of an axis, so every point gives a valid configuration.
        """
        point = np.asarray(vector, float)
        if point.shape != (len(self.variables),):
            raise ValueError(f"expected a point of shape ({len(self.variables)},), got {point.shape}")
        shares = dict(zip(self.variables, point.tolist(), strict=True))
        return self.build(lambda name: self[name].decode(shares.get(name, 0.5)))

    def sample(self, rng: np.random.Generator) -> Configuration:
        """A configuration, each variable drawn from its domain.

        One number is drawn per variable, also where the variable turns out inactive. So no draw depends on what another
        name's value is, and a name added at the end leaves the values of the others as they were.
        """
        return self.decode(rng.random(len(self.variables)))

    def sobol(self, count: int, seed: int) -> list[Configuration]:
        """The first configurations of a scrambled Sobol sequence (Sobol 1967, Owen 1998).

        The seed fixes the sequence: the first `k` of a longer one are the `k` of a shorter one.
        """
        from scipy.stats import qmc  # takes longer to import than all the rest

        if count < 0:
            raise ValueError(f"the number of configurations must be at least 0, got {count}")
        if not self.variables:
            return [self.decode(()) for _ in range(count)]
        engine = qmc.Sobol(len(self.variables), scramble=True, rng=np.random.default_rng(seed))
        # A power of two, cut: SciPy warns about other numbers, although a part of the sequence is the same sequence.
        points = engine.random_base2((max(count, 1) - 1).bit_length())
        return [self.decode(point) for point in points[:count]]

    def grid(self, points: int = 5) -> list[Configuration]:
        """All combinations of the domains' grids, each once; the last name changes fastest.

        Only active names are combined. A parent that is declared after its child counts as standing before it.

        Args:
            points: values on a numeric axis that has no `points` of its own.
        """
        return [self._as_declared(values) for values in self._combinations(self._order, points)]

    def _combinations(self, names: list[str], points: int) -> list[Configuration]:
        found: list[Configuration] = [{}]
        for name in names:
            axis = self[name].grid(points)
            found = [
                extended
                for values in found
                for extended in ([{**values, name: value} for value in axis] if self._holds(name, values) else [values])
            ]
        return found

    def grid_size(self, points: int = 5) -> int:
        """The number of configurations in a grid, without building it: only parents are combined."""
        parents = {parent for domain in self.root.values() for parent in domain.when}
        sizes = {name: len(domain.grid(points)) for name, domain in self.root.items() if name not in parents}
        return sum(
            prod(size for name, size in sizes.items() if self._holds(name, values))
            for values in self._combinations([name for name in self._order if name in parents], points)
        )

    @property
    def combinations(self) -> float:
        """The number of different configurations; infinite where a domain is continuous, or too many to count."""
        parents = {parent for domain in self.root.values() for parent in domain.when}
        counts = {name: domain.count for name, domain in self.root.items()}
        if inf in counts.values() or prod(counts[name] for name in parents) > MOST_COUNTED:
            return inf
        return sum(
            prod(count for name, count in counts.items() if name not in parents and self._holds(name, values))
            for values in self._combinations([name for name in self._order if name in parents], MOST_COUNTED)
        )

    def perturb(
        self, configuration: Mapping[str, Value], rules: Mapping[str, Rule], rng: np.random.Generator
    ) -> Configuration:
        """The configuration after PBT's explore step (Jaderberg et al. 2017, section 4), always inside the space.

        Names without a rule keep their values. Names that become active, since a parent changed, are drawn anew; names
        that become inactive are dropped.

        Raises:
            ValueError: a rule's name is not in the space, or a value that has a rule is outside its domain.
        """
        for name in rules:
            if name not in self.root:
                raise ValueError(f"a rule is for {name!r}, which is not in the space{hint(name, self.root)}")
        # Three numbers per variable whether needed or not: whether to draw anew, by which factor, and where. As in
        # `sample`, what happens to one name then depends on no other name and no other rule.
        draws = dict(zip(self.variables, rng.random((len(self.variables), 3)).tolist(), strict=True))

        def choose(name: str) -> Value:
            domain, rule = self[name], rules.get(name)
            anew, by, where = draws.get(name, (0.5, 0.5, 0.5))
            if name not in configuration or (rule is not None and anew < rule.resample):
                return domain.decode(where)
            return configuration[name] if rule is None else domain.scaled(configuration[name], rule.factor(by), where)

        return self.build(choose)


def merged(space: Space, override: Space | Mapping[str, Any]) -> Space:
    """A space with some domains replaced or added by name, checked as a whole.

    Args:
        space: the space to start from.
        override: a space; or its form in a file, whose conditions may then name parents in `space`.

    Raises:
        ValidationError: the result is no valid space, for instance as a new domain lacks a value that a child needs.
    """
    changes = override.root if isinstance(override, Space) else override
    return Space.model_validate({**space.root, **changes})


__all__ = [
    "Choice",
    "Configuration",
    "Constant",
    "Domain",
    "Factors",
    "Integer",
    "LogUniform",
    "Resample",
    "Rule",
    "Space",
    "Uniform",
    "UniformFactor",
    "Value",
    "merged",
]
