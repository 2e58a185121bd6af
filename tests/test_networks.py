"""The trained network as a file: it stands alone, predicts what was tested; Python, reports and archives find it."""

import html
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hypercurve
from analysis_data import experiment, run_all
from conftest import ROOT, changed, resealed
from hypercurve.analysis import report, tables
from hypercurve.analysis.networks_section import networks_section
from hypercurve.api.best import Best
from hypercurve.archive.making import make
from hypercurve.archive.packing import ArchiveError, unpack
from hypercurve.archive.verifying import verify
from hypercurve.config.experiment import Experiment, Setting
from hypercurve.events import networks
from hypercurve.events.journal import Journal, JournalError, read_lines
from hypercurve.execution.batches import run_batch, trial_table
from hypercurve.execution.serial import execute
from hypercurve.results.runs import read_run
from hypercurve.runs.known import KnownTrainings
from hypercurve.runs.run import Run
from hypercurve.runs.trial import Trial
from hypercurve.training import make_trainer
from hypercurve.training.data import load
from hypercurve.training.network_files import write_arrays
from hypercurve.training.recorded_curves import retrain
from hypercurve.training.trainer import Report, Trainer
from hypercurve.util.errors import UserError
from results_data import SMALL, make_results

OWN = """\
import keras
from keras import layers


class Halved(layers.Layer):
    def call(self, inputs):
        return 0.5 * inputs


class Subclassed(keras.Model):
    def __init__(self, hyperparameters):
        super().__init__()
        self.flatten, self.output_layer = layers.Flatten(), layers.Dense(3)

    def call(self, inputs):
        return self.output_layer(self.flatten(inputs))


def layered(hyperparameters):
    return keras.Sequential([keras.Input((4, 4)), layers.Flatten(), Halved(), layers.Dense(3)])


def subclassed(hyperparameters):
    return Subclassed(hyperparameters)


def dropping(hyperparameters):
    from hypercurve.training.networks import Dropout

    inner = keras.Sequential([keras.Input((8,)), Dropout("rate"), layers.Dense(3, activation="softmax")])
    inputs = keras.Input((4, 4))
    return keras.Model(inputs, inner(Dropout("rate")(layers.Dense(8)(layers.Flatten()(inputs)))))
"""

LOOPS = """\
class Loop:
    def __init__(self, hyperparameters, context):
        self.context, self.file, self.epoch = context, hyperparameters["rate"], 0

    def train(self):
        while self.epoch < self.context.epochs:
            self.epoch += 1
            yield {"loss": self.file / self.epoch, "val_loss": self.file, "test_loss": 2 * self.file}

    def save(self):
        return {"file": self.file, "epoch": self.epoch}


class Pickled(Loop):
    def save(self):
        return b"all of it" * self.epoch


class Unsaved(Loop):
    def save(self):
        raise RuntimeError("cannot be saved")


def function(hyperparameters, context):
    yield from Loop(hyperparameters, context).train()
"""

PROGRAM = """\
import json, os, sys
rate, epochs, snapshot = float(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
for epoch in range(epochs):
    open("trained", "a").write("x")
    noise = int.from_bytes(os.urandom(2), "big") / 65536e9  # last digits differ, as with atomics on a GPU
    loss = rate / (1 + epoch) + noise
    print(json.dumps({"loss": loss, "val_loss": loss, "test_loss": rate + noise, "test_odd": float("nan")}), flush=True)
if snapshot:
    open(snapshot, "w").write(f"{rate} after {epochs}")
"""

WHOLE = ["{epochs}", "{snapshot}", "{resume}", "{until}"]


@pytest.fixture(autouse=True)
def _at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests run in a folder with a user's code."""
    (tmp_path / "own_code.py").write_text(OWN)
    (tmp_path / "own_loops.py").write_text(LOOPS)
    (tmp_path / "program.py").write_text(PROGRAM)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for module in ("own_code", "own_loops"):
        monkeypatch.delitem(sys.modules, module, raising=False)


