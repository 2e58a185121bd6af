"""Stoppers against their rules, written out a second time as plainly as possible: everything is sorted anew each time."""

import doctest
import math
import random
from fractions import Fraction
from pathlib import Path
from statistics import fmean, median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypercurve.analysis.figures.best import best_so_far
from hypercurve.results.runs import read_run
from hypercurve.stopping import brackets
from hypercurve.stopping.asha import AshaPromotion, AshaStopping
from hypercurve.stopping.brackets import Bracket, Rung, floor_log, halving, hyperband, rung_points
from hypercurve.stopping.halving import SuccessiveHalving
from hypercurve.stopping.lowest import Lowest
from hypercurve.stopping.median import MedianOptions, MedianStopping
from hypercurve.stopping.patience import Patience, PatienceOptions
from hypercurve.stopping.stopper import Decision, StopContext, Stopper
from pairs import pairs
from test_runs import events, run, setting

pytestmark = pytest.mark.slow

R = 12
POINTS = tuple(k / R for k in range(1, R + 1))
LOSSES = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])  # with ties


def test_examples_in_docstrings_are_true() -> None:
    outcome = doctest.testmod(brackets)
    assert outcome.failed == 0
    assert outcome.attempted >= 4


# --- brackets --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", [2, 3, 4, 5, 7, 10])
def test_logarithms_lose_no_rung_to_rounding(base: int) -> None:
    for exponent in range(1, 25):
        power = base**exponent
        assert [floor_log(value, base) for value in (power - 1, power, power + 1)] == [exponent - 1, exponent, exponent]
    assert math.floor(math.log(243, 3)) == 4, "which is why"


@pytest.mark.parametrize(
    ("resource", "factor", "sizes"), [(243, 3, [243, 98, 41, 18, 9, 6]), (1000, 10, [1000, 134, 20, 4])]
)
def test_hyperband_has_all_its_brackets_where_floating_point_logarithms_lose_one(
    resource: int, factor: int, sizes: list[int]
) -> None:
    found = hyperband(resource, factor)
    assert [bracket.size for bracket in found] == sizes
    assert [rung.point for rung in found[0].rungs] == [factor**k for k in range(len(sizes) - 1)]
    assert found[-1].rungs == (), "the last trains all to the end"


def test_hyperband_is_the_papers_table() -> None:
    # Li et al. 2018, Table 1: R = 81, η = 3; (n_i, r_i) of each bracket, with n from Algorithm 1
    table = [
        [(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)],
        [(34, 3), (11, 9), (3, 27), (1, 81)],
        [(15, 9), (5, 27), (1, 81)],
        [(8, 27), (2, 81)],
        [(5, 81)],
    ]
    rows = [
        list(zip([b.size, *(r.keep for r in b.rungs)], [*(r.point for r in b.rungs), 81], strict=True))
        for b in hyperband(81, 3)
    ]
    assert rows == table


@given(resource=st.integers(1, 5000), factor=st.integers(2, 12))
def test_hyperband_is_algorithm_1_in_exact_fractions(resource: int, factor: int) -> None:
    most = max(s for s in range(14) if factor**s <= resource)
    expected = []
    for s in range(most, -1, -1):
        n = math.ceil(Fraction((most + 1) * factor**s, s + 1))
        r = Fraction(resource, factor**s)
        rungs = tuple(Rung(math.floor(r * factor**i), math.floor(Fraction(n, factor ** (i + 1)))) for i in range(s))
        expected.append(Bracket(n, rungs))
    assert hyperband(resource, factor) == expected
    for bracket in expected:
        points = [rung.point for rung in bracket.rungs]
        assert points == sorted(set(points))
        assert all(1 <= point < resource for point in points)
        assert all(rung.keep >= 1 for rung in bracket.rungs)


