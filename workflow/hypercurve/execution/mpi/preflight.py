"""Whether a launcher and the MPI library fit together, found out in seconds, before a job waits or computes in vain.

The check is a small MPI program, this module run by the launcher as a run would be. It exchanges messages in the ways that
executors do; what it and the launcher say when they fail is answered with what to change.
"""

import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from ...util.errors import UserError
from .comm import Comm, communicator, guarded, load, node

PATIENCE = 120.0
"""Seconds after which a launcher is taken to hang."""

_MARK = "preflight: "
_ELEMENTS = 1 << 18


def preflight(launcher: str, tasks: int, patience: float = PATIENCE, within: str = "") -> dict[str, Any]:
    """Start MPI processes as a run would, and see whether they make up one job.

    Args:
        launcher: the command that starts them, such as ``srun --mpi=pmix``.
        tasks: how many.
        patience: seconds to wait.
        within: the command with which each process enters a container, if it is to run in one.

    Returns:
        launcher, tasks, MPI library, and how many processes ran on each node.

    Raises:
        UserError: they do not; says why, and what to change.
    """
    try:
        words, inner = _words(launcher), _words(within)
    except ValueError as error:
        raise UserError(f"the launcher `{launcher}` cannot be read: {error}") from None
    python = "python" if inner else sys.executable
    command = [*words, "-n", str(tasks), *inner, python, "-m", __name__, str(tasks)]
    try:
        done = _run(command, patience)
    except FileNotFoundError:
        raise UserError(f"there is no program {command[0]!r} here. {_advice(launcher)}") from None
    except subprocess.TimeoutExpired as hanging:
        raise UserError(
            f"`{launcher} -n {tasks}` gave no answer in {patience:g} s. Either the job holds fewer than {tasks} processes, "
            f"or they do not find each other over the network.{_said(hanging.stdout, hanging.stderr)}\n{_advice(launcher)}"
        ) from None
    answers = [line.removeprefix(_MARK) for line in done.stdout.splitlines() if line.startswith(_MARK)]
    if done.returncode != 0 or len(answers) != 1:
        raise UserError(
            f"`{launcher} -n {tasks}` did not start one MPI job of {tasks} processes (code {done.returncode})."
            f"{_said(done.stdout, done.stderr)}\n{_advice(launcher)}"
        )
    return {"launcher": launcher, "tasks": tasks, **json.loads(answers[0])}


def _words(command: str) -> list[str]:
    """A command's words as a shell reads them, with variables of the environment, as `$PBS_NODEFILE`."""
    return [os.path.expandvars(word) for word in shlex.split(command)]


def _run(command: list[str], patience: float) -> subprocess.CompletedProcess[str]:
    """Run a launcher in a session of its own, all of which ends where it takes too long."""
    pipe = subprocess.PIPE
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as own:
        # What a killed mpiexec leaves in the temporary folder refuses a later one that happens to get its process number.
        environment = {**os.environ, "PRTE_MCA_prte_tmpdir_base": own}
        with subprocess.Popen(
            command, stdout=pipe, stderr=pipe, text=True, start_new_session=True, env=environment
        ) as process:
            try:
                out, err = process.communicate(timeout=patience)
            except BaseException:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                raise
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def _said(*outputs: str | bytes | None) -> str:
    """What was printed, each line once: without one job, each process says the same."""
    texts = [output.decode(errors="replace") if isinstance(output, bytes) else output or "" for output in outputs]
    lines = dict.fromkeys(line for text in texts for line in text.splitlines() if line.strip())
    return "".join(f"\n  | {line}" for line in lines)


def _advice(launcher: str) -> str:
    if shlex.split(launcher)[:1] != ["srun"]:
        return (
            "The profile's resource `mpi` is the launcher: `mpiexec` beside this Python on one machine, "
            "`srun --mpi=pmix --kill-on-bad-exit=1` on Slurm (profiles/slurm)."
        )
    try:
        listed = subprocess.run(["srun", "--mpi=list"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return "`srun --mpi=list` does not work here either: Slurm's programs or settings are missing on this node."
    kinds = sorted({word for word in (listed.stdout + listed.stderr).split() if word.startswith("pm")})
    if any(kind.startswith("pmix") for kind in kinds):
        return (
            f"This Slurm has {', '.join(kinds)}: `mpi` must be `srun --mpi=pmix --kill-on-bad-exit=1` in profiles/slurm, "
            "and the MPI library one with PMIx, as the environment's is. docs/slurm.md tells how to use the cluster's own."
        )
    return (
        f"This Slurm has no PMIx (but {', '.join(kinds) or 'nothing of the kind'}), which the environment's MPI needs: see "
        "PMI2 in docs/slurm.md for how to use the cluster's own MPI."
    )


def check(comm: Comm) -> dict[str, Any]:
    """Exchange messages in the ways that executors do; each rank calls this.

    Returns:
        On rank 0, the MPI library and how many processes ran on each node.

    Raises:
        UserError: something arrived that was not sent.
    """
    mpi = load()
    sent, received = np.full(_ELEMENTS, comm.rank, np.float32), np.empty(_ELEMENTS, np.float32)
    left, right = (comm.rank - 1) % comm.size, (comm.rank + 1) % comm.size
    request = comm.Isend([sent, mpi.FLOAT], right)
    comm.Recv([received, mpi.FLOAT], left)
    request.Wait()
    total = comm.allreduce(int(received[0] == left and received[-1] == left))
    if total != comm.size:
        raise UserError("messages between MPI processes arrive damaged")
    names = comm.gather(node())
    library = " ".join(mpi.Get_library_version().splitlines()[0].split(",")[0].split())
    return {"library": library, "nodes": dict(sorted(Counter(names or ()).items()))}


def main(arguments: Sequence[str]) -> None:
    """What the launcher starts."""
    comm = communicator(int(arguments[0]))
    with guarded(comm):
        found = check(comm)
        if comm.rank == 0:
            print(_MARK + json.dumps(found), flush=True)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as error:
        sys.exit(f"hypercurve: {error}")
