"""Learning Curve Matching against the seeds' text, written out a second time as plainly as possible."""

import math
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from hypercurve.stopping.lcm import DISTANCES, LCMOptions, LearningCurveMatching
from hypercurve.stopping.stopper import Decision, StopContext

POINTS = (0.1, 0.2, 0.4, 0.7, 1.0)


def stopper(mode: Literal["min", "max"] = "max", **changes: object) -> LearningCurveMatching:
    options = {"configurations": 20, "check_points": (0.1, 0.4), **changes}
    return LearningCurveMatching(LCMOptions.model_validate(options), StopContext(POINTS, mode=mode))


def train(lcm: LearningCurveMatching, trial: int, curve: list[float], performance: float) -> float:
    """Train one trial as far as it is let; returns the progress at which it ended."""
    lcm.on_start(trial, {})
    for progress, loss in zip(POINTS[:-1], curve[:-1], strict=True):
        if lcm.on_report(trial, progress, loss) is Decision.STOP:
            return progress
    lcm.on_complete(trial, curve[-1], performance)
    return 1.0


def textbook(
    curves: np.ndarray, performances: list[float], n: int, s: float, r: float, checks: tuple[float, ...]
) -> list[float]:
    """Algorithm 1 with lists and loops: where each trial ends."""
    record: list[tuple[list[float], float]] = []
    ends = []
    for curve, performance in zip(curves.tolist(), performances, strict=True):
        check_trigger = len(record) > n * r
        end = 1.0
        for index, progress in enumerate(POINTS[:-1]):
            if not (check_trigger and progress in checks):
                continue
            so_far = curve[: index + 1]
            nearest = min(record, key=lambda entry: math.dist(so_far, entry[0][: index + 1]))
            rank = 1 + sum(other > nearest[1] for _, other in record)
            if rank > 1 and rank > (1 - s) * len(record) + 1e-9:
                end = progress
                break
        if end == 1.0:
            record.append((curve, performance))
        ends.append(end)
    return ends


@given(
    seed=st.integers(0, 10**6),
    s=st.sampled_from([0.1, 0.5, 0.8, 0.9]),
    r=st.sampled_from([0.05, 0.1, 0.3, 0.6]),
    checks=st.sampled_from([(0.1,), (0.1, 0.4), (0.2, 0.4, 0.7)]),
    ties=st.booleans(),
)
def test_equals_the_textbook_form_on_random_curves(
    seed: int, s: float, r: float, checks: tuple[float, ...], ties: bool
) -> None:
    rng = np.random.default_rng(seed)
    curves = np.sort(rng.random((30, len(POINTS))), axis=1)[:, ::-1]
    performances = (rng.integers(0, 4, 30) / 4 if ties else rng.random(30)).tolist()
    if ties:
        curves = (
            np.round(curves * 8) / 8
        )  # in eighths, sums of squares are exact, so ties are ties however they are summed
    lcm = stopper(configurations=30, stopping_rate=s, split=r, check_points=checks)
    ends = [train(lcm, t, curve.tolist(), p) for t, (curve, p) in enumerate(zip(curves, performances, strict=True))]
    assert ends == textbook(curves, performances, 30, s, r, checks)


def test_nobody_is_stopped_while_at_most_n_times_r_trials_are_complete() -> None:
    lcm = stopper(configurations=20, split=0.25)
    for trial in range(6):  # 0..5 complete at their starts, none above 5
        assert train(lcm, trial, [5.0, 5.0, 5.0, 5.0, 5.0 - trial / 10], performance=-trial) == 1.0
    assert train(lcm, 6, [5.0, 5.0, 5.0, 5.0, 4.0], performance=0.0) == 1.0, "the nearest (the earliest) is the best"
    assert lcm.completed == 7
    lcm.on_start(7, {})
    assert lcm.on_report(7, 0.1, 9.0) is Decision.CONTINUE, (
        "all are equally near: the earliest, which is the best, counts"
    )


def test_the_stage_is_settled_when_a_trial_starts() -> None:
    lcm = stopper(configurations=10, split=0.1)
    train(lcm, 0, [1.0, 0.9, 0.8, 0.7, 0.6], performance=0.9)
    lcm.on_start(1, {})  # one complete, not more than n·r = 1: accumulation stage
    train(lcm, 2, [2.0, 2.0, 2.0, 2.0, 2.0], performance=0.1)
    assert lcm.on_report(1, 0.1, 2.0) is Decision.CONTINUE
    lcm.on_start(3, {})
    assert lcm.on_report(3, 0.1, 2.0) is Decision.STOP, "nearest to trial 2, which ended badly"


