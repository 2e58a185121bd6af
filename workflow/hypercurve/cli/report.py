"""`hypercurve report`: an experiment's page."""

from .arguments import Arguments, Parser, add_output, add_results

HELP = "write an experiment's report"
EXAMPLE = "results/demo -o report.html"


def add_arguments(parser: Parser) -> None:
    add_results(parser)
    add_output(parser, "HTML file to write")


def run(given: Arguments) -> None:
    from ..analysis import report
    from ..api.results import load

    found = load(given.results, whole=True)
    report.write(found.experiment, given.results.name, found.runs, given.results, given.output)
