"""What made a result: seeds, digests, code, packages and machines, for the report."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ..config.experiment import Experiment
from ..util.provenance import analysis_digest, code_version, versions
from .tables import Runs


def digests(experiment: Experiment, runs: Runs) -> Iterator[tuple[str, str]]:
    """What the runs and the page follow from, by name."""
    yield "Seeds", f"{experiment.seed}, with the number of the repeat"
    yield "Data", _all_of([run.data for own in runs.values() for run in own])
    yield "Settings", ", ".join(f"{method} {_all_of([run.setting for run in own])}" for method, own in runs.items())
    commit = code_version()
    yield "Code of this page", analysis_digest() + (f", commit {commit}" if commit else "")
    yield "Packages of this page", packages(versions())


def ran(runs: Runs) -> Iterator[tuple[str, str]]:
    """When the runs of an experiment were made, on what, and with what, as their journals say."""
    begun = [run.begun for own in runs.values() for run in own]
    began = [first.at for first in begun if first.at is not None]
    ended = [event.at for own in runs.values() for run in own for event in run.events if event.at is not None]
    if began:
        yield "Runs", f"{moment(min(began))} to {moment(max([*began, *ended]))} UTC"
    origins = [first.origin for first in begun if isinstance(first.origin, dict)]
    if not origins:
        yield "Machine", "the journals do not say"
        return
    yield "Machine", _counted(_machine(origin) for origin in origins)
    yield "Code of runs", _counted(str(origin.get("source", "unknown")) for origin in origins)
    yield "Packages of runs", _counted(packages(origin.get("versions", {})) for origin in origins)


def moment(seconds: float) -> str:
    """A time in seconds since 1970 as date and time, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")


def packages(found: Mapping[str, str]) -> str:
    """Packages with their versions in a line."""
    return ", ".join(f"{name} {version}" for name, version in found.items()) or "unknown"


def _machine(origin: Mapping[str, Any]) -> str:
    known = [str(origin.get("processor") or ""), f"{origin.get('cores', '?')} cores", str(origin.get("machine") or "")]
    return ", ".join(part for part in known if part)


def _counted(values: Iterable[str]) -> str:
    """All values; with more than one, how many runs each has."""
    counts = Counter(values)
    if len(counts) == 1:
        return next(iter(counts))
    return "; ".join(f"{value} ({many} run{'s' * (many > 1)})" for value, many in counts.most_common())


def _all_of(values: Sequence[str]) -> str:
    return ", ".join(dict.fromkeys(values)) or "none"
