"""`hypercurve figure`: a figure of an experiment."""

from ..util.errors import UserError
from .arguments import Arguments, Parser, add_output, add_results

HELP = "draw a figure of an experiment"
EXAMPLE = "results/demo best -o best.svg"


def add_arguments(parser: Parser) -> None:
    from ..config.figures import FIGURES

    add_results(parser)
    parser.add_argument("figure", choices=FIGURES, metavar="FIGURE", help=", ".join(FIGURES))
    add_output(parser, "SVG file to write; a PNG file of the same name appears beside it")


def run(given: Arguments) -> None:
    from ..analysis.figures import save
    from ..api.results import figure

    if given.output.suffix != ".svg":
        raise UserError(f"{given.output}: the file to write must end with .svg")
    save(figure(given.results, given.figure, whole=True), given.output, given.output.with_suffix(".png"))
