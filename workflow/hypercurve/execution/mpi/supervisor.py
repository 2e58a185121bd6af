"""The supervisor of an MPI search: where the reports of all ranks come together.

It takes them in virtual-time order, or as they arrive, and tells ranks what they could not know. What was decided is
written to the journal before anything is said; both happen only when there is nothing left to take, for many reports at
once if they come fast.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from ...events.events import Completed, Continue, Event, Failed, Pause, Resume, Started, Stop
from ...events.journal import Journal
from ...events.lines import EventLine, Tested
from ...runs.known import KnownTrainings
from ...runs.run import Due, Run
from ..event_loop import Watch
from . import messages as wire
from .comm import Comm, Inbox, Outbox, Tag, check_interrupted
from .placement import Placement
from .worker import Worker

_BURST = 64  # reports taken before anything is said
_WATCH_EVERY = 0.1  # seconds


class Supervisor:
    """Where reports come from; a :class:`~hypercurve.execution.event_loop.Source`.

    Args:
        run: the run, in the state of its journal.
        journal: holds lines back until :meth:`Journal.flush`, which comes before anything is sent.
        comm: the ranks.
        own: rank 0's own worker; None where rank 0 only supervises.
        watch: called now and then.
        known: trainings that were recorded earlier, which no rank trains.
    """

    def __init__(
        self,
        run: Run,
        journal: Journal,
        comm: Comm,
        own: Worker | None,
        watch: Watch,
        known: KnownTrainings | None = None,
    ):
        self.worker = 0
        self._run, self._journal, self._own, self._watch = run, journal, own, watch
        self._inbox, self._outbox = Inbox(comm), Outbox(comm)
        self._others = range(1, comm.size)
        self._known = known
        ranks = [*self._others, *([0] if own is not None else [])]  # rank 0 has more to do
        self._placement = Placement(run, ranks, known)
        self._trials = self._placement.trials
        self._unstarted = 0  # number of the first trial whose start is not taken yet
        self._arrived: deque[int] = deque()  # trials with reports, in the order that these came
        self._keeper: int | None = None  # who has the best trial's network
        self._waited: Event | None = None  # the report that came last from a rank
        self._arrival = run.setting.order == "arrival"
        self._taken = 0
        self._watched = 0.0

    def resume(self) -> None:
        """Place the trials that were in flight when the journal ended."""
        due = {number: due for number in self._run.trials if (due := self._run.due_of(number)) is not None}
        for number in due:
            if due[number].progress > 0:
                self._placement.start(number)
        self._unstarted = min((n for n in due if due[n].progress == 0), default=len(self._run.trials))

    def due(self) -> Due | None:
        """The next report in virtual time, or, in order of arrival, the first that is here."""
        due = self._run.due()
        if not self._arrival or due is None:
            return due
        if self._unstarted < len(self._run.trials):
            return self._run.due_of(self._unstarted)
        self._until(self._any_arrived)
        return self._run.due_of(self._arrived.popleft())

    def report(self, due: Due) -> EventLine:
        """The report that is due, waited for; rank 0 trains meanwhile."""
        early = self._trials[due.trial].early
        if not early:
            self._until(lambda: bool(early))
        line = early.popleft()
        if isinstance(line.event, Failed) and line.event.progress < due.progress:  # elsewhere it got further
            line = line._replace(event=replace(line.event, progress=due.progress))
        self._waited = line.event
        return line

    def decided(self, event: Event) -> None:
        """Prepare what ranks must be told."""
        number = event.trial
        if event is not self._waited and not isinstance(event, Started):
            self._placement.known(number, event.progress)
        match event:
            case Started():
                self._start(number)
                self._unstarted = number + 1
            case Completed():
                best = self._run.best is not None and self._run.best.number == number
                placed = self._trials.get(number)
                has = placed is not None and placed.completed  # if it is known, its rank may not have come to its end
                if best:
                    self._keeper = placed.rank if placed is not None and has else None
                self._placement.remove(number, best and has)
            case Failed():
                self._placement.remove(number)
        for action in self._run.actions:
            match action:
                case Continue(trial) if not isinstance(event, Started):
                    self._placement.go_on(trial)
                case Stop(trial):
                    self._placement.remove(trial)
                case Pause(trial) if self._arrival:  # what came early waits as well
                    self._arrived = deque(number for number in self._arrived if number != trial)
                case Resume(trial):
                    self._start(trial)
        if self._arrival:
            self._expect_known()
        self._taken += 1
        if self._taken >= _BURST:
            self._write_and_send()

    def _start(self, number: int) -> None:
        placed = self._placement.start(number)
        if self._arrival and placed is not None:
            self._arrived.extend([number] * len(placed.early))

    def _expect_known(self) -> None:
        """In order of arrival, what is known is there at once."""
        going = [action.trial for action in self._run.actions if isinstance(action, Continue | Resume)]
        for number in going:
            due = self._run.due_of(number)
            if (
                self._known is not None
                and due is not None
                and self._known.report(self._run.trial(number), due.progress)
            ):
                self._arrived.append(number)

    def finish(self) -> Tested | None:
        """End the work of all ranks; the test of the chosen network, if a rank still has it, which then writes its file."""
        best = self._run.best if self._run.tested is None else None
        keeper = self._keeper if best is not None else None
        self._send_orders()
        for rank in self._others:
            if rank != keeper:
                self._outbox.send(b"", rank, Tag.LEAVE)
        tested: Tested | None = None
        if best is not None and keeper is not None:
            reported, folder = self._run.best_test, self._journal.path.parent
            if keeper == 0:
                assert self._own is not None
                tested = self._own.test(best.number, reported, folder)
            else:
                self._outbox.send(wire.pack_test(best.number, reported, folder), keeper, Tag.TEST)
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
                tested = wire.unpack_tested(message)
                self._outbox.send(b"", rank, Tag.LEAVE)
            # all else is surplus
        self._outbox.drain()
        return tested

    def _any_arrived(self) -> bool:
        while self._arrived and not self._at_hand(self._arrived[0]):
            self._arrived.popleft()
        return bool(self._arrived)

    def _at_hand(self, number: int) -> bool:
        """Whether a trial's next report is here, or known."""
        due, placed = self._run.due_of(number), self._trials.get(number)
        if due is None:
            return False
        if placed is not None and placed.early:
            return True
        return self._known is not None and self._known.report(self._run.trial(number), due.progress) is not None

    def _until(self, ready: Callable[[], bool]) -> None:
        """Receive, and train on rank 0, until something is so."""
        while not ready():
            self._write_and_send()
            if self._receive():
                continue
            if self._own is not None and (number := self._own.choose()) is not None:
                self._arrive(self._own.advance(number)[1])
            else:
                self._inbox.wait()

    def _receive(self) -> bool:
        """Take all messages that are here; whether there were any."""
        some = False
        while (received := self._inbox.receive()) is not None:
            rank, tag, message = received
            some = True
            match tag:
                case Tag.REPORTS:
                    for line in wire.unpack_reports(message, self._run.points, rank):
                        self._arrive(line)
                case Tag.DETAIL:
                    self._arrive(wire.unpack_detail(message))
                case _:
                    raise AssertionError(f"a message {tag!r} to the supervisor")
        return some

    def _arrive(self, line: EventLine) -> None:
        placed, number = self._placement.reported(line), line.event.trial
        if self._arrival and placed is not None and not placed.ahead and self._run.due_of(number) is not None:
            self._arrived.append(number)

    def _write_and_send(self) -> None:
        """Write what was decided, then tell the ranks."""
        check_interrupted()
        self._taken = 0
        self._placement.assign_ahead()
        self._send_orders()
        if self._watched + _WATCH_EVERY < (now := time.monotonic()):
            self._watched = now
            self._watch(self._run)

    def _send_orders(self) -> None:
        self._journal.flush()
        for rank, tag, message in self._placement.orders:
            if rank != 0:
                self._outbox.send(message, rank, tag)
            else:
                assert self._own is not None
                self._own.handle(tag, message)
        self._placement.orders.clear()
