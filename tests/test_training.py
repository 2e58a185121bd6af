"""The Keras engine: equal bits however training is cut, few compilations, and the arithmetic of Keras."""

import dataclasses
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from hypercurve.config.data import DataSpec
from hypercurve.config.model import KerasSpec
from hypercurve.runs.trial import Trial
from hypercurve.training.data import prepare
from hypercurve.training.keras_trainer import KerasTrainer, SampleOrder
from hypercurve.training.synthetic import SyntheticTrainer
from hypercurve.training.trainer import Snapshot, aligned
from hypercurve.util.seeding import generator

pytestmark = pytest.mark.slow

POINTS = (0.1, 0.2, 0.4, 1.0)
SMALL_CNN = {"filters": 4, "units": 8, "epochs": 0.5, "batch_size": 16, "optimizer": "adam", "learning_rate": 0.003}


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "digits"
    prepare(DataSpec(name="digits"), folder)
    return folder


@pytest.fixture(scope="session")
def trainer(digits):
    @cache
    def make(model, evaluate="points", points=POINTS, compiler="auto"):
        return KerasTrainer(model, digits, points=points, examples=evaluate, compiler=compiler)

    return make


def finished(session, points=POINTS):
    return [dict(session.advance(point).metrics) for point in points], session.snapshot()


def assert_equal(one, other):
    assert one[0] == other[0]
    assert_equal_snapshots(one[1], other[1])


def assert_equal_snapshots(one, other):
    assert (one.progress, one.step) == (other.progress, other.step)
    assert one.weights.tobytes() == other.weights.tobytes()
    assert one.slots.tobytes() == other.slots.tobytes()


CASES = [
    ("dense", {"learning_rate": 0.1, "momentum": 0.9, "epochs": 2}),
    ("mlp", {"learning_rate": 0.01, "optimizer": "adam", "epochs": 1, "decay_ratio": 0.9, "decay_every": 10}),
    ("cnn", SMALL_CNN),
]


@pytest.mark.parametrize(("model", "configuration"), CASES)
def test_two_trainings_of_a_trial_are_equal(trainer, digits, model, configuration):
    trial = Trial(3, configuration, seed=1)
    first = finished(trainer(model).open(trial))
    other = KerasTrainer(model, digits, points=POINTS, examples="points")  # compiled again
    assert_equal(first, finished(other.open(trial)))
    assert first[0][-1]["loss"] < first[0][0]["loss"]


@pytest.mark.parametrize(("model", "configuration"), CASES)
def test_metrics_and_weights_do_not_depend_on_how_training_is_cut(trainer, model, configuration):
    trial = Trial(3, configuration)
    whole, pieces = trainer(model).open(trial), trainer(model).open(trial)
    expected = whole.advance(1.0).metrics
    for point in (0.05, 0.1, 0.3, 0.4, 0.41, 0.9):
        pieces.advance(point)
    assert pieces.advance(1.0).metrics == expected
    assert_equal_snapshots(whole.snapshot(), pieces.snapshot())


def test_the_loss_at_a_point_is_the_mean_since_the_point_before(trainer):
    trial = Trial(0, {"epochs": 3})
    every_step = trainer("softmax", points=tuple(np.arange(1, 109) / 108)).open(trial)
    assert every_step.total == 108
    losses = [every_step.advance(step / 108).metrics["loss"] for step in range(1, 109)]
    session = trainer("softmax").open(trial)
    for start, stop, point in [(0, 11, 0.1), (11, 22, 0.2), (22, 43, 0.4), (43, 108, 1.0)]:
        assert session.advance(point).metrics["loss"] == pytest.approx(np.mean(losses[start:stop]), rel=1e-12)


