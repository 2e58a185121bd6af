"""One contract suite over every method: any searcher with any stopper, on random events."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypercurve.config.budget import Budget
from hypercurve.config.experiment import Experiment
from hypercurve.config.setting import Setting
from hypercurve.events.encoding import encode_line
from hypercurve.events.events import (
    Action,
    Completed,
    Continue,
    Event,
    Failed,
    Pause,
    Reported,
    Resume,
    Start,
    Started,
    Stop,
)
from hypercurve.runs.run import Run
from hypercurve.runs.schedulers import make_scheduler
from hypercurve.runs.searchers import make_searcher
from hypercurve.runs.trial_scheduler import TrialScheduler
from hypercurve.search.independent import RandomSearch
from hypercurve.stopping.stopper import Decision
from pairs import pairs

SEARCHES = ["random", "sobol", {"grid": {"points": 3}}]
LEARNING = [
    {"tpe": {"startup": 4}},
    {"gp": {"startup": 4, "candidates": 20}},
    {"cmaes": {"population": 4}},
    {"pso": {"particles": 4}},
]
STOPS = [
    None,
    {"lcm": {}},
    {"lcm": {"distance": "cosine", "split": 0.3}},
    "halving",
    {"halving": {"configurations": 7, "reduction_factor": 2, "first_rung": 2}},
    "hyperband",
    {"hyperband": {"reduction_factor": 2}},
    "asha",
    {"asha": {"reduction_factor": 2, "first_rung": 2}},
    {"asha": {"form": "stopping"}},
    {"asha": {"form": "stopping", "reduction_factor": 4, "first_rung": 2}},
    {"median": {"warmup": 2}},
    "fixed",
    {"fixed": {"share": 0.4, "keep": 2, "configurations": 5}},
    {"patience": {"points": 2}},
    {"budget_halving": {"cost": 0.4}},
    {"budget_halving": {"cost": 0.5, "views": ["match", "last"], "split": 0.1, "match": {"stopped": True}}},
]
METHODS = [
    *pairs(SEARCHES, STOPS, [1, 4, 16]),
    *pairs(LEARNING, [None, {"lcm": {}}, "halving", {"asha": {"form": "promotion"}}], [1, 4]),
]


def setting(search: object, stop: object, slots: int, trials: int = 24) -> Setting:
    experiment = Experiment.model_validate(
        {
            "data": {"name": "digits"},
            "model": "synthetic",
            "space": {"learning_rate": {"uniform": [0.0, 1.0]}, "momentum": {"uniform": [0.0, 1.0]}},
            "budget": {"trials": trials},
            "methods": {"method": {"search": search, "stop": stop, "slots": slots}},
        }
    )
    return experiment.setting("contract", "method")


def scheduler(given: Setting, repeat: int = 0) -> TrialScheduler:
    made = make_scheduler(given, repeat, 1000)
    assert isinstance(made, TrialScheduler)
    return made


class Driver:
    """Delivers random but possible events to a scheduler and holds its actions to the contract."""

    def __init__(self, given: Setting, data: st.DataObject):
        self.setting, self.data = given, data
        self.points = given.training.accumulation_points
        self.events: list[Event] = []
        self.actions: list[list[object]] = []
        self.scheduler = scheduler(given)
        self.waiting: dict[int, int] = {}  # trials going, by the index of the point they train to; -1: about to start
        self.started: list[int] = []
        self.paused: dict[int, int] = {}  # by trial, the point where it is
        self.ahead: dict[int, float] = {}  # by trial, the point that it will surely train to
        self.over: dict[int, str] = {}  # what each trial ended in

    def take(self, event: Event | None) -> None:
        actions = self.scheduler.open() if event is None else self.scheduler.on(event)
        if event is not None:
            self.events.append(event)
        self.actions.append(list(actions))
        answered = False
        for action in actions:
            match action:
                case Start(trial, configuration):
                    assert trial == len(self.started), "trials are numbered in the order of their starts"
                    self.setting.space.validate_configuration(configuration)
                    self.started.append(trial)
                    self.waiting[trial] = -1
                case Continue(trial):
                    assert event is not None
                    assert trial == event.trial
                    self.waiting[trial] += 1
                    answered = True
                case Stop(trial):
                    if trial in self.paused:
                        del self.paused[trial]
                    else:
                        del self.waiting[trial]
                        answered = answered or (event is not None and trial == event.trial)
                    self._over(trial, "stopped")
                case Pause(trial):
                    assert event is not None
                    assert trial == event.trial, "only who reports can be paused"
                    self.paused[trial] = self.waiting.pop(trial)
                    answered = True
                case Resume(trial):
                    self.waiting[trial] = self.paused.pop(trial) + 1
        for trial, index in self.waiting.items():
            sure = self.scheduler.next_check(trial, 0.0 if index <= 0 else self.points[index - 1])
            self.ahead[trial] = max(self.ahead.get(trial, 0.0), sure)
        if isinstance(event, Started | Reported):
            assert answered, "a trial that reports is told what to do"
        assert len(self.waiting) <= self.setting.slots

    def run(self) -> None:
        self.take(None)
        while self.waiting:
            trial = self.data.draw(st.sampled_from(sorted(self.waiting)))
            index = self.waiting[trial]
            loss = self.data.draw(st.sampled_from([0.0, 0.1, 0.5, 1.0, 3.0]))
            fails = self.data.draw(st.integers(0, 15)) == 0
            if index == -1:
                self.take(Started(trial))
                continue
            if fails:
                self._end(trial, Failed(trial, self.points[index], "diverged"))
            elif index == len(self.points) - 1:
                self._end(trial, Completed(trial, {"loss": loss, "val_accuracy": loss / 3}))
            else:
                sure = self.ahead[trial]
                self.take(Reported(trial, self.points[index], {"loss": loss}))
                if trial in self.paused or trial in self.over:
                    assert self.points[index] >= sure, "what was said to be sure is trained"

    def _end(self, trial: int, event: Event) -> None:
        del self.waiting[trial]
        self._over(trial, "completed" if isinstance(event, Completed) else "failed")
        self.take(event)

    def _over(self, trial: int, end: str) -> None:
        assert trial not in self.over, "a trial ends once"
        self.over[trial] = end


@pytest.mark.parametrize(
    ("search", "stop", "slots"),
    [
        pytest.param(*row, marks=pytest.mark.slow) if "gp" in row[0] else row for row in METHODS
    ],  # it takes seconds to fit
    ids=str,
)
class TestContract:
    @settings(max_examples=3)
    @given(data=st.data())
    def test_every_trial_is_started_once_and_ends(
        self, search: object, stop: object, slots: int, data: st.DataObject
    ) -> None:
        driver = Driver(setting(search, stop, slots), data)
        driver.run()
        assert driver.paused == {}, "when nothing is going, nobody is left waiting"
        assert len(driver.over) == len(driver.started) == (9 if search == SEARCHES[2] else 24)
        ends = set(driver.over.values())
        assert ends & {"completed", "failed"} or stop == {"patience": {"points": 2}}, "somebody comes to the end"

    @settings(max_examples=2)
    @given(data=st.data())
    def test_equal_events_give_equal_actions(
        self, search: object, stop: object, slots: int, data: st.DataObject
    ) -> None:
        driver = Driver(setting(search, stop, slots), data)
        driver.run()
        again = scheduler(driver.setting)
        assert [again.open(), *map(again.on, driver.events)] == driver.actions


def configurations(search: object, repeat: int, trials: int = 24) -> Iterator[object]:
    searcher = make_searcher(setting(search, None, 1, trials), repeat)
    return (searcher.suggest(trial) for trial in range(trials))


@pytest.mark.parametrize("search", ["random", "sobol"])
def test_repeats_draw_different_configurations_and_the_same_repeat_the_same(search: str) -> None:
    first, again, other = (list(configurations(search, repeat)) for repeat in (0, 0, 1))
    assert first == again
    assert not any(configuration in other for configuration in first)


def test_methods_that_search_at_random_draw_the_same_configurations() -> None:
    plain, stopped = setting("random", None, 1), setting("random", {"lcm": {}}, 4)
    one, other = make_searcher(plain, 3), make_searcher(stopped, 3)
    assert [one.suggest(t) for t in range(20)] == [other.suggest(t) for t in range(20)]


def test_a_sobol_sequence_goes_on_as_it_began_when_more_is_asked_for() -> None:
    assert list(configurations("sobol", 0, 300))[:24] == list(configurations("sobol", 0, 24))


def test_a_budget_in_seconds_starts_trials_without_end() -> None:
    open_ended = setting("random", None, 2).model_copy(update={"budget": Budget(seconds=5)})
    endless = scheduler(open_ended)
    endless.open()
    for trial in range(500):
        assert endless.on(Completed(trial, {"loss": 0.0, "val_accuracy": 0.0}))[0] == Start(
            trial + 2,
            make_searcher(open_ended, 0).suggest(trial + 2),  # type: ignore[arg-type]
        )


class PausesAll:
    """Pauses every trial at its first report; when `many` are paused, the best goes on and the others stop."""

    def __init__(self, many: int):
        self.many, self.losses = many, dict[int, float]()

    def on_start(self, trial: int, configuration: object) -> None: ...
    def on_complete(self, trial: int, loss: float, performance: float) -> None: ...
    def on_failure(self, trial: int) -> None: ...

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
        super().__init__(given.space, 0, 0)
        self.heard: list[tuple[int, float, float | None, bool]] = []

    def on_result(self, trial: int, progress: float, performance: float | None, completed: bool) -> None:
        self.heard.append((trial, progress, performance, completed))


def test_a_paused_trial_gives_its_slot_to_a_new_one_and_goes_on_before_the_next() -> None:
    given = setting("random", None, 2)
    listener = Listener(given)
    paused = TrialScheduler(listener, PausesAll(3), slots=2, trials=5, objective="val_accuracy")

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
    given = setting("random", {"lcm": {}}, slots)
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
