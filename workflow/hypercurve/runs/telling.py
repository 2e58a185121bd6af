"""What is told of a run's failed trials: the last line of its log, and a file with tracebacks beside its journal."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..util.files import write_text
from .failures import Alike, Failures, Hopeless

THEN = "Once it is mended, the same command begins the run anew. `fail_fast: false` in the experiment lets such a run go on"


@contextmanager
def telling(failures: Failures, output: Path | None, then: str = THEN) -> Iterator[None]:
    """What runs in here is a run, or a batch; at its end it is told how many of its trials failed, and why.

    Args:
        failures: of the run.
        output: its journal; what the user's code said is written beside it, to :func:`file_of`. None: it is told.
        then: what the user can do about it.

    Raises:
        Hopeless: the run was ended for its failures; the message now names the file.
    """
    try:
        yield
    except Hopeless as error:
        if output is not None:
            whole = f"  the whole of it: {write(failures, output)}"
        else:
            whole = next((kind.told.rstrip() for kind in failures.kinds.values() if kind.told), "")
        raise Hopeless("\n".join(line for line in (str(error), whole, then) if line)) from None
    written = None if output is None else write(failures, output)
    if failures.failed:
        where = "" if written is None else f"; see {written}"
        print(f"{summary(failures)}{where}", file=sys.stderr, flush=True)


def file_of(output: Path) -> Path:
    """The file with what is told of a journal's failures: ``journal.failures.txt``."""
    return output.with_name(f"{output.stem}.failures.txt")


def summary(failures: Failures) -> str:
    """How many trials failed, and why most of them did, in a line."""
    kind = failures.commonest
    assert kind is not None
    of = f"{failures.failed} of {failures.started} trial{'s' * (failures.started != 1)} failed"
    if len(failures.kinds) == 1:
        return f"{of}: {kind.reason}"
    return f"{of}; the most frequent reason, of {kind.trials}: {kind.reason}"


def write(failures: Failures, output: Path) -> Path | None:
    """Write the file, or remove an old one where no trial has failed; None then."""
    path = file_of(output)
    if not failures.failed:
        path.unlink(missing_ok=True)
        return None
    kinds = sorted(failures.kinds.values(), key=lambda kind: -kind.trials)
    write_text(path, "\n\n".join([summary(failures), *map(_section, kinds)]) + "\n")
    return path


def _section(kind: Alike) -> str:
    many = (
        f"trial {kind.trial}"
        if kind.trials == 1
        else f"{kind.trials} trials, of which trial {kind.trial} was the first"
    )
    given = ", ".join(f"{name} = {value}" for name, value in kind.configuration.items())
    return "\n".join(
        [f"{many}: {kind.reason}", f"with {given}", *([] if kind.told is None else ["", kind.told.rstrip()])]
    )