@given(size=st.integers(1, 500), resource=st.integers(1, 300), factor=st.integers(2, 6), first=st.integers(1, 40))
def test_halving_keeps_one_in_eta_and_somebody_at_every_rung(size: int, resource: int, factor: int, first: int) -> None:
    bracket = halving(size, resource, factor, first)
    points = [rung.point for rung in bracket.rungs]
    assert points == [first * factor**k for k in range(20) if first * factor**k < resource]
    assert [rung.keep for rung in bracket.rungs] == [max(1, size // factor**k) for k in range(1, len(points) + 1)]


# --- synchronous halving ---------------------------------------------------------------------------------------------


def drive(stopper: Stopper, curves: list[list[float]], slots: int, seed: int) -> tuple[dict[int, int], list[int]]:
    """Train trials as far as they are let, in random order. NaN fails a trial.

    Returns:
        At how many points each trial ended, and the trials that completed, in order.
    """
    draw = random.Random(seed)
    at: dict[int, int] = {}
    going: list[int] = []
    resuming: list[int] = []
    ends: dict[int, int] = {}
    complete: list[int] = []
    following = 0
    while True:
        while len(going) < slots and resuming:
            going.append(resuming.pop(0))
        while len(going) < slots and following < len(curves):
            going.append(following)
            at[following] = 0
            stopper.on_start(following, {})
            following += 1
        if not going:
            return ends, complete
        trial = draw.choice(going)
        at[trial] += 1
        loss = curves[trial][at[trial] - 1]
        if math.isnan(loss):
            stopper.on_failure(trial)
            going.remove(trial)
            ends[trial] = at[trial]
        elif at[trial] == R:
            stopper.on_complete(trial, loss, -loss)
            going.remove(trial)
            ends[trial] = R
            complete.append(trial)
        else:
            decision = stopper.on_report(trial, POINTS[at[trial] - 1], loss)
            if decision is not Decision.CONTINUE:
                going.remove(trial)
            if decision is Decision.STOP:
                ends[trial] = at[trial]
        for other, verdict in stopper.decide_paused():
            if verdict is Decision.CONTINUE:
                resuming.append(other)
            else:
                ends[other] = at[other]


def textbook_halving(curves: list[list[float]], bracket: Bracket, first: int, size: int) -> dict[int, int]:
    """Where the trials of one bracket end; all are trained rung by rung."""
    alive, ends = list(range(first, first + size)), {}
    for point, keep in [*bracket.rungs, Rung(R, len(curves))]:
        for trial in list(alive):
            failed = [k for k in range(point) if math.isnan(curves[trial][k])]
            if failed:
                alive.remove(trial)
                ends[trial] = failed[0] + 1
        share = keep if point == R or size == bracket.size else max(1, keep * size // bracket.size)
        best = sorted(alive, key=lambda trial: (curves[trial][point - 1], trial))[:share]
        ends |= {trial: point for trial in alive if trial not in best}
        alive = best
    return ends | dict.fromkeys(alive, R)


CURVES = st.integers(1, 40).flatmap(
    lambda n: st.lists(
        st.lists(LOSSES | st.just(math.nan) if n % 2 else LOSSES, min_size=R, max_size=R), min_size=n, max_size=n
    )
)


@given(curves=CURVES, slots=st.sampled_from([1, 3, 16]), seed=st.integers(0, 99), which=st.integers(0, 4))
def test_halving_is_the_textbook_form_in_whatever_order_reports_come(
    curves: list[list[float]], slots: int, seed: int, which: int
) -> None:
    chosen = [
        [halving(len(curves), R, 3, first=1)],
        [halving(9, R, 2, first=2)],
        hyperband(R, 3),
        hyperband(R, 2),
        [brackets.fixed(10, 3, 2)],
    ][which]
    ends, complete = drive(SuccessiveHalving(chosen, POINTS, len(curves)), curves, slots, seed)
    expected: dict[int, int] = {}
    first = number = 0
    while first < len(curves):
        bracket = chosen[number % len(chosen)]
        size = min(bracket.size, len(curves) - first)
        expected |= textbook_halving(curves, bracket, first, size)
        first, number = first + size, number + 1
    assert ends == expected
    assert sorted(complete) == [t for t, end in sorted(expected.items()) if end == R and not math.isnan(curves[t][-1])]


def test_a_bracket_that_waits_for_its_slowest_leaves_its_slots_to_the_next() -> None:
    stopper = SuccessiveHalving([Bracket(2, (Rung(3, 1),))], POINTS, None)
    for trial in range(4):
        stopper.on_start(trial, {})
    for point in POINTS[:2]:
        for trial in (0, 2, 3):
            assert stopper.on_report(trial, point, 1.0) is Decision.CONTINUE
    assert stopper.on_report(0, POINTS[2], 1.0) is Decision.PAUSE
    assert stopper.decide_paused() == [], "trial 1 is still at the start"
    assert stopper.on_report(3, POINTS[2], 0.5) is Decision.PAUSE
    assert stopper.on_report(2, POINTS[2], 0.5) is Decision.PAUSE
    assert stopper.decide_paused() == [(2, Decision.CONTINUE), (3, Decision.STOP)], "a tie: the lower number"
    stopper.on_failure(1)
    assert stopper.decide_paused() == [(0, Decision.CONTINUE)]


# --- asynchronous halving --------------------------------------------------------------------------------------------


@given(curves=CURVES, slots=st.sampled_from([1, 3, 16]), seed=st.integers(0, 99), factor=st.sampled_from([2, 3, 4]))
def test_asha_stops_by_rank_among_all_so_far(curves: list[list[float]], slots: int, seed: int, factor: int) -> None:
    rungs = [POINTS[k - 1] for k in rung_points(R, factor, 1)]

    class Textbook(Stopper):
        def __init__(self) -> None:
            self.seen: dict[float, list[float]] = {}

        def on_report(self, trial: int, progress: float, loss: float) -> Decision:
            if progress not in rungs:
                return Decision.CONTINUE
            seen = self.seen.setdefault(progress, [])
            seen.append(loss)
            rank = 1 + sum(other < loss for other in seen)
            return Decision.CONTINUE if rank <= max(1, len(seen) // factor) else Decision.STOP

    assert drive(AshaStopping(rungs, factor, POINTS), curves, slots, seed) == drive(Textbook(), curves, slots, seed)


@given(curves=CURVES, slots=st.sampled_from([1, 3, 16]), seed=st.integers(0, 99), factor=st.sampled_from([2, 3, 4]))
def test_asha_promotes_as_algorithm_2_does(curves: list[list[float]], slots: int, seed: int, factor: int) -> None:
    rungs = [POINTS[k - 1] for k in rung_points(R, factor, 1)]

    class Textbook(AshaPromotion):
        """`get_job` of the paper, asked after every event; see its Algorithm 2 for the names."""

        def __init__(self) -> None:
            self.rung: dict[float, list[tuple[float, int]]] = {point: [] for point in rungs}
            self.promoted: dict[float, set[int]] = {point: set() for point in rungs}

        def on_start(self, trial: int, configuration: object) -> None: ...
        def on_complete(self, trial: int, loss: float, performance: float) -> None: ...
        def on_failure(self, trial: int) -> None: ...

        def on_report(self, trial: int, progress: float, loss: float) -> Decision:
            if progress not in rungs:
                return Decision.CONTINUE
            self.rung[progress].append((loss, trial))
            return Decision.PAUSE

        def decide_paused(self) -> list[tuple[int, Decision]]:
            for point in reversed(rungs):
                candidates = sorted(self.rung[point])[: len(self.rung[point]) // factor]
                promotable = [trial for _, trial in candidates if trial not in self.promoted[point]]
                if promotable:
                    self.promoted[point].add(promotable[0])
                    return [(promotable[0], Decision.CONTINUE)]
            return []

    ours, theirs = AshaPromotion(rungs, factor, POINTS, None), Textbook()
    assert drive(ours, curves, slots, seed) == drive(theirs, curves, slots, seed)


@given(curves=CURVES, slots=st.sampled_from([1, 3, 16]), seed=st.integers(0, 99))
def test_where_trials_end_promotion_brings_one_to_its_end_and_leaves_nobody_waiting(
    curves: list[list[float]], slots: int, seed: int
) -> None:
    ends, complete = drive(AshaPromotion([POINTS[0], POINTS[3]], 4, POINTS, len(curves)), curves, slots, seed)
    assert sorted(ends) == list(range(len(curves)))
    assert complete or all(any(math.isnan(loss) for loss in curve[: ends[t]]) for t, curve in enumerate(curves))


# --- the median rule, patience ---------------------------------------------------------------------------------------


@given(curves=CURVES, slots=st.sampled_from([1, 3, 16]), seed=st.integers(0, 99), first=st.sampled_from([1, 4]))
def test_the_median_rule_is_the_papers(curves: list[list[float]], slots: int, seed: int, first: int) -> None:
    class Textbook(MedianStopping):
        def __init__(self) -> None:
            self.curves: dict[int, list[float]] = {}
            self.complete: list[list[float]] = []

        def on_start(self, trial: int, configuration: object) -> None:
            self.curves[trial] = []

        def on_report(self, trial: int, progress: float, loss: float) -> Decision:
            self.curves[trial].append(loss)
            k = len(self.curves[trial])
            if k < first or len(self.complete) < 2:
                return Decision.CONTINUE
            middle = median(fmean(curve[:k]) for curve in self.complete)
            return Decision.STOP if min(self.curves[trial]) > middle + 1e-12 else Decision.CONTINUE

        def on_complete(self, trial: int, loss: float, performance: float) -> None:
            self.complete.append(self.curves[trial])

        def on_failure(self, trial: int) -> None: ...

    options = MedianOptions(first_check=first, warmup=2)
    assert drive(MedianStopping(options, StopContext(POINTS)), curves, slots, seed) == drive(
        Textbook(), curves, slots, seed
    )


@given(curve=st.lists(LOSSES, min_size=R, max_size=R), points=st.integers(1, 4), margin=st.sampled_from([0.0, 0.25]))
def test_patience_ends_when_nothing_improves(curve: list[float], points: int, margin: float) -> None:
    rule = Patience(PatienceOptions(points=points, margin=margin), StopContext(POINTS))
    ends, _ = drive(rule, [curve], 1, 0)
    end, best, wait = R, math.inf, 0
    for number, loss in enumerate(curve[:-1], start=1):
        wait = 0 if loss < best - margin else wait + 1
        best = loss if wait == 0 else best
        if wait >= points:
            end = number
            break
    assert ends == {0: end}


@given(losses=st.lists(st.floats(-5, 5), min_size=1, max_size=60), factor=st.integers(1, 5))
def test_the_lowest_of_a_growing_set_are_those_of_sorting(losses: list[float], factor: int) -> None:
    lowest, low = Lowest(), set[int]()
    for trial, loss in enumerate(losses):
        count = (trial + 1) // factor
        entered = lowest.add(loss, trial, count)
        now = {t for _, t in sorted((other, t) for t, other in enumerate(losses[: trial + 1]))[:count]}
        assert {entered} == now - low or (entered is None and now == low)
        low = now
        if count:
            assert lowest.highest == max((losses[t], t) for t in low)


# --- runs ------------------------------------------------------------------------------------------------------------

STOPS = [
    "halving",
    {"hyperband": {"reduction_factor": 2}},
    "asha",
    {"asha": {"form": "stopping"}},
    {"median": {"warmup": 2}},
    {"fixed": {"share": 0.2}},
    {"patience": {"points": 1}},
]


@pytest.mark.parametrize(
    ("search", "stop", "slots"), pairs(["random", {"grid": {"points": 2}}], STOPS, [1, 4, 16]), ids=str
)
def test_a_run_cut_at_any_line_ends_with_the_same_journal(
    tmp_path: Path, search: object, stop: object, slots: int
) -> None:
    given = setting(search=search, stop=stop, slots=slots, budget={"trials": 14})
    state = run(given, tmp_path / "whole.jsonl")
    assert {trial.status for trial in state.trials.values()} <= {"completed", "stopped", "failed"}
    lines = (tmp_path / "whole.jsonl").read_bytes().splitlines(keepends=True)
    for count in range(0, len(lines), 3):
        (tmp_path / "cut.jsonl").write_bytes(b"".join(lines[:count]))
        run(given, tmp_path / "cut.jsonl")
        assert events(tmp_path / "cut.jsonl") == events(tmp_path / "whole.jsonl"), f"cut after line {count}"


@pytest.mark.parametrize("stop", [{"halving": {"configurations": 9}}, "hyperband", *STOPS[2:5]], ids=str)
def test_budgets_in_samples_hold_and_paused_trials_count_as_stopped(tmp_path: Path, stop: object) -> None:
    given = setting(stop=stop, slots=3, budget={"samples": 6e4})
    state = run(given, tmp_path / "journal.jsonl")
    assert state.ended == "samples"
    assert 0.8 * 6e4 < state.samples <= 6e4
    assert state.samples == sum(trial.cost_of.trained(trial.progress) for trial in state.trials.values())
    assert {trial.status for trial in state.trials.values()} <= {"completed", "stopped", "failed"}


@pytest.mark.parametrize("stop", STOPS, ids=str)
def test_records_for_tables_and_figures_are_the_runs_state(tmp_path: Path, stop: object) -> None:
    state = run(setting(stop=stop, slots=4), tmp_path / "journal.jsonl")
    record = read_run(tmp_path / "journal.jsonl")
    for number, trial in state.trials.items():
        read = record.trials[number]
        assert (read.status, read.progress, read.cost, read.paused) == (
            trial.status,
            trial.progress,
            trial.cost,
            trial.paused,
        )
        assert read.cost == pytest.approx(trial.cost_of.seconds(trial.progress), abs=1e-9)
    spent = best_so_far(record, setting().objective, virtual=True)[2]
    assert spent == pytest.approx(record.cost), "no second of a pause is counted"
