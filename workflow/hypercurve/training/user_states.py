"""States of users' loops and programs as the flat vectors that snapshots are made of. No pickles.

A state is bytes, or arrays by name. In a vector it follows a header in JSON that says which. Arrays take the room that they
need; bytes have a fixed room, since those of one member of a population are seldom as many as another's.
"""

import json
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

State: TypeAlias = bytes | Mapping[str, npt.NDArray[Any]]
Vector: TypeAlias = npt.NDArray[np.float32]

HEADER = 64  # room for the header of bytes
LAST_BYTES = 16384
"""Room for how old a state is, and the metrics that were reported last."""


def vector_of(state: State, room: int | None) -> Vector:
    """A state as a vector, of a length that depends on names, types and shapes of arrays, or on the room for bytes.

    Args:
        state: what a loop's `save` gave, or a program's snapshot file.
        room: for bytes; None: as much as they need.

    Raises:
        ValueError, TypeError: it is no state, or too large; the message says why.
    """
    if isinstance(state, bytes | bytearray | memoryview):
        content = bytes(state)
        if room is None:
            room = len(content)
        if len(content) > room:
            raise ValueError(f"a state of {len(content)} bytes is more than `state_bytes` = {room} allows")
        header = json.dumps({"bytes": len(content)}).encode()
        return _joined(header, [np.frombuffer(content, np.uint8)], 4 + HEADER + room)
    if not isinstance(state, Mapping):
        raise TypeError(f"a state must be bytes or a dict of NumPy arrays, not {type(state).__name__}")
    arrays = {}
    for name, value in state.items():
        array = np.ascontiguousarray(value)
        if array.dtype.hasobject:
            raise TypeError(f"{name!r} of a state is no array of numbers: {type(value).__name__}")
        arrays[str(name)] = array
    described = [[name, array.dtype.str, list(np.shape(state[name]))] for name, array in arrays.items()]
    header = json.dumps({"arrays": described}).encode()
    parts = [array.reshape(-1).view(np.uint8) for array in arrays.values()]
    return _joined(header, parts, 4 + len(header) + sum(map(len, parts)))


def _joined(header: bytes, parts: list[npt.NDArray[np.uint8]], size: int) -> Vector:
    raw, end = np.empty(-(-size // 4) * 4, np.uint8), 0
    for part in (np.frombuffer(len(header).to_bytes(4, "little") + header, np.uint8), *parts):
        raw[end : end + len(part)] = part
        end += len(part)
    raw[end:] = 0
    return raw.view(np.float32)


def state_in(vector: Vector) -> bytes | dict[str, npt.NDArray[Any]]:
    """The state in a vector; arrays are copies."""
    raw = np.ascontiguousarray(vector).view(np.uint8)
    start = 4 + int.from_bytes(raw[:4].tobytes(), "little")
    header = json.loads(raw[4:start].tobytes())
    if "bytes" in header:
        return raw[start : start + header["bytes"]].tobytes()
    arrays = {}
    for name, dtype, shape in header["arrays"]:
        count = int(np.prod(shape, dtype=np.int64))
        array = np.frombuffer(raw, np.dtype(dtype), count, start).reshape(shape).copy()
        arrays[name] = array
        start += array.nbytes
    return arrays


def last_vector(age: int, metrics: Mapping[str, float]) -> Vector:
    """What goes with a state as a vector, always of the same length.

    Args:
        age: epochs that the state has been trained for.
        metrics: those reported last.

    Raises:
        ValueError: there are too many.
    """
    content = json.dumps([age, dict(metrics)]).encode()
    if len(content) > LAST_BYTES:
        raise ValueError(f"a report of {len(content)} bytes is more than the {LAST_BYTES} that a snapshot has room for")
    return np.frombuffer(content.ljust(LAST_BYTES), np.uint8).view(np.float32)


def last_in(vector: Vector) -> tuple[int, dict[str, float]]:
    """What :func:`last_vector` was given."""
    age, metrics = json.loads(np.ascontiguousarray(vector).view(np.uint8).tobytes())
    return age, metrics
