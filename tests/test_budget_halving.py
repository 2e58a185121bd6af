"""The stopper `budget_halving` and its record: quotas, ranks, the guard, and what a record may be."""

import itertools
import json
import math
import tarfile
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata, spearmanr

import live_runs
from hypercurve.archive.checking import check_journal
from hypercurve.config.experiment import Experiment
from hypercurve.curves.cost import TrialCost
from hypercurve.curves.record import Record, Task, load_record, save_record
from hypercurve.curves.table import Curve, Curves
from hypercurve.events.encoding import without_wall
from hypercurve.events.journal import JournalError, read_lines
from hypercurve.execution.replay import replay
from hypercurve.records.curve_files import read_curves
from hypercurve.records.prepare import prepare_record, task_of
from hypercurve.search.preselection import forecast
from hypercurve.space.search_space import Space
from hypercurve.stopping.budget_halving import BudgetHalving, BudgetHalvingOptions
from hypercurve.stopping.lcm import LCMOptions, LearningCurveMatching
from hypercurve.stopping.quotas import (
    FEWEST,
    FINALISTS,
    FIRST,
    LEAST,
    STEEPEST,
    WIDEST,
    chosen_of,
    counts_of,
    finalists_of,
    probed_of,
    rungs_of,
    starters,
)
from hypercurve.stopping.ranking import Library, Matcher, correlation, gain, normalised, ranks
from hypercurve.stopping.stopper import Decision, EqualCost, StopContext
from hypercurve.util.errors import UserError
from live_runs import carried_out

SPACE = Space.model_validate(
    {"learning_rate": {"log_uniform": [0.001, 1.0]}, "momentum": {"uniform": [0.0, 1.0]}, "epochs": 5}
)
COSTS = st.sampled_from([0.05, 0.1, 0.15, 0.3, 0.6])
SIZES = st.sampled_from([1, 2, 7, 10, 40, 51, 102])


def evenly(count: int) -> tuple[float, ...]:
    return tuple((k + 1) / count for k in range(count))


# --- quotas ----------------------------------------------------------------------------------------------------------


@given(count=SIZES, cost=COSTS)
def test_rungs_are_points_that_grow_and_leave_a_stretch_to_the_end(count: int, cost: float) -> None:
    points = evenly(count)
    rungs = rungs_of(points, cost)
    assert list(rungs) == sorted(set(rungs))
    assert set(rungs) < set(points)
    assert (count > 1) == bool(rungs)
    if rungs:
        assert rungs[0] == max((p for p in points if p <= FIRST * cost + 1e-9), default=points[0])
        assert all(b / a <= 3 for a, b in pairwise(rungs))


def test_rungs_of_fifty_points_at_three_budgets() -> None:
    assert [[round(50 * rung) for rung in rungs_of(evenly(50), cost)] for cost in (0.1, 0.15, 0.3)] == [
        [1, 2, 4, 8, 16, 32],
        [2, 4, 8, 16, 32],
        [4, 8, 16, 32],
    ]


@given(count=SIZES, cost=COSTS, trials=st.integers(1, 300))
def test_numbers_on_each_leg_fall_and_stay_within_the_budget(count: int, cost: float, trials: int) -> None:
    ends = (*rungs_of(evenly(count), cost), 1.0)
    legs = np.diff([0.0, *ends]).tolist()
    finalists = finalists_of(cost * trials)
    many = starters(trials, legs, cost * trials, finalists)
    counts = counts_of(many, legs, cost * trials, finalists)
    assert list(counts) == sorted(counts, reverse=True)
    assert 1 <= counts[0] == many <= trials
    assert counts[-1] >= min(finalists, many) >= 1
    assert finalists == (FINALISTS if cost * trials >= 3 * FINALISTS - 1e-6 else max(1, int(cost * trials / 3 + 1e-9)))
    spent = float(np.dot(counts, legs))
    if many > 1:
        assert spent <= cost * trials + 1e-6
    if many > 1 and len(legs) > 1:
        assert many * legs[0] <= WIDEST * cost * trials + 1e-6, "what is left pays for more than one look"
    if many == trials and len(legs) > 1 and counts[1] < trials:
        finer = [max(min(finalists, many), round(many / factor ** np.arange(len(legs))[1])) for factor in (1, STEEPEST)]
        assert finer[1] <= counts[1] <= finer[0]