def setting(model: Any, **changes: Any) -> Setting:
    """Of a loop or program."""
    given = {
        "model": model,
        "objective": {"metric": "loss"},
        "space": {"rate": {"uniform": [0.1, 1.0]}, "epochs": 4},
        "budget": {"trials": 4},
        "methods": {"random": {"search": "random"}},
    }
    return Experiment.model_validate(given | changes).setting("e", "random")


def keras_setting(model: str, **more: Any) -> Setting:
    """Of a Keras model; what its space names beside the learning rate."""
    space = {"learning_rate": {"uniform": [0.01, 0.1]}, "epochs": 4, "batch_size": 8, **more}
    given = {"data": {"name": "digits"}, "model": model, "space": space, "budget": {"trials": 2}}
    return Experiment.model_validate(given | {"methods": {"random": {"search": "random"}}}).setting("e", "random")


def program(*arguments: str) -> dict[str, Any]:
    return {"command": [sys.executable, "program.py", "{rate}", *arguments], "files": ["program.py"]}


def exported(trainer: Trainer, configuration: Mapping[str, Any], folder: Path) -> tuple[Path | None, dict[str, float]]:
    """The file of a network trained to its end, and what was measured on the test part."""
    trial = Trial(2, dict(configuration), seed=7)
    session = trainer.open(trial)
    session.advance(0.5)
    session.advance(1.0)
    return trainer.export(trial, session.snapshot(), folder), dict(trainer.test(trial, session.snapshot()))


def alone(code: str, folder: Path) -> dict[str, Any]:
    """What code prints as JSON in a process that knows nothing of us."""
    code = f"import sys\n{code}\nassert not [name for name in sys.modules if name.startswith('hypercurve')]"
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {
        "TF_CPP_MIN_LOG_LEVEL": "3"
    }
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


# Keras models

KERAS: dict[str, tuple[str, dict[str, Any]]] = {
    "softmax": ("softmax", {}),
    "cnn": ("cnn", {"dropout_1": 0.1, "dropout_2": 0.3, "dropout_dense": 0.4, "filters": 4, "units": 8}),
    "compiled": ("user_models:network", {}),  # by the user, with an optimizer
    "dropping": ("own_code:dropping", {"rate": 0.5}),  # with dropout of ours
    "layered": ("own_code:layered", {}),  # with a layer of the user's
}

ALONE = """
import json, keras, own_code, numpy as np
raw, found = np.load("raw.npz"), {}
for name in %r:
    own = {"custom_objects": vars(own_code)} if name == "layered" else {}
    model = keras.saving.load_model(f"{name}/best.keras", **own)
    given = model.predict(raw["x"], verbose=0).astype(np.float64)
    odds = given if name == "dropping" else np.exp(given - given.max(axis=1, keepdims=True))
    right = (odds / odds.sum(axis=1, keepdims=True))[np.arange(len(given)), raw["y"]]
    measured = {"test_loss": -np.log(right).mean(), "test_accuracy": (given.argmax(axis=1) == raw["y"]).mean()}
    rates = [layer.rate for layer in model._flatten_layers() if type(layer) is keras.layers.Dropout]
    found[name] = [measured, model.compiled, sorted(rates)]
print(json.dumps(found))
"""


