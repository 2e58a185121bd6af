"""Optimizers for special networks: ours where layers compute in float16, and Keras's as pure functions of tensors."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..optimizers.optimizer import Optimizer, Tensors
from .runtime import BaseOptimizer, TFOptimizer, keras

FLOAT16_SCALE = 1024.0
"""Losses are multiplied by this, and gradients divided, where layers compute in float16: small gradients would vanish."""


def scaled(optimizer: Optimizer) -> Optimizer:
    """One of our optimizers for a network with layers that compute in float16."""

    def update(weights: Tensors, slots: Tensors, gradients: Tensors, rate: Any, coefficients: Any) -> Any:
        return optimizer.update(weights, slots, [g / FLOAT16_SCALE for g in gradients], rate, coefficients)

    return replace(optimizer, update=update, scale=lambda _, loss: loss * FLOAT16_SCALE)


def _undistribute(optimizer: Any, variables: Sequence[Any]) -> None:
    """Let a Keras optimizer update plain tensors.

    With TensorFlow, Keras's optimizers do what `tf.distribute` needs, which wants a `tf.Variable`. Below that lies what they
    do with other backends, which is pure; it takes the place of whatever a user's class has not replaced itself.
    """
    made = type(optimizer)
    keys = getattr(optimizer, "_exclude_from_weight_decay", ())
    excluded = {id(variable) for variable in variables if optimizer._var_key(variable) in keys}
    plain = {
        name: method
        for name, method in vars(BaseOptimizer).items()
        if name in vars(TFOptimizer) and name != "__init__" and getattr(made, name) is vars(TFOptimizer)[name]
    }
    optimizer.__class__ = type(made.__name__, (made,), plain)
    if hasattr(optimizer, "_exclude_from_weight_decay"):
        optimizer._exclude_from_weight_decay = excluded
    if optimizer.built:  # by the user: what it knows of variables goes by other keys
        optimizer._trainable_variables_indices = {id(variable): i for i, variable in enumerate(variables)}


def of_keras(optimizer: Any, variables: Sequence[Any]) -> Optimizer:
    """A Keras optimizer as a pure function of all its variables: counters, learning rate, slots.

    Its learning rate is set at every step, unless it follows a schedule of its own.

    Args:
        optimizer: a `keras.optimizers.Optimizer`; it is used up by this.
        variables: the trainable variables of the network.
    """
    inner = getattr(optimizer, "inner_optimizer", optimizer)  # of a LossScaleOptimizer
    _undistribute(inner, variables)
    if not optimizer.built:
        optimizer.build(variables)
    held = list(optimizer.variables)
    place = next((i for i, variable in enumerate(held) if variable is inner._learning_rate), None)

    def update(weights: Tensors, slots: Tensors, gradients: Tensors, rate: Any, coefficients: Any) -> Any:
        del coefficients  # the optimizer has its own
        slots = list(slots)
        if place is not None:
            slots[place] = rate
        weights, slots = optimizer.stateless_apply(slots, gradients, weights)
        return list(weights), list(slots)

    def scale(slots: Tensors, loss: Any) -> Any:
        with keras.StatelessScope(state_mapping=list(zip(held, slots, strict=True))):
            return optimizer.scale_loss(loss)

    return Optimizer(
        tuple(np.array(variable.numpy()) for variable in held),
        update,
        scale=scale,
        rate=None if place is None else float(held[place].numpy()),
        rated=place is not None,
    )
