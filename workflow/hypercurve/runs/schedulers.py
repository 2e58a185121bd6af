"""From a method's setting to its scheduler. Pure."""

from ..config.cost import CostModel
from ..config.setting import Setting
from ..curves.cost import Costs
from ..curves.record import Record
from ..curves.table import Curves
from ..events.events import Scheduler
from ..population.scheduler import PopulationScheduler
from ..search.preselection import Preselection
from ..stopping.budget_halving import BudgetHalving
from .searchers import make_searcher
from .stoppers import first_rung, make_stopper, preselected
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
    searcher = make_searcher(setting, repeat, curves)
    if record is None or setting.calibrates:
        stopper = make_stopper(setting, record, costs=costs)
    else:
        assert setting.trials is not None, "checked with the experiment"
        chosen, probed = preselected(setting)
        preselection = Preselection(
            searcher,
            setting.trials,
            setting.space,
            record,
            share=first_rung(setting),
            chosen=chosen,
            probed=probed,
            only=setting.starters != setting.trials,
        )
        stopper = make_stopper(setting, record, preselection, costs)
        if isinstance(stopper, BudgetHalving) and not stopper.guarded:
            stopper = make_stopper(setting, record, costs=costs)
        else:
            searcher = preselection
    return TrialScheduler(
        searcher,
        stopper,
        slots=setting.slots,
        trials=setting.trials,
        objective=setting.objective.key,
        can_start=stopper.can_start if isinstance(stopper, BudgetHalving) else None,
    )


def _as_recorded(setting: Setting, curves: Curves) -> Setting:
    """A setting for recorded trials: their space, and no more trials than there are, for whom others would wait."""
    budget = setting.budget
    if budget.trials is not None:
        budget = budget.model_copy(update={"trials": min(budget.trials, len(curves))})
    return setting.model_copy(update={"space": curves.space, "budget": budget})
