"""What is counted is training: each epoch, or optimizer step, is reported once, and nobody is stopped who has none left."""

from collections.abc import Iterator
from typing import Any

import pytest

import hypercurve
from hypercurve.config.experiment import Experiment
from hypercurve.curves.cost import TrialCost, distinct_points, step_at
from hypercurve.events.events import Completed, Reported, Started
from hypercurve.execution.serial import execute
from hypercurve.runs.run import Run
from hypercurve.stopping.lcm import LCMOptions, LearningCurveMatching
from hypercurve.stopping.median import MedianOptions, MedianStopping
from hypercurve.stopping.patience import Patience, PatienceOptions
from hypercurve.stopping.stopper import Decision, StopContext, Stopper
from hypercurve.testing.contract import method
from hypercurve.training.synthetic import SyntheticTrainer

TEN = tuple(k / 10 for k in range(1, 11))
STOPPERS = [
    "patience",
    "asha",
    {"asha": {"form": "stopping"}},
    "hyperband",
    "halving",
    "median",
    "lcm",
    "budget_halving",
]
STOPPERS += [{"fixed": {"share": 0.1}}]


def better_every_epoch(h: dict[str, Any], context: Any) -> Iterator[dict[str, float]]:
    for epoch in range(context.epochs):
        yield {"loss": h["x"] + 1 / (epoch + 1)}


@pytest.mark.parametrize("total", [*range(1, 40), 1000])
@pytest.mark.parametrize("points", [TEN, (0.05, 0.5, 0.95, 1.0), (0.01, 1.0), (1.0,)])
def test_points_are_at_distinct_steps_and_those_that_were_stay(points: tuple[float, ...], total: int) -> None:
    found = distinct_points(points, total)
    steps = [step_at(point, total) for point in found]
    assert steps == sorted(set(steps)) == sorted({step_at(point, total) for point in points} | {total})
    assert found[-1] == 1
    assert set(found) <= set(points)
    if len({step_at(point, total) for point in points}) == len(points):
        assert found == points


def test_what_was_trained_is_what_it_costs() -> None:
    assert TrialCost(3, 10, 2.0).seconds(0.1) == 2.0, "an epoch at least, as it was trained"
    assert TrialCost(3, 10, 2.0).trained(0.1) == 10
    assert TrialCost(3, 10, 2.0).seconds(0) == 0


@pytest.mark.parametrize("epochs", [1, 2, 3, 5, 7, 10, 23])
def test_patience_sees_an_epoch_once(epochs: int) -> None:
    found = hypercurve.tune(
        better_every_epoch, {"x": {"uniform": [0.0, 1.0]}, "epochs": epochs}, trials=6, stop="patience"
    )
    assert found.trials["status"].tolist() == ["completed"] * 6
    assert len(found.chosen) == 1
    progress = found.curves.groupby("trial")["progress"].apply(list)
    assert all(len(one) == min(epochs, 10) for one in progress)


def test_patience_still_stops_what_does_not_improve() -> None:
    def worse(h: dict[str, Any], context: Any) -> Iterator[float]:
        yield from (h["x"] + epoch for epoch in range(context.epochs))

    found = hypercurve.tune(
        worse, {"x": {"uniform": [0.0, 1.0]}, "epochs": 5}, trials=3, stop={"patience": {"points": 2}}
    )
    assert found.trials["status"].tolist() == ["stopped"] * 3
    assert found.trials["cost"].tolist() == pytest.approx([3e-4] * 3), "the best epoch and two without improvement"


@pytest.mark.parametrize("stop", STOPPERS, ids=str)
def test_nobody_is_stopped_who_has_nothing_left_to_train(stop: Any) -> None:
    methods = {"random": {"search": "random"}, "stopped": {"search": "random", "stop": stop, "slots": 3}}
    found = hypercurve.tune(better_every_epoch, {"x": {"uniform": [0.0, 1.0]}, "epochs": 1}, trials=12, methods=methods)
    assert set(found.trials["status"]) == {"completed"}
    started = found.trials.groupby("method")["cost"].agg(["count", "sum"])
    assert started["count"]["random"] == 12
    assert started["sum"].tolist() == pytest.approx((started["count"] * 1e-4).tolist()), "as much as was trained"


@pytest.mark.parametrize("stop", STOPPERS, ids=str)
def test_costs_are_the_epochs_that_were_trained_where_their_number_varies(stop: Any) -> None:
    trained: dict[float, int] = {}

    def train(h: dict[str, Any], context: Any) -> Iterator[float]:
        for epoch in range(context.epochs):
            trained[h["x"]] = epoch + 1
            yield h["x"] + 1 / (epoch + 1)

    space = {"x": {"uniform": [0.0, 1.0]}, "epochs": {"choice": [1, 2, 3, 4, 5, 12], "ordered": True}}
    trials = hypercurve.tune(train, space, trials=30, stop=stop).trials
    assert len(trials) == len(trained) or not trials["x"].isin(trained).all(), "of the others none was begun"
    for _, row in trials.iterrows():
        assert row["cost"] == pytest.approx(trained[row["x"]] * 1e-4)
        assert row["status"] == "completed" or trained[row["x"]] < row["epochs"]


