"""The command `replay`, its tables and figures, and settings that are varied."""

import gzip
import json
import math
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from hypercurve.analysis import figures, replays
from hypercurve.cli import main
from hypercurve.config.experiment import Experiment
from hypercurve.config.files import ConfigError, read_experiment
from hypercurve.config.rules import Stop
from hypercurve.config.vary import varied
from hypercurve.execution.replay import Outcome
from hypercurve.records.curve_files import read_curves
from hypercurve.records.prepare import prepare_record
from hypercurve.results.runs import read_run
from hypercurve.stopping.lcm import LCMOptions

pytestmark = pytest.mark.slow

BENCHMARK = Path(__file__).parents[1] / "benchmarks" / "methods.py"
RECORDED = """\
model: recorded
data: {curves: curves.csv}
budget: {trials: 20}
repeats: 4
methods:
  random: {search: random}
  lcm: {search: random, stop: {lcm: {split: 0.2, check_points: [0.2, 0.4]}}}
vary:
  rates:
    method: lcm
    over: {stopping_rate: [0.5, 0.8], split: [0.1, 0.2, 0.4]}
  points:
    method: lcm
    over: {accumulation_points: [[0.2, 0.4, 1], 5]}
"""


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    """Thirty trainings of ten steps that fall towards floors, two of which diverge."""
    draw = np.random.default_rng(0)
    rows = ["config_id,rate,step,valid_loss,test_loss"]
    for i in range(30):
        floor, rate = draw.uniform(0.1, 1), draw.uniform(0.5, 1)
        for step in range(1, 11):
            loss = floor + step**-rate
            cell = "" if i < 2 and step > 6 else f"{loss:.6f}"
            rows.append(f"{i},{rate:.4f},{step},{cell},{loss + 0.01:.6f}")
    path = tmp_path / "curves.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def outcome(task: str, method: str, repeat: int, cost: float, regret: float, path: Any = ()) -> Outcome:
    return Outcome(task, method, repeat, 10, 8, 1, 1, cost, 0.5, regret, tuple(path))


# Tables


def test_intervals_are_those_of_another_library() -> None:
    values = np.random.default_rng(1).exponential(size=60)
    found = replays.interval("x", [values.tolist()])
    other = stats.bootstrap(
        (values,), np.mean, n_resamples=9999, method="percentile", rng=np.random.default_rng(2)
    ).confidence_interval
    assert found["x"] == pytest.approx(values.mean())
    assert found["x_low"] == pytest.approx(other.low, rel=0.03)
    assert found["x_high"] == pytest.approx(other.high, rel=0.03)
    assert replays.interval("x", [values.tolist()]) == found


def test_a_single_repeat_has_no_interval() -> None:
    found = replays.interval("x", [[0.5]])
    assert found["x"] == 0.5
    assert math.isnan(found["x_low"])


def test_summary_holds_each_task_and_their_mean() -> None:
    outcomes = [
        outcome(task, "lcm", repeat, cost, regret)
        for task, cost in (("a", 0.2), ("b", 0.4))
        for repeat, regret in enumerate([0.0, 0.1, math.nan])
    ]
    table = replays.summary(outcomes).set_index("task")
    assert list(table.index) == ["a", "b", "(mean)"]
    assert table.loc["(mean)", "cost"] == pytest.approx(0.3)
    assert table.loc["a", "regret"] == pytest.approx((0 + 0.1 + 1) / 3), "nothing found counts as one trial at random"
    assert table.loc["a", "same_best"] == pytest.approx(1 / 3)


def test_regrets_at_smaller_costs_are_read_off_the_course() -> None:
    outcomes = [
        outcome("a", "m", 0, 0.5, 0.1, [(0.05, 0.8), (0.1, 0.4), (0.3, 0.1)]),
        outcome("a", "m", 1, 0.5, 0.2, [(0.2, 0.2)]),
    ]
    table = replays.at_costs(outcomes, [0.1, 0.25, 1.0])
    assert table["regret"].tolist() == pytest.approx([(0.4 + 1) / 2, (0.4 + 0.2) / 2, (0.1 + 0.2) / 2])


# The command


