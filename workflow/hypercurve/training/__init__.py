"""Trainers: what trains a trial, in pieces. TensorFlow stays in here, and is imported only by what needs it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..config.cost import CostModel, report_points
from ..config.model import RECORDED, CommandSpec, LoopSpec
from ..config.objective import COST, PARAMETERS
from ..config.setting import Setting
from ..curves.prepared import load_curves
from ..util.errors import UserError
from .command import CommandTrainer
from .cost_bound import Bounded
from .data import load
from .loop import LoopTrainer
from .recorded_curves import CurvesTrainer
from .scheduled import ScheduledTrainer
from .staying import StayingTrainer
from .trainer import Trainer


def make_trainer(
    setting: Setting, data: Path | None, logs: Path | None = None, lead: Callable[..., Any] | None = None
) -> Trainer:
    """The trainer of a method's model.

    Args:
        setting: of the method.
        data: the folder of the prepared data set, where the experiment has one.
        logs: where programs' standard error goes, a file per trial; None drops it.
        lead: runs loops on all ranks of their trials: see :class:`hypercurve.training.loop.LoopTrainer`.

    Raises:
        UserError: the user's own code is missing, or cannot do what the method asks for.
    """
    trainer = _trainer(setting, data, logs, lead)
    if not setting.schedule and COST not in setting.constraints:
        return trainer
    costs = CostModel(setting.model, setting.cost, 0 if data is None else load(data).samples)
    if setting.schedule:
        trainer = ScheduledTrainer(trainer, setting.schedule, costs.of(setting.schedule[0].configuration).steps)
    if COST in setting.constraints:
        trainer = Bounded(trainer, costs, setting.constraints[COST])
    return trainer


def _trainer(setting: Setting, data: Path | None, logs: Path | None, lead: Callable[..., Any] | None) -> Trainer:
    training = setting.training
    exchanges = setting.population is not None
    if isinstance(setting.model, LoopSpec):
        if setting.ranks > 1 and lead is None:
            raise UserError(
                f"{setting.method}: a trial has {setting.ranks} MPI ranks; the workflow starts them: snakemake results/..."
            )
        return LoopTrainer(setting.model, data, threads=training.threads, exchanges=exchanges, lead=lead)
    if isinstance(setting.model, CommandSpec):
        kind = StayingTrainer if setting.model.stays else CommandTrainer
        return kind(setting.model, data, threads=training.threads, exchanges=exchanges, logs=logs, ranks=setting.ranks)
    assert data is not None, "checked with the experiment"
    if setting.model == RECORDED:
        return CurvesTrainer(load_curves(data))
    # A population's fitness is measured at every evolution step, on part of the validation samples.
    examples = training.evaluate if setting.population is None else setting.population.fitness_samples
    points = report_points(setting, load(data).samples)
    if setting.model == "synthetic":
        from .synthetic import SyntheticTrainer

        return SyntheticTrainer(points=points, evaluate="end" if examples == "end" else "points")
    from .keras_trainer import KerasTrainer

    return KerasTrainer(
        setting.model,
        data,
        points=points,
        examples=examples,
        shuffled=setting.population is None,
        threads=training.threads,
        compiler=training.compiler,
        objective=setting.objective.metric,
        parameters=PARAMETERS in setting.constraints,
        balanced=training.class_weight == "balanced",
    )
