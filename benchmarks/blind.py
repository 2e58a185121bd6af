"""Recorded curves that nobody has chosen anything on: random search, really trained, on three families of sibling tasks.

The families are the experiments in benchmarks/blind: a dense network on small images (validation error, 25 points), a
network that foretells characters (loss, 100 points), and a policy that learns to balance a pole (negated score, 50 points).
Each of a family's four tasks is trained from its own seed by the trainers and the executor of any search, and becomes a CSV
file as docs/replay.md describes them. What is there already is not trained again.

    python benchmarks/blind.py FOLDER --mnist mnist.npz --cifar10 cifar10.npz
    python benchmarks/methods.py FOLDER --siblings image language control --tuned benchmarks/methods_tuned.json ...

Without the files of MNIST and CIFAR-10 (four arrays, as `hypercurve cut` writes them), their tasks are left out.
"""

import argparse
import csv
import gzip
import io
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from hypercurve.config.data import NO_DATA
from hypercurve.config.experiment import Experiment
from hypercurve.config.files import read_mapping
from hypercurve.config.setting import Setting
from hypercurve.curves.table import Curves
from hypercurve.events.journal import Journal
from hypercurve.execution.serial import execute
from hypercurve.records.curve_files import read_curves
from hypercurve.runs.run import Run
from hypercurve.training import make_trainer
from hypercurve.training.data import load, prepare
from hypercurve.util.files import appearing

HERE = Path(__file__).parent / "blind"
PART = 2000  # images of MNIST and CIFAR-10 that are trained on and validated with
METRICS = {"image": "valid_error", "language": "valid_loss", "control": "negated_score"}


def tasks(folder: Path, given: argparse.Namespace) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Family, task, and what the task changes in the family's experiment."""
    yield "image", "digits", {}
    yield "image", "noisy", {"data": {"function": "blind_images:noisy"}}
    for name, source in (("mnist", given.mnist), ("cifar10", given.cifar10)):
        if source is None or not source.exists():
            print(f"image-{name}: left out: no file is given with --{name}", file=sys.stderr)
            continue
        path = folder / f"{name}.npz"
        cut(source, path)
        yield "image", name, {"data": {"path": str(path), "validation": 0.25}}
    for name in ("descriptions", "docstrings", "source", "names"):
        yield "language", name, {"data": {"function": f"blind_texts:{name}"}}
    for name in ("plain", "long", "weak", "gusts"):
        yield "control", name, {"space": {"variant": name}}


def cut(source: Path, path: Path) -> None:
    """The first images of a data set, those in colour made grey, since a dense network would take too long for three."""
    with np.load(source) as data:
        parts = {}
        for part, count in (("train", PART), ("test", 500)):
            x = data[f"x_{part}"][:count]
            parts[f"x_{part}"] = x.mean(axis=-1).round().astype(np.uint8) if x.ndim == 4 else x
            parts[f"y_{part}"] = data[f"y_{part}"][:count].ravel()
    np.savez(path, **parts)


def trained(setting: Setting, folder: Path) -> Curves:
    """Carry out one random search, and read its curves."""
    data, samples, digest = None, 0, NO_DATA
    if setting.data is not None:
        data = folder / "data"
        prepare(setting.data, data)
        samples, digest = load(data).samples, setting.data.key
    run = Run(setting, 0, samples=samples, data=digest)
    place = folder / "runs" / setting.method / "0"
    place.mkdir(parents=True)
    (place.parent / "setting.json").write_text(setting.model_dump_json())
    with Journal(place / "journal.jsonl") as journal:
        execute(run, make_trainer(setting, data), journal)
    return read_curves(place / "journal.jsonl")


def table(curves: Curves, metric: str, key: str) -> bytes:
    """The curves as a CSV file; where a training has failed, cells are empty to its end.

    Args:
        metric: what the column is called; an error is one minus the accuracy.
        key: the metric in the journal.
    """
    file = io.StringIO()
    out = csv.writer(file, lineterminator="\n")
    out.writerow(["config_id", *curves.space.variables, "step", metric])
    for number, (configuration, values) in enumerate(
        zip(curves.configurations, curves.losses(curves.points, lambda report: report.get(key)), strict=True)
    ):
        for step, value in enumerate(1 - values if metric.endswith("error") else values, start=1):
            cell = "" if np.isnan(value) else f"{value:.6g}"
            out.writerow([number, *(configuration[name] for name in curves.space.variables), step, cell])
    return gzip.compress(file.getvalue().encode(), mtime=0)


def merged(content: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """An experiment with other data, or with other constants in its space."""
    found = {**content, **change}
    if "space" in change:
        found["space"] = {**content["space"], **change["space"]}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--mnist", type=Path, help="an .npz file with MNIST")
    parser.add_argument("--cifar10", type=Path, help="an .npz file with CIFAR-10")
    parser.add_argument("--families", nargs="+", default=list(METRICS), choices=list(METRICS))
    given = parser.parse_args()
    for name in ("folder", "mnist", "cifar10"):
        if getattr(given, name) is not None:
            setattr(given, name, getattr(given, name).absolute())
    given.folder.mkdir(parents=True, exist_ok=True)
    os.chdir(HERE)  # where modules of users are looked for
    with tempfile.TemporaryDirectory() as temporary:
        for family, task, change in tasks(Path(temporary), given):
            path = given.folder / f"{family}-{task}.csv.gz"
            if family not in given.families or path.exists():
                continue
            began = time.perf_counter()
            content = merged(
                read_mapping(Path(f"{family}.yaml")), {**change, "seed": crc32(f"{family}-{task}".encode())}
            )
            experiment = Experiment.model_validate(content)
            setting = experiment.setting(f"{family}-{task}", "random")
            curves = trained(setting, Path(temporary) / path.stem)
            with appearing(path) as partial:
                partial.write_bytes(table(curves, METRICS[family], experiment.objective.key))
            ends = curves.performance(experiment.objective.key)
            print(
                f"{path.name}: {len(curves)} trainings, {np.isnan(ends).sum()} failed, best "
                f"{np.nanmax(ends) if experiment.objective.mode == 'max' else np.nanmin(ends):.4g}, median "
                f"{np.nanmedian(ends):.4g}; {time.perf_counter() - began:.0f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
