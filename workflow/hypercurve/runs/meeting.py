"""Where the workers of a run meet: a folder on a shared file system, without a server and without comparing clocks.

::

    journal.workers-1f0c.../          of all workers with the same settings, data and code
        run.json                      how the run's command was called, for who joins by hand
        turn/41.40-9b2e77.free        the turn: nobody has it; with a worker's name at the end, that one has it
        turn/40-9b2e77                the state that it leads to: claims of trials, and the journal's last lines
        alive/9b2e77                  a worker's sign of life, a number that grows

The turn is one file that is only ever renamed, and no name of it comes back: the number at its front grows. Of several who
rename it, one succeeds, on NFS and Lustre too. Who ends a turn names in the same rename the state that now holds. So a
worker that was suspended in its turn, and lost it, cannot publish anything: the name that it would rename is gone.

A state's lines are written to the journal by whoever has time, at the place in the file that the state names. All
write the same bytes there, so it does not matter who does it, how often, or how late.
"""

import hashlib
import json
import os
import random
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from ..events.encoding import encode_line
from ..events.journal import JournalError
from ..events.lines import RunHeader
from .signs import Signs, signs_in

SEEN = 60.0
"""Seconds in which the turn's file must be seen under some name."""

HELD = 1 << 14
"""Bytes of lines that a state holds at most, before they are forced to the disk as a part of the journal."""

LOOKS = 0.25
"""Seconds between two looks at what others have journalled, while waiting for the turn."""

REFRESHED = 5.0
"""Seconds for which a worker without anything to do believes the names that its file system shows."""

FREE = "free"


class Gone(Exception):
    """The workers' meeting is over: the run is complete, has failed, or was begun anew."""


class Lost(Exception):
    """This worker was taken for dead in its turn, and another had it: what it has decided since does not count."""


@dataclass(frozen=True, slots=True)
class State:
    """What workers agree upon.

    Attributes:
        run: drawn when the run was begun, or gone on with, by workers.
        file: number of the journal's file, so that nobody writes to another one of its name.
        start: bytes of the journal before `lines`.
        lines: the journal's last lines; perhaps not in its file yet.
        claims: by trial, the worker that trains it, or holds it.
        joined: workers so far.
        processors: names of theirs.
    """

    run: str
    file: int
    start: int
    lines: bytes = b""
    claims: Mapping[int, str] = field(default_factory=dict)
    joined: int = 0
    processors: tuple[str, ...] = ()

    @property
    def end(self) -> int:
        """Bytes of the journal."""
        return self.start + len(self.lines)


class Token(NamedTuple):
    """A name of the turn's file."""

    number: int
    state: str
    holder: str

    def __str__(self) -> str:
        return ".".join(map(str, self))


