"""The lowest of a growing set of losses, in logarithmic time; for ``asha`` and ``median``."""

import heapq

Entry = tuple[float, int]
"""Loss and trial number: equal losses are in order of trial numbers."""


class Lowest:
    """Losses that come one after the other, cut into the lowest few and the others.

    Adding one takes O(log n) time as long as the cut moves by few entries at a time.
    """

    def __init__(self) -> None:
        self._low: list[Entry] = []  # as a heap with the highest on top: both numbers negated
        self._high: list[Entry] = []

    def __len__(self) -> int:
        return len(self._low) + len(self._high)

    def add(self, loss: float, trial: int, count: int) -> int | None:
        """Add a loss, and make the lowest ``count`` the low ones.

        Args:
            loss: a number, not NaN.
            trial: whose.
            count: at most one more than the last time, at most the number of losses.

        Returns:
            The trial that is now among the low ones and was not before, if any.
        """
        entry = loss, trial
        if self._low and entry < self.highest:
            heapq.heappush(self._low, (-loss, -trial))
            entered: int | None = trial
            if len(self._low) > count:
                highest = heapq.heappop(self._low)
                heapq.heappush(self._high, (-highest[0], -highest[1]))
        else:
            heapq.heappush(self._high, entry)
            entered = None
        if len(self._low) < count:
            lowest = heapq.heappop(self._high)
            heapq.heappush(self._low, (-lowest[0], -lowest[1]))
            entered = lowest[1]
        return entered

    @property
    def highest(self) -> Entry:
        """The highest of the low ones."""
        loss, trial = self._low[0]
        return -loss, -trial

    @property
    def next(self) -> Entry:
        """The lowest of the others."""
        return self._high[0]
