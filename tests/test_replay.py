"""Recorded curves: what is read from files, and replays that decide as live runs do."""

import gzip
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hypercurve.config.experiment import Experiment
from hypercurve.config.objective import TRAINING_LOSS
from hypercurve.config.rules import Stop
from hypercurve.config.setting import Setting
from hypercurve.curves.prepared import RecordingError, load_curves, write_curves
from hypercurve.curves.table import Curves
from hypercurve.events.encoding import RawLine, without_wall
from hypercurve.events.journal import Journal, JournalError, read_lines
from hypercurve.execution.replay import Outcome, replay, replays
from hypercurve.execution.serial import execute
from hypercurve.records.curve_files import read_curves
from hypercurve.runs.run import Run
from hypercurve.runs.trial import Trial
from hypercurve.space.search_space import Integer, LogUniform, Uniform
from hypercurve.training.recorded_curves import CurvesTrainer
from hypercurve.training.synthetic import SyntheticTrainer
from hypercurve.training.trainer import Trainer

SHARED = Path(__file__).parents[2] / "shared" / "curves"
CSV = """\
config_id,learning_rate,units,step,seconds,train_loss,valid_loss,test_loss
a,0.1,8,0,0,9,9,9
a,0.1,8,1,1.5,5,6,6.5
a,0.1,8,2,3.0,4,,5.5
a,0.1,8,4,6.0,2,3,3.5
b,0.001,16,1,1,5,7,7
b,0.001,16,2,2,4,nan,7
b,0.001,16,3,3,3,inf,
c,0.5,32,1,2,4,4,4
c,0.5,32,2,3,1,2,2.5
d,0.01,64,1,1,,,
d,0.01,64,2,1,,,
e,0.1,8,1,1,0,0,0
"""


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., Path]:
    """Writes a CSV file of curves, after replacements."""

    def write(*changes: tuple[str, str], name: str = "curves.csv") -> Path:
        text = CSV
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / name
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
        return path

    return write


def experiment(
    points: Any = 5, budget: dict[str, Any] | None = None, shuffle: bool = True, **methods: Any
) -> Experiment:
    return Experiment.model_validate(
        {
            "model": "recorded",
            "data": {"curves": "curves.csv", "shuffle": shuffle},
            "budget": budget or {"trials": 100},
            "training": {"accumulation_points": points},
            "methods": methods or {"random": {"search": "random"}},
        }
    )


# Files


def test_a_table_is_read_by_the_stated_rules(table: Callable[..., Path]) -> None:
    curves = read_curves(table(name="my.curves.csv.gz"))
    assert curves.name == "my.curves"
    assert [c["units"] for c in curves.configurations] == [8, 16, 32, 64], (
        "of equal configurations the first one counts"
    )
    a, b, c, d = curves.curves
    assert a.shares == (0.25, 0.5, 1.0), "step 0 is before the training"
    assert [report["loss"] for report in a.reports] == [6, 6, 3], "what was missed is as it was before"
    assert a.seconds == (1.5, 1.5, 3.0)
    assert (a.cost.steps, c.cost.steps) == (4, 2), "a training is as long as its own last step"
    assert (b.outcome, b.failed_at, len(b.shares)) == ("failed", 2 / 3, 1)
    assert (d.outcome, d.failed_at, len(d.shares)) == ("failed", 0.5, 0)
    assert np.array_equal(curves.performance("val_loss"), [3, np.nan, 2, np.nan], equal_nan=True)
    assert a.reports[-1]["test_loss"] == 3.5
    assert curves.space["learning_rate"] == LogUniform(log_uniform=(0.001, 0.5))
    assert isinstance(curves.space["units"], Integer)
    points = (0.25, 0.5, 1.0)
    assert np.array_equal(curves.costs(points), [[1, 2, 4], [1, 2, 3], [1, 1, 2], [1, 1, 2]])
    expected = [[6, 6, 3], [7, 7, np.nan], [4, 4, 2], [np.nan] * 3]
    assert np.array_equal(curves.losses(points, TRAINING_LOSS.loss), expected, equal_nan=True)


