"""Data as people have them: what y and x are taken for, how a file of only x and y is split, and what is said of it."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import StandardScaler

import hypercurve
from conftest import ROOT
from hypercurve.cli import main
from hypercurve.config.data import DataSpec
from hypercurve.training.data import DataError, Dataset, class_weights, prepare
from hypercurve.training.data_sources import cut

MNIST = Path(__file__).parents[2] / "shared" / "data" / "mnist.npz"
DIGITS = np.random.default_rng(0).integers(0, 256, (60, 4, 4))
KINDS = np.arange(60) % 3
SPECIES = np.array(["setosa", "versicolor", "virginica"])


def prepared(folder: Path, given: dict[str, Any], **options: Any) -> Dataset:
    path = folder / "given.npz"
    np.savez(path, **given)
    return prepare(DataSpec.model_validate({"path": str(path), **options}), folder / "out")


def parts(x: Any, y: Any) -> dict[str, Any]:
    return {"x_train": x[:40], "y_train": y[:40], "x_test": x[40:], "y_test": y[40:]}


def inputs_of(data: Dataset) -> Any:
    return np.concatenate([data.x_train, data.x_validation, data.x_test]).astype(np.float64) * data.scale


# Digests under which trainings of shipped experiments are recorded, from before data were interpreted. If one differs, what
# was recorded is not found again.
@pytest.mark.parametrize(
    ("options", "digest", "key"),
    [
        ({"name": "digits"}, "dbc6ab6c836ce61e", "digits-e845f40c"),
        ({"name": "digits", "validation": 0.25}, "7cb5dcdc79b24225", "digits-a9ff9413"),
    ],
)
def test_the_digest_of_shipped_digits_stays(tmp_path: Path, options: dict[str, Any], digest: str, key: str) -> None:
    spec = DataSpec.model_validate(options)
    data = prepare(spec, tmp_path / "out")
    assert (data.digest, spec.key) == (digest, key)
    assert (data.labels, data.assumed) == (tuple(range(10)), ())


@pytest.mark.slow
@pytest.mark.skipif(not MNIST.is_file(), reason="there is no shared/data/mnist.npz")
def test_the_digest_of_a_part_of_mnist_stays(tmp_path: Path) -> None:
    cut(str(MNIST), tmp_path / "part.npz", 2000, 500)
    found = hashlib.sha256((tmp_path / "part.npz").read_bytes()).hexdigest()
    assert found == "8b4e0f3ced8b5dbac4593161255041ab9409b137123c3bdcb974d972ece27793"
    assert prepare(DataSpec(path=str(tmp_path / "part.npz")), tmp_path / "out").digest == "b861981379265b7b"


# --- what y is


def test_whole_numbers_can_be_targets(tmp_path: Path) -> None:
    ages = np.arange(60) * 7 % 50 + 20
    with pytest.raises(DataError, match=r"label 0 never occurs.*`task: regression`"):
        prepared(tmp_path, parts(DIGITS, ages))
    data = prepared(tmp_path, parts(DIGITS, ages), task="regression")
    assert (data.classes, data.y_train.dtype, data.labels) == (None, np.float32, ())
    assert sorted([*data.y_train, *data.y_validation, *data.y_test]) == sorted(ages)
    few = prepared(tmp_path, parts(DIGITS, KINDS), task="regression")
    assert few.classes is None


@pytest.mark.parametrize(
    ("y", "options", "labels"),
    [
        (KINDS, {}, (0, 1, 2)),
        (KINDS + 1, {}, (1, 2, 3)),
        (KINDS.astype(np.uint8) + 1, {}, (1, 2, 3)),
        ((KINDS + 1).reshape(-1, 1), {}, (1, 2, 3)),
        (SPECIES[KINDS], {}, ("setosa", "versicolor", "virginica")),
        (np.char.encode(SPECIES[KINDS]), {}, ("setosa", "versicolor", "virginica")),
        (SPECIES[KINDS].reshape(-1, 1), {}, ("setosa", "versicolor", "virginica")),
        (KINDS > 0, {}, (False, True)),
        (np.where(KINDS, 1, -1), {}, (-1, 1)),
        (KINDS * 10 - 5, {"task": "classification"}, (-5, 5, 15)),
        (KINDS * 1.0 + 1, {"task": "classification"}, (1, 2, 3)),
    ],
)
def test_labels_are_numbered_and_the_mapping_is_kept(
    tmp_path: Path, y: Any, options: Any, labels: tuple[Any, ...]
) -> None:
    data = prepared(tmp_path, parts(DIGITS, y), validation=10, **options)
    assert (data.classes, data.labels, data.y_train.dtype) == (len(labels), labels, np.int32)
    names = np.array(labels)
    np.testing.assert_array_equal(names[data.y_test], y[40:].ravel().astype(names.dtype))
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["labels"] == (None if labels == (0, 1, 2) else list(labels))
    told = " ".join(data.assumed)
    assert ("labels were numbered" in told) == (labels != (0, 1, 2))
    assert all(f"{label!r} is class {number}" in told for number, label in enumerate(labels) if labels != (0, 1, 2))


def test_mapped_labels_train_as_the_classes_they_are(tmp_path: Path) -> None:
    digests = {prepared(tmp_path, parts(DIGITS, y)).digest for y in (KINDS, KINDS + 1, SPECIES[KINDS])}
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("y", "task", "words"),
    [
        (SPECIES[KINDS], "regression", "y_train holds texts, but `task` is regression"),
        (KINDS * 0.5, "classification", "not whole, but `task` is classification"),
        (np.where(np.arange(60) < 50, SPECIES[KINDS], "new"), None, "y_test has the label 'new', which never occurs"),
        (np.arange(60).astype(str), None, "40 different texts in 40 examples: these are no labels"),
        (KINDS.astype("datetime64[s]"), "classification", "y_train holds datetime64"),
        (KINDS * 1j, None, "y_train holds complex128"),
        (KINDS.astype("datetime64[s]"), "regression", "needs numbers"),
    ],
)
def test_what_y_cannot_be_is_refused(tmp_path: Path, y: Any, task: str | None, words: str) -> None:
    with pytest.raises(DataError, match=words):
        prepared(tmp_path, parts(DIGITS, y), task=task)


def test_long_and_many_labels_are_told_in_short(tmp_path: Path) -> None:
    labels = np.array([f"{number:03}" + 1000 * "x" for number in range(20)])
    data = prepared(tmp_path, {"x": DIGITS, "y": labels[np.arange(60) % 20]})
    assert data.labels == tuple(labels)
    (said,) = (said for said in data.assumed if "numbered" in said)
    assert len(said) < 1000
    assert "'007x" in said
    assert "and so on to '019x" in said


def test_uneven_classes_are_said_and_weighed_by_their_share(tmp_path: Path) -> None:
    data = prepared(tmp_path, parts(DIGITS, (np.arange(60) % 10 == 0).astype(int)), validation=0.25)
    assert any("uneven, of 4 to 36 examples" in said and "class_weight" in said for said in data.assumed)
    labels = data.y_train
    expected = [len(labels) / (2 * np.sum(labels == label)) for label in (0, 1)]  # scikit-learn's formula
    np.testing.assert_array_equal(class_weights(labels, 2), np.array(expected, np.float32))
    np.testing.assert_array_equal(class_weights(np.array([0, 0, 2]), 3), np.array([0.75, 0, 1.5], np.float32))


# --- what x is


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint16, np.int32, np.int64, np.uint64])
@pytest.mark.parametrize("shape", [(60, 4, 4), (60, 16)])
def test_pixels_of_any_integer_type_are_scaled_alike(tmp_path: Path, kind: Any, shape: tuple[int, ...]) -> None:
    data = prepared(tmp_path, parts(DIGITS.reshape(shape).astype(kind), KINDS))
    assert (data.x_train.dtype, data.scale) == (np.uint8, 1 / 255)
    bytes_ = prepared(tmp_path, parts(DIGITS.reshape(shape).astype(np.uint8), KINDS))
    assert bytes_.digest == data.digest
    assert any("pixels of 8 bits" in said for said in data.assumed)


def test_parts_of_different_integer_types_are_pixels_too(tmp_path: Path) -> None:
    given = parts(DIGITS, KINDS) | {"x_train": DIGITS[:40].astype(np.uint8)}
    assert prepared(tmp_path, given).x_test.dtype == np.uint8


@pytest.mark.parametrize(
    ("x", "options", "scale"),
    [
        (DIGITS * 257, {}, 1 / 65535),
        (DIGITS * 257.0, {}, 1.0),
        (DIGITS.reshape(60, 16) * 257, {}, 1.0),
        (DIGITS - 128, {}, 1.0),
        (DIGITS % 2, {}, 1.0),
        ((DIGITS % 2).astype(np.uint8), {}, 1.0),
        (DIGITS > 100, {}, 1.0),
        (DIGITS, {"scale": 0.5}, 0.5),
        (DIGITS.astype(np.uint8), {"scale": 0.5}, 0.5),
        (DIGITS * 1.0, {"scale": 0.5}, 0.5),
    ],
)
def test_what_inputs_are_multiplied_by(tmp_path: Path, x: Any, options: dict[str, float], scale: float) -> None:
    data = prepared(tmp_path, parts(x, KINDS), **options)
    assert data.scale == scale
    np.testing.assert_allclose(np.sort(inputs_of(data), axis=None), np.sort(x * scale, axis=None))


def test_another_scale_is_another_training(tmp_path: Path) -> None:
    usual, other = (prepared(tmp_path, parts(DIGITS, KINDS), **options) for options in ({}, {"scale": 0.5}))
    same = prepared(tmp_path, parts(DIGITS.astype(np.uint8), KINDS), scale=1 / 255)
    assert usual.digest == same.digest != other.digest
    digits = {prepare(DataSpec(name="digits", scale=scale), tmp_path / "d").digest for scale in (None, 1 / 16, 1.0)}
    assert len(digits) == 2


# --- only x and y


@pytest.mark.parametrize(("options", "sizes"), [({}, (38, 10, 12)), ({"test": 6, "validation": 0.5}, (27, 27, 6))])
def test_x_and_y_are_split_by_seed_into_three_parts(tmp_path: Path, options: Any, sizes: tuple[int, ...]) -> None:
    x = np.arange(60, dtype=np.float32).reshape(60, 1)
    first, again, other = (prepared(tmp_path, {"X": x, "y": KINDS}, seed=seed, **options) for seed in (3, 3, 4))
    assert (len(first.x_train), len(first.x_validation), len(first.x_test)) == sizes
    assert sorted(inputs_of(first).ravel()) == list(range(60))
    assert first.digest == again.digest != other.digest
    for part in ("train", "validation", "test"):
        np.testing.assert_array_equal(getattr(first, f"x_{part}")[:, 0] % 3, getattr(first, f"y_{part}"))
    assert any("were drawn for the test part" in said for said in first.assumed)


def test_no_class_of_x_and_y_is_only_in_the_test_part(tmp_path: Path) -> None:
    y = np.array(["common"] * 30 + ["rare"] * 29 + ["single"])
    for seed in range(5):
        data = prepared(tmp_path, {"x": DIGITS, "y": y}, seed=seed, test=0.5, validation=1)
        assert data.classes == 3
        assert 2 not in data.y_test


@pytest.mark.parametrize(
    ("given", "options", "words"),
    [
        ({"x": DIGITS, "y": KINDS}, {"test": 58}, "leaves fewer than 3 of 60"),
        ({"x": DIGITS, "y": KINDS[:50]}, {}, "one label or target per example"),
        (parts(DIGITS, KINDS), {"test": 0.1}, "`test` under `data` is for data of only x and y"),
        ({"x": DIGITS}, {}, "has no array x_train .* or x and y, which are then split"),
        ({"x": DIGITS, "y": np.array([None] * 60)}, {}, "Python objects"),
        ({"x": np.zeros((0, 4)), "y": KINDS[:0]}, {}, "is empty"),
    ],
)
def test_x_and_y_that_cannot_be_split_are_refused(tmp_path: Path, given: Any, options: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        prepared(tmp_path, given, **options)


def test_a_function_may_give_x_and_y_as_libraries_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "flowers_given.py").write_text(
        "import numpy as np\n"
        "def pair():\n    return np.arange(60.0).reshape(60, 1), np.array(['a', 'b', 'c'] * 20, dtype=object)\n"
        "def named():\n    x, y = pair()\n    return {'x': x, 'y': y}\n"
    )
    monkeypatch.chdir(tmp_path)
    digests = set()
    for name in ("pair", "named"):
        data = prepare(DataSpec(function=f"flowers_given:{name}"), tmp_path / "out")
        assert (data.labels, len(data.x_test)) == (("a", "b", "c"), 12)
        digests.add(data.digest)
    assert len(digests) == 1


# --- keys, and the command


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"name": "digits", "task": "ranking"}, "task"),
        ({"name": "digits", "scale": 0}, "scale"),
        ({"name": "digits", "test": 0.2}, "have a test part"),
        ({"curves": "x.csv", "scale": 0.1}, "not for `curves`"),
    ],
)
def test_keys_that_make_no_sense_are_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        DataSpec.model_validate(given)


def test_the_command_says_what_it_assumes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "all.npz", x=DIGITS, y=KINDS + 1)
    given = [str(tmp_path / "all.npz"), "-o", str(tmp_path / "out")]
    assert main(["data", *given]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in said] == ["assumed"] * 3
    assert main(["data", *given, "--task", "regression", "--scale", "0.5", "--test", "0.1"]) == 0
    assert capsys.readouterr().out.count("assumed") == 1
    assert main(["data", *given, "--task", "ranking"]) == 2
    assert "classification" in capsys.readouterr().err


@pytest.mark.slow
def test_the_workflow_hands_on_what_is_said_of_data(tmp_path: Path) -> None:
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments/e.yaml").write_text(
        "data: {path: all.npz, task: regression, scale: 0.5, test: 7}\nmodel: dense\nobjective: {metric: mae, mode: min}\n"
        "space: {learning_rate: {uniform: [0.1, 0.2]}}\nbudget: {trials: 2}\nmethods: {random: {search: random}}\n"
    )
    np.savez(tmp_path / "all.npz", x=DIGITS, y=KINDS)
    run = subprocess.run(
        [
            *(str(Path(sys.executable).with_name("snakemake")), "--snakefile", str(ROOT / "Snakefile")),
            *("--directory", str(tmp_path), "--cores", "1", "--dry-run", "--printshellcmds"),
            *("--configfile", str(ROOT / "config/config.yaml")),
            *("--config", "folder=experiments", "results=results", "experiments=[e]"),
            *("--", "results/e/runs/random/0/journal.jsonl"),
        ],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert "--task regression --scale 0.5 --test 7" in run.stdout + run.stderr


@pytest.mark.slow
def test_a_network_is_found_for_texts_as_labels_and_gives_them_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Breast cancer, classes by name and weighed, by the commands that the workflow calls."""
    given = load_breast_cancer()
    x, names = StandardScaler().fit_transform(given.data), given.target_names[given.target]
    monkeypatch.chdir(tmp_path)
    np.savez("cancer.npz", X=x, y=names)
    Path("cancer.yaml").write_text(
        "data: {path: cancer.npz}\nmodel: softmax\ntraining: {class_weight: balanced}\n"
        "space: {learning_rate: {log_uniform: [0.01, 0.1]}, epochs: 3, batch_size: 16}\n"
        "budget: {trials: 2}\nmethods: {random: {search: random}}\n"
    )
    run, data = Path("results/cancer/runs/random"), f"results/data/{DataSpec(path='cancer.npz').key}"
    assert main(["data", "cancer.npz", "-o", data]) == 0
    assert main(["resolve", "cancer.yaml", "-o", "results/cancer/experiment.json"]) == 0
    assert main(["resolve", "cancer.yaml", "--method", "random", "-o", str(run / "setting.json")]) == 0
    assert main(["search", str(run / "setting.json"), "--data", data, "-o", str(run / "0/journal.jsonl")]) == 0
    best = hypercurve.load("results/cancer").best
    assert best.labels == ("benign", "malignant")
    found = np.array(best.labels)[best.model().predict(x, verbose=0).argmax(axis=1)]
    assert np.mean(found == names) > 0.9


def test_what_is_cut_keeps_its_labels_and_pixels(tmp_path: Path) -> None:
    np.savez(tmp_path / "whole.npz", **parts(DIGITS * 257, SPECIES[KINDS]))
    cut(str(tmp_path / "whole.npz"), tmp_path / "part.npz", 30, 10)
    data = prepare(DataSpec(path=str(tmp_path / "part.npz")), tmp_path / "out")
    assert (data.labels, data.scale) == (tuple(SPECIES), 1 / 65535)
