"""Learning-rate schedules against Keras's own, and the table of hyperparameters."""

import numpy as np
import pytest

from hypercurve.config.hyperparameters import HYPERPARAMETERS, known, resolve
from hypercurve.config.learning_rates import learning_rates


@pytest.mark.slow
def test_staircase_and_inverse_time_agree_with_keras():
    from hypercurve.training.runtime import configure, keras

    configure(1)  # tests share a process, and threads cannot be changed once TensorFlow has begun
    steps = range(0, 500, 7)
    staircase = keras.optimizers.schedules.ExponentialDecay(0.1, decay_steps=20, decay_rate=0.95, staircase=True)
    inverse = keras.optimizers.schedules.InverseTimeDecay(0.1, decay_steps=1, decay_rate=0.3)
    ours = learning_rates({"learning_rate": 0.1, "decay_ratio": 0.95, "decay_every": 20}, 0, 500)
    np.testing.assert_allclose(ours[::7], [float(staircase(s)) for s in steps], rtol=2e-6)
    ours = learning_rates({"learning_rate": 0.1, "decay": 0.3}, 0, 500)
    np.testing.assert_allclose(ours[::7], [float(inverse(s)) for s in steps], rtol=2e-6)


def test_a_piece_of_the_schedule_equals_that_part_of_the_whole():
    hyperparameters = {"learning_rate": 0.2, "decay_ratio": 0.99, "decay_every": 20, "decay": 0.01}
    whole = learning_rates(hyperparameters, 0, 300)
    pieces = [learning_rates(hyperparameters, start, 50) for start in range(0, 300, 50)]
    np.testing.assert_array_equal(np.concatenate(pieces), whole)
    assert whole.dtype == np.float32


def test_an_anchor_counts_decay_from_there():
    hyperparameters = {"learning_rate": 0.2, "decay_ratio": 0.9, "decay_every": 20}
    rates = learning_rates(hyperparameters, 240, 41, anchor=240)
    assert rates[0] == rates[19] == np.float32(0.2)
    assert rates[20] == np.float32(0.2 * 0.9)
    assert rates[40] == np.float32(0.2 * 0.9**2)


def test_a_growing_rate_overflows_to_infinity_without_a_warning():
    rates = learning_rates({"learning_rate": 1.0, "decay_ratio": 2.0, "decay_every": 1}, 0, 3000)
    assert np.isinf(rates[-1])


def test_resolve_fills_defaults_and_brings_numbers_to_their_kind():
    values = resolve("dense", {"batch_size": 64.0, "learning_rate": 1})
    assert values["batch_size"] == 64
    assert isinstance(values["batch_size"], int)
    assert isinstance(values["learning_rate"], float)
    assert values["optimizer"] == "sgd"
    assert resolve("mlp", {})["activation"] == "sigmoid"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("momentum", 1.5, "from 0 to 1"),
        ("learning_rate", -0.1, "at least 0"),
        ("learning_rate", float("nan"), "at least 0"),
        ("batch_size", 0, "whole number from 1 to 10000000"),
        ("batch_size", 32.5, "whole number"),
        ("epochs", 0, "above 0"),
        ("optimizer", "rmsprop", "sgd, adam"),
        ("beta_1", 1.0, "below 1"),
        ("learning_rate", True, "a number"),
        ("unknown", 1, "has no hyperparameter"),
    ],
)
def test_values_that_are_not_allowed_are_named(name, value, words):
    with pytest.raises(ValueError, match=words):
        resolve("dense", {name: value})


def test_defaults_are_allowed_and_models_know_only_their_own():
    for entry in HYPERPARAMETERS.values():
        assert entry.problem(entry.default) is None, entry.name
    assert "units" not in known("softmax")
    assert set(known("synthetic")) == {"learning_rate", "momentum", "batch_size", "epochs"}
    assert not known("dense")["units"].numeric
    assert known("cnn")["dropout_1"].numeric
