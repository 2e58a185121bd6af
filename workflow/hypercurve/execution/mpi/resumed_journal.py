"""The journal of a run that goes on from before the journal's end: what is there already is compared, not written again."""

from collections.abc import Sequence
from dataclasses import replace

from ...events.encoding import RawLine
from ...events.events import Failed
from ...events.journal import Journal, check_line, decode
from ...events.lines import EventLine, Line, Wall


class ResumedJournal:
    """Takes the lines of a run of which the journal may hold some already.

    Args:
        journal: where new lines go; None on ranks that only follow.
        lines: what the journal held at the start, on all ranks.
        done: how many of these are folded already.

    Attributes:
        count: how many lines there have been so far.
    """

    def __init__(self, journal: Journal | None, lines: Sequence[RawLine], done: int):
        self._journal, self._lines = journal, lines
        self._name = "journal" if journal is None else str(journal.path)
        self.count = done

    def written(self) -> Line | None:
        """The line that must come next, if it was written before."""
        if self.count >= len(self._lines):
            return None
        return decode(self._lines[self.count], f"{self._name}:{self.count + 1}")

    def wall(self, wall: Wall) -> Wall:
        """The wall-clock part of the next line: as it was the first time, since budgets in seconds go by it."""
        line = self.written()
        return wall if line is None else line.wall

    def add(self, line: Line) -> None:
        """Compare a line with what is there, or have the next :meth:`flush` write it.

        Raises:
            JournalError: what was journalled came out different.
        """
        before = self.written()
        self.count += 1
        if self._journal is None:
            return
        if before is None:
            self._journal.add(line)
            return
        match line, before:
            case EventLine(Failed() as event), EventLine(Failed(reason=reason)):
                line = line._replace(
                    event=replace(event, reason=reason)
                )  # an exception's text may be another every time
        why = "training again (with other libraries? on another kind of machine?) led"
        check_line(line, self._lines[self.count - 1], f"{self._name}:{self.count}", why)

    def flush(self) -> None:
        """Hand new lines to the operating system."""
        if self._journal is not None:
            self._journal.flush()
