"""The subcommands on finished results: archive and verify."""

import argparse
from collections.abc import Callable
from pathlib import Path

Arguments = argparse.Namespace
Add = Callable[[str, Callable[[Arguments], None], str, str], argparse.ArgumentParser]


def add_commands(add: Add) -> None:
    """Add the subcommands to the command line.

    Args:
        add: adds a subcommand: name, function, one line of help, example.
    """
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
    sub.add_argument("--rerun", metavar="METHOD/REPEAT", help="train this run again and compare it event for event")
    sub.add_argument("--data", type=Path, help="folder of prepared data for --rerun (default: prepared anew)")


def _archive(given: Arguments) -> None:
    from .archive.making import make

    print(f"payload digest  {make(given.results, given.output, given.data)}")


def _verify(given: Arguments) -> None:
    from .archive.verifying import command

    command(given.archive, given.rerun, given.data)
