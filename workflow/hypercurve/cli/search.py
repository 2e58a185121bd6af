"""`hypercurve search`: a run, in this process or as an MPI job."""

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ..util.errors import UserError
from .arguments import Arguments, Parser, add_data, add_known, add_output, add_run, count

HELP = "carry out a run; goes on where a killed one stopped"
EXAMPLE = "setting.json --data digits -o journal.jsonl"


def add_arguments(parser: Parser) -> None:
    add_run(parser)
    add_data(parser)
    add_known(parser)
    parser.add_argument("--record", type=Path, metavar="FILE", help="the prepared record, for a method that has one")
    parser.add_argument("--tasks", type=count, help="number of MPI processes that the launcher was told to start")
    add_output(parser, "journal to write")


def run(given: Arguments) -> None:
    from ..config.files import read_setting
    from ..execution.interrupted import ended_by_sigterm
    from ..execution.serial import execute
    from ..runs.resuming import resumable
    from ..runs.telling import telling
    from ..watching.progress import Progress

    setting = read_setting(given.setting)
    if given.tasks is not None or setting.population is not None:
        _search_together(given, setting)
        return
    state = make_run(given, setting)
    trainer = trainer_of(given, state, given.output.parent)
    with (
        telling(state.failures, given.output),
        resumable(given.output, state.header) as journal,
        Progress() as watch,
        ended_by_sigterm(trainer),
    ):
        known = known_of(given, state, given.output)
        execute(state, trainer, journal, known=known, watch=watch)
        trainer.clear()
        tell(known)


def _search_together(given: Arguments, setting: Any) -> None:
    """Carry out a run with all ranks of an MPI job; rank 0 keeps the journal."""
    from ..config.model import LoopSpec
    from ..execution.mpi import population
    from ..execution.mpi import search as supervised
    from ..execution.mpi.comm import GRACE, Interrupted, check_interrupted, communicator, guarded, load
    from ..execution.mpi.groups import Leader, follow, split
    from ..runs.resuming import resumable
    from ..runs.telling import telling
    from ..training.gpus import check
    from ..watching.progress import Progress

    comm = communicator(given.tasks or 1)
    with guarded(comm, GRACE if setting.population is None else None), ExitStack() as stack:
        if given.gpus is not None:
            check(gpus_of(given, setting), comm.Split_type(load().COMM_TYPE_SHARED).size)
        leader = trains = None
        if setting.ranks > 1 and isinstance(setting.model, LoopSpec):
            trains = comm.size % setting.ranks == 0
            comm, group = split(comm, setting.ranks)
            if comm is None:
                follow(group, lambda: loop_of(given, setting))
                return
            leader = Leader(group)
        state = make_run(given, setting)
        trainer = trainer_of(given, state, given.output.parent, leader and leader.lead)
        journal = watch = known = None
        if comm.rank == 0:
            stack.enter_context(telling(state.failures, given.output))
            journal = stack.enter_context(resumable(given.output, state.header))
            watch = stack.enter_context(Progress())
        if setting.population is None:
            trainer.bounds.ask = check_interrupted
            if comm.rank == 0:
                known = known_of(given, state, given.output)
            try:
                supervised.execute(state, trainer, journal, comm, known=known, watch=watch, trains=trains)
            except Interrupted:
                trainer.save_now()  # of a rank that waits, too
                raise
            if comm.rank == 0:  # who goes by the network that was kept, when all others have left
                trainer.clear()
            tell(known)
        else:
            folder, minutes = given.output.with_name("snapshots"), trainer.bounds.minutes
            members = trainer.trainer  # which are saved together, at evolution steps
            population.execute(state, members, journal, comm, folder=folder, minutes=minutes, watch=watch)
        if leader is not None:
            leader.leave()


