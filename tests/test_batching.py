"""How many jobs independent trials are scattered over: what a job costs to start is paid for, and nothing needs to run."""

from pathlib import Path
from typing import Any

import pytest

from conftest import ROOT
from hypercurve.config.cost import CostModel
from hypercurve.config.data import DataSpec
from hypercurve.config.experiment import Experiment
from hypercurve.config.files import read_experiment
from hypercurve.config.jobs import COMPILATION, MOST_JOBS, SHARE, START, batches, programs, trials_per_job
from hypercurve.execution.batches import trial_table
from hypercurve.space.search_space import Space
from hypercurve.training.data import prepare


def experiment(trials: int, method: dict[str, Any] | None = None, **changes: Any) -> Experiment:
    return Experiment.model_validate(
        {
            "data": {"name": "mnist", "validation": 10000},
            "model": "dense",
            "space": {
                "learning_rate": {"log_uniform": [0.001, 1.0]},
                "batch_size": {"choice": [32, 64, 96, 144]},
                "epochs": {"integer": [3, 6]},
            },
            "budget": {"trials": trials},
            "methods": {"method": {"search": "random", **(method or {})}},
            **changes,
        }
    )


@pytest.mark.parametrize("trials", [1, 90, 300, 1000, 10_000])
@pytest.mark.parametrize("cost", [{}, {"step": 0.01}, {"sample": 1e-7}], ids=str)
def test_jobs_pay_for_their_start(trials: int, cost: dict[str, float]) -> None:
    given = experiment(trials, cost=cost)
    setting = given.setting("x", "method")
    count = batches(given, "method")
    if count == 0:
        assert trials < 2 * trials_per_job(given, "method")
        return
    model = CostModel(setting.model, setting.cost, 50_000)
    training = sum(model.of(row["configuration"]).seconds(1.0) for row in trial_table(setting, 0))
    starting = count * (START + (4 + 1) * COMPILATION)
    # The trials drawn may be a little shorter than the draws that stand for them.
    assert starting / (starting + training) < 1.1 * SHARE or count == MOST_JOBS


def test_jobs_are_no_longer_than_that() -> None:
    given = experiment(10_000)
    assert 10_000 / batches(given, "method") < 1.05 * trials_per_job(given, "method")


def test_a_run_has_only_so_many_jobs_by_itself_but_as_many_as_are_asked_for() -> None:
    assert batches(experiment(1_000_000), "method") == MOST_JOBS
    assert batches(experiment(5000, {"trials_per_job": 1}), "method") == 5000
    assert batches(experiment(101, {"trials_per_job": 50}), "method") == 3
    assert batches(experiment(50, {"trials_per_job": 50}), "method") == 0


@pytest.mark.parametrize(
    "method",
    [{"stop": "lcm"}, {"tasks": 2}, {"search": "tpe"}, {"search": None, "population": {"every": 10, "members": 4}}],
    ids=str,
)
def test_trials_that_depend_on_each_other_stay_together(method: dict[str, Any]) -> None:
    assert batches(experiment(10_000, {**method, "trials_per_job": 10}, space={"learning_rate": 0.1}), "method") == 0


def test_programs_are_what_a_space_compiles_to() -> None:
    space: dict[str, Any] = {
        "learning_rate": {"uniform": [0.0, 1.0]},
        "batch_size": {"choice": [32, 64, 96]},
        "units": {"integer": [10, 13]},
        "epochs": {"integer": [1, 9]},
        "activation": "relu",
    }
    assert programs("dense", Space.model_validate(space)) == 3 * 4 + 4
    assert programs("dense", Space.model_validate({"momentum": 0.5})) == 2


def test_where_every_trial_compiles_for_itself_that_is_part_of_the_trial() -> None:
    few, many = (
        experiment(100, space={"units": {"integer": [10, top]}, "batch_size": 64, "epochs": 1}) for top in (11, 1000)
    )
    assert trials_per_job(many, "method") < trials_per_job(few, "method")


def test_a_quick_network_has_more_trials_in_a_job() -> None:
    short, long = (
        experiment(100, space={"batch_size": 64, "epochs": epochs, "learning_rate": 0.1}) for epochs in (1, 20)
    )
    assert trials_per_job(short, "method") > 10 * trials_per_job(long, "method")
    with_file = experiment(100, data={"path": "unknown.npz"})
    assert trials_per_job(with_file, "method") == trials_per_job(experiment(100), "method"), "nothing is read"


def test_sizes_of_the_data_known_by_name_are_right(tmp_path: Path) -> None:
    for validation in (0.25, 100):
        spec = DataSpec(name="digits", validation=validation)
        assert prepare(spec, tmp_path / str(validation)).samples == spec.samples
    assert DataSpec(name="mnist", validation=10000).samples == 50_000
    assert DataSpec(path="x.npz").samples is None


def test_the_slides_search_of_100_trials_is_one_job() -> None:
    assert batches(read_experiment(ROOT / "config/experiments/mnist-trials.yaml"), "random") == 0
