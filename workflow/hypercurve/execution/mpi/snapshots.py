"""Snapshots of a population on the disk, from which a killed run goes on.

::

    snapshots/120/3.f32            member 3 at evolution step 120: raw float32, a row of weights and slots (rows: members.py)
    snapshots/120/manifest.json    written last: how far the journal was, and digests of all files

There is one every so many evolution steps, another when minutes have passed since the last one, and one when a signal ends
the run. A snapshot exists once its manifest does. Files appear by rename and are forced to the disk before that, so a run
killed at any moment leaves its older snapshots whole; what is damaged all the same is noticed by its digest and passed over.
The last two are kept. Files are by member, not by rank: a run goes on with another number of ranks.

A thread writes the files while training goes on (:class:`Saver`). Their digests travel with later reports, and when rank 0
has all it writes the manifest; so no rank ever waits for a snapshot.
"""

import hashlib
import json
import os
import shutil
from collections import defaultdict, deque
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...events.journal import Journal
from ...util.errors import UserError
from ...util.files import appearing

KEPT = 2
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a snapshot is of.

    Attributes:
        run: what tells the run from others: setting and repeat. (Data are told by the journal's first line.)
        step: the evolution step.
        lines: how many lines the journal had then.
        sizes: lengths of weights and slots.
        digests: SHA-256 of each member's file.
        format: of these files.
    """

    run: Mapping[str, Any]
    step: int
    lines: int
    sizes: tuple[int, int]
    digests: tuple[str, ...]
    format: int = FORMAT


class Snapshots:
    """The snapshots of one run.

    Args:
        folder: where they are; made when there is something to put in.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def write(self, step: int, member: int, rows: npt.NDArray[np.float32]) -> bytes:
        """Write a member's file, forced to the disk.

        Returns:
            Its digest, 32 bytes.
        """
        _write(self._file(step, member), rows.data.cast("B"))
        return hashlib.sha256(rows.data).digest()

    def read(self, manifest: Manifest, member: int) -> npt.NDArray[np.float32] | None:
        """A member's rows, or None when its file is missing or damaged."""
        try:
            raw = self._file(manifest.step, member).read_bytes()
        except OSError:
            return None
        if hashlib.sha256(raw).hexdigest() != manifest.digests[member]:
            return None
        return np.frombuffer(raw, np.float32).reshape(-1, sum(manifest.sizes))

    def publish(self, manifest: Manifest) -> None:
        """Make a snapshot valid whose files are all written, and delete those that are no longer needed."""
        text = json.dumps(asdict(manifest))
        digest = hashlib.sha256(text.encode()).hexdigest()
        folder = self.folder / str(manifest.step)
        _force(folder)  # the names of the files, which other processes have written
        _write(folder / "manifest.json", f'{{"sha256": "{digest}", "manifest": {text}}}\n'.encode())
        _force(folder)
        _force(self.folder)
        steps = [step for step in self._steps() if (self.folder / str(step) / "manifest.json").exists()]
        oldest = sorted(step for step in steps if step <= manifest.step)[-KEPT:][0]
        for step in self._steps():
            if step < oldest:
                _delete(self.folder / str(step))

    def usable(self, run: Mapping[str, Any], lines: int) -> list[Manifest]:
        """Manifests of snapshots of this run, the newest first.

        Args:
            run: what tells the run from others.
            lines: how many lines the journal has; of no use is what is ahead of it.
        """
        found = [manifest for step in self._steps() if (manifest := self._manifest(step)) is not None]
        fitting = [m for m in found if m.run == run and m.lines <= lines and m.format == FORMAT]
        return sorted(fitting, key=lambda manifest: -manifest.step)

    def clear(self) -> None:
        """Delete all."""
        for step in self._steps():
            _delete(self.folder / str(step))
        if self.folder.exists() and not any(self.folder.iterdir()):
            self.folder.rmdir()

    def _manifest(self, step: int) -> Manifest | None:
        try:
            held = json.loads((self.folder / str(step) / "manifest.json").read_bytes())
            content = held["manifest"]
            if hashlib.sha256(json.dumps(content).encode()).hexdigest() != held["sha256"]:
                return None
            return parse(content)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _file(self, step: int, member: int) -> Path:
        return self.folder / str(step) / f"{member}.f32"

    def _steps(self) -> list[int]:
        names = [path.name for path in self.folder.iterdir()] if self.folder.is_dir() else []
        return sorted(int(name) for name in names if name.isdigit())


class Saver:
    """Writes the snapshots of a run in the background.

    Args:
        snapshots: where to.
        run: what tells the run from others.
        members: size of the population.
        journal: on rank 0, which writes the manifests.
    """

    def __init__(self, snapshots: Snapshots, run: Mapping[str, Any], members: int, journal: Journal | None):
        self._snapshots, self._run, self._members, self._journal = snapshots, run, members, journal
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="snapshots")
        self._writing: dict[int, deque[tuple[int, Future[bytes]]]] = defaultdict(deque)  # by member: steps and digests
        self._digests: dict[int, dict[int, str]] = defaultdict(dict)  # by step and member
        self._lines: dict[int, int] = {}  # by step: of the journal
        self._publishing: Future[None] | None = None

    def save(self, step: int, member: int, rows: npt.NDArray[np.float32]) -> None:
        """Write a member's file; the rows are the saver's from now on. Waits while older files are still being written."""
        for _, digest in self._writing[member]:
            digest.result()
        self._writing[member].append((step, self._thread.submit(self._snapshots.write, step, member, rows)))

    def written(self, member: int) -> tuple[int, bytes] | None:
        """A file of a member that is written and was not told of yet: its step and digest."""
        writing = self._writing[member]
        if not writing or not writing[0][1].done():
            return None
        step, digest = writing.popleft()
        return step, digest.result()

    def skip(self, step: int) -> None:
        """Tell no more of files that belong to snapshots before a step."""
        for writing in self._writing.values():
            while writing and writing[0][0] < step:
                writing.popleft()[1].result()

    def reached(self, step: int, lines: int) -> None:
        """On rank 0: the journal is written up to a step that has a snapshot."""
        self._lines[step] = lines

    def file_written(self, step: int, member: int, digest: bytes, sizes: tuple[int, int]) -> None:
        """On rank 0: a member's file is written. With the last one, the snapshot becomes valid."""
        found = self._digests[step]
        found[member] = digest.hex()
        if len(found) < self._members:
            return
        digests = tuple(found[number] for number in range(self._members))
        manifest = Manifest(self._run, step, self._lines[step], sizes, digests)
        for table in (self._digests, self._lines):
            for old in [old for old in table if old <= step]:
                del table[old]
        self._published()
        self._publishing = self._thread.submit(self._publish, manifest)

    def _publish(self, manifest: Manifest) -> None:
        assert self._journal is not None
        self._journal.sync()  # a snapshot ahead of its journal would be of no use
        self._snapshots.publish(manifest)

    def _published(self) -> None:
        if self._publishing is not None:
            self._publishing.result()

    def wait(self) -> None:
        """Wait until everything is written."""
        for writing in self._writing.values():
            for _, digest in writing:
                digest.result()
        self._published()

    def close(self) -> None:
        """Write no more; does not wait for what is being written."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def parse(content: Mapping[str, Any]) -> Manifest:
    """A manifest from its form in JSON."""
    sizes = (int(content["sizes"][0]), int(content["sizes"][1]))
    return Manifest(**{**content, "sizes": sizes, "digests": tuple(content["digests"])})


def _write(path: Path, content: bytes | memoryview) -> None:
    with appearing(path) as temporary, temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _force(folder: Path) -> None:
    """Force a folder's entries to the disk."""
    try:
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written: {error.strerror}") from None


def _delete(folder: Path) -> None:
    # The manifest first, so that what is half deleted is no snapshot.
    (folder / "manifest.json").unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
