"""Records, tables, figures and the report, on runs that really ran with a trainer that only pretends."""

import csv
import json
import math
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from scipy import stats

import analysis_data
from analysis_data import experiment, run_all
from conftest import resealed
from hypercurve.analysis import figures, report, tables
from hypercurve.config.experiment import Experiment
from hypercurve.config.figures import applicable
from hypercurve.events.events import Completed
from hypercurve.events.journal import JournalError
from hypercurve.events.trials import TrialState
from hypercurve.results.runs import RunResult, read_run, write_trials
from hypercurve.util.errors import UserError


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Experiment, tables.Runs]:
    chosen = experiment()
    return chosen, run_all(chosen, tmp_path_factory.mktemp("compared"))


def journal_of(folder: Path, chosen: Experiment) -> Path:
    run_all(chosen, folder)
    return folder / "runs" / next(iter(chosen.methods)) / "0" / "journal.jsonl"


def made_up(
    method: str, repeat: int, performance: float | None, seconds: float, rate: float = 0.1, **more: Any
) -> RunResult:
    """A run of one trial with just these numbers."""
    run = RunResult("e", method, repeat, "setting", "data", 1000, reason="finished", **more)
    trial = TrialState(0, {"learning_rate": rate}, 0.0, "failed", seconds=seconds, cost=2 * seconds)
    if performance is not None:
        trial.take(Completed(0, {"val_accuracy": performance}), 2 * seconds, 0.0)
        run.best, run.test = 0, {"test_accuracy": performance - 0.01}
    run.trials[0] = trial
    return run


class TestRecords:
    def test_follow_the_run_that_wrote_them(self, tmp_path: Path) -> None:
        chosen = experiment(repeats=1, budget={"trials": 40})
        run = run_all(chosen, tmp_path)["lcm"][0]
        assert (run.method, run.repeat, run.samples) == ("lcm", 0, analysis_data.SAMPLES)
        assert {run.count(end) > 0 for end in ("completed", "stopped", "failed")} == {True}
        assert run.count("running") == 0
        for trial in run.trials.values():
            assert (trial.performance("val_accuracy") is not None) == (trial.status == "completed")
            assert trial.status != "completed" or trial.progress == 1
            assert trial.status != "failed" or trial.reason
            assert trial.seconds == pytest.approx(
                trial.progress * 40 * trial.configuration["epochs"] / trial.configuration["batch_size"]
            )
        best = max(p for t in run.trials.values() if (p := t.performance("val_accuracy")) is not None)
        assert run.performance("val_accuracy") == best
        assert run.wall is not None
        assert run.wall > run.seconds  # the pretended clock also counts overhead

    def test_agree_with_the_state_that_decided(self, tmp_path: Path) -> None:
        from hypercurve.events.journal import read_lines
        from hypercurve.runs.run import Run

        chosen = experiment(repeats=1, budget={"seconds": 30}, methods={"random": {"search": "random", "slots": 3}})
        path = journal_of(tmp_path, chosen)
        run = Run(chosen.setting("example", "random"), 0, samples=analysis_data.SAMPLES, data="0123456789abcdef")
        run.fold(read_lines(path)[0], "journal")
        record = read_run(path)
        assert record.trials.keys() == run.trials.keys()
        for number, state in run.trials.items():
            trial = record.trials[number]
            assert trial.curve == state.curve or not state.curve, "only what may be trained again is kept"
            assert replace(trial, curve=[]) == TrialState(
                **{name: [] if name == "curve" else getattr(state, name) for name in TrialState.__slots__}
            )
        assert run.best is not None
        assert run.best.curve

    @pytest.mark.parametrize(
        ("line", "change", "message"),
        [
            (1, {"event": "started"}, ":1: must be the run's first line"),
            (3, {"trial": 77}, ":3: is not what a run writes (no 77)"),
            (4, {"event": "danced"}, ":4: is not what a run writes (unknown event 'danced')"),
            (5, {"metrics": None}, ":5: is not what a run writes"),
        ],
    )
    def test_name_the_damaged_line(self, tmp_path: Path, line: int, change: dict[str, Any], message: str) -> None:
        path = journal_of(tmp_path, experiment(repeats=1, budget={"trials": 2}))
        lines = [json.loads(text) for text in path.read_text().splitlines()]
        lines[line - 1] |= change
        path.write_bytes(resealed(lines))
        with pytest.raises(JournalError) as error:
            read_run(path)
        assert message in str(error.value)

    def test_of_an_unfinished_run_are_refused(self, tmp_path: Path) -> None:
        path = journal_of(tmp_path, experiment(repeats=1, budget={"trials": 2}))
        path.write_text("".join(path.read_text().splitlines(keepends=True)[:5]))
        with pytest.raises(JournalError, match="has not ended"):
            read_run(path)
        path.write_text("")
        with pytest.raises(JournalError, match="is empty"):
            read_run(path)

    def test_trials_csv(self, tmp_path: Path) -> None:
        space = {
            "optimizer": {"choice": ["sgd", "adam"]},
            "momentum": {"uniform": [0.0, 1.0], "when": {"optimizer": "sgd"}},
            "learning_rate": {"log_uniform": [0.001, 0.1]},
            "batch_size": 32,
        }
        chosen = experiment(space=space, repeats=1, budget={"trials": 30})
        run = run_all(chosen, tmp_path)["lcm"][0]
        path = tmp_path / "deep" / "trials.csv"
        write_trials(run, chosen.setting("example", "lcm"), path)
        rows = list(csv.DictReader(path.open()))
        assert list(rows[0]) == ["trial", *space, "status", "progress", "performance", "seconds", "cost", "reason"]
        assert [int(row["trial"]) for row in rows] == list(range(30))
        assert {row["status"] for row in rows} == {"completed", "stopped", "failed"}
        for row in rows:
            trial = run.trials[int(row["trial"])]
            assert (row["momentum"] == "") == (row["optimizer"] == "adam")
            assert float(row["learning_rate"]) == trial.configuration["learning_rate"]
            assert (float(row["seconds"]), float(row["cost"])) == (trial.seconds, trial.cost)
            assert (row["performance"] == "") == (row["status"] != "completed")
        assert [file.name for file in path.parent.iterdir()] == ["trials.csv"]

    def test_need_the_standard_library_only(self) -> None:
        code = "import sys, hypercurve.results.runs; print({'numpy', 'pydantic', 'pandas'} & {*sys.modules})"
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": ":".join(sys.path)}
        )
        assert done.stdout == "set()\n", done.stderr


