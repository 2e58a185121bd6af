"""What can be run but is hardly meant is warned of: a sentence that begins with the key and says what to do."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

import hypercurve
from analysis_data import drive, population_experiment, pretended_fitness
from conftest import ROOT
from hypercurve.analysis import lineage
from hypercurve.cli import main
from hypercurve.config.consistency import COLUMNS, MEMBERS
from hypercurve.config.doubts import doubts, doubts_of_file
from hypercurve.config.experiment import Experiment
from hypercurve.config.files import read_experiment
from hypercurve.records.curve_files import RecordingError, read_curves
from hypercurve.results.runs import write_trials

NETWORK = {
    "data": {"name": "digits"},
    "model": "dense",
    "space": {"learning_rate": {"log_uniform": [0.001, 1.0]}, "units": {"integer": [8, 64]}},
    "budget": {"trials": 40},
    "methods": {"a": {"search": "random"}},
}
LOOP = {
    "model": {"loop": "some_loop:Training"},
    "space": {"x": {"uniform": [0.0, 1.0]}, "epochs": 20},
    "budget": {"trials": 40},
    "methods": {"a": {"search": "random"}},
}
WHOLE = LOOP | {"model": {"loop": "some_loop:Whole"}}
PROGRAM = LOOP | {"model": {"command": ["./train", "{x}", "{epochs}"]}}
PBT = {"a": {"population": {"every": 5, "members": 4}}}


def said(given: dict[str, Any], **changes: Any) -> list[str]:
    return list(doubts(Experiment.model_validate(given | changes)))


def method(**keys: Any) -> dict[str, Any]:
    return {"methods": {"a": {"search": "random"} | keys}}


def ten(**keys: Any) -> dict[str, Any]:
    return {"budget": {"trials": 10}, **method(**keys)}


def points(number: int, **keys: Any) -> dict[str, Any]:
    return {"training": {"accumulation_points": number}, **method(**keys)}


def space(domain: Any) -> dict[str, Any]:
    return {"space": {"x": domain, "other": {"uniform": [0.0, 1.0]}, "epochs": 20}}


RATE = "methods.a.stop"
EQUAL = "space.x: its bounds are as good as equal in floating point: write a constant"
DOUBTFUL: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    # fewer trials than a method needs
    (NETWORK, ten(stop="budget_halving"), f"{RATE}.budget_halving: 10 trials at a `cost` of 0.15 are worth 1.5 full"),
    (NETWORK, ten(stop="budget_halving"), "which is little: take 20 trials or more, or a larger `cost`"),
    (NETWORK, ten(search="tpe"), "methods.a.search.tpe.startup: the first 10 trials are drawn at random, and there are 10"),
    (NETWORK, ten(search={"gp": {"startup": 30}}), "methods.a.search.gp.startup: the first 30 trials are drawn at random"),
    (NETWORK, ten(search="pso"), "methods.a.search.pso.particles: the first 10 trials are drawn at random"),
    (NETWORK, {**ten(search="cmaes"), "budget": {"trials": 6}}, "methods.a.search.cmaes.population: the first 6 trials"),
    (NETWORK, ten(search={"tpe": {"startup": 4}}, slots=10), "methods.a.slots: all 10 trials start before any has ended"),
    (NETWORK, ten(stop="lcm"), f"{RATE}.lcm.split: the first trials are matched with 2 completed curves, which say little"),
    (NETWORK, ten(stop={"lcm": {"configurations": 99}}), f"{RATE}.lcm.split: 10 trials train to their ends before any"),
    (NETWORK, {**ten(stop="median"), "budget": {"trials": 5}}, f"{RATE}.median.warmup: 5 trials complete before any is"),
    (NETWORK, ten(stop={"asha": {"reduction_factor": 16}}), f"{RATE}.asha.reduction_factor: one in 16 trials goes on"),
    (NETWORK, {**ten(stop="halving"), "budget": {"trials": 2}}, f"{RATE}.halving.reduction_factor: one in 3 trials"),
    (NETWORK, ten(stop={"halving": {"configurations": 27}}), f"{RATE}.halving.configurations: the bracket is of 27 trials"),
    (NETWORK, {**ten(stop="hyperband"), **points(81, stop="hyperband")}, f"{RATE}.hyperband: the first bracket alone is of"),
    # what never comes
    (NETWORK, ten(stop={"fixed": {"keep": 10}}), f"{RATE}.fixed.keep: 10 trials go on, and 10 are compared, so none is"),
    (NETWORK, ten(stop={"fixed": {"keep": 5, "configurations": 4}}), f"{RATE}.fixed.keep: 5 trials go on, and 4 are"),
    (NETWORK, points(10, stop={"patience": {"points": 9}}), f"{RATE}.patience.points: 9 points without improvement never"),
    (NETWORK, points(3, stop="patience"), "never come before the end of 3, so no trial is stopped: take 1 at most, or more"),
    (NETWORK, points(2, stop="patience"), "so no trial is stopped: take more `training.accumulation_points`"),
    (NETWORK, points(1, stop="asha"), "training.accumulation_points: trials report at their ends alone, so asha stops none"),
    (PROGRAM, {"space": {"x": 1, "epochs": 1}, **method(stop="asha")}, "space.epochs: trials report at their ends alone"),
    (WHOLE, {"methods": {"a": {"population": {"every": 20, "members": 4}}}}, "methods.a.population.every: members train"),
    # constraints and figures on what will not exist
    (NETWORK, {"figures": ["best", "heatmaps"]}, "figures: heatmaps shows nothing in this experiment: leave it out; best, "),
    (NETWORK, {"figures": ["population"]}, "figures: population shows nothing in this experiment"),
    (NETWORK, {"constraints": {"val_accuracy": {"min": 90}}}, "constraints.val_accuracy: an accuracy is a share between 0"),
    (
        NETWORK | {"model": {"keras": "nets:build", "loss": "mse", "metrics": ["mae", "nets:error"]}},
        {"constraints": {"val_error": {"max": 1}, "val_auc": {"min": 0.5}}},
        "constraints.val_auc: the model reports no val_auc, and all its trials fail: add it to `metrics`",
    ),
    # bounds
    (LOOP, space({"uniform": [1.0, 1.0000000000000002]}), EQUAL),
    (LOOP, space({"log_uniform": [1.0, 1.0000000001]}), EQUAL),
    (LOOP, space({"uniform": [-1e300, 1.0]}), "space.x: it spans 1e+300: take bounds that the model can work with"),
    (LOOP, space({"log_uniform": [1e-300, 1.0]}), "space.x: it spans 300 orders of magnitude"),
    (LOOP, space({"uniform": [1e-6, 1.0]}), "space.x: 90% of the draws are above a tenth of the upper bound: take log_"),
    (LOOP, space({"choice": ["32", "64"]}), "space.x: '32' is text, which the model gets as it is: write it without"),
    (LOOP, {"methods": {"a": {"search": "random", "space": {"x": "7"}}}}, "methods.a.space.x: '7' is text"),
    # names
    (NETWORK, {"methods": {"b" * 101: {"search": "random"}}}, "b: has 101 characters, more than some file systems hold"),
    (NETWORK, {"methods": {"LCM": {"search": "random"}, "lcm": {"search": "sobol"}}}, "methods.lcm: differs from LCM in"),
    (LOOP, {"space": {"x": 1, "X": 2, "epochs": 20}}, "space.X: differs from x in capital letters alone"),
    # files
    (NETWORK, {"data": {"path": "data/none.npz"}}, "data.path: there is no file data/none.npz in "),
    (NETWORK, method(record=["earlier.tar.gz"]), "methods.a.record: there is no file earlier.tar.gz in "),
    (NETWORK, {"reuse": ["old.tar.gz"]}, "reuse: there is no file old.tar.gz in "),
    # what a loop or program lacks
    (PROGRAM, {"model": {"command": ["./train", "{x}"]}}, "model.command: is given neither {epochs} nor {until}, so the"),
    (LOOP, {"methods": PBT}, "methods.a.population: members exchange state, but some_loop:Training has no load and no"),
    (
        LOOP,
        {"methods": PBT, "model": {"loop": "some_loop:train"}},
        "some_loop:train has no save and no load and no adjust: write a class with save, load, adjust, or take another",
    ),
]  # fmt: skip
RIGHT: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (NETWORK, ten(search={"tpe": {"startup": 9}}, slots=9)),
    (NETWORK, {**ten(search="cmaes"), "budget": {"trials": 7}}),
    (NETWORK, {**ten(stop="budget_halving"), "budget": {"trials": 20}}),
    (NETWORK, ten(stop={"budget_halving": {"cost": 0.3}})),
    (NETWORK, ten(stop={"lcm": {"split": 0.3}})),
    (NETWORK, ten(stop={"fixed": {"keep": 9}})),
    (NETWORK, ten(stop="median")),
    (NETWORK, ten(stop="asha")),
    (NETWORK, ten(stop="hyperband")),
    (NETWORK, points(10, stop={"patience": {"points": 8}})),
    (NETWORK, {"figures": ["best", "traits"], "constraints": {"val_accuracy": {"min": 0.9}, "parameters": {"max": 9}}}),
    (LOOP, space({"uniform": [0.0001, 0.2]})),
    (LOOP, space({"choice": ["32x", "relu"]})),
    (WHOLE, {"methods": PBT}),
    (LOOP, {"methods": PBT, "model": {"loop": "some_loop:Derived"}}),
    (LOOP, {"methods": PBT, "model": {"loop": "no_such_module:Training"}}),
    (LOOP, {"constraints": {"size": {"max": 5}}}),
    (PROGRAM, {"model": {"command": ["./train", "{x}", "{until}", "{resume}", "{snapshot}"]}}),
]
MODULE = """
class Training:
    def train(self): ...
    def save(self): ...

