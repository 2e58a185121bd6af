"""`hypercurve restart`: a run decided anew, from its known trainings."""

from pathlib import Path

from ..util.errors import UserError
from .arguments import Arguments, Parser

HELP = "put the journals of runs aside, so that they are decided anew from their known trainings"
EXAMPLE = "results/demo/runs/lcm/0"


def add_arguments(parser: Parser) -> None:
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="a run's folder")


def run(given: Arguments) -> None:
    from ..runs.resuming import restart

    for folder in given.runs:
        aside = restart(folder / "journal.jsonl")
        if not aside:
            raise UserError(f"{folder}: is no folder of a run: it holds no journal")
        print(f"{folder}: kept as {', '.join(path.name for path in aside)} in {aside[0].parent}; run it again")
