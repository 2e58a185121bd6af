"""`hypercurve watch`: where runs stand, while they go on."""

import argparse
from contextlib import suppress
from pathlib import Path

from .arguments import Arguments, Parser

HELP = "show where runs stand, from their journals alone: live in a terminal, line by line elsewhere"
EXAMPLE = "results\n  hypercurve watch results/demo --once"


def add_arguments(parser: Parser) -> None:
    parser.add_argument("results", type=Path, help="a results folder, or one experiment's")
    parser.add_argument("--once", action="store_true", help="print the picture once, and end")
    parser.add_argument("--every", type=_seconds, default=2.0, help="seconds between two looks (default: 2)")


def run(given: Arguments) -> None:
    from ..watching.view import watch

    with suppress(KeyboardInterrupt):  # is how one ends it
        watch(given.results, given.once, given.every)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.05 <= seconds <= 86400:
        raise argparse.ArgumentTypeError(f"must be seconds between 0.05 and 86400, not {text!r}")
    return seconds
