"""One page over several experiments: the question of each, what came out in short, and the way to its report.

It holds its pictures and needs no network; its links lead to the reports that lie beside it.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..config.files import read_resolved
from ..util.files import write_text
from . import cells, report


def write(folders: Sequence[Path], output: Path) -> None:
    """Write the page.

    Args:
        folders: results of experiments, in the order of the page; `experiment.json`, `comparison.csv` and one figure of each
            are read.
        output: the file.

    Raises:
        UserError: a table or an experiment cannot be read.
    """
    text = report.template("overview.html.j2").render(experiments=[_entry(folder, output) for folder in folders])
    write_text(output, text)


def _entry(folder: Path, output: Path) -> dict[str, Any]:
    experiment = read_resolved(folder / "experiment.json")
    name = folder.resolve().name
    figure = next(report.drawn(folder / "figures"), None)
    page = folder / "report.html"
    return {
        "name": name,
        "link": quote(Path(os.path.relpath(page, output.parent)).as_posix()) if page.exists() else "",
        "experiment": experiment,
        "colours": report.colours(experiment),
        "facts": report.about(experiment),
        "summary": list(cells.summary(experiment, report.comparison(folder), report.replayed(experiment, folder))),
        "figure": figure,
    }