@pytest.mark.parametrize(("model", "configuration"), CASES)
@pytest.mark.parametrize("stop", [0.2, 0.3])
def test_a_snapshot_continues_as_if_training_had_never_stopped(trainer, model, configuration, stop):
    trial = Trial(5, configuration)
    straight, first, second = (trainer(model).open(trial) for _ in range(3))
    first.advance(stop)
    sizes = len(first.snapshot().weights), len(first.snapshot().slots)
    memory = aligned(1, sum(sizes))[0]  # as populations have it, which use it again as soon as it is restored
    held = first.snapshot(memory)
    second.restore(held)
    held.weights[:], held.slots[:] = np.nan, np.nan
    assert straight.advance(1.0).metrics == second.advance(1.0).metrics
    assert_equal_snapshots(straight.snapshot(), second.snapshot())


CONTINUE = """
import sys
from pathlib import Path
import numpy as np
from hypercurve.runs.trial import Trial
from hypercurve.training.trainer import Snapshot
from hypercurve.training.keras_trainer import KerasTrainer
folder, file, model = sys.argv[1:]
held = np.load(file, allow_pickle=True)
trial = Trial(5, held["configuration"].item())
session = KerasTrainer(model, Path(folder), points=(0.1, 0.2, 0.4, 1.0), examples="points").open(trial)
session.restore(Snapshot(float(held["progress"]), int(held["step"]), held["weights"], held["slots"]))
metrics = dict(session.advance(1.0).metrics)
end = session.snapshot()
np.savez(file, metrics=metrics, weights=end.weights, slots=end.slots)
"""


@pytest.mark.parametrize(("model", "configuration"), [CASES[0], CASES[2]])
def test_a_new_process_continues_from_a_snapshot(trainer, digits, tmp_path, model, configuration):
    session = trainer(model).open(Trial(5, configuration))
    session.advance(0.3)
    held, file = session.snapshot(), tmp_path / "snapshot.npz"
    state = {"progress": held.progress, "step": held.step, "weights": held.weights, "slots": held.slots}
    np.savez(file, configuration=np.array(configuration, object), **state)
    subprocess.run([sys.executable, "-c", CONTINUE, str(digits), str(file), model], check=True, timeout=120)
    metrics = dict(session.advance(1.0).metrics)
    other = np.load(file, allow_pickle=True)
    assert metrics == other["metrics"].item()
    assert session.snapshot().weights.tobytes() == other["weights"].tobytes()
    assert session.snapshot().slots.tobytes() == other["slots"].tobytes()


@pytest.mark.parametrize(("model", "configuration"), CASES)
def test_sessions_in_one_process_do_not_touch_each_other(trainer, model, configuration):
    one, two = Trial(1, configuration), Trial(2, {**configuration, "learning_rate": 0.02})
    alone = [finished(trainer(model).open(trial)) for trial in (one, two)]
    sessions = [trainer(model).open(trial) for trial in (one, two)]
    reports = [[], []]
    for point in POINTS:
        for session, kept in zip(sessions, reports, strict=True):
            kept.append(dict(session.advance(point).metrics))
    for session, kept, expected in zip(sessions, reports, alone, strict=True):
        assert_equal(expected, (kept, session.snapshot()))
    assert alone[0][0] != alone[1][0]


def test_numeric_hyperparameters_compile_once(digits):
    trainer = KerasTrainer("cnn", digits)
    reports = [
        trainer.open(Trial(n, {**SMALL_CNN, "learning_rate": rate, "dropout_1": rate, "beta_1": 0.9 - rate})).advance(
            0.1
        )
        for n, rate in enumerate((0.001, 0.002, 0.003))
    ]
    assert trainer.engine.compilations == 2  # training and evaluation
    assert reports[0].overhead > 0
    assert [report.overhead for report in reports[1:]] == [0.0, 0.0]
    trainer.open(Trial(3, {**SMALL_CNN, "batch_size": 8})).advance(0.1)
    assert trainer.engine.compilations == 3  # evaluation stays
    trainer.open(Trial(4, {**SMALL_CNN, "units": 9})).advance(0.1)
    assert trainer.engine.compilations == 5


def test_dropout_takes_its_rate_from_the_configuration(trainer):
    losses = []
    for rate in (0.0, 0.5):
        configuration = {**SMALL_CNN, "dropout_1": rate, "dropout_2": rate, "dropout_dense": rate}
        losses.append(trainer("cnn").open(Trial(0, configuration)).advance(0.1).metrics["loss"])
    assert losses[0] != losses[1]


