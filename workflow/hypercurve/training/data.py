"""Data on disk: loaded once, checked, split, and stored so that every process maps the same pages.

A prepared folder holds six `.npy` files (x and y of the training, validation and test parts) and `manifest.json`. Images
stay uint8 with a `scale` that the compiled step multiplies by; anything else becomes float32. Which data is wanted is told
by :class:`hypercurve.config.data.DataSpec`; feeding it to networks is left to :mod:`hypercurve.training.engine`.
"""

import hashlib
import json
import math
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..config.data import DataSpec
from ..util.files import check_plain, read_plain, sha256
from ..util.seeding import generator
from ..util.user_code import module_file
from .data_meaning import DataError, Label, interpret
from .data_sources import Arrays, check, classes_in, read, usual_scale

__all__ = ["DataError", "Dataset", "load", "prepare", "verify"]

STORED_ARRAYS = ("x_train", "y_train", "x_validation", "y_validation", "x_test", "y_test")
MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class Dataset:
    """Prepared data; arrays are mapped from files, copy on write.

    Attributes:
        folder: where it lies.
        classes: number of classes; labels are int32 from 0 to classes - 1. None: targets are float32, of any shape.
        scale: factor that inputs are multiplied by.
        digest: sixteen hexadecimal digits that change with any of the stored arrays, and with a scale that is not usual.
        labels: what the classes are called in the user's own data, in their order; for targets empty.
        assumed: what was assumed of the user's data, each in a sentence.
    """

    folder: Path
    classes: int | None
    scale: float
    digest: str
    x_train: npt.NDArray[Any]
    y_train: npt.NDArray[Any]
    x_validation: npt.NDArray[Any]
    y_validation: npt.NDArray[Any]
    x_test: npt.NDArray[Any]
    y_test: npt.NDArray[Any]
    labels: tuple[Label, ...] = ()
    assumed: tuple[str, ...] = ()

    @property
    def samples(self) -> int:
        """Size of the training part."""
        return len(self.x_train)

    @property
    def outputs(self) -> int:
        """Number of classes, or of numbers in a target."""
        return math.prod(self.y_train.shape[1:]) if self.classes is None else self.classes

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one example."""
        return tuple(self.x_train.shape[1:])


def prepare(spec: DataSpec, folder: Path) -> Dataset:
    """Load, check and split data, and store it in a folder that appears complete or not at all.

    Args:
        spec: which data.
        folder: where to store it; what is there already is replaced.

    Raises:
        DataError: the data cannot be had or used.
        UserError: ``folder`` names what is no folder.
    """
    check_plain(folder, folder=True)
    if folder.exists() and not (folder / MANIFEST).is_file() and any(folder.iterdir()):
        raise DataError(f"{folder} exists and holds other things than prepared data; name another folder")
    source, own_scale, origin, digest = read(spec)
    meaning = interpret(source, spec, origin, own_scale)
    check(source, origin)
    parts = _split(source, spec, origin)
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}")
    aside = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        files = {}
        for name in STORED_ARRAYS:
            path = temporary / f"{name}.npy"
            np.save(path, np.ascontiguousarray(parts[name]), allow_pickle=False)
            files[name] = {
                "shape": list(parts[name].shape),
                "dtype": parts[name].dtype.name,
                "bytes": path.stat().st_size,
                "sha256": sha256(path),
            }
        manifest = {
            "data": spec.model_dump(mode="json"),
            "source_sha256": digest,
            "classes": classes_in(source),
            "scale": meaning.scale,
            "labels": meaning.labels,
            "assumed": meaning.assumed,
            "files": files,
        }
        if spec.function is not None:
            code = module_file(spec.function.partition(":")[0], "data.function")
            manifest["function"] = {"bytes": code.stat().st_size, "sha256": sha256(code)}
        (temporary / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        if folder.exists():
            folder.rename(aside)
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(aside, ignore_errors=True)
    return load(folder)


def load(folder: Path) -> Dataset:
    """Prepared data, mapped into memory. Sizes are checked; contents are by :func:`verify`.

    Raises:
        DataError: something is missing or has the wrong size.
    """
    manifest = _manifest(folder)
    arrays: Arrays = {}
    for name, entry in manifest["files"].items():
        path = folder / f"{name}.npy"
        if not path.is_file() or path.stat().st_size != entry["bytes"]:
            found = f"has {path.stat().st_size} bytes in place of {entry['bytes']}" if path.is_file() else "is missing"
            raise DataError(f"{path} {found}; remove the folder {folder} and prepare the data again")
        # Copy on write: processes share the pages, and DLPack accepts the array (it refuses read-only ones).
        try:
            arrays[name] = np.load(path, mmap_mode="c", allow_pickle=False)
        except (OSError, ValueError):
            raise DataError(f"{path} is damaged; remove the folder {folder} and prepare the data again") from None
    labels = manifest.get("labels") or range(manifest["classes"] or 0)
    assumed = tuple(manifest.get("assumed", ()))
    digest = digest_of(manifest)
    return Dataset(
        folder, manifest["classes"], manifest["scale"], digest, **arrays, labels=tuple(labels), assumed=assumed
    )


def digest_of(manifest: Mapping[str, Any]) -> str:
    """The digest of the data that a manifest describes: sixteen hexadecimal digits."""
    stored, scale = manifest["files"], manifest["scale"]
    decisive = "".join(stored[name]["sha256"] for name in STORED_ARRAYS)
    if scale != (usual_scale(manifest["data"].get("name"), stored["x_train"]["dtype"]) or 1.0):
        decisive += repr(scale)
    return hashlib.sha256(decisive.encode()).hexdigest()[:16]


def class_weights(labels: npt.NDArray[Any], classes: int | None) -> npt.NDArray[np.float32]:
    """Weights with which all classes count alike: examples / (classes × examples of the class), shape (classes,).

    As `compute_class_weight("balanced")` of scikit-learn has them. Classes that do not occur have 0, and are not counted.

    Raises:
        DataError: there are no classes.
    """
    if classes is None:
        raise DataError("training.class_weight: is for labels, but these data have targets")
    counts = np.bincount(labels, minlength=classes)
    present = counts > 0
    weights = np.zeros(classes)
    weights[present] = len(labels) / (present.sum() * counts[present])
    return weights.astype(np.float32)


def verify(folder: Path) -> None:
    """Check that every file of prepared data holds what it was written with.

    Raises:
        DataError: a file differs.
    """
    load(folder)
    for name, entry in _manifest(folder)["files"].items():
        path = folder / f"{name}.npy"
        if sha256(path) != entry["sha256"]:
            raise DataError(
                f"{path} was changed after it was written; remove the folder {folder} and prepare the data again"
            )


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(read_plain(path))
        sizes = {name: entry["bytes"] for name, entry in manifest["files"].items() if isinstance(entry["sha256"], str)}
        if set(sizes) == set(STORED_ARRAYS):
            return manifest
        reason = "does not list the six arrays"
    except FileNotFoundError:
        reason = "is missing"
    except OSError as error:
        reason = f"cannot be read ({error.strerror})"
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        reason = "is damaged"
    raise DataError(f"{path} {reason}; remove the folder {folder} and prepare the data again")


def _split(source: Arrays, spec: DataSpec, origin: str) -> Arrays:
    """The parts to store; the seed decides who goes to validation, and each part keeps the source's order.

    Data of a function may bring a validation part of their own.
    """
    if "x_validation" in source:
        return {name: source[name] for name in STORED_ARRAYS}
    samples = len(source["x_train"])
    count = spec.validation if isinstance(spec.validation, int) else max(1, round(spec.validation * samples))
    if count >= samples:
        raise DataError(
            f"data from {origin}: `validation` asks for {count} examples, but the training part has only {samples}"
        )
    order = generator(spec.seed, 0, "split").permutation(samples)
    validation, train = np.sort(order[:count]), np.sort(order[count:])
    return {
        "x_train": source["x_train"][train],
        "y_train": source["y_train"][train],
        "x_validation": source["x_train"][validation],
        "y_validation": source["y_train"][validation],
        "x_test": source["x_test"],
        "y_test": source["y_test"],
    }
