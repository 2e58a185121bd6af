"""`hypercurve trials`: a run as a table."""

from .arguments import Arguments, Parser, add_journal, add_output, add_setting

HELP = "write a run's table of trials"
EXAMPLE = "setting.json journal.jsonl -o trials.csv"


def add_arguments(parser: Parser) -> None:
    add_setting(parser)
    add_journal(parser)
    add_output(parser, "CSV file to write")


def run(given: Arguments) -> None:
    from ..config.files import read_setting
    from ..results.runs import read_run, write_trials

    write_trials(read_run(given.journal), read_setting(given.setting), given.output)
