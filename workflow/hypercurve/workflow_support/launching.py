"""The environment of the rules' commands, set once when the Snakefile is parsed."""

import os
import shutil
import sys
from pathlib import Path
from shlex import quote
from typing import Any

from ..util.errors import UserError
from ..util.provenance import PACKAGE


def set_environment(beside: str) -> None:
    """Let commands find this package, this environment's programs, and an MPI that works under mpiexec and srun.

    The package is the one that this module belongs to. Programs come from the environment that runs Snakemake,
    whether that was activated or not; with ``--software-deployment-method conda`` a rule's own environment goes
    before both. mpiexec starts as many processes as it is told, on a laptop or in a container too: by itself it
    refuses more than there are cores, refuses to run as root, and binds each process to one core, which is for
    schedulers to do. Under srun there is no mpiexec that would tell the environment's MPI where it was installed, and
    its PMIx knows one way only to show Slurm who it is. What the user has set stays; a cluster's own MPI
    (``MPI4PY_LIBMPI``) is left alone.

    Args:
        beside: the folder of the user's Snakefile. Modules of users may lie there, whatever the working directory is.
    """
    environment = os.environ
    modules = f"{PACKAGE.parent}{os.pathsep}{beside}"
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


def into_container(image: str | None, settings: Any) -> str:
    """What stands before the command of an MPI process, so that each enters the container by itself.

    Snakemake starts a rule's whole command in the container. But the launcher must start outside: an image has no srun, and
    a launcher in it would start its processes on other nodes without it. So rules of several processes have no container
    of Snakemake's, and this in their command. The environment's OPAL_PREFIX is none of the image's.

    Args:
        image: the image file that the config names.
        settings: Snakemake's deployment settings.

    Returns:
        A part of a shell command, for Snakemake to format; empty if there is no container, or Snakemake was not told
        to use it.

    Raises:
        UserError: the image is missing.
    """
    if image is None or "apptainer" not in {str(method) for method in settings.deployment_method}:
        return ""
    if not Path(image).exists():
        raise UserError(f"container: there is no image {image}; docs/slurm.md says how to build one")
    program = "apptainer" if shutil.which("apptainer") else "singularity"
    words = f'env -u OPAL_PREFIX {program} exec --home "$PWD" {settings.apptainer_args} {quote(image)} '
    return words.replace("{", "{{").replace("}", "}}")
