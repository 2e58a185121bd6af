"""Searchers and stoppers of users, whose faults are told in the users' terms."""

from collections.abc import Callable, Iterable, Sequence
from numbers import Real
from typing import Any, TypeVar

from typing_extensions import override

from ..search.searcher import SearchContext, Searcher
from ..space.search_space import Configuration
from ..stopping.stopper import Decision, StopContext, Stopper
from ..util.errors import UserError
from ..util.user_code import told

_Result = TypeVar("_Result")


def _call(where: str, function: Callable[..., _Result], *args: Any) -> _Result:
    """Call a user's code.

    Raises:
        UserError: it raises; the message says what, and in which line.
    """
    try:
        return function(*args)
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{where}: {told(error)}") from error


class OwnStopper(Stopper):
    """A user's stopper: what it raises, and what is no decision, ends the run with a message."""

    def __init__(self, name: str, rule: type[Stopper], options: Any, context: StopContext):
        self._name = name
        self._rule = _call(name, rule.build, options, context)
        self.takes_prior = self._rule.takes_prior
        self._paused: set[int] = set()

    @override
    def can_start(self, trial: int) -> bool:
        return bool(self._ask("can_start", None, trial))

    @override
    def on_start(self, trial: int, configuration: Configuration) -> None:
        self._ask("on_start", None, trial, dict(configuration))

    @override
    def on_report(self, trial: int, progress: float, loss: float) -> Decision:
        decision: Decision = self._ask("on_report", Decision, trial, progress, loss)
        if decision is Decision.PAUSE:
            self._paused.add(trial)
        return decision

    @override
    def next_check(self, trial: int, progress: float) -> float:
        return float(self._ask("next_check", Real, trial, progress))

    @override
    def on_complete(self, trial: int, loss: float, performance: float) -> None:
        self._ask("on_complete", None, trial, loss, performance)

    @override
    def on_failure(self, trial: int) -> None:
        self._ask("on_failure", None, trial)

    @override
    def decide_paused(self) -> Sequence[tuple[int, Decision]]:
        found = list(self._ask("decide_paused", Iterable))
        for answer in found:
            match answer:
                case (int(trial), Decision.CONTINUE | Decision.STOP) if trial in self._paused:
                    self._paused.discard(trial)
                case _:
                    said = "which is no pair of a paused trial and CONTINUE or STOP"
                    raise UserError(f"{self._name}: decide_paused returned {answer!r}, {said}")
        return found

    def _ask(self, method: str, kind: Any, *args: Any) -> Any:
        where = f"{self._name}: {method}"
        found = _call(where, getattr(self._rule, method), *args)
        if kind is not None and not isinstance(found, kind):
            raise UserError(f"{where} returned {found!r}, which is no {kind.__name__}")
        return found


class OwnSearcher(Searcher):
    """A user's searcher: what it raises, and what is not in the space, ends the run with a message."""

    def __init__(self, name: str, rule: type[Searcher], options: Any, context: SearchContext):
        self._name, self._space = name, context.space
        self._rule = _call(name, rule, options, context)
        self.independent = rule.independent  # type: ignore[misc]  # of this one

    @override
    def suggest(self, trial: int) -> Configuration | None:
        where = f"{self._name}: suggest"
        found = _call(where, self._rule.suggest, trial)
        if found is not None:
            try:
                self._space.validate_configuration(found)
            except (ValueError, TypeError, AttributeError) as error:
                raise UserError(f"{where} returned {found!r}: {error}") from None
        return found

    @override
    def on_result(self, trial: int, progress: float, performance: float | None, completed: bool) -> None:
        _call(f"{self._name}: on_result", self._rule.on_result, trial, progress, performance, completed)
