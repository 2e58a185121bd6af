"""The file format: a tar of regular files in a gzip wrapping, the same bytes from the same content on every machine.

Members are sorted; owner, mode and time are fixed. The gzip stream holds stored blocks only: what a compressor makes of the
same bytes differs between versions of zlib, and a sha256 sum is worth more here than disk space. An archive may be
compressed for sending, with any gzip; it opens all the same.

Archives from strangers are safe to open: only plain USTAR members are read, everything else (links, devices, long names,
sparse files, and paths that leave the folder) is refused by its header, before any of it is written; so is more than the
limits below, which also meets small files that unpack to huge ones.
"""

import gzip
import re
import struct
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..util.errors import UserError
from ..util.files import appearing, open_plain, swells

BLOCK = 512
STORED = 65535  # the most that a stored block of deflate holds (RFC 1951, 3.2.4)
HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"  # RFC 1952: deflate, no name, no time, unknown system
RECORD = 20 * BLOCK  # tar's own unit, which the end is filled up to

PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
"""A part of a path: no hidden files, nothing that a shell or a terminal takes for something else, and not `..`."""


class ArchiveError(UserError):
    """An archive that cannot be made, or is not safe to open."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What an archive may hold at most.

    Attributes:
        files: number of files.
        file: bytes of one file.
        total: bytes of all files.
        depth: parts of a path.
    """

    files: int = 20_000
    file: int = 1 << 30
    total: int = 4 << 30
    depth: int = 8


LIMITS = Limits()


def pack(files: Mapping[str, bytes | Path], output: Path, limits: Limits = LIMITS) -> None:
    """Write an archive, whole or not at all.

    Args:
        files: content, or the file that holds it, by path in the archive.
        output: the file to write.

    Raises:
        ArchiveError: a name cannot stand in an archive, or there is more than :func:`unpack` would take.
    """
    with appearing(output) as temporary, temporary.open("wb") as file:
        stream = _Stored(file)
        total = 0
        for name in sorted(files):
            check_name(name, str(output), limits)
            content = files[name]
            data = content if isinstance(content, bytes) else content.read_bytes()
            total += len(data)
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.mtime = len(data), 0o644, 0
            try:
                stream.write(info.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict"))
            except ValueError:
                raise ArchiveError(f"{output}: the path {name} is too long for an archive") from None
            stream.write(data + bytes(-len(data) % BLOCK))
            if len(data) > limits.file or total > limits.total:
                raise ArchiveError(f"{output}: more than an archive may hold: {limits}")
        if len(files) > limits.files:
            raise ArchiveError(f"{output}: {len(files)} files; an archive may hold {limits.files}")
        stream.write(bytes(2 * BLOCK))
        stream.write(bytes(-stream.size % RECORD))
        stream.close()


class _Stored:
    """A gzip stream of stored blocks."""

    def __init__(self, file: BinaryIO):
        self._file, self._left, self._sum = file, b"", 0
        self.size = 0
        file.write(HEADER)

    def write(self, data: bytes) -> None:
        self.size += len(data)
        self._sum = zlib.crc32(data, self._sum)
        data = self._left + data
        whole = len(data) - len(data) % STORED
        for start in range(0, whole, STORED):
            self._block(data[start : start + STORED], last=False)
        self._left = data[whole:]

    def close(self) -> None:
        self._block(self._left, last=True)
        self._file.write(struct.pack("<II", self._sum, self.size & 0xFFFFFFFF))

    def _block(self, data: bytes, last: bool) -> None:
        self._file.write(struct.pack("<BHH", last, len(data), len(data) ^ 0xFFFF))
        self._file.write(data)


def check_name(name: str, where: str, limits: Limits = LIMITS) -> None:
    """Hold a path in an archive to what such paths may be.

    Raises:
        ArchiveError: it is absolute, leaves the folder, or has characters that have no business there.
    """
    parts = name.split("/")
    if not all(PART.fullmatch(part) for part in parts) or len(parts) > limits.depth:
        raise ArchiveError(f"{where}: a path that cannot stand in an archive: {name[:200]!r}")


def unpack(archive: Path, folder: Path, limits: Limits = LIMITS) -> list[str]:
    """Unpack an archive, which may come from a stranger.

    Args:
        archive: the file; may be compressed by any gzip.
        folder: an empty folder to unpack to.

    Returns:
        The paths of all files, in the archive's order.

    Raises:
        ArchiveError: it is damaged, not safe, or holds more than the limits allow.
    """
    names: dict[str, None] = {}
    folders: set[Path] = set()
    try:
        # All headers are looked at before anything is written: to write and delete thousands of files takes long.
        with open_plain(archive) as file, gzip.open(file, "rb") as stream:
            for info in _members(stream, archive, limits):  # type: ignore[arg-type]
                if info.name in names:
                    raise ArchiveError(f"{archive}: holds {info.name} twice")
                names[info.name] = None
                _skip(stream, info.size + -info.size % BLOCK)  # type: ignore[arg-type]
        with open_plain(archive) as file, gzip.open(file, "rb") as stream:
            for info in _members(stream, archive, limits):  # type: ignore[arg-type]
                _extract(stream, info, folder / info.name, archive, folders)  # type: ignore[arg-type]
    except EOFError:
        raise ArchiveError(f"{archive}: is cut short") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise ArchiveError(f"{archive}: is damaged or no gzip file: {error}") from None
    except tarfile.HeaderError:
        raise ArchiveError(f"{archive}: is damaged: a header that is no header of a tar file") from None
    return [*names]


def _members(stream: BinaryIO, archive: Path, limits: Limits) -> Iterator[tarfile.TarInfo]:
    """The members' headers. Whoever takes one must read its content before taking the next."""
    count = total = 0
    packed = archive.stat().st_size
    while any(block := _read(stream, BLOCK)):
        info = tarfile.TarInfo.frombuf(block, "ascii", "surrogateescape")
        check_name(info.name, str(archive), limits)
        if info.type != tarfile.REGTYPE or info.linkname:
            raise ArchiveError(f"{archive}: {info.name}: is not a regular file, so it is not unpacked")
        count, total = count + 1, total + info.size
        if not 0 <= info.size <= limits.file or total > limits.total or count > limits.files:
            raise ArchiveError(
                f"{archive}: {info.name}: more than is unpacked: {limits.files} files, {limits.file} bytes each, "
                f"{limits.total} in all"
            )
        if swells(total, packed):
            raise ArchiveError(f"{archive}: {info.name}: {total} bytes behind {packed}, which no results are")
        yield info
    ending = stream.read(2 * RECORD)  # filled up with zeros; what else may follow is nothing of ours
    if any(ending) or len(ending) > RECORD or stream.read(1):
        raise ArchiveError(f"{archive}: something follows its end")


def _skip(stream: BinaryIO, size: int) -> None:
    while size:
        size -= len(_read(stream, min(size, 1 << 20)))


def _extract(stream: BinaryIO, info: tarfile.TarInfo, path: Path, archive: Path, folders: set[Path]) -> None:
    try:
        if path.parent not in folders:
            path.parent.mkdir(parents=True, exist_ok=True)
            folders.add(path.parent)
        with path.open("xb") as file:
            left = info.size
            while left:
                piece = _read(stream, min(left, 1 << 20))
                file.write(piece)
                left -= len(piece)
    except (FileExistsError, NotADirectoryError):
        raise ArchiveError(f"{archive}: {info.name}: both a file and a folder") from None
    _read(stream, -info.size % BLOCK)


def _read(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise EOFError
    return data
