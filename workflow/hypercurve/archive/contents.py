"""What is in an archive: the manifest's typed form, and digests that say what equal results are."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..config.experiment import Experiment
from ..events.encoding import RawLine, to_bytes, without_wall
from .packing import ArchiveError

FORMAT = 1
MANIFEST = "manifest.json"
LARGEST_MANIFEST = 64 << 20

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Run = tuple[str, int]
"""A run of an experiment: its method and its repeat."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class File(_Strict):
    """A file of the archive."""

    bytes: int
    sha256: Sha256


class Code(_Strict):
    """The code that made the archive; which code made a run stands in the first line of its journal."""

    version: str
    """Version of hypercurve."""
    commit: str | None
    """The checkout's commit; None outside of a checkout."""
    dirty: bool | None
    """Whether files of the checkout were changed; None outside of one."""
    source: str
    """Digest of the modules below, as journals name it."""
    modules: dict[str, Sha256]
    """Every file of the package's code."""


class Manifest(_Strict):
    """All that an archive says of itself."""

    format: Literal[1]
    experiment: str
    payload: Sha256
    """:func:`payload_digest` of the results."""
    data: str
    """Digest of the prepared data, as journals name it."""
    code: Code
    files: dict[str, File]
    """Every file but this one, by path below the archive's folder."""
    digest: Sha256
    """Of all the above; it stands for the whole content."""


def manifest_text(given: Mapping[str, Any]) -> str:
    """A manifest as it is written, with its digest filled in."""
    content = {key: value for key, value in given.items() if key != "digest"}
    return json.dumps(content | {"digest": manifest_digest(content)}, indent=1, sort_keys=True) + "\n"


def manifest_digest(given: Mapping[str, Any]) -> str:
    """The digest of a manifest without its own `digest`."""
    content = {key: value for key, value in given.items() if key != "digest"}
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def read_manifest(path: Path) -> Manifest:
    """An archive's manifest, checked for itself.

    Raises:
        ArchiveError: it is missing, damaged, or of a format that this version does not know.
    """
    try:
        if path.stat().st_size > LARGEST_MANIFEST:
            raise ArchiveError(f"{path.name}: is larger than {LARGEST_MANIFEST} bytes")
        text = path.read_text(encoding="utf-8")
        given = json.loads(text)
        if isinstance(given, dict) and given.get("format") != FORMAT:
            raise ArchiveError(f"{path.name}: is of format {given.get('format')!r}; this version knows format {FORMAT}")
        manifest = Manifest.model_validate_json(text)
    except FileNotFoundError:
        raise ArchiveError(f"{path.name}: is missing, so this is no archive of results") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ArchiveError(f"{path.name}: is damaged: {where[:200]!r}: {first['msg']}") from None
    except (ValueError, RecursionError) as error:
        raise ArchiveError(f"{path.name}: is damaged: {error}") from None
    if manifest_digest(given) != manifest.digest:
        raise ArchiveError(f"{path.name}: was changed: it does not have the digest that it names")
    return manifest


def payload_digest(experiment: Experiment, journals: Mapping[Run, Iterable[RawLine]]) -> str:
    """The sha256 sum of what two independent runs of an experiment have in common: everything outside `wall`.

    It covers the experiment as it was resolved and, in the order of its methods and repeats, every line of every journal
    without its wall-clock part, keys sorted. Tables and figures follow from these and from `wall`, and are not part of it.

    Args:
        experiment: the resolved experiment.
        journals: the lines of every run's journal.
    """
    digest = hashlib.sha256(experiment.model_dump_json().encode() + b"\n")
    for method in experiment.methods:
        for repeat in range(experiment.repeats):
            digest.update(f"{method}/{repeat}\n".encode())
            for line in journals[method, repeat]:
                digest.update(to_bytes(_sorted(without_wall(line))))
    return digest.hexdigest()


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value
