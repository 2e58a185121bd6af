"""Trainer for programs that stay: started once, they train one trial after the other, as they are asked to.

The protocol (docs/models.md) has three requests. ``begin`` a trial, from its start or from a state that follows, under
hyperparameters that may be others than before; ``train`` until the next report; ``save``. A program holds one trial at a
time. To train another one, the state of the first is taken from it, and comes back with ``begin`` when its turn has come.
A program that cannot save is started once for each trial that is in training, and again used for the next.

A session knows a state (or the start) and how many reports were made since. So it can be brought to where it was in any
process: whenever a program is lost that was no fault of this trial, the reports since are trained again.
"""

import signal
import sys
import time
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import numpy.typing as npt

from ..config.model import MOST_STATE
from ..runs.trial import Trial
from ..util.errors import UserError
from ..util.seeding import integer_seed
from .command import LARGEST, PATIENCE, CommandTrainer, ending, parsed
from .epochs import EpochSession
from .program import Log
from .staying_program import StayingProgram
from .trainer import TrialFailed
from .user_states import State, Vector, bytes_in, state_in, vector_for

PROTOCOL = 2
"""What a program says first: ``{"protocol": 2, "saves": true}``."""


class Slot:
    """A program that stays, and whose trial it holds.

    Attributes:
        program: the process.
        used: whether it has held a trial before the present one.
    """

    def __init__(self, program: StayingProgram) -> None:
        self.program, self.used = program, False
        self._holder: Callable[[], StayingSession | None] = lambda: None

    @property
    def holder(self) -> "StayingSession | None":
        """The session whose trial it holds; None: nobody wants what it holds."""
        return self._holder()

    def hold(self, session: "StayingSession | None") -> None:
        """It holds another trial from now on."""
        self._holder = (lambda: None) if session is None else weakref.ref(session)


class StayingTrainer(CommandTrainer):
    """Follows :class:`hypercurve.training.trainer.Trainer`; arguments are those of :class:`CommandTrainer`.

    Attributes:
        slots: programs that run: one if it can save, else one for each trial in training.
        saves: whether it can save; None before it has said that.
        spare: memory of a state that is not needed any more.
    """

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self.slots: list[Slot] = []
        self.saves: bool | None = None
        self.spare: Vector | None = None

    def open(self, trial: Trial) -> "StayingSession":  # type: ignore[override]
        """A session at the start of its training; the program hears of it when it is first trained."""
        return StayingSession(self, trial)

    def slot(self, log: Log) -> Slot:
        """A program for another trial: one that is free, or the only one, or a new one.

        Raises:
            UserError: it cannot save, and members of a population exchange states.
            TrialFailed: it cannot be started, or does not begin as it should.
        """
        for slot in [slot for slot in self.slots if slot.program.ended]:
            self.drop(slot)
        if self.saves and self.slots and (holder := self.slots[0].holder) is not None:
            holder.release()
        for slot in [slot for slot in self.slots if slot.holder is None]:
            slot.used = True
            slot.program.write_to(log)
            if not slot.program.unasked:
                return slot
            self.drop(slot)
        return self._started(log)

    def _started(self, log: Log) -> Slot:
        values = {"threads": str(self.threads)} | ({} if self.dataset is None else {"data": str(self.dataset)})
        program = StayingProgram(self.programs, self.words(values), self.environment, self.spec.timeout, log)
        line = program.line()
        if line is None:
            raise TrialFailed(f"{ending(program.code())} before it said anything{log.told}")
        try:
            said = parsed(line, 1)
        except TrialFailed:
            said = {}
        if said.get("protocol") != PROTOCOL:
            text = line[:200].decode(errors="backslashreplace").strip()
            raise TrialFailed(
                f'printed {text!r} first; a program with `stays: true` begins with {{"protocol": {PROTOCOL}, ...}}'
            )
        if self.saves is None:
            self.saves = bool(said.get("saves"))
        if self.exchanges and not self.saves:
            raise UserError(
                f"model.command: {self.spec.program} says that it cannot save (`saves`), but members of a population "
                "exchange states"
            )
        slot = Slot(program)
        self.slots.append(slot)
        return slot

    def drop(self, slot: Slot) -> None:
        """Do without a program that has failed."""
        if slot in self.slots:
            self.slots.remove(slot)
        slot.hold(None)
        slot.program.kill()


