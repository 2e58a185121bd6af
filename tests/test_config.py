"""Experiment files and what becomes of them: schema, settings and digests, YAML's traps; and who imports whom."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from pydantic import BaseModel

from conftest import ROOT, SYNTHETIC
from hypercurve.cli import main
from hypercurve.config.budget import Budget
from hypercurve.config.experiment import Experiment
from hypercurve.config.files import _read_yaml, read_experiment, read_resolved, read_setting
from hypercurve.config.hyperparameters import HYPERPARAMETERS
from hypercurve.config.identity import training_digest
from hypercurve.config.setting import Setting

SHIPPED = sorted((ROOT / "config" / "experiments").glob("*.yaml"))
PACKAGE = ROOT / "workflow" / "hypercurve"
SCHEMA: dict[str, Any] = Experiment.model_json_schema()

# Shipped experiments


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_experiment_checks(path: Path) -> None:
    experiment = read_experiment(path)
    assert experiment.description, "a report wants to say what the experiment asks"
    for method in experiment.methods:
        assert experiment.setting(path.stem, method).digest


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_experiment_fits_the_schema(path: Path) -> None:
    given, _ = _read_yaml(path)
    assert [error.message for error in Draft202012Validator(SCHEMA).iter_errors(given)] == []


# The schema


def test_schema_file_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    file = ROOT / "config" / "experiment.schema.json"
    written = file.read_text(encoding="utf-8") if file.exists() else ""
    assert written == capsys.readouterr().out, "config/experiment.schema.json is out of date: run `make schema`"


def test_schema_is_itself_valid() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def given(**changes: object) -> dict[str, Any]:
    """An experiment as YAML gives it; a key with None is left out."""
    base: dict[str, object] = {
        "data": {"name": "digits"},
        "model": "synthetic",
        "space": {"learning_rate": {"uniform": [0.1, 1.0]}},
        "budget": {"trials": 5},
        "methods": {"a": {"search": "random"}},
    }
    return {key: value for key, value in (base | changes).items() if value is not None}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"methods": {"a": {"search": {"random": {}}}}},
        {"methods": {"a": {"search": {"grid": {"points": 2}}}}},
        {"methods": {"a": {"search": "tpe"}, "b": {"search": {"gp": {"candidates": 100}}}, "c": {"search": "pso"}}},
        {"methods": {"a": {"search": "random", "stop": "lcm"}}},
        {"methods": {"a": {"search": "random", "stop": {"lcm": {}}}}},
        {"methods": {"a": {"search": "random", "stop": {"lcm": {"split": 0.5}}}}},
        {"methods": {"a": {"search": "random", "space": {"momentum": 0.5}}}},
        {"methods": {"a": {"population": {"every": 10}}}},
        {"methods": {"a": {"population": {"every": 10, "exploit": "tournament", "lag": 1}}}},
        {"methods": {"a": {"population": {"every": 10, "explore": {"learning_rate": {"factors": [0.8, 1.2]}}}}}},
        {"training": {"accumulation_points": 10}},
        {"training": {"accumulation_points": [0.5, 1]}},
        {"space": {"learning_rate": 0.1, "batch_size": {"choice": [32], "when": {"momentum": 0}}, "momentum": 0}},
        {"data": {"path": "x.npz", "validation": 100}},
        {"budget": {"seconds": 10, "at": [2, 5.5]}},
    ],
    ids=json.dumps,
)
def test_schema_takes_what_the_program_takes(changes: dict[str, object]) -> None:
    Experiment.model_validate(given(**changes))
    assert [error.message for error in Draft202012Validator(SCHEMA).iter_errors(given(**changes))] == []


@pytest.mark.parametrize(
    "changes",
    [
        {"data": None},
        {"bugdet": 1},
        {"model": "dens"},
        {"data": {"name": "digit"}},
        {"space": {"learning_rate": {"unifrm": [0, 1]}}},
        {"budget": {"trials": 0}},
        {"repeats": 0},
        {"methods": {}},
        {"methods": {"a": {"search": "randm"}}},
        {"methods": {"a": {"search": {"random": {}, "sobol": {}}}}},
        {"methods": {"a": {"search": "random", "stop": {"lcm": {"stopping_rate": 1.8}}}}},
        {"methods": {"a": {"search": "random", "slots": "two"}}},
        {"methods": {"a": {"search": {"cmaes": {"population": 1}}}}},
    ],
    ids=json.dumps,
)
def test_schema_refuses_what_an_editor_can_see(changes: dict[str, object]) -> None:
    assert list(Draft202012Validator(SCHEMA).iter_errors(given(**changes)))


def models(model: type[BaseModel], seen: set[type[BaseModel]]) -> Iterator[type[BaseModel]]:
    """A model and all models in its fields."""
    if model in seen:
        return
    seen.add(model)
    yield model
    for field in model.model_fields.values():
        waiting = [field.annotation]
        while waiting:
            annotation = waiting.pop()
            waiting += getattr(annotation, "__args__", ())
            if isinstance(annotation, type) and issubclass(annotation, BaseModel):
                yield from models(annotation, seen)


def test_every_key_has_a_description() -> None:
    silent = [
        f"{model.__name__}.{name}"
        for model in models(Experiment, set())
        if model.__module__.startswith("hypercurve.config.")
        for name, field in model.model_fields.items()
        if not field.description
    ]
    assert silent == [], "a docstring below the field becomes its description in the schema"


def keys(schema: object) -> Iterator[str]:
    """All keys that may stand in an experiment file, by its schema."""
    if isinstance(schema, dict):
        properties = schema.get("properties", {})
        yield from properties
        for name, part in schema.items():
            for inner in part.values() if name in ("properties", "$defs") else [part]:
                yield from keys(inner)
    elif isinstance(schema, list):
        for part in schema:
            yield from keys(part)


def test_readme_explains_every_key() -> None:
    text = (ROOT / "config" / "README.md").read_text(encoding="utf-8")
    missing = sorted({key for key in keys(SCHEMA) if f"`{key}`" not in text})
    assert missing == [], "config/README.md explains every key of an experiment file, in `backticks`"


def test_readme_explains_every_hyperparameter() -> None:
    text = (ROOT / "config" / "README.md").read_text(encoding="utf-8")
    names = [name for entry in HYPERPARAMETERS.values() for name in (entry.name, *entry.choices)]
    assert [name for name in names if f"`{name}`" not in text] == []


def test_readme_names_every_value_that_can_be_chosen() -> None:
    text = (ROOT / "config" / "README.md").read_text(encoding="utf-8")

    def choices(part: object) -> Iterator[str]:
        if isinstance(part, dict):
            yield from map(str, part.get("enum", []))
            for inner in part.values():
                yield from choices(inner)
        elif isinstance(part, list):
            for inner in part:
                yield from choices(inner)

    assert sorted({choice for choice in choices(SCHEMA) if f"`{choice}`" not in text}) == []


def test_examples_of_the_readme_check(write_experiment: Callable[..., Path]) -> None:
    text = (ROOT / "config" / "README.md").read_text(encoding="utf-8")
    examples = [part.split("```")[0] for part in text.split("```yaml\n")[1:]]
    whole = [example for example in examples if "\nmethods:" in example]
    assert whole, "the README shows a whole experiment"
    for example in whole:
        read_experiment(write_experiment(example))


# Settings


def test_setting_comes_back_from_json_with_the_same_digest(
    tmp_path: Path, write_experiment: Callable[..., Path]
) -> None:
    for source in [*SHIPPED, write_experiment()]:
        experiment = read_experiment(source)
        for method in experiment.methods:
            setting = experiment.setting(source.stem, method)
            file = tmp_path / "setting.json"
            assert main(["resolve", str(source), "--method", method, "-o", str(file)]) == 0
            again = read_setting(file)
            assert again == setting
            assert again.digest == setting.digest


def test_experiment_comes_back_from_json(tmp_path: Path, write_experiment: Callable[..., Path]) -> None:
    for source in [*SHIPPED, write_experiment()]:
        experiment = read_experiment(source)
        file = tmp_path / "experiment.json"
        assert main(["resolve", str(source), "-o", str(file)]) == 0
        again = read_resolved(file)
        for method in experiment.methods:
            assert again.setting("x", method).digest == experiment.setting("x", method).digest


MATTERS: list[tuple[str, str]] = [
    ("digits", "mnist"),
    ("validation: 0.25", "validation: 0.3"),
    ("validation: 0.25", "validation: 0.25, seed: 1"),
    ("model: synthetic", "model: softmax"),
    ("model: synthetic", "model: synthetic\ncurve: loss"),
    ("[0.001, 1.0]", "[0.001, 0.9]"),
    ("log_uniform", "uniform"),
    ("ordered: true", "ordered: false"),
    ("[32, 64]", "[64, 32]"),
    ("  momentum: {uniform: [0.0, 0.99]}\n", ""),
    ("trials: 20", "trials: 21"),
    ("{trials: 20}", "{trials: 20}\nseed: 1"),
    ("lcm: {search: random", "lcm: {record: [earlier.tar.gz], search: random"),
    ("{trials: 20}", "{trials: 20}\nobjective: {metric: loss, mode: min}"),
    ("{trials: 20}", "{trials: 20}\nconstraints: {loss: {max: 3}}"),
    ("{trials: 20}", "{trials: 20}\ncost: {step: 0.5}"),
    ("{trials: 20}", "{trials: 20}\ncost: {sample: 0.5}"),
    ("accumulation_points: 5", "accumulation_points: 10"),
    ("accumulation_points: 5", "accumulation_points: 5, evaluate: points"),
    ("accumulation_points: 5", "accumulation_points: 5, threads: 2"),
    ("accumulation_points: 5", "accumulation_points: 5, compiler: graph"),
    ("lcm: {search: random", "lcm: {search: sobol"),
    ("lcm: {search: random", "lcm: {search: tpe"),
    ("lcm: {search: random", "lcm: {search: {pso: {}}"),
    ("lcm: {search: random", "lcm: {search: random, slots: 2"),
    ("lcm: {search: random", "lcm: {search: random, space: {momentum: 0.5}"),
    ("lcm: {search: random", "lcm: {search: random, order: arrival"),
    ("split: 0.2", "split: 0.3"),
    ("split: 0.2", "split: 0.2, stopping_rate: 0.7"),
    ("split: 0.2", "split: 0.2, distance: dtw"),
    ("split: 0.2", "split: 0.2, configurations: 19"),
    ("[0.2, 0.4]", "[0.2]"),
]
MATTERS_NOT: list[tuple[str, str]] = [
    ("a small experiment on learning curves by formula", "another description"),
    ("{trials: 20}", "{trials: 20}\nrepeats: 7"),
    ("{trials: 20}", "{trials: 20}\nretrain: 3"),
    ("{trials: 20}", "{trials: 20}\nbaseline: random"),
    ("{trials: 20}", "{trials: 20}\nfigures: [best]"),
    ("lcm: {search: random", "lcm: {description: matched, search: random"),
    ("lcm: {search: random", "lcm: {search: random, tasks: 4"),
    ("lcm: {search: random", "lcm: {search: {random: {}}"),
    ("random: {search: random}", "random: {search: sobol, slots: 3}\n  other: {search: random}"),
    ("accumulation_points: 5", "accumulation_points: [0.2, 0.4, 0.6, 0.8, 1.0]"),
    ("split: 0.2", "stopping_rate: 0.8, split: 0.2"),
]


@pytest.mark.parametrize("change", MATTERS, ids=lambda change: f"{change[0]} -> {change[1]}")
def test_digest_changes_with_what_matters_to_a_run(
    change: tuple[str, str], setting_from: Callable[..., Setting]
) -> None:
    assert setting_from(change).digest != setting_from().digest


@pytest.mark.parametrize("change", MATTERS_NOT, ids=lambda change: f"{change[0]} -> {change[1]}")
def test_digest_does_not_change_with_what_does_not(
    change: tuple[str, str], setting_from: Callable[..., Setting]
) -> None:
    assert setting_from(change).digest == setting_from().digest


def test_digest_changes_with_every_field_of_a_setting() -> None:
    covered = {"seed", "data", "model", "objective", "constraints", "space", "budget", "cost", "training"}
    covered |= {"curve", "search", "stop", "record", "preselect", "population", "order", "slots"}
    covered |= {"schedule", "ranks"}  # which no synthetic model has: tests/test_schedule_export.py, and below
    assert set(Setting.model_fields) == covered | {"experiment", "method"}, "a new field wants a row in MATTERS"


def test_digests_of_a_run_and_of_its_trainings_change_with_ranks_of_trials(
    experiment_from: Callable[..., Experiment],
) -> None:
    loop = ("model: synthetic", 'model: {loop: "mine:train"}\nobjective: {metric: loss}')
    epochs, method = ("space:\n", "space:\n  epochs: 5\n"), "lcm: {search: random"
    one, same, two = (
        experiment_from(loop, epochs, (method, f"lcm: {{ranks: {ranks}, tasks: 4, search: random")).setting("a", "lcm")
        for ranks in (1, 1, 2)
    )
    assert one.digest == same.digest != two.digest
    assert training_digest(one, "none", None) != training_digest(two, "none", None)


def test_digest_names_experiment_and_method(experiment_from: Callable[..., Experiment]) -> None:
    experiment = experiment_from()
    digests = {experiment.setting(name, method).digest for name in ("a", "b") for method in ("random", "lcm")}
    assert len(digests) == 4


def test_budget_is_of_one_kind() -> None:
    assert (Budget(trials=3).kind, Budget(seconds=3).kind, Budget(samples=3).kind) == ("trials", "seconds", "samples")
    assert Budget(samples=2e8, at=(1e7, 1e8)).limit == 2e8


# YAML


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("1e-4", 1e-4),
        ("2.0e8", 2e8),
        ("1E3", 1000.0),
        (".5", 0.5),
        ("+5", 5),
        ("010", 10),
        ("1_000", "1_000"),
        ("0x10", "0x10"),
        ("1:30", "1:30"),
        ("no", "no"),
        ("on", "on"),
        ("Yes", "Yes"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("'5'", "5"),
        ("1.2.3", "1.2.3"),
    ],
)
def test_yaml_means_what_it_looks_like(written: str, meant: object, write_experiment: Callable[..., Path]) -> None:
    value, _ = _read_yaml(write_experiment(f"key: {written}\n"))
    assert value == {"key": meant}
    assert type(value["key"]) is type(meant)


def test_anchors_may_be_used(write_experiment: Callable[..., Path]) -> None:
    text = (
        SYNTHETIC.replace("{split: 0.2,", "&options {split: 0.2,")
        + "  again: {search: random, stop: {lcm: *options}}\n"
    )
    experiment = read_experiment(write_experiment(text))
    assert experiment.methods["again"] == experiment.methods["lcm"]
