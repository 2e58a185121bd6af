"""`hypercurve verify`: what an archive holds, checked."""

from pathlib import Path

from .arguments import Arguments, Parser

HELP = "check an archive: digests, journals, tables; safe for archives from strangers"
EXAMPLE = "results/demo.tar.gz --rerun lcm/0"


def add_arguments(parser: Parser) -> None:
    parser.add_argument("archive", type=Path, help="the archive")
    parser.add_argument(
        "--rerun",
        metavar="METHOD/REPEAT",
        help="train this run again and compare it event for event",
    )
    parser.add_argument(
        "--trust", action="store_true", help="run code that the archive names: own rules, and what is rerun"
    )
    parser.add_argument("--data", type=Path, help="folder of prepared data for --rerun (default: prepared anew)")


def run(given: Arguments) -> None:
    from ..archive.verifying import command

    command(given.archive, given.rerun, given.data, given.trust)
