"""`hypercurve members`: a population as tables."""

from ..util.errors import UserError
from .arguments import Arguments, Parser, add_journal, add_output, add_setting

HELP = "write a population's tables: members, and beside it schedule.csv and lineage.csv"
EXAMPLE = "results/demo/runs/pbt/setting.json results/demo/runs/pbt/0/journal.jsonl -o members.csv"


def add_arguments(parser: Parser) -> None:
    add_setting(parser)
    add_journal(parser)
    add_output(parser, "CSV file to write")


def run(given: Arguments) -> None:
    from ..analysis import lineage, tables
    from ..config.files import read_setting
    from ..results.runs import read_run

    setting = read_setting(given.setting)
    if setting.population is None:
        raise UserError(f"{given.setting}: {setting.method} is no population; `hypercurve trials` writes its trials")
    found = read_run(given.journal)
    tables.write(lineage.members(found, setting), given.output)
    tables.write(lineage.schedule(found, setting), given.output.with_name("schedule.csv"))
    tables.write(lineage.lineage(found, setting), given.output.with_name("lineage.csv"))
