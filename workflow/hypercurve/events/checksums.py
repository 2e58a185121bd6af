"""The checksum that each line of a journal carries, chained to the lines before it.

It stands last in a line and in its ``wall`` part: ``..."wall":{...,"sum":"9a3f01bc"}}``. It is the CRC-32 of the line's
bytes before its own digits, begun from the sum of the line before (from 0 in the first). So a changed byte is found where it
is, as is a line that was removed, put in or moved. Journals of older versions have no sums: what they hold goes into the sum
of the first line that has one.
"""

import re
from zlib import crc32

from .encoding import SUM, RawLine, to_bytes

_END = b'"}}'
_MARK = f'"{SUM}":"'.encode()
_DIGITS = slice(-11, -3)
_SHAPE = re.compile(rb'"[^"]{3}":".{8}"}}', re.DOTALL)  # any byte of it may be the damaged one


class Chain:
    """The checksums of a journal, line by line from its first."""

    __slots__ = ("_sealed", "_value")

    def __init__(self) -> None:
        self._value = 0
        self._sealed = False  # whether a line had a sum, so that all after it must have one

    def seal(self, raw: RawLine) -> bytes:
        """The next line as it stands in a file, sum and newline included; ``wall`` is its last key, if it has one."""
        line = to_bytes(raw)
        line = line[:-3] + b"," + _MARK if "wall" in raw else line[:-2] + b',"wall":{' + _MARK
        self._value, self._sealed = crc32(line, self._value), True
        return b"%b%08x%b\n" % (line, self._value, _END)

    def check(self, line: bytes) -> bytes | None:
        """Hold the next line, without its newline, to its sum.

        Returns:
            The line without its sum; None if it has none.

        Raises:
            ValueError: its sum is wrong, or missing where a line before it has one. The lines after it can be checked still.
        """
        if line.endswith(_END):
            value = crc32(line[: _DIGITS.start], self._value)
            if line.endswith(b"%b%08x%b" % (_MARK, value, _END)):
                self._value, self._sealed = value, True
                return line[: -18 if line[-19:-18] == b"{" else -19] + b"}}"
            if _SHAPE.fullmatch(line[-18:]):
                bare, self._sealed = not self._sealed and self._value, True
                self._value = _number(line, value)
                more = ", or one of the lines before it, which have no checksums," if bare else ""
                raise ValueError(f"it{more} was changed, or a line beside it removed or put in: its checksum is wrong")
        if self._sealed:
            self._value = _number(line, self._value)
            raise ValueError("it has no checksum, though lines before it have one")
        self._value = crc32(line, self._value)
        return None


def _number(line: bytes, otherwise: int) -> int:
    """The sum that a line says it has: the next line's goes on from there."""
    try:
        return int(line[_DIGITS], 16)
    except ValueError:
        return otherwise
