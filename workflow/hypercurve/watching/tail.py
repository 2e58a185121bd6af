"""Reading what was added to a growing file since it was last polled."""

from pathlib import Path

from ..events.checksums import Chain
from ..events.encoding import RawLine
from ..events.journal import parse


class Tail:
    """Follows a journal, under whatever name it has by now.

    A journal grows as `journal.partial.jsonl` and is renamed when its run is complete, so that the file is the same under
    another name; one that was begun anew is another file, as is one that has become shorter.

    Attributes:
        damaged: how many whole lines so far were damaged.
        at: when the file last changed, in seconds since 1970; None before it was there.
    """

    def __init__(self) -> None:
        self._file: tuple[int, int] | None = None
        self._read = 0
        self._chain = Chain()
        self.damaged = 0
        self.at: float | None = None

    def poll(self, *paths: Path) -> tuple[bool, list[RawLine]]:
        """Read on in the first of these files that is there.

        Returns:
            Whether it is another file than last time, so that all before is void; and the whole lines since then.
        """
        for path in paths:
            try:
                status = path.stat()
                break
            except OSError:
                continue
        else:
            return False, []
        self.at = status.st_mtime
        anew = self._file != (status.st_dev, status.st_ino) or status.st_size < self._read
        if anew:
            void = self._file is not None
            self._file, self._read, self.damaged = (status.st_dev, status.st_ino), 0, 0
            self._chain = Chain()
        elif status.st_size == self._read:
            return False, []
        try:
            with path.open("rb") as file:
                file.seek(self._read)
                raw = file.read(status.st_size - self._read)
        except OSError:  # renamed meanwhile
            raw = b""
        whole = raw[: raw.rfind(b"\n") + 1]
        self._read += len(whole)
        return anew and void, [line for part in whole.split(b"\n")[:-1] if (line := self._parse(part)) is not None]

    def _parse(self, raw: bytes) -> RawLine | None:
        try:
            return parse(raw, self._chain)
        except (ValueError, RecursionError):
            self.damaged += 1
            return None