@given(count=SIZES, cost=COSTS, trials=st.integers(1, 300))
def test_what_a_record_chooses_and_what_tests_it_fit_into_the_first_rung(count: int, cost: float, trials: int) -> None:
    chosen = chosen_of(trials, evenly(count), cost)
    probed = probed_of(trials, chosen)
    assert 1 <= chosen <= chosen + probed <= trials
    assert probed <= max(chosen, FEWEST)
    rungs = rungs_of(evenly(count), cost)
    if rungs and chosen > 1:
        assert (chosen + probed) * rungs[0] <= FIRST * cost * trials + 1e-6


# --- ranks and matching ----------------------------------------------------------------------------------------------

VALUES = st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0, math.inf]), min_size=1, max_size=12)


@given(VALUES)
def test_ranks_are_scipys(values: list[float]) -> None:
    assert ranks(np.array(values)).tolist() == rankdata(values).tolist()


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=20))
def test_correlation_is_scipys(pairs: list[tuple[int, int]]) -> None:
    one, other = (np.array(column, float) for column in zip(*pairs, strict=True))
    expected = spearmanr(one, other).statistic if len(set(one)) > 1 < len(set(other)) else 0.0
    assert correlation(one, other) == pytest.approx(expected)


def test_gain_adds_what_was_won_since_half_the_way() -> None:
    curves = np.array([[5.0, 4.0, 4.5, 3.0], [3.0, 3.0, 3.0, 3.0], [1.0, 2.0, 3.0, 4.0]])
    assert gain(curves, (0.1, 0.2, 0.3, 0.4)).tolist() == [2.0, 3.0, 1.0]
    assert gain(curves[:, :1], (0.1,)).tolist() == [5.0, 3.0, 1.0], "with nothing before, the loss itself"


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.integers(1, 5))
def test_the_default_match_predicts_as_the_faithful_rule_does(seed: int, point: int) -> None:
    rng = np.random.default_rng(seed)
    record, curve = rng.random((8, 6)), rng.random(6)
    options = LCMOptions(configurations=8, stopping_rate=0.5, split=0.5, check_points=(0.5,))
    faithful = LearningCurveMatching(options, StopContext(evenly(6)))
    for trial, losses in enumerate(record):
        faithful.on_start(trial, {})
        for progress, loss in zip(evenly(6)[:-1], losses[:-1], strict=True):
            faithful.on_report(trial, progress, float(loss))
        faithful.on_complete(trial, float(losses[-1]), 0.0)
    nearest = faithful._nearest(dict(enumerate(curve[:point].tolist())))
    library = Library(record, np.zeros((8, 1)), np.full(8, 6))
    assert Matcher().predictions(curve[None, :point], np.zeros((1, 1)), library) == [record[nearest, -1]]


def test_each_option_of_a_match_does_what_it_says() -> None:
    nan = math.nan
    levels = np.array([[0.0, 0.0, 0.0, 1.0], [1.0, 0.4, 5.0, 7.0], [9.0, 9.0, 9.0, 9.0], [0.6, 0.6, 0.2, nan]])
    library = Library(levels, np.array([[0.9], [0.8], [0.0], [0.1]]), np.array([4, 4, 4, 3]))
    curve, coded = np.array([[0.6, 0.4]]), np.array([[0.0]])

    def predicted(**options: Any) -> float:
        return float(Matcher(**options).predictions(curve, coded, library)[0])

    assert predicted() == 7.0, "the second is nearest"
    assert predicted(neighbours=2) == 4.0
    assert predicted(predict="difference") == pytest.approx(0.4 + 6.6)
    assert predicted(stopped=True) == pytest.approx(0.2), "the last went further than the candidate, if not to the end"
    assert predicted(stopped=True, predict="difference") == pytest.approx(0.4 - 0.4)
    assert predicted(hyperparameters=1.0) == 9.0, "the third is nearest in the unit cube"
    even = np.array([[0.5, 0.3]])
    far = Library(np.array([[0.5, 0.0, 1.0], [0.1, 0.3, 2.0]]), np.zeros((2, 1)), np.array([3, 3]))
    assert Matcher().predictions(even, coded, far) == [1.0]
    assert Matcher(weights="tail").predictions(even, coded, far) == [2.0]
    wide = Library(np.array([[0.0, 0.4, 1.0], [9.0, 0.3, 2.0], [1.0, 0.8, 3.0]]), np.zeros((3, 1)), np.array([3, 3, 3]))
    assert Matcher().predictions(np.array([[2.0, 0.41]]), coded, wide) == [3.0]
    assert Matcher(scale="step").predictions(np.array([[2.0, 0.41]]), coded, wide) == [1.0]


