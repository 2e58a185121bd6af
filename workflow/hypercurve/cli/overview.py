"""`hypercurve overview`: one page over several experiments."""

from pathlib import Path

from .arguments import Arguments, Parser, add_output

HELP = "write one page over several experiments, with links to their reports"
EXAMPLE = "results/demo results/mnist-trials -o results/report.html"


def add_arguments(parser: Parser) -> None:
    parser.add_argument("results", type=Path, nargs="+", metavar="RESULTS", help="the results folder of an experiment")
    add_output(parser, "HTML file to write")


def run(given: Arguments) -> None:
    from ..analysis import overview

    overview.write(given.results, given.output)
