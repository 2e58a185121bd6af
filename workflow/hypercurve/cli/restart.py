"""`hypercurve restart`: a run decided anew, from its known trainings."""

from pathlib import Path

from ..util.errors import UserError
from .arguments import Arguments, Parser

HELP = "put the journals of runs aside, so that they are decided anew from their known trainings"
EXAMPLE = "results/demo/runs/lcm/0"


def add_arguments(parser: Parser) -> None:
    text = "only where trials failed, and these are tried again; of batches too"
    parser.add_argument("--failed", action="store_true", help=text)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="a run's folder")


def run(given: Arguments) -> None:
    from ..runs.resuming import forget_failures, restart

    for folder in given.runs:
        journal = folder / "journal.jsonl"
        aside = forget_failures(journal) if given.failed else restart(journal)
        if given.failed:
            aside += [path for batch in sorted(folder.glob("batches/*.jsonl")) for path in forget_failures(batch)]
        if not aside:
            what = "a journal with a failed trial" if given.failed else "a journal of a run"
            raise UserError(f"{folder}: does not hold {what}")
        print(f"{folder}: kept as {', '.join(path.name for path in aside)} in {aside[0].parent}; run it again")