def test_a_diverged_training_reports_nan_and_computes_nothing_more(trainer):
    session = trainer("dense").open(Trial(0, {"learning_rate": 1e30, "epochs": 20}))
    runs = []
    run, session.program.run = session.program.run, lambda *args: runs.append(run(*args)) or runs[-1]
    try:
        for point in POINTS:
            metrics = session.advance(point).metrics
            assert set(metrics) == {"loss"}
            assert np.isnan(metrics["loss"])
        assert len(runs) == 1
        assert runs[0][1] < 10  # steps done
        healthy = trainer("dense").open(Trial(1, {"epochs": 20}))
        session.restore(healthy.snapshot())
        assert np.isfinite(session._state.loss.numpy())
    finally:
        session.program.run = run


def test_every_point_has_a_loss_even_if_there_are_fewer_steps_than_points(trainer):
    session = trainer("softmax").open(Trial(0, {"epochs": 0.01}))
    assert session.total == 1
    assert all(np.isfinite(session.advance(point).metrics["loss"]) for point in POINTS)


def test_progress_does_not_go_back(trainer):
    session = trainer("softmax").open(Trial(0, {}))
    session.advance(0.5)
    for progress in (0.4, 0.0, 1.1):
        with pytest.raises(ValueError, match="cannot train"):
            session.advance(progress)


def test_every_epoch_takes_every_sample_once():
    order = SampleOrder(Trial(7, {}), samples=10, batch_size=4)
    stream = order.steps(0, 10).ravel()
    assert all(sorted(stream[e * 10 : e * 10 + 10]) == list(range(10)) for e in range(4))
    assert list(stream[:10]) != list(stream[10:20])
    fresh = SampleOrder(Trial(7, {}), samples=10, batch_size=4)
    np.testing.assert_array_equal(fresh.steps(7, 9).ravel(), stream[28:36])
    large = SampleOrder(Trial(7, {}), samples=10, batch_size=32)  # a batch of more than three epochs
    np.testing.assert_array_equal(large.steps(0, 1).ravel(), stream[:32])


def test_trials_differ_in_weights_and_repeats_as_well(trainer):
    weights = [
        trainer("dense").open(Trial(number, {}, repeat=repeat)).snapshot().weights
        for number, repeat in [(0, 0), (1, 0), (0, 1)]
    ]
    assert not np.array_equal(weights[0], weights[1])
    assert not np.array_equal(weights[0], weights[2])


@pytest.mark.parametrize(
    ("optimizer", "hyperparameters", "options"),
    [
        ("sgd", {"momentum": 0.0}, {}),
        ("sgd", {"momentum": 0.9}, {"momentum": 0.9}),
        ("adam", {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}, {}),
        (
            "adam",
            {"beta_1": 0.85, "beta_2": 0.985, "epsilon": 1e-5},
            {"beta_1": 0.85, "beta_2": 0.985, "epsilon": 1e-5},
        ),
    ],
)
def test_optimizers_agree_with_keras_step_for_step(optimizer, hyperparameters, options):
    from hypercurve.optimizers import OPTIMIZERS
    from hypercurve.training.runtime import keras, tf

    ours = OPTIMIZERS[optimizer]
    draw = np.random.default_rng(0)
    start = [draw.normal(size=shape).astype(np.float32) for shape in [(3, 2), (2,)]]
    variables = [keras.Variable(w) for w in start]
    theirs = {"sgd": keras.optimizers.SGD, "adam": keras.optimizers.Adam}[optimizer](learning_rate=0.05, **options)
    weights = [tf.constant(w) for w in start]
    slots = [tf.zeros_like(w) for _ in range(ours.slots) for w in weights]
    rates = np.full(20, 0.05, np.float32)
    rates = ours.correct(hyperparameters, 0, rates) if ours.correct else rates
    coefficients = tf.constant([hyperparameters[name] for name in ours.coefficients], tf.float32)
    for rate in rates:
        gradients = [tf.constant(draw.normal(size=w.shape).astype(np.float32)) for w in start]
        theirs.apply(gradients, variables)
        weights, slots = ours.update(weights, slots, gradients, tf.constant(rate), coefficients)
        for w, variable in zip(weights, variables, strict=True):
            # Keras computes 1 - beta^t in float32 and so is 5e-5 off in its steps; ours is rounded once, from float64.
            np.testing.assert_allclose(w, variable.numpy(), rtol=1e-5, atol=5e-6)


