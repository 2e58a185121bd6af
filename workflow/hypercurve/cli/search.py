"""`hypercurve search`: a run, in this process or as an MPI job."""

import os
import signal
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ..util.errors import UserError
from .arguments import Arguments, Parser, add_data, add_output, add_run, count

HELP = "carry out a run; goes on where a killed one stopped"
EXAMPLE = "setting.json --data digits -o journal.jsonl"


def add_arguments(parser: Parser) -> None:
    add_run(parser)
    add_data(parser)
    parser.add_argument("--batches", type=Path, metavar="DIR", help="gather the recorded batches there; train nothing")
    parser.add_argument("--of", type=count, default=0, help="number of batches to gather")
    parser.add_argument("--record", type=Path, metavar="FILE", help="the prepared record, for a method that has one")
    parser.add_argument("--tasks", type=count, help="number of MPI processes that the launcher was told to start")
    add_output(parser, "journal to write")


def run(given: Arguments) -> None:
    from ..config.files import read_setting
    from ..execution.batches import read_batches
    from ..execution.serial import execute
    from ..runs.resuming import resumable
    from ..training import make_trainer
    from ..training.recorded_curves import RecordedTrainer
    from ..watching.progress import Progress

    setting = read_setting(given.setting)
    if given.tasks is not None or setting.population is not None:
        _search_together(given, setting)
        return
    end_on_sigterm()
    state = _run(given, setting)
    with resumable(given.output, state.header) as journal, Progress() as watch:
        trainer = make_trainer(setting, given.data, given.output.with_name("programs"))
        if given.batches is not None:
            batches = [given.batches / f"{index}.jsonl" for index in range(given.of)]
            trainer = RecordedTrainer(read_batches(setting, given.repeat, batches), live=trainer)
        execute(state, trainer, journal, watch=watch)


def _search_together(given: Arguments, setting: Any) -> None:
    """Carry out a run with all ranks of an MPI job; rank 0 keeps the journal."""
    from ..execution.mpi import population
    from ..execution.mpi import search as supervised
    from ..execution.mpi.comm import GRACE, communicator, guarded
    from ..runs.resuming import resumable
    from ..training import make_trainer
    from ..watching.progress import Progress

    comm = communicator(given.tasks or 1)
    with guarded(comm, GRACE if setting.population is None else None), ExitStack() as stack:
        state = _run(given, setting)
        trainer = make_trainer(setting, given.data, given.output.with_name("programs"))
        journal = watch = None
        if comm.rank == 0:
            journal = stack.enter_context(resumable(given.output, state.header))
            watch = stack.enter_context(Progress())
        if setting.population is None:
            supervised.execute(state, trainer, journal, comm, watch=watch)
        else:
            population.execute(state, trainer, journal, comm, folder=given.output.with_name("snapshots"), watch=watch)


def _run(given: Arguments, setting: Any) -> Any:
    """A run's state."""
    from ..config.code_files import model_digest
    from ..config.data import NO_DATA
    from ..config.hyperparameters import RECORDED
    from ..curves.prepared import load_curves
    from ..curves.record import load_record
    from ..runs.run import Run
    from ..training.data import load, verify

    check_data(given, setting)
    if setting.model == RECORDED:
        table = load_curves(given.data)
        drawn = table.drawn(setting.trials, setting.seed, given.repeat, setting.data.shuffle)
        return Run(setting, given.repeat, samples=table.samples, data=table.digest, curves=drawn)
    samples, digest = 0, NO_DATA
    if given.data is not None:
        dataset = load(given.data)
        verify(given.data)
        samples, digest = dataset.samples, dataset.digest
    model = model_digest(setting.model)
    if bool(setting.record) != (given.record is not None):
        raise UserError(
            f"{given.setting}: `--record` goes with a method's `record`; `hypercurve record` makes the file"
        )
    record = None if given.record is None else load_record(given.record)
    return Run(setting, given.repeat, samples=samples, data=digest, record=record, model=model)


def end_on_sigterm() -> None:
    """From here on, end with code 75 on SIGTERM, as Slurm sends it before the time limit; with nothing to save."""
    from ..execution.mpi.comm import EXIT_INTERRUPTED

    def end(*_: object) -> None:
        os.write(2, b"ended by SIGTERM; run the same command again to go on\n")
        os._exit(EXIT_INTERRUPTED)  # an exception may be raised where libraries swallow it

    signal.signal(signal.SIGTERM, end)


def check_data(given: Arguments, setting: Any) -> None:
    """Data must be given where an experiment has some, and only there."""
    if setting.data is not None and given.data is None:
        raise UserError(
            f"{given.setting}: needs `--data`, the folder of its prepared data: see `hypercurve data --help`"
        )
    if setting.data is None and given.data is not None:
        raise UserError(f"{given.setting}: takes no `--data`: the experiment has none")
