"""Journals that are written beside where they will be, so that a run which was killed goes on."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..events.encoding import differences_of_headers, source_of
from ..events.journal import Journal
from ..events.lines import Header
from ..util.files import write_text
from ..util.provenance import code_digest, source_digest

PATIENCE = 60.0
"""Seconds to wait for another process to end that writes the same journal: a job that Slurm is still ending."""


@contextmanager
def resumable(output: Path, header: Header) -> Iterator[Journal]:
    """A journal that is written beside ``output`` and takes its place when it is complete.

    Snakemake deletes the outputs of a job that failed or was killed; what is to be resumed must not be one. A journal
    that other settings, data or code began is of no use: it is emptied, and the run begins anew. All that is done to the
    files is done while the journal is locked.

    Args:
        header: the first line of a journal worth going on with, before anything is decided.
    """
    partial = output.with_name(output.stem + ".partial" + output.suffix)
    code = code_digest("runs")
    note = partial.with_suffix(".code")
    was_there = output.exists()
    journal = Journal(partial, PATIENCE)  # nothing is decided or changed before it is locked
    if not journal.lines and output.exists() and not was_there:  # completed by the process that was writing it
        output.replace(partial)
        journal.close()
        journal = Journal(partial, PATIENCE)
    with journal:
        if journal.lines:
            # A first line that is no header at all is damage, which folding the journal will name; it stays.
            changed = differences_of_headers(header, journal.lines[0])
            # What was completed has no note, but its first line says which source made it.
            if (note.read_text() != code) if note.exists() else (source_of(journal.lines[0]) != source_digest()):
                changed.append("code")
            if changed:
                print(f"{partial}: begun with other {', '.join(changed)}; beginning anew", file=sys.stderr)
                journal.clear()
            else:
                print(f"{partial}: going on after line {len(journal.lines)}", file=sys.stderr)
        write_text(note, code)
        yield journal
        journal.check_place()
        note.unlink(missing_ok=True)
        partial.replace(output)
