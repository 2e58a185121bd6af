"""Population Based Training: who counts as least and most fit, and how hyperparameters are perturbed; Ray Tune."""

import math
import random
from collections import Counter
from types import SimpleNamespace

import pytest
from ray import tune
from ray.tune.schedulers import PopulationBasedTraining
from ray.tune.schedulers.pbt import _explore

from hypercurve.config.methods import Exploit
from hypercurve.population.evolution import donors, explored, quartile
from hypercurve.space.search_space import Space

FRACTIONS = [0.1, 0.2, 0.25, 0.3, 0.5]


class Member:
    def __init__(self, number: int):
        self.number = number

    def is_finished(self) -> bool:
        return False


def ray_quantiles(fitness: dict[int, float], fraction: float) -> tuple[list[int], list[int]]:
    """The least and the most fit, the least first."""
    pbt = PopulationBasedTraining(
        metric="fitness", mode="max", quantile_fraction=fraction, hyperparam_mutations={"learning_rate": [1.0]}
    )
    pbt._trial_state = {Member(n): SimpleNamespace(last_score=value) for n, value in fitness.items()}
    lower, upper = pbt._quantiles()
    return [member.number for member in lower], [member.number for member in upper]


def our_quantiles(fitness: dict[int, float], fraction: float) -> tuple[set[int], set[int]]:
    """Who copies, and who may be copied."""
    exploit = Exploit.model_validate({"quartile": {"fraction": fraction}})
    copying = set(donors(fitness, exploit, lambda member, count: 0))
    sizes = Counter[int]()
    donors(fitness, exploit, lambda member, count: sizes.update([count]) or 0)
    copied = set()
    for drawn in range(next(iter(sizes), 0)):
        copied |= set(donors(fitness, exploit, lambda member, count, drawn=drawn: drawn).values())
    return copying, copied


@pytest.mark.parametrize("fraction", FRACTIONS)
@pytest.mark.parametrize("seed", range(10))
def test_the_least_and_the_most_fit_are_ray_tunes(seed: int, fraction: float) -> None:
    draw = random.Random(seed)
    for members in range(2, 60):
        fitness = {member: draw.random() for member in range(members)}
        lower, upper = ray_quantiles(fitness, fraction)
        if math.ceil(members * fraction) != math.ceil(round(members * fraction, 9)):
            assert len(lower) == quartile(members, fraction) + 1, (
                "a product just above a whole number is rounded up there"
            )
            continue
        assert our_quantiles(fitness, fraction) == (set(lower), set(upper))


def test_ties_go_to_other_members_than_in_ray_tune() -> None:
    fitness = dict.fromkeys(range(8), 0.5)
    assert ray_quantiles(fitness, 0.25) == ([0, 1], [6, 7])
    assert our_quantiles(fitness, 0.25) == ({6, 7}, {0, 1}), "the lower number is the fitter"


def test_who_diverged_is_left_out_there_and_copies_here() -> None:
    fitness = {0: 0.1, 1: 0.9, 2: math.nan, 3: 0.5}
    assert ray_quantiles(fitness, 0.25) == ([0], [1])
    assert our_quantiles(fitness, 0.25) == ({2}, {1})


SPACE = Space.model_validate(
    {
        "learning_rate": {"uniform": [0.0, 1.0]},
        "units": {"integer": [1, 1000]},
        "batch_size": {"choice": [16, 32, 64, 128], "ordered": True},
    }
)
START = {"learning_rate": 0.1, "units": 100, "batch_size": 32}
MUTATIONS = {"learning_rate": tune.uniform(0.0, 1.0), "units": tune.randint(1, 1001), "batch_size": [16, 32, 64, 128]}


def ours(start: dict[str, object], resample: float, count: int) -> list[dict[str, object]]:
    rule = {"factors": [0.8, 1.2], "resample": resample}
    from hypercurve.config.methods import Population

    rules = Population.model_validate({"every": 1, "explore": dict.fromkeys(SPACE.names, rule)}).explore
    return [explored(start, rules, SPACE, 0, 0, draw) for draw in range(count)]


def rays(start: dict[str, object], resample: float, count: int) -> list[dict[str, object]]:
    random.seed(0)
    return [_explore(start, MUTATIONS, resample, (0.8, 1.2), None)[0] for _ in range(count)]


@pytest.mark.parametrize("name", ["learning_rate", "units", "batch_size"])
def test_perturbations_are_ray_tunes_and_as_likely(name: str) -> None:
    here, there = (Counter(found[name] for found in explore(START, 0.0, 2000)) for explore in (ours, rays))
    assert set(here) == set(there)
    assert len(here) == 2
    for value in here:  # five standard deviations of a fair coin
        assert abs(here[value] - 1000) < 5 * math.sqrt(500)
        assert abs(there[value] - 1000) < 5 * math.sqrt(500)


def test_as_many_are_drawn_anew_as_in_ray_tune() -> None:
    for explore in (ours, rays):
        rates = [found["learning_rate"] for found in explore(START, 0.25, 2000)]
        kept = sum(math.isclose(rate, 0.08) or math.isclose(rate, 0.12) for rate in rates)
        assert abs(kept - 1500) < 5 * math.sqrt(2000 * 0.25 * 0.75)


def test_ray_tune_leaves_the_space_where_ours_stays_inside() -> None:
    start = START | {"learning_rate": 0.9}
    assert max(found["learning_rate"] for found in rays(start, 0.0, 100)) > 1
    assert max(found["learning_rate"] for found in ours(start, 0.0, 100)) == 1.0


def test_small_integers_stay_there_and_move_here() -> None:
    start = START | {"units": 2}
    assert {found["units"] for found in rays(start, 0.0, 100)} == {2}
    assert {found["units"] for found in ours(start, 0.0, 100)} == {1, 3}
