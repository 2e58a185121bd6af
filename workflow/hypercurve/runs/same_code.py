"""A user's word that a change of their code does not matter: what was recorded with the code before counts for it."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from ..config.code_files import SAME_CODE, same_code
from ..events.encoding import decode_line
from ..events.journal import UNREADABLE, first_line
from ..events.lines import BatchHeader, RunHeader
from ..util.files import write_text


def keep_code(results: Path, model: str | None, rules: Mapping[str, str | None]) -> list[str]:
    """Note that what was last recorded of an experiment with other code counts for the code as it is now.

    Args:
        results: folder of the experiment's results.
        model: digest of the code that is trained, as it is; None for a built-in model.
        rules: by method, that of its own searchers and stoppers; None for ours.

    Returns:
        A line of what counts, for each digest that was noted; none where nothing was recorded with other code.

    Raises:
        UserError: the list of what counts is damaged.
    """
    headers = list(_headers(results))
    noted: dict[str, str] = {}
    for key, method, digest in [("model", None, model), *(("rules", name, own) for name, own in rules.items())]:
        found = (getattr(header, key, None) for of, header in headers if method in (None, of))
        before = next((other for other in found if other not in (None, digest)), None)
        if digest is not None and before is not None:
            noted[digest] = before
    if noted:
        write_text(results / SAME_CODE, json.dumps(same_code(results) | noted, indent=1, sort_keys=True) + "\n")
    return [f"{results}: what was recorded with the code {old} counts for {new}" for new, old in noted.items()]


def _headers(results: Path) -> Iterator[tuple[str, RunHeader | BatchHeader]]:
    """The first lines of all journals and batches, with their methods, the youngest files first."""
    paths = results.glob("runs/*/*/**/*.jsonl")
    for path in sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True):
        raw = first_line(path)
        try:
            line = None if raw is None else decode_line(raw)
        except UNREADABLE:
            continue
        if isinstance(line, RunHeader | BatchHeader):
            yield path.relative_to(results).parts[1], line
