"""The schedule that a run found, to be used elsewhere: as segments, as a table, for Keras, and as what to train again.

A population's winner goes back through copies to the members whose weights it has taken over. Its schedule is what these
weights were trained under: up to each copy the donor's hyperparameters, from there on the copy's. With ``lag: 1`` a copy
takes the donor's state of one evolution step before; the step between, which these weights never trained, is filled with
what the donor's schedule says of it. The winner of a search has one segment, its configuration.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from ..config.budget import Budget
from ..config.cost import report_points
from ..config.files import read_setting
from ..config.hyperparameters import resolve
from ..config.learning_rates import learning_rates
from ..config.model import RECORDED, KerasSpec, Trained, counts_epochs
from ..config.rules import Search
from ..config.segments import Segment
from ..config.setting import Setting
from ..curves.cost import step_at
from ..results.runs import RunResult, read_run
from ..space.search_space import Space
from ..util.errors import UserError
from ..util.files import write_text
from ..util.seeding import integer_seed
from . import tables
from .lineage import ancestry, total_steps

FILES = ("schedule.csv", "schedule.py", "retraining.json")
"""What :func:`export` writes."""


class Piece(NamedTuple):
    """A segment with where it ends.

    Attributes:
        start: the first step.
        end: the step after its last.
        segment: what holds.
    """

    start: int
    end: int
    segment: Segment


def read(run: Path) -> tuple[RunResult, Setting]:
    """A finished run and its setting, from the run's folder ``results/EXPERIMENT/runs/METHOD/REPEAT``.

    Raises:
        UserError: there is no finished run, or nothing in it to train again.
    """
    journal, written = run / "journal.jsonl", run.parent / "setting.json"
    if not journal.is_file():
        more = "; it has begun: let it end" if (run / "journal.partial.jsonl").exists() else ""
        raise UserError(f"{run}: is no folder of a finished run, which holds journal.jsonl{more}")
    result, setting = read_run(journal), read_setting(written)
    if result.setting != setting.digest:
        raise UserError(f"{journal}: was made with another setting than {written}")
    if setting.model == RECORDED:
        raise UserError(f"{run}: plays recorded curves: there is nothing to train again")
    if counts_epochs(setting.model):
        raise UserError(
            f"{run}: trains a loop or a program, whose schedules are its own: only networks have one to write"
        )
    if isinstance(setting.model, KerasSpec) and "learning_rate" not in setting.space.root:
        raise UserError(
            f"{run}: the rates of its optimizer stand in no journal: put learning_rate into the space, if only as a constant"
        )
    if result.best is None:
        raise UserError(f"{run}: none of its trials completed, so it found no schedule")
    return result, setting


def segments(run: RunResult, setting: Setting) -> tuple[Segment, ...]:
    """What the weights of a run's winner were trained under, from the start to the end."""
    assert run.best is not None
    total = total_steps(run, setting)
    found = []
    for member, index in ancestry(run, run.best):
        stretch = run.trials[member].history[index]
        step = step_at(stretch.progress, total)
        found.append(Segment(step=step, member=member, configuration=dict(stretch.configuration)))
    return tuple(found)


def pieces(schedule: Sequence[Segment], total: int) -> Iterator[Piece]:
    """The segments with their ends."""
    ends = [*(segment.step for segment in schedule[1:]), total]
    for segment, end in zip(schedule, ends, strict=True):
        yield Piece(segment.step, end, segment)


def rates(schedule: Sequence[Segment], total: int, model: Trained) -> npt.NDArray[np.float32]:
    """The learning rate of every step, decay included; shape (total,)."""
    return np.concatenate(
        [
            learning_rates(resolve(model, piece.segment.configuration), 0, piece.end - piece.start)
            for piece in pieces(schedule, total)
        ]
    )


