"""Hyperband's brackets: Ray Tune, SMAC, KerasTuner, Syne Tune, Optuna; and what each makes of 243 and 1000."""

import keras_tuner
import optuna
import pytest
from keras_tuner.src.tuners.hyperband import HyperbandOracle
from ray.tune.schedulers.hyperband import HyperBandScheduler
from smac.intensifier.hyperband_utils import determine_HB
from syne_tune.optimizer.schedulers.synchronous.hyperband_rung_system import SynchronousHyperbandRungSystem

from hypercurve.stopping.brackets import floor_log, hyperband

Table = list[list[tuple[int, int]]]
"""For each bracket, the most aggressive first: how many trials train to which resource."""

POWERS = [(9, 3), (27, 3), (81, 3), (16, 2), (64, 2), (64, 4), (100, 10), (125, 5)]
"""R and η where logarithms in floating point happen to be right."""
LOST = [(243, 3), (1000, 10)]
"""And where they fall short."""
BETWEEN = [(100, 3), (50, 3), (300, 4), (200, 3), (51, 3), (1500, 10)]


def ours(resource: int, factor: int) -> Table:
    return [
        list(
            zip([b.size, *(rung.keep for rung in b.rungs)], [*(rung.point for rung in b.rungs), resource], strict=True)
        )
        for b in hyperband(resource, factor)
    ]


def smac(resource: int, factor: int) -> Table:
    """Resources are not rounded there; here, down."""
    found = determine_HB(1, resource, factor)
    return [
        [(n, int(r + 1e-9)) for n, r in zip(found["n_configs_in_stage"][s], found["budgets_in_stage"][s], strict=True)]
        for s in range(found["number_of_brackets"])
    ]


def keras(resource: int, factor: int) -> Table:
    oracle = HyperbandOracle(objective=keras_tuner.Objective("loss", "min"), max_epochs=resource, factor=factor)
    return [
        [(oracle._get_size(s, i), oracle._get_epochs(s, i)) for i in range(oracle._get_num_rounds(s))]
        for s in reversed(range(oracle._get_num_brackets()))
    ]


def syne(resource: int, factor: int) -> Table:
    return SynchronousHyperbandRungSystem.geometric(1, resource, factor)


def ray(resource: int, factor: int) -> list[tuple[int, int]]:
    """Trials and first resource of each bracket: Ray Tune cuts further ones by what is left."""
    found = HyperBandScheduler(max_t=resource, reduction_factor=factor)
    return [(found._get_n0(s), found._get_r0(s)) for s in reversed(range(found._s_max_1))]


def optunas_brackets(resource: int, factor: int) -> int:
    pruner = optuna.pruners.HyperbandPruner(1, resource, factor)
    pruner._try_initialization(optuna.create_study(pruner=pruner))
    return int(pruner._n_brackets or 0)


@pytest.mark.parametrize(("resource", "factor"), POWERS)
class TestPowers:
    def test_smac_has_our_brackets(self, resource: int, factor: int) -> None:
        assert smac(resource, factor) == ours(resource, factor)

    def test_ray_tune_starts_as_many_trials_at_the_same_resource(self, resource: int, factor: int) -> None:
        assert ray(resource, factor) == [bracket[0] for bracket in ours(resource, factor)]

    @pytest.mark.parametrize("other", [keras, syne])
    def test_keras_tuner_and_syne_tune_round_what_is_kept_up(self, other, resource: int, factor: int) -> None:
        theirs = other(resource, factor)
        assert [bracket[0] for bracket in theirs] == [bracket[0] for bracket in ours(resource, factor)]
        most = floor_log(resource, factor)
        for s, (there, here) in enumerate(zip(theirs, ours(resource, factor), strict=True)):
            assert [r for _, r in there] == [r for _, r in here]
            rounds = most - s
            up = [-(-(most + 1) * factor ** (rounds - i) // (rounds + 1)) for i in range(rounds + 1)]
            assert [n for n, _ in there] == up, "from the exact share, rounded up at each rung; the paper rounds down"

    def test_optuna_has_as_many_brackets(self, resource: int, factor: int) -> None:
        assert optunas_brackets(resource, factor) == len(hyperband(resource, factor))


@pytest.mark.parametrize(("resource", "factor"), LOST)
def test_smac_and_optuna_lose_a_bracket_to_floating_point_and_the_others_do_not(resource: int, factor: int) -> None:
    brackets = len(hyperband(resource, factor))
    assert factor ** (brackets - 1) == resource
    assert len(smac(resource, factor)) == brackets - 1
    assert optunas_brackets(resource, factor) == brackets - 1
    assert len(ray(resource, factor)) == len(keras(resource, factor)) == len(syne(resource, factor)) == brackets


@pytest.mark.parametrize(("resource", "factor"), [(729, 3), (49, 7)])
def test_ray_tune_loses_the_first_bracket_where_a_negative_power_falls_short(resource: int, factor: int) -> None:
    assert ours(resource, factor)[0][0][1] == 1
    assert ray(resource, factor)[0][1] == 0, "no resource: it passes over the bracket"


@pytest.mark.parametrize(("resource", "factor"), [(15625, 5), (46656, 6)])
def test_keras_tuner_takes_a_trial_more_where_a_logarithm_falls_long(resource: int, factor: int) -> None:
    assert keras(resource, factor)[-1] == [(ours(resource, factor)[-1][0][0] + 1, resource)]


@pytest.mark.parametrize(("resource", "factor"), BETWEEN)
class TestBetweenPowers:
    def test_smac_has_our_brackets(self, resource: int, factor: int) -> None:
        assert smac(resource, factor) == ours(resource, factor)

    def test_ray_tune_rounds_the_logarithm_to_the_nearest(self, resource: int, factor: int) -> None:
        theirs, here = ray(resource, factor), [bracket[0] for bracket in ours(resource, factor)]
        if len(theirs) == len(here):
            assert theirs == here
        else:
            assert len(theirs) == len(here) + 1
            assert theirs[0][1] == 0, "its first bracket has no resource, and is passed over"

    def test_syne_tune_rounds_it_up(self, resource: int, factor: int) -> None:
        assert len(syne(resource, factor)) == len(hyperband(resource, factor)) + 1

    def test_keras_tuner_takes_one_trial_more_for_the_fraction_of_the_logarithm(
        self, resource: int, factor: int
    ) -> None:
        theirs, here = keras(resource, factor), ours(resource, factor)
        assert len(theirs) == len(here)
        assert theirs[-1][0][0] == here[-1][0][0] + 1
        assert all(
            there[0][1] == -(-resource // factor**s) for s, there in zip(range(9), reversed(theirs), strict=False)
        )
