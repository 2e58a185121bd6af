"""Searchers that learn: one contract for all, independent implementations beside them, and what learning is worth."""

import csv
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from scipy.stats import norm

from conftest import ROOT
from hypercurve.config.experiment import Experiment
from hypercurve.config.jobs import batches
from hypercurve.config.setting import Setting
from hypercurve.events.encoding import without_wall
from hypercurve.events.journal import Journal, read_lines
from hypercurve.execution.serial import execute
from hypercurve.runs.run import Run
from hypercurve.runs.schedulers import make_searcher
from hypercurve.search.gaussian_process import _best_and_latest, expected_improvement
from hypercurve.search.outcomes import normal_scores, score
from hypercurve.search.random import RandomSearch
from hypercurve.search.registry import SEARCHERS
from hypercurve.search.searcher import SearchContext, Searcher, SearchOptions
from hypercurve.search.swarm import ParticleSwarm, PSOOptions
from hypercurve.space.search_space import Configuration, Space
from hypercurve.training.synthetic import SyntheticTrainer
from hypercurve.util.seeding import generator, integer_seed

LEARNING = [kind for kind, rule in SEARCHERS.items() if not rule.independent]
SPACES: dict[str, dict[str, Any]] = {
    "numbers": {
        "learning_rate": {"log_uniform": [1e-4, 1.0]},
        "momentum": {"uniform": [0.0, 0.99]},
        "units": {"integer": [4, 200], "log": True},
        "epochs": {"integer": [2, 6]},
    },
    "mixed": {
        "learning_rate": {"log_uniform": [1e-4, 1.0]},
        "batch_size": {"choice": [32, 64, 96], "ordered": True},
        "activation": {"choice": ["relu", "tanh", "sigmoid"]},
        "units": 64,
    },
    "conditional": {
        "momentum": {"uniform": [0.0, 0.99], "when": {"optimizer": "sgd"}},
        "optimizer": {"choice": ["sgd", "adam"]},
        "beta_1": {"uniform": [0.8, 0.99], "when": {"optimizer": "adam"}},
        "beta_2": {"uniform": [0.8, 0.99], "when": {"optimizer": "adam"}},
        "learning_rate": {"log_uniform": [1e-4, 1.0]},
    },
    "one number": {"learning_rate": {"uniform": [0.0, 1.0]}},
    "few": {"batch_size": {"choice": [32, 64]}, "epochs": {"integer": [3, 4]}},
    "one of each": {"batch_size": {"choice": [32]}, "activation": {"choice": ["relu"]}, "units": 8},
    "one choice, one number": {"batch_size": {"choice": [32]}, "momentum": {"uniform": [0.0, 0.9]}},
    "nothing": {"units": 8},
}

QUICK_LEARNING = [pytest.param(name, marks=pytest.mark.slow) if name == "gp" else name for name in LEARNING]
"""Gaussian processes take seconds to fit: theirs are slow tests."""


def setting(search: object, space: object, **changes: object) -> Setting:
    method = {key: changes.pop(key) for key in ("stop", "slots") if key in changes}
    experiment = Experiment.model_validate(
        {
            "data": {"name": "digits"},
            "model": "dense",
            "space": space,
            "budget": {"trials": 30},
            "methods": {"method": {"search": search, **method}},
            **changes,
        }
    )
    return experiment.setting("searchers", "method")


def driven(
    searcher: Searcher,
    trials: int,
    slots: int,
    outcome: Callable[[int, Configuration], tuple[float, float | None, bool]],
) -> list[Configuration]:
    """Suggestions of a search with some trials going, the oldest of which ends first."""
    suggested: list[Configuration] = []
    over = 0
    for trial in range(trials):
        while trial - over >= slots:
            searcher.on_result(over, *outcome(over, suggested[over]))
            over += 1
        configuration = searcher.suggest(trial)
        assert configuration is not None
        suggested.append(configuration)
    return suggested


def any_outcome(trial: int, configuration: Configuration) -> tuple[float, float | None, bool]:
    """An outcome of any kind, which follows from the arguments."""
    digest = hashlib.sha256(f"{trial} {sorted(configuration.items())}".encode()).digest()
    if digest[0] < 20:
        return 0.3, None, False
    return (0.3, digest[1] / 50, False) if digest[0] < 100 else (1.0, digest[1] / 255, True)


