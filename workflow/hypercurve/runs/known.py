"""Known trainings: what was recorded of a training belongs to the training, not to the run that asked for it.

A training is known by what is trained, on which data and under which settings (:mod:`hypercurve.config.identity`), by its
configuration, and by its seeds. Whatever the results folder of an experiment has recorded of it, in journals and batches of
any method, finished or not, superseded or not, is used and not trained again.
"""

import json
import tarfile
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from ..events import networks
from ..events.encoding import decode_line
from ..events.events import Completed, Copy, Event, Failed, Reported, Start
from ..events.journal import UNREADABLE, whole_lines
from ..events.lines import BatchHeader, EventLine, Line, RunHeader, Tested, Wall
from ..util.errors import UserError
from ..util.files import LARGEST
from .trial import Trial

EVERY = 1.0
"""Seconds after which files are looked at again, at the earliest."""
SHARE = 100
"""Looking takes at most one second in so many."""

FAILED = ".failed.jsonl"
"""How names end of journals whose failures are no facts, since they are to be tried again."""

Curve = list[tuple[float, Mapping[str, float]]]


class KnownReport(NamedTuple):
    """One report, completion or failure of a training.

    Attributes:
        event: what happened; its trial number is that of the run that recorded it.
        wall: the part of its line that may differ between equal runs.
        source: the run that recorded it, such as ``random/0``.
    """

    event: Event
    wall: Wall
    source: str