class TestComparison:
    def test_by_hand(self) -> None:
        chosen = experiment(repeats=2)
        runs = {
            "random": [made_up("random", 0, 0.90, 100.0, 0.1), made_up("random", 1, 0.94, 140.0, 0.2)],
            "lcm": [made_up("lcm", 0, 0.90, 30.0, 0.1), made_up("lcm", 1, 0.92, 50.0, 0.3)],
        }
        table = tables.comparison(chosen, runs).set_index("method")
        lcm, random = table.loc["lcm"], table.loc["random"]
        assert (random["computing_seconds_mean"], random["computing_seconds_sd"]) == (
            120,
            pytest.approx(20 * math.sqrt(2)),
        )
        assert lcm["best_performance_mean"] == pytest.approx(0.91)
        assert lcm["best_performance_sd"] == pytest.approx(0.02 / math.sqrt(2))
        assert lcm["test_performance_mean"] == pytest.approx(0.90)
        assert (lcm["speedup"], random["speedup"]) == (3.0, 1.0)
        assert (lcm["same_best"], random["same_best"]) == (1, 2)
        assert (lcm["trials"], lcm["completed"], lcm["failed"], lcm["cost_mean"]) == (1, 1, 0, 80)
        # t(0.975, 1) = 12.7062
        assert lcm["difference_mean"] == pytest.approx(-0.01)
        assert lcm["difference_high"] == pytest.approx(-0.01 + 12.7062 * 0.01, rel=1e-5)
        assert math.isnan(lcm["p_value"])
        assert math.isnan(random["difference_mean"])

    def test_columns(self, compared: tuple[Experiment, tables.Runs]) -> None:
        names = ["computing_seconds", "wall_seconds", "best_performance", "test_performance"]
        spread = [f"{name}_{what}" for name in names for what in ("mean", "sd")]
        assert list(tables.comparison(*compared))[: 5 + len(spread)] == [
            "method", "repeats", "trials", *spread, "same_best", "speedup",
        ]  # fmt: skip

    def test_paired_against_scipy(self, compared: tuple[Experiment, tables.Runs]) -> None:
        chosen, runs = compared
        mine = [run.performance("val_accuracy") for run in runs["lcm"]]
        theirs = [run.performance("val_accuracy") for run in runs["random"]]
        row = tables.comparison(chosen, runs).set_index("method").loc["lcm"]
        interval = stats.ttest_rel(mine, theirs).confidence_interval(0.95)
        assert (row["difference_low"], row["difference_high"]) == pytest.approx((interval.low, interval.high))

    @pytest.mark.parametrize(
        "values", [[1, -2, 3, 4, 5], [3, -1, 4, -1.5, 5, 9, 2.6, -5.3, 5.8], [0.02, 0.01, 0.04, 0.03, 0.05]]
    )
    def test_signed_rank_against_scipy(self, values: list[float]) -> None:
        assert tables.paired(values)["p_value"] == pytest.approx(stats.wilcoxon(values, method="exact").pvalue)

    def test_signed_rank_with_zeros_and_ties_is_exact(self) -> None:
        # 0.98 - 0.97 and 0.97 - 0.96 differ in their last bit, but tie. Two zeros leave out; of the 32 sign patterns of five
        # equal ranks, two are as extreme as all positive.
        values = [0.98 - 0.97, 0.97 - 0.96, 0.96 - 0.95, 0.95 - 0.94, 0.94 - 0.93, 0.0, 0.0]
        assert tables.paired(values)["p_value"] == pytest.approx(2 / 32)

    @pytest.mark.parametrize("values", [[0.1] * 4, [0.0] * 9, [0.1] * 4 + [0.0] * 5, []])
    def test_no_p_value_where_there_is_no_test(self, values: list[float]) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert math.isnan(tables.paired(values)["p_value"])

    def test_where_runs_found_nothing(self, tmp_path: Path) -> None:
        chosen = experiment(repeats=2)
        runs = {
            "random": [made_up("random", 0, None, 10.0), made_up("random", 1, None, 10.0)],
            "lcm": [made_up("lcm", 0, 0.9, 10.0), made_up("lcm", 1, None, 10.0)],
        }
        path = tmp_path / "comparison.csv"
        tables.write(tables.comparison(chosen, runs), path)
        random, lcm = csv.DictReader(path.open())
        assert (random["best_performance_mean"], random["test_performance_mean"], random["same_best"]) == ("", "", "0")
        assert (lcm["best_performance_mean"], lcm["best_performance_sd"], lcm["difference_mean"]) == ("0.9", "", "")

    def test_one_repeat_has_no_spread(self, tmp_path: Path) -> None:
        chosen = experiment(repeats=1, budget={"trials": 3})
        table = tables.comparison(chosen, run_all(chosen, tmp_path))
        empty = ["computing_seconds_sd", "best_performance_sd", "test_performance_sd", "difference_low", "p_value"]
        assert table[empty].isna().all(axis=None)
        assert table["trials"].tolist() == [3, 3]

    def test_numbers_survive_the_file(self, compared: tuple[Experiment, tables.Runs], tmp_path: Path) -> None:
        table = tables.comparison(*compared)
        tables.write(table, tmp_path / "comparison.csv")
        pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "comparison.csv"), table, check_exact=True)


