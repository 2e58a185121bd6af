"""States of users' loops and programs as the flat vectors that snapshots are made of. No pickles.

A state is bytes, or arrays by name. In a vector it follows a header in JSON that says which, and how many. What stands
behind it is passed over: bytes of one member of a population are seldom as many as another's.
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


def vector_of(state: State) -> Vector:
    """A state as a vector, of a length that depends on names, types and shapes of arrays, or on the number of bytes.

    Args:
        state: what a loop's `save` gave, or a program's snapshot file.

    Raises:
        TypeError: it is no state; the message says why.
    """
    if isinstance(state, bytes | bytearray | memoryview):
        content = memoryview(state).cast("B")
        vector, place = vector_for(len(content))
        place[:] = content
        return vector
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


def vector_for(count: int, memory: Vector | None = None) -> tuple[Vector, memoryview]:
    """A vector for a state of so many bytes, and the place in it where they belong.

    Args:
        count: of bytes.
        memory: where the vector may lie, if it is as long: fresh memory costs as much as a copy.
    """
    header = json.dumps({"bytes": count}).encode()
    if memory is None or len(memory) != length_for(count):
        memory = np.empty(length_for(count), np.float32)
    raw = memory.view(np.uint8)
    _fill(raw, header, [])
    start = 4 + len(header)
    raw[start + count :] = 0
    return raw.view(np.float32), raw[start : start + count].data


def length_for(count: int) -> int:
    """How long the vector of a state of so many bytes is."""
    return -(-(4 + HEADER + count) // 4)


def trimmed(vector: Vector) -> Vector:
    """A vector without what stands behind its state, if that is bytes; not copied."""
    content = bytes_in(vector) if len(vector) else None
    return vector if content is None else vector[: length_for(len(content))]


def bytes_in(vector: Vector) -> memoryview | None:
    """The bytes in a vector, not copied; None where it holds arrays."""
    raw = np.ascontiguousarray(vector).view(np.uint8)
    start = 4 + int.from_bytes(raw[:4].tobytes(), "little")
    count = json.loads(raw[4:start].tobytes()).get("bytes")
    return None if count is None else raw[start : start + count].data


def _joined(header: bytes, parts: list[npt.NDArray[np.uint8]], size: int) -> Vector:
    raw = np.empty(-(-size // 4) * 4, np.uint8)
    raw[_fill(raw, header, parts) :] = 0
    return raw.view(np.float32)


def _fill(raw: npt.NDArray[np.uint8], header: bytes, parts: list[npt.NDArray[np.uint8]]) -> int:
    end = 0
    for part in (np.frombuffer(len(header).to_bytes(4, "little") + header, np.uint8), *parts):
        raw[end : end + len(part)] = part
        end += len(part)
    return end


def state_in(vector: Vector) -> bytes | dict[str, npt.NDArray[Any]]:
    """The state in a vector; arrays are copies."""
    if (content := bytes_in(vector)) is not None:
        return content.tobytes()
    raw = np.ascontiguousarray(vector).view(np.uint8)
    start = 4 + int.from_bytes(raw[:4].tobytes(), "little")
    header = json.loads(raw[4:start].tobytes())
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