class KnownTrainings:
    """The known trainings of a run.

    Args:
        output: the run's journal; what the run itself has recorded is looked at first.
        header: of the run: what it trains, and from which seeds.
        further: other results folders, and archives, to look at.
        others: whether other runs are looked at; without, only what this run itself has recorded is known.
    """

    def __init__(
        self,
        output: Path,
        header: RunHeader,
        *,
        further: Sequence[Path] = (),
        others: bool = True,
    ):
        self._output, self._repeat = output, header.repeat
        self._kind = header.training, header.seed, header.repeat
        self._others, self._own = others, _source_of(output)
        self._next = 0.0  # when to look again
        self._seen: dict[Path, tuple[int, int]] = {}  # by file: size and time of its last change
        self._reports: dict[str, dict[float, KnownReport]] = {}  # by trial number and configuration
        self._tests: dict[str, Mapping[str, float]] = {}
        self._networks: dict[str, dict[Path, Wall]] = {}  # by journals whose last lines name them
        self.processors: set[Any] = set()
        """Names of those that trained what is known."""
        self.used: dict[str, set[int]] = {}
        """By source: the trials whose reports were taken from there."""
        for place in further:
            self._take_place(place)
        self.refresh()

    def refresh(self) -> None:
        """Look for what has been recorded since the last time: runs that go on beside this one add to it."""
        began = time.monotonic()
        for path in self._files():
            try:
                status = path.stat()
            except OSError:
                continue  # moved or deleted meanwhile
            if self._seen.get(path) != (status.st_size, status.st_mtime_ns):
                self._seen[path] = status.st_size, status.st_mtime_ns
                try:
                    content = path.read_bytes()
                except OSError:
                    continue
                self._take(content, _source_of(path), path)
        self._next = time.monotonic() + max(EVERY, SHARE * (time.monotonic() - began))

    def report(self, trial: Trial, progress: float) -> KnownReport | None:
        """What a training is known to have reported at a point, or None."""
        key = _key(trial.draws, trial.configuration)
        known = self._reports.get(key, {}).get(progress)
        if known is None and time.monotonic() >= self._next:
            self.refresh()
            known = self._reports.get(key, {}).get(progress)
        if known is None:
            return None
        repeated = known.event.trial != trial.number
        known = known._replace(event=replace(known.event, trial=trial.number))
        if known.source == self._own and not repeated:
            return known
        source = known.wall.reused or known.source
        self.used.setdefault(source, set()).add(trial.number)
        return known._replace(wall=known.wall._replace(at=time.time(), reused=source))

    def add(self, trial: Trial, event: Event, wall: Wall) -> None:
        """Take a report of the run itself, for trials that repeat its training."""
        found = KnownReport(event, wall, self._own)
        self._reports.setdefault(_key(trial.draws, trial.configuration), {}).setdefault(event.progress, found)

    def ahead(self, trial: Trial, points: Sequence[float]) -> tuple[Curve, bool]:
        """What is known of a training without a gap.

        Args:
            points: where it reports, in order.

        Returns:
            Its curve, and whether it is known to its end.
        """
        known = self._reports.get(_key(trial.draws, trial.configuration), {})
        curve: Curve = []
        for point in points:
            report = known.get(point)
            if report is None:
                return curve, False
            if isinstance(report.event, Failed):
                return curve, True
            assert isinstance(report.event, Reported | Completed)
            curve.append((point, report.event.metrics))
        return curve, True

    def test(self, trial: Trial) -> Mapping[str, float] | None:
        """A trained network's metrics on the test part, if they are known."""
        return self._tests.get(_key(trial.draws, trial.configuration))

    def network(self, trial: Trial) -> Path | None:
        """The file of a trained network, if another run or a batch has kept it."""
        named = self._networks.get(_key(trial.draws, trial.configuration), {})
        found = (networks.located(networks_beside(path), wall.network) for path, wall in named.items())
        return next((path for path in found if path is not None), None)

    def _files(self) -> Iterator[Path]:
        run = self._output.parent
        yield from _journals(run, self._output.stem)
        if self._others and run.parent.parent.name == "runs":
            for other in sorted(run.parent.parent.glob(f"*/{self._repeat}")):
                if other != run:
                    yield from _journals(other)

    def _take_place(self, place: Path) -> None:
        """Take what another results folder, or an archive, has recorded of the same repeat."""
        if place.is_dir():
            for folder in sorted(place.rglob(str(self._repeat))):
                if folder.parent.parent.name == "runs":
                    for path in _journals(folder):
                        self._take(path.read_bytes(), f"{place}: {_source_of(path)}", path)
        elif place.is_file():
            try:
                with tarfile.open(place) as archive:
                    for member in archive:
                        path = Path(member.name)
                        if path.suffix == ".jsonl" and path.parent.name == str(self._repeat):
                            file = archive.extractfile(member)
                            if file is not None:
                                if member.size > LARGEST:
                                    raise UserError(f"reuse: {place}: {member.name[:200]}: is larger than a journal")
                                self._take(file.read(), f"{place}: {_source_of(path)}")
            except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
                raise UserError(f"reuse: {place}: is no archive of results: {error}") from None
        else:
            raise UserError(f"reuse: {place}: there is no such folder or archive")

    def _take(self, content: bytes, source: str, path: Path | None = None) -> None:
        """Take what a journal, or a batch, says of trainings like ours; what is damaged or of something else is left."""
        lines = self._decoded(content)
        first = next(lines, None)
        if not isinstance(first, RunHeader | BatchHeader) or (first.training, first.seed, first.repeat) != self._kind:
            return
        self.processors.add((first.wall.origin or {}).get("processor"))
        again = path is not None and path.name.endswith(FAILED)
        keys: dict[int, str] = {}
        for line in chain([first], lines):
            match line:
                case Tested(trial, metrics, wall) if trial in keys:
                    self._tests.setdefault(keys[trial], metrics)
                    if path is not None and wall.network is not None:
                        self._networks.setdefault(keys[trial], {})[path] = wall
                case EventLine(Failed()) if again:
                    continue
                case EventLine(Reported() | Completed() | Failed() as event, wall) if event.trial in keys:
                    key = keys[event.trial]
                    self._reports.setdefault(key, {}).setdefault(event.progress, KnownReport(event, wall, source))
                    if wall.test is not None:
                        self._tests.setdefault(key, wall.test)
            for action in () if isinstance(line, Tested | BatchHeader) else line.actions:
                if isinstance(action, Start):
                    keys[action.trial] = _key(action.trial, action.configuration)
                elif isinstance(action, Copy):  # what follows is no training of its configuration
                    keys.pop(action.trial, None)

    @staticmethod
    def _decoded(content: bytes) -> Iterator[Line]:
        """The lines up to the first that makes no sense."""
        for raw in whole_lines(content):
            try:
                yield decode_line(raw)
            except UNREADABLE:
                return


def _key(number: int, configuration: Mapping[str, Any]) -> str:
    """What tells a training from others of its kind and repeat: its number, from which its seeds follow, and its values."""
    return f"{number} {json.dumps(configuration, sort_keys=True)}"


def _journals(run: Path, stem: str = "journal") -> Iterator[Path]:
    """All that a run has recorded: its journal, its batches, and what these superseded."""
    yield from sorted([*run.glob(f"{stem}.*jsonl"), *run.glob(f"{networks.HISTORY}/{stem}.*jsonl")])
    yield from sorted([*run.glob("batches/*.jsonl"), *run.glob(f"batches/{networks.HISTORY}/*.jsonl")])


def networks_beside(journal: Path) -> Path:
    """Where the network of a journal's best trial is: beside it, but that of a batch in a folder of its own."""
    folder = journal.parent.parent if journal.parent.name == networks.HISTORY else journal.parent
    return folder / f"{journal.name.split('.')[0]}.best" if folder.name == "batches" else folder


def _source_of(path: Path) -> str:
    """A journal's run, such as ``random/0``."""
    parts = path.parts
    at = len(parts) - 1 - parts[::-1].index("runs") if "runs" in parts else len(parts) - 4
    return "/".join(parts[at + 1 : at + 3])
