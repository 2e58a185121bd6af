"""Where data comes from, and what is refused: the four arrays of a source, checked.

Sources are data known by name, from modules of `data_sets/` and from Keras's loaders and cache, and files and functions of
users. Every problem is a :class:`DataError` in words for users. Splitting and storing is left to
:mod:`hypercurve.training.data`.
"""

import contextlib
import hashlib
import io
import math
import os
import socket
import tokenize
import traceback
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

import numpy as np
import numpy.typing as npt

from ..config.data import DataSpec
from ..config.data_sets import DATA_SETS, IN_KERAS
from ..util.errors import in_a_line
from ..util.files import appearing, sha256, swells
from ..util.user_code import load_object
from ..util.words import cut_short
from .data_meaning import DataError, interpret

Arrays: TypeAlias = dict[str, npt.NDArray[Any]]

PARTS = ("train", "validation", "test")

SOURCE_ARRAYS = ("x_train", "y_train", "x_test", "y_test")

VALIDATION_ARRAYS = ("x_validation", "y_validation")
"""What a function may give besides; else examples of the training part are kept."""

WHOLE = ("x", "y")
"""What may be given in their place: all examples, which are then split."""

DECLARE = "Say what y is by `task: regression` (numbers to predict) or `task: classification` under `data`"

MOST_NAMED = 10
"""Arrays that a message names."""

DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    *(ValueError, KeyError, TypeError),
    SyntaxError,  # of headers, which are literals of Python's, as the next two
    RecursionError,
    tokenize.TokenError,
    NotImplementedError,  # ways to pack that zipfile does not know
    RuntimeError,  # encryption
    OverflowError,
)
"""What reading a damaged NumPy file raises."""

NETWORK_TIMEOUT = 10.0
"""Seconds to wait for a server before a download counts as failed."""


