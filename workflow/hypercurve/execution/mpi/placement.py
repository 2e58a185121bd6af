"""Which rank has which trial, and what ranks are told. Sends and receives nothing itself.

What a rank does depends on nothing but its trials' configurations and seeds, so nobody need wait for decisions. Some
work will certainly be wanted: of trials that are going, up to the next point at which they may be stopped or paused; and of
those that will go next, as far as the searcher knows them, up to the first such point. Beyond, it may be in vain. So a
rank that runs out of that gets trials before their turn, and only when it has enough of those, it trains past check
points. A trial stays where it is, paused or not: moving those that go on to ranks that have none gained nothing when it was
measured.
"""

from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, field
from heapq import heapify, heappush, heapreplace
from math import inf

from ...events.events import Completed, Failed, Reported
from ...events.lines import EventLine
from ...runs.known import KnownTrainings
from ...runs.run import Run
from ...space.search_space import Configuration
from . import messages as wire
from .comm import Tag

AHEAD = 4
"""Trials that a rank may have open before their turn, at least. With fewer, ranks train in vain more often; with more, long
trials are left to the end, and more is in vain when a budget ends."""

RESERVE = 4
"""In a long run it may have more: one in so many of those that are done or, if they are fewer, left. Together they are
trained no longer than :data:`AHEAD` whole trainings."""

STOCK = 4
"""Points that another rank has in stock, if possible: while rank 0 trains to a point itself, it does not answer."""

Order = tuple[int, Tag, bytes]
"""What a rank is told: the rank, and the message."""
Load = tuple[int, int, int, int]
"""Of a rank: points that it will train to for certain, open trials; its place in order, and itself."""


@dataclass(slots=True)
class Placed:
    """A trial that a rank has.

    Attributes:
        rank: the rank.
        limit: how many points it will train to whatever is decided.
        got: how many it has reported.
        ahead: it has not started yet.
        over: it has reported its end.
        completed: that was no failure: the rank has its network.
        early: reports that are not taken yet.
    """

    rank: int
    limit: int
    got: int
    ahead: bool
    over: bool = False
    completed: bool = False
    early: deque[EventLine] = field(default_factory=deque)

    @property
    def committed(self) -> int:
        """Points that it will train to for certain, and has not reported."""
        return 0 if self.over else max(0, self.limit - self.got)


