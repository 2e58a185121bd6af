"""From a method's setting to its scheduler. Pure."""

from dataclasses import replace

from ..config.cost import CostModel
from ..config.setting import Setting
from ..curves.cost import Costs
from ..curves.record import Record
from ..curves.table import Curves
from ..events.events import Scheduler
from ..population.scheduler import PopulationScheduler
from ..search.preselection import Preselection
from ..search.recorded import RecordedSearch
from ..search.searcher import SearchContext, Searcher
from ..stopping.stopper import StopContext, StopOptions, Stopper
from ..util.errors import UserError
from .own_rules import OwnSearcher, OwnStopper
from .trial_scheduler import TrialScheduler


def make_scheduler(
    setting: Setting, repeat: int, samples: int, curves: Curves | None = None, record: Record | None = None
) -> Scheduler:
    """The scheduler of a method."""
    if setting.population is not None:
        return PopulationScheduler(setting, repeat, CostModel(setting.model, setting.cost, samples))
    costs: Costs = CostModel(setting.model, setting.cost, samples) if curves is None else curves
    if curves is not None:
        setting = _as_recorded(setting, curves)
        _check_judged(setting, curves)
    searcher = make_searcher(setting, repeat, curves)
    context = replace(stop_context(setting), cost_of=costs.of, record=record)
    stopper = None
    if record is not None and not setting.calibrates:
        prior = _preselection(setting, searcher, context, record)
        stopper = make_stopper(setting, replace(context, prior=prior))
        if stopper is None or stopper.takes_prior:
            searcher = prior
        else:
            stopper = None
    return TrialScheduler(
        searcher,
        stopper or make_stopper(setting, context),
        slots=setting.slots,
        trials=setting.trials,
        objective=setting.objective.key,
        curve=setting.judged,
    )


def make_searcher(setting: Setting, repeat: int, curves: Curves | None = None) -> Searcher:
    """The searcher that a method names.

    Args:
        curves: the recorded trainings that a replay searches, in the order in which they arrive.
    """
    assert setting.search is not None
    if curves is not None:
        return RecordedSearch(curves.configurations)
    context = SearchContext(setting.space, setting.objective.mode, setting.seed, repeat, setting.trials)
    search = setting.search
    if search.is_own:
        return OwnSearcher(search.kind, search.rule, search.options, context)
    return search.rule(search.options, context)


def make_stopper(setting: Setting, context: StopContext) -> Stopper | None:
    """The stopper that a method names, or None."""
    stop = setting.stop
    if stop is None:
        return None
    if stop.is_own:
        return OwnStopper(stop.kind, stop.rule, stop.options, context)
    return stop.rule.build(stop.options, context)


def stop_context(setting: Setting) -> StopContext:
    """What a stopper may know of its run, as far as the setting says it."""
    return StopContext(
        points=setting.training.accumulation_points,
        trials=setting.starters,
        mode=setting.objective.mode,
        space=setting.space,
        cost=setting.budget.cost,
        method=setting.method,
    )


def _preselection(setting: Setting, searcher: Searcher, context: StopContext, record: Record) -> Preselection:
    """Trials in the order that a record predicts."""
    assert setting.trials is not None, "checked with the experiment"
    rule, options = (Stopper, StopOptions()) if setting.stop is None else (setting.stop.rule, setting.stop.options)
    chosen, probed = rule.preselected(options, context, setting.preselect)
    return Preselection(
        searcher,
        setting.trials,
        setting.space,
        record,
        share=rule.first_rung(options, context),
        chosen=chosen,
        probed=probed,
        only=setting.starters != setting.trials,
    )


def _check_judged(setting: Setting, curves: Curves) -> None:
    """What is judged must have been recorded.

    Raises:
        UserError: no training reported it before its end.
    """
    before = [
        report for curve in curves.curves for report in curve.reports[: -1 if curve.outcome == "completed" else None]
    ]
    names = {name: None for report in before for name in report}
    if (setting.stop is not None or setting.record) and names and setting.judged.metric not in names:
        raise UserError(
            f"{curves.name}: {setting.method} compares {setting.judged.metric}, which was not recorded on the way; name "
            f"with `curve` what was: {', '.join(names)}"
        )


def _as_recorded(setting: Setting, curves: Curves) -> Setting:
    """A setting for recorded trials: their space, and no more trials than there are, for whom others would wait."""
    budget = setting.budget
    if budget.trials is not None:
        budget = budget.model_copy(update={"trials": min(budget.trials, len(curves))})
    return setting.model_copy(update={"space": curves.space, "budget": budget})