def test_curves_are_measured_in_units_of_the_first_rung() -> None:
    first = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    assert normalised(first, first).tolist() == [-1.0, -0.5, 0.0, 0.5, 1.0]
    assert normalised(10 * first + 7, 10 * first + 7).tolist() == [-1.0, -0.5, 0.0, 0.5, 1.0]
    assert np.isfinite(normalised(first, np.ones(4))).all(), "no spread, no division"


# --- the stopper -----------------------------------------------------------------------------------------------------


def drive(stopper: BudgetHalving, losses: np.ndarray, slots: int) -> tuple[dict[int, int], float, list[int]]:
    """Train with so many slots, one point of a trial at a time in turn; NaN fails a trial.

    Returns:
        Points reached by each trial that started, cost in full trainings, and trials that came to the end.
    """
    trials, points = losses.shape
    shares = evenly(points)
    going: list[int] = []
    reached: dict[int, int] = {}
    queue: list[int] = []
    done: list[int] = []
    spent, after = 0.0, 0
    while True:
        while len(going) < slots and queue:
            going.append(queue.pop(0))
        while len(going) < slots and after < trials and stopper.can_start(after):
            stopper.on_start(after, {"learning_rate": 0.1, "momentum": 0.5, "epochs": 5})
            going.append(after)
            reached[after] = 0
            after += 1
        if not going:
            return reached, spent, done
        trial = going.pop(0)
        reached[trial] += 1
        spent += 1 / points
        loss = float(losses[trial, reached[trial] - 1])
        if math.isnan(loss):
            stopper.on_failure(trial)
        elif reached[trial] == points:
            stopper.on_complete(trial, loss, loss)
            done.append(trial)
        else:
            decision = stopper.on_report(trial, shares[reached[trial] - 1], loss)
            if decision is Decision.CONTINUE:
                going.append(trial)
            assert decision is not Decision.STOP
        for other, verdict in stopper.decide_paused():
            if verdict is Decision.CONTINUE:
                queue.append(other)


