"""The subcommands on results: overview, archive, verify, watch, export."""

import argparse
from contextlib import suppress
from pathlib import Path

from .arguments import Add, Arguments


def add_commands(add: Add) -> None:
    """Add the subcommands to the command line.

    Args:
        add: adds a subcommand: name, function, one line of help, example.
    """
    sub = add(
        "overview",
        _overview,
        "write one page over several experiments, with links to their reports",
        "results/demo results/mnist-trials -o results/report.html",
    )
    sub.add_argument("results", type=Path, nargs="+", metavar="RESULTS", help="the results folder of an experiment")
    sub.add_argument("-o", "--output", type=Path, required=True, help="HTML file to write")

    sub = add(
        "archive",
        _archive,
        "pack an experiment's results into one file that anyone can check and run again",
        "results/demo -o results/demo.tar.gz",
    )
    sub.add_argument("results", type=Path, help="the experiment's results folder")
    sub.add_argument("--data", type=Path, help="folder of the prepared data (default: where the workflow puts it)")
    sub.add_argument("-o", "--output", type=Path, required=True, help=".tar.gz file to write")

    sub = add(
        "verify",
        _verify,
        "check an archive: digests, journals, tables; safe for archives from strangers",
        "results/demo.tar.gz --rerun lcm/0",
    )
    sub.add_argument("archive", type=Path, help="the archive")
    sub.add_argument(
        "--rerun",
        metavar="METHOD/REPEAT",
        help="train this run again and compare it event for event",
    )
    sub.add_argument(
        "--trust", action="store_true", help="run code that the archive names: own rules, and what is rerun"
    )
    sub.add_argument("--data", type=Path, help="folder of prepared data for --rerun (default: prepared anew)")

    sub = add(
        "watch",
        _watch,
        "show where runs stand, from their journals alone: live in a terminal, line by line elsewhere",
        "results\n  hypercurve watch results/demo --once",
    )
    sub.add_argument("results", type=Path, help="a results folder, or one experiment's")
    sub.add_argument("--once", action="store_true", help="print the picture once, and end")
    sub.add_argument("--every", type=_seconds, default=2.0, help="seconds between two looks (default: 2)")

    sub = add(
        "export",
        _export,
        "write finished runs for TensorBoard (curves and the hparams table) or for Optuna (and optuna-dashboard)",
        "tensorboard results/demo -o events      # then: tensorboard --logdir events\n"
        "  hypercurve export optuna results/demo/runs/lcm/0 -o lcm.db    # then: optuna-dashboard sqlite:///lcm.db",
    )
    sub.add_argument("form", choices=("tensorboard", "optuna"), help="for which program")
    sub.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="folder of a run, or of several at any depth")
    sub.add_argument(
        *("-o", "--output"),
        type=Path,
        required=True,
        help="for tensorboard, a new folder; for optuna, an SQLite file (.db) or a journal storage (.log; faster)",
    )


def _overview(given: Arguments) -> None:
    from ..analysis import overview

    overview.write(given.results, given.output)


def _archive(given: Arguments) -> None:
    from ..archive.making import make

    print(f"payload digest  {make(given.results, given.output, given.data)}")


def _verify(given: Arguments) -> None:
    from ..archive.verifying import command

    command(given.archive, given.rerun, given.data, given.trust)


def _watch(given: Arguments) -> None:
    from ..watching.view import watch

    with suppress(KeyboardInterrupt):  # is how one ends it
        watch(given.results, given.once, given.every)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.05 <= seconds <= 86400:
        raise argparse.ArgumentTypeError(f"must be seconds between 0.05 and 86400, not {text!r}")
    return seconds


def _export(given: Arguments) -> None:
    from ..export.runs import read_runs

    if given.form == "tensorboard":
        from ..export.event_files import write
    else:
        from ..export.study import write
    runs = list(read_runs(given.runs))
    print(f"{given.output}: {write(runs, given.output)} trials of {len(runs)} runs")
