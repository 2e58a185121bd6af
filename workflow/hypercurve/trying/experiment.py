"""A whole experiment, tried: what its methods train, each kind once, then what that tells of the whole."""

import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..config.code_files import model_digest, rules_digest
from ..config.data import NO_DATA
from ..config.doubts import doubts
from ..config.experiment import Experiment
from ..config.identity import training_digest
from ..config.model import RECORDED, LoopSpec, label
from ..execution.mpi.comm import load as load_mpi
from ..execution.mpi.groups import Leader
from ..runs.run import Run
from ..training import make_trainer
from ..training.data import load, prepare, verify
from .estimate import estimates
from .faults import costly, wrong_with
from .hearing import Hearing
from .measure import Tried, decide, measure
from .processes import marking
from .text import entry_of, faults, seen, table


def attempt(experiment: Experiment, file: Path, results: Path, cores: int) -> bool:
    """Try an experiment and print what is seen, as soon as it is.

    Args:
        experiment: the experiment.
        file: its file.
        results: where data may be that are prepared already; nothing is written there.
        cores: that the whole would have.

    Returns:
        Whether nothing failed.

    Raises:
        UserError: data or code are missing or damaged.
    """
    if experiment.model == RECORDED:
        print(f"{file}: recorded curves are played: nothing is trained, and a run takes milliseconds")
        return True
    on = f" on {experiment.data.label}" if experiment.data else ""
    print(entry_of(f"{file}: {label(experiment.model)}{on}"), flush=True)
    tried: dict[str, Tried] = {}
    wrong = list(doubts(experiment))
    handler = signal.getsignal(signal.SIGTERM)
    with TemporaryDirectory(prefix="hypercurve-try-") as temporary, marking() as mark, Hearing() as heard:
        trying = _Trying(experiment, file.stem, Path(temporary), results, mark)
        for methods in trying.kinds():
            one = trying.one(methods)
            with heard.aside():
                print("\n" + "\n".join(seen(experiment, methods, one)), flush=True)
            tried |= dict.fromkeys(methods, one)
            wrong += wrong_with(experiment, methods, one)
        undecided = list(trying.undecided(tried))
    if signal.getsignal(signal.SIGTERM) != handler:
        signal.signal(signal.SIGTERM, handler)
        wrong.append(
            "your code handles SIGTERM itself, by which schedulers end jobs: trials in flight are not saved then"
        )
    well = {name: tried[name] for name in experiment.methods if not tried[name].failed}
    if well:
        found = estimates(experiment, well, trying.samples, trying.start)
        print("\n" + "\n".join(table(experiment, found, cores, max(one.state or 0 for one in well.values()))))
        wrong += costly(experiment, well, found, cores, results)
    print("\n" + "\n".join(faults([*wrong, *undecided, *heard.warnings])))
    return len(well) == len(tried) and not undecided


class _Trying:
    """An experiment whose trainings are tried.

    Attributes:
        samples: size of the training part.
        start: seconds until this process could train, at most.
    """

    def __init__(self, experiment: Experiment, name: str, temporary: Path, results: Path, mark: str) -> None:
        self._temporary, self._mark = temporary, mark
        self._data: Path | None = None
        self.samples, self._digest, self.start = 0, NO_DATA, 0.0
        self._model = model_digest(experiment.model)
        for rules in experiment.methods.values():
            rules_digest(rules)
        if (spec := experiment.data) is not None:
            self._data = results / "data" / spec.key
            if not self._data.is_dir() or spec.function is not None or spec.path is not None:  # which may have changed
                self._data = temporary / "data"
                prepare(spec, self._data)
            verify(self._data)
            dataset = load(self._data)
            self.samples, self._digest = dataset.samples, dataset.digest
        self._settings = {method: experiment.setting(name, method) for method in experiment.methods}
        for method, setting in self._settings.items():
            if setting.record:  # it decides which configurations are trained, not how
                changes: Mapping[str, Any] = {"record": (), "preselect": None, "stop": None}
                self._settings[method] = setting.model_copy(update=changes)

    def kinds(self) -> list[list[str]]:
        """The methods, by what they train: the same model, data and settings, hyperparameters of the same names."""
        found: dict[Any, list[str]] = {}
        for method, setting in self._settings.items():
            key = training_digest(setting, self._digest, self._model), frozenset(setting.space)
            found.setdefault(key, []).append(method)
        return list(found.values())

    def one(self, methods: list[str]) -> Tried:
        """Try what these methods train."""
        began = time.perf_counter()
        run, folder = self._run(methods[0]), self._temporary / methods[0]
        lead = None
        if run.setting.ranks > 1 and isinstance(run.setting.model, LoopSpec):
            lead = Leader(load_mpi().COMM_SELF).lead
        trainer = make_trainer(run.setting, self._data, lead=lead)
        self.start = max(self.start, time.perf_counter() - began)
        return measure(run, trainer, folder / "states", self._mark)

    def undecided(self, tried: Mapping[str, Tried]) -> Iterator[str]:
        """What searchers and stoppers of the user's own say against what was reported."""
        for method, one in tried.items():
            if one.lines and self._settings[method].population is None:
                said = decide(self._run(method, slots=1), one)
                if said is not None:
                    yield f"methods.{method}: {said}"

    def _run(self, method: str, **changes: Any) -> Run:
        setting = self._settings[method].model_copy(update=changes)
        return Run(setting, 0, samples=self.samples, data=self._digest, model=self._model)