class StayingSession(EpochSession):
    """One trial in training."""

    def __init__(self, trainer: StayingTrainer, trial: Trial) -> None:
        super().__init__(trainer.spec, trial, trainer.exchanges)
        self.trainer = trainer
        self._log = Log(None if trainer.logs is None else trainer.logs / f"{trial.number}.log")
        self._vector: Vector | None = None  # a state of this trial; None: the start
        self._at = 0  # after how many reports
        self._slot: Slot | None = None  # what held it last
        self._first = False  # whether it has answered nothing yet since it took over this trial
        self._again = False

    def _begin(self, until: int) -> None:
        """It is asked for one report after the other."""

    def _next(self) -> object:
        return self._trained(lambda program: self._report(program, self.done))

    def _report(self, program: StayingProgram, done: int) -> Mapping[str, Any]:
        """Have it train to its next report."""
        program.ask({"do": "train"})
        return self._answer(program, done + 1)

    def _answer(self, program: StayingProgram, epoch: int) -> Mapping[str, Any]:
        line = program.line()
        if line is None:
            raise _Ended(program.code())
        found = parsed(line, epoch)
        if "error" in found:
            program.write_to(self._log)
            raise TrialFailed(f"{str(found['error'])[:500]}{self._log.told}")
        self._first = False
        return found

    def _trained(self, request: Callable[[StayingProgram], Any]) -> Any:
        """What a program that holds this trial answers. A program that ends is started anew if that may be of use."""
        while True:
            try:
                return request(self._held().program)
            except _Ended as end:
                used = self._slot is not None and self._slot.used and self._first
                self._dropped()
                if used:  # it may have been another trial's fault
                    continue
                if end.code in (-signal.SIGTERM, -signal.SIGKILL) and not self._again:
                    self._again = True
                    time.sleep(PATIENCE)  # ours may be on its way; see CommandSession
                    continue
                raise TrialFailed(
                    f"{ending(end.code)} after {self.done} of {self.epochs} epochs{self._log.told}"
                ) from None
            except TrialFailed:
                self._dropped()
                raise

    def _dropped(self) -> None:
        """Do without the program, once all is known that it has written to standard error."""
        if self._slot is not None and self._slot.holder is self:
            with suppress(TrialFailed):
                self._slot.program.write_to(self._log)
            self.trainer.drop(self._slot)
        self._slot = None

    def _held(self) -> Slot:
        """A program that holds this trial where it stands."""
        if self._slot is not None and self._slot.holder is self:
            return self._slot
        self._slot = None
        slot = self._slot = self.trainer.slot(self._log)
        slot.hold(self)
        self._first = True
        content = None if self._vector is None else bytes_in(self._vector)
        slot.program.ask(self._beginning(content), content)
        for done in range(self._at, self.done):
            self._report(slot.program, done)
        return slot

    def _beginning(self, content: memoryview | None) -> Mapping[str, Any]:
        trial, trainer = self.trial, self.trainer
        return {
            "do": "begin",
            "hyperparameters": self.hyperparameters,
            "epochs": self.epochs,
            "done": self._at,
            "since": self.since,
            "seed": integer_seed(trial.seed, trial.repeat, "trainable", trial.draws),
            "trial": trial.number,
            "repeat": trial.repeat,
            "threads": trainer.threads,
            "data": None if trainer.dataset is None else str(trainer.dataset),
            "bytes": 0 if content is None else len(content),
        }

    def release(self) -> None:
        """Give the program to another trial, if it can save this one. One that cannot, though it says so, is lost."""
        try:
            if not self.exchanges:
                self._now()
        except TrialFailed as failure:
            about = f"trial {self.trial.number}: cannot be saved: the program {failure.reason}"
            told = "From now on, each trial in training has a program of its own"
            print(f"warning: {about}. {told}", file=sys.stderr, flush=True)
            self.trainer.saves = False
        self._free()

    def _now(self) -> Vector:
        """The state now: taken from the program, unless it is known."""
        if self._vector is None or self._at != self.done:
            before, self._vector = self._vector, self._trained(self._saved)
            self._at = self.done
            if self.exchanges:  # whose states are copied wherever they go
                self.trainer.spare = before
        return self._vector

    def _saved(self, program: StayingProgram) -> Vector:
        program.ask({"do": "save"})
        count = self._answer(program, self.done).get("bytes")
        if not isinstance(count, int) or isinstance(count, bool) or not 0 <= count <= MOST_STATE:
            raise TrialFailed(f"epoch {self.done}: answered `save` without a number of `bytes`, but with {count!r}")
        spare, self.trainer.spare = self.trainer.spare, None
        vector, place = vector_for(count, spare)
        if not program.take(place):
            raise _Ended(program.code())
        return vector

    def _take(self, vector: Vector) -> None:
        """The program gets it with the next request."""
        if not self.trainer.spec.stays or bytes_in(vector) is None:
            raise TypeError("this state is no program's")
        self._free()
        self._vector, self._at = vector, self.done

    def _adjust(self) -> None:
        """The trial is begun anew where it stands, with other hyperparameters."""
        if self.done:
            self._now()
        self._free()

    def _free(self) -> None:
        if self._slot is not None and self._slot.holder is self:
            self._slot.hold(None)
        self._slot = None

    def _said(self) -> str | None:
        return self._log.tail or None

    def _reached(self, end: bool) -> None:
        """It waits by itself."""

    def can_save(self) -> bool:
        """After any report, if the program says that it can."""
        return not self.exchanges and bool(self.trainer.saves) and self.done > 0

    def _save(self) -> State:
        state = state_in(self._now())
        assert isinstance(state, bytes)
        return state

    def _end_state(self) -> State | None:
        return self._save() if self.trainer.saves and 4 * len(self._now()) <= LARGEST else None

    def _load(self, state: bytes | dict[str, npt.NDArray[Any]]) -> None:
        raise NotImplementedError("states come as vectors")

    def close(self) -> None:
        """The program is free for another trial."""
        self._free()


class _Ended(Exception):
    """A program has ended where it should have answered."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code
