"""Where the code of users lies that decides results, and its digest. Nothing of it is imported or run.

Snakemake asks whenever it reads its rules, so that a changed model reruns its experiments and no others; journals name the
digest, so that a run which was begun with other code begins anew. Comments do not count, and a user can say that a change
does not matter: then, the digest is that of the code before (:mod:`hypercurve.runs.same_code`).
"""

import ast
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from ..util.errors import UserError
from ..util.user_code import UserCodeError, code_sum, digest_of, module_file
from .methods import Method
from .model import CommandSpec, KerasSpec, LoopSpec, Trained
from .setting import Setting

SAME_CODE = "same_code.json"
"""The file in an experiment's results that says whose results count for which code, by digest."""


def code_files(model: Trained) -> dict[str, Path]:
    """The files that decide a model's results, by what the experiment calls them.

    Modules are looked for in the working directory first, then where Python finds packages.

    Raises:
        UserCodeError: one is missing.
    """
    found: dict[str, Path] = {}
    match model:
        case str():
            return found
        case KerasSpec(keras=reference) | LoopSpec(loop=reference):
            module = reference.partition(":")[0]
            kind = "keras" if isinstance(model, KerasSpec) else "loop"
            found[module] = module_file(module, f"model.{kind}")
            if isinstance(model, KerasSpec):
                named = [("model.loss", model.loss), *(("model.metrics", metric) for metric in model.metrics)]
                own = {given.partition(":")[0]: key for key, given in named if given is not None and ":" in given}
                found |= {module: module_file(module, key) for module, key in own.items()}
        case CommandSpec(program=program):
            if "/" in program:
                found[program] = _file(program, "model.command")
                if not os.access(program, os.X_OK):
                    raise UserCodeError(f"model.command: {program!r} is no program: it cannot be executed")
            elif shutil.which(program) is None:
                raise UserCodeError(f"model.command: there is no program {program!r} on the PATH")
    return found | {name: _file(name, "model.files") for name in model.files}


def lacking(spec: LoopSpec, methods: Iterable[str]) -> list[str]:
    """Which methods a loop lacks, as far as its file shows: a function has none, a class without bases those in its body."""
    module, _, name = spec.loop.partition(":")
    try:
        tree = ast.parse(module_file(module, "model.loop").read_bytes())
    except (UserCodeError, OSError, SyntaxError, ValueError):
        return []  # told where it is looked for
    found: list[str] = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            found = [*methods]
        elif isinstance(node, ast.ClassDef) and node.name == name:
            own = {child.id for part in node.body for child in ast.walk(part) if isinstance(child, ast.Name)}
            own |= {part.name for part in node.body if isinstance(part, ast.FunctionDef)}
            found = [] if node.bases else [method for method in methods if method not in own]
    return found


def _file(name: str, key: str) -> Path:
    path = Path(name)
    if not path.is_file():
        raise UserCodeError(f"{key}: there is no file {name!r} in the folder where the workflow runs")
    return path


def model_digest(model: Trained, results: Path | None = None) -> str | None:
    """Sixteen hexadecimal digits that change with any of a model's files; None for a built-in model.

    Args:
        model: of the experiment.
        results: folder of the experiment's results, where code may count for other code.

    Raises:
        UserCodeError: a file is missing.
    """
    if isinstance(model, str):
        return None
    return _digest(code_files(model), results)


def rule_files(method: Method | Setting) -> dict[str, Path]:
    """The files of a method's searcher and stopper that are the user's own, by module; none of those that are ours.

    Raises:
        UserCodeError: one is missing.
    """
    return {module: module_file(module, key) for module, key in rule_modules(method).items()}


def rule_modules(method: Method | Setting) -> dict[str, str]:
    """The modules of a method's own searcher and stopper, and the keys that name them."""
    chosen = {"search": method.search, "stop": method.stop}
    return {
        choice.kind.partition(":")[0]: key for key, choice in chosen.items() if choice is not None and choice.is_own
    }


def rules_digest(method: Method | Setting, results: Path | None = None) -> str | None:
    """The same for the files of a method's own searcher and stopper; None without any.

    Raises:
        UserCodeError: a file is missing.
    """
    files = rule_files(method)
    return _digest(files, results) if files else None


def _digest(files: Mapping[str, Path], results: Path | None) -> str:
    digest = digest_of({name: code_sum(path.name, path.read_bytes()) for name, path in files.items()})
    return digest if results is None else same_code(results).get(digest, digest)


def same_code(results: Path) -> dict[str, str]:
    """By digests of code: the digest whose results count for it, as the user has said.

    Raises:
        UserError: the file that says so is damaged.
    """
    path = results / SAME_CODE
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    if not isinstance(found, dict) or not all(isinstance(digest, str) for digest in found.values()):
        raise UserError(f"{path}: is no list of digests of code; delete it, and say again with --keep-code what counts")
    return found


def results_of(path: Path) -> Path:
    """The folder of an experiment's results that a file of a run or a method lies in; its own folder elsewhere."""
    within = [folder for folder in path.absolute().parents if folder.name in ("runs", "schedules")]
    return within[0].parent if within else path.absolute().parent