def keras_cache() -> Path:
    """The folder in which Keras keeps data: below `KERAS_HOME`, or `~/.keras`."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "datasets"


def read(spec: DataSpec) -> tuple[Arrays, float | None, str, str]:
    """The arrays as they are given, the scale of the inputs if they bring it, where they are from in words, and its sha256.

    There are four; of a function four or six; or only `x` and `y`.
    """
    if spec.function is not None:
        source = from_function(spec.function)
        return source, None, f"function {spec.function}", _digest_arrays(source)
    if spec.path is None:
        source, scale, origin = _known_by_name(str(spec.name))
        return source, scale, origin, _digest_arrays(source)
    path = Path(os.path.expanduser(spec.path))  # noqa: PTH111 - which leaves a user's name that there is not
    if not path.is_file():
        raise DataError(
            f"data file {path} does not exist; `path` under `data` counts from where the workflow runs. One is cut from "
            f"data known by name with `hypercurve cut`, say `hypercurve cut cifar10 {path}`"
        )
    return read_npz(path), None, str(path), sha256(path)


def _known_by_name(name: str) -> tuple[Arrays, float | None, str]:
    if name in IN_KERAS:
        source, origin = _from_keras(name)
        return source, None, origin
    module = import_module(f"{__package__}.data_sets.{name}")
    return module.load(), usual_scale(name, None), module.ORIGIN


def usual_scale(name: str | None, dtype: str | None) -> float | None:
    """What inputs of data known by name, or stored in a type, are multiplied by if nothing else is said; None: 1."""
    if name in DATA_SETS and name not in IN_KERAS:
        scale: float | None = getattr(import_module(f"{__package__}.data_sets.{name}"), "SCALE", None)
        return scale
    return 1 / 255 if dtype == "uint8" else None


def _digest_arrays(source: Mapping[str, npt.NDArray[Any]]) -> str:
    digest = hashlib.sha256()
    for name in (*SOURCE_ARRAYS, *VALIDATION_ARRAYS, *WHOLE):
        if name in source:
            digest.update(np.ascontiguousarray(source[name]).data)
    return digest.hexdigest()


def read_npz(path: Path) -> Arrays:
    """The four arrays of a NumPy file, or its x and y. Before any is read, its header is held to the bytes that there are.

    Raises:
        DataError: the file is damaged, or lacks an array, or holds Python objects.
    """
    wanted = f"it should hold the arrays {', '.join(SOURCE_ARRAYS)}; or {' and '.join(WHOLE)}, which are then split"
    try:
        with path.open("rb") as raw:
            if raw.read(6) == b"\x93NUMPY":
                raise DataError(f"data file {path} holds one array and is no .npz archive; {wanted}")
        with zipfile.ZipFile(path) as file:
            there = [info.filename.removesuffix(".npy") for info in file.infolist() if info.filename.endswith(".npy")]
            names = {name: name for name in SOURCE_ARRAYS}
            if {*WHOLE} <= {name.lower() for name in there} and not names.keys() & {*there}:
                names = {name.lower(): name for name in there if name.lower() in WHOLE}
            if missing := [name for name in names.values() if name not in there]:
                held = ", ".join(there[:MOST_NAMED]) + ", ..." * (len(there) > MOST_NAMED) or "nothing"
                raise DataError(f"data file {path} has no array {' and no '.join(missing)} (it has {held}); {wanted}")
            if twice := [name for name in there if name.lower() in names and there.count(name) > 1]:
                raise DataError(f"data file {path} has {twice[0]} twice; {wanted}")
            shapes = {name: _shape(file, f"{held}.npy") for name, held in names.items()}
            for x in (name for name in names if name.startswith("x")):
                y = x.replace("x", "y", 1)
                (one, _), (other, kind) = shapes[x], shapes[y]
                if one[:1] != other[:1]:
                    said = f"{x} has shape {cut_short(one)} and {y} {cut_short(other)}"
                    what = "label or target" if x == "x" else "target" if kind == "f" else "label"
                    raise DataError(f"data from {path}: {said}; one {what} per example is needed")
            return {name: _array(file, f"{held}.npy") for name, held in names.items()}
    except _Objects as error:
        raise DataError(
            f"data file {path}: {error} holds Python objects, not numbers, and is not loaded for safety; texts are stored "
            "as such by `np.array(labels, dtype=str)`"
        ) from None
    except MemoryError:
        raise DataError(f"data file {path}: there is not enough memory for its arrays") from None
    except DAMAGED as error:
        vague = "not a zip file" in str(error) or not str(error)
        reason = "not a NumPy .npz archive, or cut short" if vague else in_a_line(error).partition(": ")[2]
        raise DataError(f"data file {path} is damaged ({reason}); replace it: {wanted}") from None


class _Objects(Exception):
    """An array of Python objects."""


def _shape(file: zipfile.ZipFile, name: str) -> tuple[tuple[int, ...], str]:
    """The shape that an array says that it has, which must take the bytes that there are, and the kind of its type."""
    info = file.getinfo(name)
    if swells(info.file_size, info.compress_size):
        raise ValueError(f"{name} is {info.file_size} bytes behind {info.compress_size}, which no data are")
    with file.open(name) as member:
        version = np.lib.format.read_magic(member)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = header(member)
        if dtype.hasobject:
            raise _Objects(name.removesuffix(".npy"))
        size = math.prod(shape) * dtype.itemsize
        if min(shape, default=0) < 0 or member.tell() + size != info.file_size:
            raise ValueError(f"{name} says that its shape is {cut_short(shape)}, but has {info.file_size} bytes")
        return tuple(shape), dtype.kind


def _array(file: zipfile.ZipFile, name: str) -> npt.NDArray[Any]:
    with file.open(name) as member:
        return np.lib.format.read_array(member, allow_pickle=False)


def cut(source: str, output: Path, train: int, test: int) -> None:
    """Write the first examples of each part of a data set to an .npz file: the same bytes every time.

    Args:
        source: data that Keras knows by name, or an .npz file.
        output: the file to write; what is there already is replaced.
        train: how many examples of the training part.
        test: how many of the test part.

    Raises:
        DataError: the data cannot be had or used, or have fewer examples.
    """
    if source not in IN_KERAS and not source.endswith(".npz"):
        raise DataError(f"no data {source!r} to cut: give one of {', '.join(IN_KERAS)}, or an .npz file")
    if output.suffix != ".npz":
        raise DataError(f"{output}: the file to write must end with .npz")
    spec = DataSpec(path=source) if source.endswith(".npz") else DataSpec.model_validate({"name": source})
    given, scale, origin, _ = read(spec)
    if not {*SOURCE_ARRAYS} <= {*given}:
        raise DataError(f"data from {origin}: has only x and y; what is cut has a training and a test part")
    arrays = dict(given)
    meaning = interpret(arrays, spec, origin, scale)
    check(arrays, origin)
    counts = {"train": train, "test": test}
    for part, count in counts.items():
        if count > (there := len(arrays[f"x_{part}"])):
            raise DataError(
                f"data from {origin}: the {part} part has {there} examples, fewer than the {count} asked for"
            )
    parts = {name: arrays[name][: counts[name.split("_")[1]]] for name in SOURCE_ARRAYS}
    check(dict(parts), f"{origin}, cut")
    for name, array in parts.items():  # what the numbers of classes or pixels stood for stays
        if (name[0] == "y" and meaning.labels) or (name[0] == "x" and given[name].dtype.kind in "iu"):
            parts[name] = given[name][: len(array)]
    with appearing(output) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **parts)


def from_function(reference: str) -> Arrays:
    """What a user's function gives: a mapping of arrays by name, or a tuple of four or six in the order of the names.

    Args:
        reference: the function, as ``package.module:function``; it takes no arguments.

    Raises:
        DataError: there is no such function, it raised, or it gave something else.
    """
    names: tuple[str, ...] = (*SOURCE_ARRAYS, *VALIDATION_ARRAYS)
    wanted = (
        f"it should give the arrays {', '.join(SOURCE_ARRAYS)}, and {' and '.join(VALIDATION_ARRAYS)} if it likes, or only "
        f"{' and '.join(WHOLE)}, by name or in this order"
    )
    function = load_object(reference, "data.function")
    try:
        given = function()
    except (Exception, SystemExit) as error:
        frames = traceback.extract_tb(error.__traceback__)
        where = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
        raise DataError(f"data function {reference} raised {type(error).__name__}: {error}{where}") from error
    if isinstance(given, tuple | list) and len(given) == 2 and all(isinstance(part, tuple | list) for part in given):
        given = (*given[0], *given[1])  # (x_train, y_train), (x_test, y_test), as Keras's loaders have it
    if isinstance(given, tuple | list) and len(given) in (4, 6):
        given = dict(zip(names, given, strict=False))
    elif isinstance(given, tuple) and len(given) == 2:
        given = dict(zip(WHOLE, given, strict=True))
    if not isinstance(given, Mapping):
        held = f"{len(given)} things" if isinstance(given, tuple | list) else type(given).__name__
        raise DataError(f"data function {reference} gave {held}; {wanted}")
    if {*given} == {*WHOLE}:
        names = WHOLE
    if unknown := [str(name) for name in given if name not in names]:
        raise DataError(f"data function {reference} gave {', '.join(unknown)}; {wanted}")
    if missing := [name for name in SOURCE_ARRAYS if name not in given and names != WHOLE]:
        raise DataError(f"data function {reference} gave no {' and no '.join(missing)}; {wanted}")
    if len([name for name in VALIDATION_ARRAYS if name in given]) == 1:
        raise DataError(f"data function {reference} gave one of {' and '.join(VALIDATION_ARRAYS)}; both are needed")
    arrays = {str(name): _as_array(array) for name, array in given.items()}
    if objects := [name for name, array in arrays.items() if array.dtype == object]:
        raise DataError(f"data function {reference}: {objects[0]} holds Python objects, not numbers")
    return arrays


def _as_array(given: Any) -> npt.NDArray[Any]:
    array = np.asarray(given)
    if array.dtype == object and all(isinstance(one, str) for one in array.flat):  # as pandas stores texts
        return array.astype(str)
    return array


def _from_keras(name: str) -> tuple[Arrays, str]:
    """Data by Keras's own loader and cache; a cached .npz file of any source is read as it is."""
    place = keras_cache() / str(DATA_SETS[name].cached)
    if place.suffix == ".npz" and place.is_file():
        return read_npz(place), str(place)
    from .runtime import keras

    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(NETWORK_TIMEOUT)
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # a progress bar, and its own words on files it finds damaged
            (x_train, y_train), (x_test, y_test) = getattr(keras.datasets, name).load_data()
    except Exception as error:
        state = "is there but damaged" if place.exists() else "is not there"
        raise DataError(
            f"data {name} could not be loaded: {place} {state}, and it could not be downloaded "
            f"({str(error).splitlines()[0] if str(error) else type(error).__name__}). {_advice(name, place)}"
        ) from None
    finally:
        socket.setdefaulttimeout(timeout)
    return dict(zip(SOURCE_ARRAYS, (x_train, y_train, x_test, y_test), strict=True)), f"Keras's {name}"


