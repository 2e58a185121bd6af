"""The network that a run has found, as a file beside its journal: what it is called, and what the journal says of it.

Under `wall` of a journal's last line, `network` names the file and its sha256 sum. Files are written by
:meth:`hypercurve.training.trainer.Trainer.export`.
"""

from collections.abc import Mapping
from pathlib import Path

from ..util.files import drop_unfinished, linked, sha256

FILES = ("best.keras", "best.npz", "best.bin", "best.snapshot")
"""A Keras model; arrays (a loop's state, or weights of a model that Keras cannot write); bytes of a loop; of a program."""


HISTORY = "history"
"""The folder beside a journal for what was superseded."""


def find(folder: Path) -> Path | None:
    """The file in a run's folder; None where there is none."""
    return next((path for name in FILES if (path := folder / name).is_file()), None)


def keep_only(path: Path) -> None:
    """Delete what stands beside a file that takes its place under another name, and what killed processes left of any."""
    for name in FILES:
        drop_unfinished(path.with_name(name))
        if name != path.name:
            path.with_name(name).unlink(missing_ok=True)


def located(folder: Path, said: Mapping[str, str] | None) -> Path | None:
    """The very file that a journal's last line names, in a folder or among what was put aside there."""
    if not isinstance(said, Mapping) or said.get("file") not in FILES:  # a journal of strangers may say anything
        return None
    name, digest = said["file"], str(said.get("sha256"))
    for path in (folder / name, _aside(folder, name, digest)):
        if path.is_file() and sha256(path) == digest:
            return path
    return None


def replace_by(folder: Path, said: Mapping[str, str] | None) -> None:
    """Put the file of a superseded journal aside, and bring back that of the journal which takes its place.

    Args:
        folder: where it is.
        said: what the journal that takes its place says of its own.
    """
    wanted = located(folder, said)
    for name in FILES:
        if (path := folder / name) != wanted and path.is_file():
            aside = _aside(folder, name, sha256(path))
            aside.parent.mkdir(exist_ok=True)
            path.replace(aside)
    if wanted is not None and said is not None and wanted.parent != folder:
        linked(wanted, folder / said["file"])


def _aside(folder: Path, name: str, digest: str) -> Path:
    return folder / HISTORY / f"{digest[:16]}.{name}"


def copied(path: Path, folder: Path) -> Path:
    """The same file in another folder, without a copy where the file system can."""
    name = next(name for name in FILES if path.name.endswith(name))  # what was put aside has its digest before it
    target = folder / name
    if not (target.exists() and target.samefile(path)):
        linked(path, target)
    keep_only(target)
    return target


def described(path: Path) -> dict[str, str]:
    """What a journal says of a file: its name and sha256 sum."""
    return {"file": path.name, "sha256": sha256(path)}


def problem(folder: Path, said: Mapping[str, str] | None) -> str | None:
    """What is wrong with the file in a run's folder, beginning with its name.

    Nothing is, where there is no file: it may have been left out.

    Args:
        folder: the run's.
        said: what the journal says of it; None if it says nothing.
    """
    path = find(folder)
    if path is None or not isinstance(said, Mapping):  # a journal of strangers may say anything
        return None
    if said.get("file") != path.name:
        return f"{path.name}: is not the file that the journal names, {said.get('file')!r}"
    return None if said.get("sha256") == sha256(path) else f"{path.name}: was changed after the run wrote it"