class TestBudgets:
    def test_in_seconds_are_what_a_smaller_run_finds(self, tmp_path: Path) -> None:
        methods = {"random": {"search": "random", "slots": 2}}
        chosen = experiment(repeats=2, budget={"seconds": 60, "at": [5, 20]}, methods=methods)
        table = tables.at_budgets(chosen, run_all(chosen, tmp_path / "whole"))
        assert table["budget"].tolist() == [5, 20, 60]
        for row in table.to_dict("records"):
            smaller = chosen.model_copy(update={"budget": type(chosen.budget)(seconds=row["budget"])})
            alone = tables.comparison(smaller, run_all(smaller, tmp_path / str(row["budget"]))).iloc[0]
            assert row["best_performance_mean"] == alone["best_performance_mean"]
            assert row["completed_mean"] == alone["completed"]

    def test_in_samples_are_what_a_smaller_run_finds(self, tmp_path: Path) -> None:
        methods = {"random": {"search": "random", "slots": 3}}
        chosen = experiment(repeats=1, budget={"samples": 3e5, "at": [1e5]}, methods=methods)
        table = tables.at_budgets(chosen, run_all(chosen, tmp_path / "whole"))
        smaller = chosen.model_copy(update={"budget": type(chosen.budget)(samples=1e5)})
        alone = tables.comparison(smaller, run_all(smaller, tmp_path / "small")).iloc[0]
        assert table["completed_mean"][0] == alone["completed"] > 0
        assert table["best_performance_mean"][0] == alone["best_performance_mean"]

    def test_in_trials_are_the_first_ones(self, tmp_path: Path) -> None:
        chosen = experiment(repeats=1, budget={"trials": 20, "at": [1, 7]}, baseline="random")
        runs = run_all(chosen, tmp_path)
        table = tables.at_budgets(chosen, {"random": runs["random"], "lcm": runs["lcm"]})
        own = table[table["method"] == "random"].set_index("budget")
        trials = runs["random"][0].trials
        seven = [p for n in range(7) if (p := trials[n].performance("val_accuracy")) is not None]
        assert (own.loc[7, "completed_mean"], own.loc[7, "best_performance_mean"]) == (len(seven), max(seven))
        assert own.loc[20, "best_performance_mean"] == runs["random"][0].performance("val_accuracy")

    def test_too_small_for_anything_are_empty(self, tmp_path: Path) -> None:
        chosen = experiment(repeats=1, budget={"seconds": 10, "at": [0.01]}, methods={"random": {"search": "random"}})
        table = tables.at_budgets(chosen, run_all(chosen, tmp_path))
        assert math.isnan(table["best_performance_mean"][0])
        assert table["completed_mean"][0] == 0


