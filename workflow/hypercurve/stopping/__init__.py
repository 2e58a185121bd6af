"""Stoppers: which trials go on. Pure; see :mod:`hypercurve.scheduling`."""

from ..config import Setting
from . import brackets
from .asha import AshaPromotion, AshaStopping
from .base import Decision, Stopper
from .halving import SuccessiveHalving
from .lcm import LearningCurveMatching
from .median import MedianStopping
from .patience import Patience

__all__ = ["Decision", "Stopper", "make_stopper"]


def make_stopper(setting: Setting) -> Stopper | None:
    """The stopper that a method names, or None."""
    if setting.stop is None:
        return None
    options, trials, points = setting.stop.options, setting.trials, setting.training.accumulation_points
    match setting.stop.kind:
        case "lcm":
            return LearningCurveMatching(
                configurations=_configurations(setting),
                stopping_rate=options.stopping_rate,
                split=options.split,
                check_points=options.check_points,
                accumulation_points=points,
                distance=options.distance,
                mode=setting.objective.mode,
            )
        case "halving":
            bracket = brackets.halving(
                _configurations(setting), len(points), options.reduction_factor, options.first(len(points))
            )
            return SuccessiveHalving([bracket], points, trials)
        case "hyperband":
            return SuccessiveHalving(brackets.hyperband(len(points), options.reduction_factor), points, trials)
        case "fixed":
            bracket = brackets.fixed(_configurations(setting), points.index(options.share) + 1, options.keep)
            return SuccessiveHalving([bracket], points, trials)
        case "asha":
            numbers = brackets.rung_points(len(points), options.reduction_factor, options.first(len(points)))
            rungs = [points[k - 1] for k in numbers]
            if options.form == "promotion":
                return AshaPromotion(rungs, options.reduction_factor, trials)
            return AshaStopping(rungs, options.reduction_factor)
        case "median":
            return MedianStopping(points, options.first(len(points)), options.warmup)
        case "patience":
            return Patience(points, options.wait(len(points)), options.margin)
        case kind:
            raise NotImplementedError(f"stopper {kind}")


def _configurations(setting: Setting) -> int:
    """n: as given, or the number of trials."""
    assert setting.stop is not None
    configurations = setting.stop.options.configurations or setting.trials
    assert configurations is not None, "checked with the experiment"
    return int(configurations)