@pytest.mark.slow
def test_replays_from_the_command_line(tmp_path: Path, csv: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    arguments = [
        *(
            "replay",
            str(csv),
            "--method",
            "random",
            "--method",
            "quick={search: random, stop: {lcm: {stopping_rate: 0.9}}}",
        ),
        *("--trials", "20", "--repeats", "12", "--slots", "2", "--costs", "0.1", "0.5", "--journals", "-o", str(out)),
    ]
    assert main(arguments) == 0
    table = pd.read_csv(out / "replay.csv").set_index("method")
    assert table["repeats"].tolist() == [12, 12]
    assert table.loc["random", "regret"] == 0
    assert table.loc["quick", "cost"] < 0.6 < table.loc["random", "cost"]
    assert len(pd.read_csv(out / "runs.csv")) == 24
    assert pd.read_csv(out / "costs.csv")["at"].tolist() == [0.1, 0.5] * 2
    assert (out / "pareto.svg").read_text().startswith("<?xml")
    run = read_run(out / "runs" / "quick" / "11" / "journal.jsonl")
    assert run.count("stopped") > 5
    assert run.test["test_loss"] == pytest.approx(run.performance("val_loss") + 0.01)
    before = {path.name: path.read_bytes() for path in out.glob("*.*")}
    assert main([*arguments, "--jobs", "2"]) == 0
    assert {path.name: path.read_bytes() for path in out.glob("*.*")} == before
    assert "24 replays done" in capsys.readouterr().err
    assert main(["replay", str(out), "-o", str(tmp_path / "again")]) == 2
    assert f"is a replay; name the curves that it plays: {csv}" in capsys.readouterr().err


def test_a_budget_in_cost_from_the_command_line(tmp_path: Path, csv: Path) -> None:
    out = tmp_path / "out"
    assert main(["replay", str(csv), "--method", "random", "--cost", "0.25", "--trials", "20", "-o", str(out)]) == 0
    assert pd.read_csv(out / "runs.csv")["cost"].between(0.2, 0.25 + 1e-9).all()


@pytest.mark.parametrize("points", [1, 2, 7, 10, 102])
def test_methods_given_by_name_check_at_the_points_that_there_are(
    tmp_path: Path, csv: Path, points: int, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = ["config_id,rate,step,loss"]
    rows += [f"{i},{i},{step},{i + 1 / step:.6f}" for i in range(20) for step in range(1, points + 1)]
    csv.write_text("\n".join(rows) + "\n")
    out = tmp_path / "out"
    assert main(["replay", str(csv), "--repeats", "2", "--journals", "-o", str(out)]) == 0
    methods = pd.read_csv(out / "replay.csv")["method"].tolist()
    if points == 1:
        assert methods == ["random"]
        assert "lcm is left out" in capsys.readouterr().err
        return
    assert methods == ["random", "lcm"]
    stop = json.loads((out / "runs" / "lcm" / "setting.json").read_text())["stop"]["lcm"]
    expected = {2: [1], 7: [1, 3], 10: [1, 2, 4], 102: [10, 20, 41]}[points]
    assert stop["check_points"] == [k / points for k in expected]
    assert main(["replay", str(csv), "--repeats", "2", "--method", "fixed", "-o", str(tmp_path / "fixed")]) == 0
    assert pd.read_csv(tmp_path / "fixed" / "replay.csv")["cost"].max() < 0.8


@pytest.mark.slow
@pytest.mark.parametrize("points", [7, 102])
def test_the_benchmark_of_methods_takes_sets_of_any_number_of_points(tmp_path: Path, points: int) -> None:
    rows = ["config_id,rate,step,loss"]
    rows += [f"{i},{i},{step},{i + 1 / step:.6f}" for i in range(110) for step in range(1, points + 1)]
    (tmp_path / "some.csv.gz").write_bytes(gzip.compress("\n".join(rows).encode()))
    arguments = [
        "--parts",
        "own",
        "natural",
        "--costs",
        "0.3",
        "--repeats",
        "2",
        "--output",
        str(tmp_path / "out.jsonl"),
    ]
    subprocess.run([sys.executable, BENCHMARK, tmp_path, *arguments], check=True, capture_output=True)
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert {line["method"] for line in lines} >= {"budget_halving", "lcm", "lcm s=0.5 r=0.2"}
    assert {line["points"] for line in lines} == {points}


def test_methods_from_a_file_and_an_experiment_from_a_file(
    tmp_path: Path, csv: Path, write_experiment: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_experiment(RECORDED)
    assert main(["replay", str(csv), "--method", str(path), "--repeats", "2", "-o", str(tmp_path / "a")]) == 0
    assert pd.read_csv(tmp_path / "a" / "replay.csv")["method"].tolist() == ["random", "lcm"]
    assert main(["curves", str(csv), "-o", str(tmp_path / "prepared")]) == 0
    arguments = [
        "replay",
        str(tmp_path / "prepared"),
        "--experiment",
        str(path),
        "--journals",
        "-o",
        str(tmp_path / "b"),
    ]
    assert main(arguments) == 0
    assert pd.read_csv(tmp_path / "b" / "replay.csv")["repeats"].tolist() == [4, 4]
    vary = pd.read_csv(tmp_path / "b" / "vary.csv")
    assert vary["vary"].tolist() == ["rates"] * 6 + ["points"] * 2
    assert json.loads(vary["settings"][5]) == {"stopping_rate": 0.8, "split": 0.4}
    assert vary["cost"].nunique() > 3
    for name in ("pareto", "heatmaps"):
        figures.save(figures.draw_table(name, tmp_path / "b"), tmp_path / f"{name}.svg", tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.png").stat().st_size > 10_000
    assert len(list((tmp_path / "b" / "runs").rglob("journal.jsonl"))) == 8
    assert main(["resolve", str(path), "-o", str(tmp_path / "b" / "experiment.json")]) == 0
    assert main(["archive", str(tmp_path / "b"), "-o", str(tmp_path / "b.tar.gz")]) == 2
    assert "plays the curves in curves.csv" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method", "lmc"], "must be one of"),
        (["--method", "x={search: random, stop: lmc}"], "methods.x.stop"),
        (["--method", "x={search"], "not valid YAML"),
        (["--method", "x={search: sobol}"], "must be `random`"),
        (["--method", "absent.yaml"], "cannot be read"),
        (
            ["--points", "102", "--method", "x={search: random, stop: lcm}"],
            "0.1 is not an accumulation point; training.accumulation_points has 102, next to it 0.09803921568627451 and "
            "0.10784313725490197\n",
        ),
        (["--cost", "1.5"], "budget.cost"),
        (["--samples", "50", "--cost", "0.1"], "--samples is a budget of its own"),
        (["--samples", "50", "--trials", "100"], "--samples is a budget of its own"),
        (["--samples", "0"], "budget.samples"),
        (["--metric", "accuracy"], "no metric 'accuracy'; it has valid_loss, test_loss"),
    ],
)
def test_what_cannot_be_replayed_is_told(
    tmp_path: Path, csv: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", str(csv), *arguments, "-o", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("costs", [["-3"], ["0.1", "0"], ["1.5"], ["nan"], ["some"]], ids=str)
def test_costs_that_are_no_shares_are_refused(
    tmp_path: Path, csv: Path, costs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["replay", str(csv), "-o", str(tmp_path / "out"), "--costs", *costs])
    assert ended.value.code == 2
    assert f"must be above 0 and at most 1, not '{costs[-1]}'" in capsys.readouterr().err


def test_a_damaged_file_is_told(tmp_path: Path, csv: Path, capsys: pytest.CaptureFixture[str]) -> None:
    csv.write_text(csv.read_text()[:-20])
    assert main(["replay", str(csv), "-o", str(tmp_path / "out")]) == 2
    assert f"{csv}:301: has 3 cells where the first line has 5" in capsys.readouterr().err


# Records of what is played

MATCHING = "m={search: random, stop: budget_halving, record: [%s]}"


def two_metrics(path: Path, trainings: range, shift: float = 0.0) -> Path:
    """Trainings of five steps with two metrics that have nothing to do with each other."""
    rows = ["config_id,rate,step,valid_loss,zz_err"]
    for i in trainings:
        draw = np.random.default_rng(i)
        rate, one, other = draw.uniform(0, 1, 3)
        rows += [f"{i},{rate:.6f},{k},{one + shift + 1 / k:.6f},{other + shift + 1 / k:.6f}" for k in range(1, 6)]
    path.write_text("\n".join(rows) + "\n")
    return path


def replay_with_record(path: Path, records: list[Path], *more: str) -> int:
    method = MATCHING % ", ".join(map(str, records))
    return main(["replay", str(path), "--method", method, "--repeats", "2", *more, "-o", str(path.parent / "out")])


@pytest.mark.parametrize("metric", [(), ("--metric", "zz_err")], ids=str)
def test_a_record_of_nothing_but_what_is_played_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], metric: tuple[str, ...]
) -> None:
    path = two_metrics(tmp_path / "two.csv", range(30))
    less = two_metrics(tmp_path / "less.csv", range(29))
    assert main(["curves", str(path), *metric, "-o", str(tmp_path / "prepared")]) == 0
    for record in (path, less, tmp_path / "prepared"):
        assert replay_with_record(path, [record], *metric) == 2
        said = capsys.readouterr().err
        assert f"{record}: cannot be a record for m: nothing is left" in said
        assert "Traceback" not in said


def test_an_archive_as_a_record_is_unpacked_nowhere_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, temporary = two_metrics(tmp_path / "two.csv", range(30)), tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    with tarfile.open(tmp_path / "hostile.tar.gz", "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("../elsewhere/journal.jsonl"))
    assert replay_with_record(path, [tmp_path / "hostile.tar.gz"]) == 2
    assert "hostile.tar.gz: cannot be read" in capsys.readouterr().err
    assert not any(temporary.iterdir())


def test_a_record_is_read_without_the_trainings_that_are_played(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = two_metrics(tmp_path / "two.csv", range(30))
    more = two_metrics(tmp_path / "more.csv", range(20, 50))
    alone = two_metrics(tmp_path / "alone.csv", range(30, 50))
    sibling = two_metrics(tmp_path / "sibling.csv", range(30), 0.1)
    metric = ("--metric", "zz_err")
    setting = Experiment.model_validate(
        {
            "model": "recorded",
            "data": {"curves": str(path), "metric": "zz_err"},
            "budget": {"trials": 30},
            "methods": {
                "m": {"search": "random", "stop": "budget_halving", "record": [str(path), str(more), str(sibling)]}
            },
        }
    ).setting("e", "m")
    played = read_curves(path, "zz_err")
    setting = setting.model_copy(update={"space": played.space})
    record = prepare_record(setting, played)
    assert f"{more}: as a record for two, without 10 of 30 trainings, which are played" in capsys.readouterr().err
    assert record is not None
    expected = prepare_record(setting.model_copy(update={"record": (str(alone), str(sibling))}))
    assert expected is not None
    assert [task.coded.tolist() for task in record.tasks] == [task.coded.tolist() for task in expected.tasks]
    assert [task.losses.tolist() for task in record.tasks] == [task.losses.tolist() for task in expected.tasks]
    assert record.tasks[1].losses[:, -1].tolist() == [
        pytest.approx(curve.reports[-1]["loss"] + 0.1, abs=2e-6) for curve in played.curves
    ], "of the metric that is played"
    assert replay_with_record(path, [path, more, sibling], *metric) == 0
    assert capsys.readouterr().err.count("without 10 of 30") == 1


def test_a_sibling_with_the_same_configurations_keeps_the_trainings_that_failed_in_it_alone(
    tmp_path: Path, csv: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sibling = tmp_path / "sibling.csv"
    rows = [line.split(",") for line in csv.read_text().splitlines()]
    for row in rows[1:]:
        row[3] = "" if row[0] in ("5", "6", "7") else str(2 * float(row[3] or 1))
    sibling.write_text("".join(",".join(row) + "\n" for row in rows))
    assert replay_with_record(csv, [sibling]) == 0
    assert "without" not in capsys.readouterr().err


def test_tasks_that_share_a_method_are_each_left_out_of_the_record_in_turn(tmp_path: Path) -> None:
    paths = [two_metrics(tmp_path / f"{k}.csv", range(30), k / 10) for k in range(3)]
    method = MATCHING % ", ".join(map(str, paths))
    assert main(["replay", *map(str, paths), "--method", method, "--repeats", "2", "-o", str(tmp_path / "out")]) == 0
    assert pd.read_csv(tmp_path / "out" / "replay.csv")["task"].tolist() == ["0", "1", "2", "(mean)"]


# Experiment files


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("model: recorded", "model: softmax\nspace: {}", "are for `model: recorded`"),
        ("data: {curves: curves.csv}", "data: {name: digits}", "must be `curves: PATH`"),
        ("repeats: 4", "space: {learning_rate: 0.1}", "space: must be left out"),
        ("random: {search: random}", "random: {search: sobol}", "must be `random`"),
        ("random: {search: random}", "random: {search: random, tasks: 2}", "must be left out"),
        ("{trials: 20}", "{samples: 20, cost: 0.5}", "a share of training all `trials`"),
        ("stopping_rate: [0.5, 0.8]", "stoping_rate: [0.5, 0.8]", "did you mean 'stopping_rate'?"),
        ("stopping_rate: [0.5, 0.8]", "stopping_rate: [0.5, 1.8]", "stopping_rate = [0.5, 1.8]: 1.8:"),
        ("method: lcm\n    over: {stop", "method: random\n    over: {stop", "must name a method with `stop`: lcm"),
        ("[[0.2, 0.4, 1], 5]", "[[0.2, 1], 5]", "0.4 is not an accumulation point"),
        ("[[0.2, 0.4, 1], 5]", "[[0.2, 0.4], 5]", "must increase and end with 1"),
        ("split: [0.1, 0.2, 0.4]", "split: [0.1], distance: [dtw]", "at most 2"),
    ],
)
def test_experiments_that_cannot_be_replayed_are_refused(
    write_experiment: Callable[..., Path], old: str, new: str, message: str
) -> None:
    assert RECORDED.count(old) == 1
    with pytest.raises(ConfigError) as caught:
        read_experiment(write_experiment(RECORDED.replace(old, new)))
    assert message in str(caught.value)


def test_recorded_curves_are_losses_unless_the_experiment_says_otherwise(write_experiment: Callable[..., Path]) -> None:
    plain = read_experiment(write_experiment(RECORDED))
    assert (plain.objective.metric, plain.objective.mode) == ("loss", "min")
    path = write_experiment(
        RECORDED.replace("curves.csv", "results/demo") + "objective: {metric: accuracy, mode: max}\n"
    )
    said = read_experiment(path)
    assert said.objective.key == "val_accuracy"
    assert Experiment.model_validate_json(plain.model_dump_json()) == plain


def test_an_objective_that_was_not_recorded_is_refused(
    tmp_path: Path, csv: Path, write_experiment: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    accuracy = "objective: {metric: accuracy, mode: max}\n"
    for name in ("curves.csv", "curves.csv.gz"):
        path = write_experiment(RECORDED.replace("curves.csv", name) + accuracy)
        assert main(["check", str(path)]) == 2
        assert 'objective.metric = "accuracy": must be `loss`: of a CSV file' in capsys.readouterr().err
    path = write_experiment(RECORDED.replace("curves.csv", "prepared") + accuracy)
    assert main(["curves", str(csv), "-o", str(tmp_path / "prepared")]) == 0
    arguments = ["replay", str(tmp_path / "prepared"), "--experiment", str(path), "-o", str(tmp_path / "out")]
    assert main(arguments) == 2
    assert "curves: objective.metric = accuracy: no training has recorded it" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_variants_differ_in_what_is_varied_alone(write_experiment: Callable[..., Path]) -> None:
    experiment = read_experiment(write_experiment(RECORDED))
    base = experiment.setting("e", "lcm")
    for values, setting in experiment.variants("e", "rates"):
        assert setting.stop is not None
        for name, value in setting.stop.options.model_dump().items():
            assert value == values.get(name, getattr(base.stop.options, name))  # type: ignore[union-attr]
        assert setting.model_copy(update={"stop": base.stop}) == base
    assert [len(s.training.accumulation_points) for _, s in experiment.variants("e", "points")] == [3, 5]
    stop = Stop.model_validate({"lcm": {"stopping_rate": 0.7}})
    assert varied(stop, {"split": 0.4}).options == LCMOptions(stopping_rate=0.7, split=0.4)
