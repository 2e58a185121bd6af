"""Grid search: the searcher ``grid``."""

from typing import Annotated

from pydantic import Field
from typing_extensions import override

from ..space.search_space import Configuration, Space
from ..util.schema import Whole
from .searcher import SearchContext, Searcher, SearchOptions


class GridOptions(SearchOptions):
    """Every combination; continuous axes are cut into points."""

    points: Annotated[Whole, Field(ge=1, le=10_000)] = 5
    """Points on each continuous axis that does not name its own number."""

    @override
    def size(self, space: Space) -> int:
        """Number of combinations; one larger than a budget in trials is an error."""
        return space.grid_size(self.points)


class GridSearch(Searcher):
    """Every combination, the last axis fastest; choices give all their values, numbers are cut into points."""

    Options = GridOptions
    examples = ({"points": 3},)
    independent = True

    def __init__(self, options: GridOptions, context: SearchContext):
        super().__init__(options, context)
        self._configurations = context.space.grid(options.points)

    @override
    @classmethod
    def explain(cls, options: GridOptions) -> str:
        return f"Grid search: every combination; continuous axes have {options.points} points or their own number."

    @override
    def suggest(self, trial: int) -> Configuration | None:
        """The grid's configuration with this number; the same in all repeats."""
        return self._configurations[trial] if trial < len(self._configurations) else None
