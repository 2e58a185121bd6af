"""Fixtures that several test files use: small experiments, their settings, prepared data, and looks at folders."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from hypercurve.config.experiment import Experiment
from hypercurve.config.files import read_experiment
from hypercurve.config.setting import Setting
from hypercurve.events.checksums import Chain
from hypercurve.events.encoding import RawLine

# No assertion is about time, Hypothesis's own included: machines that run tests are busy.
settings.register_profile("hypercurve", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("hypercurve")

if os.geteuid() == 0:
    os.environ |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}

ROOT = Path(__file__).parents[1]
"""The checkout."""

SYNTHETIC = """\
description: a small experiment on learning curves by formula
data: {name: digits, validation: 0.25}
model: synthetic
space:
  learning_rate: {log_uniform: [0.001, 1.0]}
  momentum: {uniform: [0.0, 0.99]}
  batch_size: {choice: [32, 64], ordered: true}
budget: {trials: 20}
training: {accumulation_points: 5}
methods:
  random: {search: random}
  lcm: {search: random, stop: {lcm: {split: 0.2, check_points: [0.2, 0.4]}}}
"""

CC = shutil.which("cc")
MPIEXEC = Path(sys.executable).with_name("mpiexec")
QUIET = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_osc": "^ucx"}
"""What MPI needs in the environment to run for root, and to say nothing."""
needs_mpi = pytest.mark.skipif(not MPIEXEC.exists(), reason="there is no mpiexec beside Python")

Listing = dict[str, bytes | None]


@pytest.fixture(autouse=True)
def _light(request: pytest.FixtureRequest) -> Iterator[None]:
    """What imports TensorFlow, which takes seconds, is marked slow."""
    before = "tensorflow" in sys.modules
    yield
    slow = request.node.get_closest_marker("slow") is not None
    assert slow or before or "tensorflow" not in sys.modules, "this test imports TensorFlow: mark it slow"


@pytest.fixture(autouse=True)
def _own_tmp(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A killed mpiexec leaves a folder that refuses a later one with its process number: each test has another place."""
    place = tmp_path_factory.getbasetemp() / f"mpi-{abs(hash(request.node.nodeid))}"
    os.environ.update(PRTE_MCA_prte_tmpdir_base=str(place))


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def synthetic() -> str:
    """An experiment file that trains in milliseconds."""
    return SYNTHETIC


@pytest.fixture
def write_experiment(tmp_path: Path) -> Callable[..., Path]:
    """Writes an experiment file, by default the synthetic one: `write_experiment(text, name="x.yaml")`."""

    def write(content: str | bytes = SYNTHETIC, name: str = "experiment.yaml") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


@pytest.fixture
def experiment_from(write_experiment: Callable[..., Path]) -> Callable[..., Experiment]:
    """Reads an experiment from text, after replacements: `experiment_from(("old", "new"), ...)`."""

    def read(*changes: tuple[str, str], text: str = SYNTHETIC) -> Experiment:
        return read_experiment(write_experiment(changed(text, *changes)))

    return read


@pytest.fixture
def setting_from(experiment_from: Callable[..., Experiment]) -> Callable[..., Setting]:
    """Resolves a method's setting: `setting_from(("old", "new"), ..., method="lcm")`."""

    def resolve(*changes: tuple[str, str], method: str = "lcm", text: str = SYNTHETIC) -> Setting:
        return experiment_from(*changes, text=text).setting("experiment", method)

    return resolve


@pytest.fixture(scope="session")
def arrays() -> Callable[..., dict[str, np.ndarray]]:
    """The four arrays of a tiny data set, with changes: `arrays(y_test=...)`; None leaves an array out."""

    from results_data import small_data

    return small_data


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory, arrays: Callable[..., dict[str, np.ndarray]]) -> Path:
    """The folder of a tiny prepared data set. Only for reading: it serves all tests."""
    from hypercurve.config.data import DataSpec
    from hypercurve.training.data import prepare

    source = tmp_path_factory.mktemp("source") / "tiny.npz"
    save(source, arrays())
    return prepare(DataSpec(path=str(source)), tmp_path_factory.mktemp("data") / "tiny").folder


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a user's code, as workflows run in."""
    folder = tmp_path_factory.mktemp("user")
    for name in ("tests/user_models.py", "tests/staying_program.py", "examples/hypercurve_program.py"):
        shutil.copy(ROOT / name, folder)
    if CC is not None:
        source = ROOT / "examples" / "logistic.c"
        subprocess.run([CC, "-O2", "-o", str(folder / "logistic"), str(source), "-lm"], check=True)
    return folder


def save(path: Path, arrays: dict[str, np.ndarray], compressed: bool = False) -> Path:
    """Write arrays to an .npz file."""
    write = np.savez_compressed if compressed else np.savez
    write(path, **arrays)  # type: ignore[arg-type]
    return path


def changed(text: str, *changes: tuple[str, str]) -> str:
    """A text after replacements, each of which must apply exactly once."""
    for old, new in changes:
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in the text, not once"
        text = text.replace(old, new)
    return text


def unsealed(line: RawLine | str | bytes) -> RawLine:
    """A journal's line without its checksum."""
    raw: RawLine = line if isinstance(line, dict) else json.loads(line)
    wall = {key: value for key, value in raw.get("wall", {}).items() if key != "sum"}
    return {key: value for key, value in raw.items() if key != "wall"} | ({"wall": wall} if wall else {})


def resealed(lines: Iterable[RawLine | str | bytes]) -> bytes:
    """A journal of these lines with checksums that fit them, as if a run had written it."""
    chain = Chain()
    return b"".join(chain.seal(unsealed(line)) for line in lines)


def listing(folder: Path) -> Listing:
    """Everything in a folder: path to content, None for folders."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }
