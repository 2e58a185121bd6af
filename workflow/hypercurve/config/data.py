"""Which data an experiment trains on: the `data` part of an experiment file.

Typed and cheap to import, since the Snakefile parses it in every cluster job. Loading, checking and splitting the data is
left to :mod:`hypercurve.training.data`.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import PurePath
from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import override

from ..util.schema import Model, Number, Problem, in_words
from .data_sets import DATA_SETS, DataName
from .model import Reference

Text = Annotated[str, Field(min_length=1)]
CSV = (".csv", ".csv.gz")
"""Ends of the names of files of recorded curves that have columns."""
NO_DATA = "none"
"""In place of the digest of data, where an experiment has none."""
TEST_SHARE = 0.2
"""How much of data that have only x and y is the test part, where nothing else is said."""

_Part = Annotated[
    Annotated[int, Field(ge=1, strict=True)] | Annotated[float, Field(gt=0, lt=1)],
    in_words("must be a number of examples, at least 1, or a share of them above 0 and below 1"),
]


class DataSpec(Model):
    """Data by name or from a file, and how much of its training part is kept for validation.

    >>> DataSpec(name="mnist", validation=10000).key.split("-")[0]
    'mnist'
    """

    name: DataName | None = None
    """Data known by name: scikit-learn's `digits`, or `mnist`, `fashion_mnist` or `cifar10` through the cache of Keras."""
    path: Text | None = None
    """A NumPy file (.npz) with four arrays: x_train, y_train, x_test, y_test; or with x and y, which are split. Whole
    numbers in y, counted from 0 or 1, and texts are labels; other numbers are targets of a regression. Not together with
    `name`."""
    # Digests and folders of what there was before it stay as they were.
    function: Annotated[Reference | None, Field(exclude_if=lambda given: given is None)] = None
    """A function of yours, as package.module:function, that takes no arguments and gives x_train, y_train, x_test and
    y_test, and x_validation and y_validation if it likes, or only x and y: by name, or in this order."""
    task: Annotated[Literal["classification", "regression"] | None, Field(exclude_if=lambda given: given is None)] = (
        None
    )
    """What y is: labels (classification), whatever numbers or texts they are, or numbers to predict (regression). By default
    it follows from y."""
    scale: Annotated[Annotated[Number, Field(gt=0)] | None, Field(exclude_if=lambda given: given is None)] = None
    """What inputs are multiplied by. By default 1/255 for whole numbers from 0 to 255, 1/65535 for images of larger ones up
    to 65535, and 1 for all others."""
    test: Annotated[_Part | None, Field(exclude_if=lambda given: given is None)] = None
    """How much of data that have only x and y is the test part: a count (a whole number of at least 1) or a share between 0
    and 1; by default 0.2."""
    curves: Text | None = None
    """For `model: recorded`, in place of data: recorded learning curves. A CSV file, a journal, or the folder of runs:
    `results/EXPERIMENT`, `results/EXPERIMENT/runs/METHOD`."""
    metric: Text | None = None
    """The metric of a CSV file of curves that is the learning curve, lower is better; by default the first whose name begins
    with val."""
    shuffle: bool = True
    """Whether every repeat draws its configurations from the recorded ones, in an order of its own; if not, they come as
    they were recorded."""
    validation: _Part = 0.2
    """How much of the training part is kept for validation: a count (a whole number of at least 1) or a share between 0
    and 1."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Decides which examples are kept for validation, and for the test part of data that have none."""

    @override
    def faults(self) -> Iterator[Problem]:
        """No source or several."""
        if sum(source is not None for source in (self.name, self.path, self.function, self.curves)) != 1:
            yield Problem((), "give one of `name`, `path`, `function` and `curves`")
        if self.curves is not None:
            for key in ("task", "scale", "test"):
                if getattr(self, key) is not None:
                    yield Problem((key,), "is for data that networks are trained on, not for `curves`")
        if self.name is not None and self.test is not None:
            yield Problem(("test",), "is for data of only x and y; data known by name have a test part")

    @property
    def samples(self) -> int | None:
        """Size of the training part, without what is kept for validation; None where only the file knows."""
        if self.name is None:
            return None
        given = DATA_SETS[self.name].samples
        kept = self.validation if isinstance(self.validation, int) else max(1, round(self.validation * given))
        return given - kept

    @property
    def label(self) -> str:
        """The data's name in outputs: its name, or that of its function, or of its file without endings."""
        if self.function is not None:
            return self.function.replace(":", ".")
        return self.name or PurePath((self.path or self.curves or "").removesuffix(".gz")).stem

    @property
    def key(self) -> str:
        """A short folder name that differs when anything here differs, such as ``mnist-1a2b3c4d``."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        label = re.sub(r"[^A-Za-z0-9_.]+", "_", self.label).strip("._") or "data"
        return f"{label}-{hashlib.sha256(canonical.encode()).hexdigest()[:8]}"
