"""Some three hundred malformed inputs, of every kind that a command reads or is told.

:func:`inputs` writes them to a folder and gives, for each, the command that must refuse it: with exit code 2, in words that
name what is wrong, without a traceback. `benchmarks/malformed.py` measures them all, the tests a spread of them.
"""

import gzip
import io
import json
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from conftest import SYNTHETIC, changed, resealed, unsealed
from hypercurve.archive.contents import manifest_text
from hypercurve.archive.packing import pack, unpack
from results_data import call, make_results

EXPERIMENT = changed(SYNTHETIC, ("trials: 20", "trials: 6"), ("split: 0.2", "configurations: 6, split: 0.5"))


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


def base(folder: Path) -> Path:
    """Inputs that are right: an experiment, its results and archive, data, curves; gives the folder."""
    results = make_results(folder, EXPERIMENT, "small")
    call("archive", results, "-o", folder / "small.tar.gz")
    np.savez(folder / "data.npz", **arrays())
    (folder / "curves.csv").write_text(CURVES)
    (folder / "replay.yaml").write_text(REPLAY)
    return folder


def inputs(right: Path, folder: Path, large: bool = True) -> Iterator[Case]:
    """Write the malformed inputs to a folder.

    Args:
        right: what :func:`base` made.
        folder: an empty one.
        large: whether those are written that stand for gigabytes, which takes seconds.
    """
    for make in (configs, npz_files, csv_files, journals, settings, archives, command_lines, outputs):
        own = folder / make.__name__
        own.mkdir()
        yield from make(right, own, large)


def _special(folder: Path, suffix: str) -> Iterator[tuple[str, Path]]:
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


# Experiment files

MANY = 50_000
REPLAY = """\
data: {curves: curves.csv}
model: recorded
budget: {trials: 4}
methods: {random: {search: random}}
"""
WRONG = {"a number": "5.5", "a list": "[1, 2]", "a text": "'7 apples'", "nothing": "null"}
KEYS = (
    "data",
    "model",
    "objective",
    "space",
    "budget",
    "repeats",
    "seed",
    "training",
    "cost",
    "methods",
    "retrain",
    "snapshot",
)


