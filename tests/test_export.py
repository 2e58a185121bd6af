"""Exports, read back by the programs that they are for."""

import json
import math
import shutil
from pathlib import Path

import pytest

from hypercurve.cli import main
from hypercurve.results.runs import RunResult, read_run
from results_data import make_results

pytestmark = pytest.mark.slow

MIXED = """\
description: every kind of domain, conditions, and methods with spaces of their own
data: {name: digits, validation: 0.25}
model: synthetic
space:
  learning_rate: {log_uniform: [0.001, 1.0]}
  momentum: {uniform: [0.0, 0.99]}
  batch_size: {choice: [32, 64], ordered: true}
  epochs: {integer: [3, 6]}
budget: {trials: 12}
training: {accumulation_points: 5, evaluate: points}
repeats: 2
methods:
  random: {search: random}
  lcm: {search: random, space: {momentum: 0.5}, stop: {lcm: {split: 0.3, check_points: [0.2, 0.4]}}}
  pbt:
    space: {batch_size: 32, epochs: 5}
    population: {members: 6, every: 20, explore: {learning_rate: {factors: [0.8, 1.2]}}}
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_results(tmp_path_factory.mktemp("made"), MIXED, "mixed")


def record(results: Path, run: str) -> RunResult:
    return read_run(results / "runs" / run / "journal.jsonl")


def single(value: float) -> float:
    """A float as TensorBoard keeps it."""
    import numpy as np

    return float(np.float32(value))


# TensorBoard


@pytest.fixture(scope="module")
def events(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "events"
    assert main(["export", "tensorboard", str(results), "-o", str(folder)]) == 0
    return folder


@pytest.mark.parametrize("run", ["random/0", "lcm/1", "pbt/0"])
def test_tensorboard_reads_every_curve(results: Path, events: Path, run: str) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    made = record(results, run)
    folders = sorted((events / "mixed" / run).iterdir())
    assert len(folders) == len(made.trials)
    for number, folder in enumerate(folders):
        trial = made.trials[number]
        accumulator = EventAccumulator(str(folder))
        accumulator.Reload()
        read = accumulator.Scalars("loss") if trial.curve else []
        assert [event.value for event in read] == [single(metrics["loss"]) for _, metrics in trial.curve]
        assert [event.step for event in read] == sorted(event.step for event in read)
        times = [event.at for event in made.events if event.trial == number and event.kind != "failed"]
        assert [event.wall_time for event in read] == times
        if made.best == number:
            (tested,) = accumulator.Scalars("test_accuracy")
            assert tested.value == single(made.test["test_accuracy"])
    if run.startswith("pbt"):
        copied = next(trial for trial in made.trials.values() if len(trial.history) > 1)
        accumulator = EventAccumulator(str(folders[copied.number]))
        accumulator.Reload()
        rates = [event.value for event in accumulator.Scalars("hyperparameters/learning_rate")]
        assert single(float(copied.history[0].configuration["learning_rate"])) == rates[0]
        assert single(float(copied.history[-1].configuration["learning_rate"])) == rates[-1]


def test_the_hparams_plugin_shows_every_trial_with_its_hyperparameters_and_result(results: Path, events: Path) -> None:
    """Through the plug-in's own backend, as its table would ask."""
    from tensorboard.backend.event_processing import data_provider, plugin_event_multiplexer
    from tensorboard.context import RequestContext
    from tensorboard.plugins.base_plugin import TBContext
    from tensorboard.plugins.hparams import api_pb2, backend_context, get_experiment, list_session_groups

    multiplexer = plugin_event_multiplexer.EventMultiplexer()
    multiplexer.AddRunsFromDirectory(str(events))
    multiplexer.Reload()
    provider = data_provider.MultiplexerDataProvider(multiplexer, str(events))
    context = backend_context.Context(TBContext(data_provider=provider, multiplexer=multiplexer, logdir=str(events)))
    request = RequestContext()
    metadata = context.hparams_metadata(request, "")
    experiment = get_experiment.Handler(
        request, context, "", api_pb2.GetExperimentRequest(include_metrics=True, hparams_limit=None)
    ).run()
    columns = {info.name: info for info in experiment.hparam_infos}
    assert {"method", "repeat", "learning_rate", "momentum", "batch_size", "epochs"} == set(columns)
    assert columns["learning_rate"].domain_interval.max_value == 1.0
    assert [value.number_value for value in columns["batch_size"].domain_discrete.values] == [32, 64]
    assert columns["epochs"].domain_interval.min_value == 3
    assert [value.number_value for value in columns["repeat"].domain_discrete.values] == [0, 1]
    assert experiment.metric_infos[0].name.tag == "val_accuracy"
    asked = api_pb2.ListSessionGroupsRequest(
        start_index=0,
        slice_size=1000,
        include_metrics=True,
        allowed_statuses=[api_pb2.STATUS_UNKNOWN, api_pb2.STATUS_SUCCESS, api_pb2.STATUS_FAILURE],
        col_params=[api_pb2.ColParams(metric=api_pb2.MetricName(group="", tag="val_accuracy"))],
    )
    groups = list_session_groups.Handler(request, context, "", asked).run().session_groups
    assert metadata
    found = {group.name: group for group in groups}
    for run in ("random/1", "lcm/0", "pbt/1"):
        for trial in record(results, run).trials.values():
            group = found[f"mixed/{run}/{trial.number}"]
            assert group.hparams["learning_rate"].number_value == trial.configuration["learning_rate"]
            assert group.hparams["method"].string_value == run.partition("/")[0]
            status = {"completed": api_pb2.STATUS_SUCCESS, "failed": api_pb2.STATUS_FAILURE}
            assert group.sessions[0].status == status.get(trial.status, api_pb2.STATUS_UNKNOWN)
            if trial.status == "completed":
                (value,) = [m.value for m in group.metric_values if m.name.tag == "val_accuracy"]
                assert value == single(trial.metrics["val_accuracy"])
    assert len(found) == sum(len(read_run(path).trials) for path in results.rglob("journal.jsonl"))


