"""Figures, each a module of this package with a line in :data:`hypercurve.config.figures.FIGURES`.

A module holds `TITLE`, its heading in a report; `CAPTION`, what one sees and what to look for, in reStructuredText; and
`draw`, which makes the figure of an experiment and its runs. With `FOLDER = True`, `draw` is also given the folder of the
experiment's results; with `TABLE`, the name of a table there, it is given that table and nothing else.
"""

from importlib import import_module
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from ...config.experiment import Experiment
from ...config.figures import FIGURES
from ...util.errors import UserError
from ..replays import read
from ..tables import Runs
from .style import save, styled

__all__ = ["captions", "draw", "draw_table", "module_of", "save", "table_of"]


def module_of(name: str) -> Any:
    """The module of a figure."""
    return import_module(f".{name}", __name__)


def table_of(name: str) -> str | None:
    """The table in an experiment's results that a figure is drawn from; None where it is drawn from runs."""
    return getattr(module_of(name), "TABLE", None)


def draw(name: str, experiment: Experiment, runs: Runs, folder: Path | None = None) -> Figure:
    """A figure of an experiment.

    Args:
        name: which one.
        experiment: the experiment.
        runs: its runs, by method.
        folder: its results, which some figures need.

    Raises:
        UserError: the figure needs a folder, or a table that is not there.
    """
    module = module_of(name)
    if table_of(name):
        return draw_table(name, folder)
    if not getattr(module, "FOLDER", False):
        return styled(module.draw)(experiment, runs)
    if folder is None:
        raise UserError(f"the figure {name} is drawn from the folder of a whole experiment")
    return styled(module.draw)(experiment, runs, folder)


def draw_table(name: str, folder: Path | None) -> Figure:
    """A figure that is drawn from a table in this folder.

    Raises:
        UserError: the table is not there, or cannot be read.
    """
    module = module_of(name)
    if folder is None or not (folder / module.TABLE).is_file():
        raise UserError(f"the figure {name} is drawn from {module.TABLE}, which a whole experiment of replays has")
    return styled(module.draw)(read(folder / module.TABLE))


def captions() -> str:
    """All captions as Snakemake's report takes them: `rules/captions/figure.rst`, which `make schema` writes."""
    cases = [f'if snakemake.wildcards.figure == "{name}" %}}\n{module_of(name).CAPTION}{{% el' for name in FIGURES]
    return "{% " + "".join(cases).removesuffix("{% el") + "{% endif %}\n"