def test_networks_with_fewer_steps_than_points_report_at_distinct_steps() -> None:
    setting = method("random", "asha", slots=3, epochs=0.3)  # 9 steps of 1000 samples, or 5
    run = Run(setting, 0, samples=1000, data="none")
    execute(run, SyntheticTrainer(), None)
    assert {len(trial.points) for trial in run.trials.values()} == {5, 9}
    for trial in run.trials.values():
        steps = [step_at(point, trial.cost_of.steps) for point in trial.points]
        assert steps == list(range(1, trial.cost_of.steps + 1))
        assert trial.cost == pytest.approx(trial.cost_of.seconds(trial.progress))


def reports(stopper: Stopper, trial: int, losses: dict[float, float]) -> list[Decision]:
    """What a trial with these losses is told, up to the first that is not to go on."""
    stopper.on_start(trial, {})
    said: list[Decision] = []
    for progress, loss in losses.items():
        if progress < 1:
            said.append(stopper.on_report(trial, progress, loss))
            if said[-1] is not Decision.CONTINUE:
                return said
    if 1.0 in losses:
        stopper.on_complete(trial, losses[1.0], -losses[1.0])
    return said


class TestPointsWithoutALoss:
    def test_patience_does_not_count_them(self) -> None:
        stopper = Patience(PatienceOptions(points=2), StopContext(TEN))
        assert reports(stopper, 0, {0.1: 1.0, 0.4: 2.0}) == [Decision.CONTINUE] * 2
        assert stopper.next_check(0, 0.4) == 0.5
        assert stopper.on_report(0, 0.9, 2.0) is Decision.STOP

    def test_the_median_rule_carries_means_on(self) -> None:
        stopper = MedianStopping(MedianOptions(warmup=1), StopContext(TEN))
        reports(stopper, 0, {0.2: 4.0, 0.6: 2.0, 1.0: 1.0})
        assert reports(stopper, 1, {0.1: 9.0, 0.4: 4.5}) == [Decision.CONTINUE, Decision.STOP]
        assert reports(stopper, 2, {0.7: 3.5}) == [Decision.STOP], "above the mean of 4 and 2"

    @pytest.mark.parametrize("distance", ["euclidean", "manhattan", "dtw"])
    def test_lcm_compares_where_both_have_one_and_checks_late_ones_late(self, distance: str) -> None:
        options = LCMOptions(configurations=2, split=0.5, stopping_rate=0.5, check_points=(0.1, 0.3), distance=distance)
        stopper = LearningCurveMatching(options, StopContext(TEN))
        bad = {point: 5.0 + 10 * point for point in TEN}
        good = {point: 3.0 - 2 * point for point in TEN if point >= 0.3}  # its reward came late
        reports(stopper, 0, bad)
        reports(stopper, 1, good)
        assert reports(stopper, 2, {0.2: 7.1}) == [Decision.STOP], "checked at 0.2 for 0.1; only one curve has begun"
        assert reports(stopper, 3, {0.4: 2.2, 0.6: 1.8}) == [Decision.CONTINUE] * 2
        assert reports(stopper, 4, {0.3: 8.0, 0.4: 9.0}) == [Decision.STOP]
        assert stopper.next_check(9, 0.0) == 0.1


def journal_of(experiment: dict[str, Any]) -> list[Any]:
    setting = Experiment.model_validate(experiment).setting("few", "asha")
    run, lines = Run(setting, 0, samples=0, data="none"), []
    lines.append(run.start())
    while (due := run.due()) is not None:
        if due.progress == 0:
            lines.append(run.step(Started(due.trial)))
        elif due.progress == 1:
            lines.append(run.step(Completed(due.trial, {"loss": 1.0 * due.trial, "val_loss": 1.0})))
        else:
            lines.append(run.step(Reported(due.trial, due.progress, {"loss": 1.0 * due.trial})))
    return lines


def test_a_rung_is_passed_with_the_first_loss_at_or_after_it() -> None:
    lines = journal_of(
        {
            "model": {"loop": "m:train"},
            "objective": {"metric": "loss"},
            "space": {"x": {"uniform": [0.0, 1.0]}, "epochs": 3},
            "curve": "loss",
            "budget": {"trials": 9},
            "methods": {"asha": {"search": "random", "stop": "asha"}},
        }
    )
    points = {line.event.progress for line in lines[1:]} - {0.0}
    assert points == {0.4, 0.7, 1.0}
    paused = [line.event.progress for line in lines[1:] for action in line.actions if type(action).__name__ == "Pause"]
    assert paused == [0.4] * 9, "rungs at 0.1 and 0.3 are one epoch; that at 0.9 is the end"
