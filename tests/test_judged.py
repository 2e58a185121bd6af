"""What is optimised is what is judged: stoppers compare the objective, unless the experiment names another curve."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from hypercurve.cli import main
from hypercurve.config.experiment import Experiment
from hypercurve.config.objective import JudgedCurve
from hypercurve.curves.table import Curves
from hypercurve.events.events import Reported, Started, Stop
from hypercurve.records.curve_files import read_curves
from hypercurve.runs.run import Run
from hypercurve.runs.schedulers import make_scheduler
from hypercurve.util.errors import UserError


def experiment(**changes: Any) -> Experiment:
    given: dict[str, Any] = {
        "data": {"name": "digits"},
        "model": "synthetic",
        "space": {"learning_rate": {"log_uniform": [0.001, 1.0]}},
        "budget": {"trials": 8},
        "training": {"accumulation_points": 4},
        "methods": {
            "random": {"search": "random"},
            "asha": {"search": "random", "slots": 8, "stop": {"asha": {"form": "stopping"}}},
        },
    }
    return Experiment.model_validate(given | changes)


@pytest.mark.parametrize(
    ("given", "metric", "mode"),
    [
        ("loss", "loss", "min"),
        ("val_loss", "val_loss", "min"),
        ("val_accuracy", "val_accuracy", "max"),
        ({"metric": "val_recall", "mode": "max"}, "val_recall", "max"),
    ],
    ids=str,
)
def test_a_curve_is_named_by_its_metric(given: Any, metric: str, mode: str) -> None:
    model: Any = {"loop": "mine:train"} if metric == "val_recall" else "synthetic"
    judged = experiment(curve=given, model=model, space={"learning_rate": 0.1, "epochs": 4}).judged
    assert (judged.metric, judged.mode) == (metric, mode)
    assert judged.loss({metric: 3.0}) == (3.0 if mode == "min" else -3.0)
    assert judged.loss({"other": 3.0}) is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"curve": "val_acuracy"}, "needs `mode`"),
        ({"curve": {"metric": "val_acuracy", "mode": "max"}}, "must be loss, val_loss, val_accuracy"),
        ({"curve": {"metric": "loss", "mode": "max"}}, "would look for the worst"),
        ({"curve": "test_loss"}, "needs `mode`"),
        ({"curve": {"metric": "test_loss", "mode": "min"}}, "the test part takes no part in a search"),
        ({"training": {"evaluate": "end"}}, "measures no val_accuracy on the way, which asha stops trials by"),
    ],
    ids=str,
)
def test_a_curve_that_makes_no_sense_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        experiment(**changes)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "auto"),
        ({"curve": "loss"}, "end"),
        ({"curve": "val_loss"}, "auto"),
        ({"curve": "loss", "training": {"evaluate": "points"}}, "points"),
        ({"training": {"evaluate": 200}}, 200),
    ],
    ids=str,
)
def test_validation_is_measured_on_the_way_where_it_is_judged(changes: dict[str, Any], expected: Any) -> None:
    """Alike for all methods: they share trainings."""
    given = experiment(**changes)
    assert {given.setting("e", name).training.evaluate for name in given.methods} == {expected}


def stopped(given: Experiment, reports: Mapping[int, Mapping[str, float]]) -> set[int]:
    """Whom ASHA stops after one report of each trial, in the order of their numbers."""
    setting = given.setting("e", "asha")
    scheduler, found = make_scheduler(setting, 0, 1000), set()
    scheduler.open()
    for trial in reports:
        scheduler.on(Started(trial))
    for trial, metrics in reports.items():
        actions = scheduler.on(Reported(trial, 0.25, metrics))
        found |= {action.trial for action in actions if isinstance(action, Stop)}
    return found


def test_the_best_by_the_objective_goes_on_whatever_its_training_loss() -> None:
    """A penalty on weights makes the training loss of the best the greatest."""
    accuracies = (0.6, 0.7, 0.5, 0.65, 0.55, 0.9, 0.3, 0.62)
    reports = {
        n: {"loss": accuracy, "val_loss": 1 - accuracy, "val_accuracy": accuracy}
        for n, accuracy in enumerate(accuracies)
    }
    by_objective = stopped(experiment(), reports)
    assert by_objective == stopped(experiment(objective={"metric": "loss"}), reports)
    assert 6 in by_objective
    assert 5 not in by_objective
    by_loss = stopped(experiment(curve="loss"), reports)
    assert 5 in by_loss
    assert 6 not in by_loss


def test_a_replay_says_what_was_recorded(tmp_path: Path) -> None:
    lines = [
        "config_id,learning_rate,step,loss",
        *(f"{n},0.{n + 1},{step},{n + step}" for n in range(4) for step in (1, 2)),
    ]
    (tmp_path / "c.csv").write_text("\n".join(lines) + "\n")
    curves = read_curves(tmp_path / "c.csv")
    given = experiment(model="recorded", data={"curves": "c.csv"}, space={}, objective={"metric": "loss"})

    def run(curves: Curves) -> Run:
        return Run(given.setting("e", "asha"), 0, samples=1, data="none", curves=curves)

    run(curves)
    silent = curves.curves[0]._replace(reports=tuple({"loss": 1.0} for _ in curves.curves[0].reports))
    with pytest.raises(
        UserError, match="compares val_loss, which was not recorded on the way; name with `curve` what was: loss"
    ):
        run(Curves("c", curves.space, curves.configurations[:1], (silent,)))


@pytest.mark.slow
def test_asha_keeps_the_network_with_the_best_validation_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Diabetes: the training loss of networks with a penalty is higher, their validation error lower."""
    from sklearn.datasets import load_diabetes
    from sklearn.model_selection import train_test_split

    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    x_train, x_test, y_train, y_test = train_test_split(*load_diabetes(return_X_y=True), test_size=0.2, random_state=0)
    np.savez("diabetes.npz", x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    Path("judged_regression.py").write_text(
        "import keras\n"
        "from keras import layers\n"
        "def build(h, input_shape, outputs):\n"
        "    return keras.Sequential([\n"
        "        keras.Input(input_shape),\n"
        "        layers.Dense(h['units'], activation='relu', kernel_regularizer=keras.regularizers.l2(h['l2'])),\n"
        "        layers.Dense(outputs, bias_initializer=keras.initializers.Constant(150.0)),\n"
        "    ])\n"
    )
    given: dict[str, Any] = {
        "data": {"path": "diabetes.npz"},
        "model": "judged_regression:build",
        "objective": {"metric": "mae", "mode": "min"},
        "space": {
            "units": {"choice": [8, 32], "ordered": True},
            "l2": {"choice": [0.0, 0.1], "ordered": True},
            "optimizer": "adam",
            "learning_rate": {"log_uniform": [0.001, 0.1]},
            "epochs": 10,
        },
        "budget": {"trials": 8},
        "methods": {"random": {"search": "random"}, "asha": {"search": "random", "stop": "asha"}},
    }
    assert main(["data", "diabetes.npz", "-o", "data"]) == 0
    best: dict[str, float] = {}
    curves: dict[str, Any] = {"judged": None, "loss": "loss"}
    for name, curve in curves.items():
        chosen = Experiment.model_validate(given | ({} if curve is None else {"curve": curve}))
        for method in chosen.methods:
            folder = tmp_path / "results" / name / "runs" / method
            (folder / "0").mkdir(parents=True)
            (folder / "setting.json").write_text(chosen.setting(name, method).model_dump_json())
            journal = folder / "0" / "journal.jsonl"
            assert main(["search", str(folder / "setting.json"), "--data", "data", "-o", str(journal)]) == 0
            lines = [json.loads(line) for line in journal.read_text().splitlines()]
            best[f"{name} {method}"] = min(line["metrics"]["val_mae"] for line in lines if line["event"] == "completed")
    assert best["judged asha"] == best["judged random"] == pytest.approx(best["loss random"])
    assert best["loss asha"] > best["judged asha"]


def test_the_objective_as_a_curve_needs_no_mode() -> None:
    judged = experiment(
        model={"loop": "mine:train"}, objective={"metric": "f1", "mode": "max"}, space={"epochs": 4}
    ).judged
    assert judged == JudgedCurve(metric="val_f1", mode="max")
