"""Optimizers as pure functions of tensors, so that every hyperparameter enters as a value and none compiles again.

Each is a module whose `OPTIMIZER` brings its hyperparameters. Arithmetic is that of Keras's optimizers, which tests check
step for step. Experiments are checked against them, so TensorFlow is imported within functions, if at all. Which learning
rate each step has is left to :mod:`hypercurve.config.learning_rates`.
"""

from importlib import import_module

from .optimizer import Optimizer

__all__ = ["OPTIMIZERS", "Optimizer"]

OPTIMIZERS: dict[str, Optimizer] = {name: import_module(f".{name}", __name__).OPTIMIZER for name in ("sgd", "adam")}
"""Optimizers by their name in configurations."""
