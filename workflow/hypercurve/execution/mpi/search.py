"""The MPI executor: rank 0 supervises, all train (slides, Algorithm 3; the poster's grid engine).

Every trial belongs to one rank. A rank never waits for an answer: it trains the most urgent of its trials to the next
point, reports, and goes on. The supervisor takes the reports in virtual-time order, or as they arrive. So the journal is
the serial executor's, whatever the number of ranks.
"""

import time

from ...events.journal import Journal
from ...events.lines import Wall
from ...runs.known import KnownTrainings
from ...runs.run import Run
from ...training.trainer import Trainer
from ...util.provenance import origin
from ..event_loop import Watch, drive, finish
from . import messages as wire
from .comm import Comm, Inbox, Outbox, Tag, check_interrupted, orphaned
from .supervisor import Supervisor
from .worker import Worker

TRAINING_SUPERVISOR = 8
"""Up to so many ranks, rank 0 trains as well: an idle one would cost an eighth of the cores or more. With more, it would
save less than it costs when the others wait for answers while it trains to a point."""

_QUICK = 0.0002  # seconds of training to a point below which reports are sent together
_TOGETHER = 0.001  # seconds for which they are held back at most


def execute(
    run: Run,
    trainer: Trainer,
    journal: Journal | None,
    comm: Comm,
    *,
    known: KnownTrainings | None = None,
    watch: Watch | None = None,
    trains: bool | None = None,
) -> None:
    """Carry a run to its end with all ranks; each calls this.

    Args:
        run: a new run. On rank 0, the journal's lines are folded into it first; elsewhere it only says what is trained.
        trainer: trains this rank's trials.
        journal: on rank 0, where every event is written before its actions take effect.
        comm: the ranks; see :mod:`hypercurve.execution.mpi.comm`.
        known: on rank 0, trainings that were recorded earlier, and are not done again.
        watch: on rank 0, called now and then, for progress displays.
        trains: whether rank 0 trains as well; None: with few ranks it does.

    Raises:
        Interrupted: a signal asks this rank to end.
    """
    if comm.rank > 0:
        _serve(Worker(run, trainer, comm.rank), Inbox(comm), Outbox(comm))
        return
    assert journal is not None, "rank 0 writes the journal"
    run.fold(journal.lines, str(journal.path))
    if not journal.lines:
        journal.append(run.start(Wall(at=time.time(), origin=origin())))
    if trains is None:
        trains = comm.size <= TRAINING_SUPERVISOR
    own = Worker(run, trainer, 0) if trains else None
    supervisor = Supervisor(run, journal, comm, own, watch or (lambda _: None), known)
    if run.ended is None:
        supervisor.resume()
        try:
            drive(run, supervisor, journal.add, known)
        finally:
            if not orphaned():  # else a rerun may write the journal by now
                journal.flush()
    tested = supervisor.finish()
    if run.best is not None and run.tested is None:
        if tested is not None:
            journal.append(run.test(tested.metrics, tested.wall))
        else:
            journal.append(finish(run, trainer, None, known, journal.path.parent))
    if watch is not None:
        watch(run)


def _serve(worker: Worker, inbox: Inbox, outbox: Outbox) -> None:
    """Train and report until told to leave."""
    held: list[bytes] = []
    sent, last = 0.0, -1

    def send() -> None:
        if held:
            outbox.send(b"".join(held), 0, Tag.REPORTS)
            held.clear()

    while True:
        while (received := inbox.receive()) is not None:
            _, tag, message = received
            if tag is Tag.LEAVE:
                outbox.send(b"", 0, Tag.LEFT)
                outbox.drain()
                return
            if tag is Tag.TEST:
                outbox.send(wire.pack_tested(worker.test(*wire.unpack_test(message))), 0, Tag.TESTED)
            else:
                worker.handle(tag, message)
        check_interrupted()
        number = worker.choose()
        if number != last:  # another may take longer, so nothing waits for it
            send()
            last = -1 if number is None else number
        if number is None:
            outbox.sweep()
            inbox.wait()
            continue
        began = time.perf_counter()
        point, line = worker.advance(number)
        ended = time.perf_counter()
        report = wire.pack_report(point, line)
        if report is not None:
            held.append(report)
        else:
            send()
            outbox.send(wire.pack_detail(line), 0, Tag.DETAIL)
            outbox.drain()  # with its traceback, it may be large
        if ended - began > _QUICK or ended - sent > _TOGETHER:
            send()
            sent = ended
