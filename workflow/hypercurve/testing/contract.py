"""What every searcher and every stopper must hold, as checks that raise AssertionError.

A check takes a method's setting and a seed. It drives the method's scheduler with random but possible events: losses with
ties, points without a loss, failures, any order of reports that the slots allow. :func:`cases` gives the settings with which
a rule is tried.
"""

import json
import random
from collections.abc import Callable, Iterator, Mapping
from itertools import product
from typing import Any

import numpy as np

from ..config.experiment import Experiment
from ..config.rules import Search, Stop
from ..config.setting import Setting
from ..events.encoding import RawLine, encode_line
from ..events.events import (
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
)
from ..events.events import (
    Stop as StopTrial,
)
from ..runs.run import Run
from ..runs.schedulers import make_scheduler, make_searcher
from ..runs.trial_scheduler import TrialScheduler
from ..search.searcher import Searcher
from ..util.seeding import generator

SLOTS = (1, 2, 3, 4, 16)
TRIALS = 24
LOSSES = (0.0, 0.1, 0.5, 1.0, 3.0)
SPACE: dict[str, Any] = {
    "learning_rate": {"log_uniform": [1e-3, 1.0], "points": 3},
    "momentum": {"uniform": [0.0, 0.99]},
    "batch_size": {"choice": [32, 64], "ordered": True},
}


def method(search: Any, stop: Any = None, slots: int = 1, trials: int = TRIALS, epochs: float = 3) -> Setting:
    """The setting of a method on learning curves by formula."""
    experiment = {
        "data": {"name": "digits"},
        "model": "synthetic",
        "curve": "loss",
        "space": {**SPACE, "epochs": epochs},
        "budget": {"trials": trials},
        "methods": {"method": {"search": search, "stop": stop, "slots": slots}},
    }
    return Experiment.model_validate(experiment).setting("contract", "method")


def cases(kind: str, options: Mapping[str, Any] | None = None) -> Iterator[Setting]:
    """The settings with which a searcher or stopper is tried.

    Args:
        kind: as an experiment names it: one of ours, or ``module:Class``.
        options: its options; by default, all of its examples.

    Raises:
        ValidationError: there is no such rule, or it does not take the options.
    """
    if kind in Search.kinds() or (":" in kind and _is_searcher(kind)):
        examples = Search.model_validate(kind).rule.examples if options is None else [options]
        for given, (stop, slots) in product(examples, ((None, 1), ("asha", 4))):
            yield method({kind: given}, stop, slots)
    else:
        examples = Stop.model_validate(kind).rule.examples if options is None else [options]
        for given, slots in product(examples, SLOTS):
            # in three slots, trials have fewer steps than there are points: 9 or 5
            yield method("random", {kind: given}, slots, epochs=0.3 if slots == 3 else 3)


def _is_searcher(kind: str) -> bool:
    from ..util.user_code import load_object

    found = load_object(kind, "rule")
    return isinstance(found, type) and issubclass(found, Searcher)


def scheduler(given: Setting) -> TrialScheduler:
    """A method's scheduler, as new."""
    made = make_scheduler(given, 0, 1000)
    assert isinstance(made, TrialScheduler)
    return made


class Driver:
    """Delivers random but possible events to a scheduler, and holds its actions to the contract.

    Args:
        given: the method.
        seed: of the events.
        better: by how much all losses are lower.

    Attributes:
        events: what was delivered.
        actions: what followed: at the beginning, and from each event.
        over: what each trial ended in.
    """

    def __init__(self, given: Setting, seed: int, better: float = 0.0):
        self.setting, self._better, self._draw = given, better, generator(seed, 0, "contract")
        self.points = given.training.accumulation_points
        self.events: list[Event] = []
        self.actions: list[list[Action]] = []
        self.scheduler = scheduler(given)
        self.started: list[int] = []
        self.paused: dict[int, int] = {}  # by trial, the index of the point where it is
        self.over: dict[int, str] = {}
        self._waiting: dict[int, int] = {}  # trials going, by the index of the point they train to; -1: about to start
        self._ahead: dict[int, float] = {}  # by trial, the point that it will surely train to

    def run(self) -> None:
        """Until nothing is going."""
        self._take(None)
        while self._waiting:
            trial = int(self._draw.choice(sorted(self._waiting)))
            index = self._waiting[trial]
            loss = LOSSES[self._draw.integers(len(LOSSES))] - self._better
            if index == -1:
                self._take(Started(trial))
            elif self._draw.integers(16) == 0:
                self._end(trial, Failed(trial, self.points[index], "diverged"))
            elif index == len(self.points) - 1:
                self._end(trial, Completed(trial, self._metrics(loss) | {"val_accuracy": loss / 3}))
            else:
                sure = self._ahead[trial]
                self._take(Reported(trial, self.points[index], self._metrics(loss)))
                if trial in self.paused or trial in self.over:
                    said = f"next_check said {sure} of trial {trial}, which was decided upon at {self.points[index]}"
                    assert self.points[index] >= sure, said
        assert not self.paused, f"trials {sorted(self.paused)} are left waiting: decide_paused never answered for them"
        assert len(self.over) == len(self.started)

    def _metrics(self, loss: float) -> dict[str, float]:
        """A report; one in eight has no loss."""
        return {"loss": loss} if self._draw.integers(8) else {}

    def _take(self, event: Event | None) -> None:
        actions = self.scheduler.open() if event is None else self.scheduler.on(event)
        if event is not None:
            self.events.append(event)
        self.actions.append(list(actions))
        answered = False
        for action in actions:
            answered = self._obey(action, event) or answered
        for trial, index in self._waiting.items():
            done = 0.0 if index <= 0 else self.points[index - 1]
            sure = self.scheduler.next_check(trial, done)
            assert done < sure <= 1, f"next_check({trial}, {done}) = {sure} must lie behind {done}, up to 1"
            self._ahead[trial] = max(self._ahead.get(trial, 0.0), sure)
        assert answered or not isinstance(event, Started | Reported), "a trial that reports is told what to do"
        assert len(self._waiting) <= self.setting.slots, "more trials are going than there are slots"

    def _obey(self, action: Action, event: Event | None) -> bool:
        """Carry an action out; whether it answers the trial that reported."""
        asked = None if event is None else event.trial
        match action:
            case Start(trial, configuration):
                assert trial == len(self.started), "trials are numbered in the order of their starts"
                self.setting.space.validate_configuration(configuration)
                assert json.loads(json.dumps(configuration)) == configuration, "a journal must give it back as it was"
                self.started.append(trial)
                self._waiting[trial] = -1
                return False
            case Continue(trial):
                assert trial == asked
                self._waiting[trial] += 1
            case Pause(trial):
                assert trial == asked, "only who reports can be paused"
                self.paused[trial] = self._waiting.pop(trial)
            case StopTrial(trial):
                (self.paused if trial in self.paused else self._waiting).pop(trial)
                self._over(trial, "stopped")
            case Resume(trial):
                self._waiting[trial] = self.paused.pop(trial) + 1
        return action.trial == asked

    def _end(self, trial: int, event: Event) -> None:
        del self._waiting[trial]
        self._over(trial, "completed" if isinstance(event, Completed) else "failed")
        self._take(event)

    def _over(self, trial: int, end: str) -> None:
        assert trial not in self.over, f"trial {trial} ends twice"
        self.over[trial] = end


