"""Trainers: what trains a trial, in pieces. TensorFlow stays in here, and is imported only by what needs it."""

from pathlib import Path

from ..config import Setting
from ..cost import report_points
from ..model_spec import RECORDED, CommandSpec, LoopSpec
from .base import Trainer
from .data import load
from .recorded import CurvesTrainer
from .tables import load_curves


def make_trainer(setting: Setting, data: Path | None) -> Trainer:
    """The trainer of a method's model.

    Args:
        data: the folder of the prepared data set, where the experiment has one.
    """
    assert data is not None, "checked with the experiment"
    assert not isinstance(setting.model, LoopSpec | CommandSpec)
    if setting.model == RECORDED:
        return CurvesTrainer(load_curves(data))
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
