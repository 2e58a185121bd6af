"""Functions of users, imported by name from the folder where the workflow runs.

Only what trains or prepares data does so: reading an experiment imports nothing of the user's.
"""

import importlib
import traceback
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from .errors import UserError
from .user_code import import_from_here


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
        raise UserError(f"{where}: {module_name} cannot be imported: {_told(error)}") from error
    if not hasattr(module, name):
        held = sorted(n for n, thing in vars(module).items() if callable(thing) and not n.startswith("_"))
        near = get_close_matches(name, held, n=1)
        meant = f"; did you mean '{near[0]}'?" if near else ""
        raise UserError(f"{where}: module {module_name} has no {name}{meant}")
    found = getattr(module, name)
    if not callable(found):
        raise UserError(f"{where}: {name} is no function but {type(found).__name__}")
    return found


def _told(error: BaseException) -> str:
    """What an error says, and in which line it arose."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}: {error.msg}"
    frames = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__}: {error} ({frames[-1].filename}:{frames[-1].lineno})"
