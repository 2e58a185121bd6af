"""The part of the report on trained networks: where they lie, how to load them, what they take and give."""

import json
import os
import zipfile
from pathlib import Path
from typing import Any

from ..config.experiment import Experiment
from ..config.model import KerasSpec, label
from ..events import networks
from .tables import Runs


def networks_section(experiment: Experiment, runs: Runs, results: Path, page: Path) -> list[dict[str, Any]]:
    """Of each method's best run, if its network was kept: `file`, relative to the page, `code` that loads it, and a `text`.

    Args:
        experiment: the experiment.
        runs: all its runs by method.
        results: its results.
        page: the report.
    """
    objective, found = experiment.objective, []
    for method, own in runs.items():
        best = None
        for run in own:
            performance = run.performance(objective.key)
            if performance is not None and (best is None or objective.better(performance, best[0])):
                best = performance, run.repeat
        path = None if best is None else networks.find(results / "runs" / method / str(best[1]))
        if best is None or path is None:
            continue
        file = Path(os.path.relpath(path.resolve(), page.resolve().parent)).as_posix()
        code, text = _keras(experiment, path, file) if path.suffix == ".keras" else _other(experiment, path, file)
        found.append({"method": method, "repeat": best[1], "file": file, "code": "\n".join(code), "text": text})
    return found


def _keras(experiment: Experiment, path: Path, file: str) -> tuple[list[str], str]:
    shape, brought = _described(path)
    modules, options = "keras", ""
    gives = "gives logits, one for each class, or, where targets are no labels, the targets"
    if isinstance(experiment.model, KerasSpec):
        gives = f"gives what the last layer of {label(experiment.model)} gives"
        if brought:
            module = experiment.model.keras.partition(":")[0]
            modules, options = f"keras, {module}", f", custom_objects=vars({module})"
    code = [
        f"import {modules}",
        f"model = keras.saving.load_model({file!r}{options})",
        "predicted = model.predict(x)",
    ]
    return code, f"It takes examples{shape} as they lie in the data, and {gives}."


def _other(experiment: Experiment, path: Path, file: str) -> tuple[list[str], str]:
    name = label(experiment.model)
    if path.suffix == ".snapshot":
        code = ["from pathlib import Path", f"snapshot = Path({file!r})"]
        return code, f"It is the last snapshot file of {name}, which goes on from it as {{resume}}."
    if path.suffix == ".bin":
        code = ["from pathlib import Path", f"state = Path({file!r}).read_bytes()"]
        return code, f"It is what save of {name} gave at the end; load takes it."
    if not isinstance(experiment.model, KerasSpec):
        code = ["import numpy", f"state = dict(numpy.load({file!r}))"]
        return code, f"It is what save of {name} gave at the end; load takes it."
    code = ["import numpy", f"weights = list(numpy.load({file!r}).values())", "model.set_weights(weights)"]
    text = f"Keras cannot write this network: these are weights for the model that {name} makes of the same hyperparameters."
    return code, f"{text} That takes examples scaled as in training."


def _described(path: Path) -> tuple[str, bool]:
    """The shape of an example in words, and whether the file asks for classes that are not Keras's."""
    try:
        with zipfile.ZipFile(path) as archive:
            config = json.loads(archive.read("config.json"))
        shape = " of shape ({})".format(", ".join(map(str, config["config"]["layers"][0]["config"]["batch_shape"][1:])))
    except (OSError, ValueError, KeyError, LookupError, TypeError, zipfile.BadZipFile):
        return "", False
    return shape, any(not (module == "keras" or module.startswith("keras.")) for module in _modules(config))


def _modules(config: Any) -> set[str]:
    """Modules of the classes and functions in a Keras configuration."""
    if isinstance(config, list):
        return set().union(*map(_modules, config))
    if not isinstance(config, dict):
        return set()
    own = {config["module"]} if isinstance(config.get("module"), str) and "class_name" in config else set()
    return own.union(*map(_modules, config.values()))
