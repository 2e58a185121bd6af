"""How fast and how lean convolutional networks train here, on CIFAR-10; ends with one line of JSON.

    python benchmarks/models.py --data data/cifar10-10k.npz

- fit_cnn: seconds of an epoch of `model.fit` over ours, for the built-in `cnn` with the same batches, optimizer and threads.
  Both train in processes of their own, in turn, and medians are compared. `model.fit` has Keras's own dropout, and float32
  images that are scaled beforehand. Wider networks spend more of their time in the same convolutions, so other widths are
  measured as well: `..._8_filters` and `..._32_filters`, where the default is 16.
- arithmetic_share: floating-point operations per second in training over those of this machine's matrix product
  (1024 x 1024, float32) with the same threads, measured in turn in one process. A step counts three times the operations of
  a forward pass, by the layers' shapes: itself, and two products of the same size for the gradients.
- xla_cnn, xla_dense: seconds of a step compiled with XLA over one in TensorFlow's graph mode, for the same `cnn` and for
  `dense`; what `compiler: auto` chooses by.
- first_trial_s: from the start of a process to the first trial's first report, with all imports and compilations.
- compilations, memory_growth: of 60 trials of the space of config/experiments/cifar10-trials.yaml, with 60 structures, in
  one process: how often something was compiled, and the MiB by which it grew from the twentieth trial to the last. The first
  is the largest network of the space, since TensorFlow keeps the memory that the largest needed, and after the twentieth as
  many programs are kept as ever will be.

Processor time is compared beside wall time in the table, since a loaded machine changes it less.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from hypercurve.config.data import DataSpec
from hypercurve.config.files import read_experiment
from hypercurve.config.hyperparameters import resolve
from hypercurve.runs.trial import Trial
from hypercurve.training.data import DataError, load, prepare
from hypercurve.training.keras_trainer import KerasTrainer
from hypercurve.util.seeding import generator
from processes import QUIET, Server, this_script

EXPERIMENT = Path(__file__).parents[1] / "config" / "experiments" / "cifar10-trials.yaml"
BATCH = 32
SETTINGS: dict[str, Any] = {"optimizer": "adam", "learning_rate": 0.002, "batch_size": BATCH}
STRUCTURES, SETTLED = 60, 20
FILTERS = 16
COMPARED = {"": (FILTERS, 1), "_8_filters": (8, 1), "_32_filters": (32, 1), "_two_threads": (FILTERS, 2)}
"""Filters of the first convolutions and threads, by what is added to a figure's name."""
SIDE = 1024


def forward_operations(model: Any) -> int:
    """Floating-point operations of the matrix products of a forward pass, for one example."""
    total = 0
    for layer in model.layers:
        if hasattr(layer, "kernel"):
            places = np.prod(layer.output.shape[1:-1], dtype=int)  # of a convolution's output; one for a dense layer
            total += 2 * int(places) * int(np.prod(layer.kernel.shape))
    return total


def matrix_rate(repeats: int) -> float:
    """Floating-point operations per second of a matrix product in TensorFlow: the best of some."""
    from hypercurve.training.runtime import tf

    a, b = (tf.random.stateless_normal((SIDE, SIDE), (0, seed)) for seed in (1, 2))
    tf.matmul(a, b).numpy()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        for _ in range(10):
            product = tf.matmul(a, b)
        product.numpy()
        times.append((time.perf_counter() - start) / 10)
    return float(2 * SIDE**3 / min(times))


def timed(call: Callable[[], object]) -> list[float]:
    """Seconds by the wall clock, and of the processor."""
    wall, processor = time.perf_counter(), time.process_time()
    call()
    return [time.perf_counter() - wall, time.process_time() - processor]


def serve_ours(folder: Path, threads: int, filters: int) -> None:
    """For each line of the input, train an epoch and answer with seconds and arithmetic rates, ours and the product's."""
    trainer, epochs = KerasTrainer("cnn", folder, threads=threads), 1000
    session = trainer.open(Trial(0, {**SETTINGS, "filters": filters, "epochs": epochs}))
    session.advance(20 / session.total)
    operations = 3 * forward_operations(session.network.model) * trainer.data.samples
    for epoch, _ in enumerate(sys.stdin, 1):
        rate = matrix_rate(3)
        session.advance(epoch / epochs)  # what is left of the epoch before
        seconds = timed(lambda: session.advance((epoch + 1) / epochs))  # noqa: B023 - called at once
        print(json.dumps([*seconds, operations / seconds[0], max(rate, matrix_rate(3))]), flush=True)


