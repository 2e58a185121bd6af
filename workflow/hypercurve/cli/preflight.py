"""`hypercurve preflight`: a small MPI job, before a large one."""

import json

from ..util.files import write_text
from .arguments import Arguments, Parser, add_output, count

HELP = "check that a launcher and the MPI library fit together, with a small MPI job"
EXAMPLE = "--launcher mpiexec --tasks 2 -o preflight.json"


def add_arguments(parser: Parser) -> None:
    parser.add_argument("--launcher", default="mpiexec", help="command that starts MPI processes (default: mpiexec)")
    parser.add_argument("--within", default="", help="command before each process, which enters a container with it")
    parser.add_argument("--tasks", type=count, required=True, help="number of MPI processes to start")
    add_output(parser, "JSON file to write: launcher, MPI library, processes on each node")


def run(given: Arguments) -> None:
    from ..execution.mpi.preflight import preflight

    found = preflight(given.launcher, given.tasks, within=given.within)
    write_text(given.output, json.dumps(found, indent=2) + "\n")