def softmax_by_hand(data, trial, weights, bias, rate, momentum, batch_size, steps):
    """Textbook gradient descent on softmax regression, in float64."""
    samples = data.samples
    stream = np.concatenate(
        [generator(0, 0, "shuffle", trial, e).permutation(samples) for e in range(steps * batch_size // samples + 1)]
    )
    x = data.x_train.reshape(samples, -1) * data.scale
    w, b = weights.astype(np.float64), bias.astype(np.float64)
    vw, vb, total = np.zeros_like(w), np.zeros_like(b), 0.0
    for step in range(steps):
        rows = stream[step * batch_size : (step + 1) * batch_size]
        logits = x[rows] @ w + b
        p = np.exp(logits - logits.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        own = np.arange(batch_size), data.y_train[rows]
        total -= np.log(p[own]).mean()
        p[own] -= 1
        vw = momentum * vw - rate * x[rows].T @ p / batch_size
        vb = momentum * vb - rate * p.mean(axis=0)
        w, b = w + vw, b + vb
    return w, b, total / steps


@pytest.mark.parametrize("compiler", ["xla", "graph"])
def test_softmax_regression_agrees_with_the_textbook(trainer, compiler):
    made = trainer("softmax", points=(1.0,), compiler=compiler)
    session = made.open(Trial(4, {"learning_rate": 0.1, "momentum": 0.8, "batch_size": 32, "epochs": 2}))
    start = session.snapshot().weights
    loss = session.advance(1.0).metrics["loss"]
    w, b, expected = softmax_by_hand(
        made.data, 4, start[:640].reshape(64, 10), start[640:], 0.1, 0.8, 32, session.total
    )
    assert loss == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(session.snapshot().weights, [*w.ravel(), *b], rtol=1e-3, atol=1e-5)


def test_evaluation_agrees_with_numpy_and_counts_no_padding(trainer):
    made = trainer("softmax")
    session = made.open(Trial(0, {"learning_rate": 0.1, "epochs": 3}))
    metrics = session.advance(1.0).metrics
    held = session.snapshot()
    w, b = held.weights[:640].reshape(64, 10), held.weights[640:]

    def by_hand(x, y):
        logits = x.reshape(len(x), -1) * made.data.scale @ w + b
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        return -np.log(p[np.arange(len(y)), y]).mean(), (logits.argmax(axis=1) == y).mean()

    loss, accuracy = by_hand(made.data.x_validation, made.data.y_validation)
    assert metrics["val_loss"] == pytest.approx(loss, rel=1e-5)
    assert metrics["val_accuracy"] == pytest.approx(accuracy)
    tested = made.test(session.trial, held)
    loss, accuracy = by_hand(made.data.x_test, made.data.y_test)
    assert tested == {"test_loss": pytest.approx(loss, rel=1e-5), "test_accuracy": pytest.approx(accuracy)}


def test_judging_convolutions_in_parts_is_judging_all_at_once(trainer):
    made = trainer("cnn")
    session = made.open(Trial(0, {**SMALL_CNN, "epochs": 1}))
    metrics = session.advance(1.0).metrics
    x, y, network = made.data.x_validation, made.data.y_validation, session.network
    assert len(x) > network.rows  # more than one call, the last one padded
    assert len(x) % network.rows
    weights, others = (list(tensors) for tensors in (session._state.weights, session._state.others))
    logits, *_ = network.forward(weights, others, x.astype(np.float32) * np.float32(made.data.scale), training=False)
    logits = logits.numpy().astype(np.float64)
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    assert metrics["val_loss"] == pytest.approx(-log_p[np.arange(len(y)), y].mean(), rel=1e-5)
    assert metrics["val_accuracy"] == pytest.approx((logits.argmax(axis=1) == y).mean())


def test_batch_normalisation_and_pretrained_weights_of_a_user_fit(digits, tmp_path, monkeypatch):
    (tmp_path / "users_model.py").write_text(
        "import keras\n"
        "def build(hyperparameters, input_shape, classes):\n"
        "    L = keras.layers\n"
        "    frozen = L.Dense(5, name='pretrained')\n"
        "    model = keras.Sequential([L.Flatten(), frozen, L.BatchNormalization(), L.Dropout(0.5),\n"
        "        L.Dense(classes, kernel_regularizer='l2')])\n"
        "    model.build((None, *input_shape))\n"
        "    frozen.set_weights([w * 0 + 0.25 for w in frozen.get_weights()])\n"
        "    frozen.trainable = hyperparameters['tune']\n"
        "    return model\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    trainer = KerasTrainer(KerasSpec(keras="users_model:build"), digits, points=POINTS, examples="points")
    trial = Trial(0, {"tune": False, "epochs": 1, "learning_rate": 0.01})
    straight, first, second = (trainer.open(trial) for _ in range(3))
    arrays = dict(zip([v.path for v in straight.network.variables], straight.network.initial(trial), strict=True))
    assert (next(a for path, a in arrays.items() if "pretrained/kernel" in path) == 0.25).all()
    first.advance(0.4)
    second.restore(first.snapshot())
    assert straight.advance(1.0).metrics == second.advance(1.0).metrics
    assert_equal_snapshots(straight.snapshot(), second.snapshot())


def test_a_snapshot_of_another_network_is_refused(trainer):
    held = trainer("dense").open(Trial(0, {})).snapshot()
    with pytest.raises(ValueError, match="does not fit"):
        trainer("softmax").open(Trial(0, {})).restore(held)


def test_a_member_of_a_population_takes_over_weights_and_changes_its_rate(trainer):
    configuration = {"learning_rate": 0.1, "decay_ratio": 0.9, "decay_every": 5, "epochs": 2}
    donor, member = (trainer("mlp").open(Trial(number, configuration)) for number in (0, 1))
    donor.advance(0.4), member.advance(0.4)
    member.restore(donor.snapshot())
    rate = member.learning_rate
    member.adjust({**configuration, "learning_rate": 1.2 * rate})
    assert member.learning_rate == np.float32(1.2 * rate)
    assert member.snapshot().weights.tobytes() == donor.snapshot().weights.tobytes()
    assert np.isfinite(member.advance(1.0).metrics["loss"])
    assert trainer("mlp").engine.compilations <= 4
    with pytest.raises(ValueError, match="batch_size cannot change"):
        member.adjust({**configuration, "batch_size": 8})


def test_adams_correction_goes_by_what_its_slots_have_seen(trainer):
    """A member at step 20 that takes over a donor of step 10 makes the donor's 11th update: all samples, so the same one."""
    samples = trainer("softmax").data.samples
    configuration = {"optimizer": "adam", "learning_rate": 0.01, "epochs": 40, "batch_size": samples}
    donor, member = (
        trainer("softmax", points=tuple(np.arange(1, 41) / 40)).open(Trial(n, configuration)) for n in (0, 1)
    )
    donor.advance(0.25), member.advance(0.5)
    assert (donor.step, member.step) == (10, 20)
    member.restore(dataclasses.replace(donor.snapshot(), progress=0.5, step=20))
    donor.advance(11 / 40), member.advance(21 / 40)
    np.testing.assert_allclose(member.snapshot().weights, donor.snapshot().weights, rtol=1e-3, atol=1e-6)
    again = trainer("softmax", points=tuple(np.arange(1, 41) / 40)).open(Trial(1, configuration))
    again.restore(member.snapshot())
    assert again.advance(1.0).metrics == member.advance(1.0).metrics
    assert_equal_snapshots(again.snapshot(), member.snapshot())


def test_a_restored_state_may_be_used_again_at_once(trainer):
    """A population's buffers are: large arrays, which could become tensors without a copy, are no exception."""
    configuration = {"units_1": 512, "units_2": 64, "momentum": 0.9, "epochs": 2}
    one, other, plain = (trainer("mlp").open(Trial(number, configuration)) for number in (0, 1, 1))
    one.advance(0.2)
    size = len(one.snapshot().weights) + len(one.snapshot().slots)
    lent, own = aligned(2, size + -size % 16)[:, :size], one.snapshot()
    held = one.snapshot(lent[0])
    assert_equal_snapshots(held, own)
    other.restore(held)
    lent[:] = np.nan
    plain.restore(own)
    assert_equal(finished(plain, (0.4, 1.0)), finished(other, (0.4, 1.0)))


@pytest.mark.parametrize("dtype", [np.float32, np.uint32, np.int64, np.float16, np.bool_, np.uint8])
def test_buffers_hold_any_type_bit_for_bit(dtype):
    from hypercurve.training.buffers import pack, unpack

    draw = np.random.default_rng(0)
    arrays = [
        draw.integers(0, 2 if dtype == np.bool_ else 256, 4 * n * np.dtype(dtype).itemsize, dtype=np.uint8)
        .view(dtype)
        .reshape(2, -1)
        for n in (1, 3)
    ] + [np.zeros((), dtype), np.zeros((0, 2), dtype), np.ones(3, dtype)]
    back = unpack(pack(arrays), arrays)
    assert [a.tobytes() for a in back] == [a.tobytes() for a in arrays]
    assert [(a.dtype, a.shape) for a in back] == [(a.dtype, a.shape) for a in arrays]
    with pytest.raises(ValueError, match="does not fit"):
        unpack(pack(arrays), arrays[:-1])


def test_threads_are_fixed_once(trainer):
    trainer("softmax")
    from hypercurve.training.runtime import configure

    with pytest.raises(RuntimeError, match="cannot change to 2"):
        configure(2)


def test_importing_the_trainer_does_not_import_tensorflow():
    code = "import sys, hypercurve.training.keras_trainer; sys.exit('tensorflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_synthetic_curves_fall_fail_and_continue():
    trainer = SyntheticTrainer(evaluate="points")
    ends, failed = [], 0
    for number in range(200):
        draw = generator(0, 0, "configuration", number)
        configuration = {"learning_rate": draw.uniform(0, 1), "momentum": draw.uniform(0, 1), "batch_size": 32}
        trial = Trial(number, configuration)
        try:
            session = trainer.open(trial)
        except RuntimeError:
            failed += 1
            continue
        losses = [session.advance(point).metrics["loss"] for point in POINTS]
        if not np.isfinite(losses[-1]):
            failed += 1
            continue
        ends.append(losses[-1])
        again = trainer.open(trial)
        again.advance(0.2)
        other = trainer.open(trial)
        other.restore(again.snapshot())
        assert other.advance(1.0) == session.advance(1.0)
    assert 2 <= failed <= 60
    assert min(ends) < 0.5 * np.median(ends)
    assert isinstance(session.snapshot(), Snapshot)


def real_mnist():
    return Path(__file__).parents[2] / "shared" / "data" / "mnist.npz"


@pytest.mark.skipif(not real_mnist().is_file(), reason="needs ../shared/data/mnist.npz, the real MNIST")
def test_one_epoch_of_real_mnist_learns(tmp_path):
    prepare(DataSpec(path=str(real_mnist()), validation=10000), tmp_path / "mnist")
    session = KerasTrainer("softmax", tmp_path / "mnist").open(Trial(0, {"learning_rate": 0.1, "epochs": 1}))
    report = session.advance(1.0)
    assert report.metrics["val_accuracy"] > 0.9
    assert "val_accuracy" not in KerasTrainer("softmax", tmp_path / "mnist").open(Trial(0, {})).advance(0.01).metrics
