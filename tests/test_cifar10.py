"""The slides' CIFAR-10 group: its search space as shipped, networks of any structure, and data files cut to size."""

import gc
import weakref
from pathlib import Path

import numpy as np
import pytest

from hypercurve.cli import main
from hypercurve.config.data import DataSpec
from hypercurve.config.files import read_experiment
from hypercurve.runs.trial import Trial
from hypercurve.training.data import prepare
from hypercurve.util.seeding import generator

EXPERIMENTS = ("cifar10-trials", "cifar10-time", "cifar10-small")
TINY = {"filters": 4, "units": 8, "epochs": 1, "batch_size": 16, "optimizer": "adam", "learning_rate": 0.003}

# Slides, "LCM Algorithm: CIFAR10 Group", the list of hyperparameters.
RANGES = {"learning_rate": (0.001, 0.01), "beta_1": (0.85, 0.95), "beta_2": (0.985, 0.995)}
VALUES = {
    "epsilon": {1e-8, 1e-7, 5e-7, 1e-6, 5e-6},
    "batch_size": {32, 64, 96, 144, 192, 288, 376, 512},
    "epochs": {10, 15, 20, 25, 30, 35, 40},
    **{f"kernel_{number}": {2, 3, 4, 5} for number in (1, 2)},
    **{f"kernel_{number}": {2, 3, 4} for number in (3, 4)},
    **{f"strides_{number}": {1, 2} for number in (1, 2, 3, 4)},
    **{f"dropout_{place}": {0.1, 0.2, 0.3, 0.4, 0.5} for place in (1, 2, "dense")},
    "dense_layers": {1, 2, 3},
}


def experiment(root, name):
    return read_experiment(root / "config" / "experiments" / f"{name}.yaml")


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_space_is_that_of_the_slides(root, name):
    space = experiment(root, name).space
    draws = [space.sample(generator(0, 0, "configuration", trial)) for trial in range(500)]
    assert set(space.variables) == {*RANGES, *VALUES}
    for hyperparameter, (low, high) in RANGES.items():
        drawn = [draw[hyperparameter] for draw in draws]
        assert low <= min(drawn) < low + 0.02 * (high - low)
        assert high - 0.02 * (high - low) < max(drawn) <= high
    for hyperparameter, values in VALUES.items():
        if (name, hyperparameter) != ("cifar10-small", "epochs"):  # there they are fewer
            assert {draw[hyperparameter] for draw in draws} == values
    assert all(draw["optimizer"] == "adam" for draw in draws)


def test_the_small_experiment_differs_from_the_large_in_data_and_length_alone(root):
    large, small = experiment(root, "cifar10-trials"), experiment(root, "cifar10-small")
    differing = {key for key in type(large).model_fields if getattr(large, key) != getattr(small, key)}
    assert differing <= {"description", "data", "space", "budget", "repeats", "cost", "methods"}
    assert {n for n in large.space.names if large.space[n] != small.space[n]} == {"epochs"}


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "digits"
    prepare(DataSpec(name="digits"), folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(("kernel", "strides"), [(5, 2), (4, 2), (2, 2), (5, 1), (9, 3)])
def test_feature_maps_never_vanish(digits, kernel, strides, capfd):
    from hypercurve.training.keras_trainer import KerasTrainer

    numbers = range(1, 5)
    shape = {**{f"kernel_{n}": kernel for n in numbers}, **{f"strides_{n}": strides for n in numbers}}
    session = KerasTrainer("cnn", digits).open(Trial(0, {**TINY, **shape}))
    sides, side = [], 8
    for _ in numbers:
        side = -(-side // strides)
        sides.append(side)
    convolutions = [layer for layer in session.network.model.layers if hasattr(layer, "strides")]
    assert [layer.output.shape[1] for layer in convolutions] == sides
    assert 0 < session.advance(1.0).metrics["val_accuracy"] <= 1
    assert capfd.readouterr().err == ""


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(7, 5), (6, 6), (33,)])
def test_dropout_keeps_its_share_and_the_mean(shape):
    from hypercurve.training.networks import Dropout
    from hypercurve.training.runtime import tf

    layer = Dropout("dropout_1")
    inputs = tf.ones((2000, *shape))
    run = tf.function(lambda x: layer(x, training=True))
    for rate in (0.0, 0.003, 0.1, 0.5, 0.9):
        layer.rate.assign(rate)
        draws = [run(inputs).numpy() for _ in range(60)]
        dropped = np.array(draws) == 0
        shares = dropped.reshape(60, -1).mean(axis=1)
        spread = np.sqrt(rate * (1 - rate))
        assert np.abs(shares - rate).max() < 1 / 256 + 6 * spread / np.sqrt(inputs.numpy().size)
        assert shares.mean() == pytest.approx(rate, abs=4 / 256 / 2 / np.sqrt(60) + 1e-9)
        assert np.allclose(draws[0][~dropped[0]], 1 / (1 - rate), rtol=1e-6)
        if rate >= 0.1:
            places = dropped[0].reshape(2000, -1)
            assert np.abs(places.mean(axis=0) - rate).max() < 6 * spread / np.sqrt(2000) + 1 / 256
            for neighbour in range(1, 5):  # some are drawn from the same word
                assert abs(np.corrcoef(places[:, 0], places[:, neighbour])[0, 1]) < 6 / np.sqrt(2000)
            assert abs(np.corrcoef(dropped[0].ravel(), dropped[1].ravel())[0, 1]) < 6 / np.sqrt(dropped[0].size)
        assert np.array_equal(layer(inputs, training=False).numpy(), inputs.numpy())


