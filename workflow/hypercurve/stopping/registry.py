"""The stoppers that experiments can name: a line for each."""

from .asha import Asha
from .budget_halving import BudgetHalving
from .fixed import Fixed
from .halving import Halving
from .hyperband import Hyperband
from .lcm import LearningCurveMatching
from .median import MedianStopping
from .patience import Patience
from .stopper import Stopper

STOPPERS: dict[str, type[Stopper]] = {
    "lcm": LearningCurveMatching,
    "halving": Halving,
    "hyperband": Hyperband,
    "asha": Asha,
    "median": MedianStopping,
    "fixed": Fixed,
    "patience": Patience,
    "budget_halving": BudgetHalving,
}
RENAMED = {"matching": "budget_halving"}
"""Names that stoppers had, and what they are called now."""
