"""The contract of searchers and stoppers, held by every registered one; and what schedulers make of their decisions."""

import pytest

from hypercurve.config.budget import Budget
from hypercurve.config.objective import TRAINING_LOSS
from hypercurve.config.setting import Setting
from hypercurve.events.encoding import encode_line
from hypercurve.events.events import Action, Completed, Event, Failed, Reported, Start, Started
from hypercurve.runs.run import Run
from hypercurve.runs.schedulers import make_searcher
from hypercurve.runs.trial_scheduler import TrialScheduler
from hypercurve.search.random import RandomSearch
from hypercurve.search.registry import SEARCHERS
from hypercurve.search.searcher import SearchContext, SearchOptions
from hypercurve.stopping.registry import STOPPERS
from hypercurve.stopping.stopper import Decision, Stopper
from hypercurve.testing.contract import CHECKS, Driver, cases, method, scheduler


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.slow) if kind == "gp" else kind for kind in [*SEARCHERS, *STOPPERS]]
)
def test_every_rule_holds_the_contract(kind: str, check: object) -> None:
    for number, given in enumerate(cases(kind)):
        check(given, number)  # type: ignore[operator]


@pytest.mark.parametrize("search", ["tpe", "pso", {"grid": {"points": 3}}])
@pytest.mark.parametrize("stop", ["lcm", "halving", "budget_halving"])
def test_any_searcher_goes_with_any_stopper(search: object, stop: str) -> None:
    for check in CHECKS:
        check(method(search, stop, slots=3), 7)


@pytest.mark.parametrize("stop", [None, *STOPPERS])
def test_all_trials_of_a_budget_are_started_unless_a_cost_forbids_it(stop: str | None) -> None:
    driver = Driver(method("random", stop, slots=4), 0)
    driver.run()
    assert len(driver.started) == 24 or stop == "budget_halving"
    assert set(driver.over.values()) & {"completed", "failed"}, "somebody comes to the end"


def configurations(search: object, repeat: int, trials: int = 24) -> list[object]:
    searcher = make_searcher(method(search, trials=trials), repeat)
    return [searcher.suggest(trial) for trial in range(trials)]


@pytest.mark.parametrize("search", ["random", "sobol"])
def test_repeats_draw_different_configurations_and_the_same_repeat_the_same(search: str) -> None:
    first, again, other = (configurations(search, repeat) for repeat in (0, 0, 1))
    assert first == again
    assert not any(configuration in other for configuration in first)


def test_methods_that_search_at_random_draw_the_same_configurations() -> None:
    plain, stopped = method("random"), method("random", "lcm", slots=4)
    one, other = make_searcher(plain, 3), make_searcher(stopped, 3)
    assert [one.suggest(t) for t in range(20)] == [other.suggest(t) for t in range(20)]


def test_a_sobol_sequence_goes_on_as_it_began_when_more_is_asked_for() -> None:
    assert configurations("sobol", 0, 300)[:24] == configurations("sobol", 0, 24)


def test_a_budget_in_seconds_starts_trials_without_end() -> None:
    open_ended = method("random", slots=2).model_copy(update={"budget": Budget(seconds=5)})
    endless = scheduler(open_ended)
    endless.open()
    for trial in range(500):
        assert endless.on(Completed(trial, {"loss": 0.0, "val_accuracy": 0.0}))[0] == Start(
            trial + 2,
            make_searcher(open_ended, 0).suggest(trial + 2),  # type: ignore[arg-type]
        )