def test_the_rank_that_is_kept_is_exact() -> None:
    # 15 recorded and s = 0.8: the best (1 - 0.8)·15 = 3 go on, though 1 - 0.8 is below 0.2 in binary
    for rank, decision in [(3, Decision.CONTINUE), (4, Decision.STOP)]:
        lcm = stopper(configurations=20, split=0.7)
        for trial in range(15):
            train(lcm, trial, [float(trial)] * 5, performance=-trial)
        lcm.on_start(15, {})
        assert lcm.on_report(15, 0.1, rank - 1.0) is decision


def test_lower_is_better_in_mode_min() -> None:
    lcm = stopper(configurations=10, split=0.2, mode="min")
    for trial in range(5):
        train(lcm, trial, [float(trial)] * 5, performance=trial)
    lcm.on_start(5, {})
    assert lcm.on_report(5, 0.1, 0.0) is Decision.CONTINUE
    lcm.on_start(6, {})
    assert lcm.on_report(6, 0.1, 4.0) is Decision.STOP


def test_failed_trials_leave_no_record_and_do_not_count() -> None:
    lcm = stopper(configurations=10, split=0.1)
    for trial in range(8):
        lcm.on_start(trial, {})
        lcm.on_report(trial, 0.1, 1.0)
        lcm.on_failure(trial)
    assert lcm.completed == 0
    assert train(lcm, 9, [9.0] * 5, performance=0.0) == 1.0


def test_a_distance_that_is_nan_never_wins() -> None:
    lcm = stopper(configurations=10, split=0.1, distance="cosine")
    train(lcm, 0, [0.0] * 5, performance=0.9)  # a zero curve has no direction
    train(lcm, 1, [0.0] * 5, performance=0.8)
    lcm.on_start(2, {})
    assert lcm.on_report(2, 0.1, 1.0) is Decision.CONTINUE, "no curve can be matched"
    train(lcm, 3, [1.0, 2.0, 3.0, 4.0, 5.0], performance=0.1)
    lcm.on_start(4, {})
    assert lcm.on_report(4, 0.1, 1.0) is Decision.STOP, "only trial 3 can be matched, the worst of three"


@pytest.mark.parametrize(
    ("name", "scipy_name"), [("euclidean", "euclidean"), ("manhattan", "cityblock"), ("cosine", "cosine")]
)
def test_distances_are_scipys(name: str, scipy_name: str) -> None:
    rng = np.random.default_rng(1)
    curve, record = rng.random(7), rng.random((20, 7))
    np.testing.assert_allclose(DISTANCES[name](curve, record), cdist(curve[None], record, scipy_name)[0], rtol=1e-12)


def test_dynamic_time_warping_is_the_textbook_recurrence() -> None:
    rng = np.random.default_rng(2)
    curve, record = rng.random(6), rng.random((5, 6))

    def warped(a: np.ndarray, b: np.ndarray) -> float:
        table = np.full((len(a) + 1, len(b) + 1), np.inf)
        table[0, 0] = 0
        for i in range(len(a)):
            for j in range(len(b)):
                table[i + 1, j + 1] = (a[i] - b[j]) ** 2 + min(table[i, j], table[i, j + 1], table[i + 1, j])
        return math.sqrt(table[-1, -1])

    np.testing.assert_allclose(DISTANCES["dtw"](curve, record), [warped(curve, other) for other in record], rtol=1e-12)


@pytest.mark.parametrize(("n", "r", "complete"), [(100, 0.29, 29), (100, 0.57, 57), (50, 0.58, 29)])
def test_the_accumulation_stage_ends_exactly(n: int, r: float, complete: int) -> None:
    # n·r is a whole number here, but less than it in binary: 100 · 0.29 = 28.999999999999996
    lcm = stopper(configurations=n, split=r)
    for trial in range(complete):
        train(lcm, trial, [float(trial)] * 5, performance=-trial)
    lcm.on_start(complete, {})
    assert lcm.on_report(complete, 0.1, float(complete)) is Decision.CONTINUE, "not more than n·r are complete"
    train(lcm, complete + 1, [float(complete)] * 5, performance=-complete)
    lcm.on_start(complete + 2, {})
    assert lcm.on_report(complete + 2, 0.1, float(complete)) is Decision.STOP


def test_sums_that_are_not_kept_change_no_decision(monkeypatch: pytest.MonkeyPatch) -> None:
    curves = np.random.default_rng(3).random((60, len(POINTS))).tolist()

    def stopped() -> list[float]:
        lcm = stopper(configurations=60, check_points=(0.1, 0.2, 0.4), stopping_rate=0.5)
        return [train(lcm, trial, curve, -curve[-1]) for trial, curve in enumerate(curves)]

    kept = stopped()
    monkeypatch.setattr("hypercurve.stopping.lcm.KEPT", 0)
    assert stopped() == kept
    assert 0 < sum(at < 1 for at in kept) < len(kept)