def every_trial_starts_once_and_ends_once(given: Setting, seed: int) -> None:
    """With any order of reports; nobody is decided upon twice, and nobody is left waiting."""
    driver = Driver(given, seed)
    driver.run()
    assert given.trials is not None
    assert len(driver.started) <= given.trials
    assert len(driver.started) > 0


def equal_events_give_equal_decisions(given: Setting, seed: int) -> None:
    """Whatever was asked in between, whatever other runs there are in the process, and whatever global generators say."""
    seeded(seed)
    driver = Driver(given, seed)
    driver.run()
    Driver(given, seed + 1, better=1.0).run()  # its class must not remember another run
    seeded(seed + 1)
    again = scheduler(given)
    for number, (event, actions) in enumerate(zip([None, *driver.events], driver.actions, strict=True)):
        found = again.open() if event is None else again.on(event)
        assert list(found) == actions, f"after {event} (number {number}): once {actions}, once {list(found)}"


def a_journal_goes_on_from_any_line(given: Setting, seed: int) -> None:
    """A run that was killed ends as one that was not: decisions follow from the journal alone."""
    whole = played(given, seed, [])
    for cut in generator(seed, 0, "cuts").integers(1, len(whole), 4):
        again = played(given, seed, whole[:cut])
        different = next((n for n, (one, two) in enumerate(zip(whole, again, strict=False), 1) if one != two), None)
        assert again == whole, f"cut after line {cut}, the journal goes on differently, first in line {different}"


def independent_suggestions_depend_on_the_number_alone(given: Setting, seed: int) -> None:
    """Of a searcher that says so, suggestions may be asked for in any order; equal calls give equal ones in any case."""
    seeded(seed)
    one, other = make_searcher(given, 1), make_searcher(given, 1)
    count = given.trials or TRIALS
    first = [one.suggest(trial) for trial in range(count)]
    seeded(seed + 1)
    order = reversed(range(count)) if one.independent else range(count)
    second = {trial: other.suggest(trial) for trial in order}
    assert first == [second[trial] for trial in range(count)], "asked again, a searcher suggests something else"


CHECKS: tuple[Callable[[Setting, int], None], ...] = (
    every_trial_starts_once_and_ends_once,
    equal_events_give_equal_decisions,
    a_journal_goes_on_from_any_line,
    independent_suggestions_depend_on_the_number_alone,
)


def seeded(seed: int) -> None:
    """Seed global generators, on which nothing may depend."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002


def played(given: Setting, seed: int, lines: list[RawLine]) -> list[RawLine]:
    """The journal of a run in virtual time, that goes on after these lines."""
    run = Run(given, 0, samples=1000, data="none")
    run.fold(lines, "journal")
    lines = [*lines] or [encode_line(run.start())]
    while not run.ended and (due := run.due()) is not None:
        draw = generator(seed, 0, "outcome", due.trial, round(due.progress * 1e6))
        loss = float(LOSSES[draw.integers(len(LOSSES))])
        metrics = {"loss": loss} if draw.integers(8) else {}  # or none: it is missing there
        event: Event = Reported(due.trial, due.progress, metrics)
        if due.progress == 0:
            event = Started(due.trial)
        elif draw.integers(16) == 0:
            event = Failed(due.trial, due.progress, "diverged")
        elif due.progress == 1:
            event = Completed(due.trial, metrics | {"val_accuracy": loss / 3})
        lines.append(encode_line(run.step(event)))
    if not run.ended:
        lines.append(encode_line(run.end("finished")))
    if not run.complete:
        lines.append(encode_line(run.test({"accuracy": 0.5})))
    return lines
