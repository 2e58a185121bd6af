"""`hypercurve resolve`: an experiment file with everything filled in."""

from pathlib import Path

from ..util.errors import UserError
from ..util.files import write_text
from .arguments import Arguments, Parser, add_output

HELP = "write an experiment, or one method's setting, with all defaults filled in"
EXAMPLE = "config/experiments/demo.yaml --method random -o setting.json"


def add_arguments(parser: Parser) -> None:
    parser.add_argument("experiment", type=Path, help="an experiment file")
    parser.add_argument("--method", help="the method; without it, the whole experiment is resolved")
    add_output(parser, "JSON file to write")


def run(given: Arguments) -> None:
    from ..config.files import read_experiment

    experiment = read_experiment(given.experiment)
    if given.method is None:
        resolved = experiment.model_dump_json(indent=2)
    elif given.method in experiment.methods:
        resolved = experiment.setting(given.experiment.stem, given.method).model_dump_json(indent=2)
    else:
        raise UserError(f"{given.experiment}: no method {given.method!r}; it has {', '.join(experiment.methods)}")
    write_text(given.output, resolved + "\n")
