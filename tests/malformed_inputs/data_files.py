"""Malformed data files."""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from results_data import small_data

from .case import Case, special

LABELS = np.arange(60) % 3
ODD: dict[str, Any] = {
    "dates": LABELS.astype("datetime64[D]"),
    "dates without a unit": LABELS.astype("datetime64"),
    "durations": LABELS.astype("timedelta64[s]"),
    "complex numbers": LABELS.astype(complex),
    "pairs": np.zeros(60, [("a", int), ("b", float)]),
    "raw bytes": np.zeros(60, "V8"),
    "Python objects": np.array([{"a": 1}, None] * 30, object),
    "numbers beyond 64 bits": np.array([1 << 70] * 60, object),
    "the largest number": LABELS.astype(np.uint64) + np.uint64(2**64 - 4),
    "the smallest number": LABELS + np.iinfo(np.int64).min,
    "numbers of 16 bits that are NaN": np.full(60, np.nan, np.float16),
    "infinities": np.full(60, np.inf),
    "one number": np.array(3),
    "a row for all": LABELS[None],
    "three axes": np.zeros((60, 2, 2), int),
    "nothing": np.zeros(0, int),
    "one class": np.zeros(60, int),
    "another length": LABELS[:59],
}


def npy(header: str, body: bytes = b"", version: int = 1, length: int | None = None) -> bytes:
    """A file of NumPy's, with whatever header."""
    text = header.encode("latin-1") + b"\n"
    size = len(text) if length is None else length
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", size) + text + body


def shaped(shape: str, dtype: str = "<f4") -> str:
    return f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape}, }}"


