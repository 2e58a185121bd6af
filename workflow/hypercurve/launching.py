"""The environment that the rules' commands run in; set once, when the Snakefile is parsed."""

import os
import sys
from pathlib import Path


def set_environment(package: Path) -> None:
    """Let commands find this package, this environment's programs, and an MPI launcher that does as it is told.

    The package comes from the checkout and programs from the environment that runs Snakemake, whether that was activated or
    not; with ``--software-deployment-method conda`` a rule's own environment goes before both. mpiexec starts as many
    processes as it is told, on a laptop or in a container too: by itself it refuses more than there are cores, refuses to
    run as root, and binds each process to one core, which is for schedulers to do. What the user has set stays.

    Args:
        package: the folder that holds the package.
    """
    environment = os.environ
    for name, first in (("PYTHONPATH", package), ("PATH", Path(sys.executable).parent)):
        rest = environment.get(name)
        environment[name] = f"{first}{os.pathsep}{rest}" if rest else str(first)
    environment.setdefault("PRTE_MCA_rmaps_default_mapping_policy", ":oversubscribe")
    environment.setdefault("PRTE_MCA_hwloc_default_binding_policy", "none")
    if os.geteuid() == 0:
        environment.setdefault("OMPI_ALLOW_RUN_AS_ROOT", "1")
        environment.setdefault("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")