class Meeting:
    """A worker's place among the others.

    Args:
        folder: where they meet; begun if nobody is there.
        journal: the journal while the run goes on.
        patience: seconds without a sign of life after which a worker counts as dead.
        called: how the command was called: what `run.json` says.

    Attributes:
        name: this worker's.
        turns: how many this worker has had.
        waited, held, synced: seconds of waiting for them, of having them, and of forcing states to the disk in them.
    """

    def __init__(self, folder: Path, journal: Path, patience: float, called: Mapping[str, object]):
        self.folder, self.journal, self.name = folder, journal, os.urandom(6).hex()
        self._turn = folder / "turn"
        self._have: Token | None = None
        self.turns, self.waited, self.held, self.synced, self._since = 0, 0.0, 0.0, 0.0, 0.0
        self._refreshed = 0.0
        if not folder.is_dir():
            _begin(folder, self.name, called)
        try:
            self.signs = Signs(folder / "alive", self.name, patience)
        except FileNotFoundError:
            raise Gone from None

    @property
    def has_turn(self) -> bool:
        """Whether it is this worker's turn."""
        return self._have is not None

    def take(self, meanwhile: Callable[[str], None] = lambda _: None) -> State | None:
        """Wait for the turn.

        Args:
            meanwhile: called now and then while another worker has it, with the state's name.

        Returns:
            The state; None if there is none yet.

        Raises:
            Gone: the meeting is over.
        """
        began, wait, failed = time.perf_counter(), 0.0005, None
        looked = began
        while self._have is None:
            token = self._token()
            if token == failed:
                self._refresh()
            if token.holder == self.name:
                self._have = token
            elif token.holder == FREE:
                if self._move(token, mine := Token(token.number + 1, token.state, self.name)):
                    self._have = mine
                failed = token
            elif self.signs.silent(token.holder):
                self._move(token, Token(token.number + 1, token.state, FREE))
            else:
                if (now := time.perf_counter()) - looked > LOOKS:
                    looked = now
                    meanwhile(token.state)
                time.sleep(wait * (0.5 + random.random()))  # so that not all come at once
                wait = min(2 * wait, 0.1)
        self._since = time.perf_counter()
        self.turns, self.waited = self.turns + 1, self.waited + self._since - began
        return self._read(self._have.state)

    def look(self) -> tuple[str, State | None]:
        """The state as it is now, and its name, whoever has the turn.

        Raises:
            Gone: the meeting is over.
        """
        while True:
            token = self._token()
            with suppress(FileNotFoundError):  # superseded meanwhile
                return token.state, self._read(token.state)

    def now(self) -> str:
        """The state's name.

        Raises:
            Gone: the meeting is over.
        """
        if (now := time.perf_counter()) - self._refreshed > REFRESHED:
            self._refreshed = now
            self._refresh()
        return self._token().state

    def give(self, before: State | None, after: State | None = None) -> tuple[str, State | None]:
        """End the turn.

        Args:
            before: the state when it began.
            after: the state from now on, with all lines that followed those of `before`; None: it is the same.

        Returns:
            The state's name, and the state.

        Raises:
            Lost: another has had the turn meanwhile.
        """
        token = self._have
        assert token is not None
        self._have = None
        if after is None:
            if not self._move(token, Token(token.number + 1, token.state, FREE)):
                raise Lost
            return token.state, before
        if before is not None and len(before.lines) > HELD:
            self.settle(before, sync=True)
            after = replace(after, start=before.end, lines=after.lines[len(before.lines) :])
        name = f"{token.number}-{self.name}"
        try:
            self.synced += _write(self._turn / name, _encoded(after))
        except FileNotFoundError:
            raise Gone from None
        moved = self._move(token, Token(token.number + 1, name, FREE))
        self.held += time.perf_counter() - self._since
        if not moved:
            (self._turn / name).unlink(missing_ok=True)
            raise Lost
        (self._turn / token.state).unlink(missing_ok=True)
        self.settle(after)
        return name, after

    def settle(self, state: State, sync: bool = False) -> None:
        """Write a state's lines to the journal's file, as others may have done and will do."""
        settle(self.journal, state, sync)

    def read(self, state: State, start: int) -> bytes:
        """The journal's bytes from some place on."""
        if start >= state.start:
            return state.lines[start - state.start :]
        with self.journal.open("rb") as file:
            file.seek(start)
            return file.read(state.start - start) + state.lines

    def close(self) -> None:
        """End the meeting: nobody finds it any more."""
        self.signs.leave()
        remove(self.folder)

    def _token(self) -> Token:
        until = time.monotonic() + SEEN
        while time.monotonic() < until:
            try:
                names = [path.name.split(".") for path in self._turn.iterdir()]
            except FileNotFoundError:
                raise Gone from None
            if found := [Token(int(parts[0]), parts[1], parts[2]) for parts in names if len(parts) == 3]:
                return max(found)
            time.sleep(0.001)  # it was renamed while the folder was read
        raise JournalError(f"{self._turn}: the file of the turn is missing; hypercurve restart begins the run anew")

    def _move(self, old: Token, new: Token) -> bool:
        """Rename the turn's file; whether that succeeded."""
        try:
            (self._turn / str(old)).rename(self._turn / str(new))
            return True
        except FileNotFoundError:
            pass
        # NFS may say so where an answer was lost.
        return new.holder != FREE and (self._turn / str(new)).exists()

    def _refresh(self) -> None:
        """See the names in the folder as they are: NFS may show old ones for a minute, until a file is made there."""
        with suppress(OSError):
            made = self._turn / f"look-{self.name}"
            made.touch()
            made.unlink()

    def _read(self, name: str) -> State | None:
        if name == "none":
            return None
        return _decoded((self._turn / name).read_bytes())


