"""What a user may write: the typed form of an experiment file.

An experiment compares *methods* on one data set, network, search space and budget. Each part of the file has its module;
:mod:`hypercurve.config.parts` puts them together, and here they are held to each other. Nothing here trains or searches,
and neither TensorFlow nor pandas is imported, since the Snakefile and every cluster job read it. Reading YAML and showing
what is wrong is :mod:`hypercurve.config.files`'s part.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import ValidationError
from typing_extensions import override

from ..util.partial import take_apart
from ..util.schema import Problem
from .consistency import faults_between
from .model import counts_epochs
from .parts import Parts
from .setting import Setting
from .vary import varied, varied_training


class Experiment(Parts):
    """One experiment file."""

    @override
    @classmethod
    def _problems(cls, error: ValidationError, given: Any) -> Iterable[Problem]:
        """Those, and what does not fit together between the parts that are right."""
        return take_apart(cls, given, list(super()._problems(error, given)))[1]

    @override
    def faults(self) -> Iterator[Problem]:
        """What does not fit together between the parts."""
        return faults_between(self)

    @property
    def reference(self) -> str:
        """The baseline's name."""
        return self.baseline or next(iter(self.methods))

    def setting(self, experiment: str, method: str) -> Setting:
        """What the runs of one method depend on.

        Args:
            experiment: the experiment's name.
            method: a key of ``methods``.
        """
        given = {**dict(self), **dict(self.methods[method]), "space": self.space_of(method)}
        if not self.evaluates or counts_epochs(self.model):
            given["training"] = self.training.model_copy(update={"evaluate": "end"})
        shared = {name: given[name] for name in Setting.model_fields if name in given}
        return Setting(experiment=experiment, method=method, **shared)

    def variants(self, experiment: str, name: str) -> Iterator[tuple[dict[str, Any], Setting]]:
        """The combinations that an entry of `vary` asks for, and the setting of each."""
        vary = self.vary[name]
        base = self.setting(experiment, vary.method)
        assert base.stop is not None
        for values in vary.combinations():
            changes = {"stop": varied(base.stop, values), "training": varied_training(self.training, values)}
            yield values, base.model_copy(update=changes)
