"""Functions of users, imported by name from the folder where the workflow runs.

Only what trains or prepares data does so: reading an experiment imports nothing of the user's.
"""

import hashlib
import importlib
import importlib.util
import io
import re
import sys
import tokenize
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from .errors import UserError

REFERENCE = r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$"
"""How an experiment names something in a module: ``package.module:name``."""
_Base = TypeVar("_Base")
_IMPORTS = ContextVar("imports", default=True)


def imports() -> bool:
    """Whether searchers and stoppers that an experiment names may be imported."""
    return _IMPORTS.get()


@contextmanager
def without_imports(wanted: bool = True) -> Iterator[None]:
    """Read experiments of strangers: none of their searchers and stoppers is imported.

    Args:
        wanted: False: they are, after all.
    """
    token = _IMPORTS.set(not wanted)
    try:
        yield
    finally:
        _IMPORTS.reset(token)


def load_object(reference: str, key: str) -> Any:
    """What a user names as ``package.module:name``.

    Args:
        reference: the name.
        key: where the experiment gives it, for messages.

    Raises:
        UserError: it cannot be imported; the message says why, and what is there in its place.
    """
    module_name, _, name = reference.partition(":")
    import_from_here()
    importlib.invalidate_caches()  # the file may be younger than what Python remembers of its folder
    where = f"{key} = {reference}"
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and (module_name == error.name or module_name.startswith(error.name + ".")):
            path = Path(*module_name.split("."))
            raise UserError(
                f"{where}: there is no module {module_name}: neither {path}.py in {Path.cwd()}, nor installed"
            ) from None
        raise UserError(f"{where}: {module_name} imports {error.name}, which is not installed") from error
    except (Exception, SystemExit) as error:
        raise UserError(f"{where}: {module_name} cannot be imported: {told(error)}") from error
    if not hasattr(module, name):
        held = sorted(n for n, thing in vars(module).items() if callable(thing) and not n.startswith("_"))
        near = get_close_matches(name, held, n=1)
        meant = f"; did you mean '{near[0]}'?" if near else ""
        raise UserError(f"{where}: module {module_name} has no {name}{meant}")
    found = getattr(module, name)
    if not callable(found):
        raise UserError(f"{where}: {name} is no function but {type(found).__name__}")
    return found


def load_class(reference: str, base: type[_Base]) -> type[_Base]:
    """A class of the user's that is derived from one of ours.

    Raises:
        UserError: it cannot be imported, is something else, or lacks a method.
    """
    if not re.match(REFERENCE, reference):
        raise UserError("must be package.module:Class")
    try:
        found = load_object(reference, "")
    except UserError as error:
        raise UserError(str(error).removeprefix(f" = {reference}: ")) from error
    if not (isinstance(found, type) and issubclass(found, base)):
        raise UserError(f"is no {base.__name__}: derive the class from {base.__module__}.{base.__name__}")
    if missing := sorted(getattr(found, "__abstractmethods__", ())):
        raise UserError(f"the class lacks {', '.join(missing)}")
    return found


def told(error: BaseException) -> str:
    """What an error says, and in which line it arose."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}: {error.msg}"
    frames = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__}: {error} ({frames[-1].filename}:{frames[-1].lineno})"


class UserCodeError(UserError):
    """Code that an experiment names cannot be found; the message names the key."""


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


def code_sum(name: str, content: bytes) -> str:
    """A sum, in hexadecimal, that changes with what a file of code does: of Python, comments and blank lines do not count.

    Args:
        name: of the file.
        content: what it holds.
    """
    return hashlib.sha256(_without_comments(content) if name.endswith(".py") else content).hexdigest()


def _without_comments(source: bytes) -> bytes:
    """Python without comments and lines that are then blank, which versions of Python agree on; all of what is no Python."""
    lines: list[bytes | None] = [*io.BytesIO(source)]
    try:
        for token in tokenize.tokenize(io.BytesIO(source).readline):
            row, column = token.start
            line = lines[row - 1] if row and row <= len(lines) else None
            if token.type == tokenize.COMMENT and line is not None:
                code = line.decode()[:column].rstrip()
                lines[row - 1] = code.encode() + b"\n" if code else None
            elif token.type == tokenize.NL and line is not None and not line.strip():
                lines[row - 1] = None
    except (tokenize.TokenError, SyntaxError, UnicodeDecodeError):
        return source
    return b"".join(line for line in lines if line is not None).rstrip()


def digest_of(sums: Mapping[str, str]) -> str:
    """The digest of code whose files have these sums."""
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
