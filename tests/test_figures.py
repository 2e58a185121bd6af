"""Figures of many trials and hyperparameters, and the numbers behind them."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from matplotlib.collections import LineCollection

import analysis_data
from analysis_data import experiment, run_all
from hypercurve.analysis import figures
from hypercurve.analysis.figures.parallel import ABSENT
from hypercurve.analysis.figures.timeline import Bar, without_pauses
from hypercurve.analysis.importance import fit, importances, main_effects, shares_of, table
from hypercurve.analysis.spaces import alike, searched
from hypercurve.config.experiment import Experiment
from hypercurve.config.figures import FEWEST
from hypercurve.events.trials import Status, TrialState
from hypercurve.results.runs import RunEvent, RunResult
from hypercurve.space.search_space import Space, Value
from hypercurve.util.seeding import generator

SPACE = {
    "learning_rate": {"log_uniform": [1e-4, 1.0]},
    "momentum": {"uniform": [0.0, 1.0]},
    "batch_size": {"choice": [32, 64, 128], "ordered": True},
    "epochs": 3,
}
Performance = Callable[[Mapping[str, Any]], float]


def made(
    chosen: Experiment, method: str, repeat: int, performance: Performance, status: Status = "completed"
) -> RunResult:
    """A run whose trials are drawn from the space and end with these performances."""
    run = RunResult("e", method, repeat, "setting", "data", 1000, reason="finished")
    space = chosen.space_of(method)
    for number in range(int(chosen.budget.limit)):
        configuration = space.sample(generator(chosen.seed, repeat, "configuration", number))
        run.trials[number] = TrialState(number, configuration, 0.0, status, progress=1.0)
        if status == "completed":
            run.trials[number].curve = [(1.0, {"val_accuracy": performance(configuration)})]
    if status == "completed":
        run.best = max(run.trials, key=lambda number: run.trials[number].metrics["val_accuracy"])
    return run


def known_function(configuration: Mapping[str, Any]) -> float:
    """An accuracy that the learning rate decides, momentum a little, and the batch size not at all."""
    rate, momentum = math.log10(configuration["learning_rate"]), configuration["momentum"]
    return 0.9 - 0.05 * (rate + 1.5) ** 2 - 0.6 * (momentum - 0.5) ** 2


def alone(trials: int, repeats: int = 1, **changes: Any) -> Experiment:
    methods = {"random": {"search": "random"}}
    return experiment(
        **{"space": SPACE, "budget": {"trials": trials}, "repeats": repeats, "methods": methods, "baseline": None}
        | changes
    )


class TestImportance:
    def test_of_a_function_of_boxes_is_its_analysis_of_variance(self) -> None:
        edges = [np.array([0, 0.2, 0.5, 1.0]), np.array([0, 0.3, 0.4, 0.8, 1.0])]
        values = np.random.default_rng(1).random((3, 4))
        widths = [np.diff(edge) for edge in edges]
        weights = np.outer(*widths)
        centred = values - (weights * values).sum()
        variance = (weights * centred**2).sum()
        effects = [widths[0] @ (centred @ widths[1]) ** 2 / variance, widths[1] @ (widths[0] @ centred) ** 2 / variance]
        cells = [(i, j) for i in range(3) for j in range(4)]
        low = np.array([[edges[0][i], edges[1][j]] for i, j in cells])
        high = np.array([[edges[0][i + 1], edges[1][j + 1]] for i, j in cells])
        found = shares_of(low, high, values.ravel())
        assert found is not None
        np.testing.assert_allclose(found, effects)
        assert shares_of(low, high, np.ones(12)) is None

    def test_of_a_known_function_is_its_share_of_variance(self) -> None:
        points = np.random.default_rng(0).random((2000, 3))
        # Variances of 3x and of y on [0, 1] are as 9 to 1.
        found = main_effects(fit(points, 3 * points[:, 0] + points[:, 1], 0))
        np.testing.assert_allclose(found, [0.9, 0.1, 0.0], atol=0.02)

    @pytest.mark.slow
    def test_agrees_with_optuna(self) -> None:
        chosen = alone(400)
        # Variances are as 8 to 2 on the axes of the space: that of the learning rate is logarithmic.
        run = made(chosen, "random", 0, lambda c: 0.8 + 0.1 * math.log10(c["learning_rate"]) + 0.2 * c["momentum"])
        one = importances(chosen, {"random": [run]})[0]
        study = optuna.create_study(direction="maximize")
        distributions: dict[str, optuna.distributions.BaseDistribution] = {
            "learning_rate": optuna.distributions.FloatDistribution(-4, 0),  # Optuna's has no logarithmic axes
            "momentum": optuna.distributions.FloatDistribution(0, 1),
            "batch_size": optuna.distributions.CategoricalDistribution([32, 64, 128]),
        }
        for trial in run.trials.values():
            given = {name: trial.configuration[name] for name in distributions}
            given["learning_rate"] = math.log10(float(given["learning_rate"]))
            value = trial.metrics["val_accuracy"]
            study.add_trial(optuna.create_trial(params=given, distributions=distributions, value=value))
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
        theirs = optuna.importance.get_param_importances(study, evaluator=evaluator)
        mine = dict(zip(one.names, one.shares[0] / one.shares[0].sum(), strict=True))
        assert mine == pytest.approx({"learning_rate": 0.8, "momentum": 0.2, "batch_size": 0.0}, abs=0.05)
        assert mine == pytest.approx(theirs, abs=0.05)

    @pytest.mark.slow
    def test_is_small_for_what_does_nothing(self) -> None:
        chosen = alone(60, repeats=4)
        one = importances(chosen, {"random": [made(chosen, "random", i, known_function) for i in range(4)]})[0]
        shares = dict(zip(one.names, one.shares.mean(axis=0), strict=True))
        assert one.known
        assert shares["batch_size"] < 0.03 < shares["momentum"] < shares["learning_rate"]
        low, high = one.interval() or ((), ())
        assert (low <= one.shares.mean(axis=0)).all()
        assert (one.shares.mean(axis=0) <= high).all()

    @pytest.mark.slow
    def test_of_noise_is_not_told(self) -> None:
        chosen = alone(40, repeats=3)
        rng = np.random.default_rng(3)
        runs = {"random": [made(chosen, "random", i, lambda _: float(rng.random())) for i in range(3)]}
        one = importances(chosen, runs)[0]
        assert not one.known
        assert table([one])["importance"].isna().all()

    def test_of_few_trials_is_not_told(self) -> None:
        chosen = alone(FEWEST - 1)
        one = importances(chosen, {"random": [made(chosen, "random", 0, known_function)]})[0]
        assert (one.known, one.trials, len(one.shares)) == (False, (FEWEST - 1,), 0)

    def test_of_few_trials_in_each_repeat_is_that_of_all(self) -> None:
        chosen = alone(12, repeats=4)
        one = importances(chosen, {"random": [made(chosen, "random", i, known_function) for i in range(4)]})[0]
        assert (one.known, one.pooled, one.trials) == (True, True, (48,))
        assert one.interval() is None, "one sample has no interval"

    def test_of_trials_that_did_equally_well_is_not_told(self) -> None:
        chosen = alone(30)
        assert not importances(chosen, {"random": [made(chosen, "random", 0, lambda _: 0.5)]})[0].known

    def test_counts_trainings_that_methods_share_once(self, tmp_path: Path) -> None:
        chosen = experiment(repeats=1, budget={"trials": 60})
        runs = run_all(chosen, tmp_path)
        (one,) = importances(chosen, runs)
        assert one.methods == ("random", "lcm")
        assert one.trials == (runs["random"][0].count("completed"),)

    def test_is_told_apart_by_space(self) -> None:
        other = {"search": "random", "space": {"momentum": 0.5}}
        chosen = alone(5, methods={"a": {"search": "random"}, "b": other, "c": {"search": "sobol"}})
        runs = {name: [made(chosen, name, 0, known_function)] for name in chosen.methods}
        assert [methods for _, methods in alike(searched(chosen, runs))] == [["a", "c"], ["b"]]

    @pytest.mark.slow
    def test_table_ranks_hyperparameters(self) -> None:
        chosen = alone(60, repeats=3)
        found = table(importances(chosen, {"random": [made(chosen, "random", i, known_function) for i in range(3)]}))
        assert found["hyperparameter"].tolist()[:2] == ["learning_rate", "momentum"]
        assert (found["low"] <= found["importance"]).all()
        assert found["explained"].between(0.5, 1).all()


class TestSpacesOfRecordedCurves:
    def test_hold_what_was_recorded(self) -> None:
        chosen = Experiment.model_validate(
            {
                "data": {"curves": "curves.csv"},
                "model": "recorded",
                "budget": {"trials": 20},
                "methods": {"random": {"search": "random"}},
            }
        )
        run = RunResult("e", "random", 0, "setting", "data", None)
        for number in range(20):
            configuration: dict[str, Value] = {
                "rate": 10.0 ** (-number / 5),
                "kind": "ab"[number % 2],
                "width": number % 3,
            }
            if number % 2:
                configuration["share"] = number / 20
            run.trials[number] = TrialState(number, configuration, 0.0, "completed")
        space = searched(chosen, {"random": [run]})["random"]
        assert isinstance(space, Space)
        assert {name: type(space[name]).__name__ for name in space} == {
            "rate": "LogUniform",
            "kind": "Choice",
            "width": "Choice",
            "share": "Choice",
        }
        for trial in run.trials.values():
            assert ((space.encode(trial.configuration) >= 0) | np.isnan(space.encode(trial.configuration))).all()


class TestParallelCoordinates:
    @staticmethod
    def segments(figure: Any) -> list[np.ndarray]:
        axes = figure.axes[0]
        return [line for part in axes.collections if isinstance(part, LineCollection) for line in part.get_segments()]

    def test_cross_axes_at_places_of_the_search_space(self) -> None:
        chosen = alone(8)
        run = made(chosen, "random", 0, known_function)
        lines = self.segments(figures.draw("parallel", chosen, {"random": [run]}))
        space = chosen.space_of("random")
        drawn = {tuple(np.round(line[:-1, 1], 9)) for line in lines}
        assert drawn == {tuple(np.round(space.encode(t.configuration), 9)) for t in run.trials.values()}
        ends = [line[-1, 1] for line in lines]
        assert ends == sorted(ends), "the best are drawn last"

    @pytest.mark.parametrize("mode", ["max", "min"])
    def test_ends_are_higher_for_better_trials(self, mode: str) -> None:
        metric = {"max": "accuracy", "min": "loss"}[mode]
        chosen = alone(8, objective={"metric": metric, "mode": mode})
        run = made(chosen, "random", 0, known_function)
        for trial in run.trials.values():
            trial.curve = [(1.0, {f"val_{metric}": trial.metrics["val_accuracy"]})]
        lines = self.segments(figures.draw("parallel", chosen, {"random": [run]}))
        best = (max if mode == "max" else min)(t.metrics[f"val_{metric}"] for t in run.trials.values())
        top = next(t for t in run.trials.values() if t.metrics[f"val_{metric}"] == best)
        assert lines[-1][-1, 1] == 1
        np.testing.assert_allclose(lines[-1][:-1, 1], chosen.space.encode(top.configuration))

    def test_of_stopped_and_failed_trials_have_no_end(self) -> None:
        chosen = alone(6)
        for status in ("stopped", "failed"):
            run = made(chosen, "random", 0, known_function, status=status)  # type: ignore[arg-type]
            lines = self.segments(figures.draw("parallel", chosen, {"random": [run]}))
            assert {len(line) for line in lines} == {3}

    def test_show_what_a_trial_lacks(self) -> None:
        space = {
            "optimizer": {"choice": ["sgd", "adam"]},
            "momentum": {"uniform": [0.0, 1.0], "when": {"optimizer": "sgd"}},
            "learning_rate": {"log_uniform": [0.001, 0.1]},
        }
        chosen = alone(12, space=space)
        run = made(chosen, "random", 0, lambda c: c["learning_rate"])
        lines = self.segments(figures.draw("parallel", chosen, {"random": [run]}))
        lacking = sum("momentum" not in trial.configuration for trial in run.trials.values())
        assert sum(line[1, 1] == ABSENT for line in lines) == lacking > 0

    def test_of_many_hyperparameters_are_those_that_matter(self) -> None:
        space = {f"kernel_{i}": {"integer": [1, 9]} for i in range(1, 5)} | {
            f"strides_{i}": {"integer": [1, 9]} for i in range(1, 5)
        }
        space |= {
            "units": {"integer": [1, 512], "log": True},
            "filters": {"integer": [1, 64]},
            "dense_layers": {"integer": [0, 9]},
        }
        chosen = alone(80, space=space, model="cnn")
        run = made(chosen, "random", 0, lambda c: c["units"] / 1000 + c["dense_layers"] / 20)
        figure = figures.draw("parallel", chosen, {"random": [run]})
        texts = [text.get_text().replace("\n", " ") for text in figure.axes[0].texts]
        assert {"units", "dense layers", "2 more hyperparameters not drawn"} <= set(texts)


class TestTimeline:
    def test_cuts_out_times_when_nobody_trains(self) -> None:
        # Two jobs of 10 s, one hour apart, a third beside the second.
        found = [Bar(0, 0, 0, 4), Bar(0, 1, 4.2, 10), Bar(1, 2, 3610, 3620), Bar(2, 3, 3612, 3625)]
        moved, pauses = without_pauses(found)
        assert len(pauses) == 1
        place, seconds = pauses[0]
        assert seconds == pytest.approx(3600, abs=1)
        assert moved[1].end < place < moved[2].start < 11
        for before, after in zip(found, moved, strict=True):
            assert after.end - after.start == pytest.approx(before.end - before.start)
        assert moved[3].start - moved[2].start == pytest.approx(2), "who trains at once still does"
        assert moved[1].start == 4.2, "short times stay"

    def test_without_pauses_is_as_it_was(self) -> None:
        found = [Bar(0, 0, 0, 5), Bar(1, 1, 2, 9), Bar(0, 2, 8, 12)]
        assert without_pauses(found) == (found, [])

    def test_of_jobs_that_waited_is_as_long_as_they_trained(self) -> None:
        chosen = alone(4)
        run = RunResult("e", "random", 0, "setting", "data", 1000, reason="finished")
        for number, (job, at) in enumerate([(0, 10.0), (0, 20.0), (1, 7210.0), (1, 7220.0)]):
            run.trials[number] = TrialState(number, {"learning_rate": 0.1}, 0.0, "completed", progress=1.0, seconds=9.0)
            run.events.append(RunEvent("completed", number, 1.0, at, 9.0, 1.0, job, at))
        figure = figures.draw("timeline", chosen, {"random": [run]})
        axes = figure.axes[0]
        assert axes.get_xlim()[1] < 45, "two hours of waiting are cut out"
        texts = " ".join(text.get_text() for text in axes.texts)
        assert "2 jobs, busy 100\u202f% of the time, training 90\u202f%" in texts
        assert "nobody trained for 7\u202f180\u202fs more" in texts


@pytest.mark.slow
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["parallel", "importance"])
@pytest.mark.parametrize(
    "chosen",
    [
        pytest.param(alone(1), id="one trial"),
        pytest.param(alone(3, repeats=2), id="three trials"),
        pytest.param(alone(3000), id="thousands of trials"),
        pytest.param(alone(25, space={"learning_rate": {"uniform": [0.0, 1.0]}}), id="one hyperparameter"),
        pytest.param(alone(25, space={"learning_rate": 0.1}), id="nothing varies"),
        pytest.param(analysis_data.population_experiment(), id="populations only"),
    ],
)
def test_render_and_stay_small(name: str, chosen: Experiment, tmp_path: Path) -> None:
    if "pbt" in chosen.methods:
        runs = {"pbt": [RunResult("e", "pbt", 0, "setting", "data", 1000)]}
    else:
        rng = np.random.default_rng(0)
        quality = lambda c: 0.9 - 0.3 * abs(c["learning_rate"] - 0.4) + 0.01 * float(rng.random())  # noqa: E731
        runs = {"random": [made(chosen, "random", i, quality) for i in range(chosen.repeats)]}
    svg, png = tmp_path / "figure.svg", tmp_path / "figure.png"
    figures.save(figures.draw(name, chosen, runs), svg, png)
    assert svg.stat().st_size < 2_000_000
    assert png.read_bytes().startswith(b"\x89PNG")
