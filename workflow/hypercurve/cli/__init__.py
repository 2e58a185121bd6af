"""The command line: one subcommand per Snakemake rule, each usable without Snakemake.

Subcommands import what they need when they run: `check` answers in a fraction of a second, only training pays for
TensorFlow.
"""

import argparse
import json
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from .. import __version__
from ..util.errors import UserError
from ..util.files import write_text
from . import cut as cli_cut
from . import replay as cli_replay
from . import results as cli_results
from . import schedule as cli_schedule
from .arguments import Arguments, count, number

# As in config.Figure, which a test compares: importing it would cost every command a third of a second.
FIGURES = (
    "best",
    "curves",
    "parallel",
    "importance",
    "budgets",
    "grid",
    "schedules",
    "population",
    "fitness",
    "timeline",
    "traits",
    "pareto",
    "heatmaps",
    "retrained",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand.

    Returns:
        0, or 2 for anything the user can mend, 130 after Ctrl-C, 75 where SIGTERM ended a search or a batch.
    """
    parsed = _parser().parse_args(arguments)
    try:
        parsed.command(parsed)
    except UserError as error:
        print(f"hypercurve {parsed.name}: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if isinstance(error, BrokenPipeError):  # the reader of our output has gone, as with `| head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        print(f"hypercurve {parsed.name}: {error.filename or ''}: {error.strerror or error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; run the same command again to go on", file=sys.stderr)
        return 130
    return 0


def _check(given: Arguments) -> None:
    from ..config.code_files import code_files
    from ..config.files import ConfigError, read_experiment
    from ..util.user_code import module_file

    problems: list[str] = []
    for path in given.files:
        try:
            experiment = read_experiment(path)
            code_files(experiment.model)
            if experiment.data is not None and experiment.data.function is not None:
                module_file(experiment.data.function.partition(":")[0], "data.function")
        except ConfigError as error:
            problems.append(str(error))
        except UserError as error:
            problems.append(f"{path}: {error}")
        else:
            runs = len(experiment.methods) * experiment.repeats
            on = f" on {experiment.data.label}" if experiment.data else ""
            print(f"{path}: ok, methods {', '.join(experiment.methods)}: {runs} runs{on}")
    if problems:
        raise UserError("these files have problems\n" + "\n".join(problems))


def _schema(given: Arguments) -> None:
    from ..config.experiment import Experiment

    text = json.dumps(Experiment.model_json_schema(), indent=2, ensure_ascii=False) + "\n"
    if given.output is None:
        print(text, end="")
    else:
        write_text(given.output, text)


def _resolve(given: Arguments) -> None:
    from ..config.files import read_experiment

    experiment = read_experiment(given.experiment)
    if given.method is None:
        resolved = experiment.model_dump_json(indent=2)
    elif given.method in experiment.methods:
        resolved = experiment.setting(given.experiment.stem, given.method).model_dump_json(indent=2)
    else:
        raise UserError(f"{given.experiment}: no method {given.method!r}; it has {', '.join(experiment.methods)}")
    write_text(given.output, resolved + "\n")


def _data(given: Arguments) -> None:
    from pydantic import ValidationError

    from ..config.data import DataSpec
    from ..config.model import REFERENCE
    from ..training.data import prepare
    from ..util.schema import problems_in

    source = "path" if "." in given.source or "/" in given.source else "name"
    if re.match(REFERENCE, given.source):
        source = "function"
    try:
        spec = DataSpec.model_validate({source: given.source, "validation": given.validation, "seed": given.seed})
    except ValidationError as error:
        raise UserError("; ".join(f"{'.'.join(map(str, p.path))}: {p.message}" for p in problems_in(error))) from None
    prepare(spec, given.output)


def _table(given: Arguments) -> None:
    from ..config.files import read_setting
    from ..execution.batches import trial_table

    rows = trial_table(read_setting(given.setting), given.repeat)
    write_text(given.output, "".join(json.dumps(row) + "\n" for row in rows))


def _batch(given: Arguments) -> None:
    from ..config.code_files import model_digest
    from ..config.files import read_setting
    from ..events.journal import read_lines
    from ..execution.batches import batch_of, run_batch
    from ..runs.resuming import resumable
    from ..training import make_trainer
    from ..training.data import verify

    setting = read_setting(given.setting)
    if given.batch >= given.of:
        raise UserError(f"there is no batch {given.batch} of {given.of}: they count from 0")
    _check_data(given, setting)
    table, _ = read_lines(given.table)
    if given.data is not None:
        verify(given.data)
    _end_on_sigterm()
    first = {"event": "batch", "setting": setting.digest, "repeat": given.repeat, "batch": given.batch}
    if (model := model_digest(setting.model)) is not None:
        first["model"] = model
    with resumable(given.output, first) as journal:
        trainer = make_trainer(setting, given.data, given.output.with_name("programs"))
        run_batch(setting, given.repeat, batch_of(table, given.batch, given.of), trainer, journal, given.batch, model)


def _search(given: Arguments) -> None:
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
    _end_on_sigterm()
    run, first = _run(given, setting)
    with resumable(given.output, first) as journal, Progress() as watch:
        trainer = make_trainer(setting, given.data, given.output.with_name("programs"))
        if given.batches is not None:
            batches = [given.batches / f"{index}.jsonl" for index in range(given.of)]
            trainer = RecordedTrainer(read_batches(setting, given.repeat, batches), live=trainer)
        execute(run, trainer, journal, watch=watch)


def _end_on_sigterm() -> None:
    """From here on, end with code 75 on SIGTERM, as Slurm sends it before the time limit; with nothing to save."""
    from ..execution.mpi.comm import EXIT_INTERRUPTED

    def end(*_: object) -> None:
        os.write(2, b"ended by SIGTERM; run the same command again to go on\n")
        os._exit(EXIT_INTERRUPTED)  # an exception may be raised where libraries swallow it

    signal.signal(signal.SIGTERM, end)


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
        run, first = _run(given, setting)
        trainer = make_trainer(setting, given.data, given.output.with_name("programs"))
        journal = watch = None
        if comm.rank == 0:
            journal = stack.enter_context(resumable(given.output, first))
            watch = stack.enter_context(Progress())
        if setting.population is None:
            supervised.execute(run, trainer, journal, comm, watch=watch)
        else:
            population.execute(run, trainer, journal, comm, folder=given.output.with_name("snapshots"), watch=watch)


def _run(given: Arguments, setting: Any) -> tuple[Any, dict[str, Any]]:
    """A run's state, and what the first line of a journal must say for the run to go on from it."""
    from ..config.code_files import model_digest, rules_digest
    from ..config.data import NO_DATA
    from ..config.hyperparameters import RECORDED
    from ..curves.prepared import load_curves
    from ..curves.record import load_record
    from ..runs.run import Run
    from ..training.data import load, verify

    _check_data(given, setting)
    if setting.model == RECORDED:
        table = load_curves(given.data)
        drawn = table.drawn(setting.trials, setting.seed, given.repeat, setting.data.shuffle)
        rules = rules_digest(setting)
        run = Run(setting, given.repeat, samples=table.samples, data=table.digest, curves=drawn, rules=rules)
        first = {"event": "run", "setting": setting.digest, "repeat": given.repeat, "data": table.digest}
        return run, first | ({} if rules is None else {"rules": rules})
    samples, digest = 0, NO_DATA
    if given.data is not None:
        dataset = load(given.data)
        verify(given.data)
        samples, digest = dataset.samples, dataset.digest
    model, rules = model_digest(setting.model), rules_digest(setting)
    if bool(setting.record) != (given.record is not None):
        raise UserError(
            f"{given.setting}: `--record` goes with a method's `record`; `hypercurve record` makes the file"
        )
    record = None if given.record is None else load_record(given.record)
    run = Run(setting, given.repeat, samples=samples, data=digest, record=record, model=model, rules=rules)
    first = {"event": "run", "setting": setting.digest, "repeat": given.repeat, "data": digest}
    named = {"model": model, "rules": rules, "record": None if record is None else record.digest}
    return run, first | {key: value for key, value in named.items() if value is not None}


def _check_data(given: Arguments, setting: Any) -> None:
    if setting.data is not None and given.data is None:
        raise UserError(
            f"{given.setting}: needs `--data`, the folder of its prepared data: see `hypercurve data --help`"
        )
    if setting.data is None and given.data is not None:
        raise UserError(f"{given.setting}: takes no `--data`: the experiment has none")


def _record(given: Arguments) -> None:
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


def _preflight(given: Arguments) -> None:
    from ..execution.mpi.preflight import preflight

    found = preflight(given.launcher, given.tasks)
    write_text(given.output, json.dumps(found, indent=2) + "\n")


def _trials(given: Arguments) -> None:
    from ..config.files import read_setting
    from ..results.runs import read_run, write_trials

    write_trials(read_run(given.journal), read_setting(given.setting), given.output)


def _members(given: Arguments) -> None:
    from ..analysis import lineage, tables
    from ..config.files import read_setting
    from ..results.runs import read_run

    run, setting = read_run(given.journal), read_setting(given.setting)
    tables.write(lineage.members(run, setting), given.output)
    tables.write(lineage.schedule(run, setting), given.output.with_name("schedule.csv"))
    tables.write(lineage.lineage(run, setting), given.output.with_name("lineage.csv"))


def _compare(given: Arguments) -> None:
    from ..analysis import schedules_gain, tables
    from ..analysis.traits import traits

    experiment, runs = _runs(given)
    kinds = {"comparison": tables.comparison, "budgets": tables.at_budgets, "traits": traits}
    kinds["schedule"] = partial(schedules_gain.of_experiment, folder=given.results)
    tables.write(kinds[given.table](experiment, runs), given.output)


def _figure(given: Arguments) -> None:
    from ..analysis import figures, replays

    if given.figure in figures.TABLE_FIGURES:
        table = replays.read(given.results / figures.TABLES[given.figure])
        figure = figures.TABLE_FIGURES[given.figure](table)
        figures.save(figure, given.output, given.output.with_suffix(".png"))
        return
    experiment, runs = _runs(given)
    if given.figure in figures.FOLDER_FIGURES:
        figure = figures.FOLDER_FIGURES[given.figure](experiment, runs, given.results)
    else:
        figure = figures.FIGURES[given.figure](experiment, runs)
    figures.save(figure, given.output, given.output.with_suffix(".png"))


def _report(given: Arguments) -> None:
    from ..analysis import report

    experiment, runs = _runs(given)
    folder: Path = given.results
    report.write(experiment, folder.name, runs, folder, given.output)


def _runs(given: Arguments) -> tuple[Any, Any]:
    """The experiment in a results folder, and all its runs by method."""
    from ..api.results import load

    found = load(given.results, whole=True)
    return found.experiment, found.runs


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hypercurve",
        description="Hyperparameter optimisation of neural networks on clusters.",
        epilog="The workflow calls these commands: `snakemake results/demo/report.html` runs them, in order.\n\n"
        "examples:\n"
        "  hypercurve check config/experiments/*.yaml    # all mistakes at once\n"
        "  hypercurve watch results --once               # where runs stand\n"
        "  hypercurve figure --help                      # one command, with an example",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"hypercurve {__version__}")
    commands = parser.add_subparsers(dest="name", required=True, metavar="COMMAND")

    def add(name: str, command: Callable[[Arguments], None], text: str, example: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(
            name,
            help=text,
            description=text[0].upper() + text[1:] + ".",
            epilog=f"example:\n  hypercurve {name} {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        sub.set_defaults(command=command)
        return sub

    def output(sub: argparse.ArgumentParser, text: str, required: bool = True) -> None:
        sub.add_argument("-o", "--output", type=Path, required=required, help=text)

    def run(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("setting", type=Path, help="a method's setting, as `resolve` writes it")
        sub.add_argument("--repeat", type=count, default=0, help="which repeat, from 0 (default: 0)")

    def data(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("--data", type=Path, help="folder of the prepared data set, for experiments that have one")

    sub = add(
        "check", _check, "check experiment files; says all that is wrong, exits with 2", "config/experiments/*.yaml"
    )
    sub.add_argument("files", type=Path, nargs="+", metavar="FILE")

    sub = add("schema", _schema, "print the JSON schema of experiment files", "-o config/experiment.schema.json")
    output(sub, "file to write instead of printing", required=False)

    sub = add(
        "resolve",
        _resolve,
        "write an experiment, or one method's setting, with all defaults filled in",
        "config/experiments/demo.yaml --method random -o setting.json",
    )
    sub.add_argument("experiment", type=Path, help="an experiment file")
    sub.add_argument("--method", help="the method; without it, the whole experiment is resolved")
    output(sub, "JSON file to write")

    sub = add(
        "data",
        _data,
        "prepare a data set: check, split, store as arrays that processes share",
        "digits --validation 0.25 -o digits",
    )
    sub.add_argument("source", help="digits, mnist, fashion_mnist, cifar10, or an .npz file")
    sub.add_argument(
        "--validation", type=number, default=0.2, help="validation part: a count or a share (default: 0.2)"
    )
    sub.add_argument("--seed", type=int, default=0, help="seed of the split (default: 0)")
    output(sub, "folder to write")

    sub = add(
        "table", _table, "list the trials of a run whose number of trials is known", "setting.json -o table.jsonl"
    )
    run(sub)
    output(sub, "table to write, one JSON object per line")

    sub = add(
        "batch",
        _batch,
        "train one batch of a trial table",
        "setting.json --table table.jsonl --batch 0 --of 2 --data digits -o batches/0.jsonl",
    )
    run(sub)
    data(sub)
    sub.add_argument("--table", type=Path, required=True, help="the trial table")
    sub.add_argument("--batch", type=count, required=True, help="which batch, from 0")
    sub.add_argument("--of", type=count, required=True, help="number of batches")
    output(sub, "recorded events to write")

    sub = add(
        "search",
        _search,
        "carry out a run; goes on where a killed one stopped",
        "setting.json --data digits -o journal.jsonl",
    )
    run(sub)
    data(sub)
    sub.add_argument("--batches", type=Path, metavar="DIR", help="gather the recorded batches there; train nothing")
    sub.add_argument("--of", type=count, default=0, help="number of batches to gather")
    sub.add_argument("--record", type=Path, metavar="FILE", help="the prepared record, for a method that has one")
    sub.add_argument("--tasks", type=count, help="number of MPI processes that the launcher was told to start")
    output(sub, "journal to write")

    sub = add(
        "record",
        _record,
        "prepare the record that a method's runs start from",
        "results/mine/runs/informed/setting.json -o record.json",
    )
    sub.add_argument("setting", type=Path, help="the method's setting")
    output(sub, "JSON file to write")

    sub = add(
        "preflight",
        _preflight,
        "check that a launcher and the MPI library fit together, with a small MPI job",
        "--launcher mpiexec --tasks 2 -o preflight.json",
    )
    sub.add_argument("--launcher", default="mpiexec", help="command that starts MPI processes (default: mpiexec)")
    sub.add_argument("--tasks", type=count, required=True, help="number of MPI processes to start")
    output(sub, "JSON file to write: launcher, MPI library, processes on each node")

    sub = add("trials", _trials, "write a run's table of trials", "setting.json journal.jsonl -o trials.csv")
    sub.add_argument("setting", type=Path, help="the method's setting")
    sub.add_argument("journal", type=Path, help="the run's journal")
    output(sub, "CSV file to write")

    sub = add(
        "members",
        _members,
        "write a population's tables: members, and beside it schedule.csv and lineage.csv",
        "results/demo/runs/pbt/setting.json results/demo/runs/pbt/0/journal.jsonl -o members.csv",
    )
    sub.add_argument("setting", type=Path, help="the method's setting")
    sub.add_argument("journal", type=Path, help="the run's journal")
    output(sub, "CSV file to write")

    sub = add("compare", _compare, "write an experiment's comparison of methods", "results/demo -o comparison.csv")
    sub.add_argument("results", type=Path, help="the experiment's results folder")
    sub.add_argument(
        "--table",
        choices=("comparison", "budgets", "traits", "schedule"),
        default="comparison",
        help="methods compared; best results at the smaller budgets; what the methods are like; what is owed to schedules, "
        "and what to the selection of weights (default: comparison)",
    )
    output(sub, "CSV file to write")

    sub = add("figure", _figure, "draw a figure of an experiment", "results/demo best -o best.svg")
    sub.add_argument("results", type=Path, help="the experiment's results folder")
    sub.add_argument("figure", choices=FIGURES, metavar="FIGURE", help=", ".join(FIGURES))
    output(sub, "SVG file to write; a PNG file of the same name appears beside it")

    sub = add("report", _report, "write an experiment's report", "results/demo -o report.html")
    sub.add_argument("results", type=Path, help="the experiment's results folder")
    output(sub, "HTML file to write")

    cli_cut.add_commands(add)
    cli_replay.add_commands(add)
    cli_results.add_commands(add)
    cli_schedule.add_commands(add)
    return parser