def test_equal_journals_give_equal_event_files(results: Path, events: Path, tmp_path: Path) -> None:
    assert main(["export", "tensorboard", str(results), "-o", str(tmp_path / "again")]) == 0
    for path in events.rglob("events*"):
        assert path.read_bytes() == (tmp_path / "again" / path.relative_to(events)).read_bytes()


def test_a_folder_that_holds_something_is_left_alone(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    assert main(["export", "tensorboard", str(results), "-o", str(tmp_path)]) == 2
    assert "holds something" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


# Optuna


@pytest.fixture(scope="module", params=["study.db", "study.log"])
def storage(results: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> object:
    import optuna
    from optuna.storages.journal import JournalFileBackend

    path = tmp_path_factory.mktemp("optuna") / request.param
    runs = [str(results / "runs" / run) for run in ("random/0", "lcm/0", "pbt")]
    assert main(["export", "optuna", *runs, "-o", str(path)]) == 0
    assert [p.name for p in path.parent.iterdir()] == [path.name], "nothing half-written stays"
    if path.suffix == ".db":
        return f"sqlite:///{path}"
    return optuna.storages.JournalStorage(JournalFileBackend(str(path)))


def test_optuna_loads_each_run_as_a_study(storage: object) -> None:
    import optuna

    names = optuna.get_all_study_names(storage=storage)  # type: ignore[arg-type]
    assert sorted(names) == ["mixed/lcm/0", "mixed/pbt/0", "mixed/pbt/1", "mixed/random/0"]


@pytest.mark.parametrize("run", ["random/0", "lcm/0", "pbt/1"])
def test_a_study_holds_what_the_run_found(results: Path, storage: object, run: str) -> None:
    import optuna

    made = record(results, run)
    study = optuna.load_study(study_name=f"mixed/{run}", storage=storage)  # type: ignore[arg-type]
    assert study.direction == optuna.study.StudyDirection.MAXIMIZE
    assert study.best_trial.number == made.best
    assert study.best_value == made.performance("val_accuracy")
    assert study.user_attrs["test"] == made.test
    states = {"completed": "COMPLETE", "stopped": "PRUNED", "failed": "FAIL"}
    assert len(study.trials) == len(made.trials)
    for trial in study.trials:
        own = made.trials[trial.number]
        assert trial.state.name == states[own.status]
        constant = study.user_attrs["constants"]
        assert {**trial.params, **constant} == dict(own.configuration)
        assert list(trial.intermediate_values.values()) == [metrics["val_accuracy"] for _, metrics in own.curve]
        assert list(trial.intermediate_values) == sorted(trial.intermediate_values)
        assert trial.user_attrs["seconds"] == own.seconds
        assert trial.user_attrs.get("reason") == own.reason
        assert trial.duration is not None
    rate = study.trials[0].distributions["learning_rate"]
    assert rate == optuna.distributions.FloatDistribution(0.001, 1.0, log=True)
    frame = study.trials_dataframe()
    assert math.isclose(frame["value"].max(), study.best_value)


def test_a_storage_that_is_neither_is_said_to_be(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "optuna", str(results), "-o", str(tmp_path / "x.csv")]) == 2
    assert "must end in .db" in capsys.readouterr().err


# Both


@pytest.mark.parametrize("form", ["tensorboard", "optuna"])
def test_what_is_no_finished_run_is_said_to_be(
    results: Path, tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    output = str(tmp_path / "out.db")
    assert main(["export", form, str(tmp_path / "nowhere"), "-o", output]) == 2
    (tmp_path / "empty").mkdir()
    assert main(["export", form, str(tmp_path / "empty"), "-o", output]) == 2
    shutil.copytree(results / "runs", tmp_path / "runs")
    setting = tmp_path / "runs" / "lcm" / "setting.json"
    setting.write_text(json.dumps(json.loads(setting.read_text()) | {"seed": 7}))
    assert main(["export", form, str(tmp_path / "runs"), "-o", output]) == 2
    said = capsys.readouterr().err
    assert "is no folder" in said
    assert "holds no finished run" in said
    assert "another setting" in said
    assert not Path(output).exists()


def test_exporting_does_not_import_tensorflow(results: Path, tmp_path: Path) -> None:
    import subprocess
    import sys

    program = (
        "import sys; from hypercurve.cli import main\n"
        "main(['export', 'tensorboard', sys.argv[1], '-o', sys.argv[2]]); print('tensorflow' in sys.modules)"
    )
    command = [sys.executable, "-c", program, str(results / "runs/lcm/0"), str(tmp_path / "events")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
