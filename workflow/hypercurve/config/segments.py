"""A schedule of hyperparameters over a training, in pieces: what a member of a population was trained under.

The first piece holds from the start, each other one from its step on. Within a piece, a learning rate decays as its
configuration says, counted from the piece's first step (:func:`hypercurve.config.learning_rates.learning_rates`).
"""

from itertools import pairwise
from typing import Annotated

from pydantic import AfterValidator, Field

from ..space.values import Scalar
from ..util.schema import Model, Whole, refuse


class Segment(Model):
    """A piece of a schedule."""

    step: Annotated[Whole, Field(ge=0)]
    """The optimizer step from which on it holds, counted from 0."""
    member: Annotated[Whole, Field(ge=0)]
    """The trial that was trained under it, for the reader."""
    configuration: dict[str, Scalar]
    """All hyperparameters."""


def _in_order(segments: tuple[Segment, ...]) -> tuple[Segment, ...]:
    if segments and segments[0].step != 0:
        refuse("must begin at step 0")
    if any(one.step >= other.step for one, other in pairwise(segments)):
        refuse("must have increasing steps")
    return segments


Segments = Annotated[tuple[Segment, ...], AfterValidator(_in_order)]
