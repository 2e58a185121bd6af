"""Variables as one buffer and back, bit for bit: what snapshots hold and MPI sends."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .trainer import ALIGNMENT

Array = npt.NDArray[Any]

LARGE = 1 << 16
"""Bytes from which on a copy of an array costs more than the handling of a tensor."""


def host(tensor: Any) -> Array:
    """A tensor's values, for reading; on a CPU, numbers are not copied."""
    try:
        return np.asarray(memoryview(tensor))
    except (TypeError, ValueError, BufferError, RuntimeError):  # on a GPU, or of a type that NumPy does not have
        return np.asarray(tensor.numpy())


def _places(arrays: Sequence[Array]) -> tuple[list[int], int]:
    """Where arrays begin in a packed vector, and its length, in bytes."""
    unit = ALIGNMENT if any(array.nbytes >= LARGE for array in arrays) else 4
    starts, end = [], 0
    for array in arrays:
        starts.append(end)
        end += array.nbytes + -array.nbytes % unit
    return starts, end


def packed_size(arrays: Sequence[Array]) -> int:
    """Length of the vector that :func:`pack` makes."""
    return _places(arrays)[1] // 4


def pack(arrays: Sequence[Array], out: npt.NDArray[np.float32] | None = None) -> npt.NDArray[np.float32]:
    """Arrays of any types as one float32 vector of the same bits.

    Each is padded to whole 4 bytes; where any is large, to multiples of :data:`ALIGNMENT` bytes.

    Args:
        arrays: what to pack.
        out: a vector of :func:`packed_size` to write into; by default a new one.
    """
    if out is None:
        out = np.empty(packed_size(arrays), np.float32)
    octets, end = out.view(np.uint8), 0
    starts, size = _places(arrays)
    for array, start in zip(arrays, starts, strict=True):
        octets[end:start] = 0
        end = start + array.nbytes
        octets[start:end] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    octets[end:size] = 0
    return out


def unpack(vector: npt.NDArray[np.float32], like: Sequence[Array]) -> list[Array]:
    """What :func:`pack` put into a vector, given arrays of the same shapes and types; views, not copies.

    Raises:
        ValueError: the vector has not the length that these arrays need.
    """
    octets = np.ascontiguousarray(vector, dtype=np.float32).view(np.uint8)
    starts, size = _places(like)
    if size != len(octets):
        raise ValueError(f"a buffer of {len(octets) // 4} numbers does not fit a network that needs {size // 4}")
    return [
        octets[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
        for array, start in zip(like, starts, strict=True)
    ]
