"""What is said while something is tried: warnings of ours are gathered for the list at the end, all else is passed on."""

import io
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

_OURS = re.compile(r"trial \d+: going on from ")
_WARNING = "warning: "


class Hearing(io.TextIOBase):
    """Takes the place of standard output and standard error; what users' code prints goes to standard error.

    Attributes:
        warnings: of ours, without the word.
    """

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self._rest = ""
        self._streams = sys.stdout, sys.stderr

    def __enter__(self) -> Self:
        self._streams = sys.stdout, sys.stderr
        sys.stdout = sys.stderr = self
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._rest:
            self.write("\n")
        sys.stdout, sys.stderr = self._streams

    @contextmanager
    def aside(self) -> Iterator[None]:
        """What is printed in here is printed."""
        sys.stdout = self._streams[0]
        try:
            yield
        finally:
            sys.stdout = self

    def write(self, text: str) -> int:
        """Take what is said."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            if line.startswith(_WARNING):
                self.warnings.append(line.removeprefix(_WARNING))
            elif not _OURS.match(line):
                self._streams[1].write(line + "\n")
        return len(text)

    def flush(self) -> None:
        """Pass on what was taken."""
        self._streams[1].flush()

    def __getattribute__(self, name: str) -> Any:
        """What users' code may ask a stream for besides is that of standard error."""
        if name in ("buffer", "encoding", "errors", "fileno", "isatty"):
            return getattr(super().__getattribute__("_streams")[1], name)
        return super().__getattribute__(name)