def serve_fit(folder: Path, threads: int, filters: int) -> None:
    """For each line of the input, fit an epoch with Keras and answer with the seconds."""
    import keras  # not by way of hypercurve, whose settings are not to act here
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    data, h = load(folder), resolve("cnn", {**SETTINGS, "filters": filters})
    x = data.x_train.astype(np.float32) * np.float32(data.scale)
    layers, width = keras.layers, h["filters"]
    stack: list[Any] = [keras.Input(x.shape[1:])]
    for number, channels in enumerate([width, width, 2 * width, 2 * width], 1):
        kernel, strides = h[f"kernel_{number}"], h[f"strides_{number}"]
        stack.append(layers.Conv2D(channels, kernel, strides, padding="same", activation=h["activation"]))
        if number < 3:
            stack.append(layers.Dropout(h[f"dropout_{number}"]))
    stack.append(layers.Flatten())
    stack.extend(layers.Dense(h["units"], activation=h["activation"]) for _ in range(h["dense_layers"]))
    model = keras.Sequential([*stack, layers.Dropout(h["dropout_dense"]), layers.Dense(data.classes)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.Adam(h["learning_rate"]), loss=loss)
    part = slice(20 * BATCH)
    model.fit(x[part], data.y_train[part], batch_size=BATCH, epochs=1, verbose=0)  # compiles
    for _ in sys.stdin:
        seconds = timed(lambda: model.fit(x, data.y_train, batch_size=BATCH, epochs=1, verbose=0))
        print(json.dumps(seconds), flush=True)


def serve_structures(folder: Path, structures: int) -> None:
    """Open trials of the slides' space and train a little of each; print what it took as JSON."""
    trainer = KerasTrainer("cnn", folder)
    page, resident, seconds = os.sysconf("SC_PAGE_SIZE"), [], []
    for number, configuration in enumerate(distinct(structures)):
        start = time.perf_counter()
        session = trainer.open(Trial(number, configuration))
        session.advance(2 / session.total)
        session.evaluate(trainer.data.x_validation[:100], trainer.data.y_validation[:100])
        seconds.append(time.perf_counter() - start)
        resident.append(int(Path("/proc/self/statm").read_text().split()[1]) * page / 2**20)
    print(json.dumps({"compilations": trainer.engine.compilations, "resident": resident, "seconds": seconds}))


def serve_compilers(folder: Path) -> None:
    """Train some steps with both compilers; print the medians' ratios as JSON."""
    ratios = {}
    for model in ("cnn", "dense"):
        sessions = {}
        for compiler in ("xla", "graph"):
            trainer = KerasTrainer(model, folder, compiler=compiler)
            sessions[compiler] = trainer.open(Trial(0, {**SETTINGS, "epochs": 100}))
            sessions[compiler].advance(1 / sessions[compiler].total)
        seconds: dict[str, list[float]] = {compiler: [] for compiler in sessions}
        for _ in range(3):
            for compiler, session in sessions.items():
                target = (session.step + 4) / session.total
                seconds[compiler].append(timed(lambda: session.advance(target))[0])  # noqa: B023 - called at once
        ratios[f"xla_{model}"] = median(seconds["xla"]) / median(seconds["graph"])
    print(json.dumps(ratios))


def distinct(structures: int) -> list[Mapping[str, Any]]:
    """The largest network of the space, and random draws that differ in structure from those before."""
    space = read_experiment(EXPERIMENT).space
    numeric = {"learning_rate", "beta_1", "beta_2", "epsilon", "epochs", "dropout_1", "dropout_2", "dropout_dense"}
    largest = space.decode([0.0 if name.startswith("strides") else 1.0 for name in space.variables])
    found: dict[tuple[Any, ...], Mapping[str, Any]] = {(): largest}
    trial = 0
    while len(found) < structures:
        configuration = space.sample(generator(0, 0, "configuration", trial))
        found.setdefault(tuple(v for n, v in configuration.items() if n not in numeric), configuration)
        trial += 1
    return list(found.values())


def first_trial(folder: Path) -> None:
    """Train the first trial of a process up to its first report."""
    session = KerasTrainer("cnn", folder).open(Trial(0, SETTINGS))
    session.advance(1 / session.total)


def compare(folder: Path, filters: int, threads: int, repeats: int) -> dict[str, float]:
    """Medians of what epochs take, ours and Keras's, and of the arithmetic rates."""
    common = ("--folder", str(folder), "--threads", str(threads), "--filters", str(filters))
    servers = {name: Server("--serve", name, *common) for name in ("ours", "fit")}
    answers: dict[str, list[list[float]]] = {name: [] for name in servers}
    for _ in range(repeats):
        for name, server in servers.items():
            answers[name].append(json.loads(server.ask()))
    for server in servers.values():
        server.close()
    ours, ours_processor, rate, product = (median(part) for part in zip(*answers["ours"], strict=True))
    fit, fit_processor = (median(part) for part in zip(*answers["fit"], strict=True))
    processor = {"ours_processor": ours_processor, "fit_processor": fit_processor}
    return {"ours": ours, "fit": fit, **processor, "rate": rate, "product": product}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", metavar="FILE.npz", help="CIFAR-10 or a part of it; default: the cache of Keras")
    parser.add_argument("--quick", action="store_true", help="fewer measurements and structures")
    parser.add_argument("--serve", choices=("ours", "fit", "compilers", "structures", "first"), help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--filters", type=int, default=FILTERS, help=argparse.SUPPRESS)
    parser.add_argument("--structures", type=int, default=STRUCTURES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve == "ours":
        serve_ours(given.folder, given.threads, given.filters)
    elif given.serve == "fit":
        serve_fit(given.folder, given.threads, given.filters)
    elif given.serve == "compilers":
        serve_compilers(given.folder)
    elif given.serve == "structures":
        serve_structures(given.folder, given.structures)
    elif given.serve == "first":
        first_trial(given.folder)
    else:
        measure(parser.prog, given.data, given.quick)


def measure(program: str, source: str | None, quick: bool) -> None:
    """Make all measurements and print them."""
    repeats, structures = (2, 30) if quick else (5, STRUCTURES)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "cifar10"
        spec = DataSpec(path=source, validation=0.2) if source else DataSpec(name="cifar10", validation=0.2)
        try:
            prepare(spec, folder)
        except DataError as error:
            sys.exit(f"{program}: {error}")
        epochs = {added: compare(folder, *compared, repeats) for added, compared in COMPARED.items()}
        latencies = []
        for _ in range(repeats):
            start = time.perf_counter()
            subprocess.run(this_script("--serve", "first", "--folder", str(folder)), check=True, env=QUIET)
            latencies.append(time.perf_counter() - start)
        common = ("--folder", str(folder), "--structures", str(structures))
        compilers, many = (
            json.loads(
                subprocess.run(
                    this_script("--serve", part, *common),
                    check=True,
                    stdout=subprocess.PIPE,
                    text=True,
                    env=QUIET,
                ).stdout.splitlines()[-1]
            )
            for part in ("compilers", "structures")
        )
    heads = f"{'filters':>7}{'threads':>9}{'ours (s)':>10}{'fit (s)':>9}{'ratio':>7}{'processor':>11}"
    print(f"{heads}{'GFLOP/s':>9}{'product':>9}{'share':>7}")
    result: dict[str, float] = {}
    for added, times in epochs.items():
        ratio, share = times["fit"] / times["ours"], times["rate"] / times["product"]
        filters, threads = COMPARED[added]
        print(f"{filters:7}{threads:9}{times['ours']:10.3f}{times['fit']:9.3f}{ratio:7.2f}", end="")
        print(f"{times['fit_processor'] / times['ours_processor']:11.2f}", end="")
        print(f"{times['rate'] / 1e9:9.1f}{times['product'] / 1e9:9.1f}{share:7.2f}")
        result |= {f"fit_cnn{added}": ratio, f"arithmetic_share{added}": share}
    resident, first = many["resident"], latencies
    print(f"\nfirst trial: {min(first):.2f} to {max(first):.2f} s; a structure: {median(many['seconds']):.2f} s")
    shown = ", ".join(f"{resident[n - 1]:.0f} after {n}" for n in range(10, structures + 1, 10))
    print(f"{structures} structures: {many['compilations']} compilations; MiB: {shown}")
    print("; ".join(f"a step with XLA over one without, {name[4:]}: {r:.2f}" for name, r in compilers.items()))
    result |= {
        **compilers,
        "first_trial_s": median(latencies),
        "compilations": many["compilations"],
        "memory_growth": resident[-1] - resident[SETTLED - 1],
    }
    print(json.dumps({name: round(value, 4) for name, value in result.items()}))


if __name__ == "__main__":
    main()
