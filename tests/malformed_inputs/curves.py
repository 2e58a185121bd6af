"""Malformed recorded curves."""

import gzip
import struct
from collections.abc import Iterator
from pathlib import Path

from .case import Case, special
from .data_files import zeros
from .experiments import MANY

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
    made |= dict(special(folder, ".csv"))
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
