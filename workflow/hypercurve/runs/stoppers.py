"""Stoppers: which trials go on. Pure; see :mod:`hypercurve.events.events`."""

from ..config.setting import Setting
from ..curves.cost import Costs
from ..curves.record import Record, RecordError
from ..stopping import brackets
from ..stopping.asha import AshaPromotion, AshaStopping
from ..stopping.budget_halving import BudgetHalving, Prior, library_of
from ..stopping.halving import SuccessiveHalving
from ..stopping.lcm import LearningCurveMatching
from ..stopping.median import MedianStopping
from ..stopping.patience import Patience
from ..stopping.quotas import chosen_of, probed_of, rungs_of
from ..stopping.ranking import Matcher
from ..stopping.stopper import Stopper

COST = 0.15
"""What the stopper ``budget_halving`` may spend where neither it nor the budget says: a share of full training."""


def make_stopper(
    setting: Setting, record: Record | None = None, prior: Prior | None = None, costs: Costs | None = None
) -> Stopper | None:
    """The stopper that a method names, or None.

    Args:
        record: earlier experiments, where the method has them.
        prior: what they say about the trials.
        costs: what configurations cost to train.
    """
    if setting.stop is None:
        return None
    options, trials, points = setting.stop.options, setting.starters, setting.training.accumulation_points
    match setting.stop.kind:
        case "lcm":
            return LearningCurveMatching(
                configurations=_configurations(setting),
                stopping_rate=_stopping_rate(setting, record),
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
        case "budget_halving":
            cost = cost_of(setting)
            return BudgetHalving(
                trials=min(_configurations(setting), trials or _configurations(setting)),
                points=points,
                space=setting.space,
                cost=cost,
                views=options.views,
                matcher=Matcher(**options.match.model_dump()),
                split=options.split,
                prior=prior,
                library=None if record is None else library_of(record, points, cost),
                guard=options.guard,
                **({} if costs is None else {"cost_of": costs.of}),
            )
        case kind:
            raise NotImplementedError(f"stopper {kind}")


def _stopping_rate(setting: Setting, record: Record | None) -> float:
    """s: as given, or as the record has it."""
    assert setting.stop is not None
    if not setting.calibrates:
        return float(setting.stop.options.stopping_rate)
    if record is None or record.calibration is None:
        raise RecordError(f"{setting.method}: its record has no stopping rate: prepare it again (`hypercurve record`)")
    return record.calibration.stopping_rate


def _configurations(setting: Setting) -> int:
    """n: as given, or the number of trials."""
    assert setting.stop is not None
    configurations = setting.stop.options.configurations or setting.starters
    assert configurations is not None, "checked with the experiment"
    return int(configurations)


def cost_of(setting: Setting) -> float:
    """What the stopper ``budget_halving`` may spend, as a share of full training."""
    assert setting.stop is not None
    return float(setting.stop.options.cost or setting.budget.cost or COST)


def preselected(setting: Setting) -> tuple[int, int]:
    """How many trials a record chooses, and how many others are trained to the first rung to test it."""
    trials = setting.trials
    assert trials is not None, "checked with the experiment"
    if setting.stop is None or setting.stop.kind != "budget_halving":
        starters = setting.starters
        assert starters is not None
        return starters, 0
    if setting.preselect is not None:
        chosen = max(1, round(setting.preselect * trials))
    else:
        chosen = chosen_of(trials, setting.training.accumulation_points, cost_of(setting))
    return chosen, probed_of(trials, chosen)


def first_rung(setting: Setting) -> float:
    """Share of training at which trials are compared first, for the forecast of a record."""
    points = setting.training.accumulation_points
    budget_halving = setting.stop is not None and setting.stop.kind == "budget_halving"
    rungs = rungs_of(points, cost_of(setting) if budget_halving else COST)
    return rungs[0] if rungs else points[-1]