def table(schedule: Sequence[Segment], total: int, model: Trained) -> pd.DataFrame:
    """The exported `schedule.csv`: a row for each step at which something changes; it holds until the next row's.

    Columns: ``step``, counted from 0; ``source``, what changed: ``start``, ``copy`` or ``decay``; ``member``, whose training
    it was; and every hyperparameter as it was used, decay of the ``learning_rate`` included, so ``decay_ratio``,
    ``decay_every`` and ``decay`` must not be applied once more.
    """
    used = rates(schedule, total, model)
    rows: list[dict[str, object]] = []
    for piece in pieces(schedule, total):
        own = used[piece.start : piece.end]
        changes = [0, *(np.flatnonzero(own[1:] != own[:-1]) + 1)]
        for change in changes:
            source = "decay" if change else "copy" if rows else "start"
            rows.append(
                {
                    "step": piece.start + int(change),
                    "source": source,
                    "member": piece.segment.member,
                    **piece.segment.configuration,
                    "learning_rate": float(own[change]),
                }
            )
    return pd.DataFrame(rows)


def keras_source(run: RunResult, setting: Setting) -> str:
    """A Python file with the learning rates as a Keras schedule, which needs nothing but Keras and NumPy."""
    schedule, total = segments(run, setting), total_steps(run, setting)
    given = []
    for piece in pieces(schedule, total):
        filled = resolve(setting.model, piece.segment.configuration)
        decay = [filled.get("decay_ratio", 1.0), filled.get("decay_every", 1), filled.get("decay", 0.0)]
        given.append((piece.start, filled["learning_rate"], *decay))
    names = sorted({name for segment in schedule for name in segment.configuration})
    others = [
        name
        for name in names
        if name not in ("learning_rate", "decay_ratio", "decay_every", "decay")
        and len({segment.configuration.get(name) for segment in schedule}) > 1
    ]
    environment = Environment(
        loader=PackageLoader("hypercurve.analysis", "."), undefined=StrictUndefined, trim_blocks=True
    )
    template = environment.get_template("keras_schedule.py.j2")
    return template.render(run=run, model=setting.model, steps=total, pieces=given, others=others) + "\n"


def retraining(run: RunResult, setting: Setting, seeds: int) -> Setting:
    """What `hypercurve search` carries out to train the winner's schedule again: trial s begins from the fresh seed s.

    The seeds follow from the experiment's seed and the repeat. They are the same for all methods of a repeat, so their
    retrainings are paired: same initial weights (of equal networks), same order of samples.

    Args:
        seeds: how many.
    """
    assert run.samples is not None, "total_steps has asked"
    schedule = segments(run, setting)
    training = {"evaluate": "end", "accumulation_points": report_points(setting, run.samples)}
    return setting.model_copy(
        update={
            "seed": integer_seed(setting.seed, run.repeat, "retraining"),
            "space": Space.model_validate(schedule[0].configuration),
            "budget": Budget(trials=seeds),
            "training": setting.training.model_copy(update=training),
            "search": Search.model_validate("random"),
            "stop": None,
            "record": (),
            "preselect": None,
            "population": None,
            "order": "virtual",
            "slots": 1,
            "schedule": schedule,
        }
    )


def export(run: RunResult, setting: Setting, folder: Path, seeds: int) -> None:
    """Write a run's schedule: as a table, for Keras and, with seeds, as the setting of its retraining.

    Args:
        folder: where; made if need be.
        seeds: how often it is to be trained again; 0: not at all.
    """
    schedule, total = segments(run, setting), total_steps(run, setting)
    tables.write(table(schedule, total, setting.model), folder / FILES[0])
    write_text(folder / FILES[1], keras_source(run, setting))
    if seeds:
        write_text(folder / FILES[2], retraining(run, setting, seeds).model_dump_json(indent=2) + "\n")


def summary(run: RunResult, setting: Setting) -> dict[str, Any]:
    """A schedule in a few numbers."""
    schedule, total = segments(run, setting), total_steps(run, setting)
    used = rates(schedule, total, setting.model)
    return {
        "winner": run.best,
        "began": schedule[0].member,
        "copies": len(schedule) - 1,
        "steps": total,
        "first": float(used[0]),
        "highest": float(used.max()),
        "last": float(used[-1]),
    }
