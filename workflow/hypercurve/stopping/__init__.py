"""Stoppers: which trials go on. Pure; see :mod:`hypercurve.scheduling`."""

from ..config import Setting
from .base import Decision, Stopper
from .lcm import LearningCurveMatching

__all__ = ["Decision", "Stopper", "make_stopper"]


def make_stopper(setting: Setting) -> Stopper | None:
    """The stopper that a method names, or None."""
    if setting.stop is None:
        return None
    match setting.stop.kind:
        case "lcm":
            lcm = setting.stop.options
            configurations = lcm.configurations or setting.trials
            assert configurations is not None, "checked with the experiment"
            return LearningCurveMatching(
                configurations=configurations,
                stopping_rate=lcm.stopping_rate,
                split=lcm.split,
                check_points=lcm.check_points,
                accumulation_points=setting.training.accumulation_points,
                distance=lcm.distance,
                mode=setting.objective.mode,
            )
        case kind:
            raise NotImplementedError(f"stopper {kind}")
