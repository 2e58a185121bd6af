"""Models of a user, for tests: a Keras function, a loop as a class and as a function, and faults of loops and programs."""

import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np


def network(hyperparameters: Mapping[str, Any], input_shape: tuple[int, ...], classes: int) -> Any:
    """A Keras model with all that a trial's state may hold: running statistics, a generator, an optimizer's slots."""
    import keras

    layers = keras.layers
    hidden = [layers.Dense(4), layers.BatchNormalization(), layers.ReLU(), layers.Dropout(0.1)]
    model = keras.Sequential([keras.Input(input_shape), layers.Flatten(), *hidden, layers.Dense(classes)])
    optimizer = keras.optimizers.AdamW(hyperparameters["learning_rate"], weight_decay=0.01)
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    return model


class Loop:
    """Gradient descent on a noisy parabola; all that is random follows from the seed and the epoch."""

    def __init__(self, hyperparameters: Mapping[str, Any], context: Any):
        self.context = context
        self.hyperparameters = hyperparameters
        self.x = np.random.default_rng(context.seed).uniform(0.5, 2.0, 3)
        self.epoch = 0

    def train(self) -> Iterator[Mapping[str, object]]:
        while self.epoch < self.context.epochs:
            noise = np.random.default_rng((self.context.seed, self.epoch)).standard_normal(3)
            self.x = self.x - self.hyperparameters["learning_rate"] * (2 * self.x + 0.1 * noise)
            self.epoch += 1
            loss = float(self.x @ self.x)
            yield {
                "loss": loss,
                "val_loss": 1.1 * loss,
                "val_error": np.sqrt(loss),
                "test_loss": np.float32(1.2 * loss),
            }

    def save(self) -> dict[str, Any]:
        return {"x": self.x, "epoch": self.epoch}

    def load(self, state: Mapping[str, Any]) -> None:
        self.x, self.epoch = state["x"], int(state["epoch"])

    def adjust(self, hyperparameters: Mapping[str, Any]) -> None:
        self.hyperparameters = hyperparameters


class Bytes(Loop):
    """The same with states in bytes, which differ in length from member to member and grow."""

    def save(self) -> Any:
        content = json.dumps([self.epoch, *self.x.tolist()])
        return content.ljust(100_000 * (1 + self.context.trial) + 1000 * self.epoch).encode()

    def load(self, state: Any) -> None:
        self.epoch, *x = json.loads(state)
        self.x = np.array(x)


def function(hyperparameters: Mapping[str, Any], context: Any) -> Iterator[Mapping[str, object]]:
    """The same as a function, which cannot be paused and gone on with elsewhere."""
    yield from Loop(hyperparameters, context).train()


def faulty(hyperparameters: Mapping[str, Any], context: Any) -> Any:
    """A loop with the fault that a hyperparameter names."""
    fault = hyperparameters["fault"]
    if fault == "nothing":
        return None
    return _faulty(fault, context)


def _faulty(fault: str, context: Any) -> Iterator[Any]:
    good = {"loss": 1.0, "val_loss": 1.0}
    yield good
    match fault:
        case "raises":
            raise ValueError("as it is meant to")
        case "exits":
            sys.exit(3)
        case "stops":
            return
        case "no mapping":
            yield [1.0]
        case "no loss":
            yield {"val_loss": 1.0}
        case "no number":
            yield {"loss": "small"}
        case "bad name":
            yield {"loss": 1.0, "val loss": 1.0}
        case "diverges":
            yield {"loss": float("nan")}
        case "no objective":
            yield {"loss": 1.0}
            yield {"loss": 1.0}
        case _:
            yield from [good] * (context.epochs - 1 + (fault == "too many"))


class Shapeless(Loop):
    """Members whose states differ in size."""

    def save(self) -> dict[str, Any]:
        return {"x": np.zeros(3 + self.context.trial), "epoch": self.epoch}


def daemon() -> None:
    """Leave a process in a session of its own, whose parent has ended, and write down its number."""
    if child := os.fork():
        os.waitpid(child, 0)
        return
    os.setsid()
    if grandchild := os.fork():
        Path(f"daemon-{os.getppid()}").write_text(str(grandchild))
        os._exit(0)
    for stream in (0, 1, 2):
        os.close(stream)
    time.sleep(600)


def program(fault: str, epochs: int) -> None:
    """A program with a fault."""
    for epoch in range(epochs):
        if epoch == 1:
            match fault:
                case "rubbish":
                    print("epoch 2: all is well", flush=True)
                case "list":
                    print("[1]", flush=True)
                case "exits":
                    print("no more memory", file=sys.stderr, flush=True)
                    sys.exit(3)
                case "crashes":
                    os.kill(os.getpid(), signal.SIGSEGV)
                case "ends":
                    return
                case "hangs":
                    time.sleep(600)
                case "daemon":
                    daemon()
                case "stubborn":
                    signal.signal(signal.SIGTERM, signal.SIG_IGN)
                    os.fork()
                    time.sleep(600)
                case "long":
                    print("x" * (3 << 20), flush=True)
                case "terminated" if not (marker := Path("terminated")).exists():
                    marker.touch()
                    os.kill(os.getpid(), signal.SIGTERM)
                case "killed":
                    os.kill(os.getpid(), signal.SIGKILL)
                case "killed once" if not (marker := Path("killed")).exists():
                    marker.touch()
                    os.kill(os.getpid(), signal.SIGKILL)
                case "talks":
                    for _ in range(4096):
                        print("x" * 1023, file=sys.stderr)
        print(json.dumps({"loss": 1.0 / (epoch + 1), "val_loss": 1.0 / (epoch + 1)}), flush=True)
    if fault == "too many":
        print(json.dumps({"loss": 1.0}), flush=True)
    if fault == "terminated late" and not (marker := Path("terminated")).exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGTERM)
    if fault == "late":
        sys.exit(4)
    if fault == "heirs" and not os.fork():  # a child that keeps the output open
        while True:
            time.sleep(0.01)
            print("still here", file=sys.stderr, flush=True)
    if fault == "daemon":
        time.sleep(600)


if __name__ == "__main__":
    program(sys.argv[1], int(sys.argv[2]))
