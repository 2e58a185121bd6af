"""`hypercurve batch`: some trials of a run, trained as a job of their own."""

from pathlib import Path

from ..util.errors import UserError
from .arguments import Arguments, Parser, add_data, add_output, add_run, count
from .search import check_data, end_on_sigterm

HELP = "train one batch of a trial table"
EXAMPLE = "setting.json --table table.jsonl --batch 0 --of 2 --data digits -o batches/0.jsonl"


def add_arguments(parser: Parser) -> None:
    add_run(parser)
    add_data(parser)
    parser.add_argument("--table", type=Path, required=True, help="the trial table")
    parser.add_argument("--batch", type=count, required=True, help="which batch, from 0")
    parser.add_argument("--of", type=count, required=True, help="number of batches")
    add_output(parser, "recorded events to write")


def run(given: Arguments) -> None:
    from ..config.code_files import model_digest
    from ..config.files import read_setting
    from ..events.journal import read_lines
    from ..events.lines import BatchHeader
    from ..execution.batches import batch_of, run_batch
    from ..runs.resuming import resumable
    from ..training import make_trainer
    from ..training.data import verify

    setting = read_setting(given.setting)
    if given.batch >= given.of:
        raise UserError(f"there is no batch {given.batch} of {given.of}: they count from 0")
    check_data(given, setting)
    table, _ = read_lines(given.table)
    if given.data is not None:
        verify(given.data)
    end_on_sigterm()
    model = model_digest(setting.model)
    with resumable(given.output, BatchHeader(setting.digest, given.repeat, given.batch, model)) as journal:
        trainer = make_trainer(setting, given.data, given.output.with_name("programs"))
        run_batch(setting, given.repeat, batch_of(table, given.batch, given.of), trainer, journal, given.batch, model)
