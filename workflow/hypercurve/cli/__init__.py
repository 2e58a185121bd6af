"""The command line: `hypercurve COMMAND`, each command a module of this package.

A module holds `HELP`, a line that says what the command does; `EXAMPLE`, what to type after its name; `add_arguments`, which
gives a parser its arguments; and `run`, which carries it out and imports what it needs only then: `check` answers in a
fraction of a second, only training pays for TensorFlow.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from textwrap import fill, indent

from .. import __version__
from ..util.errors import UserError

COMMANDS = {
    "what people type": "check try watch join figure curves replay schedule export archive verify history restart clean cut",
    "steps of the workflow, which work without it too": "resolve data record table batch preflight search trials "
    "members compare report overview schema",
}
"""The modules of all commands, in groups and in the order of `hypercurve --help`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns:
        0, or 2 for anything the user can mend, 130 after Ctrl-C, 75 where SIGTERM ended a search or a batch.
    """
    given = sys.argv[1:] if arguments is None else arguments
    parsed = _parser(given[0] if given else "").parse_args(given)
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
    except MemoryError:
        print(f"hypercurve {parsed.name}: there is not enough memory", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; run the same command again to go on", file=sys.stderr)
        return 130
    return 0


def _parser(called: str | None = None) -> argparse.ArgumentParser:
    """The parser of all commands; with the arguments of the one that is called, or of all."""
    modules = {name: import_module(f".{name}", __name__) for names in COMMANDS.values() for name in names.split()}
    listed = [
        f"{group}:\n" + "\n".join(_line(name, modules[name].HELP) for name in names.split())
        for group, names in COMMANDS.items()
    ]
    parser = argparse.ArgumentParser(
        prog="hypercurve",
        description="\n\n".join(["Hyperparameter optimisation of neural networks on clusters.", *listed]),
        epilog="The workflow calls its steps in order: `snakemake results/demo/report.html` runs them.\n\n"
        "examples:\n"
        "  hypercurve check config/experiments/*.yaml    # all mistakes at once\n"
        "  hypercurve watch results --once               # where runs stand\n"
        "  hypercurve figure --help                      # one command, with an example",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"hypercurve {__version__}")
    commands = parser.add_subparsers(dest="name", required=True, metavar="COMMAND", help="one of the above")
    for name, module in modules.items():
        sub = commands.add_parser(
            name,
            description=module.HELP[0].upper() + module.HELP[1:] + ".",
            epilog=f"example:\n  hypercurve {name} {module.EXAMPLE}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if called in (None, name):
            module.add_arguments(sub)
        sub.set_defaults(command=module.run)
    return parser


def _line(name: str, text: str) -> str:
    """A command and what it does, as `hypercurve --help` lists it."""
    return indent(fill(f"{name:<10} {text}", 100, subsequent_indent=" " * 11), "  ")