def folder_of(output: Path, header: RunHeader) -> Path:
    """Where the workers meet whose settings, data and code are the same."""
    told = json.dumps(encode_line(header), sort_keys=True).encode()
    return output.with_name(f"{output.stem}.workers-{hashlib.sha256(told).hexdigest()[:12]}")


def settle(journal: Path, state: State, sync: bool = False) -> None:
    """Write a state's lines to where the journal has them, unless the file is another one by now."""
    try:
        file = os.open(journal, os.O_WRONLY)
    except FileNotFoundError:
        return
    try:
        if os.fstat(file).st_ino == state.file:
            left, at = memoryview(state.lines), state.start
            while left:
                written = os.pwrite(file, left, at)
                left, at = left[written:], at + written
            if sync:
                os.fsync(file)
    except OSError as error:
        raise JournalError(f"{journal}: cannot be written: {error.strerror}") from None
    finally:
        os.close(file)


def dissolve(output: Path, journal: Path, but: Path | None = None) -> None:
    """End what workers have left that are dead, so that one who is no worker, or whose settings are others, may go on.

    Where some have not said that they leave, it is looked for as long as their own patience is.

    Args:
        output: the run's journal.
        journal: the same while the run goes on.
        but: a meeting that goes on.

    Raises:
        JournalError: some live.
    """
    for folder in sorted(output.parent.glob(f"{output.stem}.workers-*")):
        if folder == but:
            continue
        patience = float(json.loads((folder / "run.json").read_text(encoding="utf-8"))["heartbeat"])
        signs, until = signs_in(folder / "alive"), time.monotonic() + patience
        while signs and time.monotonic() < until:
            time.sleep(min(0.2, patience / 4))
            if any(signs_in(folder / "alive").get(name, sign) != sign for name, sign in signs.items()):
                raise JournalError(f"{journal}: workers go on with this run")
        state = next((path.name.split(".")[1] for path in (folder / "turn").glob("*.*.*")), "none")
        if state != "none":
            settle(journal, _decoded((folder / "turn" / state).read_bytes()), sync=True)
        remove(folder)


def remove(folder: Path) -> None:
    """Let a meeting vanish at once."""
    away = folder.with_name(f".{folder.name}.{os.urandom(4).hex()}")
    with suppress(FileNotFoundError):
        folder.rename(away)
    shutil.rmtree(away, ignore_errors=True)


def _begin(folder: Path, name: str, called: Mapping[str, object]) -> None:
    """Make the folder, unless another worker is faster."""
    made = folder.with_name(f".{folder.name}.{name}")
    for part in ("turn", "alive"):
        (made / part).mkdir(parents=True)
    (made / "run.json").write_text(json.dumps(called, indent=1), encoding="utf-8")
    (made / "turn" / str(Token(0, "none", FREE))).touch()
    try:
        made.rename(folder)  # which fails if it is there, since it is never empty
    except OSError:
        shutil.rmtree(made)


def _write(path: Path, content: bytes) -> float:
    """Write a file and force it to the disk; seconds that the latter took."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        began = time.perf_counter()
        os.fsync(file.fileno())
        return time.perf_counter() - began


def _encoded(state: State) -> bytes:
    told = {name: getattr(state, name) for name in ("run", "file", "start", "joined", "processors")}
    claims = {str(trial): name for trial, name in state.claims.items()}
    return json.dumps({**told, "claims": claims}).encode() + b"\n" + state.lines


def _decoded(content: bytes) -> State:
    first, _, lines = content.partition(b"\n")
    told = json.loads(first)
    claims = {int(trial): name for trial, name in told["claims"].items()}
    return State(told["run"], told["file"], told["start"], lines, claims, told["joined"], tuple(told["processors"]))
