"""What loops and programs of users have saved at the end of a training, as a file of their own."""

import zipfile
from pathlib import Path

import numpy as np

from ..util.files import appearing
from .trainer import Snapshot
from .user_states import state_in


def write_state(snapshot: Snapshot, folder: Path, name: str) -> Path | None:
    """Write the state in a snapshot; see :meth:`hypercurve.training.trainer.Trainer.export`.

    Args:
        snapshot: at the end of its training.
        folder: where to write.
        name: the file's name, if the state is bytes; arrays go to `best.npz`.
    """
    if not len(snapshot.weights):
        return None
    state = state_in(snapshot.weights)
    path = folder / (name if isinstance(state, bytes) else "best.npz")
    with appearing(path) as temporary, temporary.open("wb") as file:
        if isinstance(state, bytes):
            file.write(state)
        else:
            # Not `np.savez`, of whose own arguments a state's arrays may have the names.
            with zipfile.ZipFile(file, "w") as archive:
                for key, array in state.items():
                    with archive.open(f"{key}.npy", "w", force_zip64=True) as entry:
                        np.lib.format.write_array(entry, np.asarray(array), allow_pickle=False)
    return path
