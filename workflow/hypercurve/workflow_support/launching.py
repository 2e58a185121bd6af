"""What surrounds the rules' commands: their environment, set once when the Snakefile is parsed, and jobs left behind."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

PATIENCE = 60.0
"""Seconds to wait for jobs that are being cancelled; those that stay longer have their journals locked meanwhile."""


def set_environment(package: Path) -> None:
    """Let commands find this package, this environment's programs, and an MPI that works under mpiexec and srun.

    The package comes from the checkout and programs from the environment that runs Snakemake, whether that was activated or
    not; with ``--software-deployment-method conda`` a rule's own environment goes before both. mpiexec starts as many
    processes as it is told, on a laptop or in a container too: by itself it refuses more than there are cores, refuses to
    run as root, and binds each process to one core, which is for schedulers to do. Under srun there is no mpiexec that would
    tell the environment's MPI where it was installed, and its PMIx knows one way only to show Slurm who it is. What the user
    has set stays; a cluster's own MPI (``MPI4PY_LIBMPI``) is left alone.

    Users' modules may lie beside the Snakefile, whatever the working directory is.

    Args:
        package: the folder that holds the package, itself beside the Snakefile.
    """
    environment = os.environ
    modules = f"{package}{os.pathsep}{package.parent}"
    for name, first in (("PYTHONPATH", modules), ("PATH", Path(sys.executable).parent)):
        rest = environment.get(name)
        environment[name] = f"{first}{os.pathsep}{rest}" if rest else str(first)
    environment.setdefault("PRTE_MCA_rmaps_default_mapping_policy", ":oversubscribe")
    environment.setdefault("PRTE_MCA_hwloc_default_binding_policy", "none")
    if "MPI4PY_LIBMPI" not in environment and (Path(sys.prefix) / "bin" / "mpiexec").exists():
        environment.setdefault("OPAL_PREFIX", sys.prefix)
        environment.setdefault("PMIX_MCA_psec", "native")
    if os.geteuid() == 0:
        environment.setdefault("OMPI_ALLOW_RUN_AS_ROOT", "1")
        environment.setdefault("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")


def end_left_behind(logs: Path) -> None:
    """Cancel jobs on Slurm that a Snakemake which was killed has left there, so that its successor's jobs can go on.

    They are known by where Slurm writes what they print, a folder in Snakemake's working directory; its lock sees to it that
    no other Snakemake is at work there. Runs that are cancelled so go on from their journals; populations save a snapshot
    first. Waits until they are gone: they may complete their runs meanwhile, which :func:`take_back` must see.

    Args:
        logs: the folder that Slurm's plugin has jobs print to.
    """
    if shutil.which("squeue") is None or not logs.exists():
        return
    left = _left_behind(logs)
    if left:
        print(f"cancelling jobs that an earlier Snakemake left behind: {', '.join(left)}", file=sys.stderr)
        subprocess.run(["scancel", *left], check=False)
    end = time.monotonic() + PATIENCE
    while left and time.monotonic() < end:
        time.sleep(1.0)
        left = _left_behind(logs)


def _left_behind(logs: Path) -> list[str]:
    """The jobs on Slurm that print to a folder."""
    command = ["squeue", "--noheader", "--user", str(os.geteuid()), "--Format", "JobID:20,StdOut:4096"]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", None) or str(error)
        print(f"squeue does not say whether an earlier Snakemake left jobs behind: {said.strip()}", file=sys.stderr)
        return []
    # Interactive jobs print to no file: their second column is empty.
    jobs = [(job, output.strip()) for job, _, output in (line.strip().partition(" ") for line in listed.splitlines())]
    return [job for job, output in jobs if output and Path(output).is_relative_to(logs.resolve())]


def take_back(output: Path) -> None:
    """Make a finished journal, which a job completed when its Snakemake had been killed, one to go on with.

    Snakemake has no record of how it was made, so it makes it again, and deletes it first. As a partial journal it is
    kept, and taken as it is if setting, data and code are still the same.

    Args:
        output: the journal, or a batch; nothing is done if it is not there, or if its partial journal has begun.
    """
    partial = output.with_name(output.stem + ".partial" + output.suffix)
    if output.exists() and not partial.exists():
        output.rename(partial)
