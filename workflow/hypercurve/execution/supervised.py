"""The MPI executor: rank 0 supervises and the others train (slides, Algorithm 3; the poster's grid engine).

Every trial belongs to one rank. A rank never waits for an answer: it trains the most urgent of its trials to the next
point, reports, and goes on. The supervisor takes the reports in virtual-time order, or as they arrive, and says only what
ranks could not know: that a trial may go beyond a point at which it might have been stopped, and that it is over. So that
no rank runs dry, it hands out trials before their turn where the searcher knows them: what a trial does depends on nothing
but its configuration and seed, and the stretch up to its first check point will be wanted for sure.
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
from ..training.base import Trainer
from . import wire
from .comm import Comm, Inbox, Outbox, Tag, check_interrupted
from .driving import Watch, drive, trained_again
from .judging import Wall
from .worker import Worker

TRAINING_SUPERVISOR = 8
"""Up to so many ranks, rank 0 trains as well: an idle one would cost an eighth of the cores or more. With more, it would
save less than it costs when the others wait for answers while it trains to a point."""

AHEAD = 4
"""Trials that a rank may have open before their turn. What has run ahead when a budget ends is in vain."""

_BURST = 64  # reports taken before anything is sent
_WATCH_EVERY = 0.1  # seconds
_QUICK = 0.0002  # seconds of training to a point below which reports are sent together
_TOGETHER = 0.001  # seconds for which they are held back at most


def execute(run: Run, trainer: Trainer, journal: Journal | None, comm: Comm, *, watch: Watch | None = None) -> None:
    """Carry a run to its end with all ranks; each calls this.

    Args:
        run: a new run. On rank 0, the journal's lines are folded into it first; elsewhere it only says what is trained.
        trainer: trains this rank's trials.
        journal: on rank 0, where every event is written before its actions take effect.
        comm: the ranks; see :mod:`hypercurve.execution.comm`.
        watch: on rank 0, called now and then, for progress displays.

    Raises:
        Interrupted: a signal asks this rank to end.
    """
    if comm.rank > 0:
        _serve(Worker(run, trainer, comm.rank), Inbox(comm), Outbox(comm))
        return
    assert journal is not None, "rank 0 writes the journal"
    run.fold(journal.lines, str(journal.path))
    if not journal.lines:
        journal.append(run.begin({"at": time.time()}))
    own = Worker(run, trainer, 0) if comm.size <= TRAINING_SUPERVISOR else None
    supervisor = Supervisor(run, journal, comm, own, watch or (lambda _: None))
    if run.ended is None:
        supervisor.resume()
        drive(run, supervisor, journal.add)
        journal.flush()
    metrics = supervisor.finish()
    if run.best is not None and run.tested is None:
        trial = run.trial(run.best.number)
        if metrics is None:
            metrics = dict(trainer.test(trial, trained_again(run, trainer)))
        journal.append(run.test(metrics, {"at": time.time()}))
    if watch is not None:
        watch(run)


# --- rank 0 -----------------------------------------------------------------------------------------------------------


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
        self._ranks = [*range(1, comm.size), *([0] if own is not None else [])]  # rank 0 has other things to do as well
        self._placed: dict[int, _Placed] = {}
        self._wanted = dict.fromkeys(self._ranks, 0)  # points that each rank will surely train to, and has not reported
        self._open = dict.fromkeys(self._ranks, 0)  # trials that each rank has
        self._ahead = dict.fromkeys(self._ranks, 0)  # of these, those that have not started
        self._hungry = set(self._ranks)
        self._foreseen = 0  # number of the next trial to hand out before its turn
        self._arrived: deque[int] = deque()  # trials with reports, in the order that these came
        self._outgoing: list[tuple[int, Tag, bytes]] = []
        self._taken = 0
        self._watched = 0.0
        self._keeper: int | None = None
        self._arrival = run.setting.order == "arrival"
        self._index = {point: number for number, point in enumerate(run.points, start=1)}

    def resume(self) -> None:
        """Place the trials that were in flight when the journal ended."""
        for state in self._run.trials.values():
            if state.status == "running" and (due := self._run.due_of(state.number)) is not None and due.progress > 0:
                self._place(state.number)

    def due(self) -> Due | None:
        """The next report in virtual time, or, in order of arrival, the first that is here."""
        if not self._arrival or (due := self._run.due()) is None or due.progress == 0:
            return self._run.due()
        # Due trials that have not started come first in virtual time or wait behind others: look for them as well.
        if (fresh := self._run.fresh()) is not None:
            return fresh
        self._until(lambda: self._oldest() is not None)
        number = self._oldest()
        assert number is not None
        return self._run.due_of(number)

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
        wanted = self._run.best is not None and self._run.tested is None
        keeper = self._keeper if wanted else None
        others = [rank for rank in self._ranks if rank != 0]
        metrics: dict[str, float] | None = None
        self._outgoing.clear() if keeper is None else None
        return metrics
