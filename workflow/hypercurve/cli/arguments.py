"""What commands share: arguments that several have, and kinds of arguments; what is wrong with one is told in words."""

import argparse
import math
import re
from functools import partial
from pathlib import Path
from typing import TypeAlias

from ..util.errors import UserError
from ..util.files import check_plain

Arguments: TypeAlias = argparse.Namespace
Parser: TypeAlias = argparse.ArgumentParser
_DIGITS = re.compile(r"[0-9]{1,18}")  # `isdigit` takes "²" for a digit


def add_output(parser: Parser, text: str, *, required: bool = True, folder: bool | None = False) -> None:
    """What is written, and where: refused before anything is done where it would replace what is no plain file.

    Args:
        folder: whether files are written into a folder, which may be there; None: either, and whoever writes looks.
    """
    parser.add_argument("-o", "--output", type=partial(_output, folder=folder), required=required, help=text)


def _output(text: str, folder: bool | None) -> Path:
    path = Path(text)
    if not text:
        raise argparse.ArgumentTypeError("is empty: name what to write")
    try:
        # Of a folder that is there, it does not matter whether it is a link.
        if folder is not None and not (folder and path.is_dir()):
            check_plain(path, folder=folder)
        if folder and path.is_dir() and path.absolute() in (Path.cwd(), *Path.cwd().parents):
            raise UserError(f"{path}: is the folder that you are in, or above it: name another")
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{text[:100]}: cannot be written: {error.strerror}") from None
    return path


def add_results(parser: Parser) -> None:
    """An experiment's results."""
    parser.add_argument("results", type=Path, help="the experiment's results folder")


def add_setting(parser: Parser) -> None:
    """A method's setting."""
    parser.add_argument("setting", type=Path, help="the method's setting")


def add_journal(parser: Parser) -> None:
    """A run's journal."""
    parser.add_argument("journal", type=Path, help="the run's journal")


def add_run(parser: Parser) -> None:
    """Which run: a method's setting and a repeat."""
    parser.add_argument("setting", type=Path, help="a method's setting, as `resolve` writes it")
    parser.add_argument("--repeat", type=repeat, default=0, help="which repeat, from 0 (default: 0)")


def add_data(parser: Parser) -> None:
    """The data that a run trains on."""
    parser.add_argument("--data", type=Path, help="folder of the prepared data set, for experiments that have one")


def positive(text: str) -> int:
    """A whole number of at least 1."""
    return _whole(text, 1)


def count(text: str) -> int:
    """A whole number of at least 0."""
    return _whole(text, 0)


def _whole(text: str, least: int, most: int = 10**18) -> int:
    if _DIGITS.fullmatch(text) and int(text) > most:
        raise argparse.ArgumentTypeError(f"must be at most {most}, not {text}")
    if not _DIGITS.fullmatch(text) or int(text) < least:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least {least}, not {text[:30]!r}")
    return int(text)


def repeat(text: str) -> int:
    """A repeat's number, of which an experiment has 10,000 at most."""
    return _whole(text, 0, 9999)


def points(text: str) -> int:
    """A number of accumulation points, of which there are 10,000 at most."""
    return _whole(text, 1, 10_000)


def number(text: str) -> int | float:
    """A whole number or a share."""
    try:
        value = int(text) if _DIGITS.fullmatch(text) else float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"must be a whole number or a share, not {text[:30]!r}")
    return value


def share(text: str) -> float:
    """A share of a whole, above 0 and at most 1."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"must be above 0 and at most 1, not {text[:30]!r}")
    return value


def add_known(parser: Parser) -> None:
    """What need not be trained, and how trials in flight are kept."""
    text = "a further results folder, or an archive, whose recorded trainings are not done again"
    parser.add_argument("--reuse", type=Path, action="append", default=[], metavar="PLACE", help=text)
    parser.add_argument("--no-reuse", action="store_true", help="train again what other runs have recorded")
    text = (
        "the changed code trains and decides as before: what was recorded before the change counts for it from now on"
    )
    parser.add_argument("--keep-code", action="store_true", help=text)
    text = "let a run go on whose first trials all fail alike, or that never reports the objective"
    parser.add_argument("--no-fail-fast", action="store_true", help=text)
    text = "save trials in flight after so many minutes at the latest; 0: whenever they can be, -1: never (default: 5)"
    parser.add_argument("--snapshot-minutes", type=number, default=5.0, metavar="N", help=text)
    text = "GPUs of this process, or the share of one that it has; 0: none (default: all that its job has)"
    parser.add_argument("--gpus", type=number, metavar="N", help=text)
    text = "GiB of paused trials that a process holds in memory (default: 2)"
    parser.add_argument("--memory", type=number, default=2.0, metavar="GIB", help=text)
