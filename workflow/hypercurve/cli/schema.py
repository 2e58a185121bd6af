"""`hypercurve schema`: what an editor needs to complete and check experiment files."""

import json

from ..util.files import write_text
from .arguments import Arguments, Parser, add_output

HELP = "print the JSON schema of experiment files"
EXAMPLE = "-o config/experiment.schema.json"


def add_arguments(parser: Parser) -> None:
    add_output(parser, "file to write instead of printing", required=False)


def run(given: Arguments) -> None:
    from ..config.experiment import Experiment

    text = json.dumps(Experiment.model_json_schema(), indent=2, ensure_ascii=False) + "\n"
    if given.output is None:
        print(text, end="")
    else:
        write_text(given.output, text)
