"""The executor of workers that come and go: each is a process of its own, and they meet in the run's folder.

A worker has the turn for moments only: it reads what others have journalled since, takes its report, decides, claims the
trial that it trains next, and makes that known (:mod:`hypercurve.runs.meeting`). Reports are taken in order of arrival. A
trial is the worker's that claims it until it is over or paused. Of a worker that gives no sign of life, others take the
trials, from their saved states. A worker that was only suspended finds its claim gone, and drops what it has trained.
"""

import random
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

from ..events.checksums import Chain
from ..events.encoding import decode_line, differences_of_headers, encode_line
from ..events.events import Completed, Event, Failed, Pause, Reported, Stop
from ..events.journal import Journal, JournalError, first_line, parse
from ..events.lines import EventLine, Line, RunHeader, Wall
from ..runs.failures import Hopeless
from ..runs.known import KnownTrainings
from ..runs.meeting import Gone, Lost, Meeting, State, dissolve
from ..runs.resuming import PATIENCE, begin, end, partial_of, put_aside
from ..runs.run import Due, Run
from ..runs.telling import telling
from ..training.saving import SavingTrainer
from ..training.saving_session import SavingSession
from ..util.errors import UserError
from ..util.provenance import origin
from .advance import advance
from .event_loop import Watch, drive, equal_bits, finish
from .serial import Sessions

IDLE = 0.5
"""Seconds after which a worker that has nothing to do looks again, at the latest."""


class Dropped(BaseException):
    """The trial that is being trained is another worker's by now. Like :class:`Interrupted`, it is no failure of a trial."""


class _Over(Exception):
    """The run has ended, by another worker's turn."""


def execute(
    make: Callable[[], Run],
    trainer: SavingTrainer,
    output: Path,
    meet: Callable[[Run], Meeting],
    *,
    known: Callable[[Run], KnownTrainings | None] = lambda _: None,
    watch: Watch = lambda _: None,
) -> None:
    """Join a run, and carry it on until it is complete.

    Args:
        make: gives the run before anything has happened.
        trainer: trains the trials; its states lie where all workers find them.
        output: the finished journal's place.
        meet: takes a place among the workers.
        known: trainings that were recorded earlier, and are not done again.
        watch: called after every event, for progress displays.

    Raises:
        UserError: another worker has ended the run for its failures, or it was begun anew with other settings.
        Hopeless: its trials fail alike.
    """
    while True:
        run = make()
        if finished(output, run.header):
            print(f"{output}: the run is complete", file=sys.stderr)
            trainer.clear()
            return
        joined = None
        try:
            joined = Joined(run, trainer, output, meet(run), watch)
            with telling(run.failures, output):
                joined.carry_on(known)
            return
        except Gone:
            if not finished(output, run.header):
                said = "was begun anew, or ended since its trials fail alike: see the logs of the other workers"
                raise UserError(f"{output}: the run {said}") from None
        except Lost:
            print("this worker was taken for dead, and joins the run again", file=sys.stderr, flush=True)
        finally:
            if joined is not None:
                joined.leave()


def finished(output: Path, header: RunHeader) -> bool:
    """Whether a run is complete, and its journal in place."""
    line = first_line(output)
    return line is not None and not differences_of_headers(header, line)


