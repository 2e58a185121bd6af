"""What a hyperparameter of a built-in model or optimizer is: its kind, default and bounds, and what changing it changes.

How a hyperparameter acts is told by its `role`, which decides what compiles again (see :mod:`hypercurve.training.engine`).
"""

from dataclasses import dataclass
from math import isfinite
from typing import Literal

from .search_space import Value

Kind = Literal["float", "int", "str", "bool"]
Role = Literal["numeric", "network", "step", "length"]

NETWORKS = ("softmax", "dense", "mlp", "cnn")


@dataclass(frozen=True, slots=True)
class Hyperparameter:
    """One hyperparameter.

    Attributes:
        name: its name in configurations.
        kind: its type.
        default: its value where a configuration is silent.
        role: ``numeric`` values enter the compiled step as tensors; ``network`` values shape the network and ``step``
            values the training step, so both compile again; ``length`` only sets how many steps are taken.
        help: one line for users.
        lower: least value allowed, None for no bound.
        upper: greatest value allowed, None for no bound.
        open_lower: whether `lower` itself is excluded.
        open_upper: whether `upper` itself is excluded.
        choices: the values allowed, where they can be listed.
        models: the built-in models that use it; models of users may use all.
    """

    name: str
    kind: Kind
    default: Value
    role: Role
    help: str
    lower: float | None = None
    upper: float | None = None
    open_lower: bool = False
    open_upper: bool = False
    choices: tuple[str, ...] = ()
    models: tuple[str, ...] = NETWORKS

    @property
    def numeric(self) -> bool:
        """Whether changing the value compiles nothing."""
        return self.role in ("numeric", "length")

    def problem(self, value: Value) -> str | None:
        """What is wrong with a value, in words that say what is allowed; None if nothing is.

        >>> Hyperparameter("momentum", "float", 0.0, "numeric", "share of the last update", 0, 1).problem(1.5)
        'must be a number from 0 to 1'
        """
        if self._allowed(value):
            return None
        return f"must be {self.allowed}"

    @property
    def allowed(self) -> str:
        """What is allowed, in words."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        if self.kind == "bool":
            return "true or false"
        noun = {"float": "a number", "int": "a whole number", "str": "a word"}[self.kind]
        if self.lower is None:
            return noun
        if self.upper is None:
            return f"{noun} {'above' if self.open_lower else 'of at least'} {self.lower:.12g}"
        if self.open_lower or self.open_upper:
            low = "above" if self.open_lower else "at least"
            return f"{noun}, {low} {self.lower:.12g} and {'below' if self.open_upper else 'at most'} {self.upper:.12g}"
        return f"{noun} from {self.lower:.12g} to {self.upper:.12g}"

    def _allowed(self, value: Value) -> bool:
        if self.kind == "bool":
            return isinstance(value, bool)
        if self.kind == "str":
            return isinstance(value, str) and (not self.choices or value in self.choices)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        if not isfinite(value) or (self.kind == "int" and value != int(value)):
            return False
        low = self.lower is None or (value > self.lower if self.open_lower else value >= self.lower)
        high = self.upper is None or (value < self.upper if self.open_upper else value <= self.upper)
        return low and high
