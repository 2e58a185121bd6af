"""Learning Curve Matching's stopping rate from a regret budget: replays, the rule, refusals, records and journals."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hypercurve.api.replaying import Task, carry_out
from hypercurve.archive.checking import check_journal
from hypercurve.config.experiment import Experiment
from hypercurve.config.files import read_experiment
from hypercurve.config.objective import TRAINING_LOSS
from hypercurve.config.setting import Setting
from hypercurve.curves.cost import TrialCost
from hypercurve.curves.record import Calibration, RecordError, load_record, save_record
from hypercurve.curves.table import Curve, Curves
from hypercurve.events.encoding import without_wall
from hypercurve.events.journal import read_lines
from hypercurve.execution.replay import replay
from hypercurve.records.calibration import LEAST, RATES, Replays, calibrated, drawn, played, unusable, upper
from hypercurve.records.curve_files import read_curves
from hypercurve.records.prepare import inside, prepare_record
from hypercurve.runs.run import Run
from hypercurve.space.search_space import Space
from hypercurve.util.errors import UserError
from hypercurve.util.seeding import generator
from live_runs import carried_out, live

pytestmark = pytest.mark.slow

SPACE = Space.model_validate({"learning_rate": {"uniform": [0.0, 1.0]}})


def table(seed: int, noise: float = 0.3, count: int = 80, points: int = 10, name: str = "task") -> Curves:
    """Curves that cross each other the more, the more noise there is; some fail, lengths differ, some losses are equal."""
    rng = np.random.default_rng(seed)
    made, found = [], []
    for _ in range(count):
        configuration = SPACE.sample(rng)
        level = abs(configuration["learning_rate"] - 0.3)
        losses = np.round(level + np.exp(-np.arange(points) / 2) + noise * rng.standard_normal(points), 2)
        last = points if rng.random() < 0.9 else int(rng.integers(points))
        shares = tuple((k + 1) / points for k in range(last))
        cost = TrialCost(steps=points, batch_size=1, step_seconds=float(rng.integers(1, 4)))
        end: tuple[Any, ...] = () if last == points else ("failed", (last + 1) / points, "diverged")
        made.append(configuration)
        reports = tuple({"loss": float(loss), "val_loss": float(loss)} for loss in losses[:last])
        found.append(Curve(shares, reports, (0.0,) * last, cost, *end))
    return Curves(name, SPACE, tuple(made), tuple(found))


def setting_for(rate: Any, *, slots: int = 1, trials: int = 60, distance: str = "euclidean") -> Setting:
    stop = {"lcm": {"stopping_rate": rate, "split": 0.2, "check_points": [0.2, 0.5], "distance": distance}}
    asked = {"record": ["x"]} if isinstance(rate, dict) else {}
    content = {
        "model": "recorded",
        "data": {"curves": "x", "shuffle": False},
        "budget": {"trials": trials},
        "methods": {"lcm": {"search": "random", "slots": slots, "stop": stop} | asked},
    }
    return Experiment.model_validate(content).setting("e", "lcm")


@pytest.mark.parametrize("distance", ["euclidean", "cosine", "dtw"])
@pytest.mark.parametrize("slots", [1, 7, 100])
def test_what_is_played_for_a_calibration_is_what_a_replay_does(slots: int, distance: str) -> None:
    regrets = set()
    for number, rate in enumerate((0.2, 0.5, 0.8, 0.95)):
        task, setting = table(number), setting_for(rate, slots=slots, distance=distance)
        rows = generator(setting.seed, number, "calibration").permutation(len(task))[:60]
        outcome = replay(setting, task.taken(rows.tolist()), 0)
        cost, regret = played(drawn(task, setting, 60, number), rate, 0.2 * 60, slots)
        assert (cost, regret) == pytest.approx((outcome.cost, outcome.regret))
        regrets.add(regret)
    assert len(regrets) > 1 or slots == 100, "with all at once, nobody is checked"


@pytest.mark.slow
def test_the_rate_is_the_largest_that_keeps_the_budget_on_every_task() -> None:
    quiet, noisy = table(1, noise=0.05, name="quiet"), table(2, noise=0.6, name="noisy")
    alone = [calibrated(setting_for({"regret": 0.1}), [task]).stopping_rate for task in (quiet, noisy)]
    both = calibrated(setting_for({"regret": 0.1}), [quiet, noisy])
    assert alone[0] > alone[1]
    assert both.stopping_rate == min(alone)
    assert both.regret < both.budget
    assert {one.task: one.stopping_rate for one in both.held_out} == {"quiet": alone[1], "noisy": alone[0]}
    assert {one.task for one in both.held_out if one.regret > 0.1} == {"noisy"}, "one that is unlike the others is off"
    assert "s = " in str(both)
    assert "noisy" in str(both)


@pytest.mark.slow
def test_a_larger_budget_never_stops_fewer_and_the_same_budget_gives_the_same() -> None:
    task = table(3, noise=0.4)
    found = [calibrated(setting_for({"regret": budget}), [task]) for budget in (0.05, 0.2, 0.5, 0.9)]
    rates = [one.stopping_rate for one in found]
    assert rates == sorted(rates)
    assert len(set(rates)) > 1
    assert set(rates) <= set(RATES)
    assert found[0] == calibrated(setting_for({"regret": 0.05}), [task])


def test_a_record_that_cannot_calibrate_is_refused_with_the_reason() -> None:
    task, asked = table(4), setting_for({"regret": 0.1})
    with pytest.raises(RecordError, match="at least 30 trainings"):
        calibrated(asked, [task.taken(range(20))])
    stopped = replace(task, curves=(*task.curves[:-1], task.curves[0]._replace(outcome="stopped")))
    with pytest.raises(RecordError, match=r"there is none\. task: 1 of 80 trainings were stopped"):
        calibrated(asked, [stopped])
    enough = calibrated(asked, [replace(task, name="good"), stopped, replace(task, name="again")], {"tuned": "by tpe"})
    assert enough.tasks == ("good",)
    assert enough.unused == ("tuned: by tpe", "task: 1 of 80 trainings were stopped", "again: the same as good")
    assert "With one task, one new task in 2 may exceed it. Not used: tuned: by tpe; task: 1 of" in str(enough)
    curve = next(curve for curve in task.curves if curve.outcome == "completed")
    mute = curve._replace(reports=tuple({"loss": report["loss"]} for report in curve.reports))
    with pytest.raises(RecordError, match=r"1 of \d+ trainings to the end do not tell val_loss"):
        calibrated(asked, [replace(task, curves=tuple(mute if one is curve else one for one in task.curves))])
    accuracy = asked.model_copy(update={"objective": asked.objective.model_copy(update={"metric": "accuracy"})})
    with pytest.raises(RecordError, match="val_accuracy"):
        calibrated(accuracy, [task])
    with pytest.raises(RecordError, match=r"stopping_rate\.regret = 0\.0001: cannot be kept: on task.* even s = 0\.05"):
        calibrated(setting_for({"regret": 0.0001}), [table(5, noise=3.0)])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kept", "told"),
    [
        (slice(4, None), r"80 of 80 trainings have no report after 0 up to the check point 0\.2"),
        (slice(0, None, 9), r"80 of 80 trainings have no report after 0\.2 up to the check point 0\.5"),
    ],
)
def test_trainings_without_reports_where_lcm_looks_tell_nothing_of_it(kept: slice, told: str) -> None:
    whole = [c for seed in range(2) for c in table(seed, count=60).curves if c.outcome == "completed"][:80]
    coarse = [c._replace(shares=c.shares[kept], reports=c.reports[kept], seconds=c.seconds[kept]) for c in whole]
    task = replace(table(0), curves=tuple(coarse))
    with pytest.raises(RecordError, match=told):
        calibrated(setting_for({"regret": 0.5}), [task])
    assert calibrated(setting_for({"regret": 0.5}), [replace(task, curves=tuple(whole))]).tasks == ("task",)


def test_what_fails_before_a_check_point_need_not_report_there() -> None:
    task = table(4)
    early = next(row for row, c in enumerate(task.curves) if c.outcome == "failed")
    curves = [*task.curves]
    curves[early] = curves[early]._replace(shares=(), reports=(), seconds=(), failed_at=0.1)
    assert not unusable(replace(task, curves=tuple(curves)), setting_for({"regret": 0.1}))


@pytest.mark.parametrize("share", [0.05, 0.2])
def test_the_bound_is_above_the_mean_as_often_as_it_says(share: float) -> None:
    rng = np.random.default_rng(0)
    regrets = rng.exponential(0.3, (1000, LEAST)) * (rng.random((1000, LEAST)) < share)
    above = [upper(row, row.max() or 0.3) >= 0.3 * share for row in regrets]
    assert 0.75 < np.mean(above) < 1.0
    assert upper(np.zeros(100), 0.5) == pytest.approx(2.6 * 0.5 / 101, rel=0.05), "none seen is not none"


def test_draws_smaller_than_a_run_have_its_shares_of_slots_and_accumulation() -> None:
    task, setting = table(6, noise=1.0), setting_for({"regret": 0.1}, slots=8, trials=80)
    found = Replays(task, setting, 80, 40, 20).at(15)
    draws = [drawn(task, setting, 40, number) for number in range(20)]
    assert np.array_equal(found, [played(draw, RATES[15], 0.2 * 40, 4) for draw in draws])
    assert not np.array_equal(found, [played(draw, RATES[15], 0.2 * 80, 4) for draw in draws])
    assert not np.array_equal(found, [played(draw, RATES[15], 0.2 * 40, 1) for draw in draws])
    assert not np.array_equal(found, [played(draw, RATES[15], 0.2 * 40, 8) for draw in draws])


def test_few_misses_are_not_taken_for_none() -> None:
    task, setting = table(6, noise=0.3), setting_for({"regret": 0.1})
    replays = Replays(task, setting, 60, 60, LEAST)
    assert not replays.at(0)[:, 1].any()
    assert replays.bound(0) > 0.001


FILE = """
data: {{name: digits}}
model: softmax
space: {{learning_rate: {{uniform: [0.0, 1.0]}}}}
budget: {{trials: 40}}
methods:
  careful: {{search: random, {}}}