@pytest.mark.slow
def test_keras_networks_stand_alone_and_predict_what_was_tested(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tests"))
    data = load(prepared)
    assert data.x_test.dtype == np.uint8
    np.savez(tmp_path / "raw.npz", x=data.x_test, y=data.y_test)  # as they lie in the user's file
    tested = {}
    for name, (model, more) in KERAS.items():
        configuration = {"learning_rate": 0.05, "epochs": 4, "batch_size": 8, **more}
        path, tested[name] = exported(
            make_trainer(keras_setting(model, **more), prepared), configuration, tmp_path / name
        )
        assert path == tmp_path / name / "best.keras"
        assert [each.name for each in path.parent.iterdir()] == ["best.keras"]
    found = alone(ALONE % list(KERAS), tmp_path)
    assert {name: measured for name, (measured, _, _) in found.items()} == {
        name: {
            "test_loss": pytest.approx(of["test_loss"], rel=1e-5),
            "test_accuracy": pytest.approx(of["test_accuracy"]),
        }
        for name, of in tested.items()
    }
    assert not any(compiled for _, compiled, _ in found.values())
    dropout = {"cnn": [0.1, 0.3, 0.4], "compiled": [0.1], "dropping": [0.5, 0.5]}
    assert {name: rates for name, (_, _, rates) in found.items() if rates} == dropout


@pytest.mark.slow
def test_of_a_network_that_keras_cannot_write_the_weights_are_kept(
    prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = keras_setting("own_code:subclassed")
    trainer = make_trainer(given, prepared)
    path, tested = exported(trainer, {"learning_rate": 0.05, "epochs": 2, "batch_size": 8}, tmp_path / "run")
    assert path == tmp_path / "run" / "best.npz"
    assert "a class of your own needs a `get_config`" in capsys.readouterr().err
    import own_code

    data, model = load(prepared), own_code.Subclassed({})
    model(data.x_test[:1] * np.float32(data.scale))
    model.set_weights(list(np.load(path).values()))
    right = model.predict(data.x_test * np.float32(data.scale), verbose=0).argmax(axis=1) == data.y_test
    assert right.mean() == pytest.approx(tested["test_accuracy"])


@pytest.mark.slow
def test_a_file_that_cannot_be_written_leaves_the_last_one(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras

    trainer = make_trainer(keras_setting("softmax"), prepared)
    configuration = {"learning_rate": 0.05, "epochs": 1, "batch_size": 8}
    path, _ = exported(trainer, configuration, tmp_path / "run")
    assert path is not None
    before = path.read_bytes()

    def full(_: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(keras.Model, "save", full)
    with pytest.raises(UserError, match=r"best\.keras: cannot be written: No space left"):
        exported(trainer, configuration, tmp_path / "run")
    assert [each.name for each in path.parent.iterdir()] == ["best.keras"]
    assert path.read_bytes() == before


def test_what_killed_processes_left_of_a_network_goes_when_one_is_written(tmp_path: Path) -> None:
    (run := tmp_path / "run").mkdir()
    for name in (".best.keras.4711.keras", ".best.npz.12", "best.bin", "journal.partial.jsonl"):
        (run / name).write_bytes(b"half")
    write_arrays({"x": np.zeros(3)}, run)
    assert sorted(each.name for each in run.iterdir()) == ["best.npz", "journal.partial.jsonl"]


# Loops and programs


def test_loops_keep_what_they_save(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def of(name: str) -> Path | None:
        return exported(make_trainer(setting({"loop": f"own_loops:{name}"}), None), configuration, tmp_path / "run")[0]

    configuration = {"rate": 0.5, "epochs": 4}
    assert of("function") is None
    assert capsys.readouterr().err == ""
    path = of("Loop")
    assert path == tmp_path / "run" / "best.npz"
    assert {name: value.item() for name, value in np.load(path).items()} == {"file": 0.5, "epoch": 4}
    assert of("Unsaved") is None
    assert "trial 2: has no state: RuntimeError: cannot be saved" in capsys.readouterr().err
    path = of("Pickled")
    assert path is not None
    assert path.read_bytes() == b"all of it" * 4
    assert [each.name for each in path.parent.iterdir()] == ["best.bin"], "in place of the other"


def test_programs_keep_their_last_snapshot(tmp_path: Path) -> None:
    configuration = {"rate": 0.5, "epochs": 4}
    path, tested = exported(make_trainer(setting(program(*WHOLE)), None), configuration, tmp_path / "run")
    assert path == tmp_path / "run" / "best.snapshot"
    assert path.read_text() == "0.5 after 4"
    assert tested["test_loss"] == pytest.approx(0.5)
    assert exported(make_trainer(setting(program("{epochs}", "")), None), configuration, tmp_path / "run")[0] is None


def test_members_of_populations_are_kept_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tests"))
    explore = {"learning_rate": {"factors": [0.8, 1.2]}}
    given = setting(
        {"loop": "user_models:Loop"},
        space={"learning_rate": {"uniform": [0.1, 0.2]}, "epochs": 4},
        methods={"random": {"population": {"members": 4, "every": 1, "explore": explore}}},
    )
    path, _ = exported(make_trainer(given, None), {"learning_rate": 0.1, "epochs": 4}, tmp_path / "run")
    assert path is not None
    assert np.load(path)["epoch"] == 4


# Test values are taken when they come


def gathered(given: Setting, folder: Path) -> dict[str, Any]:
    """The last line of a run that was trained as one batch; gathering it must train nothing."""
    (folder / "batches").mkdir()
    with Journal(folder / "batches" / "0.jsonl") as journal:
        run_batch(Run(given, 0, samples=0, data="none"), trial_table(given, 0), make_trainer(given, None), journal, 0)
    trained = (folder / "trained").read_text()
    run = Run(given, 0, samples=0, data="none")
    with Journal(folder / "journal.jsonl") as journal:
        execute(run, make_trainer(given, None), journal, known=KnownTrainings(folder / "journal.jsonl", run.header))
    assert (folder / "trained").read_text() == trained
    return read_lines(folder / "journal.jsonl")[0][-1]


def test_a_batched_program_that_never_repeats_its_digits_ends_with_the_values_it_printed(tmp_path: Path) -> None:
    last = gathered(setting(program("{epochs}", "")), tmp_path)
    assert last["event"] == "tested"
    completed = {
        line["trial"]: line for line in read_lines(tmp_path / "batches" / "0.jsonl")[0] if line["event"] == "completed"
    }
    assert last["metrics"] == completed[last["trial"]]["wall"]["test"]
    assert list(last["metrics"]) == ["test_loss"], "a value that is no number is left out"


def test_a_program_without_test_values_is_not_trained_for_them_either(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(
        changed(PROGRAM, (', "test_loss": rate + noise, "test_odd": float("nan")', ""))
    )
    assert gathered(setting(program("{epochs}", "")), tmp_path)["metrics"] == {}


# Trainings that are done again


class Drifting:
    """A trainer whose losses depend on when they are asked for."""

    def __init__(self) -> None:
        self.drift = 0.0

    def open(self, trial: Trial) -> "Drifting":
        return self

    def advance(self, progress: float) -> Report:
        return Report(progress, {"loss": 2.0 + self.drift * progress})


CURVE = [(0.5, {"loss": 2.0}), (1.0, {"loss": 2.0})]


def test_what_was_recorded_stands_and_the_difference_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    trainer, told = Drifting(), list[float]()
    again = lambda curve=CURVE, **options: retrain(trainer, Trial(3, {}), curve, differs=told.append, **options)  # type: ignore[arg-type]  # noqa: E731
    assert again(equal=False) is trainer
    assert told == []
    trainer.drift = 1e-9
    with pytest.raises(JournalError, match=r"trial 3 at 0\.5 of its training: loss was 2\.0, and training again gave"):
        again(equal=True)
    assert again(equal=False) is trainer
    assert told == [pytest.approx(5e-10)]
    said = capsys.readouterr().err
    assert "trial 3 came out different by up to 5e-10 at 1 of its training: loss was 2.0" in said
    assert "the recorded values stand" in said
    again([(1.0, {"loss": 2.0 + 1e-9, "gone": 1.0})], equal=False)
    assert told[1:] == [2.0]


# From Python


@pytest.fixture
def tuned(tmp_path: Path) -> hypercurve.Results:
    """A search of a loop with two methods and two repeats, the best of whose networks were kept."""
    import own_loops

    methods = {name: {"search": name} for name in ("random", "sobol")}
    space = {"rate": {"uniform": [0.1, 1.0]}, "epochs": 3}
    found = hypercurve.tune(own_loops.Loop, space, trials=4, methods=methods, repeats=2, folder=tmp_path / "kept")
    for row in found.chosen.itertuples():
        write_arrays({"file": np.array(row.rate)}, tmp_path / "kept" / "runs" / row.method / str(row.repeat))
    return found


def test_the_best_network_is_had_from_results(tuned: hypercurve.Results, tmp_path: Path) -> None:
    best = hypercurve.load(tmp_path / "kept").best
    rates = tuned.chosen.set_index(["method", "repeat"])["rate"]
    assert (best.method, best.repeat) == rates.idxmin()
    assert best.configuration == {"rate": rates.min(), "epochs": 3}
    assert best.performance == rates.min()
    assert best.test == {"test_loss": 2 * rates.min()}
    assert best.model() == {"file": rates.min()}
    assert best.path == tmp_path / "kept" / "runs" / best.method / str(best.repeat) / "best.npz"
    assert tuned.best_of("sobol").model()["file"] == rates["sobol"].min()
    assert tuned.best_of("sobol", 1).model()["file"] == rates["sobol", 1]
    assert tuned.best_of(repeat=0).performance == rates.xs(0, level="repeat").min()
    part = hypercurve.load(tmp_path / "kept" / "runs" / "random" / "1")
    assert part.best.model()["file"] == rates["random", 1]


def test_where_there_is_no_network_it_is_said_why(tuned: hypercurve.Results, tmp_path: Path) -> None:
    import own_loops

    with pytest.raises(UserError, match="has no method 'sobl'; did you mean 'sobol'"):
        tuned.best_of("sobl")
    with pytest.raises(UserError, match="has no run of sobol with repeat 5"):
        tuned.best_of("sobol", 5)
    path = tuned.best.path
    assert path is not None
    path.write_bytes(b"damaged")
    with pytest.raises(UserError, match=r"best\.npz: cannot be read"):
        tuned.best.model()
    path.unlink()
    assert tuned.best.path is None
    with pytest.raises(UserError, match=r"holds no trained network .*a class with a method `save`"):
        tuned.best.model()
    space = {"rate": {"uniform": [0.1, 1.0]}, "epochs": 3}
    with pytest.raises(UserError, match="a search in memory keeps no trained network"):
        hypercurve.tune(own_loops.Loop, space, trials=2).best.model()
    with pytest.warns(UserWarning, match="all 2 trials failed"):
        nothing = hypercurve.tune(lambda h: 1 / 0, {"x": {"uniform": [0.0, 1.0]}}, trials=2, fail_fast=False)
    with pytest.raises(UserError, match="no trial has completed"):
        _ = nothing.best


@pytest.mark.slow
@pytest.mark.parametrize("model", ["dense", "own_code:layered"])
def test_a_keras_model_is_loaded_with_the_users_own_layers(model: str, prepared: Path, tmp_path: Path) -> None:
    given = keras_setting(model)
    configuration = {"learning_rate": 0.05, "epochs": 1, "batch_size": 8}
    exported(make_trainer(given, prepared), configuration, tmp_path / "run")
    asked = Experiment.model_validate(
        {"data": {"name": "digits"}, "model": model, "space": {"learning_rate": {"uniform": [0, 1]}, "epochs": 1}}
        | {"budget": {"trials": 1}, "methods": {"random": {"search": "random"}}}
    )
    best = Best("random", 0, configuration, 0.5, {}, asked, tmp_path / "run")
    assert best.model().predict(load(prepared).x_test, verbose=0).shape == (30, 3)


# In reports and archives


@pytest.mark.slow
def test_the_reports_lines_load_the_network(prepared: Path, tmp_path: Path) -> None:
    chosen = experiment(repeats=2, budget={"trials": 6})
    results = tmp_path / "example"
    runs = run_all(chosen, results)
    tables.write(tables.comparison(chosen, runs), results / "comparison.csv")
    best = max(runs["lcm"], key=lambda run: run.performance("val_accuracy") or 0.0)
    np.save(results / "x.npy", load(prepared).x_test)
    (results / "own_code.py").write_text(OWN)
    code = "import json, numpy\nx, shapes = numpy.load('x.npy'), []\n"
    for model in ("softmax", "own_code:layered"):
        given = keras_setting(model)
        configuration = {"learning_rate": 0.05, "epochs": 1, "batch_size": 8}
        exported(make_trainer(given, prepared), configuration, results / "runs" / "lcm" / str(best.repeat))
        asked = chosen.model_copy(update={"model": given.model})
        (found,) = networks_section(asked, runs, results, results / "report.html")
        assert (found["method"], found["repeat"]) == ("lcm", best.repeat)
        report.write(asked, "example", runs, results, results / "report.html")
        page = (results / "report.html").read_text()
        assert f'<a href="runs/lcm/{best.repeat}/best.keras">' in page
        assert "examples of shape (4, 4) as they lie in the data" in page
        assert html.escape(found["code"], quote=True).replace("&#x27;", "&#39;") in page
        assert ("custom_objects=vars(own_code)" in found["code"]) == (model != "softmax")
        assert found["code"].count("\n") == 2
        # The file of the other model takes this one's place.
        code += found["code"].replace("best.keras", f"{model[:4]}.keras") + "\nshapes.append(predicted.shape)\n"
        (results / found["file"]).rename(results / found["file"].replace("best", model[:4]))
    assert alone(code + "print(json.dumps(shapes))", results) == [[30, 3], [30, 3]]


def test_a_report_without_networks_says_nothing_of_them(tmp_path: Path) -> None:
    chosen = experiment(repeats=1, budget={"trials": 4})
    assert networks_section(chosen, run_all(chosen, tmp_path), tmp_path, tmp_path / "report.html") == []


def test_archives_hold_networks_if_asked_and_their_digests_are_those_of_the_journals(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    text = SMALL.partition("  lcm:")[0]
    results = make_results(tmp_path / "made", changed(text, ("repeats: 2", "repeats: 1"), ("trials: 12", "trials: 8")))
    with pytest.raises(ArchiveError, match="no run has kept a trained network"):
        make(results, tmp_path / "small.tar.gz", models=True)
    run = results / "runs" / "random" / "0"
    network = write_arrays({"weights": np.arange(5.0)}, run)
    journal = run / "journal.jsonl"
    *lines, last = journal.read_text().splitlines()
    said = json.loads(last)
    said["wall"]["network"] = networks.described(network)
    journal.write_bytes(resealed([*lines, said]))
    assert read_run(journal).best is not None
    held = {}
    for models in (False, True):
        make(results, tmp_path / f"{models}.tar.gz", models=models)
        assert verify(tmp_path / f"{models}.tar.gz", tmp_path / f"{models}").problems == []
        held[models] = set(unpack(tmp_path / f"{models}.tar.gz", tmp_path / f"again-{models}"))
    assert held[True] - held[False] == {"small/runs/random/0/best.npz"}
    write_arrays({"weights": np.arange(6.0)}, run)
    with pytest.raises(ArchiveError, match=r"runs/random/0/best\.npz: was changed after the run wrote it"):
        make(results, tmp_path / "changed.tar.gz", models=True)
    said["wall"]["network"] = networks.described(run / "best.npz") | {"sha256": "0" * 64}
    assert networks.problem(run, said["wall"]["network"]) == "best.npz: was changed after the run wrote it"
    assert networks.problem(run, None) is None