def configs(right: Path, folder: Path, large: bool = True) -> Iterator[Case]:
    """Experiment files."""
    del right
    texts: dict[str, str | bytes] = {
        "50,000 anchors": "description: x\nlist:\n" + "".join(f"- &a{n} {n}\n" for n in range(MANY)),
        "anchors of anchors": "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
            f"{b}: &{b} [{','.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
        ),
        "50,000 aliases": "a: &a x\nb: [" + "*a, " * MANY + "x]\n",
        "an alias of itself": "a: &a [*a]\n",
        "50,000 unknown keys": EXPERIMENT + "".join(f"key{n}: 1\n" for n in range(MANY)),
        "50,000 unknown keys in a part": EXPERIMENT.replace("{trials: 6}", "\n  trials: 6\n" + "".join(f"  k{n}: 1\n" for n in range(MANY))),
        "50,000 unknown hyperparameters": EXPERIMENT.replace("space:\n", "space:\n" + "".join(f"  k{n}: 1\n" for n in range(MANY))),
        "20,000 unknown searchers": EXPERIMENT + "".join(f"  m{n}: {{search: s}}\n" for n in range(20_000)),
        "5,000 unknown options of searchers": EXPERIMENT + "".join(f"  m{n}: {{search: {{tpe: {{x: 1}}}}}}\n" for n in range(5000)),
        "50,000 unknown figures": EXPERIMENT + "figures: [" + "x, " * MANY + "x]\n",
        "50,000 values that are none": EXPERIMENT.replace("[32, 64]", "[" + "32, " * MANY + "64]"),
        "50,000 different values": EXPERIMENT.replace("[32, 64]", "[" + ", ".join(map(str, range(MANY))) + "]"),
        "accumulation points that fall": EXPERIMENT.replace("accumulation_points: 5", "accumulation_points: [" + "0.5, " * MANY + "1]"),
        "50,000 conditions": EXPERIMENT.replace("0.99]}", "0.99], when: {" + ", ".join(f"k{n}: 1" for n in range(MANY)) + "}}"),
        "brackets within brackets": "a: " + "[" * 100_000 + "]" * 100_000,
        "mappings within mappings": "a: " + "{a: " * 50_000,
        "indents within indents": "".join(" " * n + "a:\n" for n in range(1200)),
        "a lone surrogate": EXPERIMENT.replace("small experiment", '"\\ud800"').replace("a \"", "\""),
        "a lone surrogate as a key": EXPERIMENT + '"\\udc80": 1\n',
        "a lone surrogate as a method": EXPERIMENT + '  "\\ud800": {search: random}\n',
        "a number of 100,000 digits": EXPERIMENT.replace("trials: 6", "trials: " + "9" * 100_000),
        "a seed of 5,000 digits": EXPERIMENT + "seed: " + "9" * 5000 + "\n",
        "a number that overflows": EXPERIMENT.replace("0.001, 1.0", "0.001, 1.0e999"),
        "a bound of 400 digits": EXPERIMENT.replace("0.001, 1.0", "0.001, 1" + "0" * 400),
        "bounds as texts": EXPERIMENT.replace("[0.001, 1.0]", '["0.001", "1.0"]'),
        "bounds with equal logarithms": EXPERIMENT.replace("[0.001, 1.0]", "[1.0e+300, 1.0000000000000002e+300]"),
        "a text of 900,000 characters": EXPERIMENT.replace("model: synthetic", "model: " + "x" * 900_000),
        "a key of 900,000 characters": EXPERIMENT + "x" * 900_000 + ": 1\n",
        "a line of 900,000 quotes": EXPERIMENT + "x: '" + "''" * 450_000,
        "more than 1,000,000 bytes": EXPERIMENT + "#" * 1_000_000,
        "Latin-1": EXPERIMENT.encode() + "x: für\n".encode("latin-1"),
        "UTF-16": EXPERIMENT.encode("utf-16"),
        "every byte": bytes(range(256)),
        "a NUL": EXPERIMENT.replace("small", "sm\0all"),
        "a tab as an indent": EXPERIMENT.replace("  momentum", "\tmomentum"),
        "a Python object": "!!python/object/apply:os.system [ls]\n",
        "a tag": EXPERIMENT.replace("description: ", "description: !secret "),
        "binary data": EXPERIMENT.replace("description: a small experiment on learning curves by formula", "description: !!binary aGk="),
        "a date": EXPERIMENT.replace("trials: 6", "trials: 2020-01-01"),
        "a set": "!!set {data, model}\n",
        "a list as a key": EXPERIMENT + "? [a, b]\n: 1\n",
        "a number as a key": EXPERIMENT + "5: 1\n",
        "null as a key": EXPERIMENT + "~: 1\n",
        "a merge key": EXPERIMENT + "  all: {<<: {search: random}}\n",
        "a key twice": EXPERIMENT + "model: dense\n",
        "two documents": EXPERIMENT + "---\na: 1\n",
        "a directive": "%YAML 9.9\n---\n" + EXPERIMENT + "x: 1\n",
        "a percent sign": "%\n",
        "an anchor without a name": "a: & b\n",
        "an open quote": EXPERIMENT + "x: 'never closed\n",
        "an escape that is none": EXPERIMENT + 'x: "\\q"\n',
        "an endless block": EXPERIMENT + "x: |99\n y\n",
        "only a comment": "# later\n",
        "a list": "- data\n- model\n",
        "a word": "hello\n",
        "a method with a slash": EXPERIMENT + "  a/b: {search: random}\n",
        "a method with dots": EXPERIMENT + "  ..: {search: random}\n",
        "a method that is a path": EXPERIMENT + "  ../../x: {search: random}\n",
        "a method with a newline": EXPERIMENT + '  "a\\nb": {search: random}\n',
        "a code that is none": EXPERIMENT.replace("model: synthetic", "model: 'os:'"),
        "code that is not there": EXPERIMENT.replace("model: synthetic", "model: nowhere.at_all:build"),
        "a program that is not there": "model: {command: [./nowhere]}\nspace: {epochs: 3}\nbudget: {trials: 2}\nmethods: {a: {search: random}}\n",
        "a million jobs": EXPERIMENT.replace("trials: 6", "trials: 1000000").replace("{search: random}", "{search: random, trials_per_job: 1}", 1),
        "a grid without end": EXPERIMENT.replace("random: {search: random}", "random: {search: {grid: {points: 10000}}}"),
        "bounds on what is never reported": EXPERIMENT + "constraints: {val_acuracy: {min: 0.5}}\n",
        "bounds that exclude each other": EXPERIMENT + "constraints: {loss: {min: 2, max: 1}}\n",
    }  # fmt: skip
    for key in KEYS:
        lines = [line for line in EXPERIMENT.splitlines() if not line.startswith(f"{key}:")]
        rest = "\n".join(line for line in lines if not (key in ("space", "methods") and line.startswith("  ")))
        texts |= {f"{key} as {kind}": f"{rest}\n{key}: {value}\n" for kind, value in WRONG.items()}
    accepted = {"data as nothing", "objective as nothing"}
    for number, (name, text) in enumerate(texts.items()):
        path = folder / f"config{number}.yaml"
        # A lone surrogate stands in YAML as an escape, so all texts can be written.
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        if name not in accepted:
            yield Case("experiment file", name, ("check", str(path)), path.name)
    tabs = folder / "tabs.yaml"
    tabs.write_text(EXPERIMENT.replace("model: ", "model:\t").replace("trials: 6", "trials:\t6"))
    yield Case("experiment file", "tabs after colons, which YAML allows", ("check", str(tabs)), "", 0)
    for name, path in _special(folder, ".yaml"):
        yield Case("experiment file", name, ("check", str(path)), path.name[:20])


