"""`hypercurve compare`: an experiment's tables."""

from functools import partial

from .arguments import Arguments, Parser, add_output, add_results

HELP = "write an experiment's comparison of methods"
EXAMPLE = "results/demo -o comparison.csv"


def add_arguments(parser: Parser) -> None:
    add_results(parser)
    parser.add_argument(
        "--table",
        choices=("comparison", "budgets", "traits", "schedule"),
        default="comparison",
        help="methods compared; best results at the smaller budgets; what the methods are like; what is owed to schedules, "
        "and what to the selection of weights (default: comparison)",
    )
    add_output(parser, "CSV file to write")


def run(given: Arguments) -> None:
    from ..analysis import schedules_gain, tables
    from ..analysis.traits import traits
    from ..api.results import load

    found = load(given.results, whole=True)
    kinds = {"comparison": tables.comparison, "budgets": tables.at_budgets, "traits": traits}
    kinds["schedule"] = partial(schedules_gain.of_experiment, folder=given.results)
    tables.write(kinds[given.table](found.experiment, found.runs), given.output)
