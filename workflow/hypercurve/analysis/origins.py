"""What made a result: packages, code, seeds and digests, for the report."""

from collections.abc import Iterator, Sequence

from ..config import Experiment
from ..provenance import code_digest, code_version, versions
from .tables import Runs

__all__ = ["digests", "versions"]


def digests(experiment: Experiment, runs: Runs) -> Iterator[tuple[str, str]]:
    """What the runs and tables follow from, by name."""
    yield "Seed", str(experiment.seed)
    yield "Data digest", _all_of([run.data for own in runs.values() for run in own])
    for method, own in runs.items():
        yield f"Setting of {method}", _all_of([run.setting for run in own])
    yield "Code of runs", code_digest("runs")
    yield "Code of analysis", code_digest("analysis")
    yield "Commit", code_version() or "not in a checkout"


def _all_of(values: Sequence[str]) -> str:
    return ", ".join(dict.fromkeys(values)) or "none"
