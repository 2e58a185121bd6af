"""Keras models and data of users: trained as a textbook loop would, whatever they bring, and refused in clear words."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from conftest import ROOT
from hypercurve.config.data import DataSpec
from hypercurve.config.model import KerasSpec
from hypercurve.events.journal import Journal, read_lines
from hypercurve.execution.mpi import population
from hypercurve.execution.mpi.comm import communicator
from hypercurve.runs.run import Run
from hypercurve.runs.trial import Trial
from hypercurve.training import make_trainer
from hypercurve.training.data import DataError, prepare
from hypercurve.training.keras_trainer import KerasTrainer, SampleOrder
from hypercurve.util.errors import UserError
from test_training import assert_equal_snapshots

pytestmark = pytest.mark.slow

STEPS = 24


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    @cache
    def make(**spec):
        return prepare(DataSpec(**spec), tmp_path_factory.mktemp("data") / "set").folder

    return make


@pytest.fixture(scope="module")
def trainer(folder):
    @cache
    def make(name, compiler="auto", data="digits", loss=None, metrics=(), **options):
        place = folder(name=data) if data == "digits" else folder(function=f"own_networks:{data}")
        spec = KerasSpec(keras=f"own_networks:{name}", loss=loss, metrics=metrics)
        return KerasTrainer(spec, place, points=(0.3, 1.0), examples="points", compiler=compiler, **options)

    return make


def trial_of(made, number=0, **configuration):
    """A trial of so many steps."""
    configuration = {"batch_size": 32, "learning_rate": 0.05} | configuration
    return Trial(number, configuration | {"epochs": STEPS * configuration["batch_size"] / made.data.samples})


def by_keras(session, model):
    """The same training by `train_on_batch`: from the same start, over the same samples."""
    from keras.src.random.seed_generator import global_seed_generator

    network, trial, data = session.network, session.trial, session.trainer.data
    start = network.set_knobs(network.initial(trial), session.hyperparameters)
    variables = [*model.trainable_variables, *model.non_trainable_variables, global_seed_generator().state]
    assert [v.shape for v in variables] == [v.shape for v in network.variables]
    for variable, value in zip(variables, start, strict=True):
        variable.assign(value)
    order = SampleOrder(trial, data.samples, session.program.batch_size)
    for rows in order.steps(0, session.total):  # `fit` gives a `train_step` x and y, `train_on_batch` something more
        x, y = data.x_train[rows].astype(np.float32) * np.float32(data.scale), data.y_train[rows]
        if network.steps is None:
            model.train_on_batch(x, y)
        else:
            model.fit(x, y, batch_size=len(rows), shuffle=False, verbose=0)
    return variables


def values_of(session):
    from hypercurve.training.buffers import unpack

    return unpack(session.snapshot().weights, session.network.values)


def fresh(name, **hyperparameters):
    import keras

    import own_networks

    policy = keras.config.dtype_policy()
    keras.utils.set_random_seed(0)
    try:
        return getattr(own_networks, name)({"learning_rate": 0.05, **hyperparameters})
    finally:
        keras.config.set_dtype_policy(policy)


@pytest.mark.parametrize(
    ("name", "compiler", "given"),
    [
        ("still", "xla", {}),
        ("adamw", "graph", {}),
        ("scheduled", "graph", {"momentum": 0.9}),
        ("averaged", "graph", {}),
        ("brain", "graph", {}),
        ("half", "graph", {}),
        ("own_train_step", "auto", {}),
        ("own_loss", "auto", {}),
        ("own_measure", "auto", {}),
        ("players", "auto", {}),
    ],
)
def test_a_compiled_model_trains_as_keras_trains_it(trainer, name, compiler, given):
    made = trainer(name, compiler=compiler)
    session = made.open(trial_of(made, **given))
    session.advance(1.0)
    variables = by_keras(session, fresh(name, **given))
    low = name in ("half", "brain")  # what compilers fuse is rounded elsewhere
    for ours, variable in zip(values_of(session), variables, strict=True):
        if ours.dtype == np.float32:
            np.testing.assert_allclose(ours, variable.numpy(), rtol=0.05 if low else 2e-3, atol=0.03 if low else 2e-4)
        else:  # what generators have drawn
            np.testing.assert_array_equal(ours, variable.numpy())


def test_what_a_model_measures_by_itself_is_what_keras_evaluates(trainer):
    made = trainer("own_measure")
    session = made.open(trial_of(made))
    report = session.advance(1.0).metrics
    model = fresh("own_measure")
    model(np.zeros((1, 8, 8), np.float32))
    for variable, value in zip(
        [*model.trainable_variables, *model.non_trainable_variables], values_of(session), strict=False
    ):
        variable.assign(value)
    x = made.data.x_validation.astype(np.float32) * np.float32(made.data.scale)
    expected = model.evaluate(x, made.data.y_validation, batch_size=1000, return_dict=True, verbose=0)
    assert {f"val_{name}" for name in expected} == {*report} - {"loss"}
    for name, value in expected.items():
        assert report[f"val_{name}"] == pytest.approx(value, rel=1e-5)
    assert made.test(session.trial, session.snapshot()).keys() == {"test_loss", "test_accuracy", "test_twice"}


def test_steps_of_a_models_own_are_given_the_learning_rate(trainer):
    made = trainer("own_loss")
    sessions = [made.open(trial_of(made, learning_rate=rate, decay=0.1)) for rate in (0.05, 0.1)]
    ends = [session.advance(1.0).metrics["loss"] for session in sessions]
    assert ends[0] != ends[1]
    assert made.engine.compilations == 2
    apart = trainer("players")  # whose optimizers nobody but its own step knows
    sessions = [apart.open(trial_of(apart, learning_rate=rate)) for rate in (0.05, 0.1)]
    assert apart.engine.compilations == 4
    with pytest.raises(UserError, match="learning_rate: model own_networks:players reads this when it is built"):
        sessions[0].adjust(sessions[1].trial.configuration)


@pytest.mark.parametrize("name", ["normalised", "constrained", "noisy"])
def test_a_model_that_is_not_compiled_trains_by_our_optimizers_and_cross_entropy(trainer, name):
    import keras

    made = trainer(name, compiler="graph")
    session = made.open(trial_of(made, momentum=0.5))
    session.advance(1.0)
    model = fresh(name)
    model(np.zeros((1, 8, 8), np.float32))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=name == "noisy")
    model.compile(keras.optimizers.SGD(0.05, momentum=0.5), loss)
    for ours, variable in zip(values_of(session), by_keras(session, model), strict=True):
        np.testing.assert_allclose(ours, variable.numpy(), rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize(
    "name", ["normalised", "adamw", "scheduled", "half", "noisy", "half_by_ours", "own_train_step", "players"]
)
def test_pieces_and_snapshots_change_no_bit(trainer, name):
    made = trainer(name)
    trial = trial_of(made, number=2, momentum=0.5)
    whole, pieces, other = (made.open(trial) for _ in range(3))
    for point in (0.1, 0.3, 0.55):
        pieces.advance(point)
    other.restore(pieces.snapshot())
    expected = whole.advance(1.0).metrics
    assert pieces.advance(1.0).metrics == other.advance(1.0).metrics == expected
    assert_equal_snapshots(whole.snapshot(), pieces.snapshot())
    assert_equal_snapshots(whole.snapshot(), other.snapshot())
    assert whole.advance(1.0).metrics.get("val_accuracy", 1.0) > 0.1
    later = made.open(trial_of(made, number=3, momentum=0.5))
    assert not np.array_equal(later.snapshot().weights, made.open(trial).snapshot().weights)


@pytest.mark.parametrize("lag", [0, 1])
def test_a_member_of_a_population_copies_weights_statistics_and_optimizer(folder, experiment_from, tmp_path, lag):
    """A plain loop that follows the journal, and looks at every variable that a copy has."""
    from hypercurve.training.buffers import unpack

    text = f"""\
