"""The environment files agree: pyproject.toml says what is needed, envs/lock.txt and envs/hypercurve.yaml pin it alike."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from conftest import ROOT

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCK = ROOT / "envs" / "lock.txt"
CONDA = ROOT / "envs" / "hypercurve.yaml"
ORACLES = ROOT / "envs" / "oracles.txt"
CONTAINERFILE = ROOT / "envs" / "Containerfile"
PYTHONS = ("3.11", "3.12", "3.13")
"""Versions of Python that the project is for."""


def requirements(lines: list[str]) -> list[Requirement]:
    return [Requirement(line) for line in lines]


def locked(path: Path = LOCK) -> dict[str, list[Requirement]]:
    """A lock's pins by package; a package may have one pin for each platform or Python."""
    pins: dict[str, list[Requirement]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        text = line.split("#")[0].strip()
        if text:
            requirement = Requirement(text)
            pins.setdefault(canonicalize_name(requirement.name), []).append(requirement)
    return pins


def version(pin: Requirement) -> str:
    (only,) = pin.specifier
    assert only.operator == "==", f"{pin} is no pin"
    return str(only.version)


def conda() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(CONDA.read_text(encoding="utf-8"))
    return loaded


def conda_pip() -> list[Requirement]:
    (part,) = [entry["pip"] for entry in conda()["dependencies"] if isinstance(entry, dict)]
    return requirements(part)


NEEDED = requirements(PROJECT["dependencies"])
# The lock is for machines without a GPU; on others, TensorFlow is replaced (see the Makefile).
OPTIONAL = requirements(
    [line for extra, lines in PROJECT["optional-dependencies"].items() if extra != "gpu" for line in lines]
)


@pytest.mark.parametrize("needed", [*NEEDED, *OPTIONAL], ids=str)
def test_lock_pins_what_is_needed_within_its_range(needed: Requirement) -> None:
    pins = locked().get(canonicalize_name(needed.name), [])
    assert pins, f"envs/lock.txt does not pin {needed.name}"
    for pin in pins:
        assert needed.specifier.contains(version(pin), prereleases=True), (
            f"pyproject.toml wants {needed}, pinned: {pin}"
        )


def test_lock_pins_everything_exactly_and_once_for_each_machine() -> None:
    for name, pins in [*locked().items(), *locked(ORACLES).items()]:
        assert all(version(pin) for pin in pins)
        markers = [str(pin.marker) for pin in pins]
        assert len(set(markers)) == len(markers), f"{name} is pinned twice"


def test_conda_environment_pins_what_the_lock_pins() -> None:
    pins = locked()
    for requirement in conda_pip():
        versions = {version(pin) for pin in pins[canonicalize_name(requirement.name)]}
        assert versions == {version(requirement)}, f"envs/hypercurve.yaml has {requirement}, envs/lock.txt {versions}"


def test_conda_environment_holds_what_rules_need() -> None:
    has = {canonicalize_name(requirement.name) for requirement in conda_pip()}
    extras = [
        requirement
        for extra in ("cpu", "slurm")
        for requirement in requirements(PROJECT["optional-dependencies"][extra])
    ]
    assert {canonicalize_name(needed.name) for needed in [*NEEDED, *extras]} <= has


def test_versions_of_python_agree() -> None:
    wanted = SpecifierSet(PROJECT["requires-python"])
    assert all(wanted.contains(f"{python}.1") for python in PYTHONS)
    assert not wanted.contains("3.10.9")
    assert not wanted.contains("3.14.0")
    (line,) = [entry for entry in conda()["dependencies"] if isinstance(entry, str) and entry.startswith("python=")]
    assert line.removeprefix("python=") in PYTHONS
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "(3, 11) <= sys.version_info < (3, 14)" in makefile


def test_the_image_holds_exactly_the_lock_on_a_python_of_the_project() -> None:
    text = CONTAINERFILE.read_text(encoding="utf-8")
    instructions = [line.split(maxsplit=1) for line in text.splitlines() if line and not line.startswith("#")]
    arguments = [rest for kind, rest in instructions if kind == "ARG"]
    assert arguments in [[f"PYTHON={python}"] for python in PYTHONS]
    assert [rest for kind, rest in instructions if kind == "FROM"] == ["python:${PYTHON}-slim"], "no host of a registry"
    assert [rest for kind, rest in instructions if kind in ("COPY", "ADD")] == ["lock.txt /opt/hypercurve/lock.txt"]
    installing, naming = [rest for kind, rest in instructions if kind == "RUN"]
    assert installing == "pip install --no-cache-dir --requirement /opt/hypercurve/lock.txt"
    assert naming.startswith("printf ")
    (named,) = re.findall(r"--build-arg PYTHON=(.*)\.", text)
    assert tuple(re.findall(r"3\.\d+", named)) == PYTHONS


@pytest.mark.parametrize(
    "path", [LOCK, CONDA, ORACLES, CONTAINERFILE, ROOT / "pyproject.toml"], ids=lambda path: path.name
)
def test_no_address_of_an_index_stands_in_an_environment_file(path: Any) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"https?://|file://|--(extra-)?index-url|--find-links|--trusted-host|@\s*git", text)


def workflow_steps() -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """The steps of all jobs in .github/workflows, each with its job."""
    files = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
    loaded = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in files]
    return [(step, job) for workflow in loaded for job in workflow["jobs"].values() for step in job["steps"]]


def test_workflows_run_targets_of_the_makefile_and_actions_of_a_major_version() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    run = [step["run"] for step, _ in workflow_steps() if "run" in step]
    assert {"make test-fast", "make lint", "make test"} <= set(run)
    assert {line.removeprefix("make ") for line in run} <= targets
    for step, _ in workflow_steps():
        assert "run" in step or re.fullmatch(r"actions/[a-z-]+@v\d+", step["uses"])
        assert "secrets" not in str(step)


def test_the_fast_tests_run_on_every_version_of_python() -> None:
    (fast,) = [job for step, job in workflow_steps() if step.get("run") == "make test-fast"]
    assert fast["strategy"]["matrix"]["python"] == list(PYTHONS)


def test_hooks_before_a_commit_run_what_lint_runs_from_the_environment() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    hooks = [hook for repository in config["repos"] for hook in repository["hooks"]]
    assert {repository["repo"] for repository in config["repos"]} == {"local"}, "others want the network"
    assert {hook["language"] for hook in hooks} == {"system"}
    programs = {hook["entry"].split()[0] for hook in hooks}
    assert programs <= {f".venv/bin/{requirement.name}" for requirement in OPTIONAL}
