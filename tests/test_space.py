"""The search space: properties over random spaces, messages about bad ones, and comparisons with SciPy."""

import json
import math
import re
import subprocess
import sys
import warnings
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError
from scipy import stats

from hypercurve.space.search_space import Choice, Constant, Integer, LogUniform, Rule, Space, Uniform, Value, merged

RULES: TypeAdapter[dict[str, Rule]] = TypeAdapter(dict[str, Rule])
quick = settings(max_examples=60)
seeds = st.integers(0, 2**32 - 1)
unit = st.floats(0, 1)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def rules(**raw: Any) -> dict[str, Any]:
    return RULES.validate_python(raw)


# Random spaces, in the form of a file.

magnitudes = st.floats(-1e6, 1e6)
scalars = st.one_of(st.booleans(), st.integers(-999, 999), magnitudes, st.sampled_from(["sgd", "adam", "relu", ""]))


def _pairs(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(values, min_size=2, max_size=2, unique=True).map(sorted)


@st.composite
def numeric(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(["uniform", "log_uniform", "integer", "log integer"]))
    domain: dict[str, Any]
    if kind == "uniform":
        domain = {"uniform": draw(_pairs(magnitudes))}
    elif kind == "log_uniform":
        domain = {"log_uniform": draw(_pairs(st.floats(1e-12, 1e12)))}
    elif kind == "integer":
        domain = {"integer": draw(_pairs(st.integers(-(2**40), 2**40) | st.integers(-9, 9)))}
    else:
        domain = {"integer": draw(_pairs(st.integers(1, 2**40) | st.integers(1, 20))), "log": True}
    if draw(st.booleans()):
        domain["points"] = draw(st.integers(1, 3))
    return domain


def _distinct(value: Value) -> tuple[bool, Value]:
    return isinstance(value, bool), value


choices = st.builds(
    lambda values, ordered: {"choice": values, "ordered": ordered},
    st.lists(scalars, min_size=1, max_size=4, unique_by=_distinct),
    st.booleans(),
)
domains = st.one_of(numeric(), choices, choices, scalars, scalars.map(lambda value: {"constant": value}))


@st.composite
def spaces(draw: st.DrawFn) -> dict[str, Any]:
    """Up to five domains; a later one may depend on earlier ones; then shuffled, so that children also come first."""
    raw: dict[str, Any] = {}
    for name in "abcde"[: draw(st.integers(1, 5))]:
        domain = draw(domains)
        parents = [n for n, d in raw.items() if not isinstance(d, dict) or not {"uniform", "log_uniform"} & set(d)]
        if draw(st.booleans()) and parents:
            domain = dict(domain) if isinstance(domain, dict) else {"constant": domain}
            domain["when"] = {}
            chosen: list[str] = draw(st.lists(st.sampled_from(parents), min_size=1, max_size=2, unique=True))
            for parent in chosen:
                values = Space({parent: _free(raw[parent])})[parent].grid(2)
                some = draw(st.lists(st.sampled_from(values), min_size=1, unique_by=_distinct))
                domain["when"][parent] = some[0] if len(some) == 1 and draw(st.booleans()) else some
        raw[name] = domain
    order: st.SearchStrategy[list[str]] = st.permutations(list(raw))
    return {name: raw[name] for name in draw(order)}


def _free(domain: Any) -> Any:
    return {k: v for k, v in domain.items() if k != "when"} if isinstance(domain, dict) else domain


def _key(configuration: dict[str, Value]) -> str:
    return json.dumps(configuration)


# Properties.


@quick
@given(spaces(), seeds)
def test_samples_belong_to_the_space_and_are_plain_values(raw: dict[str, Any], seed: int) -> None:
    space = Space(raw)
    configuration = space.sample(rng(seed))
    space.validate_configuration(configuration)
    assert list(configuration) == [name for name in raw if name in configuration], "keys in declared order"
    assert all(type(value) in (bool, int, float, str) for value in configuration.values())
    assert json.loads(json.dumps(configuration)) == configuration


@quick
@given(spaces(), seeds)
def test_encoding_round_trips_and_is_nan_where_inactive(raw: dict[str, Any], seed: int) -> None:
    space = Space(raw)
    configuration = space.sample(rng(seed))
    point = space.encode(configuration)
    assert point.dtype == np.float64
    assert [name for name, u in zip(space.variables, point, strict=True) if not math.isnan(u)] == [
        name for name in space.variables if name in configuration
    ]
    assert np.all((point >= 0) & (point <= 1) | np.isnan(point))
    back = space.decode(point)
    assert list(back) == list(configuration)
    for name, value in configuration.items():
        domain = space[name]
        if isinstance(domain, Uniform):
            assert back[name] == pytest.approx(value, rel=0, abs=1e-12 * max(map(abs, domain.uniform)))
        elif isinstance(domain, LogUniform):
            assert back[name] == pytest.approx(value, rel=1e-12)
        else:
            assert (type(back[name]), back[name]) == (type(value), value)


@quick
@given(spaces(), st.data())
def test_every_point_decodes_to_a_member(raw: dict[str, Any], data: st.DataObject) -> None:
    space = Space(raw)
    size = len(space.variables)
    point = data.draw(st.lists(unit | st.floats(allow_nan=True, allow_infinity=True), min_size=size, max_size=size))
    space.validate_configuration(space.decode(point))
    assert space.decode(np.full(size, np.nan)) == space.decode(np.full(size, 0.5))


@quick
@given(st.one_of(numeric(), choices), unit, scalars)
def test_a_domain_clips_and_decodes_into_itself(raw: dict[str, Any], u: float, value: Value) -> None:
    domain = Space({"x": raw})["x"]
    assert domain.contains(domain.decode(u))
    assert domain.contains(domain.sample(rng()))
    assert all(domain.contains(value) for value in domain.extremes)
    if isinstance(domain, Integer | Choice):
        assert 0 < domain.encode(domain.decode(u)) < 1, "inside a bin, not at its edge"
    if domain.contains(value):
        assert domain.clip(value) == value
    else:
        with pytest.raises(ValueError, match="is not in"):
            domain.encode(value)
        try:
            assert domain.contains(domain.clip(value))
        except ValueError:  # no telling which value is near, unless all are numbers
            assert not {type(v) for v in (value, *domain.extremes)} <= {int, float}


@quick
@given(spaces(), st.integers(1, 4))
def test_the_grid_has_each_combination_once(raw: dict[str, Any], points: int) -> None:
    space = Space(raw)
    grid = space.grid(points)
    assert len(grid) == space.grid_size(points) == len(set(map(_key, grid)))
    for configuration in grid:
        space.validate_configuration(configuration)
    assert grid == space.grid(points)
    if not any(domain.when for domain in space.domains.values()):
        assert len(grid) == math.prod(len(domain.grid(points)) for domain in space.domains.values())


@quick
@given(spaces(), st.integers(0, 20), st.integers(0, 20), seeds)
def test_a_longer_sobol_sequence_starts_with_the_shorter(raw: dict[str, Any], k: int, more: int, seed: int) -> None:
    space = Space(raw)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        longer = space.sobol(k + more, seed)
    assert len(longer) == k + more
    assert longer[:k] == space.sobol(k, seed)
    for configuration in longer:
        space.validate_configuration(configuration)


raw_rules = st.one_of(
    st.builds(
        lambda factors, more: {"factors": factors, **more},
        st.lists(st.floats(0.01, 100), min_size=1, max_size=3),
        st.sampled_from([{}, {"resample": 0.5}]),
    ),
    _pairs(st.floats(0.01, 100)).map(lambda bounds: {"uniform_factor": bounds}),
    unit.map(lambda probability: {"resample": probability}),
)


@quick
@given(spaces(), st.data(), seeds)
def test_perturbing_stays_inside_and_leaves_what_has_no_rule(
    raw: dict[str, Any], data: st.DataObject, seed: int
) -> None:
    space = Space(raw)
    chosen = rules(**{name: data.draw(raw_rules) for name in raw if data.draw(st.booleans())})
    before = configuration = space.sample(rng(seed))
    for step in range(3):
        configuration = space.perturb(configuration, chosen, rng(step))
        space.validate_configuration(configuration)
        json.dumps(configuration)
        for name in configuration.keys() & before.keys() - chosen.keys():
            assert configuration[name] == before[name] or any(  # a parent that changed and changed back draws anew
                parent in chosen for parent in _ancestors(space, name)
            )


def _ancestors(space: Space, name: str) -> set[str]:
    parents = set(space[name].when)
    return parents.union(*(_ancestors(space, parent) for parent in parents))


@quick
@given(spaces(), numeric(), seeds)
def test_a_name_added_at_the_end_changes_no_other_draw(raw: dict[str, Any], extra: dict[str, Any], seed: int) -> None:
    one, other = Space(raw), Space({**raw, "extra": extra})
    short, long = one.sample(rng(seed)), other.sample(rng(seed))
    assert {name: long[name] for name in long if name != "extra"} == short
    chosen = rules(**{name: {"factors": [0.5, 2.0], "resample": 0.3} for name in raw})
    perturbed = other.perturb(long, chosen, rng(seed))
    assert {name: perturbed[name] for name in perturbed if name != "extra"} == one.perturb(short, chosen, rng(seed))


@quick
@given(spaces())
def test_a_space_survives_json_and_merging_with_nothing(raw: dict[str, Any]) -> None:
    space = Space(raw)
    assert Space.model_validate_json(space.model_dump_json()) == space
    assert merged(space, {}) == merged(space, Space({})) == space


# Distributions.


def test_log_uniform_draws_agree_with_scipy() -> None:
    domain = LogUniform(log_uniform=(1e-5, 0.3))
    generator = rng(7)
    values = [domain.sample(generator) for _ in range(2000)]
    assert stats.kstest(values, stats.loguniform(1e-5, 0.3).cdf).pvalue > 0.01
    assert stats.kstest(values, stats.uniform(1e-5, 0.3).cdf).pvalue < 1e-6


def test_uniform_draws_agree_with_scipy() -> None:
    domain, generator = Uniform(uniform=(-3.0, 5.0)), rng(7)
    assert stats.kstest([domain.sample(generator) for _ in range(2000)], stats.uniform(-3, 8).cdf).pvalue > 0.01


@pytest.mark.parametrize("raw", [{"integer": [-2, 4]}, {"choice": [1, 2, 3, 4, 5, 6, 7]}])
def test_discrete_values_are_equally_likely(raw: dict[str, Any]) -> None:
    domain, generator = Space({"x": raw})["x"], rng(3)
    values = [domain.sample(generator) for _ in range(3500)]
    assert stats.chisquare([values.count(value) for value in domain.grid(7)]).pvalue > 0.01


def test_log_integers_are_as_likely_as_their_share_of_the_log_scale() -> None:
    domain, generator = Integer(integer=(1, 8), log=True), rng(3)
    values = [domain.sample(generator) for _ in range(4000)]
    shares = np.diff(np.log(np.arange(1, 10) - 0.5)) / math.log(8.5 / 0.5)
    assert stats.chisquare([values.count(i) for i in range(1, 9)], 4000 * shares).pvalue > 0.01


def test_sobol_is_spread_better_than_random() -> None:
    space = Space({"x": {"uniform": [0, 1]}, "y": {"uniform": [0, 1]}})
    sobol = stats.qmc.discrepancy(np.array([space.encode(c) for c in space.sobol(100, seed=5)]))
    random = [stats.qmc.discrepancy(rng(seed).random((100, 2))) for seed in range(20)]
    assert sobol < min(random) / 2
    assert space.sobol(4, 5) != space.sobol(4, 6)


def test_sobol_takes_a_space_of_constants_but_no_negative_number() -> None:
    assert Space({"x": 1}).sobol(2, 0) == [{"x": 1}, {"x": 1}]
    with pytest.raises(ValueError, match="at least 0"):
        Space({"x": 1}).sobol(-1, 0)


@pytest.mark.parametrize("raw", [{"integer": [0, 7]}, {"choice": [0, 1, 2, 3, 4, 5, 6, 7]}])
def test_bins_are_equal_and_hold_their_lower_edges(raw: dict[str, Any]) -> None:
    domain = Space({"x": raw})["x"]
    assert [domain.decode(i / 32) for i in range(33)] == [i // 4 for i in range(32)] + [7]


# Grids.


@pytest.mark.parametrize(
    ("raw", "points", "values"),
    [
        ({"uniform": [0, 1]}, 5, [0.0, 0.25, 0.5, 0.75, 1.0]),
        ({"uniform": [0, 1], "points": 2}, 5, [0.0, 1.0]),
        ({"uniform": [0, 3]}, 1, [1.5]),
        ({"log_uniform": [0.01, 1]}, 3, [0.01, pytest.approx(0.1), 1.0]),
        ({"log_uniform": [0.01, 1]}, 1, [pytest.approx(0.1)]),
        ({"integer": [1, 3]}, 9, [1, 2, 3]),
        ({"integer": [1, 10]}, 4, [1, 4, 7, 10]),
        ({"integer": [1, 9]}, 1, [5]),
        ({"integer": [1, 100], "log": True}, 3, [1, 10, 100]),
        ({"integer": [1, 10], "log": True}, 8, [1, 2, 3, 4, 5, 7, 10]),
        ({"choice": ["b", "a", True]}, 1, ["b", "a", True]),
        ("relu", 3, ["relu"]),
    ],
)
def test_grid_values_of_one_domain(raw: Any, points: int, values: list[Value]) -> None:
    assert Space({"x": raw})["x"].grid(points) == values


@pytest.mark.parametrize("bounds", [(1e-4, 0.1), (3e-7, 7.3), (0.1, 0.3)])
def test_geometric_grids_agree_with_numpy_and_show_the_bounds_as_given(bounds: tuple[float, float]) -> None:
    values = LogUniform(log_uniform=bounds).grid(6)
    assert values == pytest.approx(np.geomspace(*bounds, 6), rel=1e-12)
    assert (values[0], values[-1]) == bounds


def test_grid_steps_of_integers_differ_by_one_at_most() -> None:
    for points in range(2, 30):
        values = Integer(integer=(0, 30)).grid(points)
        steps = {b - a for a, b in pairwise(map(int, values))}
        assert len(values) == points
        assert max(steps) - min(steps) <= 1


def test_the_last_name_of_a_grid_changes_fastest_and_inactive_names_do_not_multiply() -> None:
    space = Space(
        {
            "optimizer": {"choice": ["sgd", "adam"]},
            "momentum": {"uniform": [0, 1], "when": {"optimizer": "sgd"}},
            "layers": {"choice": [1, 2]},
        }
    )
    assert space.grid(2) == [
        {"optimizer": "sgd", "momentum": 0.0, "layers": 1},
        {"optimizer": "sgd", "momentum": 0.0, "layers": 2},
        {"optimizer": "sgd", "momentum": 1.0, "layers": 1},
        {"optimizer": "sgd", "momentum": 1.0, "layers": 2},
        {"optimizer": "adam", "layers": 1},
        {"optimizer": "adam", "layers": 2},
    ]


def test_grid_size_builds_nothing_large() -> None:
    assert Space({f"x{i}": {"uniform": [0, 1]} for i in range(30)}).grid_size(10) == 10**30


def test_a_grid_needs_points() -> None:
    with pytest.raises(ValueError, match="at least 1 point"):
        Space({"x": {"uniform": [0, 1]}}).grid(0)


# Conditions.

CONDITIONAL = Space(
    {
        "optimizer": {"choice": ["sgd", "adam", "rmsprop"]},
        "momentum": {"uniform": [0.0, 1.0], "when": {"optimizer": ["sgd", "rmsprop"]}},
        "nesterov": {"choice": [True, False], "when": {"optimizer": "sgd"}},
        "restarts": {"integer": [1, 5], "when": {"optimizer": "sgd", "nesterov": True}},
        "beta": {"constant": 0.9, "when": {"optimizer": "adam"}},
    }
)


def test_a_name_is_active_if_all_its_parents_are_and_agree() -> None:
    assert CONDITIONAL.active({"optimizer": "adam"}) == ("optimizer", "beta")
    assert CONDITIONAL.active({"optimizer": "rmsprop", "nesterov": True}) == ("optimizer", "momentum")
    sgd = ("optimizer", "momentum", "nesterov")
    assert CONDITIONAL.active({"optimizer": "sgd", "nesterov": False}) == sgd
    assert CONDITIONAL.active({"optimizer": "sgd", "nesterov": True}) == (*sgd, "restarts")
    assert CONDITIONAL.variables == (*sgd, "restarts")


@pytest.mark.parametrize(
    ("configuration", "words"),
    [
        ({}, ["optimizer", "missing"]),
        ({"optimizer": "sgd", "momentum": 0.5}, ["nesterov", "missing"]),
        ({"optimizer": "lion"}, ["optimizer", "'lion'", "sgd"]),
        ({"optimizer": "adam", "beta": 0.9, "momentum": 0.5}, ["momentum", "0.5", "optimizer in ['sgd', 'rmsprop']"]),
        ({"optimizer": "adam", "beta": 0.8}, ["beta", "0.8", "0.9"]),
        ({"optimizer": "adam", "beta": 0.9, "momentun": 0.5}, ["'momentun'", "0.5", "did you mean 'momentum'"]),
        ({"optimizer": "rmsprop", "momentum": 1.5}, ["momentum", "1.5", "uniform: [0.0, 1.0]"]),
        ({"optimizer": "rmsprop", "momentum": math.nan}, ["momentum", "nan"]),
        ({"optimizer": "rmsprop", "momentum": True}, ["momentum", "True"]),
        ({"optimizer": "sgd", "momentum": 0.5, "nesterov": 1}, ["nesterov", "1", "True"]),
        ({"optimizer": "sgd", "momentum": 0.5, "nesterov": True, "restarts": 2.0}, ["restarts", "2.0"]),
    ],
)
def test_a_foreign_configuration_is_refused_by_name_and_value(configuration: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(ValueError, match=".*".join(map(re.escape, words))):
        CONDITIONAL.validate_configuration(configuration)


def test_a_point_of_the_wrong_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(4,\).*\(3,\)"):
        CONDITIONAL.decode([0.1, 0.2, 0.3])


# Perturbation.


def _perturbed(raw: Any, value: Value, rule: dict[str, Any]) -> list[Value]:
    """The values that many perturbations give, each once, in order."""
    space = Space({"x": raw})
    found = {space.perturb({"x": value}, rules(x=rule), rng(seed))["x"] for seed in range(50)}
    return sorted(found, key=str if isinstance(value, str) else None)


@pytest.mark.parametrize(
    ("raw", "value", "rule", "values"),
    [
        ({"uniform": [0, 1]}, 0.5, {"factors": [0.8, 1.2]}, [0.4, 0.6]),
        ({"uniform": [0, 1]}, 0.9, {"factors": [0.5, 1.2]}, [0.45, 1.0]),
        ({"uniform": [0, 1]}, 0.5, {"factors": [1]}, [0.5]),
        ({"uniform": [0, 1]}, 0.5, {"resample": 0}, [0.5]),
        ({"log_uniform": [0.1, 1]}, 0.1, {"factors": [0.5]}, [0.1]),
        ({"integer": [1, 100]}, 50, {"factors": [0.8, 1.2]}, [40, 60]),
        ({"integer": [1, 100]}, 2, {"factors": [0.8, 1.2]}, [1, 3]),
        ({"integer": [0, 100]}, 0, {"factors": [0.8, 1.2]}, [0, 1]),
        ({"integer": [-9, 100]}, -2, {"factors": [0.8, 1.2]}, [-3, -1]),
        ({"integer": [-9, 100]}, -2, {"factors": [1.2]}, [-3]),
        ({"integer": [1, 100]}, 100, {"factors": [1e300]}, [100]),
        ({"integer": [1, 100]}, 7, {"factors": [1]}, [7]),
        ({"choice": [16, 32, 64], "ordered": True}, 32, {"factors": [0.8, 1.2]}, [16, 64]),
        ({"choice": [16, 32, 64], "ordered": True}, 64, {"factors": [0.8, 1.2]}, [32, 64]),
        ({"choice": [16, 32, 64], "ordered": True}, 16, {"uniform_factor": [0.1, 0.9]}, [16]),
        ({"choice": ["a", "b", "c"]}, "b", {"factors": [0.8]}, ["a", "c"]),
        ({"choice": ["a", "b", "c"]}, "b", {"factors": [1]}, ["b"]),
        ({"choice": ["a", "b", "c"]}, "b", {"resample": 1}, ["a", "b", "c"]),
        ({"choice": ["a"]}, "a", {"factors": [2]}, ["a"]),
        (3, 3, {"factors": [2]}, [3]),
    ],
)
def test_perturbed_values(raw: Any, value: Value, rule: dict[str, Any], values: list[Value]) -> None:
    found = _perturbed(raw, value, rule)
    assert found == (values if isinstance(value, str) else pytest.approx(values))


def test_uniform_factors_and_resampling_follow_their_distributions() -> None:
    space, generator = Space({"x": {"uniform": [0, 100]}}), rng(1)

    def drawn(**rule: Any) -> list[float]:
        return [float(space.perturb({"x": 10.0}, rules(x=rule), generator)["x"]) for _ in range(2000)]

    assert stats.kstest(drawn(uniform_factor=[0.9, 1.1]), stats.uniform(9, 2).cdf).pvalue > 0.01
    resampled = [x for x in drawn(resample=0.25) if x != 10]
    assert stats.binomtest(len(resampled), 2000, 0.25).pvalue > 0.01
    assert stats.kstest(resampled, stats.uniform(0, 100).cdf).pvalue > 0.01
    both = drawn(factors=[0.8, 1.2], resample=0.25)
    assert (
        stats.chisquare([both.count(8), both.count(12), 2000 - both.count(8) - both.count(12)], [750, 750, 500])[1]
        > 0.01
    )


def test_a_changed_parent_brings_its_children_and_drops_the_others() -> None:
    before: dict[str, Value] = {"optimizer": "adam", "beta": 0.9}
    seen = {tuple(CONDITIONAL.perturb(before, rules(optimizer={"resample": 1}), rng(seed))) for seed in range(60)}
    assert seen == {
        ("optimizer", "beta"),
        ("optimizer", "momentum"),
        ("optimizer", "momentum", "nesterov"),
        ("optimizer", "momentum", "nesterov", "restarts"),
    }
    assert before == {"optimizer": "adam", "beta": 0.9}


def test_a_rule_changes_no_other_rules_draw() -> None:
    space = Space({name: {"uniform": [0, 1]} for name in "abc"})
    before: dict[str, Value] = {"a": 0.5, "b": 0.5, "c": 0.5}
    rule = {"uniform_factor": [0.5, 1.5]}
    alone = space.perturb(before, rules(b=rule), rng(4))
    together = space.perturb(before, rules(c=rule, b=rule, a=rule), rng(4))
    assert alone["b"] == together["b"]


def test_a_rule_for_an_unknown_name_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'learning_rat'.*did you mean 'learning_rate'"):
        Space({"learning_rate": 0.1}).perturb({"learning_rate": 0.1}, rules(learning_rat={"factors": [2]}), rng())


# Bad spaces. The place is as the user wrote it; the message says what is wrong and what is allowed.

PARENT = {"p": {"choice": ["a", "b"]}}


@pytest.mark.parametrize(
    ("raw", "place", "words"),
    [
        ({"x": {"uniform": [1, 0]}}, ("x", "uniform"), ["low must be below high", "1.0", "0.0"]),
        ({"x": {"integer": [2, 2]}}, ("x", "integer"), ["low must be below high"]),
        ({"x": {"log_uniform": [0, 1]}}, ("x", "log_uniform"), ["above 0"]),
        ({"x": {"log_uniform": [-1, 1]}}, ("x", "log_uniform"), ["above 0", "-1"]),
        ({"x": {"integer": [0, 9], "log": True}}, ("x", "integer"), ["above 0", "log"]),
        ({"x": {"uniform": [0, math.nan]}}, ("x", "uniform", 1), ["finite"]),
        ({"x": {"uniform": [-math.inf, 0]}}, ("x", "uniform", 0), ["finite"]),
        ({"x": {"uniform": [-1e308, 1e308]}}, ("x", "uniform"), ["wider"]),
        ({"x": {"integer": [1, 10**400]}}, ("x", "integer"), ["wider than a float can hold"]),
        ({"x": {"choice": [1, 10**400]}}, ("x", "choice", 1), ["expected a finite number"]),
        ({"x": {"uniform": [1]}}, ("x", "uniform"), ["[low, high]", "[1]"]),
        ({"x": {"uniform": 3}}, ("x", "uniform"), ["[low, high]", "3"]),
        ({"x": {"uniform": [False, True]}}, ("x", "uniform"), ["numbers", "False"]),
        ({"x": {"uniform": ["a", 1]}}, ("x", "uniform"), ["'a' is text, not a number"]),
        ({"x": {"integer": [1.5, 3]}}, ("x", "integer", 0), ["valid integer", "fraction"]),
        ({"x": {"integer": [0, 2**41]}}, ("x", "integer"), [str(2**40)]),
        ({"x": {"choice": []}}, ("x", "choice"), ["at least one"]),
        ({"x": {"choice": "abc"}}, ("x", "choice"), ["list", "'abc'"]),
        ({"x": {"choice": [1, 2, 1]}}, ("x", "choice"), ["1 is listed twice"]),
        ({"x": {"choice": [1, [2]]}}, ("x", "choice", 1), ["number, text", "[2]"]),
        ({"x": {"choice": [1, math.nan]}}, ("x", "choice", 1), ["finite"]),
        ({"x": math.inf}, ("x",), ["finite"]),
        ({"x": None}, ("x",), ["uniform", "choice", "None"]),
        ({"x": [1, 2]}, ("x",), ["{choice: [...]}"]),
        ({"x": "1e-4"}, ("x",), ["'1e-4' is text"]),
        ({"x": {"constant": {"a": 1}}}, ("x", "constant"), ["number, text"]),
        ({"x": {"uniform": [0, 1], "points": 0}}, ("x", "points"), ["greater than or equal to 1"]),
        ({"x": {"choice": [0, 1], "points": 2}}, ("x", "points"), ["option of choice", "ordered"]),
        ({"x": {"uniform": [0, 1], "pionts": 2}}, ("x", "pionts"), ["did you mean 'points'?"]),
        ({"x": {"unifrom": [0, 1]}}, ("x", "unifrom"), ["did you mean 'uniform'?", "log_uniform, integer, choice"]),
        ({"x": {"points": 2}}, ("x",), ["no domain given", "uniform"]),
        ({"x": {"uniform": [0, 1], "choice": [1]}}, ("x",), ["one domain", "uniform and choice"]),
        (
            {**PARENT, "x": {"constant": 1, "when": {"q": "a"}}},
            ("x", "when", "q"),
            ["unknown parent 'q'", "allowed: p"],
        ),
        ({**PARENT, "x": {"constant": 1, "when": {"p": ["a", "c"]}}}, ("x", "when", "p"), ["never", "'c'", "'b'"]),
        ({"p": {"choice": [0, 1]}, "x": {"constant": 1, "when": {"p": True}}}, ("x", "when", "p"), ["never", "True"]),
        ({**PARENT, "x": {"constant": 1, "when": {"p": []}}}, ("x", "when"), ["at least one"]),
        ({**PARENT, "x": {"constant": 1, "when": "p"}}, ("x", "when"), ["{parent: value}"]),
        ({"p": {"uniform": [0, 1]}, "x": {"constant": 1, "when": {"p": 0.5}}}, ("x", "when", "p"), ["continuous"]),
        ({"x": {"choice": [1], "when": {"x": 1}}}, ("x", "when"), ["x -> x"]),
        (
            {
                "a": {"choice": [1], "when": {"c": 1}},
                "b": {"choice": [1], "when": {"a": 1}},
                "c": {"choice": [1], "when": {"b": 1}},
            },
            ("a", "when"),
            ["a -> c -> b -> a"],
        ),
    ],
)
def test_a_bad_space_is_refused_with_its_place(raw: dict[str, Any], place: tuple[Any, ...], words: list[str]) -> None:
    class Experiment(BaseModel):
        space: Space

    with pytest.raises(ValidationError) as caught:
        Experiment.model_validate({"space": raw})
    (error,) = caught.value.errors()
    assert error["loc"] == ("space", *place)
    assert all(word in error["msg"] for word in words), error["msg"]


def test_all_problems_of_a_space_are_reported_at_once() -> None:
    with pytest.raises(ValidationError) as caught:
        Space({"x": {"uniform": [1, 0]}, "y": {"choice": []}})
    assert [error["loc"] for error in caught.value.errors()] == [("x", "uniform"), ("y", "choice")]
    with pytest.raises(ValidationError) as caught:
        Space({**PARENT, "x": {"constant": 1, "when": {"q": 1}}, "y": {"constant": 1, "when": {"p": 1}}})
    assert [error["loc"] for error in caught.value.errors()] == [("x", "when", "q"), ("y", "when", "p")]


@pytest.mark.parametrize(
    ("rule", "place", "word"),
    [
        ({"factors": []}, ("x", "factors"), "at least one"),
        ({"factors": [0]}, ("x", "factors", 0), "greater than 0"),
        ({"factors": [math.inf]}, ("x", "factors", 0), "finite"),
        ({"uniform_factor": [1.1, 0.9]}, ("x", "uniform_factor"), "low must be below high"),
        ({"uniform_factor": [0, 2]}, ("x", "uniform_factor"), "above 0"),
        ({"resample": 1.5}, ("x", "resample"), "less than or equal to 1"),
        ({"factor": [2]}, ("x", "factor"), "did you mean 'factors'?"),
        ({"factors": [2], "uniform_factor": [1, 2]}, ("x",), "factors and uniform_factor"),
        (2, ("x",), "factors, uniform_factor, resample"),
    ],
)
def test_a_bad_rule_is_refused_with_its_place(rule: Any, place: tuple[Any, ...], word: str) -> None:
    with pytest.raises(ValidationError) as caught:
        rules(x=rule)
    (error,) = caught.value.errors()
    assert error["loc"] == place
    assert word in error["msg"]


# Merging and the rest.


def test_an_override_replaces_in_place_adds_at_the_end_and_is_checked() -> None:
    space = Space({"a": {"choice": [1, 2]}, "b": 3})
    both = merged(space, {"c": {"uniform": [0, 1], "when": {"a": 2}}, "a": {"choice": [2, 4]}})
    assert both.names == ("a", "b", "c")
    assert both["a"] == Choice(choice=(2, 4))
    assert both["c"].when == {"a": (2,)}
    assert space.names == ("a", "b"), "the first space stays as it was"
    with pytest.raises(ValidationError, match="a can never be 2"):
        merged(both, Space({"a": 1}))


def test_a_space_reads_like_a_mapping() -> None:
    space = Space({"a": {"choice": [1, 2]}, "b": np.float64(3)})
    assert (list(space), len(space), "a" in space, "c" in space) == (["a", "b"], 2, True, False)
    assert space["b"] == space.domains["b"] == Constant(constant=3.0)
    assert type(space.sample(rng())["b"]) is float


def test_the_schema_lists_all_kinds() -> None:
    schema = json.dumps(Space.model_json_schema())
    assert all(f'"{kind}"' in schema for kind in ("uniform", "log_uniform", "integer", "choice", "constant", "when"))


def test_reading_a_space_does_not_import_scipy() -> None:
    code = (
        "import sys; from hypercurve.space.search_space import Space\n"
        "Space({'x': {'uniform': [0, 1]}}).grid(); sys.exit('scipy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
