"""Learning Curve Matching's stopping rate from a regret budget: replays, the rule, refusals, records and journals."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hypercurve.archive.checking import check_journal
from hypercurve.config import Experiment, Setting
from hypercurve.cost import TrialCost
from hypercurve.curves import Curve, Curves
from hypercurve.errors import UserError
from hypercurve.execution.replay import replay
from hypercurve.execution.serial import execute
from hypercurve.journal import Journal, read_lines, without_wall
from hypercurve.preparing import prepare_record
from hypercurve.reading import read_experiment
from hypercurve.record import RecordError, load_record, save_record
from hypercurve.recordings import read_curves
from hypercurve.replaying import Task, carry_out
from hypercurve.run import Run
from hypercurve.seeding import generator
from hypercurve.space import Space
from hypercurve.stopping.calibration import RATES, calibrated, drawn, played
from hypercurve.training.synthetic import SyntheticTrainer

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
    with pytest.raises(RecordError, match="none of which a stopper has ended: there is none among task"):
        calibrated(asked, [stopped])
    assert calibrated(asked, [task, stopped]).tasks == ("task",), "the other one is enough"
    accuracy = asked.model_copy(update={"objective": asked.objective.model_copy(update={"metric": "accuracy"})})
    with pytest.raises(RecordError, match="val_accuracy"):
        calibrated(accuracy, [task])
    with pytest.raises(RecordError, match=r"stopping_rate\.regret = 0\.0001: cannot be kept: on task.* even s = 0\.05"):
        calibrated(setting_for({"regret": 0.0001}), [table(5, noise=3.0)])


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


def test_a_budget_is_not_varied() -> None:
    asked = {"search": "random", "stop": {"lcm": {"stopping_rate": {"regret": 0.1}}}, "record": ["x"]}
    content = {"model": "recorded", "data": {"curves": "x"}, "budget": {"trials": 40}, "methods": {"lcm": asked}}
    with pytest.raises(ValueError, match="problems"):
        Experiment.model_validate({**content, "vary": {"v": {"method": "lcm", "over": {"stopping_rate": [0.5]}}}})
    Experiment.model_validate({**content, "vary": {"v": {"method": "lcm", "over": {"split": [0.1, 0.2]}}}})


def live(**method: Any) -> Setting:
    content = {
        "data": {"name": "digits"},
        "model": "synthetic",
        "space": {"learning_rate": {"uniform": [0.0, 1.0]}, "momentum": {"uniform": [0.0, 1.0]}},
        "budget": {"trials": 60},
        "seed": method.pop("seed", 0),
        "training": {"accumulation_points": 20},
        "methods": {"method": {"search": "random", **method}},
    }
    return Experiment.model_validate(content).setting("e", "method")


def carried_out(setting: Setting, path: Path, record: Any = None) -> Run:
    run = Run(setting, 0, samples=1000, data="none", record=record)
    with Journal(path) as journal:
        execute(run, SyntheticTrainer(), journal)
    return run


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


def test_a_replay_leaves_what_it_plays_out_of_the_calibration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = []
    for seed, name in enumerate(("one", "two", "three")):
        task, path = table(seed, name=name), tmp_path / f"{name}.csv"
        rows = ["config_id,learning_rate,step,val_loss"]
        for number, (configuration, losses) in enumerate(
            zip(task.configurations, task.losses(task.points), strict=True)
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