class Placement:
    """Which rank has which trial.

    Args:
        run: the run.
        ranks: the ranks that train, in the order in which they are to get work.
        known: trainings that were recorded earlier; no rank gets those that are known to their ends.

    Attributes:
        trials: the trials that ranks have, by number.
        orders: what ranks must be told next.
    """

    def __init__(self, run: Run, ranks: list[int], known: KnownTrainings | None = None):
        self.trials: dict[int, Placed] = {}
        self.orders: list[Order] = []
        self._run, self._ranks, self._known = run, ranks, known
        self._committed = dict.fromkeys(ranks, 0)  # sums over the trials of a rank
        self._open = dict.fromkeys(ranks, 0)
        self._ahead = dict.fromkeys(ranks, 0)
        self._short = set(ranks)
        self._places = {rank: place for place, rank in enumerate(ranks)}
        self._loads: list[Load] = []  # a heap, in which every rank has an entry that is no more than its load is now
        self._next = 0  # number of the next trial to hand out before its turn
        self._first = len(run.points)  # how far the last such trial goes before it may be stopped or paused, in points
        self._exhausted = False  # there is none
        self._weigh()

    def start(self, number: int) -> Placed | None:
        """A trial starts or goes on: give it to a rank, or let the rank know that has it already.

        Returns:
            None where no rank need train it: it is known to its end.
        """
        state, placed = self._run.trials[number], self.trials.get(number)
        if placed is None:
            curve, ended = self._ahead_of(number, state.configuration)
            if ended:
                return None
            if len(curve) < len(state.curve):
                curve = state.curve
            rank = self._least_loaded()
            return self._place(number, state.configuration, rank, state.progress, curve, state.origin)
        placed.ahead = False
        if not placed.over:
            self._ahead[placed.rank] -= 1
            self._allow(number, placed)
            self._take(placed.rank, 0)
        return placed

    def go_on(self, number: int) -> None:
        """A trial has been let go on from a point: tell its rank if that could not be known."""
        placed = self.trials.get(number)  # None: its training is known
        if placed is not None and not placed.over and self._run.trials[number].reports >= placed.limit:
            self._allow(number, placed)

    def remove(self, number: int, best: bool = False) -> None:
        """A trial is over."""
        placed = self.trials.pop(number, None)
        if placed is None:
            return  # it is known, or was paused when the journal ended
        if not placed.over:
            self._close(placed)
        self.orders.append((placed.rank, Tag.RELEASE, wire.pack_release(number, best)))

    def reported(self, line: EventLine) -> Placed | None:
        """A report has come; None: of a trial that was stopped at an earlier point, or one that was known meanwhile."""
        placed, state = self.trials.get(line.event.trial), self._run.trials.get(line.event.trial)
        if placed is None:
            return None
        placed.got += 1
        if placed.got <= placed.limit:
            self._take(placed.rank, 1)
        if not isinstance(line.event, Reported):
            self._close(placed)
            placed.over, placed.completed = True, isinstance(line.event, Completed)
        if state is not None and line.event.progress <= state.progress and not isinstance(line.event, Failed):
            return None
        placed.early.append(line)
        return placed

    def known(self, number: int, progress: float) -> None:
        """A report up to there was known when it was due: the same from its rank is not needed."""
        placed = self.trials.get(number)
        while placed is not None and placed.early and placed.early[0].event.progress <= progress:
            if isinstance(placed.early[0].event, Failed):
                return  # nothing more will come: see Supervisor.report
            placed.early.popleft()

    def assign_ahead(self) -> None:
        """Hand out trials before their turn to ranks that run out of work that will be wanted."""
        most = self._most_ahead()
        while self._short:  # there may be thousands of ranks: none is looked at again before something has changed
            rank = self._short.pop()
            while self._committed[rank] < (STOCK if rank else 1) and self._ahead[rank] < most:
                if not self._assign_next(rank, most):
                    self._short.add(rank)
                    return

    def _most_ahead(self) -> int:
        """How many trials a rank may have open before their turn."""
        run, started = self._run, len(self._run.trials)
        left = started if run.setting.trials is None else run.setting.trials - started
        reserve = min(started, left) // (RESERVE * len(self._ranks))
        return max(AHEAD, min(reserve, AHEAD * len(run.points) // self._first))

    def _assign_next(self, rank: int, most: int) -> bool:
        """Hand out a trial before its turn; whether there was one."""
        run = self._run
        number = self._next = max(self._next, len(run.trials))
        ahead = number - len(run.trials)
        if self._exhausted or ahead >= most * len(self._ranks):
            return False
        configuration = run.peek(number)
        if configuration is None:
            self._exhausted = True
            return False
        self._next += 1
        curve, ended = self._ahead_of(number, configuration)
        if not ended:
            self._ahead[rank] += 1
            self._first = self._place(number, configuration, rank, 0.0, curve, inf).limit
        return True

    def _ahead_of(self, number: int, configuration: Configuration) -> tuple[wire.Curve, bool]:
        """What is known of a training, and whether that is all of it."""
        if self._known is None:
            return [], False
        trial = self._run.trial_of(number, configuration)
        return self._known.ahead(trial, self._points_of(configuration))

    def _place(
        self, number: int, configuration: Configuration, rank: int, progress: float, curve: wire.Curve, started: float
    ) -> Placed:
        limit = self._limit(number, configuration, progress)
        placed = Placed(rank, limit, len(curve), started == inf)
        self.trials[number] = placed
        self._committed[rank] += placed.committed
        self._open[rank] += 1
        trained = None if self._known is None else self._known.processors
        first = self._run.trial_of(number, configuration).first
        message = wire.pack_start(number, configuration, curve, placed.limit, started, trained, first)
        self.orders.append((rank, Tag.START, message))
        return placed

    def _allow(self, number: int, placed: Placed) -> None:
        """Let a trial go on to the next point at which it may be stopped or paused."""
        state, before = self._run.trials[number], placed.committed
        placed.limit = self._limit(number, state.configuration, state.progress)
        self._committed[placed.rank] += placed.committed - before
        self.orders.append((placed.rank, Tag.GO, wire.pack_go(number, placed.limit, state.origin)))

    def _points_of(self, configuration: Configuration) -> tuple[float, ...]:
        return self._run.points_of(self._run.cost.of(configuration))

    def _limit(self, number: int, configuration: Configuration, progress: float) -> int:
        """Up to how many of its points a trial will surely train: to the first where it may be stopped or paused."""
        return bisect_left(self._points_of(configuration), self._run.next_check(number, progress)) + 1

    def _close(self, placed: Placed) -> None:
        """A rank trains a trial no more."""
        self._open[placed.rank] -= 1
        self._ahead[placed.rank] -= placed.ahead
        self._take(placed.rank, placed.committed)

    def _take(self, rank: int, points: int) -> None:
        self._committed[rank] -= points
        if self._committed[rank] < STOCK:
            self._short.add(rank)
        heappush(self._loads, self._load(rank))
        if len(self._loads) > 4 * len(self._ranks):
            self._weigh()

    def _load(self, rank: int) -> Load:
        return self._committed[rank], self._open[rank], self._places[rank], rank

    def _weigh(self) -> None:
        self._loads = [self._load(rank) for rank in self._ranks]
        heapify(self._loads)

    def _least_loaded(self) -> int:
        """The rank that has the least to do; of several, the first."""
        while self._loads[0] != (load := self._load(self._loads[0][-1])):
            heapreplace(self._loads, load)
        return self._loads[0][-1]
