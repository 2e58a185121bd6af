"""What made a result: packages, code, seeds and digests, for the report."""

import importlib.metadata
import platform
import subprocess
from collections.abc import Iterator, Sequence

from ..config import Experiment
from ..provenance import PACKAGE, code_digest
from .tables import Runs

PACKAGES = (
    "hypercurve",
    "tensorflow",
    "tensorflow-cpu",
    "keras",
    "numpy",
    "scipy",
    "scikit-learn",
    "pandas",
    "matplotlib",
    "seaborn",
    "mpi4py",
    "snakemake",
)


def versions() -> dict[str, str]:
    """Python and the packages that matter, as installed here."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def code_version() -> str | None:
    """The commit of the checkout that this package lies in, with ``-dirty`` if files were changed; None outside of one."""
    command = ["git", "-C", str(PACKAGE), "ls-files", "--error-unmatch", "config.py"]
    describe = ["git", "-C", str(PACKAGE), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        # A package inside somebody else's checkout (a virtual environment, say) is not under its version control.
        subprocess.run(command, check=True, capture_output=True, timeout=20)
        return subprocess.run(describe, check=True, capture_output=True, timeout=20, text=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def digests(experiment: Experiment, runs: Runs) -> Iterator[tuple[str, str]]:
    """What the runs and tables follow from, by name."""
    yield "Seed", str(experiment.seed)
    yield "Data digest", _all_of([run.data for own in runs.values() for run in own])
    for method, own in runs.items():
        yield f"Setting of {method}", _all_of([run.setting for run in own])
    yield "Code of runs", code_digest("runs")
    yield "Code of analysis", code_digest("analysis")
    yield "Commit", code_version() or "not in a checkout"


def _all_of(values: Sequence[str]) -> str:
    return ", ".join(dict.fromkeys(values)) or "none"