data: {{name: digits}}
model: own_networks:adamw
space: {{learning_rate: {{log_uniform: [0.0005, 0.05]}}, epochs: 2}}
budget: {{trials: 4}}
methods:
  pbt: {{population: {{every: 9, lag: {lag}, explore: {{learning_rate: {{factors: [0.8, 1.2]}}}}}}}}
"""
    setting = experiment_from(text=text).setting("e", "pbt")
    trainer = make_trainer(setting, folder(name="digits"))
    run = Run(setting, 0, samples=trainer.data.samples, data="none")
    with Journal(tmp_path / "journal.jsonl") as journal:
        population.execute(run, trainer, journal, communicator(1), folder=tmp_path / "snapshots")
    sessions, states, copied = {}, {}, set()
    for line in read_lines(tmp_path / "journal.jsonl")[0]:
        if line["event"] in ("reported", "completed"):
            session, progress = sessions[line["trial"]], line.get("progress", 1.0)
            assert session.advance(progress).metrics == line["metrics"]
            states[line["trial"], progress] = session.snapshot()
        for action in line["then"]:
            if "start" in action:
                sessions[action["start"]] = trainer.open(Trial(action["start"], action["configuration"]))
            if "copy" in action:
                session, donor = sessions[action["copy"]], states[action["from"], action["at"]]
                own = session.snapshot()
                session.restore(replace(donor, progress=own.progress, step=own.step))
                session.adjust(action["configuration"])
                assert session.learning_rate == pytest.approx(action["configuration"]["learning_rate"])
                now = session.snapshot()
                for one, other, like in (
                    (now.weights, donor.weights, session.network.values),
                    (now.slots[:-4], donor.slots[:-4], session.program.slots),  # less the sum of losses and the count
                ):
                    for mine, theirs in zip(unpack(one, like), unpack(other, like), strict=True):
                        np.testing.assert_array_equal(mine, theirs)
                copied |= {variable.path.rpartition("/")[2] for variable in session.network.variables}
    assert {"kernel", "gamma", "moving_mean", "moving_variance", "seed_generator_state"} <= copied


def test_what_compilers_refuse_runs_without_them_and_says_so_once(trainer, capfd):
    for name, mode, reason in [
        ("called_back", "graph", "InvalidArgumentError: Detected unsupported operations"),
        ("branching", "eager", "TypeError: float() argument must be"),
        ("accumulating", "eager", ""),
    ]:
        made = trainer(name, compiler="xla")
        one, two = (made.open(trial_of(made, width=width)) for width in (8, 9))
        assert {session.program.mode for session in (one, two)} == {mode}
        report = one.advance(1.0)
        assert report.compiler == mode
        said = [line for line in capfd.readouterr().err.splitlines() if "warning" in line]
        assert len(said) == 1
        assert f"own_networks:{name}: training it: {reason}" in said[0]
        again = KerasTrainer(made.model, made.data.folder, points=(0.3, 1.0), examples="points", compiler="xla")
        assert again.open(one.trial).advance(1.0).metrics == report.metrics
        capfd.readouterr()
    made = trainer("eager")
    session = made.open(trial_of(made))
    assert session.network.mode == "eager"
    report = session.advance(1.0)
    assert report.compiler == ""  # nobody refused: it was asked for
    for ours, variable in zip(values_of(session), by_keras(session, fresh("eager")), strict=True):
        np.testing.assert_allclose(ours, variable.numpy(), rtol=1e-4, atol=1e-5)


def test_only_what_the_builder_reads_compiles_again(trainer, capfd):
    made = KerasTrainer(KerasSpec(keras="own_networks:adamw"), trainer("adamw").data.folder)
    ends = []
    for rate in (0.001, 0.002, 0.003):
        session = made.open(trial_of(made, number=0, learning_rate=rate))
        ends.append(session.advance(1.0).metrics["loss"])
    assert made.engine.compilations == 2
    assert len(set(ends)) == 3
    made.open(trial_of(made, width=20))
    assert made.engine.compilations == 4
    capfd.readouterr()
    for _ in range(2):
        made.open(trial_of(made, momentum=0.5))
    assert capfd.readouterr().err == "warning: model own_networks:adamw: nothing reads the hyperparameter momentum\n"
    assert made.engine.compilations == 4
    with pytest.raises(UserError, match="width: model own_networks:adamw reads this when it is built"):
        session.adjust({**session.trial.configuration, "width": 17})
    session.adjust({**session.trial.configuration, "learning_rate": 0.5})
    assert session.learning_rate == 0.5


def test_rates_of_our_dropout_compile_once_under_names_of_ones_own(trainer, capfd):
    made = trainer("dropped")
    sessions = [made.open(trial_of(made, share=share)) for share in (0.0, 0.5)]
    assert made.engine.compilations == 2
    ends = [session.advance(1.0).metrics["loss"] for session in sessions]
    assert ends[0] < ends[1]
    sessions[0].adjust(sessions[1].trial.configuration)
    assert "warning" not in capfd.readouterr().err


def test_an_optimizer_keeps_its_own_rate_unless_the_space_has_one(trainer):
    made = trainer("rated")  # Adam(0.01)
    trial = trial_of(made)
    without = {name: value for name, value in trial.configuration.items() if name != "learning_rate"}
    sessions = [made.open(Trial(0, without | more)) for more in ({}, {"learning_rate": 0.01}, {"learning_rate": 0.1})]
    ends = [session.advance(1.0).metrics["loss"] for session in sessions]
    assert sessions[0].learning_rate == pytest.approx(0.01)
    assert ends[0] == ends[1] != ends[2]


@pytest.mark.parametrize(
    ("data", "loss", "metrics", "names"),
    [
        ("surface", None, (), ["loss", "mae"]),
        ("surface", "huber", ("mse", "own_networks:Largest"), ["loss", "mse", "largest"]),
        ("surface_by_name", "own_networks:pinball", ("RootMeanSquaredError",), ["loss", "RootMeanSquaredError"]),
    ],
)
def test_regression_measures_what_was_asked_for_over_the_whole_part(trainer, data, loss, metrics, names):
    import own_networks

    made = trainer("line", data=data, loss=loss, metrics=metrics)
    session = made.open(trial_of(made, optimizer="adam", learning_rate=0.01))
    report = session.advance(1.0).metrics
    assert sorted(report) == sorted(["loss", *(f"val_{name}" for name in names)])
    model = own_networks.line({}, (3,), 2)
    model.set_weights(values_of(session)[:4])
    x, y = made.data.x_validation, made.data.y_validation
    predicted = model.predict(x, verbose=0)
    error = y - predicted
    expected = {
        "mae": np.abs(error).mean(),
        "mse": (error**2).mean(),
        "largest": np.abs(error).max(),
        "RootMeanSquaredError": np.sqrt((error**2).mean()),
    }
    losses = {
        None: expected["mse"],
        "huber": np.where(np.abs(error) < 1, error**2 / 2, np.abs(error) - 0.5).mean(),
        "own_networks:pinball": np.maximum(0.7 * error, -0.3 * error).mean(),
    }
    assert report["val_loss"] == pytest.approx(losses[loss], rel=1e-4)
    for name in names[1:]:
        assert report[f"val_{name}"] == pytest.approx(expected[name], rel=1e-4)
    assert set(made.test(session.trial, session.snapshot())) == {f"test_{name}" for name in names}


def test_built_in_models_learn_targets_too_and_embeddings_learn(folder, trainer):
    made = KerasTrainer("dense", folder(function="own_networks:surface"), examples="points")
    report = made.open(trial_of(made, optimizer="adam", learning_rate=0.01, units=16, batch_size=16)).advance(1.0)
    assert set(report.metrics) == {"loss", "val_loss", "val_mae"}
    made = trainer("embedded", data="words")
    ends = [made.open(trial_of(made, learning_rate=rate)).advance(1.0).metrics["loss"] for rate in (0.0, 0.1)]
    assert ends[1] < ends[0]
    assert made.data.y_train.shape == (120,)


def test_the_number_of_parameters_is_reported_where_a_constraint_asks(folder, experiment_from):
    text = """\
