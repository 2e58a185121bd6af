"""What is known of the data of an experiment's runs: the labels of its classes, and what was assumed."""

import json
from dataclasses import dataclass
from pathlib import Path

from ..config.data import DataSpec

Label = int | str | bool

MOST_CLASSES = 1_000_000
"""An archive of strangers may claim any number."""


@dataclass(frozen=True)
class DataFacts:
    """What a manifest of prepared data says.

    Attributes:
        labels: the user's own labels, in the order of the classes; empty for targets.
        assumed: what was assumed of the data, each in a sentence.
    """

    labels: tuple[Label, ...] = ()
    assumed: tuple[str, ...] = ()


def data_facts(home: Path, data: DataSpec | None) -> DataFacts | None:
    """What is known; None where no manifest is at hand, or it is damaged.

    Args:
        home: the folder of an experiment's results, or of an archive that was unpacked.
        data: the experiment's.
    """
    if data is None or data.curves is not None:
        return None
    for folder in (home / "data", home.parent / "data" / data.key):
        try:
            manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
            labels = manifest.get("labels") or range(min(manifest["classes"] or 0, MOST_CLASSES))
            facts = DataFacts(tuple(labels), tuple(manifest.get("assumed", ())))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue
        if all(isinstance(one, int | str) for one in facts.labels) and all(
            isinstance(s, str) and s for s in facts.assumed
        ):
            return facts
    return None
