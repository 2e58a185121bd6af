"""What made a result: digests of the code that it depends on.

Snakemake does not see the modules that a rule's command imports. Rules therefore carry a digest of the code that their
result depends on, so that a change in the training code retrains and a change in a figure redraws, and nothing more.
"""

import ast
import hashlib
from functools import cache
from pathlib import Path
from typing import Literal

PACKAGE = Path(__file__).parent

# What can change a table or figure but not a run. All other modules can change a run.
ANALYSIS = ("analysis",)
# What can change neither: how a command is called and what is printed meanwhile.
OUTER = (
    "batching.py",
    "cli.py",
    "progress.py",
    "reading.py",
    "problems.py",
    "launching.py",
    "provenance.py",
    "__main__.py",
)


# What can change prepared data.
DATA = (
    "data_spec.py",
    "seeding.py",
    "training/data.py",
    "training/sources.py",
    "training/tables.py",
    "recordings.py",
    "curves.py",
    "analysis/records.py",
)


@cache
def code_digest(part: Literal["data", "runs", "analysis"]) -> str:
    """Sixteen hexadecimal digits that change with the code of ``part``; comments and docstrings do not count."""
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*")):
        name = path.relative_to(PACKAGE).as_posix()
        if path.suffix not in (".py", ".j2") or name in OUTER:
            continue
        if (part == "runs" and name.startswith(ANALYSIS)) or (part == "data" and name not in DATA):
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
