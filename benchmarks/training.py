"""How fast networks train here, against `model.fit` and a NumPy loop, on MNIST; ends with one line of JSON.

    python benchmarks/training.py --data mnist.npz

All train the same network with the same batches in float32, ours and NumPy with one thread. `model.fit` runs as it comes,
on all cores, and once more with one thread; in processes of its own with none of our settings (which fix the order of
sums), and gets its images scaled and flattened beforehand. Measurements alternate, so that noise of the machine meets all,
and medians are compared.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before NumPy is imported

import numpy as np
import numpy.typing as npt

from hypercurve.config.data import DataSpec
from hypercurve.runs.trial import Trial
from hypercurve.training.data import DataError, load, prepare
from hypercurve.training.keras_trainer import KerasTrainer, SampleOrder
from processes import QUIET, Server, this_script

BATCH_SIZES = (32, 64, 96, 144, 192, 288, 376, 512)
RATE, MOMENTUM, BATCH = 0.05, 0.5, 32
CONTENDERS = ("ours", "fit", "fit, one thread", "numpy")
F32 = npt.NDArray[np.float32]


def configuration(number: int) -> dict[str, Any]:
    """Trial `number` of the slides' MNIST space."""
    draw = np.random.default_rng((0, number))
    return {
        "learning_rate": draw.uniform(0, 1),
        "momentum": draw.uniform(0, 1),
        "decay": draw.uniform(0, 0.5),
        "batch_size": int(draw.choice(BATCH_SIZES)),
        "epochs": int(draw.choice([3, 4, 5, 6])),
    }


def timed(call: Callable[..., object], *arguments: object) -> float:
    start = time.perf_counter()
    call(*arguments)
    return time.perf_counter() - start


class NumPyLoop:
    """Softmax regression as a good engineer writes it: the same gather, float32, everything in place."""

    def __init__(self, folder: Path) -> None:
        self.data = load(folder)
        self.x = np.ascontiguousarray(self.data.x_train.reshape(self.data.samples, -1))
        self.w, self.b = np.zeros((self.x.shape[1], 10), np.float32), np.zeros(10, np.float32)
        self.vw, self.vb = np.zeros_like(self.w), np.zeros_like(self.b)

    def epoch(self, order: npt.NDArray[np.int32]) -> float:
        w, b, vw, vb, x, y = self.w, self.b, self.vw, self.vb, self.x, self.data.y_train
        rate, momentum, scale = np.float32(RATE), np.float32(MOMENTUM), np.float32(self.data.scale)
        raw, inputs = np.empty((BATCH, x.shape[1]), np.uint8), np.empty((BATCH, x.shape[1]), np.float32)
        logits, gradient, own, total = np.empty((BATCH, 10), np.float32), np.empty_like(w), np.arange(BATCH), 0.0
        for rows in order:
            np.take(x, rows, axis=0, out=raw, mode="clip")
            np.multiply(raw, scale, out=inputs)
            labels = y[rows]
            np.matmul(inputs, w, out=logits)
            logits += b
            logits -= logits.max(axis=1, keepdims=True)
            p = np.exp(logits)
            sums = p.sum(axis=1, keepdims=True)
            total += float((np.log(sums[:, 0]) - logits[own, labels]).mean())
            p /= sums
            p[own, labels] -= 1
            p /= BATCH
            np.matmul(inputs.T, p, out=gradient)
            gradient *= rate
            vw *= momentum
            vw -= gradient
            w += vw
            step = p.sum(axis=0)
            step *= rate
            vb *= momentum
            vb -= step
            b += vb
        return total / len(order)


def serve_fit(folder: Path, one_thread: bool) -> None:
    """Fit one epoch of the network named on each line of the input, and answer with the seconds."""
    import keras  # not by way of hypercurve, whose settings are not to act here
    import tensorflow as tf

    if one_thread:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    data = load(folder)
    x = data.x_train.reshape(data.samples, -1).astype(np.float32) * np.float32(data.scale)
    models: dict[str, Any] = {}
    for line in sys.stdin:
        name = line.strip()
        if name not in models:
            hidden = {"softmax": [], "mlp": [128, 64]}[name]
            layers = [keras.layers.Dense(units, activation="sigmoid") for units in hidden]
            models[name] = keras.Sequential([keras.Input(x.shape[1:]), *layers, keras.layers.Dense(10)])
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            models[name].compile(optimizer=keras.optimizers.SGD(RATE, momentum=MOMENTUM), loss=loss)
            models[name].fit(x[:3200], data.y_train[:3200], batch_size=BATCH, epochs=1, verbose=0)  # compiles
        start = time.perf_counter()
        models[name].fit(x, data.y_train, batch_size=BATCH, epochs=1, verbose=0)
        print(time.perf_counter() - start, flush=True)