@pytest.mark.parametrize("slots", [1, 4])
@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("search", QUICK_LEARNING)
class TestContract:
    def test_suggestions_are_in_the_space_and_equal_calls_give_equal_ones(
        self, search: str, space: str, slots: int
    ) -> None:
        given = setting(search, SPACES[space])
        one, other = (driven(make_searcher(given, 0), 30, slots, any_outcome) for _ in range(2))
        assert one == other, "bit for bit"
        for configuration in one:
            given.space.validate_configuration(configuration)
            assert json.loads(json.dumps(configuration)) == configuration, "it comes back from a journal as it was"
        assert list(one[0]) == [name for name in given.space if name in one[0]], "in the order of the file"
        if given.space.variables and space not in ("few", "one of each"):
            assert driven(make_searcher(given, 1), 30, slots, any_outcome) != one, "repeats differ"
            assert len({str(configuration) for configuration in one}) > 15, "it does not stand still"


@pytest.mark.parametrize("search", LEARNING)
def test_the_first_suggestions_are_those_of_random_search(search: str) -> None:
    given = setting(search, SPACES["mixed"])
    searcher, random = (
        make_searcher(given, 3),
        RandomSearch(SearchOptions(), SearchContext(given.space, seed=given.seed, repeat=3)),
    )
    assert [searcher.suggest(trial) for trial in range(8)] == [random.suggest(trial) for trial in range(8)]


@pytest.mark.parametrize("search", LEARNING)
def test_trials_of_searchers_that_learn_are_never_scattered_over_jobs(search: str) -> None:
    experiment = Experiment.model_validate(
        {
            "data": {"name": "digits"},
            "model": "dense",
            "space": SPACES["mixed"],
            "budget": {"trials": 1000},
            "methods": {"a": {"search": search, "trials_per_job": 10}, "b": {"search": "random", "trials_per_job": 10}},
        }
    )
    assert (batches(experiment, "a"), batches(experiment, "b")) == (0, 100)


def test_every_searcher_says_whether_it_learns() -> None:
    for kind in SEARCHERS:
        given = setting(kind, SPACES["few"])
        assert given.search is not None
        assert make_searcher(given, 0).independent is not given.search.learns


PROGRAM = """
import sys
sys.path.insert(0, {tests!r})
from test_searchers import *
for search in LEARNING:
    for space in ("numbers", "mixed", "conditional"):
        print(json.dumps(driven(make_searcher(setting(search, SPACES[space]), 0), 25, 3, any_outcome)))
"""


