"""The supervisor of an MPI search: where the reports of all ranks come together, and what ranks are told.

It says only what ranks could not know: that a trial may go beyond a point at which it might have been stopped, and that it
is over. So that no rank runs dry, it hands out trials before their turn where the searcher knows them: what a trial does
depends on nothing but its configuration and seed, and the stretch up to its first check point will be wanted for sure.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf

from ..journal import Journal
from ..run import Due, Run
from ..scheduling import Completed, Event, Failed, Reported, Started
from ..space import Configuration
from . import wire
from .comm import Comm, Inbox, Outbox, Tag, check_interrupted
from .driving import Watch
from .judging import Wall
from .worker import Worker

AHEAD = 4
"""Trials that a rank may have open before their turn. What has run ahead when a budget ends is in vain."""

STOCK = 2

_BURST = 64  # reports taken before anything is sent
_WATCH_EVERY = 0.1  # seconds


@dataclass(slots=True)
class _Placed:
    """A trial that a rank has.

    Attributes:
        rank: the rank.
        limit: how many points it will train to whatever is decided.
        got: how many it has reported.
        ahead: it has not started yet.
        over: it has reported its end.
        early: reports that are not taken yet.
    """

    rank: int
    limit: int
    got: int
    ahead: bool
    over: bool = False
    early: deque[tuple[Event, Wall]] = field(default_factory=deque)


class Supervisor:
    """Where the reports of all ranks come together; a :class:`~hypercurve.execution.driving.Source`.

    Args:
        run: the run, in the state of its journal.
        journal: holds lines back until :meth:`Journal.flush`, which comes before anything is sent.
        comm: the ranks.
        own: rank 0's own worker; None where rank 0 only supervises.
        watch: called now and then.
    """

    def __init__(self, run: Run, journal: Journal, comm: Comm, own: Worker | None, watch: Watch):
        self.worker = 0
        self._run, self._journal, self._own, self._watch = run, journal, own, watch
        self._inbox, self._outbox = Inbox(comm), Outbox(comm)
        self._others = range(1, comm.size)
        self._ranks = [*self._others, *([0] if own is not None else [])]  # rank 0 has other things to do as well
        self._placed: dict[int, _Placed] = {}
        self._wanted = dict.fromkeys(self._ranks, 0)  # points that each rank will surely train to, and has not reported
        self._open = dict.fromkeys(self._ranks, 0)  # trials that each rank has
        self._ahead = dict.fromkeys(self._ranks, 0)  # of these, those that have not started
        self._hungry = set(self._ranks)
        self._foreseen = 0  # number of the next trial to hand out before its turn
        self._exhausted = False  # there is none
        self._unstarted = 0  # number of the first trial whose start is not taken yet
        self._arrived: deque[int] = deque()  # trials with reports, in the order that these came
        self._outgoing: list[tuple[int, Tag, bytes]] = []
        self._taken = 0
        self._watched = 0.0
        self._keeper: int | None = None
        self._arrival = run.setting.order == "arrival"
        self._index = {point: number for number, point in enumerate(run.points, start=1)}

    def resume(self) -> None:
        """Place the trials that were in flight when the journal ended."""
        waiting = {number: due for number in self._run.trials if (due := self._run.due_of(number)) is not None}
        for number, due in waiting.items():
            if due.progress > 0:
                self._place(number)
        self._unstarted = min(
            (number for number, due in waiting.items() if due.progress == 0), default=len(self._run.trials)
        )

    def due(self) -> Due | None:
        """The next report in virtual time, or, in order of arrival, the first that is here."""
        due = self._run.due()
        if not self._arrival or due is None:
            return due
        if self._unstarted < len(self._run.trials):
            return self._run.due_of(self._unstarted)
        self._until(self._any_arrived)
        return self._run.due_of(self._arrived.popleft())

    def report(self, due: Due) -> tuple[Event, Wall]:
        """The report that is due, waited for; rank 0 trains meanwhile."""
        early = self._placed[due.trial].early
        if not early:
            self._until(lambda: bool(early))
        return early.popleft()

    def decided(self, event: Event) -> None:
        """Prepare what the ranks must be told; it is sent after the journal's lines are written."""
        number = event.trial
        match event:
            case Reported():
                placed = self._placed[number]
                if self._run.due_of(number) is None:
                    self._remove(number, best=False)
                elif not placed.over and self._index[event.progress] >= placed.limit:
                    self._allow(number, placed)
            case Started():
                self._unstarted = number + 1
                self._place(number)
            case Completed():
                best = self._run.best is not None and self._run.best.number == number
                if best:
                    self._keeper = self._placed[number].rank
                self._remove(number, best)
            case Failed():
                self._remove(number, best=False)
        self._taken += 1
        if self._taken >= _BURST:
            self._settle()

    def finish(self) -> dict[str, float] | None:
        """End the work of all ranks; the metrics of the chosen network on the test set, if a rank still has it."""
        best = self._run.best if self._run.tested is None else None
        keeper = self._keeper if best is not None else None
        self._send()
        for rank in self._others:
            if rank != keeper:
                self._outbox.send(b"", rank, Tag.LEAVE)
        metrics: dict[str, float] | None = None
        if best is not None and keeper == 0:
            assert self._own is not None
            metrics = self._own.test(best.number)
        elif best is not None and keeper is not None:
            self._outbox.send(wire.pack_trial(best.number), keeper, Tag.TEST)
        left = 0
        while left < len(self._others):
            received = self._inbox.receive()
            if received is None:
                self._inbox.wait()
                continue
            rank, tag, message = received
            if tag is Tag.LEFT:
                left += 1
            elif tag is Tag.TESTED:
                metrics = wire.unpack_metrics(message)
                self._outbox.send(b"", rank, Tag.LEAVE)
            # all else is surplus
        self._outbox.drain()
        return metrics

    # what ranks have

    def _place(self, number: int) -> None:
        """Give a trial that goes on to a rank, or let the rank know that has it already."""
        state = self._run.trials[number]
        placed = self._placed.get(number)
        if placed is None:
            rank = min(self._ranks, key=lambda rank: (self._wanted[rank], self._open[rank]))
            self._start(number, state.configuration, rank, state.progress, len(state.curve), state.started)
            return
        placed.ahead = False
        if not placed.over:
            self._ahead[placed.rank] -= 1
            self._allow(number, placed)
        if self._arrival:
            self._arrived.extend([number] * len(placed.early))

    def _start(
        self, number: int, configuration: Configuration, rank: int, progress: float, done: int, started: float
    ) -> None:
        limit = self._index[self._run.next_check(number, progress)]
        self._placed[number] = _Placed(rank, limit, done, started == inf)
        self._wanted[rank] += limit - done
        self._open[rank] += 1
        self._outgoing.append((rank, Tag.START, wire.pack_start(number, configuration, done, limit, started)))

    def _allow(self, number: int, placed: _Placed) -> None:
        """Let a trial go on to the next point at which it may be stopped."""
        state = self._run.trials[number]
        limit = self._index[self._run.next_check(number, state.progress)]
        self._wanted[placed.rank] += max(0, limit - placed.got) - max(0, placed.limit - placed.got)
        placed.limit = limit
        self._outgoing.append((placed.rank, Tag.GO, wire.pack_go(number, limit, state.started)))

    def _remove(self, number: int, best: bool) -> None:
        placed = self._placed.pop(number)
        if not placed.over:
            self._close(placed)
        self._outgoing.append((placed.rank, Tag.RELEASE, wire.pack_release(number, best)))

    def _close(self, placed: _Placed) -> None:
        """A rank trains a trial no more."""
        self._wanted[placed.rank] -= max(0, placed.limit - placed.got)
        self._open[placed.rank] -= 1
        self._ahead[placed.rank] -= placed.ahead
        self._hungry.add(placed.rank)

    def _feed(self) -> None:
        """Hand out trials before their turn to ranks that would run dry."""
        for rank in list(self._hungry):
            # A rank far away must have something in stock while it trains to the last point of what is wanted.
            while self._wanted[rank] < (STOCK if rank else 1):
                number = self._foreseen = max(self._foreseen, len(self._run.trials))
                ahead = number - len(self._run.trials)
                if self._exhausted or self._ahead[rank] >= AHEAD or ahead >= AHEAD * len(self._ranks):
                    break
                configuration = self._run.foresee(number)
                if configuration is None:
                    self._exhausted = True
                    break
                self._foreseen += 1
                self._ahead[rank] += 1
                self._start(number, configuration, rank, 0.0, 0, inf)
            else:
                self._hungry.discard(rank)

    # messages

    def _any_arrived(self) -> bool:
        while self._arrived and self._arrived[0] not in self._placed:
            self._arrived.popleft()
        return bool(self._arrived)

    def _until(self, ready: Callable[[], bool]) -> None:
        """Receive, and train on rank 0, until something is so."""
        while not ready():
            self._settle()
            if self._receive():
                continue
            if self._own is not None and (number := self._own.choose()) is not None:
                _, event, wall = self._own.advance(number)
                self._arrive(0, event, wall)
            else:
                self._inbox.wait()

    def _receive(self) -> bool:
        """Take all messages that are here; whether there were any."""
        some = False
        while (received := self._inbox.receive()) is not None:
            rank, tag, message = received
            some = True
            if tag is Tag.REPORTS:
                for event, wall in wire.unpack_reports(message, self._run.points, rank):
                    self._arrive(rank, event, wall)
            else:
                assert tag is Tag.DETAIL
                self._arrive(rank, *wire.unpack_detail(message))
        return some

    def _arrive(self, rank: int, event: Event, wall: Wall) -> None:
        placed = self._placed.get(event.trial)
        if placed is None:
            return  # it was stopped at an earlier point: surplus
        placed.got += 1
        if placed.got <= placed.limit:
            self._wanted[rank] -= 1
            if self._wanted[rank] < STOCK:
                self._hungry.add(rank)
        if not isinstance(event, Reported):
            self._close(placed)
            placed.over = True
        placed.early.append((event, wall))
        if self._arrival and not placed.ahead:
            self._arrived.append(event.trial)

    def _settle(self) -> None:
        """Write what was decided, then say it."""
        check_interrupted()
        self._taken = 0
        self._feed()
        self._send()
        if self._watched + _WATCH_EVERY < (now := time.monotonic()):
            self._watched = now
            self._watch(self._run)

    def _send(self) -> None:
        self._journal.flush()
        for rank, tag, message in self._outgoing:
            if rank == 0:
                assert self._own is not None
                self._own.obey(tag, message)
            else:
                self._outbox.send(message, rank, tag)
        self._outgoing.clear()