def make_run(given: Arguments, setting: Any) -> Any:
    """A run's state."""
    from ..config.code_files import model_digest, results_of, rules_digest
    from ..config.data import NO_DATA
    from ..config.hyperparameters import RECORDED
    from ..curves.prepared import load_curves
    from ..curves.record import load_record
    from ..runs.run import Run
    from ..runs.same_code import keep_code
    from ..training.data import load, verify

    check_data(given, setting)
    results = results_of(given.setting)
    if getattr(given, "keep_code", False):
        keep_code(results, model_digest(setting.model), {setting.method: rules_digest(setting)})
    rules = rules_digest(setting, results)
    if setting.model == RECORDED:
        table = load_curves(given.data)
        drawn = table.drawn(setting.trials, setting.seed, given.repeat, setting.data.shuffle)
        return Run(setting, given.repeat, samples=table.samples, data=table.digest, curves=drawn, rules=rules)
    samples, digest = 0, NO_DATA
    if given.data is not None:
        dataset = load(given.data)
        verify(given.data)
        samples, digest = dataset.samples, dataset.digest
    model = model_digest(setting.model, results)
    if bool(setting.record) != (getattr(given, "record", None) is not None):
        raise UserError(
            f"{given.setting}: `--record` goes with a method's `record`; `hypercurve record` makes the file"
        )
    record = load_record(given.record) if setting.record else None
    return Run(
        setting,
        given.repeat,
        samples=samples,
        data=digest,
        record=record,
        model=model,
        rules=rules,
        fail_fast=not getattr(given, "no_fail_fast", True),
    )


def gpus_of(given: Arguments, setting: Any) -> float:
    """GPUs of this process; of a program on several ranks, those of all."""
    from ..config.model import CommandSpec

    return float(given.gpus * (setting.ranks if isinstance(setting.model, CommandSpec) else 1))


def loop_of(given: Arguments, setting: Any) -> tuple[Any, Any]:
    """A user's loop and its data, for a rank that follows another."""
    from ..training.gpus import reserve
    from ..training.loop import LoopTrainer

    if given.gpus is not None:
        reserve(given.gpus)
    trainer = LoopTrainer(setting.model, given.data, threads=setting.training.threads)
    return trainer.target, trainer.data


def trainer_of(given: Arguments, run: Any, folder: Path, lead: Any = None) -> Any:
    """A run's trainer, made when something must be trained: where all is known, TensorFlow is not imported.

    Args:
        given: the command's arguments.
        run: the run.
        folder: the run's.
        lead: see :class:`hypercurve.training.loop.LoopTrainer`.
    """
    from ..training import make_trainer
    from ..training.gpus import reserve
    from ..training.saving import SavingTrainer, identity_of
    from ..training.trainer import LazyTrainer, Trainer

    def make() -> Trainer:
        if given.gpus is not None:
            reserve(gpus_of(given, run.setting))
        return make_trainer(run.setting, given.data, folder / "programs", lead)

    runs = folder.absolute().parent.parent
    return SavingTrainer(
        LazyTrainer(make),
        given.output.with_name(f"{given.output.stem}.states"),
        minutes=given.snapshot_minutes if given.snapshot_minutes >= 0 else None,
        memory=round(given.memory * 2**30),
        identity=identity_of(run.header.training),
        runs=runs if runs.name == "runs" and not given.no_reuse else None,
    )


def known_of(given: Arguments, run: Any, output: Path) -> Any:
    """The trainings that need not be done again; None for replays, which train nothing."""
    from ..config.hyperparameters import RECORDED
    from ..runs.known import KnownTrainings

    if run.setting.model == RECORDED:
        return None
    further = [] if given.no_reuse else given.reuse
    return KnownTrainings(output, run.header, further=further, others=not given.no_reuse)


def tell(known: Any) -> None:
    """Say in the log how much was known."""
    for source, trials in ({} if known is None else known.used).items():
        many = f"{len(trials)} trial{'s' * (len(trials) != 1)}"
        print(f"{many} taken from {source}, where they were trained before", file=sys.stderr)


def check_data(given: Arguments, setting: Any) -> None:
    """Data must be given where an experiment has some, and only there."""
    if setting.data is not None and given.data is None:
        raise UserError(
            f"{given.setting}: needs `--data`, the folder of its prepared data: see `hypercurve data --help`"
        )
    if setting.data is None and given.data is not None:
        raise UserError(f"{given.setting}: takes no `--data`: the experiment has none")
