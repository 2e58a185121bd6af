"""Journals that are written beside where they will be, so that a run which was killed goes on, and that are never lost.

::

    journal.partial.jsonl      while the run goes on
    journal.jsonl              the finished run
    history/journal.3.jsonl    what was finished or superseded, oldest first; the newest may be the finished run itself
    history/journal.4.failed.jsonl    what is not gone on with, since its failures are tried again; all else in it is known

Snakemake deletes the outputs of a job before it runs again. So a finished journal also has a name in ``history``, which no
rule declares: what Snakemake deletes is taken from there again, if it is still of use.
"""

import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from filecmp import cmp
from pathlib import Path

from ..events import networks
from ..events.encoding import differences_of_headers, event_of, network_of
from ..events.journal import Journal, JournalError, first_line, read_lines, whole_lines
from ..events.lines import Header
from ..util.files import check_plain, drop_unfinished, linked
from .failures import Hopeless
from .known import FAILED, networks_beside
from .meeting import dissolve

JOINED = "joined"
"""Folder of the files that Snakemake takes for what workers make."""
PATIENCE = 60.0
"""Seconds to wait for another process to end that writes the same journal: a job that Slurm is still ending."""


@contextmanager
def resumable(output: Path, header: Header) -> Iterator[Journal]:
    """A journal that is written beside ``output`` and takes its place when it is complete.

    A journal that other settings, data or code began is kept in ``history``, and the run begins anew; if ``history`` holds
    one that these began, the run goes on from that. All that is done to the files is done while the journal is locked.

    A run that ends with :class:`Hopeless` leaves its journal in ``history``, under a name that says so, and is begun anew
    the next time, whether its code was changed or a file that it missed was put there.

    Args:
        header: the first line of a journal worth going on with, before anything is decided.

    Raises:
        UserError: ``output`` names what is no plain file.
        JournalError: the journal is damaged, or another process goes on writing it.
    """
    check_plain(output)
    partial = partial_of(output)
    dissolve(output, partial)
    with Journal(partial, PATIENCE) as journal:  # nothing is decided or changed before it is locked
        begin(journal, output, header)
        try:
            yield journal
        except Hopeless:
            put_aside(output)
            raise
        journal.check_place()
        end(output)


def begin(journal: Journal, output: Path, header: Header) -> None:
    """What :func:`resumable` does first: keep what other settings began, and go on with what these did.

    Args:
        journal: open beside ``output``.
        output: the finished journal's place.
        header: as there.
    """
    partial = journal.path
    changed = differences_of_headers(header, journal.lines[0]) if journal.lines else []
    if changed:
        kept = _next(output)
        shutil.copyfile(partial, kept)  # and no second name: it is emptied next
        print(f"{partial}: begun with other {', '.join(changed)}; kept as {kept}{_hint(changed)}", file=sys.stderr)
        journal.clear()
    if journal.lines:
        print(f"{partial}: going on after line {len(journal.lines)}", file=sys.stderr)
        return
    if output.exists():
        kept = keep(output, output)
        line = first_line(output)
        if line is not None and (changed := differences_of_headers(header, line)):
            said = f"made with other {', '.join(changed)}; kept as {kept}{_hint(changed)}"
            print(f"{output}: {said}", file=sys.stderr)
    found, network = _finished(output, header)
    networks.replace_by(networks_beside(output), network)
    if found is not None:
        journal.take(found)
        said = "its journal is there already" if found == output else f"taken from {found}"
        print(f"{output}: {said}; what it holds is not trained again", file=sys.stderr)


def put_aside(output: Path) -> None:
    """Keep the journal of a run whose failures are no facts: they are tried again."""
    partial_of(output).rename(_failed(_next(output)))
    for batch in sorted((output.parent / "batches").glob("*.jsonl")):
        forget_failures(batch)


def end(output: Path) -> None:
    """Give the journal of a complete run its place, and a name in ``history``."""
    partial = partial_of(output)
    keep(partial, output)
    partial.replace(output)


def partial_of(output: Path) -> Path:
    """The journal while its run goes on."""
    return output.with_name(f"{output.stem}.partial{output.suffix}")


def history(output: Path) -> list[Path]:
    """What was finished or superseded, oldest first."""
    found = (output.parent / networks.HISTORY).glob(f"{output.stem}.*{output.suffix}")
    return [
        path for number, path in sorted((_number(path), path) for path in found) if path.stem.count(".") == 1 and number
    ]


def keep(journal: Path, output: Path) -> Path:
    """Give a journal a name in ``history``, without a copy where the file system can."""
    for path in history(output):
        if cmp(path, journal, shallow=False):
            return path
    kept = _next(output)
    linked(journal, kept)
    return kept


def restart(output: Path) -> list[Path]:
    """Put a run's journal, finished or not, aside, so that the run begins anew; its trainings stay known.

    Returns:
        The names that the journals have now.
    """
    for path in (output, partial_of(output)):
        if path.exists():
            keep(path, output)
            path.unlink()
    shutil.rmtree(output.with_name(JOINED), ignore_errors=True)
    aside = {path: path.with_name(f"{path.stem}.aside{path.suffix}") for path in history(output)}
    for path, name in aside.items():  # under another name, so that the next run does not take it again
        path.rename(name)
    return [*aside.values()]


def forget_failures(output: Path) -> list[Path]:
    """Put what a run, or a batch, has recorded aside where trials failed in it, so that these are tried again.

    Returns:
        The names that the journals have now.
    """
    for path in (output, partial_of(output)):
        if path.exists() and _has_failures(path):
            keep(path, output)
            path.unlink()
    shutil.rmtree(output.with_name(JOINED), ignore_errors=True)
    aside = [(path, _failed(path)) for path in history(output) if _has_failures(path)]
    for path, name in aside:
        path.rename(name)
    return [name for _, name in aside]


def _has_failures(path: Path) -> bool:
    return any(event_of(line) == "failed" for line in whole_lines(path.read_bytes()))


def _failed(path: Path) -> Path:
    return path.with_name(path.name.removesuffix(path.suffix) + FAILED)


def _hint(changed: Sequence[str]) -> str:
    if not {"model", "rules"} & set(changed):
        return ""
    return ". If the change of the code does not matter, say so: hypercurve check EXPERIMENT.yaml --keep-code"


def _next(output: Path) -> Path:
    folder = output.parent / networks.HISTORY
    folder.mkdir(parents=True, exist_ok=True)
    drop_unfinished(folder / f"{output.stem}.*{output.suffix}")
    number = max(map(_number, folder.glob(f"{output.stem}.*{output.suffix}")), default=0) + 1
    return folder / f"{output.stem}.{number}{output.suffix}"


def _number(path: Path) -> int:
    """The number in a name such as ``journal.3.jsonl``; 0 if there is none."""
    part = path.name.split(".")[1]
    return int(part) if part.isdigit() else 0


def _finished(output: Path, header: Header) -> tuple[Path | None, Mapping[str, str] | None]:
    """The newest journal that was begun with the same settings, data and code, and may have been finished; and its network.

    One that is damaged is passed over, which is said: what it holds before that is known all the same.
    """
    for path in [*([output] if output.exists() else []), *reversed(history(output))]:
        line = first_line(path)
        if line is None or differences_of_headers(header, line):
            continue
        try:
            lines, _ = read_lines(path)
        except JournalError as error:
            print(f"{error}; this journal is not gone on with", file=sys.stderr)
            continue
        return path, network_of(lines[-1]) if lines else None
    return None, None
