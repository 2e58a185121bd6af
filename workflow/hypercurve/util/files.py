"""Files that appear whole or not at all, and their digests."""

import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from .errors import UserError

LARGEST = 1 << 30
"""Bytes of a file that is read as a whole, at most."""
LARGEST_ZEROS, MOST_PACKED = 1 << 28, 200
"""More bytes than this, packed to less than so small a part, are no data: they would only fill memory or disk."""
_KINDS = {
    stat.S_IFREG: "a plain file",
    stat.S_IFDIR: "a folder",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def check_plain(path: Path, *, folder: bool = False) -> None:
    """Make sure that something may be written under a path: that it is free, or names a plain file.

    The file is not opened, and the path not followed if it is a link; folders above it may be links.

    Args:
        folder: a folder is to be written, and may be there.

    Raises:
        UserError: the path names something else.
    """
    try:
        found = stat.S_IFMT(path.lstat().st_mode)
    except OSError:  # free, or whoever writes will be told
        return
    wanted, word = (stat.S_IFDIR, "folder") if folder else (stat.S_IFREG, "file")
    if found != wanted:
        raise UserError(f"{path}: is {_KINDS.get(found, 'something else')}, and is not replaced: name another {word}")


def open_plain(path: Path) -> BinaryIO:
    """A file, open for reading. What may never end, such as a device or a pipe, is not opened.

    Raises:
        OSError: it cannot be read.
    """
    if stat.S_IFMT(path.stat().st_mode) not in (stat.S_IFREG, stat.S_IFDIR):
        raise OSError(errno.EINVAL, "is not a plain file", str(path))
    return path.open("rb")


def read_plain(path: Path, most: int = LARGEST) -> bytes:
    """A plain file's content, unless there are more bytes than such a file has.

    Raises:
        OSError: it cannot be read, or is too large.
    """
    with open_plain(path) as file:
        if os.fstat(file.fileno()).st_size > most:
            raise OSError(errno.EFBIG, f"is larger than {most} bytes", str(path))
        return file.read()


def swells(size: int, packed: int) -> bool:
    """Whether so many bytes behind so few packed ones are nothing but a trap."""
    return size > LARGEST_ZEROS and size > MOST_PACKED * packed


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """A temporary file beside ``path`` that takes its place if the block succeeds, and goes if it fails.

    Raises:
        UserError: the file cannot be written, or ``path`` names what is no plain file.
    """
    check_plain(path)
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
