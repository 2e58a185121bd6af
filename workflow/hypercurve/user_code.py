"""Where the code of users lies that decides results, and its digest. Nothing of it is imported or run.

Snakemake asks whenever it reads its rules, so that a changed model reruns its experiments and no others; journals name the
digest, so that a run which was begun with other code begins anew.
"""

import hashlib
import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from .errors import UserError
from .model_spec import CommandSpec, KerasSpec, LoopSpec, Trained


class UserCodeError(UserError):
    """Code that an experiment names cannot be found; the message names the key."""


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
        case CommandSpec(command=command):
            if "/" in command[0]:
                found[command[0]] = _file(command[0], "model.command")
                if not os.access(command[0], os.X_OK):
                    raise UserCodeError(f"model.command: {command[0]!r} is no program: it cannot be executed")
            elif shutil.which(command[0]) is None:
                raise UserCodeError(f"model.command: there is no program {command[0]!r} on the PATH")
    return found | {name: _file(name, "model.files") for name in model.files}


def module_file(module: str, key: str) -> Path:
    """The source file of a module, found without importing it or a package that it is in.

    Args:
        module: its full name.
        key: where the experiment names it, for the message.

    Raises:
        UserCodeError: there is no such module.
    """
    top, *rest = module.split(".")
    for folder in _homes(top):
        path = folder.joinpath(*rest)
        for candidate in (path.with_name(path.name + ".py"), path / "__init__.py"):
            if candidate.is_file():
                return candidate
    raise UserCodeError(
        f"{key}: there is no module {module!r}: neither {module.replace('.', '/')}.py in the folder where the workflow "
        "runs or beside the Snakefile, nor an installed one"
    )


def _homes(top: str) -> Iterator[Path]:
    """What stands for a top-level name, without the `.py` of a module."""
    yield Path(top)
    try:
        spec = None if top in sys.builtin_module_names else importlib.util.find_spec(top)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        return
    for folder in spec.submodule_search_locations or ():
        yield Path(folder)
    if spec.origin is not None and spec.submodule_search_locations is None:
        yield Path(spec.origin).with_suffix("")


def _file(name: str, key: str) -> Path:
    path = Path(name)
    if not path.is_file():
        raise UserCodeError(f"{key}: there is no file {name!r} in the folder where the workflow runs")
    return path


def model_digest(model: Trained) -> str | None:
    """Sixteen hexadecimal digits that change with any of a model's files; None for a built-in model.

    Raises:
        UserCodeError: a file is missing.
    """
    if isinstance(model, str):
        return None
    return digest_of({name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in code_files(model).items()})


def digest_of(sums: Mapping[str, str]) -> str:
    """The digest of code whose files have these sha256 sums."""
    listed = "".join(f"{sums[name]}  {name}\n" for name in sorted(sums))
    return hashlib.sha256(listed.encode()).hexdigest()[:16]


def function_digest(reference: str, key: str) -> str:
    """Sixteen hexadecimal digits that change with the file of a function.

    Args:
        reference: the function, as ``package.module:function``.
        key: where the experiment names it, for the message.

    Raises:
        UserCodeError: there is no such module.
    """
    return hashlib.sha256(module_file(reference.partition(":")[0], key).read_bytes()).hexdigest()[:16]


def below_here(path: Path) -> str:
    """Where a file lies, counted from the working directory; of files elsewhere, the name alone."""
    here = Path.cwd().resolve()
    found = path.resolve()
    return found.relative_to(here).as_posix() if found.is_relative_to(here) else found.name


def import_from_here() -> None:
    """Let modules in the working directory be imported, before all others."""
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
