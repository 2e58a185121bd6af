"""Trainers: what trains a trial, in pieces. TensorFlow stays in here, and is imported only by what needs it."""

from pathlib import Path

from ..config import Setting
from .base import Trainer


def make_trainer(setting: Setting, data: Path) -> Trainer:
    """The trainer of a method's model.

    Args:
        data: the folder of the prepared data set.
    """
    if setting.model == "synthetic":
        from .synthetic import SyntheticTrainer

        return SyntheticTrainer()
    from .keras_trainer import KerasTrainer  # imports TensorFlow, which takes seconds

    training = setting.training
    return KerasTrainer(
        setting.model,
        data,
        points=training.accumulation_points,
        evaluate=training.evaluate,
        threads=training.threads,
        compiler=training.compiler,
    )
