"""What a call of Snakemake says at its end of the trials that failed in it."""

import sys
from collections.abc import Iterator
from pathlib import Path


def failures_since(results: Path, since: float) -> Iterator[str]:
    """A line for each run that has told of failed trials since a time; of batches, while their run has not.

    Args:
        results: the folder of all experiments.
        since: seconds since 1970.
    """
    told = {path for path in results.glob("*/runs/*/*/journal.failures.txt") if path.stat().st_mtime >= since}
    runs = {path.parent for path in told}
    for path in results.glob("*/runs/*/*/batches/*.failures.txt"):
        if path.parents[1] not in runs and path.stat().st_mtime >= since:
            told.add(path)
    for path in sorted(told):
        with path.open(encoding="utf-8") as file:
            yield f"{file.readline().strip()}; see {path}"


def tell_failures(results: Path, since: float) -> None:
    """Say them on standard error."""
    for line in failures_since(results, since):
        print(line, file=sys.stderr)
