"""The journal of a run that goes on from before the journal's end: what is there already is compared, not written again."""

from collections.abc import Mapping, Sequence
from typing import Any

from ...events.journal import Journal, Line, check_line


class RetracedJournal:
    """Takes the lines of a run of which the journal may hold some already.

    Args:
        journal: where new lines go; None on ranks that only follow.
        lines: what the journal held at the start, on all ranks.
        done: how many of these are folded already.

    Attributes:
        count: how many lines there have been so far.
    """

    def __init__(self, journal: Journal | None, lines: Sequence[Line], done: int):
        self._journal, self._lines = journal, lines
        self.count = done

    def ahead(self) -> Line | None:
        """The line that must come next, if it was written before."""
        return self._lines[self.count] if self.count < len(self._lines) else None

    def wall(self, wall: Mapping[str, Any]) -> Mapping[str, Any]:
        """The wall-clock part of the next line: as it was the first time, since budgets in seconds go by it."""
        line = self.ahead()
        return wall if line is None else line.get("wall", {})

    def take(self, line: Line) -> None:
        """Compare a line with what is there, or have the next :meth:`flush` write it.

        Raises:
            JournalError: what was journalled came out different.
        """
        before = self.ahead()
        self.count += 1
        if self._journal is None:
            return
        if before is None:
            self._journal.add(line)
        else:
            where = f"{self._journal.path}:{self.count}"
            if line["event"] == before["event"] == "failed":
                line = {**line, "reason": before["reason"]}  # an exception's text may be another every time
            check_line(line, before, where, "training again (with other libraries? on another kind of machine?) led")

    def flush(self) -> None:
        """Hand new lines to the operating system."""
        if self._journal is not None:
            self._journal.flush()