class Whole:
    save = load = None
    def adjust(self): ...

class Derived(Training): ...

def train(h, context): ...
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "some_loop.py").write_text(MODULE)
    return tmp_path


@pytest.mark.parametrize(("given", "changes", "words"), DOUBTFUL, ids=[words[:40] for *_, words in DOUBTFUL])
def test_what_is_hardly_meant_is_said(given: dict[str, Any], changes: dict[str, Any], words: str) -> None:
    found = said(given, **changes)
    assert len(found) == 1, found
    assert words in found[0]


@pytest.mark.parametrize(("given", "changes"), [(NETWORK, {}), (LOOP, {}), (PROGRAM, {}), *RIGHT])
def test_what_may_be_meant_is_not(given: dict[str, Any], changes: dict[str, Any]) -> None:
    assert said(given, **changes) == []


@pytest.mark.parametrize(
    ("given", "changes", "words"),
    [
        (LOOP, space({"uniform": ["0.1", 1]}), "'0.1' is text, not a number; write it without quotes"),
        (LOOP, space({"integer": [1, "8"]}), "'8' is text, not a number"),
        (LOOP, space({"log_uniform": [1e300, 1.0000000000000002e300]}), "bounds are the same number"),
        (NETWORK, {"constraints": {"val_acuracy": {"min": 0.5}}}, "model dense reports loss, val_loss, val_accuracy,"),
        (
            NETWORK | {"model": "synthetic", "space": {}},
            {"constraints": {"parameters": {"max": 5}}},
            "reports loss, val_",
        ),
    ],
)
def test_what_cannot_be_run_is_refused(given: dict[str, Any], changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as error:
        said(given, **changes)
    assert words in str(error.value)


def test_check_says_it_on_standard_error_and_ends_well(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "config/experiments/mnist-grid.yaml").read_text()
    for name in ("one.yaml", "ONE.yaml", f"{'n' * 101}.yaml"):
        (folder / name).write_text(text.replace("methods:", "figures: [fitness]\nmethods:"))
    assert main(["check", "one.yaml", f"{'n' * 101}.yaml"]) == 0
    told = capsys.readouterr().err
    assert "one.yaml: warning: figures: fitness shows nothing" in told
    assert "one.yaml: warning: one: differs from ONE in capital letters alone" in told
    assert "n.yaml: warning: " + "n" * 101 + ": has 101 characters" in told
    assert told.count("warning") == 4


def test_columns_of_every_table_are_names_that_no_hyperparameter_can_have(folder: Path) -> None:
    found = hypercurve.tune(lambda h: h["x"], {"x": {"uniform": [0.0, 1.0]}}, trials=2)
    tables = [found.trials, found.chosen.drop(columns="loss", errors="ignore")]
    assert {name for table in tables for name in table} - {*COLUMNS} <= {"x", "epochs", "loss"}
    experiment = population_experiment(3)
    setting = experiment.setting("example", "pbt")
    run = drive(experiment, "pbt", 0, folder / "journal.jsonl", pretended_fitness(1, 0.0), samples=1000)
    tables = [lineage.members(run, setting), lineage.schedule(run, setting)]
    assert {name for table in tables for name in table} - {*COLUMNS, *MEMBERS} == {*setting.space.names}
    write_trials(run, setting, folder / "trials.csv")
    header = (folder / "trials.csv").read_text().splitlines()[0].split(",")
    assert {*header} - {*COLUMNS} == {*setting.space.names}
    (folder / "curves.csv").write_text("trial,step,loss\n1,1,0.5\n")
    with pytest.raises(RecordingError, match=r"curves\.csv:1: trial is the name of a column of results"):
        read_curves(folder / "curves.csv")


SHIPPED = sorted(path for folder in ("config/experiments", "examples") for path in (ROOT / folder).glob("*.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=[path.stem for path in SHIPPED])
def test_shipped_experiments_are_meant(path: Path, folder: Path) -> None:
    """With the file that `cifar10-small` says how to make."""
    (folder / "data").mkdir()
    (folder / "data/cifar10-10k.npz").touch()
    shutil.copytree(ROOT / "examples", folder / "examples")
    assert [*doubts_of_file(path), *doubts(read_experiment(path))] == []