def falling(seed: int, trials: int, points: int, failing: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    level, speed = rng.random((trials, 1)), rng.uniform(0.1, 3, (trials, 1))
    losses: np.ndarray = level + np.exp(-speed * np.arange(points)) + 0.05 * rng.standard_normal((trials, points))
    for trial in np.flatnonzero(rng.random(trials) < failing):
        losses[trial, rng.integers(points) :] = np.nan
    return losses


def stopper(
    trials: int, points: int, cost: float, cost_of: Any = lambda _: EqualCost(), **options: Any
) -> BudgetHalving:
    context = StopContext(evenly(points), trials, space=SPACE, cost_of=cost_of)
    return BudgetHalving(BudgetHalvingOptions(cost=cost, **options), context)


def plainly(losses: np.ndarray, cost: float) -> dict[int, int]:
    """The rule without a record, round by round on the whole table: points reached by each trial."""
    trials, points = losses.shape
    rungs = [round(rung * points) for rung in rungs_of(evenly(points), cost)]
    legs = np.diff([0, *rungs, points]) / points
    left = max(cost * trials, min(LEAST, trials))
    finalists = finalists_of(left)
    alive = list(range(starters(trials, legs.tolist(), left, finalists)))
    reached = dict.fromkeys(alive, 0)
    before = 0
    for number, rung in enumerate([*rungs, points]):
        for trial in alive:
            bad = np.flatnonzero(np.isnan(losses[trial, before:rung]))
            reached[trial] = before + bad[0] + 1 if len(bad) else rung
            left -= (reached[trial] - before) / points
        alive = [trial for trial in alive if not np.isnan(losses[trial, rung - 1])]
        if rung == points or not alive:
            break
        keep = counts_of(len(alive), [0.0, *legs[number + 1 :]], left, finalists)[1]
        if rung == rungs[-1]:
            keep = min(keep, max(1, int(left / (1 - rung / points) + 1e-6)))
        if keep < len(alive):
            low = losses[alive, :rung].min(axis=1)
            half = losses[alive, : rung // 2].min(axis=1) if rung > 1 else low
            score = rankdata(low) + rankdata(2 * low - half)
            order = sorted(range(len(alive)), key=lambda k: (score[k], losses[alive[k], rung - 1], alive[k]))
            alive = sorted(alive[k] for k in order[:keep])
        before = rung
    return reached


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    trials=st.integers(1, 60),
    points=st.sampled_from([1, 2, 7, 16, 50]),
    cost=COSTS,
    failing=st.sampled_from([0.0, 0.3, 1.0]),
    slots=st.sampled_from([1, 8, 64]),
)
def test_decisions_are_those_of_the_rule_written_plainly(
    seed: int, trials: int, points: int, cost: float, failing: float, slots: int
) -> None:
    losses = falling(seed, trials, points, failing)
    reached, spent, done = drive(stopper(trials, points, cost), losses, slots)
    assert reached == plainly(losses, cost)
    if trials * points > 1:
        assert spent <= max(cost * trials, LEAST) + 1 / points + 1e-6
    if failing == 0.0:
        assert done


@pytest.mark.parametrize("trials", [4, 6, 10, 20, 27])
def test_few_trials_are_compared_too(trials: int) -> None:
    """Not one of them trained to its end unseen: most of what a small budget buys is a look at many."""
    reached, spent, done = drive(stopper(trials, 20, 0.15), falling(1, trials, 20), 1)
    assert len(reached) == trials
    assert 1 <= len(done) <= 2
    assert spent <= max(0.15 * trials, LEAST) + 0.05


@dataclass(frozen=True)
class Longer:
    """A training that costs so much, in whole steps."""

    whole: float

    def seconds(self, progress: float) -> float:
        return round(progress * 40) / 40 * self.whole


def test_trials_of_unequal_length_stay_within_the_budget_and_one_gets_to_its_end() -> None:
    """The better a trial, the longer it takes: what is left must pay for the best."""
    losses = falling(5, 100, 13)
    whole = np.where(np.argsort(np.argsort(losses[:, -1])) < 20, 5.0, 1.0)
    asked = itertools.count()  # with one slot, trials start in the order of their numbers
    made = stopper(100, 13, 0.15, cost_of=lambda _: Longer(float(whole[next(asked)])))
    reached, _, done = drive(made, losses, 1)
    spent = sum(Longer(float(whole[trial])).seconds(point / 13) for trial, point in reached.items())
    assert done
    assert spent <= 0.15 * whole.sum()


@pytest.mark.parametrize(("factor", "offset"), [(100.0, 0.0), (1e-3, -5.0)])
def test_losses_of_any_scale_and_sign_give_equal_decisions(factor: float, offset: float) -> None:
    losses = falling(3, 40, 20)
    plain = drive(stopper(40, 20, 0.2), losses, 4)
    assert drive(stopper(40, 20, 0.2), factor * losses + offset, 4) == plain


def test_those_that_never_pause_are_matched_with_and_paid_for() -> None:
    losses = falling(4, 50, 20)
    _, spent, done = drive(stopper(50, 20, 0.2, views=("match",), split=0.06), losses, 4)
    assert {0, 1, 2} <= set(done)
    assert spent <= 10 + 1e-6


# --- records ---------------------------------------------------------------------------------------------------------


def quality(configuration: dict[str, Any]) -> float:
    return float(abs(math.log10(configuration["learning_rate"]) + 1.5) + 0.3 * (configuration["momentum"] - 0.7) ** 2)


def curves(seed: int, count: int = 100, points: int = 20, space: Space = SPACE, name: str = "task") -> Curves:
    """A task whose final loss depends on the configuration; a tenth of the trainings fails at once."""
    rng = np.random.default_rng(seed)
    scale = rng.uniform(1, 50)
    made, found = [], []
    for _ in range(count):
        configuration = space.sample(rng)
        level, fails = quality(configuration), rng.random() < 0.1
        losses = scale * (level + np.exp(-0.4 * np.arange(points)) + 0.02 * rng.standard_normal(points))
        shares = () if fails else evenly(points)
        reports = tuple({"loss": float(loss), "val_loss": float(loss)} for loss in losses[: len(shares)])
        cost = TrialCost(steps=points, batch_size=1, step_seconds=1.0)
        end: tuple[Any, ...] = ("failed", evenly(points)[0], "diverged") if fails else ()
        made.append(configuration)
        found.append(Curve(shares, reports, (0.0,) * len(shares), cost, *end))
    return Curves(name, space, tuple(made), tuple(found))


def record_of(*tables: Curves) -> Record:
    return Record(SPACE.variables, tuple(task_of(table, SPACE, "val_loss", "min", table.name) for table in tables))


def replayed(known: Record | None, repeat: int = 0, few: dict[str, Any] | None = None, **method: Any) -> Any:
    experiment = Experiment.model_validate(
        {
            "model": "recorded",
            "data": {"curves": "curves"},
            "objective": {"metric": "loss", "mode": "min"},
            "budget": {"trials": 100, "cost": 0.1},
            "training": {"accumulation_points": 20},
            "methods": {"method": {"search": "random", **method}},
            **(few or {}),
        }
    )
    return replay(experiment.setting("e", "method"), curves(100, 200), repeat, record=known)


@pytest.mark.slow
def test_a_right_record_keeps_trials_from_starting_and_a_wrong_one_is_dropped() -> None:
    right = record_of(curves(1), curves(2))
    rng = np.random.default_rng(0)
    wrong = Record(
        right.variables,
        tuple(Task(t.name, rng.permutation(t.coded), t.shares, t.losses, t.failed, t.order) for t in right.tasks),
    )
    for repeat in range(5):
        believed = replayed(right, repeat, stop="budget_halving", record=["x"])
        dropped = replayed(wrong, repeat, stop="budget_halving", record=["x"])
        plain = replayed(None, repeat, stop="budget_halving")
        assert believed.trials == 2 * chosen_of(100, evenly(20), 0.1) < plain.trials
        assert dropped.trials == plain.trials
        assert (dropped.cost, dropped.regret) == pytest.approx((plain.cost, plain.regret), abs=0.01)
        assert believed.regret <= plain.regret + 0.01


def test_a_record_that_nothing_can_guard_is_not_even_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(*_: object) -> None:
        raise AssertionError("a forecast was made")

    monkeypatch.setattr("hypercurve.search.preselection.forecast", asked)
    record, few = record_of(curves(1)), {"budget": {"trials": 10, "cost": 0.5}}
    unguarded = replayed(record, stop="budget_halving", record=["x"], few=few)
    plain = replayed(None, stop="budget_halving", few=few)
    assert (unguarded.cost, unguarded.found) == (plain.cost, plain.found)
    with pytest.raises(AssertionError, match="a forecast was made"):
        replayed(record, stop="budget_halving", record=["x"])


def test_with_other_stoppers_the_record_alone_chooses_who_starts() -> None:
    record = record_of(curves(1), curves(2))
    alone = replayed(record, record=["x"], preselect=0.1)
    assert (alone.trials, alone.completed + alone.failed) == (10, 10)
    assert alone.regret < 0.1
    halved = replayed(record, record=["x"], preselect=0.3, stop="halving")
    assert halved.trials == 30
    assert halved.completed >= 1


def test_standing_ranks_ends_and_puts_stopped_ones_by_their_lowest_loss_and_failed_ones_last() -> None:
    nan = math.nan
    losses = np.array([[3.0, 2.0, 1.0], [4.0, 4.0, 2.0], [5.0, 1.5, nan], [nan, nan, nan], [9.0, 8.0, 7.0]])
    failed = np.array([False, False, False, True, False])
    coded, shares = np.zeros((5, 1)), np.array([0.2, 0.5, 1.0])
    by_loss = Task("t", coded, shares, losses, failed, np.array([0, 1, -1, -1, 2]))
    assert by_loss.standing.tolist() == [0.0, 0.5, 0.25, 1.0, 0.75]
    by_objective = Task("t", coded, shares, losses, failed, np.array([2, 0, -1, -1, 1]))
    assert by_objective.standing.tolist() == [0.75, 0.0, 0.25, 1.0, 0.5]
    np.testing.assert_array_equal(by_loss.at((0.1, 0.4, 0.5, 1.0)), losses[:, [0, 0, 1, 2]])


def test_a_forecast_finds_the_order_of_a_sibling_task() -> None:
    record = record_of(curves(1), curves(2), curves(3))
    rng = np.random.default_rng(9)
    pool = [SPACE.sample(rng) for _ in range(100)]
    final, first = forecast(record, np.array([SPACE.encode(c) for c in pool]), 0.05)
    truth = [quality(c) for c in pool]
    assert spearmanr(final, truth).statistic > 0.8
    assert spearmanr(first, truth).statistic > 0.8


def test_a_record_is_read_back_as_it_was_and_another_one_has_another_digest(tmp_path: Path) -> None:
    record = record_of(curves(1), curves(2))
    save_record(record, tmp_path / "record.json")
    again = load_record(tmp_path / "record.json")
    assert again.digest == record.digest
    assert json.dumps(again.dump()) == json.dumps(record.dump())
    assert record_of(curves(1), curves(3)).digest != record.digest
    (tmp_path / "record.json").write_text("{}")
    with pytest.raises(UserError, match="no prepared record"):
        load_record(tmp_path / "record.json")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"momentum": None}, "has no hyperparameter momentum"),
        ({"units": {"integer": [1, 9]}}, "varies units, which the space does not have"),
        ({"epochs": {"integer": [1, 9]}}, "varies epochs, which is .* in the space"),
        ({"learning_rate": {"log_uniform": [10.0, 100.0]}}, "100 of 100 values of learning_rate are outside"),
    ],
    ids=str,
)
def test_a_record_with_another_space_is_refused_and_the_key_named(changes: dict[str, Any], message: str) -> None:
    domains = {k: v for k, v in (SPACE.model_dump(mode="json") | changes).items() if v is not None}
    space = Space.model_validate(domains)
    rng = np.random.default_rng(0)
    cost = TrialCost(steps=1, batch_size=1, step_seconds=1.0)
    table = Curves(
        "other",
        space,
        tuple(space.sample(rng) for _ in range(100)),
        tuple(Curve((1.0,), ({"loss": 1.0},), (0.0,), cost) for _ in range(100)),
    )
    with pytest.raises(UserError, match=rf"other: cannot be a record: .*{message}"):
        task_of(table, SPACE, "val_loss", "min", "other")


