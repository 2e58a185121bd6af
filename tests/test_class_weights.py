"""Class weights: the training loss of uneven classes, against Keras's own and against the formula in NumPy."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import SYNTHETIC, changed
from hypercurve.config.data import DataSpec
from hypercurve.config.experiment import Experiment
from hypercurve.config.model import KerasSpec
from hypercurve.runs.trial import Trial
from hypercurve.training.data import prepare
from hypercurve.training.keras_trainer import KerasSession, KerasTrainer, SampleOrder
from hypercurve.util.errors import UserError

STEPS, RATE = 6, 0.1
NETWORKS = """\
import keras
from keras import layers


def body():
    hidden, last = layers.Dense(8, activation="tanh"), layers.Dense(3, activation="softmax")
    return keras.Sequential([keras.Input((5,)), hidden, last])


def plain(h):
    return body()


def compiled(h):
    model = body()
    model.compile(keras.optimizers.Adam(h["learning_rate"]), "sparse_categorical_crossentropy")
    return model


def summed(h):
    model = body()
    loss = keras.losses.SparseCategoricalCrossentropy(reduction="sum")
    model.compile(keras.optimizers.SGD(h["learning_rate"]), loss)
    return model


class Stepped(keras.Model):
    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return super().compute_loss(x, y, y_pred, sample_weight, training) * 2


def stepped(h):
    inner = body()
    model = Stepped(inner.inputs, inner.outputs)
    model.compile(keras.optimizers.SGD(h["learning_rate"]), "sparse_categorical_crossentropy")
    return model


class Unweighed(keras.Model):
    def train_step(self, data):
        x, y = data
        return {"loss": self.compute_loss(x, y, self(x))}


def unweighed(h):
    inner = body()
    model = Unweighed(inner.inputs, inner.outputs)
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model
"""


@pytest.fixture(scope="module")
def uneven(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("uneven"), np.random.default_rng(0)
    labels = rng.choice(3, 100, p=[0.8, 0.15, 0.05])
    np.savez(folder / "uneven.npz", x=rng.normal(size=(100, 5)) + labels[:, None], y=labels + 1)
    return prepare(DataSpec(path=str(folder / "uneven.npz")), folder / "data").folder


@pytest.fixture
def networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "weighed_networks.py").write_text(NETWORKS)
    monkeypatch.syspath_prepend(str(tmp_path))
    return "weighed_networks"


def trained(model: Any, data: Path, **options: Any) -> tuple[KerasSession, float]:
    made = KerasTrainer(model, data, points=(1.0,), balanced=True, **options)
    given = {"learning_rate": RATE, "batch_size": 16, "epochs": STEPS * 16 / made.data.samples}
    session = made.open(Trial(0, given))
    return session, session.advance(1.0).metrics["loss"]


def batches(session: KerasSession) -> Any:
    data, order = session.trainer.data, SampleOrder(session.trial, session.trainer.data.samples, 16)
    for rows in order.steps(0, session.total):
        yield data.x_train[rows] * np.float32(data.scale), data.y_train[rows]


def weights_of(labels: Any) -> dict[int, float]:
    """scikit-learn's formula for "balanced": n / (k * count)."""
    return {kind: len(labels) / (3 * int(np.sum(labels == kind))) for kind in range(3)}


def values_of(session: KerasSession) -> list[Any]:
    from hypercurve.training.buffers import unpack

    return list(unpack(session.snapshot().weights, session.network.values))


