"""`hypercurve batch`: some trials of a run, trained as a job of their own."""

from pathlib import Path

from ..util.errors import UserError
from .arguments import Arguments, Parser, add_data, add_known, add_output, add_run, count
from .search import known_of, make_run, tell, trainer_of

HELP = "train one batch of a trial table"
EXAMPLE = "setting.json --table table.jsonl --batch 0 --of 2 --data digits -o batches/0.jsonl"


def add_arguments(parser: Parser) -> None:
    add_run(parser)
    add_data(parser)
    add_known(parser)
    parser.add_argument("--table", type=Path, required=True, help="the trial table")
    parser.add_argument("--batch", type=count, required=True, help="which batch, from 0")
    parser.add_argument("--of", type=count, required=True, help="number of batches")
    add_output(parser, "recorded events to write")


def run(given: Arguments) -> None:
    from ..config.files import read_setting
    from ..events.journal import read_lines
    from ..execution.batches import batch_of, run_batch
    from ..execution.interrupted import ended_by_sigterm
    from ..runs.resuming import resumable
    from ..runs.telling import telling

    if given.batch >= given.of:
        raise UserError(f"there is no batch {given.batch} of {given.of}: they count from 0")
    table, _ = read_lines(given.table)
    state = make_run(given, read_setting(given.setting))
    trainer = trainer_of(given, state, given.output.parents[1])
    header = state.batch_header(given.batch)
    with (
        telling(state.failures, given.output),
        resumable(given.output, header) as journal,
        ended_by_sigterm(trainer),
    ):
        known = known_of(given, state, given.output.parents[1] / "journal.jsonl")
        run_batch(state, batch_of(table, given.batch, given.of), trainer, journal, given.batch, known)
        trainer.clear()
        tell(known)
