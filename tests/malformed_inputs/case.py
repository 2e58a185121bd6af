"""What a malformed input is, and those that any command may be given in place of a file."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Case(NamedTuple):
    """A malformed input.

    Attributes:
        kind: of input.
        name: what is wrong.
        command: what must refuse it.
        words: what its message must say; by default nothing is asked for.
        code: its exit code; 0 where a command makes good use of what looks odd.
    """

    kind: str
    name: str
    command: tuple[str, ...]
    words: str = ""
    code: int = 2


def special(folder: Path, suffix: str) -> Iterator[tuple[str, Path]]:
    """What is no plain file, by what it is; FIFOs and devices never end."""
    for name, target in [
        ("a device", "/dev/zero"),
        ("an endless device", "/dev/urandom"),
        ("a closed terminal", "/dev/full"),
    ]:
        link = folder / f"{name.replace(' ', '-')}{suffix}"
        link.symlink_to(target)
        yield name, link
    (loop := folder / f"loop{suffix}").symlink_to(loop)
    yield "a link to itself", loop
    os.mkfifo(pipe := folder / f"pipe{suffix}")
    yield "a FIFO that nobody writes", pipe
    (place := folder / f"folder{suffix}").mkdir()
    yield "a folder", place
    (empty := folder / f"empty{suffix}").touch()
    yield "an empty file", empty
    yield "a missing file", folder / f"missing{suffix}"
    yield "a name that is too long", folder / f"{'n' * 300}{suffix}"
