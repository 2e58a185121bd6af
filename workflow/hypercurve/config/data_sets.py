"""The data that an experiment may name. Loading them is left to :mod:`hypercurve.training.data_sources`."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias


@dataclass(frozen=True, slots=True)
class DataSet:
    """Data known by name.

    Attributes:
        samples: examples in the training part, validation included.
        cached: of data that Keras loads by this name, the file or folder in its cache; an .npz file may be put there
            by hand. Other data have a module of their name in :mod:`hypercurve.training.data_sets`.
    """

    samples: int
    cached: str | None = None


DATA_SETS = {
    "digits": DataSet(1438),
    "mnist": DataSet(60_000, "mnist.npz"),
    "fashion_mnist": DataSet(60_000, "fashion-mnist"),
    "cifar10": DataSet(50_000, "cifar-10-batches-py-target"),
}
IN_KERAS = [name for name, data in DATA_SETS.items() if data.cached is not None]

if TYPE_CHECKING:
    DataName: TypeAlias = str
else:
    DataName = Literal[*DATA_SETS]
