"""`hypercurve table`: the trials that batches train."""

import json

from ..util.files import write_text
from .arguments import Arguments, Parser, add_output, add_run

HELP = "list the trials of a run whose number of trials is known"
EXAMPLE = "setting.json -o table.jsonl"


def add_arguments(parser: Parser) -> None:
    add_run(parser)
    add_output(parser, "table to write, one JSON object per line")


def run(given: Arguments) -> None:
    from ..config.files import read_setting
    from ..execution.batches import trial_table

    rows = trial_table(read_setting(given.setting), given.repeat)
    write_text(given.output, "".join(json.dumps(row) + "\n" for row in rows))
