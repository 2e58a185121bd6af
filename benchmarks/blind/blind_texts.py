"""Next-character networks on texts that every installation of Python and scikit-learn carries.

The network of Bengio et al. 2003: an embedding of each of the last characters, a layer of rectified units, and a softmax
over the next one, trained by gradient descent with momentum. What the texts are depends on the versions installed.
"""

import inspect
import unicodedata
from collections import Counter
from importlib import import_module
from importlib.resources import files

import numpy as np

ALPHABET = "\n abcdefghijklmnopqrstuvwxyz0123456789.,:;()[]'\"=_-*/+#<>"
CONTEXT, TRAINING, PARTS, RARE = 8, 40_000, 2_000, 20
EPOCH = 2_048  # windows that are seen between two reports
MODULES = """
    argparse ast asyncio.events collections configparser csv datetime decimal difflib email.message enum fractions functools
    heapq http.client inspect json logging pathlib pickle random shutil socket statistics subprocess tarfile
"""


def descriptions():
    """English: scikit-learn's descriptions of its data sets."""
    folder = files("sklearn.datasets.descr")
    return _parts(
        "\n".join(path.read_text("utf-8") for path in sorted(folder.iterdir(), key=str) if path.suffix == ".rst")
    )


def docstrings():
    """English with names in it: docstrings of the standard library."""
    found = []
    for name in MODULES.split():
        module = import_module(name)
        found.append(inspect.getdoc(module) or "")
        for _, thing in sorted(vars(module).items()):
            if inspect.isclass(thing) or inspect.isfunction(thing):
                found.append(inspect.getdoc(thing) or "")
    return _parts("\n".join(found))


def source():
    """Python: the standard library's source code."""
    return _parts("\n".join(inspect.getsource(import_module(name)) for name in MODULES.split()[:8]))


def names():
    """Names of characters, as Unicode gives them."""
    rng = np.random.default_rng(0)
    found = [unicodedata.name(chr(code), "") for code in range(0x20, 0x3000)]
    return _parts("\n".join(found[k] for k in rng.permutation(len(found)) if found[k]))


def _parts(text):
    """Windows of characters and the characters that follow them; the last part of a text is for validation and test."""
    text = "".join(character for character in text.lower() if character in ALPHABET)[: TRAINING + 3 * PARTS]
    begin = Counter(text[: TRAINING // 2])  # what is rare is left out, so that every character occurs in training
    codes = {character: code for code, character in enumerate(c for c in ALPHABET if begin[c] >= RARE)}
    known = np.array([codes[character] for character in text if character in codes], np.int64)
    windows = np.lib.stride_tricks.sliding_window_view(known, CONTEXT + 1)
    rest = len(windows) - 2 * PARTS
    found = {}
    for part, rows in [
        ("train", windows[:rest]),
        ("validation", windows[rest : rest + PARTS]),
        ("test", windows[rest + PARTS :]),
    ]:
        found[f"x_{part}"], found[f"y_{part}"] = rows[:, :-1].astype(np.float32), rows[:, -1]
    return found


class _Network:
    """Weights, their gradients and their speeds."""

    def __init__(self, hyperparameters, characters, rng):
        context, size, units = (hyperparameters[name] for name in ("context", "embedding", "units"))
        self.context, wide = context, context * size
        gain = hyperparameters["scale"]
        self.weights = [
            rng.standard_normal((characters, size)) * gain,
            rng.standard_normal((wide, units)) * np.sqrt(2 / wide),
            np.zeros(units),
            rng.standard_normal((units, characters)) * gain / units,
            np.zeros(characters),
        ]
        self.speeds = [np.zeros_like(weights) for weights in self.weights]

    def forward(self, x):
        embedding, inner, inner_bias, outer, outer_bias = self.weights
        seen = embedding[x[:, -self.context :]].reshape(len(x), -1)
        hidden = np.maximum(seen @ inner + inner_bias, 0)
        logits = hidden @ outer + outer_bias
        logits -= logits.max(axis=1, keepdims=True)
        return seen, hidden, logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))

    def loss(self, x, y):
        return -float(self.forward(x)[2][np.arange(len(x)), y].mean())

    def step(self, x, y, hyperparameters):
        """One step of gradient descent; returns the loss before it."""
        seen, hidden, logs = self.forward(x)
        rows = np.arange(len(x))
        error = np.exp(logs)
        error[rows, y] -= 1
        error /= len(x)
        _, inner, _, outer, _ = self.weights
        back = (error @ outer.T) * (hidden > 0)
        embedded = np.zeros_like(self.weights[0])
        np.add.at(embedded, x[:, -self.context :], (back @ inner.T).reshape(len(x), self.context, -1))
        gradients = [embedded, seen.T @ back, back.sum(axis=0), hidden.T @ error, error.sum(axis=0)]
        for weights, speed, gradient in zip(self.weights, self.speeds, gradients, strict=True):
            speed *= hyperparameters["momentum"]
            speed -= hyperparameters["learning_rate"] * (gradient + hyperparameters["weight_decay"] * weights)
            weights += speed
        return -float(logs[rows, y].mean())


def train(hyperparameters, context):
    """The loop: a report every so many windows."""
    rng, data = np.random.default_rng(context.seed), context.data
    network = _Network(hyperparameters, data.classes, rng)
    x, y = np.asarray(data.x_train).astype(np.int64), np.asarray(data.y_train).astype(np.int64)
    x_validation = np.asarray(data.x_validation).astype(np.int64)
    y_validation = np.asarray(data.y_validation).astype(np.int64)
    size = hyperparameters["batch_size"]
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for _ in range(context.epochs):
            losses = []
            for rows in rng.integers(len(x), size=(EPOCH // size, size)):
                losses.append(network.step(x[rows], y[rows], hyperparameters))
            yield {"loss": float(np.mean(losses)), "val_loss": network.loss(x_validation, y_validation)}
