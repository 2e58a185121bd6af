"""Prepared tables of recorded curves: read and checked once, then loaded in milliseconds.

A folder holds ``curves.jsonl``: a line about the table, then a line for each training.
"""

import json
from pathlib import Path
from typing import Any

from ..space.search_space import Space
from ..util.errors import UserError
from ..util.files import read_plain, write_text
from .cost import TrialCost
from .table import Curve, Curves

FORMAT = 1
PREPARED = "curves.jsonl"
"""Name of a prepared table in its folder."""


class RecordingError(UserError):
    """Recorded curves that cannot be used; the message names the file and, where there is one, the line."""


def write_curves(curves: Curves, folder: Path) -> None:
    """Write a table to a folder, whole or not at all; :func:`load_curves` reads it back as it was.

    Raises:
        RecordingError: the folder holds other things.
    """
    if (
        folder.is_dir()
        and not (folder / PREPARED).is_file()
        and any(not one.name.startswith(".") for one in folder.iterdir())
    ):
        raise RecordingError(f"{folder}: exists and holds other things than prepared curves; name another folder")
    head = {
        "format": FORMAT,
        "name": curves.name,
        "samples": curves.samples,
        "space": curves.space.model_dump(mode="json"),
    }
    lines: list[dict[str, Any]] = [head]
    for configuration, curve in zip(curves.configurations, curves.curves, strict=True):
        cost = [curve.cost.steps, curve.cost.batch_size, curve.cost.step_seconds]
        lines.append({"configuration": configuration} | curve._asdict() | {"cost": cost})
    write_text(folder / PREPARED, "".join(json.dumps(line, allow_nan=False) + "\n" for line in lines))


def load_curves(folder: Path) -> Curves:
    """The table in a folder.

    Raises:
        RecordingError: there is none, or it is damaged.
    """
    path = folder / PREPARED
    try:
        head, *lines = (json.loads(line) for line in read_plain(path).decode().splitlines())
        if head["format"] != FORMAT:
            raise ValueError("another format")
        return Curves(
            head["name"],
            Space.model_validate(head["space"]),
            tuple(line["configuration"] for line in lines),
            tuple(
                Curve(
                    tuple(line["shares"]),
                    tuple(line["reports"]),
                    tuple(line["seconds"]),
                    TrialCost(*line["cost"]),
                    line["outcome"],
                    line["failed_at"],
                    line["reason"],
                )
                for line in lines
            ),
            head["samples"],
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise RecordingError(f"{path}: is damaged ({error}); remove its folder and prepare the curves again") from None
