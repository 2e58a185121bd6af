"""The record: learning curves of earlier experiments on related tasks, in the coding of the space that is searched now.

A record is prepared once, from files, for one method (:mod:`hypercurve.records.prepare`), and then is a plain value: runs
read one file, and its digest stands in their journals. Pure but for :func:`load_record` and :func:`save_record`.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..util.errors import UserError
from ..util.files import read_plain, write_text

Floats = npt.NDArray[np.float64]

FORMAT = 1
PREPARED = "record.json"
"""Name of a prepared record in its method's folder."""


class RecordError(UserError):
    """A record cannot be read, or does not fit."""


@dataclass(frozen=True)
class Task:
    """What one earlier experiment found.

    Attributes:
        name: what it is called in messages.
        coded: configurations in the unit cube, shape (n, variables); NaN where a name is absent.
        shares: shares of training of the points, increasing, ending with 1, shape (points,).
        losses: the learning curves, lower is better, shape (n, points); NaN behind a curve's end.
        failed: whether a training diverged or raised, shape (n,).
        order: 0, 1, ... from the best completed training to the worst by the objective; -1 for the others; shape (n,).
    """

    name: str
    coded: Floats
    shares: Floats
    losses: Floats
    failed: npt.NDArray[np.bool_]
    order: npt.NDArray[np.int64]

    def at(self, points: Sequence[float]) -> Floats:
        """The losses at other shares of training, shape (n, len(points)): those at the last point at or before each."""
        last = np.maximum(np.searchsorted(self.shares, np.asarray(points) + 1e-9, side="right") - 1, 0)
        found: Floats = self.losses[:, last]
        return found

    @cached_property
    def standing(self) -> Floats:
        """How good each training was, shape (n,): 0 for the best, 1 for the worst.

        Trainings are ordered by their loss: the last of completed ones, the lowest of stopped ones. Failed ones come last.
        Completed ones keep the places that their losses have, but take them in the order of the objective.
        """
        known = np.where(np.isnan(self.losses), np.inf, self.losses)
        level = known.min(axis=1)
        done = self.order >= 0
        level[done] = np.sort(known[done, -1])[np.argsort(np.argsort(self.order[done], kind="stable"), kind="stable")]
        level[self.failed] = np.inf
        return shares_below(level)


