"""Some three hundred malformed inputs, of every kind that a command reads or is told.

:func:`inputs` writes them to a folder and gives, for each, the command that must refuse it: with exit code 2, in words that
name what is wrong, without a traceback. `benchmarks/malformed.py` measures them all, the tests a spread of them.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from results_data import call, make_results, small_data

from .archives import archives
from .case import Case
from .commands import command_lines, outputs
from .curves import CURVES, csv_files
from .data_files import npz_files
from .experiments import EXPERIMENT, REPLAY, configs, settings
from .journals import journals


def base(folder: Path) -> Path:
    """Inputs that are right: an experiment, its results and archive, data, curves; gives the folder."""
    results = make_results(folder, EXPERIMENT, "small")
    call("archive", results, "-o", folder / "small.tar.gz")
    np.savez(folder / "data.npz", **small_data())
    (folder / "curves.csv").write_text(CURVES)
    (folder / "replay.yaml").write_text(REPLAY)
    return folder


def inputs(right: Path, folder: Path, large: bool = True) -> Iterator[Case]:
    """Write the malformed inputs to a folder.

    Args:
        right: what :func:`base` made.
        folder: an empty one.
        large: whether those are written that stand for gigabytes, which takes seconds.
    """
    for make in (configs, npz_files, csv_files, journals, settings, archives, command_lines, outputs):
        own = folder / make.__name__
        own.mkdir()
        yield from make(right, own, large)