@pytest.mark.slow
def test_another_process_suggests_the_same_whatever_its_threads_and_hashes() -> None:
    def printed(seed: str, threads: str) -> str:
        environment = {"PYTHONHASHSEED": seed, "OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads}
        return subprocess.run(
            [sys.executable, "-c", PROGRAM.format(tests=str(ROOT / "tests"))],
            env={"PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin:/bin", **environment},
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    assert printed("1", "1") == printed("2", "2")


@pytest.mark.slow
@pytest.mark.parametrize("search", QUICK_LEARNING)
@pytest.mark.parametrize("stop", [None, {"lcm": {"check_points": [0.2, 0.4], "split": 0.2}}], ids=["all", "lcm"])
def test_a_run_cut_after_any_line_ends_with_the_same_journal(tmp_path: Path, search: str, stop: object) -> None:
    given = setting(
        {search: {} if search in ("cmaes", "pso") else {"startup": 5, "candidates": 10}},
        {"learning_rate": {"uniform": [0.0, 1.0]}, "batch_size": {"choice": [32, 64, 128], "ordered": True}},
        model="synthetic",
        stop=stop,
        slots=4,
        budget={"trials": 16},
        training={"accumulation_points": 5},
    )

    def run(path: Path) -> list[dict[str, Any]]:
        with Journal(path) as journal:
            execute(Run(given, 0, samples=1000, data="none"), SyntheticTrainer(), journal)
        return [without_wall(line) for line in read_lines(path)[0]]

    whole = run(tmp_path / "whole.jsonl")
    assert not stop or any("stop" in action for line in whole for action in line["then"]), "nothing was stopped"
    lines = (tmp_path / "whole.jsonl").read_bytes().splitlines(keepends=True)
    for cut in range(0, len(lines), 5 if search == "gp" else 2):
        (tmp_path / "torn.jsonl").write_bytes(b"".join(lines[:cut]))
        assert run(tmp_path / "torn.jsonl") == whole, f"cut after line {cut}"


# Scores


def test_scores_rank_completed_before_stopped_before_failed() -> None:
    best_first = [
        (1.0, 0.9, True),
        (1.0, 0.1, True),
        (1.0, -1e300, True),
        (0.5, 0.1, False),
        (0.5, 0.2, False),
        (0.4, 1e-9, False),
        (0.4, 1e30, False),
        (0.4, 1e300, False),
        (0.1, 0.0, False),
        (0.9, None, False),
    ]
    scores = [score(*outcome, mode="max") for outcome in best_first]
    assert scores == sorted(scores)
    assert len(set(scores[:6])) == 6
    assert score(1.0, 0.1, True, "min") < score(1.0, 0.9, True, "min")
    failed = score(0.5, None, False, "min")
    assert failed == score(1.0, float("nan"), True, "max") == score(1.0, float("inf"), True, "min") == scores[-1]


def test_normal_scores_depend_on_ranks_alone() -> None:
    given = [3.0, -1.0, 1e101, 3.0]
    assert normal_scores(given) == pytest.approx(norm.ppf(np.array([2.5, 1, 4, 2.5]) / 5))
    assert normal_scores([3.1, 0.0, 5.0, 3.1]).tolist() == normal_scores(given).tolist()


# Independent implementations

PLAIN = Space.model_validate(
    {"x": {"uniform": [-2.0, 2.0]}, "y": {"log_uniform": [0.01, 1.0]}, "z": {"integer": [1, 9]}}
)


def value(configuration: Configuration) -> float:
    x, y, z = (float(configuration[name]) for name in "xyz")
    return (x - 0.5) ** 2 + (np.log10(y) + 1) ** 2 + 0.1 * (z - 4) ** 2


def asked(trial: optuna.Trial) -> Configuration:
    return {
        "x": trial.suggest_float("x", -2.0, 2.0),
        "y": trial.suggest_float("y", 0.01, 1.0, log=True),
        "z": trial.suggest_int("z", 1, 9),
    }


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("slots", [1, 5])
@pytest.mark.parametrize(("search", "startup"), [("tpe", 10), ("cmaes", 1)])
def test_optuna_itself_suggests_the_same(search: str, startup: int, slots: int) -> None:
    seed, context = integer_seed(5, 2, search), SearchContext(PLAIN, seed=5, repeat=2)
    sampler: optuna.samplers.BaseSampler
    if search == "tpe":
        sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)
    else:
        sampler = optuna.samplers.CmaEsSampler(seed=seed, with_margin=True)
    rule = SEARCHERS[search]
    mine = driven(rule(rule.Options(), context), 60, slots, lambda _, configuration: (1.0, -value(configuration), True))

    study = optuna.create_study(sampler=sampler)
    random = RandomSearch(SearchOptions(), context)
    trials: list[optuna.Trial] = []
    over = 0
    for number in range(60):
        while number - over >= slots:
            study.tell(trials[over], value(study.trials[over].params))
            over += 1
        if over < startup:
            study.enqueue_trial(random.suggest(number))
        trials.append(study.ask())
        theirs = asked(trials[-1])
        assert mine[number] == pytest.approx(theirs, rel=1e-6, abs=1e-6), number


def test_a_swarm_whose_trials_wait_for_each_other_is_the_textbooks() -> None:
    """Kennedy and Eberhart 1995 with the inertia of Shi and Eberhart 1998, all particles at a time."""
    space = Space.model_validate({name: {"uniform": [0.0, 1.0]} for name in "abc"})
    particles, generations, w, c1, c2 = 8, 12, 0.7, 1.4, 1.6

    def height(x: np.ndarray) -> np.ndarray:
        return ((x - np.array([0.3, 0.8, 0.01])) ** 2 * np.array([1.0, 2.0, 3.0])).sum(axis=-1)

    options = PSOOptions(particles=particles, inertia=w, own=c1, social=c2)
    swarm = ParticleSwarm(options, SearchContext(space, "min", 4, 1))
    x = np.array([generator(4, 1, "configuration", p).random(3) for p in range(particles)])
    v, best, best_height = np.zeros_like(x), x.copy(), np.full(particles, np.inf)
    for generation in range(generations):
        trials = range(generation * particles, (generation + 1) * particles)
        if generation:
            r1, r2 = np.array([generator(4, 1, "swarm", t).random((2, 3)) for t in trials]).swapaxes(0, 1)
            v = w * v + c1 * r1 * (best - x) + c2 * r2 * (best[best_height.argmin()] - x)
            outside = (x + v < 0) | (x + v > 1)
            x = np.clip(x + v, 0, 1)
            v[outside] = 0
        suggested = [swarm.suggest(t) for t in trials]
        assert np.array([[c[name] for name in "abc"] for c in suggested]) == pytest.approx(x, abs=1e-7)
        for trial, configuration in zip(trials, suggested, strict=True):
            swarm.on_result(trial, 1.0, float(height(np.array([configuration[name] for name in "abc"]))), True)
        better = height(x) < best_height
        best[better], best_height[better] = x[better], height(x)[better]


def test_a_slow_trial_of_a_swarm_holds_up_no_other_particle() -> None:
    given = setting({"pso": {"particles": 3}}, SPACES["numbers"])
    searcher = make_searcher(given, 0)
    moved = []
    for trial in range(7):
        searcher.suggest(trial)
        moved.append(searcher._going[trial][0])  # type: ignore[attr-defined]
        if trial != 1:
            searcher.on_result(trial, 1.0, 0.5, True)
    assert moved == [0, 1, 2, 0, 2, 0, 2], "particle 1 waits for its trial"


def test_a_process_of_many_trials_is_that_of_the_best_and_the_latest() -> None:
    y = np.array([5.0, 1.0, 4.0, 0.0, 3.0, 2.0])
    assert _best_and_latest(y, 6).tolist() == [0, 1, 2, 3, 4, 5]
    assert _best_and_latest(y, 4).tolist() == [1, 3, 4, 5]
    assert _best_and_latest(np.zeros(6), 4).tolist() == [0, 1, 4, 5], "of equal ones the first"


def test_expected_improvement_is_the_mean_of_what_falls_below() -> None:
    mean, deviation, best = np.array([0.5, -0.2, 1.0]), np.array([1.0, 0.3, 1e-13]), 0.1
    draws = mean + deviation * np.random.default_rng(0).standard_normal((400_000, 3))
    assert expected_improvement(mean, deviation, best) == pytest.approx(
        np.maximum(best - draws, 0).mean(axis=0), abs=3e-3
    )


# What learning is worth


def values(search: str, space: object, outcome: Callable[[Configuration], float], trials: int) -> np.ndarray:
    """The values of all trials of some repeats, four at once: shape (repeats, trials)."""
    rows = []
    for repeat in range(5):
        searcher = make_searcher(setting(search, space, objective={"metric": "loss", "mode": "min"}), repeat)
        rows.append([*map(outcome, driven(searcher, trials, 4, lambda _, c: (1.0, outcome(c), True)))])
    return np.array(rows)


def quadratic(configuration: Configuration) -> float:
    rate, momentum, units, epochs = (float(configuration[name]) for name in SPACES["numbers"])
    return float(
        (np.log10(rate) + 2) ** 2 / 4 + (momentum - 0.7) ** 2 + np.log(units / 30) ** 2 / 9 + (epochs - 4) ** 2 / 9
    )


@pytest.mark.slow
@pytest.mark.parametrize("search", LEARNING)
def test_learning_beats_random_search_on_a_quadratic(search: str) -> None:
    learned, random = (values(kind, SPACES["numbers"], quadratic, 50).min(axis=1) for kind in (search, "random"))
    assert learned.mean() < 0.6 * random.mean()


@cache
def surface() -> tuple[dict[str, Any], dict[tuple[Any, ...], float]]:
    """Places of the networks of a grid, all trained: the model `dense` on the digits data set, 3 epochs.

    Returns:
        The grid as a space, and by configuration the share of all configurations with a lower validation loss.
    """
    with (Path(__file__).parent / "digits_surface.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    axes: dict[str, list[Any]] = {
        name: sorted({kind(row[name]) for row in rows})
        for name, kind in (("learning_rate", float), ("momentum", float), ("batch_size", int), ("activation", str))
    }
    losses = np.array([float(row["val_loss"]) for row in rows])
    keys = [
        (float(row["learning_rate"]), float(row["momentum"]), int(row["batch_size"]), row["activation"]) for row in rows
    ]
    assert set(keys) == set(product(*axes.values()))
    space = {name: {"choice": axis, "ordered": name != "activation"} for name, axis in axes.items()}
    return space, {key: float((losses < loss).mean()) for key, loss in zip(keys, losses, strict=True)}


@pytest.mark.slow
@pytest.mark.parametrize("search", LEARNING)
def test_learning_finds_networks_that_read_digits_better_than_random_ones(search: str) -> None:
    space, places = surface()
    learned, random = (
        values(kind, space, lambda c: places[tuple(c.values())], 60)[:, 30:].mean() for kind in (search, "random")
    )
    assert random > 0.4
    assert learned < 0.8 * random