data: {name: digits}
model: MODEL
objective: {metric: accuracy, mode: max}
constraints: {parameters: {max: 1500}}
space: {width: {choice: [4, 64]}, epochs: 0.1}
budget: {trials: 2}
methods:
  random: {search: random}
"""
    for model, width in (("own_networks:plain", "width"), ("dense", "units")):
        setting = experiment_from(("MODEL", model), ("width:", f"{width}:"), text=text).setting("e", "random")
        made = make_trainer(setting, folder(name="digits"))
        reports = [made.open(Trial(0, {width: size, "epochs": 0.1})).advance(0.5).metrics for size in (4, 64)]
        assert [report["parameters"] for report in reports] == [64 * 4 + 4 + 4 * 10 + 10, 64 * 64 + 64 + 64 * 10 + 10]


REFUSED = [
    ({"keras": "no_such_module:build"}, {}, "model.keras = no_such_module:build: there is no module no_such_module"),
    ({"keras": "own_networks:plan"}, {}, "module own_networks has no plan; did you mean 'plain'?"),
    ({"keras": "own_networks:REACHED"}, {}, "REACHED is no function but dict"),
    ({"keras": "own_networks:forked"}, {}, "it gives 2 outputs"),
    ({"keras": "own_networks:named"}, {}, "it gives outputs by name"),
    ({"keras": "own_networks:joined"}, {}, "it takes 2 inputs; the data give one"),
    ({"keras": "own_networks:weighted"}, {}, "`loss_weights` are for several losses"),
    ({"keras": "own_networks:stateful"}, {}, "is stateful, but batches are drawn anew"),
    ({"keras": "own_networks:double"}, {}, "it has weights in float64, which our optimizers do not update"),
    ({"keras": "own_networks:lossless"}, {}, "it is compiled without a loss"),
    ({"keras": "own_networks:uncompiled_step"}, {}, "has its own train_step, which needs an optimizer"),
    ({"keras": "own_networks:without_loss"}, {}, "train_step gives d_loss and no loss, the learning curve"),
    ({"keras": "own_networks:hoarding"}, {}, "keeps count as a tf.Variable"),
    ({"keras": "own_networks:adamw", "loss": "mse"}, {}, "are for models that are not compiled"),
    ({"keras": "own_networks:plain", "loss": "msle2"}, {}, "loss = 'msle2': Keras has no loss of this name"),
    (
        {"keras": "own_networks:plain"},
        {"objective": "auc"},
        "objective.metric = auc: model own_networks:plain does not measure it",
    ),
]


@pytest.mark.parametrize(("model", "options", "words"), REFUSED)
def test_what_would_fail_every_trial_is_an_error_of_the_user(folder, model, options, words):
    with pytest.raises(UserError) as caught:
        KerasTrainer(KerasSpec(**model), folder(name="digits"), **options).open(Trial(0, {"width": 4}))
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nothing", "nothing returned NoneType, not a keras.Model"),
        ("narrow", r"outputs of shape \(3,\), but the data have 10 classes"),
        ("raising", "no such width"),
        ("plain", "the model reads 'width', which this configuration does not have; it has optimizer, learning_rate"),
        ("dropped", "takes its rate from 'share', which this configuration does not have"),
    ],
)
def test_what_may_fail_one_trial_is_an_error_of_the_trial(trainer, name, words):
    with pytest.raises((TypeError, ValueError, KeyError), match=words):
        trainer(name).open(Trial(0, {}))


def test_a_module_that_cannot_be_imported_says_where(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "half_written.py").write_text("import keras\ndef build(h:\n")
    (tmp_path / "too_little.py").write_text("import a_package_that_is_not_there\n")
    for module, words in [
        ("half_written", "half_written.py:2"),
        ("too_little", "imports a_package_that_is_not_there, which"),
    ]:
        with pytest.raises(UserError, match=words):
            KerasTrainer(KerasSpec(keras=f"{module}:build"), folder(name="digits"))


def test_a_function_gives_data_with_or_without_a_validation_part(folder):
    from hypercurve.training.data import load

    six, four, pairs = (load(folder(function=f"own_networks:{n}")) for n in ("surface", "surface_by_name", "words"))
    assert [len(part) for part in (six.x_train, six.x_validation, six.x_test)] == [200, 50, 50]
    assert [len(part) for part in (four.x_train, four.x_validation, four.x_test)] == [160, 40, 50]
    assert (six.classes, six.outputs, six.y_train.dtype) == (None, 2, np.float32)
    assert (pairs.classes, pairs.outputs, pairs.y_train.shape) == (None, 1, (120,))


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("own_networks:wrong_name", "gave labels; it should give the arrays x_train"),
        ("own_networks:broken_data", "raised FileNotFoundError: measurements.h5"),
        ("own_networks:nowhere", "data.function = own_networks:nowhere: module own_networks has no nowhere"),
        ("own_networks:REACHED", "is no function"),
    ],
)
def test_data_functions_that_give_something_else_are_refused(tmp_path, reference, words):
    with pytest.raises(UserError) as caught:
        prepare(DataSpec(function=reference), tmp_path / "set")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"y_train": np.full(60, np.nan)}, "y_train has 60 values that are NaN"),
        ({"y_train": np.zeros(60)}, "all targets in y_train are equal"),
        ({"y_train": np.zeros((60, 2))}, "targets of y_train have shape (2,) (float32), those of y_test () (float32)"),
        ({"y_test": np.arange(30)}, "labels must be whole numbers in all parts"),
        ({"y_train": np.arange(59.0)}, "one target per example is needed"),
    ],
)
def test_targets_that_cannot_be_learned_are_refused(tmp_path, arrays, changes, words):
    from conftest import save

    given = arrays(**({"y_train": np.arange(60.0), "y_test": np.arange(30.0)} | changes))
    with pytest.raises(DataError) as caught:
        prepare(DataSpec(path=str(save(tmp_path / "targets.npz", given))), tmp_path / "set")
    assert words in str(caught.value)


def test_what_a_builder_reads_is_its_structure_whatever_it_is_called(trainer):
    made = trainer("regularised")
    made.open(trial_of(made, decay=0.0)).advance(1.0)
    after_another = made.open(trial_of(made, 1, decay=5.0)).advance(1.0).metrics
    alone = trainer.__wrapped__("regularised")
    assert alone.open(trial_of(alone, 1, decay=5.0)).advance(1.0).metrics == after_another


def test_probabilities_are_known_wherever_the_softmax_stands(trainer):
    made = trainer("nested")
    report = made.open(trial_of(made)).advance(1.0)
    session = made.open(trial_of(made))
    assert not session.network.model.loss.get_config().get("from_logits", False)
    assert report.metrics["val_accuracy"] > 0.2


FEATURES = {
    "batch normalisation, dropout, noise, random augmentation": ["normalised", "noisy", "augmented"],
    "regularisers of weights and outputs, `add_loss`": ["still", "active", "noisy"],
    "constraints on weights, frozen layers": ["constrained", "frozen"],
    "recurrent layers, masking, attention": ["recurrent", "attentive"],
    "layers and models by subclass, `call(training=...)`": ["noisy", "own_measure"],
    "a `train_step`, `test_step`, `compute_loss` or `compute_metrics` of your own": ["own_loss", "players"],
    "mixed precision, by policy or by layer": ["half", "half_by_ours", "brain"],
    "optimizers of Keras or your own": ["adamw", "averaged", "accumulating"],
    "`tf.py_function`, conditions on tensors' values": ["called_back", "branching"],
    "populations (PBT)": [],  # tested above
    "several inputs or outputs, `loss_weights`": [],  # and these among what is refused
    "`sample_weight`, `class_weight`": ["own_loss"],
    "`weighted_metrics`, `steps_per_execution`, `jit_compile`": ["weighed_metrics"],
    "weights in float64 or float16": ["double_by_keras"],
    "layers that keep a state in Python, or draw from `numpy.random` or `tf.random`": ["forgetful"],
    "several GPUs for one network": [],  # nothing to run
}
"""The rows of the table in docs/your-model.md, each with networks that have it."""


def test_the_table_of_what_works_has_these_rows():
    page = (ROOT / "docs" / "your-model.md").read_text(encoding="utf-8")
    table = page.split("## What works, and what does not")[1].split("\n\n")[1]
    assert [row.split(" | ")[0].removeprefix("| ") for row in table.splitlines()[2:]] == [*FEATURES]


@pytest.mark.parametrize("name", sorted({name for names in FEATURES.values() for name in names}))
def test_what_the_table_says_works_trains(trainer, name):
    made = trainer(name, compiler="graph")
    session = made.open(trial_of(made, momentum=0.5))
    report = session.advance(0.3).metrics
    assert np.isfinite(report["loss"])
    assert np.isfinite(report["val_loss"])
    if name == "forgetful":
        assert session.network.model.layers[-1].calls < session.step, "a step is compiled once"


def test_the_weighing_of_classes_on_the_page_does_that():
    import keras

    page = (ROOT / "docs" / "your-model.md").read_text(encoding="utf-8")
    (block,) = [block.split("```")[0] for block in page.split("```python\n")[1:] if "class Weighing" in block]
    found = {}
    exec(block, {"keras": keras}, found)
    inputs = keras.Input((3,))
    model = found["Weighing"](inputs, keras.layers.Dense(2, activation="softmax")(inputs))
    model.compile("sgd", "sparse_categorical_crossentropy")
    x, y = np.eye(4, 3, dtype=np.float32), np.array([0, 1, 1, 0])
    losses = -np.log(np.asarray(model(x))[np.arange(4), y])
    assert float(model.compute_loss(x, y, model(x))) == pytest.approx((losses * [1, 5, 5, 1]).mean(), rel=1e-5)
