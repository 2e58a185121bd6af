"""The median rule: Optuna, Ray Tune."""

from collections.abc import Callable
from statistics import fmean

import optuna
import pytest
from ray.tune.schedulers import MedianStoppingRule

from conftest import POINTS, STREAMS, Adapter, Curves, drive, random_stream, stop_if
from hypercurve.stopping.median import MedianOptions, MedianStopping
from hypercurve.stopping.stopper import Decision, StopContext

Stream = tuple[Curves, int, int]
WARMUP = 4


def ours_from(first: int) -> MedianStopping:
    return MedianStopping(MedianOptions(first_check=first, warmup=WARMUP), StopContext(POINTS))


class OptunaMedian(Adapter):
    """The pruner. It compares with the *values* of completed trials at this point; the paper, and we, with running means.

    Args:
        running_means: give the pruner running means in place of completed trials' values, which makes up the difference.
    """

    def __init__(self, first: int, running_means: bool):
        pruner = optuna.pruners.MedianPruner(n_startup_trials=WARMUP, n_warmup_steps=first)
        self.study = optuna.create_study(pruner=pruner)
        self.trials: dict[int, optuna.Trial] = {}
        self.curves: dict[int, list[float]] = {}
        self.running_means = running_means

    def on_start(self, trial: int, configuration: object) -> None:
        self.trials[trial], self.curves[trial] = self.study.ask(), []

    def decide(self, trial: int, point: int, loss: float) -> Decision:
        self.curves[trial].append(loss)
        self.trials[trial].report(loss, point)
        pruned = self.trials[trial].should_prune()
        if pruned:
            self.on_failure(trial)
        return stop_if(pruned)

    def on_complete(self, trial: int, loss: float, performance: float) -> None:
        if not self.running_means:
            self.study.tell(self.trials[trial], loss)
            return
        self.on_failure(trial)
        curve = self.curves[trial]
        means = {k: fmean(curve[:k]) for k in range(1, len(curve) + 1)}
        self.study.add_trial(optuna.trial.create_trial(value=loss, intermediate_values=means))

    def on_failure(self, trial: int) -> None:
        self.study.tell(self.trials[trial], state=optuna.trial.TrialState.FAIL)


class RayMedian(Adapter):
    """Ray Tune's rule, asked about a trial beside those that are complete.

    It would count all that have come as far, running and stopped ones as well; the paper, and we, completed ones.
    """

    def __init__(self, everybody: bool = False):
        self.results: dict[int, list[dict[str, float]]] = {}
        self.complete: set[int] = set()
        self.everybody = everybody

    def on_start(self, trial: int, configuration: object) -> None:
        self.results[trial] = []

    def decide(self, trial: int, point: int, loss: float) -> Decision:
        rule = MedianStoppingRule("point", "loss", "min", grace_period=1, min_samples_required=WARMUP)
        result = {"point": point, "loss": loss}
        others = self.results if self.everybody else self.complete
        rule._results.update({t: list(self.results[t]) for t in others if t != trial and self.results[t]})
        rule._results[trial] = list(self.results[trial])
        self.results[trial].append(result)
        rule._on_insufficient_samples = lambda *_: "CONTINUE"
        return stop_if(rule.on_trial_result(None, Named(trial), result) == "STOP")

    def on_complete(self, trial: int, loss: float, performance: float) -> None:
        self.complete.add(trial)


class Named(int):
    """A trial's number that has a name, as Ray Tune's trials have."""

    @property
    def trial_id(self) -> str:
        return str(int(self))


@pytest.mark.parametrize("first", [1, 5])
def test_given_running_means_optunas_pruner_decides_alike(stream: Stream, first: int) -> None:
    ours = drive(ours_from(first), *stream)
    assert ours == drive(OptunaMedian(first, running_means=True), *stream)
    assert any(what == "stop" for what, _, _ in ours)


def test_asked_beside_completed_trials_ray_tunes_rule_decides_alike(stream: Stream) -> None:
    assert drive(ours_from(1), *stream) == drive(RayMedian(), *stream)


@pytest.mark.parametrize("theirs", [lambda: OptunaMedian(1, running_means=False), lambda: RayMedian(everybody=True)])
def test_on_values_at_the_point_or_beside_all_trials_they_decide_otherwise(theirs: Callable[[], Adapter]) -> None:
    streams = [random_stream(seed) for seed in STREAMS]
    others = [drive(ours_from(1), *given) != drive(theirs(), *given) for given in streams]
    assert sum(others) > len(streams) / 4
