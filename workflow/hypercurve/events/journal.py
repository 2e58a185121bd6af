"""The journal: a run's append-only log, one JSON object per line (:mod:`hypercurve.events.encoding`).

Two journals are equal when they agree outside the wall-clock parts of their lines. A line that was cut short by a kill is
dropped on reading; any other damage is an error that names the line, found by the line's checksum
(:mod:`hypercurve.events.checksums`).
"""

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from itertools import count
from math import isfinite
from pathlib import Path
from typing import Self

from ..util.errors import UserError
from ..util.files import check_plain, open_plain, read_plain
from ..util.words import cut_short
from .checksums import Chain
from .encoding import RawLine, decode_line, encode_line, event_of, holds_sum, without_wall
from .lines import Line, RunHeader

LONGEST = 1 << 24
"""Bytes of a line at most, where the file is a stranger's."""
SHOWN = 80
"""Characters of a value that a message shows."""


class JournalError(UserError):
    """A journal that cannot be used; the message names file and line."""


def read_lines(path: Path) -> tuple[list[RawLine], int]:
    """All whole lines of a journal, and the number of bytes they take.

    Raises:
        JournalError: the file cannot be read, or a line that was finished is not a JSON object.
    """
    lines, content, _ = _read(path)
    return lines, len(content)


def _read(path: Path) -> tuple[list[RawLine], bytes, Chain]:
    """All whole lines of a journal, their bytes, and the checksum chain that the next line goes on with."""
    try:
        content = read_plain(path)
    except OSError as error:
        raise JournalError(f"{path}: cannot be read: {error.strerror}") from None
    whole, chain = _whole(content), Chain()
    return [_parsed(raw, chain, path, number) for number, raw in enumerate(_split(whole), start=1)], whole, chain


def _whole(content: bytes) -> bytes:
    """What follows the last newline is a half-written line, or what a power cut left."""
    return content[: content.rfind(b"\n") + 1]


def _split(whole: bytes) -> list[bytes]:
    """The lines; not by `splitlines`, for which a newline that was damaged may be another newline."""
    return whole.split(b"\n")[:-1]


def whole_lines(content: bytes) -> Iterator[RawLine]:
    """The lines of a journal up to the first that is damaged or cut short: for readers who use what there is."""
    chain = Chain()
    for raw in _split(_whole(content)):
        try:
            yield parse(raw, chain)
        except (ValueError, RecursionError):
            return


def first_line(path: Path) -> RawLine | None:
    """A journal's first line; None if there is none, or it is damaged."""
    try:
        with open_plain(path) as file:
            return next(whole_lines(file.readline(LONGEST)), None)
    except OSError:
        return None


def each_line(path: Path) -> Iterator[RawLine]:
    """A complete journal's lines one by one, so that one can stop at the first that is wrong, however many there are.

    Raises:
        JournalError: the next line is damaged, or cut short.
    """
    chain = Chain()
    with open_plain(path) as file:
        for number in count(1):
            raw = file.readline(LONGEST)
            if not raw:
                return
            if not raw.endswith(b"\n"):
                raise JournalError(f"{path}:{number}: is {'too long' if len(raw) == LONGEST else 'cut short'}")
            yield _parsed(raw[:-1], chain, path, number)


def parse(raw: bytes, chain: Chain) -> RawLine:
    """A line of a file without its newline; its checksum is no part of what is returned.

    Args:
        chain: of the lines before it; goes on with this one.

    Raises:
        ValueError, RecursionError: it is damaged, or not a JSON object.
    """
    bare = chain.check(raw)
    text = (bare or raw).decode()
    if bare is None and _overflowing(raw):
        _strict.decode(text)
    try:
        line, end = _scan(text, 0)
    except StopIteration:
        end = -1
    if end != len(text):  # blanks around it, or an error to be told: `decode` alone would look for both in every line
        line = _decoder.decode(text)
    if not isinstance(line, dict):
        raise ValueError("not a JSON object")
    if bare is None and holds_sum(line):
        raise ValueError("its checksum does not stand where a run writes it")
    return line


def _parsed(raw: bytes, chain: Chain, path: Path, number: int) -> RawLine:
    try:
        return parse(raw, chain)
    except (ValueError, RecursionError) as error:
        raise JournalError(f"{path}:{number}: damaged line: {error}") from None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _finite(kind: type[int] | type[float]) -> Callable[[str], int | float]:
    def number(text: str) -> int | float:
        try:
            value = kind(text)
            if isfinite(value):
                return value
        except OverflowError:
            pass
        raise ValueError(f"{cut_short(text, SHOWN)} is larger than any number")

    return number


_decoder = json.JSONDecoder(parse_constant=_refuse)  # made once: `json.loads` would make one for every line
_scan = _decoder.scan_once  # type: ignore[attr-defined]
_strict = json.JSONDecoder(parse_constant=_refuse, parse_int=_finite(int), parse_float=_finite(float))

_ZEROS = bytes.maketrans(b"123456789E", b"000000000e")
_MANY = b"0" * 299


def _overflowing(raw: bytes) -> bool:
    """Whether a line may hold a number that overflows, which no run writes: a line with the right checksum is not asked."""
    digits = raw.translate(_ZEROS, b"+")
    return b"e00" in digits or (len(raw) > len(_MANY) and _MANY in digits)