class TestFigures:
    @pytest.mark.parametrize(
        ("chosen", "expected"),
        [
            (experiment(), ["best", "curves", "parallel", "importance"]),
            (experiment(budget={"trials": 3}, repeats=2), ["best", "curves", "parallel"]),
            (experiment(space={"learning_rate": {"uniform": [0.0, 1.0]}}), ["best", "curves"]),
            (analysis_data.time_experiment(), ["best", "curves", "parallel", "importance", "budgets"]),
            (analysis_data.grid_experiment(), ["best", "curves", "parallel", "importance", "grid"]),
            (analysis_data.schedules_experiment(), ["best", "curves", "schedules"]),
            (analysis_data.population_experiment(), ["best", "curves", "population", "fitness", "timeline"]),
            (
                experiment(methods={"random": {"search": "random", "slots": 2}}),
                ["best", "curves", "parallel", "importance", "timeline"],
            ),
            (
                experiment(methods={"random": {"search": "random", "tasks": 4}}),
                ["best", "curves", "parallel", "importance", "timeline"],
            ),
        ],
    )
    def test_that_fit(self, chosen: Experiment, expected: list[str]) -> None:
        assert applicable(chosen) == expected

    def test_are_chosen_without_plotting_libraries(self) -> None:
        code = "import sys, hypercurve.config.figures; print({'matplotlib', 'pandas', 'scipy'} & {*sys.modules})"
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": ":".join(sys.path)}
        )
        assert done.stdout == "set()\n", done.stderr

    CASES = {  # noqa: RUF012
        "one trial": (experiment(budget={"trials": 1}, repeats=1), {}),
        "three trials": (experiment(budget={"trials": 3}, repeats=2), {}),
        "two thousand trials": (experiment(budget={"trials": 2000}, repeats=1), {}),
        "all failed": (experiment(budget={"trials": 4, "at": [2]}, repeats=2), {"failing": 1.0}),
        "loss": (
            experiment(objective={"metric": "loss", "mode": "min"}, budget={"trials": 20, "at": [5]}, repeats=2),
            {},
        ),
        "smaller budgets": (analysis_data.time_experiment(), {}),
        "grid": (analysis_data.grid_experiment(), {}),
        "grid, all failed": (analysis_data.grid_experiment(), {"failing": 1.0}),
        "schedules": (analysis_data.schedules_experiment(), {"points": True}),
        "schedules, all failed": (analysis_data.schedules_experiment(), {"points": True, "failing": 1.0}),
        "nine methods": (
            experiment(
                methods={f"m{i}": {"search": "random"} for i in range(9)},
                baseline="m0",
                budget={"trials": 4},
                repeats=1,
            ),
            {},
        ),
    }

    @pytest.mark.slow
    @pytest.mark.parametrize("case", CASES)
    @pytest.mark.filterwarnings("error")
    def test_render(self, case: str, tmp_path: Path) -> None:
        chosen, trainer = self.CASES[case]
        runs = run_all(chosen, tmp_path, **trainer)
        for name in applicable(chosen) + ([] if chosen.repeats == 1 else ["traits", "timeline"]):
            svg, png = tmp_path / f"{name}.svg", tmp_path / f"{name}.png"
            figures.save(figures.draw(name, chosen, runs), svg, png)
            assert png.read_bytes().startswith(b"\x89PNG")
            assert svg.stat().st_size < 2_000_000

    @pytest.mark.slow
    @pytest.mark.parametrize("make", [analysis_data.grid_experiment, analysis_data.time_experiment])
    def test_are_the_same_bytes_each_time(self, make: Any, tmp_path: Path) -> None:
        chosen = make()
        runs = run_all(chosen, tmp_path)
        for name in applicable(chosen):
            if name == "curves":  # slow to draw, and by the same means as the others
                continue
            for copy in ("one", "two"):
                figures.save(figures.draw(name, chosen, runs), tmp_path / f"{copy}.svg", tmp_path / f"{copy}.png")
            for kind in ("svg", "png"):
                assert (tmp_path / f"one.{kind}").read_bytes() == (tmp_path / f"two.{kind}").read_bytes(), (name, kind)
            assert b"<dc:date>" not in (tmp_path / "one.svg").read_bytes()