def _advice(name: str, place: Path) -> str:
    if place.suffix == ".npz":
        return f"Put {place.name} (arrays {', '.join(SOURCE_ARRAYS)}) at {place}, or name a file of yours with `path`."
    return (
        f"Where there is a network, run `python -c 'import keras; keras.datasets.{name}.load_data()'` and copy {place} to "
        "this machine, or name an .npz file of yours with `path`."
    )


def classes_in(source: Arrays) -> int | None:
    """Number of classes of checked data; None where they have targets."""
    y = source["y_train"]
    return None if np.issubdtype(y.dtype, np.floating) else int(y.max()) + 1


def check(source: Arrays, origin: str) -> None:
    """Stop at data that cannot be trained on.

    Inputs become uint8 or float32. Whole numbers in y are labels and become int32 vectors; other numbers are targets of a
    regression, of any shape, and become float32.
    """

    def stop(message: str) -> NoReturn:
        raise DataError(f"data from {origin}: {message}")

    parts = [part for part in PARTS if f"x_{part}" in source]
    for part in parts:
        x, y = source[f"x_{part}"], source[f"y_{part}"]
        if y.ndim == 2 and y.shape[1] == 1 and y.dtype.kind in "iu":  # CIFAR-10 has labels in a column
            y = y[:, 0]
        if x.ndim < 2:
            stop(f"x_{part} has shape {x.shape}; the first axis counts examples and others are needed")
        if x.size == 0 or y.size == 0:
            stop(f"x_{part} or y_{part} is empty")
        targets = np.issubdtype(y.dtype, np.floating)
        if y.ndim < 1 or len(x) != len(y) or (y.ndim != 1 and not targets):
            needed = "one target" if targets else "one label"
            stop(f"x_{part} has shape {x.shape} and y_{part} {y.shape}; {needed} per example is needed")
        if not (targets or y.dtype.kind in "iu"):  # `issubdtype` takes durations for integers
            stop(
                f"y_{part} holds {y.dtype.name}; labels must be whole numbers from 0 on, targets floating-point numbers"
            )
        if x.dtype.kind not in "iufb":
            stop(f"x_{part} holds {x.dtype.name}, not numbers")
        if not targets and int(y.min()) < 0:
            stop(f"y_{part} has the label {int(y.min())}; labels must be whole numbers from 0 on. {DECLARE}")
        source[f"x_{part}"] = _finite(x, f"x_{part}", stop)
        source[f"y_{part}"] = _finite(y, f"y_{part}", stop) if targets else y
    kinds = {np.issubdtype(source[f"y_{part}"].dtype, np.floating) for part in parts}
    if len(kinds) > 1:
        held = ", ".join(f"y_{part} {source[f'y_{part}'].dtype.name}" for part in parts)
        stop(f"{held}; labels must be whole numbers in all parts, targets floating-point numbers in all")
    for axis, what in (("x", "examples"), ("y", "targets")) if True in kinds else (("x", "examples"),):
        one = source[f"{axis}_train"]
        for part in parts:
            other = source[f"{axis}_{part}"]
            if one.shape[1:] != other.shape[1:] or one.dtype != other.dtype:
                stop(
                    f"{what} of {axis}_train have shape {one.shape[1:]} ({one.dtype.name}), those of {axis}_{part} "
                    f"{other.shape[1:]} ({other.dtype.name}); they must agree"
                )
    if np.issubdtype(source["y_train"].dtype, np.floating):
        if (source["y_train"] == source["y_train"][:1]).all():
            stop("all targets in y_train are equal; there is nothing to learn")
    else:
        _check_labels(source, parts, stop)