class PausesAll(Stopper):
    """Pauses every trial at its first report; when `many` are paused, the best goes on and the others stop."""

    def __init__(self, many: int):
        self.many, self.losses = many, dict[int, float]()

    def on_report(self, trial: int, progress: float, loss: float) -> Decision:
        if progress > 0.1:
            return Decision.CONTINUE
        self.losses[trial] = loss
        return Decision.PAUSE

    def next_check(self, trial: int, progress: float) -> float:
        return 0.1 if progress < 0.1 else 1.0

    def decide_paused(self) -> list[tuple[int, Decision]]:
        if len(self.losses) < self.many:
            return []
        best = min(self.losses, key=self.losses.__getitem__)
        verdicts = [(trial, Decision.CONTINUE if trial == best else Decision.STOP) for trial in self.losses]
        self.losses.clear()
        return verdicts


class Listener(RandomSearch):
    """Random search that notes what it is told."""

    def __init__(self, given: Setting):
        super().__init__(SearchOptions(), SearchContext(given.space))
        self.heard: list[tuple[int, float, float | None, bool]] = []

    def on_result(self, trial: int, progress: float, performance: float | None, completed: bool) -> None:
        self.heard.append((trial, progress, performance, completed))


def test_a_paused_trial_gives_its_slot_to_a_new_one_and_goes_on_before_the_next() -> None:
    given = method("random", slots=2)
    listener = Listener(given)
    paused = TrialScheduler(listener, PausesAll(3), slots=2, trials=5, objective="val_accuracy", curve=TRAINING_LOSS)

    def kinds(actions: list[Action]) -> list[tuple[str, int]]:
        return [(type(action).__name__, action.trial) for action in actions]

    assert kinds(paused.open()) == [("Start", 0), ("Start", 1)]
    for trial in (0, 1):
        assert kinds(paused.on(Started(trial))) == [("Continue", trial)]
    assert kinds(paused.on(Reported(0, 0.1, {"loss": 0.5}))) == [("Pause", 0), ("Start", 2)]
    assert kinds(paused.on(Reported(1, 0.1, {"loss": 0.3}))) == [("Pause", 1), ("Start", 3)]
    assert kinds(paused.on(Started(2))) == [("Continue", 2)]
    assert kinds(paused.on(Started(3))) == [("Continue", 3)]
    assert kinds(paused.on(Reported(2, 0.1, {"loss": 0.4}))) == [
        *[("Pause", 2), ("Stop", 0), ("Stop", 2)],
        ("Resume", 1),
    ]
    assert kinds(paused.on(Failed(3, 0.1, "diverged"))) == [("Start", 4)]
    assert kinds(paused.on(Completed(1, {"loss": 0.1, "val_accuracy": 0.9}))) == [], "five trials, and no more"
    assert listener.heard == [(0, 0.1, 0.5, False), (2, 0.1, 0.4, False), (3, 0.1, None, False), (1, 1.0, 0.9, True)]


@pytest.mark.parametrize("slots", [1, 2, 5])
def test_the_virtual_clock_of_a_paused_trial_stands_still(monkeypatch: pytest.MonkeyPatch, slots: int) -> None:
    given = method("random", "lcm", slots)
    monkeypatch.setattr("hypercurve.runs.schedulers.make_stopper", lambda *_, **__: PausesAll(4))
    state = Run(given, 0, samples=1000, data="none")
    lines = [state.start()]
    while (due := state.due()) is not None:
        trial, loss = due.trial, float(due.trial * 7 % 5)
        event: Event = Reported(trial, due.progress, {"loss": loss})
        if due.progress == 0:
            event = Started(trial)
        elif due.progress == 1:
            event = Completed(trial, {"loss": loss, "val_accuracy": loss})
        lines.append(state.step(event))
        now = state.trials[trial]
        assert now.cost == pytest.approx(now.cost_of.seconds(due.progress), abs=1e-9)
    lines.append(state.end("finished"))
    together = sum(t.cost for t in state.trials.values())
    assert together / slots - 1e-9 <= state.time <= together + 1e-9
    assert {t.status for t in state.trials.values()} == {"completed", "stopped"}
    again = Run(given, 0, samples=1000, data="none")
    again.fold(map(encode_line, lines), "journal")
    assert again.trials == state.trials
