"""What the comparisons share: random streams of losses, with ties, and a loop that drives a stopper with them."""

import logging
import os
import random
import sys
import types
from collections.abc import Callable, Iterator

os.environ["KERAS_BACKEND"] = "jax"  # KerasTuner imports Keras, of which nothing is used
# Syne Tune's schedulers import its searchers, which need PyTorch and XGBoost, and of which nothing is used either.
searchers = types.ModuleType("syne_tune.optimizer.schedulers.searchers.searcher_factory")
searchers.searcher_dict = searchers.searcher_factory = None  # type: ignore[attr-defined]
sys.modules[searchers.__name__] = searchers

import optuna  # noqa: E402
import pytest  # noqa: E402

from hypercurve.stopping.stopper import Decision, Stopper  # noqa: E402

optuna.logging.set_verbosity(optuna.logging.ERROR)
logging.getLogger("syne_tune").setLevel(logging.ERROR)

R = 16
"""Accumulation points."""
POINTS = tuple(k / R for k in range(1, R + 1))

Curves = list[list[float]]
Log = list[tuple[str, int, int]]
"""What happened: what was decided, of which trial, at which point (from 1)."""


STREAMS = range(40)


@pytest.fixture(params=STREAMS)
def stream(request: pytest.FixtureRequest) -> tuple[Curves, int, int]:
    """What :func:`drive` takes."""
    return random_stream(request.param)


def random_stream(seed: int) -> tuple[Curves, int, int]:
    """Sixty curves around levels of their own, in few steps, so with many ties; how many trials go on at once; a seed.

    Losses are multiples of 720720, which 1 to 16 divide: all means are exact, so ties are ties however they are summed.
    """
    draw = random.Random(seed)
    levels = [draw.randrange(10) for _ in range(60)]
    curves = [[(level + draw.randrange(4)) * 720720.0 for _ in range(R)] for level in levels]
    return curves, draw.choice([1, 4, 16]), seed


def drive(stopper: Stopper, curves: Curves, slots: int, seed: int, fails: float = 0.03) -> Log:
    """Train trials as far as they are let; which goes next is random, as is which fail."""
    draw = random.Random(seed)
    at: dict[int, int] = {}
    going: list[int] = []
    resuming: list[int] = []
    log: Log = []
    waiting: Iterator[int] = iter(range(len(curves)))
    while True:
        while len(going) < slots:
            if resuming:
                going.append(resuming.pop(0))
            elif (trial := next(waiting, None)) is not None:
                going.append(trial)
                at[trial] = 0
                stopper.on_start(trial, {})
            else:
                break
        if not going:
            return log
        trial = draw.choice(going)
        at[trial] += 1
        loss = curves[trial][at[trial] - 1]
        if draw.random() < fails / R:
            stopper.on_failure(trial)
            going.remove(trial)
        elif at[trial] == R:
            stopper.on_complete(trial, loss, -loss)
            going.remove(trial)
            log.append(("completed", trial, R))
        else:
            decision = stopper.on_report(trial, POINTS[at[trial] - 1], loss)
            log.append((decision.value, trial, at[trial]))
            if decision is not Decision.CONTINUE:
                going.remove(trial)
        for other, verdict in stopper.decide_paused():
            log.append((f"then {verdict.value}", other, at[other]))
            if verdict is Decision.CONTINUE:
                resuming.append(other)


class Adapter:
    """A library's rule as a stopper. Points are numbers from 1, as libraries count steps."""

    def on_start(self, trial: int, configuration: object) -> None: ...

    def on_complete(self, trial: int, loss: float, performance: float) -> None: ...

    def on_failure(self, trial: int) -> None: ...

    def decide_paused(self) -> list[tuple[int, Decision]]:
        return []

    def next_check(self, trial: int, progress: float) -> float:
        raise AssertionError("nobody looks ahead here")

    def on_report(self, trial: int, progress: float, loss: float) -> Decision:
        return self.decide(trial, round(progress * R), loss)

    def decide(self, trial: int, point: int, loss: float) -> Decision:
        raise NotImplementedError


def stop_if(condition: bool) -> Decision:
    return Decision.STOP if condition else Decision.CONTINUE


Judge = Callable[[int, float], bool]
"""Of a trial and its loss at a rung: whether it goes on."""


def at_one_rung(ours: Callable[[], Judge], theirs: Callable[[], Judge]) -> list[tuple[bool, bool]]:
    """Decisions of two rules on trials that come to a rung one after the other, over many streams of losses."""
    decisions = []
    for seed in STREAMS:
        draw = random.Random(seed)
        losses = [draw.choice([draw.randrange(20), 20 * draw.random()]) for _ in range(200)]  # some are equal
        here, there = ours(), theirs()
        decisions += [(here(trial, loss), there(trial, loss)) for trial, loss in enumerate(losses)]
    return decisions
