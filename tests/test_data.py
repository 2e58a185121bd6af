"""Preparing data: the split, what is stored, and what is refused in which words."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from hypercurve.config.data import DataSpec
from hypercurve.config.data_sets import IN_KERAS
from hypercurve.training.data import DataError, load, prepare, verify
from hypercurve.util.errors import UserError
from results_data import small_data


def stored(folder, **changes):
    path = folder / "source.npz"
    np.savez_compressed(path, **small_data(100, **changes))
    return path


def refused(tmp_path, path, validation=0.2):
    with pytest.raises(DataError) as caught:
        prepare(DataSpec(path=str(path), validation=validation), tmp_path / "out")
    assert [entry.name for entry in tmp_path.iterdir() if "out" in entry.name] == []  # nothing half-made stays
    return str(caught.value)


def test_spec_takes_exactly_one_source():
    with pytest.raises(ValidationError, match="one of `name`, `path`, `function` and `curves`"):
        DataSpec()
    with pytest.raises(ValidationError, match="one of `name`, `path`, `function` and `curves`"):
        DataSpec(name="mnist", path="x.npz")
    with pytest.raises(ValidationError):
        DataSpec(name="mnist", validation=0)
    with pytest.raises(ValidationError):
        DataSpec(name="mnist", validation=1.5)


def test_keys_are_stable_and_differ_with_every_field():
    keys = {
        DataSpec(name="mnist").key,
        DataSpec(name="mnist", validation=10000).key,
        DataSpec(name="mnist", seed=1).key,
        DataSpec(path="a/mnist.npz").key,
        DataSpec(path="b/mnist.npz").key,
    }
    assert len(keys) == 5
    assert all(key.startswith("mnist-") and len(key) == len("mnist-") + 8 for key in keys)
    assert DataSpec(name="mnist").key == DataSpec(name="mnist").key


@pytest.mark.parametrize(("validation", "count"), [(0.25, 25), (7, 7), (0.001, 1)])
def test_the_split_has_the_share_asked_for_and_does_not_overlap(tmp_path, validation, count):
    x = np.arange(100, dtype=np.float32).reshape(100, 1)
    path = stored(tmp_path, x_train=x, x_test=np.zeros((30, 1), np.float32))
    data = prepare(DataSpec(path=str(path), validation=validation), tmp_path / "out")
    assert len(data.x_validation) == count
    assert sorted([*data.x_train[:, 0], *data.x_validation[:, 0]]) == list(range(100))
    assert all(int(x) % 3 == y for x, y in zip(data.x_train[:, 0], data.y_train, strict=True))


def test_the_seed_decides_the_split(tmp_path):
    path = stored(tmp_path)
    first = prepare(DataSpec(path=str(path), seed=1), tmp_path / "1")
    again = prepare(DataSpec(path=str(path), seed=1), tmp_path / "2")
    other = prepare(DataSpec(path=str(path), seed=2), tmp_path / "3")
    np.testing.assert_array_equal(first.x_validation, again.x_validation)
    assert not np.array_equal(first.x_validation, other.x_validation)


def test_images_stay_bytes_and_other_numbers_become_float32(tmp_path):
    data = prepare(DataSpec(path=str(stored(tmp_path))), tmp_path / "bytes")
    assert (data.x_train.dtype, data.scale, data.classes) == (np.uint8, 1 / 255, 3)
    assert data.y_train.dtype == np.int32
    path = stored(tmp_path, x_train=np.ones((100, 5)), x_test=np.ones((30, 5)))
    data = prepare(DataSpec(path=str(path)), tmp_path / "floats")
    assert (data.x_train.dtype, data.scale) == (np.float32, 1.0)


def test_labels_in_a_column_become_a_vector(tmp_path):
    path = stored(tmp_path, y_train=np.arange(100).reshape(-1, 1) % 3)
    assert prepare(DataSpec(path=str(path)), tmp_path / "out").y_train.ndim == 1


def test_digits_hold_out_a_test_part_of_their_own(tmp_path):
    data = prepare(DataSpec(name="digits"), tmp_path / "out")
    assert (len(data.x_test), data.scale, data.classes, data.input_shape) == (359, 1 / 16, 10, (8, 8))
    assert data.samples + len(data.x_validation) == 1797 - 359
    other = prepare(DataSpec(name="digits", seed=5), tmp_path / "other")
    np.testing.assert_array_equal(data.x_test, other.x_test)


def test_the_manifest_holds_digests_and_damage_is_found(tmp_path):
    folder = tmp_path / "out"
    prepare(DataSpec(path=str(stored(tmp_path))), folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert len(manifest["files"]["x_train"]["sha256"]) == len(manifest["source_sha256"]) == 64
    verify(folder)
    with (folder / "x_train.npy").open("r+b") as file:
        file.seek(-1, 2)
        last = file.read(1)
        file.seek(-1, 2)
        file.write(bytes([last[0] ^ 1]))
    load(folder)  # sizes are right
    with pytest.raises(DataError, match=r"x_train\.npy was changed"):
        verify(folder)
    with (folder / "y_test.npy").open("ab") as file:
        file.write(b"0")
    with pytest.raises(DataError, match=r"y_test\.npy has .* bytes in place of"):
        load(folder)
    (folder / "y_test.npy").unlink()
    with pytest.raises(DataError, match=r"y_test\.npy is missing"):
        load(folder)
    (folder / "manifest.json").write_text("{")
    with pytest.raises(DataError, match=r"manifest\.json is damaged"):
        load(folder)
    with pytest.raises(DataError, match=r"manifest\.json is missing"):
        load(tmp_path / "nowhere")


def test_a_failed_preparation_leaves_what_was_there(tmp_path):
    folder = tmp_path / "out"
    prepare(DataSpec(path=str(stored(tmp_path))), folder)
    path = stored(tmp_path, y_train=np.full(100, -1))
    with pytest.raises(DataError):
        prepare(DataSpec(path=str(path)), folder)
    verify(folder)
    data = prepare(DataSpec(path=str(stored(tmp_path)), validation=10), folder)  # replaced, whole
    assert len(data.x_validation) == 10


def test_mapped_arrays_are_aligned_for_tensorflow_and_writes_stay_private(tmp_path):
    data = prepare(DataSpec(path=str(stored(tmp_path))), tmp_path / "out")
    assert data.x_train.ctypes.data % 64 == 0
    data.x_train[0] = 0
    verify(tmp_path / "out")


def test_a_missing_file_is_named(tmp_path):
    assert "nothing.npz does not exist" in refused(tmp_path, tmp_path / "nothing.npz")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"y_test": None}, "has no array y_test"),
        ({"y_train": np.arange(99) % 3}, "one label per example"),
        ({"x_train": np.zeros((0, 4, 4), np.uint8), "y_train": np.zeros(0, int)}, "is empty"),
        ({"y_train": np.arange(100) % 3 / 1.0}, "labels must be whole numbers"),
        ({"y_train": np.arange(100) % 3 - 1}, "has the label -1"),
        ({"y_train": np.arange(100) % 3 + 1}, "y_test has the label 0, which never occurs in y_train"),
        (
            {"y_train": np.arange(100) % 3 + 3},
            "label 0 never occurs; labels must be 0, 1, 2 and so on. Say what y is by `task",
        ),
        ({"y_train": np.array(["a", "b"] * 50)}, "y_train holds texts, y_test holds int64"),
        ({"y_train": np.array([b"\xff", b"b"] * 50), "y_test": np.array([b"b"] * 30)}, "no text in UTF-8"),
        ({"y_train": np.where(np.arange(100) == 5, 255, np.arange(100) % 3)}, "up to label 255"),
        ({"y_test": np.arange(30) % 4}, "y_test has the label 3"),
        ({"y_train": np.zeros(100, int), "y_test": np.zeros(30, int)}, "at least two classes"),
        ({"x_test": np.zeros((30, 5, 4), np.uint8)}, "they must agree"),
        ({"x_train": np.full((100, 4), np.nan), "x_test": np.zeros((30, 4))}, "x_train has 400 values that are NaN"),
        ({"x_train": np.full((100, 4), 1e300), "x_test": np.zeros((30, 4))}, "beyond float32"),
        ({"x_train": np.array([object()] * 100)}, "Python objects"),
        ({"x_train": np.full((100, 4), "a"), "x_test": np.full((30, 4), "a")}, "not numbers"),
        ({"x_train": np.zeros(100, np.uint8)}, "first axis counts examples"),
    ],
)
def test_data_that_cannot_be_trained_on_is_refused_by_name(tmp_path, changes, words):
    message = refused(tmp_path, stored(tmp_path, **changes))
    assert words in message
    assert "source.npz" in message


@pytest.mark.parametrize("validation", [100, 1000, 0.999])
def test_a_validation_part_as_large_as_the_training_part_is_refused(tmp_path, validation):
    assert "training part has only 100" in refused(tmp_path, stored(tmp_path), validation)


def test_damaged_archives_are_named(tmp_path):
    path = stored(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    message = refused(tmp_path, path)
    assert "damaged" in message
    assert "cut short" in message
    middle = len(whole) // 3
    path.write_bytes(whole[:middle] + bytes(64) + whole[middle + 64 :])
    assert "damaged" in refused(tmp_path, path)
    path.write_bytes(b"")
    assert "damaged" in refused(tmp_path, path)
    path.write_text("x_train,y_train\n1,2\n")
    assert "damaged" in refused(tmp_path, path)
    np.save(tmp_path / "one.npy", np.zeros(3))
    shutil.move(tmp_path / "one.npy", path)
    assert "no .npz archive" in refused(tmp_path, path)


def test_a_damaged_file_in_the_cache_of_keras_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    place = tmp_path / "datasets" / "mnist.npz"
    place.parent.mkdir()
    place.write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(DataError) as caught:
        prepare(DataSpec(name="mnist"), tmp_path / "out")
    assert str(place) in str(caught.value)
    assert "damaged" in str(caught.value)


def test_a_file_in_the_cache_of_keras_is_used(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    place = tmp_path / "datasets" / "mnist.npz"
    place.parent.mkdir()
    stored(tmp_path).rename(place)
    assert prepare(DataSpec(name="mnist", validation=10), tmp_path / "out").samples == 90


@pytest.mark.slow
@pytest.mark.parametrize("name", IN_KERAS)
def test_without_network_and_cache_the_message_says_what_to_put_where(tmp_path, monkeypatch, capfd, name):
    from hypercurve.training.runtime import configure, keras

    configure(1)

    def no_network(*args, **options):
        raise Exception("URL fetch failure on https://example.org: None -- network is unreachable")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(getattr(keras.datasets, name), "load_data", no_network)
    with pytest.raises(DataError) as caught:
        prepare(DataSpec(name=name), tmp_path / "out")
    assert str(Path(tmp_path) / "datasets") in str(caught.value)
    assert "`path`" in str(caught.value)
    assert "Traceback" not in capfd.readouterr().err


def test_a_folder_of_other_things_is_not_replaced(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(DataError, match="holds other things"):
        prepare(DataSpec(name="digits"), tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"
    with pytest.raises(UserError, match="is a plain file, and is not replaced"):
        prepare(DataSpec(name="digits"), tmp_path / "thesis.txt")


def test_prepared_data_are_replaced_by_newly_prepared(tmp_path):
    first = prepare(DataSpec(name="digits", validation=0.5), tmp_path / "digits")
    second = prepare(DataSpec(name="digits"), tmp_path / "digits")
    assert second.samples > first.samples
    assert [path.name for path in tmp_path.iterdir()] == ["digits"]


def test_classes_are_counted_before_the_split(tmp_path):
    # The only example of class 2 may land in the validation part: the network needs an output for it all the same.
    x, y = np.zeros((40, 4), np.float32), np.array([0, 1] * 19 + [0, 2])
    np.savez(tmp_path / "rare.npz", x_train=x, y_train=y, x_test=x[:4], y_test=y[:4])
    for seed in range(4):
        prepared = prepare(DataSpec(path=str(tmp_path / "rare.npz"), validation=0.5, seed=seed), tmp_path / str(seed))
        assert prepared.classes == 3
