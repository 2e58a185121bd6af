"""`hypercurve record`: what earlier experiments teach, prepared for a method."""

from ..util.errors import UserError
from .arguments import Arguments, Parser, add_output, add_setting

HELP = "prepare the record that a method's runs start from"
EXAMPLE = "results/mine/runs/informed/setting.json -o record.json"


def add_arguments(parser: Parser) -> None:
    add_setting(parser)
    add_output(parser, "JSON file to write")


def run(given: Arguments) -> None:
    from ..config.files import read_setting
    from ..curves.record import save_record
    from ..records.prepare import prepare_record

    record = prepare_record(read_setting(given.setting))
    if record is None:
        raise UserError(f"{given.setting}: the method has no `record`")
    save_record(record, given.output)
    for task in record.tasks:
        print(f"{task.name}: {len(task.losses)} trainings, {(task.order >= 0).sum()} of them to the end")
    if record.calibration is not None:
        print(record.calibration)