def run_trials(folder: Path, numbers: range, remember: tuple[int, ...] = ()) -> None:
    """Train trials in this process and print what it took as JSON."""
    page = os.sysconf("SC_PAGE_SIZE")
    trainer, best, seconds, overhead, resident = KerasTrainer("softmax", folder), 0.0, 0.0, 0.0, {}
    for count, number in enumerate(numbers, 1):
        report = trainer.open(Trial(number, configuration(number))).advance(1.0)
        best = max(best, report.metrics.get("val_accuracy", 0.0))
        seconds, overhead = seconds + report.seconds, overhead + report.overhead
        if count in remember:
            resident[count] = int(Path("/proc/self/statm").read_text().split()[1]) * page
    result = {"compilations": trainer.engine.compilations, "best": best, "resident": resident}
    print(json.dumps({**result, "seconds": seconds, "overhead": overhead}))


def compare(folder: Path, repeats: int) -> dict[str, dict[str, float]]:
    """Median seconds per epoch of each contender, by network."""
    trainer = {name: KerasTrainer(name, folder) for name in ("softmax", "mlp")}
    settings = {"learning_rate": RATE, "momentum": MOMENTUM, "batch_size": BATCH, "epochs": repeats + 1}
    sessions = {name: made.open(Trial(0, settings)) for name, made in trainer.items()}
    by_hand = NumPyLoop(folder)
    samples = by_hand.data.samples
    order = SampleOrder(Trial(0, {}), samples, BATCH)
    steps = samples // BATCH
    by_hand.epoch(order.steps(0, 100))
    times: dict[str, dict[str, list[float]]] = {name: {who: [] for who in CONTENDERS} for name in sessions}
    servers = {
        "fit": Server("--serve-fit", str(folder)),
        "fit, one thread": Server("--serve-fit", str(folder), "--one-thread"),
    }
    for session in sessions.values():
        session.advance(1 / (repeats + 1))
    for repeat in range(1, repeats + 1):
        for name, session in sessions.items():
            # The last epoch stops short of its end, where validation would be evaluated as well.
            times[name]["ours"].append(timed(session.advance, min((repeat + 1) / (repeats + 1), 0.9999)))
            if name == "softmax":
                start = time.perf_counter()
                by_hand.epoch(order.steps(repeat * steps, (repeat + 1) * steps))
                times[name]["numpy"].append(time.perf_counter() - start)
            for who, server in servers.items():
                times[name][who].append(float(server.ask(name)))
    for server in servers.values():
        server.close()
    return {name: {who: median(t) for who, t in kinds.items() if t} for name, kinds in times.items()}


def where_time_goes(folder: Path, repeats: int) -> dict[str, float]:
    """Microseconds per step of softmax at batch 32, and what else a trial costs, in seconds."""
    trainer = KerasTrainer("softmax", folder)
    trial = Trial(0, {"learning_rate": RATE, "batch_size": BATCH})
    session = trainer.open(trial)
    from hypercurve.training.engine import CHUNK
    from hypercurve.training.runtime import tf

    order = SampleOrder(trial, trainer.data.samples, BATCH).steps(0, CHUNK)

    def gathering(x: Any, y: Any, order: Any, scale: Any) -> Any:
        def step(done: Any, *_: Any) -> Any:
            return done + 1, tf.cast(tf.gather(x, order[done]), tf.float32) * scale, tf.gather(y, order[done])

        start = (tf.constant(0), tf.zeros((BATCH, *x.shape[1:])), tf.zeros(BATCH, tf.int32))
        return tf.while_loop(lambda done, *_: done < CHUNK, step, start)

    gather = tf.function(gathering, jit_compile=True)
    arguments = (trainer.x, trainer.y, tf.constant(order), tf.constant(1.0))
    rates = np.full(CHUNK, RATE, np.float32)
    scale = trainer.data.scale

    def run(steps: int) -> Callable[[], object]:
        hyper = session.hyperparameters
        state, program = session._state, session.program
        return lambda: program.run(state, trainer.x, trainer.y, scale, order[:steps], rates[:steps], hyper)

    calls: dict[str, Callable[[], object]] = {
        "gather": lambda: gather(*arguments),
        "chunk": run(CHUNK),
        "call": run(0),
        "evaluation": lambda: session.evaluate(trainer.data.x_validation, trainer.data.y_validation),
        "start": lambda: trainer.open(trial),
        "order": lambda: SampleOrder(Trial(1, {}), trainer.data.samples, BATCH).steps(0, CHUNK),
    }
    for call in calls.values():
        call()
    taken = {name: median(timed(call) for _ in range(5 * repeats)) for name, call in calls.items()}
    step = (taken["chunk"] - taken["call"]) / CHUNK
    return {**taken, "step_us": step * 1e6, "gather_us": taken["gather"] / CHUNK * 1e6}