class Joined(Sessions):
    """A worker among others: a :class:`~hypercurve.execution.event_loop.Source`.

    Args:
        run: before anything has happened.
        trainer: trains the trials.
        output: the finished journal's place.
        meeting: this worker's place among the others.
        watch: called after every event.
    """

    def __init__(self, run: Run, trainer: SavingTrainer, output: Path, meeting: Meeting, watch: Watch):
        super().__init__(run, trainer, 0, watch, False)
        self._saving, self._meeting = trainer, meeting
        self._output, self._journal = output, partial_of(output)
        self._known: KnownTrainings | None = None
        self._state: State | None = None
        self._name = ""  # of the state
        self._chain, self._folded, self._at = Chain(), 0, 0  # of the journal: sums, lines and bytes that are folded
        self._added: list[bytes] = []  # lines of this turn
        self._claims: dict[int, str] = {}
        self._changed = False  # whether there is more to publish than lines
        self._after: list[Callable[[], None]] = []  # to be done when this turn is published
        self._training: int | None = None
        self._report: EventLine | None = None

    def carry_on(self, known: Callable[[Run], KnownTrainings | None]) -> None:
        """Join, and work until the run is complete."""
        run = self._run
        _, early = self._meeting.look()
        if early is not None:
            self._catch_up(early)  # so that most is not read in the turn
        state = self._enter(first=True)
        self._known = known(run)
        processors = tuple(dict.fromkeys((*state.processors, str(origin()["processor"]))))
        if self._known is not None:
            self._known.processors.update(processors)
        self._equal = equal_bits(run, processors)
        self.worker, self._changed = state.joined, True
        self._state = replace(state, joined=state.joined + 1, processors=processors)
        ask = self._saving.bounds.ask

        def check() -> None:
            ask()
            self._check_claim()

        self._saving.bounds.ask = check
        try:
            with suppress(_Over):
                drive(run, self, self._write, self._known)
            if not run.complete:
                self._write(finish(run, self._saving, None, self._known, self._output.parent))
        except Hopeless:
            self._over(put_aside)
            raise
        finally:
            self._saving.bounds.ask = ask
        self._over(end)
        self._watch(run)

    def leave(self) -> None:
        """Let all sessions go, and say so to the others."""
        self._meeting.signs.leave()
        for session in self._open.values():
            cast(SavingSession, session).leave()
        self._open.clear()

    # A source of reports

    def due(self) -> Due | None:
        """The first report that is here: of a start, a known training, or what this worker has trained."""
        run = self._run
        while True:
            if run.ended is not None:
                raise _Over
            going = run.going()
            if not going or (here := self._here(going)) is not None:
                return here if going else None
            self._report = None  # of a point that is another's by now
            chosen = self._choose(going)
            if chosen is not None:
                self._claim(chosen.trial)
            self._publish()
            if chosen is None:
                self._idle()
            else:
                self._train(chosen)
            self._enter()

    def report(self, due: Due) -> EventLine:
        """What this worker has trained."""
        assert self._report is not None
        line, self._report = self._report, None
        return line

    def decided(self, event: Event) -> None:
        """Let sessions go that are over; of paused trials, those that another worker can go on with."""
        over = [event.trial] if isinstance(event, Completed | Failed) else []
        for action in self._run.actions:
            if isinstance(action, Stop):
                over.append(action.trial)
            elif isinstance(action, Pause):
                self._pause(action.trial)
        for number in over:
            session = self._open.pop(number, None)
            self._after.append(
                partial(self._saving.forget, self._run.trial(number)) if session is None else session.close
            )
            self._claims.pop(number, None)
        self._watch(self._run)

    def _here(self, going: Sequence[Due]) -> Due | None:
        starts = [due for due in going if due.progress == 0]
        if starts:
            return min(starts, key=lambda due: due.trial)
        if (known := self._known) is not None:
            for due in going:
                if self._may_have(due.trial) and known.report(self._run.trial(due.trial), due.progress) is not None:
                    return due
        if self._report is None:
            return None
        due = self._run.due_of(self._report.event.trial)  # type: ignore[assignment]
        return due if due is not None and due.progress == self._report.event.progress else None

    def _choose(self, going: Sequence[Due]) -> Due | None:
        """The trial to train next: one that this worker has, else one that nobody has who lives."""
        mine = (due for due in going if self._claims.get(due.trial) == self._meeting.name)
        return next(mine, None) or next((due for due in going if self._may_have(due.trial)), None)

    def _may_have(self, number: int) -> bool:
        holder = self._claims.get(number)
        return holder is None or holder == self._meeting.name or self._meeting.signs.silent(holder)

    def _claim(self, number: int) -> None:
        holder, me = self._claims.get(number), self._meeting.name
        if holder == me:
            return
        if holder is not None:
            print(f"trial {number}: taken over from a worker that has ended", file=sys.stderr, flush=True)
        self._claims[number], self._changed = me, True

    def _train(self, due: Due) -> None:
        """Train a trial to its next point."""
        number, run = due.trial, self._run
        told = self._check.told(run.trials[number].curve)
        self._training = number
        try:
            line, _ = advance(lambda: self._session(number), number, due.progress, self._check, self.worker, told)
        except Dropped:
            self._drop(number)
            return
        finally:
            self._training = None
        if isinstance(line.event, Completed):
            session, loss = self._open[number], run.setting.objective.loss(line.event.metrics)
            self._trainer.keep(run.trial(number), session.snapshot, loss)
            session.rest()
        self._report = line

    def _pause(self, number: int) -> None:
        """Give a paused trial up, if its state can be saved; else it stays here."""
        session = cast(SavingSession | None, self._open.get(number))
        if session is None or session.park():
            self._open.pop(number, None)
            self._claims.pop(number, None)
            return
        said = "they stay with the worker that has them, and are trained again if that ends"
        self._saving.bounds.warn("paused", f"paused trials cannot save their states: {said}")

    def _drop(self, number: int) -> None:
        """Let a trial go that is another worker's by now; its saved state is the other's, too."""
        print(f"trial {number}: another worker has taken it over; dropped here", file=sys.stderr, flush=True)
        if (session := self._open.pop(number, None)) is not None:
            cast(SavingSession, session).leave()
        if self._run.trials[number].status not in ("running", "paused"):
            self._saving.forget(self._run.trial(number))

    def _check_claim(self) -> None:
        """Within a training: if this process was suspended, see whether its trial is still its own.

        Raises:
            Dropped: it is not.
        """
        number = self._training
        if number is None or not self._meeting.signs.suspended():
            return
        try:
            _, state = self._meeting.look()
        except Gone:
            state = None
        if state is None or state.claims.get(number) != self._meeting.name:
            self._saving.bounds.awake.clear()  # nothing of it is saved any more
            raise Dropped

    # Turns

    def _enter(self, first: bool = False) -> State:
        """Take the turn, and what others have journalled meanwhile."""
        state = self._meeting.take(self._look)
        if (state is None and not first) or (self._state and state and state.run != self._state.run):
            self._meeting.give(state)
            raise Gone  # somebody has begun the run anew
        self._changed = state is None
        if state is None:
            state = self._begin()
        self._catch_up(state)
        return state

    def _begin(self) -> State:
        """The first worker's first turn: what a run in one process does at its start."""
        path, run = self._journal, self._run
        dissolve(self._output, path, but=self._meeting.folder)
        with Journal(path, PATIENCE) as journal:
            begin(journal, self._output, run.header)
            if not journal.lines:
                journal.append(run.start(Wall(at=time.time(), origin=origin())))
                self._folded, self._at = 1, path.stat().st_size
                parse(path.read_bytes()[:-1], self._chain)
            fresh = path.with_name(f".{path.name}.{self._meeting.name}")  # so that no earlier worker writes to it
            shutil.copyfile(path, fresh)
            fresh.replace(path)
        status = path.stat()
        return State(self._meeting.name, status.st_ino, status.st_size)

    def _catch_up(self, state: State) -> None:
        """Fold what others have journalled, and let go of what they have taken over."""
        run, me = self._run, self._meeting.name
        lines = []
        for number, raw in enumerate(self._meeting.read(state, self._at).split(b"\n")[:-1], self._folded + 1):
            try:
                lines.append(parse(raw, self._chain))
            except (ValueError, RecursionError) as error:
                raise JournalError(f"{self._journal}:{number}: damaged line: {error}") from None
        run.fold(lines, str(self._journal), self._folded + 1)
        if run.repeats and self._known is not None:
            for line in map(decode_line, lines):
                match line:
                    case EventLine(Reported() | Completed() | Failed() as event, wall):
                        self._known.add(run.trial(event.trial), event, wall)
        self._folded, self._at, self._state = self._folded + len(lines), state.end, state
        self._claims = {
            number: name for number, name in state.claims.items() if run.trials[number].status in ("running", "paused")
        }
        for number in [number for number in self._open if self._claims.get(number) != me]:
            self._drop(number)
        if self._report is not None and self._claims.get(self._report.event.trial) != me:
            self._report = None

    def _write(self, line: Line) -> None:
        self._added.append(self._chain.seal(encode_line(line)))

    def _publish(self) -> None:
        """End the turn, and let others know what has been decided and claimed in it."""
        state, after = self._state, None
        assert state is not None
        if self._added or self._changed or self._claims != state.claims:
            after = replace(state, lines=state.lines + b"".join(self._added), claims=self._claims)
        self._name, self._state = self._meeting.give(state, after)
        assert self._state is not None
        self._at, self._folded = self._state.end, self._folded + len(self._added)
        self._added.clear()
        self._changed = False
        for act in self._after:
            act()
        self._after.clear()

    def _over(self, put: Callable[[Path], None]) -> None:
        """Publish what is left, put the whole journal where it belongs, and end the meeting."""
        if self._added or self._changed:
            self._publish()
            self._meeting.take()
        assert self._state is not None
        self._meeting.settle(self._state, sync=True)
        if self._run.complete:
            self._saving.clear()
        if self._journal.exists():  # else a worker that did all but the next line has died
            put(self._output)
        self._meeting.close()

    def _look(self, name: str) -> None:
        """Take what others have journalled, without the turn: so there is little left to read in it."""
        if self._state is None or name == self._name:
            return
        self._name, state = self._meeting.look()
        if state is None or state.run != self._state.run:
            raise Gone
        self._catch_up(state)

    def _idle(self) -> None:
        """Wait until there is something to do."""
        wait, run = 0.01, self._run
        while True:
            time.sleep(wait * (0.5 + random.random()))  # so that not all look at once
            wait = min(2 * wait, IDLE)
            self._look(self._meeting.now())
            going = run.going()
            if run.ended is not None or not going or self._here(going) or self._choose(going):
                return
