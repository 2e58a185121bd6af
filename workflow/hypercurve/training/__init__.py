"""Trainers: what trains a trial, in pieces. TensorFlow stays in here, and is imported only by what needs it."""

from pathlib import Path

from ..config import Setting
from ..cost import CostModel, report_points
from ..hyperparameters import RECORDED
from .base import Trainer
from .data import load
from .recorded import CurvesTrainer
from .scheduled import ScheduledTrainer
from .tables import load_curves


def make_trainer(setting: Setting, data: Path) -> Trainer:
    """The trainer of a method's model.

    Args:
        data: the folder of the prepared data set.
    """
    if setting.model == RECORDED:
        return CurvesTrainer(load_curves(data))
    trainer = _make(setting, data)
    if not setting.schedule:
        return trainer
    cost = CostModel(setting.model, setting.cost, load(data).samples)
    return ScheduledTrainer(trainer, setting.schedule, cost.of(setting.schedule[0].configuration).steps)


def _make(setting: Setting, data: Path) -> Trainer:
    training = setting.training
    # A population's fitness is measured at every evolution step, on part of the validation samples.
    evaluate = training.evaluate if setting.population is None else "points"
    points = report_points(setting, load(data).samples)
    if setting.model == "synthetic":
        from .synthetic import SyntheticTrainer

        return SyntheticTrainer(points=points, evaluate=evaluate)
    from .keras_trainer import KerasTrainer  # imports TensorFlow, which takes seconds

    return KerasTrainer(
        setting.model,
        data,
        points=points,
        evaluate=evaluate,
        fitness_samples=None if setting.population is None else setting.population.fitness_samples,
        threads=training.threads,
        compiler=training.compiler,
    )