# Data files


def arrays(**changes: Any) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    made = {
        "x_train": rng.integers(0, 256, (60, 4, 4), dtype=np.uint8),
        "y_train": np.arange(60) % 3,
        "x_test": rng.integers(0, 256, (30, 4, 4), dtype=np.uint8),
        "y_test": np.arange(30) % 3,
    } | changes
    return {name: array for name, array in made.items() if array is not None}


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
def zeros(total: int) -> bytes:
    """So many zeros, deflated: a few megabytes stand for gigabytes."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    piece = packer.compress(bytes(1 << 26)) + packer.flush(zlib.Z_FULL_FLUSH)
    return piece * (total >> 26) + packer.flush()


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
    for name, array in arrays().items():
        np.save(buffer := io.BytesIO(), array)
        members[f"{name}.npy"] = buffer.getvalue()
    made: dict[str, Path] = {}

    def zip_of(name: str, content: Mapping[str, bytes], patch: Callable[[bytearray], None] = lambda _: None) -> None:
        made[name] = zipped(folder / f"file{len(made)}.npz", content, patch)

    for name, odd in ODD.items():
        np.savez(folder / f"labels{len(made)}.npz", **arrays(y_train=odd))
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
        np.savez(folder / f"inputs{len(made)}.npz", **arrays(x_train=ODD[name]))
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
    made |= dict(_special(folder, ".npz"))
    for number, (name, path) in enumerate(made.items()):
        output = str(folder / f"prepared{number}")
        yield Case("data file (.npz)", name, ("data", str(path), "-o", output), path.name[:20])
    np.savez(folder / "ok.npz", **arrays())
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
            info.compress_type = zipfile.ZIP_DEFLATED
            info.compress_size, info.file_size = len(body), len(head) + size
            info.header_offset = file.fp.tell()  # type: ignore[union-attr]
            file.fp.write(info.FileHeader(zip64=False) + body)  # type: ignore[union-attr]
            file.start_dir = file.fp.tell()  # type: ignore[attr-defined, union-attr]
            file.filelist.append(info)
            file.NameToInfo[info.filename] = info
        file._didModify = True  # type: ignore[attr-defined]
    return path


# Recorded curves

CURVES = "rate,step,loss,val_loss\n" + "".join(
    f"0.{c},{s},{1 / s + c / 10},{1 / s + c / 9}\n" for c in range(1, 7) for s in range(1, 6)
)
HEAD, ROWS = CURVES.split("\n", 1)


def csv_files(right: Path, folder: Path, large: bool = True) -> Iterator[Case]:
    """Recorded curves, and what is told of them."""
    whole = gzip.compress(CURVES.encode())
    packed = zeros(3 << 30) if large else b""
    bomb = b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + packed + struct.pack("<II", 0, (3 << 30) & 0xFFFFFFFF)
    texts: dict[str, str | bytes] = {
        "a cell of 200,000 characters": CURVES + "x" * 200_000 + ",1,1,1\n",
        "a cell of 20 MB": HEAD + '\n"' + "x" * 20_000_000 + '",1,1,1\n',
        "a column of 200,000 characters": "x" * 200_000 + "," + CURVES,
        "a quote that is never closed": HEAD + '\n"' + ROWS * 100,
        "a NUL": CURVES + "0.9,1,\0,1\n",
        "a lone surrogate": CURVES.encode() + b"\xed\xa0\x80,1,1,1\n",
        "Latin-1": CURVES.encode() + "für,1,1,1\n".encode("latin-1"),
        "UTF-16": CURVES.encode("utf-16"),
        "every byte": bytes(range(256)),
        "zeros": bytes(1_000_000),
        "a first line alone": HEAD,
        "no column step": CURVES.replace("step", "stop"),
        "no hyperparameter": "step,loss\n1,0.5\n",
        "no metric": "rate,step\n0.1,1\n",
        "a column twice": CURVES.replace("rate", "step", 1),
        "a hyperparameter called trial": CURVES.replace("rate", "trial", 1),
        "50,000 columns": ",".join(f"h{n}" for n in range(MANY)) + ",step,loss\n1,1\n",
        "a step below 0": CURVES + "0.9,-1,1,1\n",
        "half a step": CURVES + "0.9,1.5,1,1\n",
        "a step of 5,000 digits": CURVES + "0.9," + "9" * 5000 + ",1,1\n",
        "a step that is NaN": CURVES + "0.9,nan,1,1\n",
        "a step twice": CURVES + "0.1,1,1,1\n",
        "a cell too few": CURVES + "0.9,1,1\n",
        "cells too many": CURVES + "0.9" + ",1" * 100_000 + "\n",
        "a loss that is none": CURVES + "0.9,1,low,low\n",
        "a loss that overflows": CURVES + "0.9,1,1e999,1e999\n",
        "a loss of 5,000 digits": CURVES + "0.9,1," + "9" * 5000 + "," + "9" * 5000 + "\n",
        "two kinds of a hyperparameter": CURVES + "fast,1,1,1\ntrue,1,1,1\n",
        "one configuration": HEAD + "\n0.1,1,1,1\n",
        "semicolons": CURVES.replace(",", ";"),
        "blanks": "\n\n\n",
    }
    accepted = {"two kinds of a hyperparameter", "one configuration"}
    zips = {
        "3 GB behind a small gzip": bomb,
        "no gzip": CURVES.encode(),
        "half a gzip": whole[: len(whole) // 2],
        "a gzip with a wrong checksum": whole[:-8] + b"12345678",
        "something after a gzip": whole + b"something",
        "a gzip of nothing": gzip.compress(b""),
        "a gzip within a gzip": gzip.compress(whole),
    }
    made: dict[str, Path] = {}
    for name, text in [*texts.items(), *zips.items()]:
        made[name] = folder / f"curves{len(made)}.csv{'.gz' * (name in zips)}"
        made[name].write_bytes(text if isinstance(text, bytes) else text.encode())
    made |= dict(_special(folder, ".csv"))
    for number, (name, path) in enumerate(made.items()):
        if name not in accepted:
            yield Case(
                "recorded curves (CSV)", name, ("curves", str(path), "-o", str(folder / f"out{number}")), path.name[:20]
            )
    own = str(right / "curves.csv")
    there = str(right / "results/small/runs/random")
    for name, extra in {
        "a metric that does not exist": (own, "--metric", "acuracy"),
        "a metric of what is no CSV file": (there, "--metric", "acuracy"),
        "an empty metric": (own, "--metric", ""),
        "a hyperparameter as a metric": (own, "--metric", "rate"),
    }.items():
        yield Case("recorded curves (CSV)", name, ("curves", *extra, "-o", str(folder / "o")), extra[-1])
        yield Case("recorded curves (CSV)", f"{name}, replayed", ("replay", *extra, "-o", str(folder / "o")), extra[-1])


# Journals


def journals(right: Path, folder: Path, large: bool = True) -> Iterator[Case]:
    """Journals."""
    run = right / "results/small/runs/random"
    lines = (run / "0/journal.jsonl").read_bytes().splitlines()
    old = [json.dumps(unsealed(line)).encode() for line in lines]
    report = next(n for n, line in enumerate(old) if b'"reported"' in line)

    def with_line(text: bytes, at: int = report) -> bytes:
        return b"\n".join([*old[:at], text, *old[at + 1 :]]) + b"\n"

    flipped = bytearray(lines[report])
    flipped[20] ^= 1
    made: dict[str, bytes] = {
        "a flipped bit": b"\n".join([*lines[:report], bytes(flipped), *lines[report + 1 :]]) + b"\n",
        "a line that is missing": b"\n".join([*lines[:4], *lines[5:]]) + b"\n",
        "lines swapped": b"\n".join([*lines[:4], lines[5], lines[4], *lines[6:]]) + b"\n",
        "no first line": b"\n".join(lines[1:]) + b"\n",
        "a run that has not ended": b"\n".join(lines[:-2]) + b"\n",
        "half a line": b"\n".join(lines)[:-200],
        "a line that is no JSON": with_line(b"not JSON"),
        "a line that is a list": with_line(b"[]"),
        "a line that is a number": with_line(b"7"),
        "NaN": with_line(b'{"event":"reported","trial":0,"progress":0.2,"metrics":{"loss":NaN}}'),
        "a number that overflows": with_line(old[report].replace(b'"loss": ', b'"loss": 1e999')),
        "a number of 400 digits": with_line(old[report].replace(b'"loss": ', b'"loss": ' + b"1" * 400)),
        "a time of 400 digits": with_line(old[report].replace(b'"time": ', b'"time": ' + b"1" * 400)),
        "brackets within brackets": with_line(b'{"event":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
        "a text for a number": with_line(old[report].replace(b'"progress": ', b'"progress": "half", "x": ')),
        "no trial": with_line(old[report].replace(b'"trial"', b'"trail"')),
        "a trial of 400 digits": with_line(old[report].replace(b'"trial": ', b'"trial": ' + b"9" * 400)),
        "a lone surrogate": with_line(b'{"event":"\\ud800","trial":0}'),
        "an unknown event": with_line(b'{"event":"rested","trial":0}'),
        "no event": with_line(b"{}"),
        "a line of 5 MB": with_line(b'{"event":"' + b"x" * 5_000_000 + b'"}'),
        "100,000 empty lines": b"\n" * 100_000,
        "Latin-1": with_line("{'für': 1}".encode("latin-1")),
        "zeros": bytes(1_000_000) + b"\n",
        "100,000 lines after the end": b"\n".join(lines) + b"\n" + (lines[-1] + b"\n") * 100_000,
        "a checksum that is none": with_line(b'{"event":"reported","trial":0,"wall":{"sum":"x"}}'),
        "configurations of another space": resealed([old[0].replace(b"learning_rate", b"learning_rats"), *old[1:]]),
    }
    accepted = {"lines swapped"}  # of lines with checksums; the others are told by name
    for number, (name, content) in enumerate(made.items()):
        path = folder / f"journal{number}" / "journal.jsonl"
        path.parent.mkdir()
        path.write_bytes(content)
        if name not in accepted or b'"sum"' in content:
            command = ("trials", str(run / "setting.json"), str(path), "-o", str(folder / f"out{number}.csv"))
            if name != "configurations of another space":  # which tables take as they are
                yield Case("journal", name, command, f"journal{number}/journal.jsonl")
    for name, path in _special(folder, ".jsonl"):
        yield Case(
            "journal",
            name,
            ("trials", str(run / "setting.json"), str(path), "-o", str(folder / "o.csv")),
            path.name[:20],
        )
    yield Case("journal", "a folder without runs", ("curves", str(folder), "-o", str(folder / "o")))


# What commands have written: settings and manifests


def settings(right: Path, folder: Path, large: bool = True) -> Iterator[Case]:
    """Settings, experiments and manifests, as commands write them."""
    given = (right / "results/small/runs/random/setting.json").read_text()
    texts: dict[str, str | bytes] = {
        "half of it": given[: len(given) // 2],
        "a list": "[]",
        "a number of 5,000 digits": given.replace('"seed": 0', '"seed": ' + "9" * 5000, 1),
        "a number that overflows": given.replace('"seed": 0', '"seed": 1e999', 1),
        "brackets within brackets": "[" * 100_000 + "]" * 100_000,
        "NaN": given.replace('"step": 0.0001', '"step": NaN'),
        "a lone surrogate": given.replace('"small"', '"\\ud800"', 1),
        "Latin-1": "{'für': 1}".encode("latin-1"),
        "20,000 unknown keys": given.replace("{", "{" + "".join(f'"k{n}": 1, ' for n in range(20_000)), 1),
        "another kind of search": given.replace('"random": {}', '"randm": {}'),
    }
    made: dict[str, Path] = {}
    for name, text in texts.items():
        made[name] = folder / f"setting{len(made)}.json"
        made[name].write_bytes(text if isinstance(text, bytes) else text.encode())
    for name, path in [*made.items(), *_special(folder, ".json")]:
        yield Case("setting", name, ("table", str(path), "-o", str(folder / "table.jsonl")), path.name[:20])
    data = next(path for path in (right / "results/data").iterdir() if path.is_dir())
    for number, (name, text) in enumerate(
        {
            "a manifest that is a list": "[]",
            "a manifest without files": '{"files": {}}',
            "a manifest with brackets": "[" * 100_000,
            "a manifest of numbers": '{"files": {"x_train": 1, "y_train": 1, "x_validation": 1, "y_validation": 1, "x_test": 1, "y_test": 1}}',
        }.items()
    ):
        own = folder / f"data{number}"
        own.mkdir()
        for file in data.iterdir():
            (own / file.name).symlink_to(file)
        (own / "manifest.json").unlink()
        (own / "manifest.json").write_text(text)
        command = ("search", str(right / "results/small/runs/random/setting.json"), "--data", str(own))
        yield Case("setting", name, (*command, "-o", str(folder / "j" / "journal.jsonl")), "manifest.json")
    for name, text in {"an experiment that is a list": "[]", "an experiment with brackets": "[" * 100_000}.items():
        own = folder / name.replace(" ", "-")
        own.mkdir()
        (own / "experiment.json").write_text(text)
        for command in (
            ("compare", str(own), "-o", str(folder / "c.csv")),
            ("report", str(own), "-o", str(folder / "r.html")),
        ):
            yield Case("setting", f"{name}, for {command[0]}", command, "experiment.json")


# Archives


def archives(right: Path, folder: Path, large: bool = True) -> Iterator[Case]:
    """Archives."""
    whole = (right / "small.tar.gz").read_bytes()
    plain = gzip.decompress(whole)
    made: dict[str, bytes] = {
        "half of it": whole[: len(whole) // 2],
        "no gzip": b"hello",
        "a gzip of nothing": gzip.compress(b""),
        "a gzip of text": gzip.compress(b"hello" * 1000, 1),
        "a wrong checksum": whole[:-8] + b"12345678",
        "something after it": whole + b"x",
        "a tar without gzip": plain,
        "a zip file": b"PK\5\6" + bytes(18),
        "zeros": gzip.compress(bytes(1 << 20), 1),
        "3 GB of zeros": b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + zeros(3 << 30) + bytes(8),
    }

    def tar(
        name: str,
        *members: tarfile.TarInfo,
        content: Mapping[str, bytes] | None = None,
        form: int = tarfile.USTAR_FORMAT,
    ) -> None:
        with tarfile.open(fileobj=(buffer := io.BytesIO()), mode="w", format=form) as file:
            for info in members:
                file.addfile(info, io.BytesIO((content or {}).get(info.name, bytes(info.size))))
        made[name] = gzip.compress(buffer.getvalue(), 1)

    def info(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
        one = tarfile.TarInfo(name)
        one.size, one.type, one.linkname = size, kind, link
        return one

    tar("a path that leaves the folder", info("../../etc/passwd"))
    tar("an absolute path", info("/etc/passwd"))
    tar("a hidden file", info("small/.bashrc"))
    tar("a link", info("small/x", kind=tarfile.SYMTYPE, link="/etc/passwd"))
    tar("a hard link", info("small/x", kind=tarfile.LNKTYPE, link="small/y"))
    tar("a device", info("small/x", kind=tarfile.CHRTYPE))
    tar("a FIFO", info("small/x", kind=tarfile.FIFOTYPE))
    tar("a folder", info("small", kind=tarfile.DIRTYPE))
    tar("a name of 90,000 characters", info("small/" + "n" * 90_000), form=tarfile.GNU_FORMAT)
    tar("a header of PAX", info("small/für" * 20), form=tarfile.PAX_FORMAT)
    tar("a file and a folder of one name", info("small/x"), info("small/x/y"))
    tar("a file twice", info("small/x"), info("small/y"), info("small/x"))
    tar("two folders", info("small/x"), info("other/y"))
    tar("no manifest", info("small/x"))
    tar("100,000 empty files", *(info(f"small/f{n}") for n in range(99_999)))
    tar("200,000 empty files", *(info(f"small/f{n}") for n in range(200_000)))
    tar("100,000 empty files in 10,000 folders", *(info(f"small/d{n % 10_000}/f{n}") for n in range(99_999)))
    tar("a name with an escape", info("small/\x1b[31mred"))
    sized = bytearray(info("small/x").tobuf(tarfile.GNU_FORMAT))
    sized[124:136] = b"77777777777\0"
    sized[148:156] = b"        "
    sized[148:156] = b"%06o\0 " % sum(sized[:512])
    made["a file of 8 GB in its header"] = gzip.compress(bytes(sized), 1)
    sized[124:136] = b"\xff" * 12
    sized[148:156] = b"        "
    sized[148:156] = b"%06o\0 " % sum(sized[:512])
    made["a file of a size below 0"] = gzip.compress(bytes(sized), 1)
    for number, (name, content) in enumerate(made.items()):
        path = folder / f"archive{number}.tar.gz"
        path.write_bytes(content)
        yield Case("archive", name, ("verify", str(path)), path.name)
    for name, path in _special(folder, ".tar.gz"):
        yield Case("archive", name, ("verify", str(path)), path.name[:20])

    journal = "small/runs/random/0/journal.jsonl"

    def lines_of(files: dict[str, bytes]) -> list[bytes]:
        return files[journal].splitlines()

    def line(old: bytes, new: bytes) -> Callable[[dict[str, bytes]], None]:
        def change(files: dict[str, bytes]) -> None:
            given = [json.dumps(unsealed(one)).encode() for one in lines_of(files)]
            at = next(n for n, one in enumerate(given) if b'"reported"' in one and old in one)
            given[at] = given[at].replace(old, new, 1)
            files[journal] = b"\n".join(given) + b"\n"

        return change

    def put(name: str, content: bytes) -> Callable[[dict[str, bytes]], None]:
        return lambda files: files.__setitem__(name, content)

    forged: dict[str, Callable[[dict[str, bytes]], None]] = {
        "a number that overflows": line(b'"loss": ', b'"loss": 1e999'),
        "a loss of 400 digits": line(b'"loss": ', b'"loss": ' + b"1" * 400),
        "seconds that overflow": line(b'"seconds": ', b'"seconds": 1e308, "x": '),
        "a date that overflows": line(b'"at": ', b'"at": 1e300, "x": '),
        "HTML in README.md": put(
            "small/README.md", b"# small\n<script>alert(1)</script>\n<img src=x onerror=alert(1)>\n"
        ),
        "a table of one huge cell": put("small/comparison.csv", b"x" * 300_000),
        "a table that is no text": put("small/comparison.csv", bytes(range(256))),
        "a table of formulas": put("small/comparison.csv", b"=cmd|' /C calc'!A0,b\n=1+1,2\n"),
        "a crate that is none": put("small/ro-crate-metadata.json", b"[" * 100_000),
        "an experiment that is none": put("small/experiment.json", b"[]"),
        "an experiment with brackets": put("small/experiment.json", b"[" * 100_000),
        "a setting that is none": put("small/runs/random/setting.json", b"{}"),
        "a journal that is none": put(journal, b"hello\n"),
        "an empty journal": put(journal, b""),
        "a manifest of data that is none": put("small/data/manifest.json", b"[]"),
        "a file too many": put("small/other.txt", b"x"),
        "a comparison that is missing": lambda files: files.pop("small/comparison.csv") and None,
    }
    unpack(right / "small.tar.gz", folder / "opened")
    files = {
        p.relative_to(folder / "opened").as_posix(): p.read_bytes()
        for p in (folder / "opened").rglob("*")
        if p.is_file()
    }
    for number, (name, change) in enumerate(forged.items()):
        own = dict(files)
        change(own)
        path = folder / f"forged{number}.tar.gz"
        pack(_consistent(own), path)
        code = 0 if name in ("a crate that is none", "a file too many") else 2
        yield Case("archive", f"{name}, with digests that fit", ("verify", str(path)), path.name, code)
    for name, text in {
        "is a list": "[]",
        "has brackets": "[" * 100_000,
        "is of format 99": '{"format": 99}',
        "names a file of 10^400 bytes": '{"format": 1, "files": {"x": {"bytes": 1' + "0" * 400 + "}}}",
        "holds a lone surrogate": '{"format": 1, "experiment": "\\ud800"}',
    }.items():
        path = folder / f"manifest-{name.split()[0]}-{len(text)}.tar.gz"
        pack({**files, "small/manifest.json": text.encode()}, path)
        yield Case("archive", f"a manifest that {name}", ("verify", str(path)), path.name)
    right_one = str(right / "small.tar.gz")
    for name, extra in {
        "a run that is not there": ("--rerun", "lmc/0"),
        "a run without a repeat": ("--rerun", "lcm"),
        "data that are not there": ("--rerun", "random/0", "--data", str(folder / "none")),
    }.items():
        yield Case("archive", name, ("verify", right_one, *extra))


def _consistent(files: dict[str, bytes]) -> dict[str, bytes]:
    """The same with a manifest whose sums fit."""
    import hashlib

    manifest = json.loads(files["small/manifest.json"])
    manifest["files"] = {
        name.removeprefix("small/"): {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in files.items()
        if name != "small/manifest.json"
    }
    return {**files, "small/manifest.json": manifest_text(manifest).encode()}


# Command lines and outputs


def command_lines(right: Path, folder: Path, large: bool = True) -> Iterator[Case]:
    """Command lines."""
    experiment, results = str(right / "small.yaml"), str(right / "results/small")
    setting, curves = f"{results}/runs/random/setting.json", str(right / "curves.csv")
    out = str(folder / "out")
    lines: dict[str, tuple[str, ...]] = {
        "no command": (),
        "an unknown command": ("chekc", experiment),
        "an empty command": ("",),
        "a command in a lone surrogate": ("\udc80",),
        "an unknown option": ("check", "--colour", experiment),
        "no file": ("check",),
        "an empty file name": ("check", ""),
        "a file name in a lone surrogate": ("check", "\udcff.yaml"),
        "a method that does not exist": ("resolve", experiment, "--method", "lmc", "-o", out),
        "an empty method": ("resolve", experiment, "--method", "", "-o", out),
        "no output": ("resolve", experiment),
        "data that do not exist": ("data", "digit", "-o", out),
        "a validation that is none": ("data", "digits", "--validation", "some", "-o", out),
        "a validation of 0": ("data", "digits", "--validation", "0", "-o", out),
        "a validation of 10^400": ("data", "digits", "--validation", "1" + "0" * 400, "-o", out),
        "a validation that is NaN": ("data", "digits", "--validation", "nan", "-o", out),
        "a validation in Arabic digits": ("data", "digits", "--validation", "²", "-o", out),
        "a seed below 0": ("data", "digits", "--seed", "-1", "-o", out),
        "a seed that is none": ("data", "digits", "--seed", "x", "-o", out),
        "a part of 10^400 examples": ("cut", str(right / "data.npz"), f"{out}.npz", "--train", "1" + "0" * 400),
        "a part of no examples": ("cut", str(right / "data.npz"), f"{out}.npz", "--train", "0"),
        "data to cut that do not exist": ("cut", "cifar11", f"{out}.npz"),
        "a file to cut to that is none": ("cut", str(right / "data.npz"), out),
        "a repeat below 0": ("table", setting, "--repeat", "-1", "-o", out),
        "a repeat that is none": ("table", setting, "--repeat", "x", "-o", out),
        "a repeat of 5,000 digits": ("table", setting, "--repeat", "9" * 5000, "-o", out),
        "a repeat that does not exist": ("table", setting, "--repeat", "99999999999", "-o", out),
        "a repeat in other digits": ("table", setting, "--repeat", "²", "-o", out),
        "a batch beyond the last": (
            "batch",
            setting,
            "--table",
            f"{results}/none",
            "--batch",
            "9",
            "--of",
            "2",
            "-o",
            out,
        ),
        "no batches": ("batch", setting, "--table", f"{results}/none", "--batch", "0", "--of", "0", "-o", out),
        "no data": ("search", setting, "-o", out),
        "data that are elsewhere": ("search", setting, "--data", f"{out}/none", "-o", out),
        "a memory that is NaN": ("search", setting, "--memory", "nan", "-o", out),
        "a memory below 0": ("search", setting, "--memory", "-1", "-o", out),
        "minutes that are none": ("search", setting, "--snapshot-minutes", "often", "-o", out),
        "tasks without MPI": ("search", setting, "--tasks", "many", "-o", out),
        "a place to reuse that is not there": (
            "search",
            setting,
            "--data",
            results,
            "--reuse",
            f"{out}/none",
            "-o",
            out,
        ),
        "a figure that does not exist": ("figure", results, "bets", "-o", f"{out}.svg"),
        "a figure of another ending": ("figure", results, "best", "-o", f"{out}.gif"),
        "a table that does not exist": ("compare", results, "--table", "speeds", "-o", out),
        "results that do not exist": ("compare", f"{results}/none", "-o", out),
        "a report of what is no results": ("report", str(right), "-o", out),
        "an overview of nothing": ("overview", str(folder / "none"), "-o", out),
        "a method to replay that does not exist": ("replay", curves, "--method", "lmc", "-o", out),
        "a method to replay that is no YAML": ("replay", curves, "--method", "a={", "-o", out),
        "an empty method to replay": ("replay", curves, "--method", "", "-o", out),
        "a method to replay of a lone surrogate": ("replay", curves, "--method", '"\\ud800"', "-o", out),
        "no repeats": ("replay", curves, "--repeats", "0", "-o", out),
        "10^400 repeats": ("replay", curves, "--repeats", "1" + "0" * 400, "-o", out),
        "a cost above 1": ("replay", curves, "--cost", "2", "-o", out),
        "a cost that is NaN": ("replay", curves, "--cost", "nan", "-o", out),
        "points of 10^9": ("replay", curves, "--points", "1000000000", "-o", out),
        "slots of 10^400": ("replay", curves, "--slots", "1" + "0" * 400, "-o", out),
        "samples that are none": ("replay", curves, "--samples", "x", "-o", out),
        "costs that are none": ("replay", curves, "--costs", "0.1", "x", "-o", out),
        "jobs that are none": ("replay", curves, "--jobs", "0", "-o", out),
        "an experiment to replay that is none": ("replay", curves, "--experiment", experiment, "-o", out),
        "an experiment to replay that is not there": ("replay", curves, "--experiment", f"{out}.yaml", "-o", out),
        "a run to restart that is not there": ("restart", f"{results}/runs/random/9"),
        "a history of nothing": ("history", f"{results}/runs/random/9"),
        "a history of a file": ("history", setting),
        "results to archive that are none": ("archive", str(right), "-o", out),
        "results to archive that are not there": ("archive", f"{results}/none", "-o", out),
        "an archive that is not there": ("verify", f"{out}.tar.gz"),
        "results to watch that are not there": ("watch", f"{results}/none", "--once"),
        "results to export that are not there": ("export", f"{results}/none", "-o", out),
        "an export that does not exist": ("export", results, "--format", "wandb", "-o", out),
        "a schedule of what is no population": ("schedule", f"{results}/runs/none/0", "-o", out),
        "members of what is no population": ("members", setting, f"{results}/runs/random/0/journal.jsonl", "-o", out),
        "a setting that is a journal": ("table", f"{results}/runs/random/0/journal.jsonl", "-o", out),
        "a journal that is a setting": ("trials", setting, setting, "-o", out),
        "a record of a method without one": ("record", setting, "-o", out),
        "results to clean that are none": ("clean", f"{results}/none"),
    }
    for name, line in lines.items():
        yield Case("command line", name, line)


def outputs(right: Path, folder: Path, large: bool = True) -> Iterator[Case]:
    """Outputs: where nothing can be written, or nothing should be."""
    results = right / "results/small"
    setting = str(results / "runs/random/setting.json")
    commands: dict[str, tuple[str, ...]] = {
        "resolve": ("resolve", str(right / "small.yaml")),
        "data": ("data", str(right / "data.npz")),
        "trials": ("trials", setting, str(results / "runs/random/0/journal.jsonl")),
        "table": ("table", setting),
        "curves": ("curves", str(right / "curves.csv")),
        "archive": ("archive", str(results)),
    }
    (folder / "full").mkdir()
    (folder / "full" / "precious.txt").write_text("precious")
    (folder / "file").write_text("precious")
    (folder / "link").symlink_to(folder / "file")
    (folder / "nowhere").symlink_to(folder / "none" / "at" / "all")
    os.mkfifo(folder / "pipe")
    for place, path in {
        "an empty name": "",
        "a folder that holds other things": str(folder / "full"),
        "the root": "/",
        "a dot": ".",
        "a device": "/dev/full",
        "below a file": str(folder / "file" / "x"),
        "below a device": "/dev/null/x",
        "a link": str(folder / "link"),
        "a link to nowhere": str(folder / "nowhere"),
        "a FIFO": str(folder / "pipe"),
        "a name of 300 characters": str(folder / ("n" * 300)),
        "a path of 5,000 characters": str(folder / "/".join(["n" * 100] * 50)),
        "in /proc": "/proc/x",
    }.items():
        for command, given in commands.items():
            yield Case("output", f"{place}, for {command}", (*given, "-o", path))