class TestReport:
    @staticmethod
    def write(chosen: Experiment, folder: Path, **trainer: Any) -> str:
        runs = run_all(chosen, folder, **trainer)
        tables.write(tables.comparison(chosen, runs), folder / "comparison.csv")
        for name in applicable(chosen):
            svg = folder / "figures" / f"{name}.svg"
            figures.save(figures.draw(name, chosen, runs), svg, svg.with_suffix(".png"))
        report.write(chosen, "example", runs, folder, folder / "report.html")
        return (folder / "report.html").read_text()

    @pytest.mark.slow
    def test_holds_everything_and_needs_nothing(self, tmp_path: Path) -> None:
        text = self.write(analysis_data.time_experiment(), tmp_path)
        for part in (
            "Does LCM find what random search finds",
            "Comparison of methods",
            "At smaller budgets",
            "Learning Curve Matching: once more than 10",
            "log-uniform on [0.0001, 1]",
            "160 computing seconds",
            "0123456789abcdef",
            "Wilcoxon",
            "The best validation performance found so far",
            "Learning curves of the first repeat",
            "MemoryError: out of &lt;memory&gt;",
            "tensorflow",
        ):
            assert part in text, part
        assert text.count("data:image/svg+xml;base64,") == 5
        assert "<script" not in text
        assert "http" not in text.replace("http-equiv", "")  # nothing to load

    def test_escapes_what_users_wrote(self, tmp_path: Path) -> None:
        evil = "<script>alert('x')</script>"
        methods = {"random": {"search": "random", "description": evil}}
        text = self.write(experiment(description=evil, methods=methods, budget={"trials": 2}, repeats=1), tmp_path)
        assert "<script" not in text
        assert text.count("&lt;script&gt;") == 2

    def test_of_runs_that_found_nothing(self, tmp_path: Path) -> None:
        text = self.write(experiment(budget={"trials": 4}, repeats=2), tmp_path, failing=1.0)
        assert "no trial completed; all failed, see Failed trials" in text
        assert "random completed no trial, so it has no performance." in text
        assert "means over the others" not in text
        assert "nan" not in text.replace("loss is nan", "")

    def test_without_a_comparison_is_refused(self, compared: tuple[Experiment, tables.Runs], tmp_path: Path) -> None:
        with pytest.raises(UserError, match="cannot be read"):
            report.write(compared[0], "example", compared[1], tmp_path, tmp_path / "report.html")
        assert not (tmp_path / "report.html").exists()
