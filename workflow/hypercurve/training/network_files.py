"""Files of trained networks that need no Keras: states of loops and programs, and weights as arrays."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..events import networks
from ..util.files import appearing
from .trainer import Snapshot
from .user_states import state_in


def write_state(snapshot: Snapshot, folder: Path, name: str) -> Path | None:
    """Write the state in a snapshot; see :meth:`hypercurve.training.trainer.Trainer.export`.

    Args:
        snapshot: at the end of its training.
        folder: where to write.
        name: the file's name, if the state is bytes.
    """
    if not len(snapshot.weights):
        return None
    state = state_in(snapshot.weights)
    if not isinstance(state, bytes):
        return write_arrays(state, folder)
    path = folder / name
    with appearing(path) as temporary:
        temporary.write_bytes(state)
    networks.keep_only(path)
    return path


def write_arrays(arrays: Mapping[str, npt.NDArray[Any]], folder: Path) -> Path:
    """Write arrays by name as `best.npz`."""
    path = folder / "best.npz"
    # Not by `np.savez`, whose own arguments have names that arrays may have, too.
    with appearing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, np.asarray(array), allow_pickle=False)
    networks.keep_only(path)
    return path
