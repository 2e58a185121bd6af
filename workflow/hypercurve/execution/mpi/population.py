"""The population executor: members train on all ranks and copy each other; no rank is in charge.

Fitness is gathered by all ranks, everybody computes the same evolution, and only weights move, in memory, from the rank
that has a donor to the rank of the member that copies it (slides, "PBT: Algorithm"; in the slides' MagmaDNN version ranks
are members). Every rank has a replica of the run and feeds it all members' reports in virtual-time order, so all replicas
decide alike; rank 0 writes the journal. Members are dealt over ranks: a population of 10 runs on 1, 2, 3 or 10 ranks with
equal journals and equal weights.

With ``lag: 0``, a rank that has trained its members to evolution step g waits for all reports of g. With ``lag: 1``, it
waits for those of g - 1, which have travelled while it trained; what is then copied is what donors were like at g - 1.

A resumed run goes on from its newest snapshot (:mod:`hypercurve.execution.mpi.snapshots`); what its journal holds beyond
that is trained again and compared.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...events.encoding import RawLine, is_last
from ...events.events import Copy, Started
from ...events.journal import Journal, JournalError
from ...events.lines import Ended, EndReason, EventLine, Wall
from ...runs.run import Run
from ...training.trainer import Trainer
from ...util.provenance import origin
from ..event_loop import Watch
from .comm import Comm, Interrupted, received_signal
from .exchange import REPORT, WIDE_REPORT, Exchange, Gathering, Reports
from .members import Members, Vector
from .resumed_journal import ResumedJournal
from .snapshots import Saver, Snapshots, parse


def execute(
    run: Run,
    trainer: Trainer,
    journal: Journal | None,
    comm: Comm,
    *,
    folder: Path,
    minutes: float | None = None,
    watch: Watch | None = None,
) -> None:
    """Carry a population's run to its end with all ranks; each calls this.

    Args:
        run: a new run; the journal's lines are folded into it first.
        trainer: trains this rank's members.
        journal: on rank 0, where every event is written before its actions take effect.
        comm: the ranks; see :mod:`hypercurve.execution.mpi.comm`.
        folder: for snapshots, on a disk that all ranks see. Gone when the run is complete; the network is kept beside it.
        minutes: after how many there is a snapshot at the next evolution step, besides those of `snapshot_every`; None: no
            other ones.
        watch: on rank 0, called after every evolution step, for progress displays.

    Raises:
        Interrupted: a signal has asked a rank to end; a snapshot has been written.
        Hopeless: all members failed alike at their first report.
        JournalError: the journal does not fit the run, or training again gave something else than it says.
    """
    executor = _Executor(run, trainer, journal, comm, Snapshots(folder), minutes, watch or (lambda _: None))
    try:
        executor.execute()
    finally:
        executor.saver.close()


@dataclass(frozen=True, slots=True)
class _Incoming:
    """A state for a member of this rank.

    Attributes:
        step: the evolution step at which the member takes it over, if it gets there in good health.
        state: where it is, or arrives.
        copy: whom it copies, and what it then goes on with.
        request: of MPI, if it comes from another rank.
    """

    step: int
    state: Vector
    copy: Copy
    request: Any


class _Executor:
    members: Members
    journal: ResumedJournal

    def __init__(
        self,
        run: Run,
        trainer: Trainer,
        file: Journal | None,
        comm: Comm,
        snapshots: Snapshots,
        minutes: float | None,
        watch: Watch,
    ):
        assert run.setting.population is not None
        self.run, self.trainer, self.file, self.watch = run, trainer, file, watch
        self.rank, self.ranks, self.exchange = comm.rank, comm.size, Exchange(comm)
        self.lag, self.every = run.setting.population.lag, run.setting.population.snapshot_every
        self.last, self.size = len(run.points), run.setting.members
        self.snapshots, self.identity = snapshots, {"setting": run.setting.digest, "repeat": run.repeat}
        self.layout = REPORT if isinstance(run.setting.model, str) else WIDE_REPORT
        self.saver = Saver(snapshots, self.identity, self.size, file)
        self.gatherings: dict[int, Gathering] = {}  # by evolution step
        self.posted = self.complete = 0  # evolution steps up to which reports are sent; are taken
        self.incoming: dict[int, _Incoming] = {}  # by member
        self.received: dict[int, Vector] = {}  # memory for them, where they come from other ranks
        self.minutes, self.saved_at = minutes, time.monotonic()  # the last snapshot, by rank 0's clock
        self.save_at: set[int] = set()  # evolution steps with a snapshot because it was time for one
        self.stop_at: int | None = None
        self.signal = 0  # which asked for that

    def execute(self) -> None:
        step = self._begin()
        while self.run.ended is None:
            step += 1
            self._train(step)
            self._evolve(step)
        self._finish()

    def _owner(self, member: int) -> int:
        """Members are dealt like cards: those of low numbers, which ties favour, end up on different ranks."""
        return member % int(self.ranks)

    # --- the beginning: from the start, or from a snapshot

    def _begin(self) -> int:
        """The evolution step from which training goes on."""
        run, file = self.run, self.file
        if file is not None and not file.lines:
            self.snapshots.clear()  # of a run that was given up
        lines: list[RawLine] = self.exchange.share([] if file is None else file.lines)
        source = "journal" if file is None else str(file.path)
        mine = range(self.rank, self.size, self.ranks)
        if lines and is_last(lines[-1]):
            run.fold(lines, source)
            return self.last
        found = [] if file is None else self.snapshots.usable(self.identity, len(lines))
        for content in self.exchange.share([asdict(manifest) for manifest in found]):
            manifest = parse(content)
            saved = {member: self.snapshots.read(manifest, member) for member in mine}
            if not self.exchange.all_agree(all(rows is not None for rows in saved.values())):
                continue
            run.fold(lines[: manifest.lines], source)
            if any(trial.reports != manifest.step for trial in run.trials.values()):
                raise JournalError(f"{source}: does not fit the snapshot of evolution step {manifest.step}")
            self.journal = ResumedJournal(file, lines, manifest.lines)
            self.members = Members(run, self.trainer, self.rank, mine)
            self.members.agree(manifest.sizes)
            for member, rows in saved.items():
                if rows is not None:
                    self.members.resume(self.members[member], manifest.step, rows)
            self.posted = self.complete = manifest.step
            self._move(manifest.step, [])
            return manifest.step
        self.journal = ResumedJournal(file, lines, 0)
        self.journal.add(run.start(self.journal.wall(Wall(at=time.time(), origin=origin()))))
        while (due := run.due()) is not None and due.progress == 0:
            wall = Wall(worker=self._owner(due.trial), at=time.time())
            self.journal.add(run.step(Started(due.trial), self.journal.wall(wall)))
        self.journal.flush()
        self.members = Members(run, self.trainer, self.rank, mine)
        return 0

    # --- one evolution step

    def _train(self, step: int) -> None:
        """Train this rank's members to an evolution step, and send their reports on their way."""
        for member in self.members:
            self.members.train(member, step)
            if self.lag and step < self.last and not member.failed and self.members.agreed:
                self.exchange.wait_sent(step)
                self.members.keep(member, step)
            self.exchange.make_progress()
        self._post(step)

    def _post(self, step: int) -> None:
        rows = np.zeros(-(-self.size // self.ranks), self.layout)
        rows["signal"] = received_signal()
        if self.rank == 0 and self.minutes is not None and time.monotonic() >= self.saved_at + 60 * self.minutes:
            rows["save"], self.saved_at = True, time.monotonic()
        for row, member in zip(rows, self.members, strict=False):
            self.exchange.fill(row, member)
            row["sizes"] = self.members.sizes or (0, 0)
            if (written := self.saver.written(member.number)) is not None:
                row["snapshot"], row["digest"] = written[0], np.frombuffer(written[1], np.uint8)
        self.gatherings[step] = self.exchange.gather(rows)
        self.posted = step

    def _evolve(self, step: int) -> None:
        """Take the reports that this rank must know of, let its members copy, write a snapshot when it is time."""
        # Who diverged cannot go on without knowing now whom to copy.
        now = step == self.last or any(member.failed for member in self.members) or not self.members.agreed
        while self.complete < (step if now else step - self.lag):
            copies = self._take_reports(self.complete + 1)
            if self.run.ended is not None:
                return
            self._move(self.complete, copies)
        for member in self.members:
            if member.number in self.incoming and self.incoming[member.number].step == step:
                incoming = self._arrived(member.number)
                self.members.copy_state(member, step, incoming.state, incoming.copy)
        if self.lag == 0:
            self.exchange.wait_sent(step)  # others wait for it, and MPI may need us to get it there
        if self._has_snapshot(step):
            self.saved_at = time.monotonic()
            for member in self.members:
                self.saver.save(step, member.number, self.members.saved(member, step))
        if step == self.stop_at:
            self._stop(step)

    def _has_snapshot(self, step: int) -> bool:
        return step % self.every == 0 or step == self.stop_at or step in self.save_at

    def _take_reports(self, step: int) -> list[Copy]:
        """Feed the run all reports of an evolution step.

        Returns:
            The copies that follow.
        """
        gathered = self.gatherings.pop(step).wait()
        self._take_notes(gathered, step)
        run, journal = self.run, self.journal
        reports = self._reports(gathered, step)
        copies: list[Copy] = []
        while run.ended is None and (due := run.due()) is not None and due.trial in reports:
            report = reports.pop(due.trial)
            wall = journal.wall(report.wall)
            # The report that passed a budget in seconds is not in the journal: that it did is.
            if isinstance(journal.written(), Ended) or not run.budget_left(due, wall.seconds or 0.0):
                self._end("samples" if run.setting.budget.kind == "samples" else "seconds")
            else:
                journal.add(run.step(report.event, wall))
                copies += [action for action in run.actions if isinstance(action, Copy)]
        if run.ended is None and self.rank == 0:  # which alone knows why members failed; it ends the others
            journal.flush()
            run.failures.check()
        if run.ended is None and run.due() is None:
            self._end("finished")
        journal.flush()
        self.complete = step
        if self.rank == 0 and self._has_snapshot(step):
            self.saver.reached(step, journal.count)
        if run.ended is None:
            self.watch(run)
        return copies

    def _reports(self, gathered: Reports, step: int) -> dict[int, EventLine]:
        progress = self.run.points[step - 1]
        rows = [(worker, row) for worker, rows in enumerate(gathered) for row in rows if row["status"]]
        return {int(row["trial"]): self.exchange.report(row, worker, progress) for worker, row in rows}

    def _take_notes(self, gathered: Reports, step: int) -> None:
        """What ranks say beside their reports: sizes, signals, files of snapshots."""
        weights, slots = gathered["sizes"].reshape(-1, 2).max(axis=0).tolist()
        if weights + slots and not self.members.agreed:
            self.members.agree((weights, slots))
        if self.stop_at is None and gathered["signal"].any():
            self.stop_at, self.signal = step + self.lag, int(gathered["signal"].max())  # which no rank has passed yet
        if gathered["save"].any():
            self.save_at.add(step + self.lag)
        if self.rank == 0:
            for row in gathered[gathered["snapshot"] > 0]:
                self.saver.file_written(
                    int(row["snapshot"]), int(row["trial"]), row["digest"].tobytes(), (weights, slots)
                )

    def _end(self, reason: EndReason) -> None:
        self.journal.add(self.run.end(reason, self.journal.wall(Wall(at=time.time()))))

    # --- weights

    def _move(self, step: int, copies: Sequence[Copy]) -> None:
        """Send and receive what donors were like at an evolution step, without waiting.

        All ranks go through the same copies in the same order: those that members make at this step, and those that they
        will make at the next (lag 1).
        """
        progress = self.run.points[step - 1]
        due = [(copy, step) for copy in copies if copy.progress == progress]
        if step + 1 < self.last:  # at the end, nobody copies
            due += [(copy, step + 1) for copy in self.run.upcoming()]
        for copy, when in due:
            member, source, target = copy.trial, self._owner(copy.source), self._owner(copy.trial)
            if member in self.incoming:
                self._arrived(member)  # it has diverged and does not want it; the memory is needed
            if source == self.rank:
                state = self.members.keep(self.members[copy.source], step)
                if target == self.rank:
                    self.incoming[member] = _Incoming(when, state, copy, None)
                else:
                    self.exchange.send_state(state, target, step)
            elif target == self.rank:
                if member not in self.received:
                    self.received[member] = self.members.empty()[0]
                state = self.received[member]
                request = self.exchange.receive_state(state, source)
                self.incoming[member] = _Incoming(when, state, copy, request)

    def _arrived(self, member: int) -> _Incoming:
        incoming = self.incoming.pop(member)
        if incoming.request is not None:
            self.exchange.wait(incoming.request)
        return incoming

    # --- the end

    def _stop(self, step: int) -> None:
        """All ranks have saved this step: make it a snapshot, and end."""
        if self.complete < step:
            self._take_reports(step)
        self.saver.wait()
        self.saver.skip(step)  # so that it is this snapshot's digests that are told
        self._post(step + 1)
        self._take_notes(self.gatherings.pop(step + 1).wait(), step + 1)
        self.saver.wait()
        self.exchange.barrier()
        raise Interrupted(self.signal)

    def _finish(self) -> None:
        """Test the best member and keep its network, receive what nobody wants any more, and delete the snapshots."""
        run = self.run
        if run.best is not None and run.tested is None:
            owner = self._owner(run.best.number)
            mine = self.members.tested(run.best.number, self.snapshots.folder.parent) if owner == self.rank else None
            measured = self.exchange.tested(mine, owner)
            if measured is not None:
                wall = Wall(at=time.time(), network=measured[1])
                self.journal.add(run.test(measured[0], self.journal.wall(wall)))
                self.journal.flush()
        for member in list(self.incoming):
            self._arrived(member)
        if self.posted < min(
            self.complete + self.lag, self.last
        ):  # the others have gone on before they knew of the end
            self.gatherings[self.posted + 1] = self.exchange.gather(np.zeros(-(-self.size // self.ranks), self.layout))
        for step, gathering in self.gatherings.items():
            self._reports(gathering.wait(), step)
        self.saver.wait()
        self.exchange.finish()
        if self.rank == 0:
            self.snapshots.clear()
        self.watch(run)