UNREADABLE = KeyError, TypeError, ValueError, AttributeError, OverflowError
"""What a JSON object raises that is no line of a journal, or does not follow from the lines before it."""


def unreadable(error: Exception, where: str) -> JournalError:
    """Such an error as a message that names file and line."""
    said = f"no {error.args[0]!r}" if isinstance(error, KeyError) else str(error)
    return JournalError(f"{where}: is not what a run writes ({cut_short(said, SHOWN)})")


def decode(raw: RawLine, where: str) -> Line:
    """The line that JSON holds.

    Args:
        where: file and line number, for the message.

    Raises:
        JournalError: it holds none.
    """
    try:
        return decode_line(raw)
    except UNREADABLE as error:
        raise unreadable(error, where) from None


def decode_header(raw: RawLine, where: str) -> RunHeader:
    """A run's first line.

    Raises:
        JournalError: it is none.
    """
    if event_of(raw) != "run":
        raise JournalError(f"{where}: must be the run's first line, but says event = {event_of(raw)!r}")
    header = decode(raw, where)
    assert isinstance(header, RunHeader)
    return header


def check_line(expected: Line, raw: RawLine, where: str, why: str) -> None:
    """Compare a journal's line with what it should be, outside its wall-clock part.

    Args:
        expected: what it should be.
        raw: what it is.
        where: file and line number, for the message.
        why: what ``expected`` comes from, for the message: "... lead".

    Raises:
        JournalError: they differ.
    """
    wanted, found = without_wall(encode_line(expected)), without_wall(raw)
    if wanted != found:
        key = next(
            key for key in {**wanted, **found} if (key in wanted, wanted.get(key)) != (key in found, found.get(key))
        )
        says, led = (cut_short(given.get(key), SHOWN) for given in (found, wanted))
        raise JournalError(f"{where}: says {key} = {says} where {why} to {led}")


class Journal:
    """A journal open for appending.

    Lines go to the operating system in one write before what they decide takes effect, so that killing the process
    loses at most a half-written last line. It is not forced to the disk: after a power cut the last seconds may be missing,
    and are run again.

    Args:
        path: the file; created with its folder if missing. A half-written last line is cut off.
        patience: for how many seconds to wait while another process writes it, as a job does that is being ended.

    Raises:
        UserError: the path names no plain file.
        JournalError: an existing file is damaged, or another process goes on writing it.

    Attributes:
        lines: what the file held when it was opened.
    """

    def __init__(self, path: Path, patience: float = 0.0):
        self.path = path
        self.lines: list[RawLine] = []
        path.parent.mkdir(parents=True, exist_ok=True)
        until = time.monotonic() + patience
        while not self._opened():
            if time.monotonic() >= until:
                raise JournalError(f"{path}: another process is writing this journal")
            time.sleep(0.2)
        try:
            self.lines, whole, self._chain = _read(path)
            os.truncate(path, len(whole))
        except BaseException:  # nobody has it, so nobody would give up its lock
            self.close()
            raise
        self._added: list[bytes] = []

    def _opened(self) -> bool:
        """Open and lock the file; False if another process has the lock, or has given the file another name meanwhile."""
        check_plain(self.path)
        self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._file)
            return False
        except OSError:
            return True  # a file system without locks: Snakemake's own lock has to do
        if not (same := self._in_place()):
            os.close(self._file)
        return same

    def _in_place(self) -> bool:
        """Whether the path still names the file that is open."""
        try:
            return os.path.samestat(os.fstat(self._file), self.path.stat())
        except FileNotFoundError:
            return False

    def check_place(self) -> None:
        """Make sure that the path still names this journal, before it is given another name.

        Raises:
            JournalError: somebody has deleted or replaced the file meanwhile.
        """
        if not self._in_place():
            raise JournalError(
                f"{self.path}: was deleted or replaced while the run went on; run the same command again"
            )

    def clear(self) -> None:
        """Begin anew: drop all lines."""
        os.ftruncate(self._file, 0)
        self.lines, self._chain = [], Chain()

    def take(self, path: Path) -> None:
        """Go on with what another journal holds, in place of nothing.

        Raises:
            JournalError: it is damaged.
        """
        self.lines, whole, self._chain = _read(path)
        self._added.append(whole)
        self.flush()

    def append(self, line: Line) -> None:
        """Write one line."""
        self.add(line)
        self.flush()

    def add(self, line: Line) -> None:
        """Take a line that the next :meth:`flush` writes."""
        self._added.append(self._chain.seal(encode_line(line)))

    def flush(self) -> None:
        """Write the lines that were added, in one piece."""
        if not self._added:
            return
        raw = b"".join(self._added)
        self._added.clear()
        try:
            written = os.write(self._file, raw)
        except OSError as error:
            raise JournalError(f"{self.path}: cannot be written: {error.strerror}") from None
        if written != len(raw):  # a disk that became full: do not go on as if the line were there
            raise JournalError(f"{self.path}: cannot be written: the disk is full")

    def sync(self) -> None:
        """Force to the disk what was written."""
        os.fsync(self._file)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