@cache
def zeros(total: int, last: bool = True) -> bytes:
    """So many zeros, deflated: a few megabytes stand for gigabytes."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    piece = packer.compress(bytes(1 << 26)) + packer.flush(zlib.Z_FULL_FLUSH)
    return piece * (total >> 26) + (packer.flush() if last else b"")


def zipped(path: Path, members: Mapping[str, bytes], patch: Callable[[bytearray], None] = lambda _: None) -> Path:
    """A zip file, with whatever is changed in its bytes."""
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    content = bytearray(path.read_bytes())
    patch(content)
    path.write_bytes(content)
    return path


def fields(local: int, central: int, form: str, value: int) -> Callable[[bytearray], None]:
    """Change a field of all local and central headers of a zip file."""

    def patch(content: bytearray) -> None:
        for mark, offset in ((b"PK\3\4", local), (b"PK\1\2", central)):
            at = content.find(mark)
            while at >= 0:
                struct.pack_into(form, content, at + offset, value)
                at = content.find(mark, at + 4)

    return patch


def npz_files(right: Path, folder: Path, large: bool = True) -> Iterator[Case]:
    """Data files."""
    del right
    members: dict[str, bytes] = {}
    for name, array in small_data().items():
        np.save(buffer := io.BytesIO(), array)
        members[f"{name}.npy"] = buffer.getvalue()
    made: dict[str, Path] = {}

    def zip_of(name: str, content: Mapping[str, bytes], patch: Callable[[bytearray], None] = lambda _: None) -> None:
        made[name] = zipped(folder / f"file{len(made)}.npz", content, patch)

    for name, odd in ODD.items():
        np.savez(folder / f"labels{len(made)}.npz", **small_data(y_train=odd))
        made[f"labels: {name}"] = folder / f"labels{len(made)}.npz"
    for name in (
        "dates",
        "complex numbers",
        "pairs",
        "raw bytes",
        "Python objects",
        "infinities",
        "one number",
        "nothing",
    ):
        np.savez(folder / f"inputs{len(made)}.npz", **small_data(x_train=ODD[name]))
        made[f"inputs: {name}"] = folder / f"inputs{len(made)}.npz"
    for name, header in {
        "10^10 rows": shaped("(10000000000, 4, 4)"),
        "10^30 rows": shaped("(" + "9" * 30 + ",)"),
        "an axis below 0": shaped("(-5, 4)"),
        "10,000 axes": shaped("(" + "1, " * 10_000 + ")"),
        "a shape that is none": shaped("'many'"),
        "a type that is none": shaped("(3,)", "<q99"),
        "a type of 2 GB": shaped("(3,)", "<V2147483647"),
        "no dictionary": "[1, 2, 3]",
        "code": "__import__('os').system('ls')",
        "brackets within brackets": "(" * 3000 + ")" * 3000,
        "half a dictionary": "{'descr': '<f4',",
    }.items():
        zip_of(f"a header with {name}", members | {"x_train.npy": npy(header)})
    zip_of("a header of 4 GB", members | {"x_train.npy": npy(shaped("(3,)"), version=2, length=(1 << 32) - 1)})
    zip_of("a header of version 9", members | {"x_train.npy": npy(shaped("(3,)"), version=9)})
    zip_of("fewer bytes than the header says", members | {"x_train.npy": members["x_train.npy"][:200]})
    zip_of("a member that is no array", members | {"x_train.npy": b"hello"})
    zip_of("an empty member", members | {"y_test.npy": b""})
    zip_of("members without their ending", {name.removesuffix(".npy"): b"x" for name in members})
    zip_of("a pickle", members | {"y_test.npy": b"\x80\x04N."})
    zip_of("a member in a folder", {f"data/{name}": content for name, content in members.items()})
    made["a member twice"] = _twice(folder / "twice.npz", members)
    zip_of("an unknown zip method", members, fields(8, 10, "<H", 99))
    zip_of("a zip method that is not installed", members, fields(8, 10, "<H", 12))
    zip_of("deflate that is none", members, fields(8, 10, "<H", 8))
    zip_of("encryption", members, fields(6, 8, "<H", 1))
    zip_of("a checksum that is wrong", members, fields(14, 16, "<I", 7))
    zip_of("sizes of 4 GB", members, fields(22, 24, "<I", 0xFFFFFFF0))
    zip_of("a central directory that points nowhere", members, lambda c: struct.pack_into("<I", c, len(c) - 6, 1 << 31))
    zip_of("a version that is unknown", members, fields(4, 6, "<H", 999))
    if large:
        zip_of("10,000 other members", {f"m{n}": b"" for n in range(10_000)})
        made["3 GB behind a small file"] = _bomb(folder / "bomb.npz", members, 3 << 30)
        made["1 GB of uint8 in each of two arrays"] = _bomb(
            folder / "bombs.npz", members, 1 << 30, ("x_train", "x_test")
        )
    whole = zipped(folder / "whole.npz", members).read_bytes()
    for name, content in {
        "half of it": whole[: len(whole) // 2],
        "the last bytes gone": whole[:-30],
        "no zip file": b"not a zip archive",
        "zeros": bytes(100_000),
        "an array alone": members["x_train.npy"],
        "the end of a zip file alone": whole[-22:],
    }.items():
        made[name] = folder / f"raw{len(made)}.npz"
        made[name].write_bytes(content)
    made |= dict(special(folder, ".npz"))
    for number, (name, path) in enumerate(made.items()):
        output = str(folder / f"prepared{number}")
        yield Case("data file (.npz)", name, ("data", str(path), "-o", output), path.name[:20])
    np.savez(folder / "ok.npz", **small_data())
    for name, given in {"999 for validation": "999", "-1 for validation": "-1", "NaN for validation": "nan"}.items():
        yield Case(
            "data file (.npz)", name, ("data", str(folder / "ok.npz"), "--validation", given, "-o", str(folder / "o"))
        )


def _twice(path: Path, members: Mapping[str, bytes]) -> Path:
    import warnings

    with zipfile.ZipFile(path, "w") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # zipfile's: the name stands twice
        for name, content in [*members.items(), ("x_train.npy", members["x_train.npy"])]:
            file.writestr(name, content)
    return path


def _bomb(path: Path, members: Mapping[str, bytes], size: int, names: tuple[str, ...] = ("x_train",)) -> Path:
    """A zip file in which an array is a header and so many zeros, a thousandth of that in the file."""
    packed = zeros(size)
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            if name.removesuffix(".npy") not in names:
                file.writestr(name, content)
    with zipfile.ZipFile(path, "a") as file:
        for name in names:
            head = npy(shaped(f"({size // 16}, 4, 4)", "|u1"))
            start = zlib.compressobj(9, zlib.DEFLATED, -15)
            body = start.compress(head) + start.flush(zlib.Z_FULL_FLUSH) + packed
            info = zipfile.ZipInfo(f"{name}.npy")
            info.compress_type, info.CRC = zipfile.ZIP_DEFLATED, 0
            info.compress_size, info.file_size = len(body), len(head) + size
            info.header_offset = file.fp.tell()  # type: ignore[union-attr]
            file.fp.write(info.FileHeader(zip64=False) + body)  # type: ignore[union-attr]
            file.start_dir = file.fp.tell()  # type: ignore[attr-defined, union-attr]
            file.filelist.append(info)
            file.NameToInfo[info.filename] = info
        file._didModify = True  # type: ignore[attr-defined]
    return path