def test_the_metric_can_be_chosen(table: Callable[..., Path]) -> None:
    assert read_curves(table(), "train_loss").curves[0].reports[-1] == {"loss": 2, "val_loss": 2}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ([("step", "epoch")], "no column `step`"),
        ([("a,0.1,8,2,3.0,4,,5.5", "a,0.1,8,2,3.0,4")], ":4: has 6 cells"),
        ([("a,0.1,8,2,", "a,0.1,8,4,")], "step 4 of this configuration is there twice"),
        ([("a,0.1,8,2,", "a,0.1,8,two,")], ":4: step = 'two'"),
        ([("a,0.1,8,2,", "a,0.1,9,2,")], ":4: other hyperparameters"),
        ([("4,4,4", "4,much,4")], ":9: 'much' is not a number"),
        ([("train_loss", "valid_loss")], "two columns valid_loss"),
        ([(",valid_loss,test_loss", "")], ":2: has 8 cells where the first line has 6"),
        ([(CSV, CSV.splitlines()[0])], "holds no rows"),
        ([("config_id,learning_rate,units,step", "step,a,b,c")], ":1: has no hyperparameters"),
        ([(CSV, "config_id,step,loss\n1,1,1\n")], ":1: has no hyperparameters"),
        ([(CSV, "config_id,x,step,seconds\n1,1,1,1\n")], "no metric"),
        ([(CSV, "config_id,x,step,loss\n1,1,1,\n1,1,2,\n")], "no training that was recorded to its end"),
    ],
)
def test_damaged_tables_are_refused_by_line(
    table: Callable[..., Path], changes: list[tuple[str, str]], message: str
) -> None:
    path = table(*changes)
    with pytest.raises(RecordingError, match=message) as caught:
        read_curves(path)
    assert str(path) in str(caught.value)


def test_a_byte_order_mark_is_no_part_of_the_first_name(table: Callable[..., Path]) -> None:
    assert [*read_curves(table(("config_id", "\ufeffconfig_id"))).space.root] == ["learning_rate", "units"]