@pytest.mark.slow
def test_networks_beyond_the_bound_are_let_go(digits):
    from hypercurve.training.keras_trainer import KerasTrainer

    trainer = KerasTrainer("cnn", digits)
    trainer.engine.size = 2
    kept = []
    for units in (3, 4, 5, 6):
        session = trainer.open(Trial(0, {**TINY, "units": units}))
        session.advance(1 / session.total)
        kept += [weakref.ref(session.network), weakref.ref(session.program), weakref.ref(session.network.model)]
        del session
    gc.collect()
    assert [held() is None for held in kept] == [True] * 6 + [False] * 6


def cifar(path, train=300, test=60, **changes):
    rng = np.random.default_rng(0)
    arrays = {
        "x_train": rng.integers(0, 256, (train, 32, 32, 3), dtype=np.uint8),
        "y_train": (np.arange(train) % 10)[:, None],
        "x_test": rng.integers(0, 256, (test, 32, 32, 3), dtype=np.uint8),
        "y_test": (np.arange(test) % 10)[:, None],
    }
    np.savez(path, **{**arrays, **changes})
    return arrays


def test_cutting_takes_the_first_examples_and_writes_the_same_bytes_each_time(tmp_path):
    arrays = cifar(tmp_path / "whole.npz")
    for name in ("one", "two"):
        assert (
            main(["cut", str(tmp_path / "whole.npz"), str(tmp_path / f"{name}.npz"), "--train", "100", "--test", "20"])
            == 0
        )
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    with np.load(tmp_path / "one.npz", allow_pickle=False) as cut:
        for part, count in (("train", 100), ("test", 20)):
            np.testing.assert_array_equal(cut[f"x_{part}"], arrays[f"x_{part}"][:count])
            np.testing.assert_array_equal(cut[f"y_{part}"], arrays[f"y_{part}"][:count, 0])
    prepare(DataSpec(path=str(tmp_path / "one.npz")), tmp_path / "prepared")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["{folder}/none.npz", "{folder}/out.npz"], "none.npz does not exist"),
        (["cifar100", "{folder}/out.npz"], "no data 'cifar100' to cut: give one of mnist, fashion_mnist, cifar10"),
        (["{folder}/whole.npz", "{folder}/out.npz"], "the train part has 300 examples, fewer than the 10000 asked for"),
        (
            ["{folder}/whole.npz", "{folder}/out.npz", "--train", "9", "--test", "20"],
            "has the label 9, which never occurs",
        ),
        (["{folder}/whole.npz", "{folder}/out.npy", "--train", "30", "--test", "9"], "must end with .npz"),
    ],
)
def test_what_cannot_be_cut_is_refused(tmp_path, capsys, arguments, words):
    cifar(tmp_path / "whole.npz")
    assert main(["cut", *(argument.format(folder=tmp_path) for argument in arguments)]) == 2
    assert words in capsys.readouterr().err
    assert not list(tmp_path.glob("out*"))


def test_a_missing_data_file_comes_with_the_command_that_makes_it(root, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = experiment(root, "cifar10-small").data.path
    assert not Path(path).is_absolute()
    assert main(["data", path, "-o", str(tmp_path / "prepared")]) == 2
    assert f"`hypercurve cut cifar10 {path}`" in capsys.readouterr().err