# --- runs ------------------------------------------------------------------------------------------------------------


live = partial(live_runs.live, {"trials": 40})


@pytest.mark.slow
def test_a_finished_experiment_is_a_record_from_its_folder_or_archive_and_runs_with_it_resume(tmp_path: Path) -> None:
    first = live(stop="budget_halving")
    folder = tmp_path / "results" / "earlier" / "runs" / "method"
    folder.mkdir(parents=True)
    (folder / "setting.json").write_text(first.model_dump_json())
    (folder / "0").mkdir()
    carried_out(first, folder / "0" / "journal.jsonl")
    with tarfile.open(tmp_path / "earlier.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "results", "results")
    paths = [str(tmp_path / "results" / "earlier"), str(tmp_path / "earlier.tar.gz")]
    second = live(stop="budget_halving", record=paths, slots=3)
    record = prepare_record(second)
    assert record is not None
    one, other = record.tasks
    assert one.standing.tolist() == other.standing.tolist()
    assert len(one.losses) == 40
    assert 0 < (one.order >= 0).sum() < 10, "most were stopped, and count all the same"
    whole = carried_out(second, tmp_path / "whole.jsonl", record)
    lines = (tmp_path / "whole.jsonl").read_bytes().splitlines(keepends=True)
    assert json.loads(lines[0])["record"] == record.digest
    assert len(check_journal(tmp_path / "whole.jsonl", second, 0, record)) == len(lines)
    with pytest.raises(JournalError, match=r"whole\.jsonl:1"):
        check_journal(tmp_path / "whole.jsonl", second, 0)
    for cut in range(0, len(lines), 7):
        torn = tmp_path / "torn.jsonl"
        torn.write_bytes(b"".join(lines[:cut]))
        again = carried_out(second, torn, record)
        assert again.trials == whole.trials
        assert [*map(without_wall, read_lines(torn)[0])] == [*map(without_wall, map(json.loads, lines))]


def test_a_broken_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "earlier.tar.gz").write_bytes(b"no archive")
    with pytest.raises(UserError, match=r"earlier\.tar\.gz: cannot be read"):
        prepare_record(live(stop="budget_halving", record=[str(tmp_path / "earlier.tar.gz")]))


def test_runs_within_the_folder_that_is_replayed_are_no_record_of_it_stopped_ones_included(tmp_path: Path) -> None:
    folder = tmp_path / "results" / "earlier" / "runs"
    for name, stop in (("random", None), ("budget_halving", "budget_halving")):
        setting = live() if stop is None else live(stop=stop)
        (folder / name / "0").mkdir(parents=True)
        (folder / name / "setting.json").write_text(setting.model_dump_json())
        carried_out(setting, folder / name / "0" / "journal.jsonl")
    played = read_curves(tmp_path / "results" / "earlier")
    for path in (folder / "random", folder / "budget_halving"):
        setting = live(stop="budget_halving", record=[str(path)])
        with pytest.raises(UserError, match="nothing is left without the trainings that are played"):
            prepare_record(setting, played)
        assert prepare_record(setting) is not None