@pytest.mark.slow
def test_a_built_in_network_trains_as_the_formula_has_it(uneven: Path) -> None:
    session, loss = trained("softmax", uneven)
    weight = weights_of(session.trainer.data.y_train)
    assert max(weight.values()) > 3 * min(weight.values())
    kernel, bias = (np.array(value, np.float64) for value in session.network.initial(session.trial))
    losses = []
    for x, y in batches(session):
        logits = x @ kernel + bias
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        w = np.array([weight[label] for label in y])
        losses.append(np.mean(w * -np.log(p[np.arange(len(y)), y])))
        slope = w[:, None] * (p - np.eye(3)[y]) / len(y)
        kernel, bias = kernel - RATE * x.T @ slope, bias - RATE * slope.sum(axis=0)
    assert loss == pytest.approx(np.mean(losses), rel=1e-5)
    for ours, expected in zip(values_of(session), (kernel, bias), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["plain", "compiled", "summed", "stepped"])
@pytest.mark.parametrize("compiler", ["xla", "graph"])
def test_a_keras_model_trains_as_by_class_weight_of_keras(
    uneven: Path, networks: str, name: str, compiler: Any
) -> None:
    session, _ = trained(KerasSpec(keras=f"{networks}:{name}"), uneven, compiler=compiler)
    model = getattr(importlib.import_module(networks), name)({"learning_rate": RATE})
    if name == "plain":
        import keras

        model.compile(keras.optimizers.SGD(RATE), "sparse_categorical_crossentropy")
    for variable, value in zip(model.variables, session.network.initial(session.trial), strict=False):
        variable.assign(value)
    weight = weights_of(session.trainer.data.y_train)
    for x, y in batches(session):
        model.train_on_batch(x, y, class_weight=weight)
    for ours, variable in zip(values_of(session), model.trainable_variables, strict=False):
        np.testing.assert_allclose(ours, variable.numpy(), rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_validation_is_not_weighed(uneven: Path) -> None:
    session, _ = trained("softmax", uneven)
    kernel, bias = values_of(session)
    data = session.trainer.data
    logits = (data.x_validation @ kernel + bias).astype(np.float64)
    losses = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(logits)), data.y_validation]
    measured = session.evaluate(data.x_validation, data.y_validation)
    assert measured["loss"] == pytest.approx(losses.mean(), rel=1e-5)


@pytest.mark.slow
def test_what_cannot_be_weighed_is_told(uneven: Path, networks: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"class_weight: .*Unweighed has its own train_step.*x, y, sample_weight"):
        trained(KerasSpec(keras=f"{networks}:unweighed"), uneven)
    np.savez(tmp_path / "targets.npz", x=np.eye(9), y=np.arange(9) / 2)
    targets = prepare(DataSpec(path=str(tmp_path / "targets.npz")), tmp_path / "targets").folder
    with pytest.raises(UserError, match="class_weight: is for labels"):
        trained("softmax", targets)


BALANCED = ("training: {", "training: {class_weight: balanced, ")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([BALANCED], "is for networks; model synthetic"),
        ([BALANCED, ("synthetic", "{loop: a:b}")], "is for networks; model loop a:b"),
        ([BALANCED, ("synthetic", "softmax"), ("0.25}", "0.25, task: regression}")], "is for labels"),
        ([("synthetic", "softmax"), ("0.25}", "0.25, task: regression}")], "must be loss or mae, since `data.task`"),
        ([("training: {", "training: {class_weight: even, ")], "must be one of balanced"),
    ],
)
def test_an_experiment_that_cannot_be_weighed_is_refused(
    experiment_from: Any, changes: list[tuple[str, str]], words: str
) -> None:
    with pytest.raises(UserError, match=words):
        experiment_from(*changes)


def test_the_weights_are_part_of_what_a_training_is_and_nothing_else_has_changed(experiment_from: Any) -> None:
    plain: Experiment = experiment_from(("synthetic", "softmax"))
    weighed: Experiment = experiment_from(("synthetic", "softmax"), BALANCED)
    assert "class_weight" not in plain.model_dump_json()
    from hypercurve.config.identity import training_digest

    digests = {training_digest(one.setting("e", "random"), "data", None) for one in (plain, weighed)}
    assert len(digests) == 2
    assert changed(SYNTHETIC, BALANCED) != SYNTHETIC