def shares_below(values: Floats) -> Floats:
    """Share of the others that is better (lower), ties counted half; shape of ``values``, (n,)."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(count)
    found: Floats = (ends - (count + 1) / 2.0)[place] / max(1, len(values) - 1)
    return found


class HeldOut(NamedTuple):
    """What the other tasks of a record would have chosen for one that is left out.

    Attributes:
        task: the one that is left out.
        stopping_rate: s, as the others have it.
        regret: its mean regret there.
    """

    task: str
    stopping_rate: float
    regret: float


@dataclass(frozen=True)
class Calibration:
    """Learning Curve Matching's stopping rate for a regret budget: :mod:`hypercurve.records.calibration`.

    Attributes:
        budget: the mean regret that is allowed.
        stopping_rate: s.
        cost: share of full training that LCM with s has cost on the tasks, on average.
        regret: mean regret on the tasks.
        missed: share of draws in which the best trial was stopped.
        draws: how many from each task.
        tasks: names of those that it was chosen on.
        held_out: each task in its turn, where there are several.
        unused: names of those that could not be replayed, and why.
    """

    budget: float
    stopping_rate: float
    cost: float
    regret: float
    missed: float
    draws: int
    tasks: tuple[str, ...]
    held_out: tuple[HeldOut, ...]
    unused: tuple[str, ...] = ()

    def __str__(self) -> str:
        """A line for users."""
        found = (
            f"s = {self.stopping_rate:g} for a mean regret of at most {self.budget:g}: on {', '.join(self.tasks)}, LCM "
            f"costs {self.cost:.0%} of full training, with a mean regret of {self.regret:.3f}; the best trial is stopped in "
            f"{self.missed:.0%} of {self.draws} draws from each"
        )
        if self.held_out:
            told = "; ".join(f"{task} {regret:.3f} (s = {rate:g})" for task, rate, regret in self.held_out)
            found += f". Mean regret on each task with the s of the others: {told}"
        alike = "one task" if len(self.tasks) == 1 else f"{len(self.tasks)} alike tasks"
        found += f". With {alike}, one new task in {len(self.tasks) + 1} may exceed it"
        if self.unused:
            found += f". Not used: {'; '.join(self.unused)}"
        return found


@dataclass(frozen=True)
class Record:
    """Earlier experiments on tasks with the same space.

    Attributes:
        variables: names of the axes of the unit cube.
        tasks: at least one.
        calibration: the stopping rate that follows from it, where a method's regret budget asks for one.
    """

    variables: tuple[str, ...]
    tasks: tuple[Task, ...]
    calibration: Calibration | None = None

    def dump(self) -> dict[str, Any]:
        """Its form in a file."""
        found: dict[str, Any] = {
            "format": FORMAT,
            "variables": list(self.variables),
            "tasks": [
                {
                    "name": task.name,
                    "shares": task.shares.tolist(),
                    "coded": _plain(task.coded),
                    "losses": _plain(task.losses),
                    "failed": task.failed.tolist(),
                    "order": task.order.tolist(),
                }
                for task in self.tasks
            ],
        }
        if self.calibration is not None:
            found["calibration"] = asdict(self.calibration) | {
                "held_out": [one._asdict() for one in self.calibration.held_out]
            }
        return found

    @cached_property
    def digest(self) -> str:
        """Sixteen hexadecimal digits that change with anything here."""
        return hashlib.sha256(json.dumps(self.dump()).encode()).hexdigest()[:16]


def _plain(values: Floats) -> list[list[float | None]]:
    return [[None if value != value else value for value in row] for row in values.tolist()]


def _table(rows: Sequence[Sequence[float | None]], columns: int) -> Floats:
    return np.array([[np.nan if value is None else value for value in row] for row in rows], float).reshape(-1, columns)


def save_record(record: Record, path: Path) -> None:
    """Write a record, as JSON."""
    write_text(path, json.dumps(record.dump(), allow_nan=False) + "\n")


def load_record(path: Path) -> Record:
    """Read a record.

    Raises:
        RecordError: it is missing or damaged.
    """
    try:
        content = json.loads(read_plain(path))
        if content["format"] != FORMAT:
            raise ValueError(f"format {content['format']!r}")
        variables = tuple(content["variables"])
        tasks = tuple(
            Task(
                task["name"],
                _table(task["coded"], len(variables)),
                np.array(task["shares"], float),
                _table(task["losses"], len(task["shares"])),
                np.array(task["failed"], bool),
                np.array(task["order"], np.int64),
            )
            for task in content["tasks"]
        )
        calibration = _calibration(content["calibration"]) if "calibration" in content else None
    except OSError as error:
        raise RecordError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise RecordError(f"{path}: is no prepared record ({error})") from None
    return Record(variables, tasks, calibration)


def _calibration(content: Any) -> Calibration:
    if not isinstance(content, Mapping):
        raise ValueError(f"calibration = {json.dumps(content)}: must be a mapping")
    for key in ("budget", "stopping_rate", "cost", "regret", "missed", "draws"):
        value = content[key]
        bounded = key in ("budget", "stopping_rate")
        if isinstance(value, bool) or not isinstance(value, int | float) or (bounded and not 0 < value < 1):
            allowed = "a number above 0 and below 1" if bounded else "a number"
            raise ValueError(f"calibration.{key} = {json.dumps(value)}: must be {allowed}")
    held_out = tuple(HeldOut(**one) for one in content["held_out"])
    unused = tuple(content.get("unused", ()))
    return Calibration(**{**content, "tasks": tuple(content["tasks"]), "held_out": held_out, "unused": unused})
