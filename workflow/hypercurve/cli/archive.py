"""`hypercurve archive`: results in one file."""

from pathlib import Path

from .arguments import Arguments, Parser, add_output, add_results

HELP = "pack an experiment's results into one file that anyone can check and run again"
EXAMPLE = "results/demo -o results/demo.tar.gz"


def add_arguments(parser: Parser) -> None:
    add_results(parser)
    parser.add_argument("--data", type=Path, help="folder of the prepared data (default: where the workflow puts it)")
    parser.add_argument("--models", action="store_true", help="pack the trained networks of the runs as well")
    add_output(parser, ".tar.gz file to write")


def run(given: Arguments) -> None:
    from ..archive.making import make

    print(f"payload digest  {make(given.results, given.output, given.data, models=given.models)}")
