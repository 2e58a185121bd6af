"""What a run has chosen: configuration, performance, and the trained network itself."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..config.experiment import Experiment
from ..config.model import CommandSpec, KerasSpec, LoopSpec
from ..events import networks
from ..results.data import Label, data_facts
from ..util.errors import UserError, in_a_line

if TYPE_CHECKING:
    from ..space.search_space import Value


@dataclass(frozen=True)
class Best:
    """What a run has chosen.

    Attributes:
        method, repeat: which run.
        configuration: the hyperparameters.
        performance: the objective on the validation part.
        test: metrics on the test part, as ``test_...``.
        experiment: what was asked.
        folder: the run's; None for a search in memory.
    """

    method: str
    repeat: int
    configuration: "Mapping[str, Value]"
    performance: float
    test: Mapping[str, float]
    experiment: Experiment = field(repr=False)
    folder: Path | None = field(repr=False)

    @property
    def path(self) -> Path | None:
        """The file of the trained network; None where there is none."""
        return None if self.folder is None else networks.find(self.folder)

    @property
    def labels(self) -> tuple[Label, ...] | None:
        """What the classes are called in the user's data, in the order of the network's outputs; for targets empty.

        None where the experiment has no data, or what is known of them is not at hand: it lies beside the experiment's
        results, or in its archive.
        """
        facts = None if self.folder is None else data_facts(self.folder.parents[2], self.experiment.data)
        return None if facts is None else facts.labels

    def model(self, **options: Any) -> Any:
        """The trained network.

        Args:
            options: of Keras models, for ``keras.saving.load_model``, such as ``safe_mode=False`` for lambdas.

        Returns:
            Of a network, a Keras model, not compiled: it takes data as they lie in the user's file, and gives logits, or
            what the user's own last layer gives. Of a loop, what its `save` gave: a dict of arrays, or bytes. Of a
            program, the path of its last snapshot file.

        Raises:
            UserError: there is no file, or it cannot be read.
        """
        path = self.path
        if path is None:
            raise UserError(self._why())
        try:
            match path.suffix:
                case ".keras":
                    return _keras_model(path, self.experiment, options)
                case ".npz":
                    with np.load(path, allow_pickle=False) as held:
                        return {name: held[name] for name in held.files}
                case ".bin":
                    return path.read_bytes()
        except UserError:
            raise
        except Exception as error:
            raise UserError(f"{path}: cannot be read: {in_a_line(error)}") from error
        return path

    def _why(self) -> str:
        """Why there is no file."""
        match self.experiment.model:
            case LoopSpec():
                needs = ": a loop's is kept if it is a class with a method `save`"
            case CommandSpec():
                named = "its command names {resume}, {snapshot} and {until}"
                needs = f": a program's is kept if {named}, or if it stays and can save"
            case _:
                needs = ""
        if self.folder is None:
            return "a search in memory keeps no trained network; give `tune` a folder"
        return f"{self.folder}: holds no trained network ({', '.join(networks.FILES)}){needs}"


def _keras_model(path: Path, experiment: Experiment, options: Mapping[str, Any]) -> Any:
    from ..training.runtime import keras
    from ..util.user_code import load_object

    known: dict[str, Any] = {}  # ours has told Keras its name when it was imported
    if isinstance(experiment.model, KerasSpec):
        load_object(experiment.model.keras, "model.keras")
        known = vars(sys.modules[experiment.model.keras.partition(":")[0]])
    return keras.saving.load_model(path, **{"compile": False, "custom_objects": known, **options})
