"""`hypercurve clean`: what runs keep besides their results."""

import shutil
import sys
from pathlib import Path

from ..util.errors import UserError
from .arguments import Arguments, Parser

HELP = "remove superseded journals, saved states and networks that no run chose; says what and how much, and asks"
EXAMPLE = "results/demo"


def add_arguments(parser: Parser) -> None:
    parser.add_argument("results", type=Path, help="a results folder, an experiment's or a run's")
    parser.add_argument("--yes", action="store_true", help="do not ask")


def run(given: Arguments) -> None:
    if not given.results.is_dir():
        raise UserError(f"{given.results}: there is no such folder")
    named = (path for name in ("history", "*.states") for path in given.results.rglob(name))
    # Beside a journal or a batch, so that an experiment may be called as it likes.
    found = sorted(path for path in named if path.is_dir() and any(path.parent.glob("*.jsonl")))
    if not found:
        print(f"{given.results}: nothing to remove")
        return
    for path in found:
        files = [file for file in path.rglob("*") if file.is_file()]
        print(f"{path}: {len(files)} files, {sum(file.stat().st_size for file in files) / 1e6:.1f} MB")
    if not given.yes:
        if not sys.stdin.isatty():
            print("Nothing is removed: type this in a terminal, or give --yes.")
            return
        if input("Remove them? What only they hold would be trained again. [y/N] ").strip().lower() not in ("y", "yes"):
            return
    for path in found:
        shutil.rmtree(path)