def random_trials(folder: Path, quick: bool) -> tuple[dict[str, Any], float]:
    """What many trials in one process take, and wall seconds per trial with two processes."""
    first, last = (20, 40) if quick else (20, 200)
    command = this_script("--worker", "0", str(last), "--remember", str(first), str(last), "--folder", str(folder))
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=QUIET)
    many: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    many["growth"] = many["resident"][str(last)] / many["resident"][str(first)] - 1
    half = 10 if quick else 50
    start = time.perf_counter()
    commands = [this_script("--worker", str(n), str(n + half), "--folder", str(folder)) for n in (0, half)]
    workers = [subprocess.Popen(c, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=QUIET) for c in commands]
    if max(worker.wait() for worker in workers) != 0:
        raise RuntimeError("a worker failed")
    return many, (time.perf_counter() - start) / (2 * half)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", metavar="FILE.npz", help="MNIST in the form of Keras; default: the cache of Keras")
    parser.add_argument("--quick", action="store_true", help="fewer measurements and trials")
    parser.add_argument("--serve-fit", metavar="FOLDER", help=argparse.SUPPRESS)
    parser.add_argument("--one-thread", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--worker", nargs=2, type=int, help=argparse.SUPPRESS)
    parser.add_argument("--remember", nargs="*", type=int, default=[], help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve_fit:
        serve_fit(Path(given.serve_fit), given.one_thread)
        return
    if given.worker:
        run_trials(Path(given.folder), range(*given.worker), tuple(given.remember))
        return
    repeats = 3 if given.quick else 7
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "mnist"
        spec = DataSpec(path=given.data, validation=10_000) if given.data else DataSpec(name="mnist", validation=10_000)
        try:
            prepare(spec, folder)
        except DataError as error:
            sys.exit(f"{parser.prog}: {error}")
        epochs = compare(folder, repeats)
        share = where_time_goes(folder, repeats)
        many, trial_seconds = random_trials(folder, given.quick)
    softmax, mlp = epochs["softmax"], epochs["mlp"]
    rows = [
        (f"{network}, batch 32, epoch: {reference}", times["ours"], times[who])
        for network, times in (("softmax", softmax), ("784-128-64-10", mlp))
        for who, reference in (("fit", "model.fit"), ("fit, one thread", "model.fit, one thread"), ("numpy", "NumPy"))
        if who in times
    ]
    print(f"{'what':54}{'ours (s)':>10}{'reference':>11}{'ratio':>8}")
    for what, ours, reference in rows:
        print(f"{what:54}{ours:10.4f}{reference:11.4f}{reference / ours:8.2f}")
    resident = ", ".join(f"{size / 2**20:.0f} MiB after {count}" for count, size in many["resident"].items())
    print(
        f"\na step of softmax at batch 32: {share['step_us']:.1f} us, of which gather and scaling {share['gather_us']:.1f}"
    )
    print(f"per call of up to 512 steps: {share['call'] * 1e3:.2f} ms; an epoch's order: {share['order'] * 1e3:.2f} ms")
    print(f"evaluation of 10,000: {share['evaluation'] * 1e3:.1f} ms; start of a trial: {share['start'] * 1e3:.1f} ms")
    print(f"trials in one process: {many['compilations']} compilations in {many['overhead']:.1f} s, then ", end="")
    print(f"{many['seconds']:.1f} s of training; resident {resident}; best validation accuracy {many['best']:.4f}")
    print(f"two processes, start-up included: {trial_seconds:.3f} s per trial")
    result = {
        "fit_softmax": softmax["fit"] / softmax["ours"],
        "numpy_softmax": softmax["ours"] / softmax["numpy"],
        "fit_mlp": mlp["fit"] / mlp["ours"],
        "fit_softmax_one_thread": softmax["fit, one thread"] / softmax["ours"],
        "fit_mlp_one_thread": mlp["fit, one thread"] / mlp["ours"],
        "compilations": many["compilations"],
        "memory_growth": many["growth"],
        "trial_seconds": trial_seconds,
    }
    print(json.dumps({name: round(value, 4) for name, value in result.items()}))


if __name__ == "__main__":
    main()