def test_whole_numbers_beyond_those_of_a_space_are_read_as_numbers(table: Callable[..., Path]) -> None:
    curves = read_curves(table((",16,", f",{2**50},")))
    assert [c["units"] for c in curves.configurations] == [8.0, 2.0**50, 32.0, 64.0]
    assert isinstance(curves.space["units"], LogUniform)
    assert isinstance(read_curves(table((",16,", f",{2**40},"))).space["units"], Integer)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        *((name, True) for name in ("valid_acc", "val_accuracy", "AUC", "score", "mean_reward", "valAcc", "valid_f1")),
        *((name, False) for name in ("valid_loss", "valid_err", "accuracy_loss", "neg_score", "vaccination", "sacc")),
    ],
)
def test_a_metric_that_sounds_as_if_more_is_better_is_told(
    table: Callable[..., Path], name: str, told: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    path = table(("valid_loss", name))
    read_curves(path, name)
    said = capsys.readouterr().err
    assert said == (f"{path}: {name} is taken as lower is better; if it is not, store its negative\n" if told else "")


def test_damaged_files_are_refused(tmp_path: Path, table: Callable[..., Path]) -> None:
    whole = table(name="x.csv.gz")
    whole.write_bytes(whole.read_bytes()[:60])
    (tmp_path / "latin.csv").write_bytes("rate,step,loss\n0.1,1,\xe4\n".encode("latin-1"))
    (tmp_path / "other.txt").write_text("")
    (tmp_path / "empty").mkdir()
    for name, message in [
        ("x.csv.gz", "is damaged"),
        ("latin.csv", "UTF-8"),
        ("other.txt", "are a .csv"),
        ("absent.csv", "cannot be read"),
        ("absent", "no such file"),
        ("empty", "holds no journal"),
    ]:
        with pytest.raises(RecordingError, match=message):
            read_curves(tmp_path / name)


def test_prepared_tables_come_back_as_they_were(tmp_path: Path, table: Callable[..., Path]) -> None:
    curves = read_curves(table())
    write_curves(curves, tmp_path / "prepared")
    again = load_curves(tmp_path / "prepared")
    assert (again.curves, again.configurations, again.space) == (curves.curves, curves.configurations, curves.space)
    assert again.digest == curves.digest == read_curves(tmp_path / "prepared").digest
    path = tmp_path / "prepared" / "curves.jsonl"
    path.write_text(path.read_text()[:-30])
    with pytest.raises(RecordingError, match="is damaged"):
        load_curves(tmp_path / "prepared")


def test_numbers_of_many_sizes_are_taken_to_be_searched_on_a_log_scale(table: Callable[..., Path]) -> None:
    assert isinstance(read_curves(table(("0.001", "0.011"))).space["learning_rate"], Uniform)


# Replays against live runs

LCM = {"lcm": {"split": 0.2, "check_points": [0.2, 0.4]}}


def live(
    method: dict[str, Any], folder: Path, trainer: Trainer | None = None, **changes: Any
) -> tuple[Setting, list[RawLine]]:
    """A run that trains; its journal stands where the workflow puts it."""
    given = {
        "data": {"name": "digits"},
        "model": "synthetic",
        "objective": {"metric": "accuracy", "mode": "max"},
        "space": {
            "learning_rate": {"log_uniform": [0.001, 10.0]},
            "momentum": {"uniform": [0.0, 1.0]},
            "batch_size": {"choice": [32, 64, 128], "ordered": True},
        },
        "budget": {"trials": 40},
        "training": {"accumulation_points": 5},
        "methods": {"method": {"search": "random", **method}},
    } | changes
    setting = Experiment.model_validate(given).setting("live", "method")
    folder.mkdir(parents=True, exist_ok=True)
    (folder.parent / "setting.json").write_text(setting.model_dump_json())
    run = Run(setting, 0, samples=1000, data="none")
    with Journal(folder / "journal.jsonl") as journal:
        execute(run, trainer or SyntheticTrainer(), journal)
    return setting, read_lines(folder / "journal.jsonl")[0]


def replayed(setting: Setting, curves: Curves, path: Path) -> list[RawLine]:
    """The journal of the same method on recorded curves, in the order in which they were recorded."""
    changes = {"model": "recorded", "data": setting.data.model_copy(update={"curves": "curves", "shuffle": False})}
    with Journal(path) as journal:
        replay(setting.model_copy(update=changes), curves, 0, journal)
    return read_lines(path)[0]


def decided(lines: list[RawLine]) -> list[RawLine]:
    """What a replay can tell as well: all but whose journal it is, the clock, and what the test set said."""
    return [
        {key: value for key, value in without_wall(line).items() if key not in ("setting", "data", "training")}
        for line in lines
        if line["event"] != "tested"
    ]


STOPPERS: list[Any] = [
    None,
    LCM,
    *({name: {}} for name in Stop.kinds() if name not in ("lcm", "fixed", "patience")),
]
STOPPERS += [{"fixed": {"share": 0.2}}, {"asha": {"form": "promotion", "first_rung": 1}}, {"patience": {"points": 1}}]


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Curves:
    """What a random search recorded, which trained all to the end."""
    folder = tmp_path_factory.mktemp("random") / "0"
    _, lines = live({}, folder)
    assert {line["event"] for line in lines} >= {"completed", "failed"}
    curves = read_curves(folder / "journal.jsonl")
    assert len(curves) == 40
    return curves


@pytest.mark.parametrize("stop", STOPPERS, ids=str)
@pytest.mark.parametrize("slots", [1, 3, 16])
def test_a_replay_decides_as_the_live_run_did(tmp_path: Path, everything: Curves, stop: Any, slots: int) -> None:
    curve = {"curve": "loss"} if "patience" in str(stop) else {}  # the accuracy only grows
    setting, lines = live({"stop": stop, "slots": slots}, tmp_path / "live" / "0", **curve)
    again = replayed(setting, everything, tmp_path / "replayed.jsonl")
    assert decided(again) == decided(lines)
    assert len(lines) > 40
    assert stop is None or any("stop" in action for line in lines for action in line["then"])


def test_a_replay_keeps_the_seconds_of_the_run(tmp_path: Path) -> None:
    setting, lines = live({}, tmp_path / "random" / "0")
    again = replayed(setting, read_curves(tmp_path / "random"), tmp_path / "replayed.jsonl")
    for one, other in zip(lines, again, strict=True):
        if one["event"] in ("reported", "completed"):
            assert math.isclose(one["wall"]["seconds"], other["wall"]["seconds"])


@pytest.mark.slow
def test_a_replay_of_real_networks_decides_as_the_live_run_did(tmp_path: Path, prepared: Path) -> None:
    from hypercurve.training import make_trainer
    from hypercurve.training.data import load

    real = {
        "model": "softmax",
        "space": {"learning_rate": {"log_uniform": [0.001, 1.0]}, "momentum": {"uniform": [0, 0.99]}, "epochs": 4},
        "budget": {"trials": 15},
    }
    lcm = {"stop": LCM, "slots": 3}
    setting = Experiment.model_validate(
        {"data": {"name": "digits"}, "training": {"accumulation_points": 5}, "methods": {"a": {"search": "random"}}}
        | real
    ).setting("live", "a")
    trainer = make_trainer(setting, prepared)
    assert load(prepared).samples < 1000
    live({}, tmp_path / "random" / "0", trainer, **real)
    given, lines = live(lcm, tmp_path / "live" / "0", trainer, **real)
    again = replayed(given, read_curves(tmp_path / "random"), tmp_path / "replayed.jsonl")
    assert decided(again) == decided(lines)


def test_stopped_trials_are_kept_but_not_played(tmp_path: Path) -> None:
    live({"stop": LCM}, tmp_path / "lcm" / "0")
    curves = read_curves(tmp_path / "lcm" / "0")
    outcomes = [curve.outcome for curve in curves.curves]
    assert outcomes.count("stopped") > 5
    assert len(curves.playable()) == 40 - outcomes.count("stopped")
    stopped = Trial(0, curves.configurations[outcomes.index("stopped")])
    with pytest.raises(JournalError, match="not recorded to its end"):
        CurvesTrainer(curves).open(stopped)


def test_runs_put_together_hold_every_configuration_once_as_far_as_it_ever_got(tmp_path: Path) -> None:
    live({"stop": LCM}, tmp_path / "runs" / "lcm" / "0")
    live({}, tmp_path / "runs" / "random" / "0")
    curves = read_curves(tmp_path / "runs")
    assert len(curves) == 40
    assert all(curve.outcome != "stopped" for curve in curves.curves)


# Budgets, draws, outcomes


def outcome(method: str, given: Experiment, curves: Curves, repeat: int = 0) -> Outcome:
    return replay(given.setting("test", method), curves, repeat)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Curves:
    """Sixty trainings by formula."""
    folder = tmp_path_factory.mktemp("recorded") / "random" / "0"
    live({}, folder, budget={"trials": 60}, training={"accumulation_points": 10})
    return read_curves(folder)


def test_training_everything_costs_all_and_loses_nothing(recorded: Curves) -> None:
    for repeat in range(3):
        found = outcome("random", experiment(budget={"trials": 30}), recorded, repeat)
        assert found.trials == 30
        failed = [c for c in recorded.drawn(30, 0, repeat).curves if c.outcome == "failed"]
        assert found.failed == len(failed)
        assert found.regret == 0
        assert found.cost == 1 if not failed else found.cost < 1


def test_repeats_draw_other_trials_in_another_order_and_methods_share_them(recorded: Curves) -> None:
    first, second = recorded.drawn(30, 0, 0), recorded.drawn(30, 0, 1)
    assert first.configurations != second.configurations
    assert recorded.drawn(30, 0, 0).configurations == first.configurations
    assert recorded.drawn(30, 1, 0).configurations != first.configurations
    assert recorded.drawn(None, 0, 0).configurations != recorded.configurations
    assert set(recorded.drawn(None, 0, 0).rows) == set(recorded.rows)
    assert recorded.drawn(30, 0, 0, shuffle=False).configurations == recorded.configurations[:30]


@pytest.mark.parametrize("slots", [1, 7])
def test_a_budget_in_cost_is_kept_and_a_larger_one_goes_on_from_it(recorded: Curves, slots: int) -> None:
    methods = {"random": {"search": "random", "slots": slots}}
    whole = outcome("random", experiment(budget={"trials": 40}, points=10, **methods), recorded)
    for share in (0.1, 0.3, 0.75):
        budget = {"trials": 40, "cost": share}
        found = outcome("random", experiment(budget=budget, points=10, **methods), recorded)
        assert share - 0.05 < found.cost <= share + 1e-9
        assert found.path == tuple(step for step in whole.path if step[0] <= share + 1e-9)
        assert whole.regret_at(share) == pytest.approx(found.path[-1][1], nan_ok=True) if found.path else True


def test_a_budget_in_samples_is_kept(recorded: Curves) -> None:
    setting = experiment(budget={"samples": 50_000}).setting("test", "random")
    run = Run(setting, 0, samples=recorded.samples, data="x", curves=recorded.drawn(None, 0, 0))
    execute(run, CurvesTrainer(recorded), None)
    assert run.ended == "samples"
    assert 30_000 < run.samples <= 50_000


def test_regret_is_of_the_trials_that_were_drawn(table: Callable[..., Path]) -> None:
    rows = "".join(f"{i},{i},{step},{loss}\n" for i, loss in enumerate([5, 1, 3, 2, 9]) for step in (1, 2))
    curves = read_curves(table((CSV, "config_id,x,step,loss\n" + rows)))
    found = outcome("random", experiment(points=2, shuffle=False), curves)
    assert (found.found, found.regret, found.cost) == (1, 0, 1)
    assert found.path == ((0.1, 2.0), (0.2, 2.0), (0.4, 0.0)), (
        "half of the first training is a tenth of all; then the second one ends"
    )
    assert math.isnan(found.regret_at(0.05))
    assert found.regret_at(0.39) == 2.0


@pytest.mark.slow
def test_replays_over_processes_give_the_same_in_the_same_order(recorded: Curves) -> None:
    given = experiment(
        points=10, budget={"trials": 30}, random={"search": "random"}, lcm={"search": "random", "stop": "lcm"}
    )
    jobs = [
        (given.setting("test", method), recorded, range(r, r + 2), None, None)
        for method in given.methods
        for r in (0, 2)
    ]
    assert [*replays(jobs, 2)] == [*replays(jobs)]


@pytest.mark.skipif(not SHARED.exists(), reason="needs recorded curves in ../shared/curves")
def test_lcm_on_real_curves_costs_less_and_loses_little() -> None:
    curves = read_curves(SHARED / "cnn-cifar10.csv.gz")
    given = experiment(points=40, lcm={"search": "random", "stop": {"lcm": {"stopping_rate": 0.5, "split": 0.2}}})
    found = [outcome("lcm", given, curves, repeat) for repeat in range(10)]
    assert 0.3 < np.mean([one.cost for one in found]) < 0.7
    assert np.mean([one.regret for one in found]) < 0.2
