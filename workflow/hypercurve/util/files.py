"""Files that appear whole or not at all, and their digests."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import UserError


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """A temporary file beside ``path`` that takes its place if the block succeeds, and goes if it fails."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from None
    finally:
        with suppress(OSError):  # what went wrong has been said
            temporary.unlink(missing_ok=True)


def drop_unfinished(path: Path) -> None:
    """Delete what was left of writing a file by a process that was killed."""
    for left in path.parent.glob(f".{path.name}.*"):
        with suppress(OSError):
            left.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with appearing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def linked(path: Path, target: Path) -> None:
    """Give a file a second name, without a copy where the file system can; what had that name goes."""
    with appearing(target) as temporary:
        temporary.unlink(missing_ok=True)
        try:
            os.link(path, temporary)
        except OSError:
            shutil.copyfile(path, temporary)


def sha256(path: Path) -> str:
    """The sha256 sum of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
