"""Asynchronous successive halving: Optuna, Ray Tune, Syne Tune."""

from types import SimpleNamespace

import optuna
import pytest
from ray.tune.schedulers.async_hyperband import _Bracket
from syne_tune.optimizer.schedulers.asha import Bracket
from syne_tune.optimizer.schedulers.legacy_hyperband_promotion import PromotionRungSystem
from syne_tune.optimizer.schedulers.legacy_hyperband_stopping import Rung, StoppingRungSystem

from conftest import POINTS, Adapter, Curves, Judge, R, at_one_rung, drive, stop_if
from hypercurve.stopping.asha import AshaPromotion, AshaStopping
from hypercurve.stopping.brackets import rung_points
from hypercurve.stopping.stopper import Decision

Stream = tuple[Curves, int, int]
FACTORS = [2, 3, 4]


def rungs(factor: int) -> list[float]:
    return [POINTS[k - 1] for k in rung_points(R, factor, 1)]


def ours_at_one_rung(factor: int) -> Judge:
    stopper = AshaStopping([0.5], factor, (0.5, 1.0))
    return lambda trial, loss: stopper.on_report(trial, 0.5, loss) is Decision.CONTINUE


class OptunaAsha(Adapter):
    """The pruner, unchanged."""

    def __init__(self, factor: int):
        self.study = optuna.create_study(
            pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=factor)
        )
        self.trials: dict[int, optuna.Trial] = {}

    def on_start(self, trial: int, configuration: object) -> None:
        self.trials[trial] = self.study.ask()

    def decide(self, trial: int, point: int, loss: float) -> Decision:
        self.trials[trial].report(loss, point)
        pruned = self.trials[trial].should_prune()
        if pruned:
            self.study.tell(self.trials[trial], state=optuna.trial.TrialState.PRUNED)
        return stop_if(pruned)

    def on_complete(self, trial: int, loss: float, performance: float) -> None:
        self.study.tell(self.trials[trial], loss)

    def on_failure(self, trial: int) -> None:
        self.study.tell(self.trials[trial], state=optuna.trial.TrialState.FAIL)


@pytest.mark.parametrize("factor", FACTORS)
def test_the_stopping_form_is_optunas_pruner(stream: Stream, factor: int) -> None:
    ours = drive(AshaStopping(rungs(factor), factor, POINTS), *stream)
    assert ours == drive(OptunaAsha(factor), *stream)
    assert any(what == "stop" for what, _, _ in ours)


@pytest.mark.parametrize("factor", FACTORS)
def test_ray_tune_counts_others_only_and_interpolates_so_whoever_goes_on_here_goes_on_there(factor: int) -> None:
    def theirs() -> Judge:
        bracket = _Bracket(1, 2, factor, 0)
        return lambda trial, loss: bracket.on_result(SimpleNamespace(trial_id=trial), 1, -loss) == "CONTINUE"

    decisions = at_one_rung(lambda: ours_at_one_rung(factor), theirs)
    assert all(there or not here for here, there in decisions)
    assert any(there and not here for here, there in decisions)


@pytest.mark.parametrize("factor", FACTORS)
def test_syne_tunes_bracket_keeps_one_place_more(factor: int) -> None:
    def one_more() -> Judge:
        seen: list[float] = []

        def judge(trial: int, loss: float) -> bool:
            seen.append(loss)  # fewer than floor(n / η) + 1 are lower, where ours has max(1, floor(n / η))
            return sum(other < loss for other in seen) < len(seen) // factor + 1

        return judge

    def theirs() -> Judge:
        bracket = Bracket(1, 2, factor, 0)
        return lambda trial, loss: bracket.on_result(trial, 1, {"loss": loss}) == "CONTINUE"

    decisions = at_one_rung(one_more, theirs)
    assert all(here == there for here, there in decisions)


def exact_quantile(rung: Rung) -> float | None:
    """The loss of the last that is among the best floor(n·q); Syne Tune interpolates between neighbours instead."""
    places = round(len(rung) * rung.prom_quant * 1e9) // 10**9
    return rung.data[places - 1].metric_val if places else None