"""
LCM = "stop: {{lcm: {{stopping_rate: {}}}}}"


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (LCM.format("1.5") + ", record: [x]", "stopping_rate = 1.5: must be below 1"),
        (LCM.format("fast") + ", record: [x]", 'stopping_rate = "fast": must be a number'),
        (LCM.format("{regret: 2}") + ", record: [x]", "stopping_rate.regret = 2: must be below 1"),
        (LCM.format("{regrets: 0.1}") + ", record: [x]", "stopping_rate.regrets = 0.1: unknown key; allowed: regret"),
        (LCM.format("{regret: 0.1}"), "is kept by what a `record` shows: it needs one"),
        (LCM.format("{regret: 0.1}") + ", record: [x], preselect: 0.2", "`preselect` does not go with a regret budget"),
    ],
)
def test_what_is_wrong_with_a_budget_is_said(tmp_path: Path, method: str, message: str) -> None:
    path = tmp_path / "e.yaml"
    path.write_text(FILE.format(method))
    with pytest.raises(UserError) as raised:
        read_experiment(path)
    assert message in str(raised.value)


def test_a_budget_is_kept_for_random_draws_only(tmp_path: Path) -> None:
    path = tmp_path / "e.yaml"
    path.write_text(FILE.replace("random", "grid").format(LCM.format("{regret: 0.1}") + ", record: [x]"))
    with pytest.raises(UserError, match="search = grid: a regret budget is calibrated on random draws"):
        read_experiment(path)


def test_a_budget_is_not_varied() -> None:
    asked = {"search": "random", "stop": {"lcm": {"stopping_rate": {"regret": 0.1}}}, "record": ["x"]}
    content = {"model": "recorded", "data": {"curves": "x"}, "budget": {"trials": 40}, "methods": {"lcm": asked}}
    with pytest.raises(ValueError, match="a regret budget cannot be varied"):
        Experiment.model_validate({**content, "vary": {"v": {"method": "lcm", "over": {"stopping_rate": [0.5]}}}})
    Experiment.model_validate({**content, "vary": {"v": {"method": "lcm", "over": {"split": [0.1, 0.2]}}}})


@pytest.mark.slow
def test_a_finished_experiment_sets_the_rate_of_the_next_and_journals_say_which(tmp_path: Path) -> None:
    folder = tmp_path / "earlier"
    (folder / "0").mkdir(parents=True)
    (folder / "setting.json").write_text(live().model_dump_json())
    carried_out(live(), folder / "0" / "journal.jsonl")
    lcm = {"lcm": {"stopping_rate": {"regret": 0.3}, "check_points": [0.1, 0.2, 0.4]}}
    setting = live(stop=lcm, record=[str(folder)], slots=3, seed=1)
    assert setting.starters == 60, "the record does not choose who starts"
    record = prepare_record(setting)
    assert record is not None
    assert record.calibration is not None
    save_record(record, tmp_path / "record.json")
    again = load_record(tmp_path / "record.json")
    assert (again.calibration, again.digest) == (record.calibration, record.digest)
    damaged = tmp_path / "damaged.json"
    for value in ("x", None, 7.0, True):
        content = record.dump()
        content["calibration"]["stopping_rate"] = value
        damaged.write_text(json.dumps(content))
        with pytest.raises(
            UserError, match=r"damaged\.json: .*calibration\.stopping_rate = .*must be a number above 0"
        ):
            load_record(damaged)
    damaged.write_text(json.dumps({**record.dump(), "calibration": None}))
    with pytest.raises(UserError, match=r"damaged\.json: .*calibration = null: must be a mapping"):
        load_record(damaged)
    other = prepare_record(live(stop={"lcm": {"stopping_rate": {"regret": 0.9}}}, record=[str(folder)], seed=1))
    assert other is not None
    assert other.digest != record.digest

    carried_out(setting, tmp_path / "whole.jsonl", again)
    lines = (tmp_path / "whole.jsonl").read_bytes().splitlines(keepends=True)
    assert json.loads(lines[0])["stopping_rate"] == record.calibration.stopping_rate
    assert len(check_journal(tmp_path / "whole.jsonl", setting, 0, record)) == len(lines)
    by_hand = live(stop={"lcm": {**lcm["lcm"], "stopping_rate": record.calibration.stopping_rate}}, slots=3, seed=1)
    carried_out(by_hand, tmp_path / "by_hand.jsonl")
    assert [*map(without_wall, read_lines(tmp_path / "by_hand.jsonl")[0])][1:] == [
        *map(without_wall, map(json.loads, lines[1:]))
    ]
    for cut in range(0, len(lines), 17):
        torn = tmp_path / "torn.jsonl"
        torn.write_bytes(b"".join(lines[:cut]))
        carried_out(setting, torn, record)
        assert [*map(without_wall, read_lines(torn)[0])] == [*map(without_wall, map(json.loads, lines))]
    with pytest.raises(RecordError, match="prepare it again"):
        Run(setting, 0, samples=1000, data="none", record=replace(record, calibration=None))


@pytest.mark.slow
def test_a_task_is_what_chance_has_drawn_in_the_space(tmp_path: Path) -> None:
    def finished(name: str, setting: Setting) -> str:
        folder = tmp_path / name / "runs" / "method"
        (folder / "0").mkdir(parents=True)
        (folder / "setting.json").write_text(setting.model_dump_json())
        carried_out(setting, folder / "0" / "journal.jsonl")
        return str(tmp_path / name)

    def calibration(*record: str, **more: Any) -> Calibration:
        lcm = {"lcm": {"stopping_rate": {"regret": 0.9}, "check_points": [0.1, 0.2, 0.4]}}
        found = prepare_record(live(stop=lcm, record=record, **more))
        assert found is not None
        assert found.calibration is not None
        return found.calibration

    plain = finished("plain", live())
    cut = finished("cut", live({"samples": 200_000}, slots=3, seed=5))
    assert "stopped" in {curve.outcome for curve in read_curves(Path(cut)).curves}, "cut off by the budget"
    tuned = finished("tuned", live(search="tpe"))
    median = finished("median", live(stop="median"))
    found = calibration(plain, cut, tuned, median)
    assert found.tasks[0].startswith("plain")
    assert found.tasks[1].startswith("cut"), "no stopper has ended these"
    assert "trials are chosen by the searcher tpe" in found.unused[0]
    assert "trainings were stopped" in found.unused[1]
    narrow = {"learning_rate": {"uniform": [0.0, 0.7]}, "momentum": {"uniform": [0.0, 1.0]}}
    curves = read_curves(Path(plain))
    kept = inside(curves, Space.model_validate(narrow))
    assert 30 < len(kept) < len(curves)
    assert max(one["learning_rate"] for one in kept.configurations) <= 0.7
    with pytest.raises(RecordError, match=r"plain.*: \d+ trainings to the end, 30 are needed"):
        calibration(plain, space={"learning_rate": {"uniform": [0.0, 0.6]}, "momentum": {"uniform": [0.4, 1.0]}})


@pytest.mark.slow
def test_a_replay_leaves_what_it_plays_out_of_the_calibration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = []
    for seed, name in enumerate(("one", "two", "three")):
        task, path = table(seed, name=name), tmp_path / f"{name}.csv"
        rows = ["config_id,learning_rate,step,val_loss"]
        for number, (configuration, losses) in enumerate(
            zip(task.configurations, task.losses(task.points, TRAINING_LOSS.loss), strict=True)
        ):
            values = ["" if np.isnan(loss) else f"{loss}" for loss in losses]
            rows += [f"{number},{configuration['learning_rate']},{k},{v}" for k, v in enumerate(values, start=1)]
        path.write_text("\n".join(rows) + "\n")
        paths.append(str(path))
    tasks = []
    for path in paths:
        curves = read_curves(Path(path))
        stop = {"lcm": {"stopping_rate": {"regret": 0.5}, "check_points": [0.2, 0.5]}}
        content = {
            "model": "recorded",
            "data": {"curves": path},
            "budget": {"trials": 50},
            "repeats": 3,
            "methods": {"lcm": {"search": "random", "stop": stop, "record": paths}},
        }
        tasks.append(Task(curves.name, curves, Experiment.model_validate(content), tmp_path / curves.name))
    carry_out(tasks, tmp_path / "out", journals=True)
    told = capsys.readouterr().err
    assert "one: lcm: s = " in told
    assert "at most 0.5: on two, three, LCM" in told
    first = json.loads((tmp_path / "two" / "runs" / "lcm" / "0" / "journal.jsonl").read_text().splitlines()[0])
    assert first["stopping_rate"] in RATES
