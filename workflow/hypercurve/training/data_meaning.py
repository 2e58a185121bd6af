"""What a source's arrays are taken to mean where nobody has said it: which part is which, labels or targets, pixels.

Arrays come in as people have them. They go out as :func:`hypercurve.training.data_sources.check` asks for them: four or six,
labels as whole numbers from 0, pixels as bytes. Each thing that was assumed is a sentence, for the log and the report. What
makes no sense here is left as it is, for `check` to refuse.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from ..config.data import TEST_SHARE, DataSpec
from ..util.errors import UserError
from ..util.seeding import generator
from ..util.words import cut_short

Array = npt.NDArray[Any]
Label = int | str | bool

UNEVEN = 3
"""How many times as many examples as the rarest class the most frequent one has at least, for it to be said."""
SHOWN = 10
"""As many labels are named in a sentence."""
BYTE, WORD = 255, 65_535
"""The largest pixels of 8 and of 16 bits."""


class DataError(UserError):
    """Data cannot be used; the message names the file, what is wrong with it, and what to do."""


@dataclass
class Meaning:
    """What arrays were taken to mean.

    Attributes:
        scale: what inputs are multiplied by.
        labels: the user's own labels in the order of the classes; None where these are the classes' numbers, or for targets.
        assumed: what was assumed, each in a sentence.
    """

    scale: float = 1.0
    labels: list[Label] | None = None
    assumed: list[str] = field(default_factory=list)


def interpret(source: dict[str, Array], spec: DataSpec, origin: str, scale: float | None) -> Meaning:
    """Turn arrays into what `check` asks for, in place.

    Args:
        source: `x` and `y`, or the arrays of a training and a test part, and of a validation part if there is one.
        spec: what the user says of them.
        origin: where they are from, in words.
        scale: what inputs are multiplied by; None where the data do not bring it.

    Raises:
        DataError: they are not what the user says they are; or their parts hold different labels; or are too few to split.
    """

    def stop(message: str) -> NoReturn:
        raise DataError(f"data from {origin}: {message}")

    meaning = Meaning()
    targets, inputs = ([source[name] for name in source if name[0] == axis] for axis in "yx")
    if not (all(y.size and y.ndim for y in targets) and all(x.size and x.ndim for x in inputs)):
        if "x" in source:
            stop("x or y is empty, or no array")
    else:  # `check` refuses parts that are empty
        source |= _outputs({name: source[name] for name in source if name[0] == "y"}, spec, meaning, stop)
        source |= _inputs({name: source[name] for name in source if name[0] == "x"}, spec, scale, meaning)
        if "x" in source:
            _split_off_test(source, spec, meaning, stop)
        elif spec.test is not None:
            stop("`test` under `data` is for data of only x and y; these have a test part")
    if spec.name is not None:  # whose meaning is known
        meaning.assumed.clear()
    return meaning


def _outputs(
    given: dict[str, Array], spec: DataSpec, meaning: Meaning, stop: Callable[[str], NoReturn]
) -> dict[str, Array]:
    ys = {name: _texts(y, name, stop) for name, y in given.items()}
    main = "y" if "y" in ys else "y_train"
    whole = ys[main]
    kind, task = whole.dtype.kind, spec.task
    if task == "regression":
        if other := [name for name, y in ys.items() if y.dtype.kind not in "iuf"]:
            stop(f"{other[0]} holds {_holds(ys[other[0]])}, but `task` is regression, which needs numbers")
        return {name: y.astype(np.float32) if y.dtype.kind in "iu" else y for name, y in ys.items()}
    if kind not in "iuUbf" or (kind == "f" and task is None):
        if kind == "f" and _are_whole(whole):
            meaning.assumed.append(
                "y holds floating-point numbers, so they are targets of a regression, though all are whole; "
                "`task: classification` under `data` takes them for labels"
            )
        return given
    ys = {name: y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y for name, y in ys.items()}
    whole = ys[main]
    if kind == "f":
        if not all(_are_whole(y) for y in ys.values()):
            stop("y holds numbers that are not whole, but `task` is classification")
        ys = {name: y.astype(np.int64) for name, y in ys.items()}
        whole = ys[main]
    if len({"i" if y.dtype.kind == "u" else y.dtype.kind for y in ys.values()}) > 1:
        if {y.dtype.kind for y in ys.values()} <= {*"iuf"}:
            return ys
        stop(
            f"{', '.join(f'{name} holds {_holds(y)}' for name, y in ys.items())}; labels must be of one kind in all parts"
        )
    if any(y.ndim != 1 for y in ys.values()):
        return ys
    labels, counts = np.unique(whole, return_counts=True)
    size = len(labels)
    if kind == "U" and 2 * size > len(whole):
        stop(f"y holds {size} different texts in {len(whole)} examples: these are no labels")
    first = None if kind in "Ub" else int(labels[0])
    counted = first is not None and int(labels[-1]) - first + 1 == size
    if counted and first == 0:
        if task is None:
            meaning.assumed.append(
                f"y holds whole numbers from 0 to {size - 1}, so they are labels of {size} classes; "
                "`task: regression` under `data` takes them for numbers"
            )
    elif size > 1 and (kind in "Ub" or task or (counted and first == 1) or labels.tolist() == [-1, 1]):
        ys = _mapped(ys, labels, stop)
        meaning.labels = labels.tolist()
        said = "" if task else "; `task: regression` under `data` takes them for numbers" * (kind not in "Ub")
        meaning.assumed.append(f"labels were numbered: {_listed(meaning.labels)}{said}")
    else:
        return ys
    if size > 1 and counts.max() >= UNEVEN * counts.min():
        meaning.assumed.append(
            f"all examples count alike, though classes are uneven, of {counts.min()} to {counts.max()} examples; "
            "`class_weight: balanced` under `training` weighs them"
        )
    return ys


def _texts(y: Array, name: str, stop: Callable[[str], NoReturn]) -> Array:
    """Texts as such, however they are stored."""
    if y.dtype.kind == "S":
        try:
            return np.char.decode(y, "utf-8")
        except UnicodeDecodeError:
            stop(f"{name} holds bytes that are no text in UTF-8")
    return y


def _holds(y: Array) -> str:
    return {"U": "texts", "b": "truth values"}.get(y.dtype.kind, y.dtype.name)


def _are_whole(y: Array) -> bool:
    with np.errstate(invalid="ignore"):
        return y.dtype.kind in "iu" or (
            y.dtype.kind == "f" and bool(np.all(np.isfinite(y) & (np.abs(y) < 2**31) & (y == np.floor(y))))
        )


def _mapped(ys: dict[str, Array], labels: Array, stop: Callable[[str], NoReturn]) -> dict[str, Array]:
    """The places of labels among the sorted ones."""
    found = {}
    for name, y in ys.items():
        if unknown := sorted({*y.ravel().tolist()} - {*labels.tolist()}):
            stop(f"{name} has the label {cut_short(repr(unknown[0]))}, which never occurs in y_train")
        found[name] = np.searchsorted(labels, y).astype(np.int32)
    return found


def _listed(labels: Iterable[Label]) -> str:
    told = [f"{cut_short(repr(label))} is class {number}" for number, label in enumerate(labels)]
    more = [f"and so on to {told[-1]}"] if len(told) > SHOWN else []
    return ", ".join(told if not more else [*told[: SHOWN - 1], *more])


def _inputs(given: dict[str, Array], spec: DataSpec, scale: float | None, meaning: Meaning) -> dict[str, Array]:
    meaning.scale = 1.0 if scale is None else scale
    if spec.scale is not None:
        meaning.scale = spec.scale
        return given
    kinds = {x.dtype.kind for x in given.values()}
    if scale is not None or not kinds <= {"i", "u", "f", "b"}:
        return given
    with np.errstate(invalid="ignore"):
        low, high = min(float(x.min()) for x in given.values()), max(float(x.max()) for x in given.values())
    images = all(x.ndim > 2 for x in given.values())
    if kinds <= {"i", "u"} and low >= 0 and 1 < high <= (WORD if images else BYTE):
        bits, most = (8, BYTE) if high <= BYTE else (16, WORD)
        meaning.scale = 1 / most
        meaning.assumed.append(
            f"x holds whole numbers from {low:g} to {high:g}, so they are pixels of {bits} bits and are divided by {most}; "
            "`scale` under `data` says by what they are multiplied instead"
        )
        return {name: x.astype(np.uint8) for name, x in given.items()} if bits == 8 else given
    meaning.assumed.append(
        f"x holds numbers from {low:.4g} to {high:.4g}, which are taken as they are; `scale` under `data` multiplies them"
    )
    return given


def _split_off_test(
    source: dict[str, Array], spec: DataSpec, meaning: Meaning, stop: Callable[[str], NoReturn]
) -> None:
    """Make a training and a test part of `x` and `y`; each part keeps the source's order.

    The training part has at least one example of every class, so the test part has no unknown one.
    """
    x, y = source["x"], source["y"]
    wanted = TEST_SHARE if spec.test is None else spec.test
    count = wanted if isinstance(wanted, int) else max(1, round(wanted * len(x)))
    order = generator(spec.seed, 0, "test part").permutation(len(x))
    needed = 1
    if len(x) == len(y) and y.ndim == 1 and y.dtype.kind in "iu":
        _, first = np.unique(y[order], return_index=True)
        order, needed = np.concatenate([np.delete(order, first), order[first]]), len(first)
    if count > len(x) - needed:
        stop(
            f"a test part of {count} examples leaves fewer than {needed} of {len(x)} to train on; see `test` under `data`"
        )
    test, train = np.sort(order[:count]), np.sort(order[count:])
    if len(x) == len(y):
        del source["x"], source["y"]
        source |= {"x_train": x[train], "y_train": y[train], "x_test": x[test], "y_test": y[test]}
        meaning.assumed.append(
            f"only x and y are given, so {count} of {len(x)} examples were drawn for the test part; `seed` under `data` "
            "decides which, `test` how many"
        )
    else:
        stop(f"x has shape {x.shape} and y {y.shape}; one label or target per example is needed")