class SyneStopping(Adapter):
    def __init__(self, factor: int):
        levels = rung_points(R, factor, 1)
        self.system = StoppingRungSystem(levels, [1 / factor] * len(levels), "loss", "min", "point", R)

    def decide(self, trial: int, point: int, loss: float) -> Decision:
        told = self.system.on_task_report(str(trial), {"loss": loss, "point": point}, 0)
        return stop_if(not told["task_continues"])


@pytest.mark.parametrize("factor", FACTORS)
def test_syne_tunes_stopping_form_is_ours_with_an_exact_rank_for_its_quantile(
    monkeypatch: pytest.MonkeyPatch, stream: Stream, factor: int
) -> None:
    monkeypatch.setattr(Rung, "quantile", lambda rung: exact_quantile(rung) or rung.data[0].metric_val)
    assert drive(AshaStopping(rungs(factor), factor, POINTS), *stream) == drive(SyneStopping(factor), *stream)


@pytest.mark.parametrize("factor", FACTORS)
def test_with_its_interpolated_quantile_syne_tune_lets_more_go_on(factor: int) -> None:
    def theirs() -> Judge:
        system = StoppingRungSystem([1], [1 / factor], "loss", "min", "point", 2)
        return lambda trial, loss: system.on_task_report(str(trial), {"loss": loss, "point": 1}, 0)["task_continues"]

    decisions = at_one_rung(lambda: ours_at_one_rung(factor), theirs)
    assert all(there or not here for here, there in decisions)
    assert any(there and not here for here, there in decisions)


class SynePromotion(Adapter):
    """Asked for a promotion after every event, as a free worker would."""

    def __init__(self, factor: int):
        levels = rung_points(R, factor, 1)
        self.system = PromotionRungSystem(levels, [1 / factor] * len(levels), "loss", "min", "point", R)

    def on_start(self, trial: int, configuration: object) -> None:
        self.system.on_task_add(self.name(trial), 0, new_config=True)

    def decide(self, trial: int, point: int, loss: float) -> Decision:
        told = self.system.on_task_report(self.name(trial), {"loss": loss, "point": point}, 0)
        return Decision.CONTINUE if told["task_continues"] else Decision.PAUSE

    def decide_paused(self) -> list[tuple[int, Decision]]:
        told = self.system.on_task_schedule("new")
        if "trial_id" not in told:
            return []
        self.system.on_task_add(
            told["trial_id"], 0, new_config=False, milestone=told["milestone"], resume_from=told["resume_from"]
        )
        return [(int(told["trial_id"]), Decision.CONTINUE)]

    @staticmethod
    def name(trial: int) -> str:
        return f"{trial:04}"


@pytest.mark.parametrize("factor", FACTORS)
def test_syne_tunes_promotion_form_is_ours_with_an_exact_rank_for_its_quantile(
    monkeypatch: pytest.MonkeyPatch, stream: Stream, factor: int
) -> None:
    monkeypatch.setattr(Rung, "quantile", exact_quantile)
    curves, slots, seed = stream
    distinct = [[loss + trial * 1e-6 for loss in curve] for trial, curve in enumerate(curves)]
    ours = drive(AshaPromotion(rungs(factor), factor, POINTS, None), distinct, slots, seed)
    assert ours == drive(SynePromotion(factor), distinct, slots, seed)
    assert any(what == "then continue" for what, _, _ in ours)


@pytest.mark.parametrize("factor", FACTORS)
def test_syne_tune_promotes_equal_losses_together_where_ours_counts_places(
    monkeypatch: pytest.MonkeyPatch, factor: int
) -> None:
    monkeypatch.setattr(Rung, "quantile", exact_quantile)
    curves = [[0.5] * R for _ in range(2 * factor)]
    ours = drive(AshaPromotion([POINTS[0]], factor, POINTS, None), curves, 1, 0, fails=0.0)
    theirs = drive(SynePromotion(factor), curves, 1, 0, fails=0.0)

    def promoted(log: list[tuple[str, int, int]]) -> int:
        return sum(what == "then continue" and point == 1 for what, _, point in log)

    assert promoted(ours) == 2
    assert promoted(theirs) > 2
