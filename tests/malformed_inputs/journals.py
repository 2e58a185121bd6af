"""Malformed journals."""

import json
from collections.abc import Iterator
from pathlib import Path

from conftest import resealed, unsealed

from .case import Case, special


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
    for name, path in special(folder, ".jsonl"):
        yield Case(
            "journal",
            name,
            ("trials", str(run / "setting.json"), str(path), "-o", str(folder / "o.csv")),
            path.name[:20],
        )
    yield Case("journal", "a folder without runs", ("curves", str(folder), "-o", str(folder / "o")))
