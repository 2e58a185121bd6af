"""What made a result: packages, machine, and digests of the code that it depends on.

Snakemake does not see the modules that a rule's command imports. Rules therefore carry a digest of the code that their
result depends on, so that a change in the training code retrains and a change in a figure redraws, and nothing more.
"""

import ast
import hashlib
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

PACKAGE = Path(__file__).parents[1]
CAPTIONS = PACKAGE.parents[1] / "rules" / "captions"
if not CAPTIONS.is_dir():  # an installed package has its own
    CAPTIONS = PACKAGE / "analysis" / "captions"

# What can change a table or figure but not a run. All other modules can change a run.
ANALYSIS = ("analysis/", "config/figures.py", "results/")
# What can change neither: how a command is called, what is printed meanwhile, and what is made of finished results.
OUTER = (
    *("__init__.py", "__main__.py", "util/provenance.py", "config/files.py", "config/jobs.py"),
    *("config/consistency.py", "util/partial.py", "execution/mpi/preflight.py", "runs/resuming.py"),
    *("api/", "archive/", "cli/", "export/", "testing/", "watching/", "workflow_support/"),
)
# What can change prepared data.
DATA = (
    "config/data",
    "curves/",
    "records/curve_files.py",
    "records/prepare.py",
    "results/runs.py",
    "training/data",
    "util/seeding.py",
    "util/user_code.py",
)
# What can change a prepared record besides: a stopping rate may be calibrated on it.
RECORDS = ("records/calibration.py", "stopping/lcm.py")


@cache
def code_digest(part: Literal["data", "records", "runs", "analysis"]) -> str:
    """Sixteen hexadecimal digits that change with the code of ``part``; comments and docstrings do not count."""
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*")):
        name = path.relative_to(PACKAGE).as_posix()
        if path.suffix not in (".py", ".j2") or name.startswith(OUTER):
            continue
        if (part == "runs" and name.startswith(ANALYSIS)) or (part == "data" and not name.startswith(DATA)):
            continue
        if part == "records" and not name.startswith(DATA + RECORDS):
            continue
        digest.update(name.encode() + b"\0")
        digest.update(_essence(path))
    return digest.hexdigest()[:16]


@cache
def _essence(path: Path) -> bytes:
    source = path.read_bytes()
    if path.suffix != ".py":
        return source
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if (
            isinstance(body, list)
            and body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
            and isinstance(body[0].value.value, str)
        ):
            body[0].value.value = ""
    return ast.dump(tree).encode()


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
    import importlib.metadata
    import platform

    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def code_version(full: bool = False) -> str | None:
    """The version of the checkout that this package lies in, with ``-dirty`` if files were changed; None outside of one.

    Args:
        full: name the whole commit and no tags, which may be set later.
    """
    import subprocess

    command = ["git", "-C", str(PACKAGE), "ls-files", "--error-unmatch", "__init__.py"]
    describe = ["git", "-C", str(PACKAGE), "describe", "--always", "--dirty"]
    describe += ["--abbrev=40", "--exclude=*"] if full else ["--abbrev=12"]
    try:
        # A package inside somebody else's checkout (a virtual environment, say) is not under its version control.
        subprocess.run(command, check=True, capture_output=True, timeout=20)
        return subprocess.run(describe, check=True, capture_output=True, timeout=20, text=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


@cache
def module_digests() -> dict[str, str]:
    """The sha256 sum of every file of the package's code, by its path in the package.

    Unlike :func:`code_digest`, which goes by syntax trees, these are the same whatever Python computes them.
    """
    return {
        path.relative_to(PACKAGE).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(PACKAGE.rglob("*"))
        if path.suffix in (".py", ".j2")
    }


def source_digest() -> str:
    """Sixteen hexadecimal digits that change with any file of the package's code."""
    listed = "".join(f"{digest}  {name}\n" for name, digest in sorted(module_digests().items()))
    return hashlib.sha256(listed.encode()).hexdigest()[:16]


@cache
def origin() -> Mapping[str, Any]:
    """What makes a result here and now, for a journal's first line: code, packages, kind of machine; no names of hosts.

    Starts no process, so ranks of MPI may call it. Code is told by its digest, which also tells changes that were never
    committed; an archive says which commit has that digest.
    """
    import platform

    return {
        "source": source_digest(),
        "versions": versions(),
        "machine": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
    }


def _processor() -> str:
    """The processor's name, as far as the system tells."""
    import platform

    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass  # not Linux
    return platform.processor()
