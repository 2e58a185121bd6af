"""`hypercurve curves`: recorded learning curves, checked and stored as one table."""

from pathlib import Path

from .arguments import Arguments, Parser, add_output

HELP = "check recorded learning curves and store them as one table"
EXAMPLE = "results/demo/runs/random -o curves"


def add_arguments(parser: Parser) -> None:
    parser.add_argument("curves", type=Path, help="a .csv or .csv.gz file, a journal.jsonl, or a folder of runs")
    parser.add_argument("--metric", help="of a CSV file, the learning curve (default: the first that begins with val)")
    add_output(parser, "folder to write", folder=True)


def run(given: Arguments) -> None:
    from ..curves.prepared import write_curves
    from ..records.curve_files import read_curves

    curves = read_curves(given.curves, given.metric)
    write_curves(curves, given.output)
    print(
        f"{curves.name}: {len(curves.playable())} of {len(curves)} trainings can be played, {len(curves.points)} points"
    )