def _finite(values: npt.NDArray[Any], name: str, stop: Callable[[str], NoReturn]) -> npt.NDArray[Any]:
    """Numbers as they are stored: bytes as they are, others as float32, in which they must be finite."""
    if values.dtype == np.uint8:
        return values
    with np.errstate(over="ignore"):
        stored = values.astype(np.float32)
    if bad := int(np.count_nonzero(~np.isfinite(stored))):
        stop(f"{name} has {bad} values that are NaN, infinite or beyond float32")
    return stored


def _check_labels(source: Arrays, parts: Sequence[str], stop: Callable[[str], NoReturn]) -> None:
    present = np.unique(source["y_train"])
    if len(present) < 2:
        stop(f"y_train has the single label {int(present[0])}; at least two classes are needed")
    if int(present[-1]) != len(present) - 1:
        gap = next(label for label in range(len(present) + 1) if label >= len(present) or present[label] != label)
        stop(
            f"y_train goes up to label {int(present[-1])}, but label {gap} never occurs; labels must be 0, 1, 2 and so on. "
            f"{DECLARE}"
        )
    for part in parts:
        y = source[f"y_{part}"]
        if int(y.max()) > int(present[-1]):
            stop(f"y_{part} has the label {int(y.max())}, which never occurs in y_train")
        source[f"y_{part}"] = y.astype(np.int32)
