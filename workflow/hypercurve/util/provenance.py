"""What made a result: packages, machine, and digests of the code that it depends on.

Snakemake does not see the modules that a rule's command imports. Rules of tables and figures therefore carry a digest of the
code that these depend on, so that a change in a figure redraws it. Rules of runs carry none: what was trained is a fact, and
no change of ours undoes it.
"""

import ast
import hashlib
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parents[1]
CAPTIONS = PACKAGE.parents[1] / "rules" / "captions"
if not CAPTIONS.is_dir():  # an installed package has its own
    CAPTIONS = PACKAGE / "analysis" / "captions"


@cache
def analysis_digest() -> str:
    """Sixteen hexadecimal digits that change with the code of tables and figures; comments and docstrings do not count."""
    digest = hashlib.sha256()
    folders = ("analysis", "results", "search", "stopping")
    for path in sorted(path for folder in folders for path in (PACKAGE / folder).rglob("*")):
        if path.suffix in (".py", ".j2"):
            digest.update(path.relative_to(PACKAGE).as_posix().encode() + b"\0" + _essence(path))
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

    Unlike :func:`analysis_digest`, which goes by syntax trees, these are the same whatever Python computes them.
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
