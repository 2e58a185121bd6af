"""One contract for all kinds of trainables: a built-in network, a Keras function, a loop and a program of a user."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import CC, MPIEXEC, QUIET, ROOT, needs_mpi
from hypercurve.cli import main
from hypercurve.config.code_files import model_digest
from hypercurve.config.experiment import Experiment
from hypercurve.config.setting import Setting
from hypercurve.events.encoding import RawLine, without_wall
from hypercurve.events.journal import Journal, read_lines
from hypercurve.execution.serial import execute
from hypercurve.runs.run import Run
from hypercurve.runs.trial import Trial
from hypercurve.training import make_trainer
from hypercurve.training.data import load
from hypercurve.training.trainer import Trainer

pytestmark = pytest.mark.slow

EPOCHS = 4
RATE = {"log_uniform": [0.01, 0.4]}
METHODS: dict[str, Any] = {
    "random": {"search": "random"},
    "lcm": {"search": "random", "stop": {"lcm": {"split": 0.4, "check_points": [0.25, 0.5]}}, "slots": 2},
    "promotion": {"search": "random", "stop": {"asha": {"reduction_factor": 2, "first_rung": 1}}, "slots": 2},
    "stopping": {"search": "random", "stop": {"asha": {"form": "stopping", "reduction_factor": 2, "first_rung": 1}}},
}


@dataclass(frozen=True)
class Kind:
    """A kind of trainable.

    Attributes:
        model: as in an experiment.
        every: steps of a quarter of its training.
        data: whether it is given data.
    """

    model: Any
    every: int
    data: bool


KINDS = {
    "built-in": Kind("softmax", 3, True),
    "keras": Kind("user_models:network", 3, True),
    "loop": Kind({"loop": "user_models:Loop"}, 1, False),
    "program": Kind(
        {
            "command": [
                "./logistic",
                *("--rate={learning_rate}", "--epochs={epochs}", "--seed={seed}"),
                *("--resume={resume}", "--snapshot={snapshot}", "--until={until}"),
            ]
        },
        1,
        False,
    ),
    "staying": Kind({"command": [sys.executable, "staying_program.py"], "stays": True}, 1, False),
}

BYTES = Kind({"loop": "user_models:Bytes"}, 1, False)


@pytest.fixture(autouse=True)
def _at_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)


def kind_of(name: str) -> Kind:
    if name == "program" and CC is None:
        pytest.skip("there is no cc")
    return BYTES if name == "bytes" else KINDS[name]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    return kind_of(request.param)


def experiment(kind: Kind, **changes: Any) -> Experiment:
    space = {"learning_rate": RATE, "epochs": EPOCHS} | ({"batch_size": 16} if kind.data else {})
    population = {"every": kind.every, "members": 4, "explore": {"learning_rate": {"factors": [0.8, 1.2]}}}
    return Experiment.model_validate(
        {
            "data": {"name": "digits"} if kind.data else None,
            "model": kind.model,
            "objective": {"metric": "loss"},
            "space": space,
            "budget": {"trials": 8},
            "training": {"accumulation_points": 4},
            "methods": METHODS | {"pbt": {"population": population}, "lag": {"population": population | {"lag": 1}}},
        }
        | changes
    )


def setting_of(kind: Kind, method: str, **changes: Any) -> Setting:
    return experiment(kind, **changes).setting("contract", method)


@pytest.fixture
def train(prepared: Path) -> Callable[..., Trainer]:
    """Makes a trainer: `train(kind, "pbt")`."""

    def make(kind: Kind, method: str = "random", **changes: Any) -> Trainer:
        return make_trainer(setting_of(kind, method, **changes), prepared if kind.data else None)

    return make


def new_run(given: Setting, data: Path | None) -> Run:
    loaded = None if data is None else load(data)
    samples, digest = (0, "none") if loaded is None else (loaded.samples, loaded.digest)
    return Run(given, 0, samples=samples, data=digest, model=model_digest(given.model))


def carried_out(given: Setting, data: Path | None, path: Path) -> list[RawLine]:
    """The journal of a run in this process."""
    with Journal(path) as journal:
        if given.population is None:
            execute(new_run(given, data), make_trainer(given, data), journal)
        else:
            from hypercurve.execution.mpi import population
            from hypercurve.execution.mpi.comm import communicator

            run, trainer = new_run(given, data), make_trainer(given, data)
            population.execute(run, trainer, journal, communicator(1), folder=path.with_suffix(".snapshots"))
    return events(path)


def events(path: Path) -> list[RawLine]:
    return [without_wall(line) for line in read_lines(path)[0]]


# Sessions


def test_any_cut_of_a_training_gives_equal_metrics(kind: Kind, train: Callable[..., Trainer]) -> None:
    trainer, trial = train(kind), Trial(3, {"learning_rate": 0.1, "epochs": EPOCHS}, seed=5)
    whole = trainer.open(trial)
    expected = [whole.advance(point).metrics for point in (0.25, 0.5, 0.75, 1.0)]
    others = [trainer.open(trial), trainer.open(Trial(4, trial.configuration, seed=5))]
    for point, metrics in zip((0.25, 0.5, 0.75, 1.0), expected, strict=True):
        for other in others:  # they take turns
            found = other.advance(point).metrics
            assert (found == metrics) == (other is others[0])
    cut = trainer.open(trial)
    for point in (0.1, 0.3, 0.55, 0.8):
        cut.advance(point)
    assert cut.advance(1.0).metrics["val_loss"] == expected[-1]["val_loss"]


def test_a_session_goes_on_from_another_ones_snapshot(kind: Kind, train: Callable[..., Trainer]) -> None:
    trainer, trial = train(kind, "pbt"), Trial(1, {"learning_rate": 0.1, "epochs": EPOCHS, "batch_size": 16}, seed=5)
    straight, first, second = trainer.open(trial), trainer.open(trial), trainer.open(trial)
    first.advance(0.5)
    out = np.empty(sum(map(len, (first.snapshot().weights, first.snapshot().slots))), np.float32)
    second.restore(first.snapshot(out))
    out[:] = 0  # what was restored is a copy
    straight.advance(0.5)
    assert second.advance(1.0).metrics == straight.advance(1.0).metrics


def test_a_copy_goes_on_under_its_own_hyperparameters(kind: Kind, train: Callable[..., Trainer]) -> None:
    trainer = train(kind, "pbt")
    configurations = [{"learning_rate": rate, "epochs": EPOCHS, "batch_size": 16} for rate in (0.01, 0.3)]
    donor, member = (trainer.open(Trial(number, given)) for number, given in enumerate(configurations))
    donor.advance(0.5)
    member.advance(0.5)
    member.restore(donor.snapshot())
    member.adjust({**configurations[0], "learning_rate": 0.2})
    assert donor.advance(0.75).metrics != member.advance(0.75).metrics
    assert np.isfinite(member.advance(1.0).metrics["val_loss"])


# Runs


@pytest.mark.parametrize(
    ("name", "method"),
    [
        *((name, method) for name in ("built-in", "loop") for method in (*METHODS, "pbt", "lag")),
        *(("program", "promotion"), ("program", "lag"), ("staying", "promotion"), ("staying", "lag"), ("bytes", "lag")),
    ],
)
def test_a_run_that_is_cut_anywhere_goes_on_to_the_same_journal(
    name: str, method: str, prepared: Path, tmp_path: Path
) -> None:
    kind = kind_of(name)
    given, data = setting_of(kind, method), prepared if kind.data else None
    whole = carried_out(given, data, tmp_path / "whole.jsonl")
    assert whole[-1]["event"] == "tested"
    assert "test_loss" in whole[-1]["metrics"]
    assert not [line for line in whole if line["event"] == "failed"]
    assert all(not name.startswith("test_") for line in whole[:-1] for name in line.get("metrics", ()))
    lines = (tmp_path / "whole.jsonl").read_bytes().splitlines(keepends=True)
    for cut in (1, len(lines) // 2, len(lines) - 1):
        partial = tmp_path / f"{cut}.jsonl"
        partial.write_bytes(b"".join(lines[:cut]) + lines[cut][:9])
        assert carried_out(given, data, partial) == whole


@needs_mpi
@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("built-in", "lcm"),
        ("keras", "pbt"),
        ("loop", "lcm"),
        ("loop", "promotion"),
        ("program", "promotion"),
        ("program", "pbt"),
        ("staying", "promotion"),
        ("staying", "pbt"),
        ("bytes", "pbt"),
        ("bytes", "lag"),
    ],
)
def test_two_ranks_write_the_serial_journal(name: str, method: str, prepared: Path, tmp_path: Path, home: Path) -> None:
    kind = kind_of(name)
    given, data = setting_of(kind, method), prepared if kind.data else None
    (tmp_path / "setting.json").write_text(given.model_dump_json())
    command = [str(MPIEXEC), "--oversubscribe", "-n", "2", sys.executable, "-m", "hypercurve", "search"]
    command += [str(tmp_path / "setting.json"), "--tasks", "2", "-o", str(tmp_path / "journal.jsonl")]
    command += ["--data", str(data)] if data else []
    done = subprocess.run(command, env={**os.environ, **QUIET}, cwd=home, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    alone = carried_out(given, data, tmp_path / "alone.jsonl")
    assert events(tmp_path / "journal.jsonl") == alone


def test_a_journal_can_be_replayed(kind: Kind, prepared: Path, tmp_path: Path) -> None:
    folder = tmp_path / "contract" / "runs" / "random"
    given, data = setting_of(kind, "random"), prepared if kind.data else None
    (folder / "0").mkdir(parents=True)
    (folder / "setting.json").write_text(given.model_dump_json())
    live = carried_out(given, data, folder / "0" / "journal.jsonl")
    assert main(["replay", str(folder), "--trials", "8", "-o", str(tmp_path / "replayed")]) == 0
    assert (tmp_path / "replayed" / "replay.csv").exists()
    assert live[-1]["event"] == "tested"


def test_the_table_of_trials_has_all_that_was_reported(tmp_path: Path) -> None:
    given = setting_of(KINDS["loop"], "random")
    carried_out(given, None, tmp_path / "journal.jsonl")
    (tmp_path / "setting.json").write_text(given.model_dump_json())
    arguments = [str(tmp_path / "setting.json"), str(tmp_path / "journal.jsonl"), "-o", str(tmp_path / "trials.csv")]
    assert main(["trials", *arguments]) == 0
    header, first, *_ = (tmp_path / "trials.csv").read_text().splitlines()
    row = dict(zip(header.split(","), first.split(","), strict=True))
    completed = next(line for line in events(tmp_path / "journal.jsonl") if line["event"] == "completed")
    assert {name: float(row[name]) for name in ("loss", "val_error")} == {
        name: completed["metrics"][name] for name in ("loss", "val_error")
    }
    assert float(row["performance"]) == completed["metrics"]["val_loss"]


# Objectives and constraints


def test_any_reported_metric_can_be_the_objective(tmp_path: Path) -> None:
    given = setting_of(KINDS["loop"], "random", objective={"metric": "error", "mode": "max"})
    lines = carried_out(given, None, tmp_path / "journal.jsonl")
    errors = {line["trial"]: line["metrics"]["val_error"] for line in lines if line["event"] == "completed"}
    assert lines[-1]["trial"] == max(errors, key=lambda trial: errors[trial])


@pytest.mark.parametrize("method", ["random", "pbt"])
def test_a_trial_beyond_a_bound_has_failed_and_is_not_the_best(method: str, tmp_path: Path) -> None:
    kind = KINDS["loop"]
    free = carried_out(setting_of(kind, method), None, tmp_path / "free.jsonl")
    ends = {line["trial"]: line["metrics"] for line in free if line["event"] == "completed"}
    bound = sorted(metrics["val_error"] for metrics in ends.values())[len(ends) // 2]
    lines = carried_out(
        setting_of(kind, method, constraints={"val_error": {"min": bound}}), None, tmp_path / "bound.jsonl"
    )
    failed = {line["trial"]: line["reason"] for line in lines if line["event"] == "failed"}
    assert failed
    assert all(f"below its bound {bound:.12g}" in reason for reason in failed.values())
    if lines[-1]["event"] == "tested":
        assert lines[-1]["trial"] not in [line["trial"] for line in lines if line.get("progress") == 1]


def test_a_bound_on_cost_is_kept_before_a_trial_trains(tmp_path: Path) -> None:
    space = {"learning_rate": RATE, "epochs": {"choice": [2, 4]}}
    given = setting_of(KINDS["loop"], "random", space=space, constraints={"cost": {"max": 3e-4}}, methods=METHODS)
    lines = carried_out(given, None, tmp_path / "journal.jsonl")
    long = {action["start"] for line in lines for action in line["then"] if "start" in action}
    long = {
        action["start"]
        for line in lines
        for action in line["then"]
        if "start" in action and action["configuration"]["epochs"] == 4
    }
    assert long == {line["trial"] for line in lines if line["event"] == "failed"}
    assert {line["progress"] for line in lines if line["event"] == "failed"} == {0.25}
    assert "cost is 0.0004, above its bound 0.0003" in json.dumps(lines)


def test_a_bound_on_what_is_not_reported_fails_a_trial_at_its_end(tmp_path: Path) -> None:
    given = setting_of(KINDS["loop"], "random", constraints={"memory": {"max": 1}})
    lines = carried_out(given, None, tmp_path / "journal.jsonl")
    assert {line["progress"] for line in lines if line["event"] == "failed"} == {1.0}


# The documentation


def test_the_loop_in_the_documentation_works_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    blocks = {kind: text.split(f"```{kind}\n")[1].split("```")[0] for kind in ("python", "yaml")}
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(blocks["python"])
    (tmp_path / "mine.yaml").write_text(blocks["yaml"])
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    for command in (
        ["check", "mine.yaml"],
        ["resolve", "mine.yaml", "--method", "lcm", "-o", "setting.json"],
        ["data", "digits", "-o", "digits"],
        ["search", "setting.json", "--data", "digits", "-o", "journal.jsonl"],
    ):
        assert main(command) == 0
    lines = events(tmp_path / "journal.jsonl")
    assert not [line for line in lines if line["event"] == "failed"]
    assert lines[-1]["metrics"]["test_accuracy"] > 0.9


# Archives


def test_an_archive_holds_the_code_and_is_rerun_with_that_alone(
    tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = experiment(KINDS["loop"], methods={"random": METHODS["random"]})
    results = tmp_path / "mine"
    method = results / "runs" / "random"
    (method / "0").mkdir(parents=True)
    (results / "experiment.json").write_text(given.model_dump_json())
    (method / "setting.json").write_text(given.setting("mine", "random").model_dump_json())
    for command in (
        ["search", str(method / "setting.json"), "-o", str(method / "0" / "journal.jsonl")],
        ["trials", str(method / "setting.json"), str(method / "0/journal.jsonl"), "-o", str(method / "0/trials.csv")],
        ["compare", str(results), "-o", str(results / "comparison.csv")],
        ["archive", str(results), "-o", str(tmp_path / "mine.tar.gz")],
        ["verify", str(tmp_path / "mine.tar.gz"), "--rerun", "random/0", "--trust"],
    ):
        assert main(command) == 0, capsys.readouterr().err
    assert main(["verify", str(tmp_path / "mine.tar.gz"), "--rerun", "random/0"]) == 2, (
        "code of others is not run unasked"
    )
    with tarfile.open(tmp_path / "mine.tar.gz") as archive:
        copy = archive.extractfile("mine/code/user/user_models.py")
        assert copy is not None
        assert copy.read() == (home / "user_models.py").read_bytes()
    before = (home / "user_models.py").read_text()
    try:
        (home / "user_models.py").write_text(before + "# changed\n")
        assert main(["verify", str(tmp_path / "mine.tar.gz"), "--rerun", "random/0", "--trust"]) == 0
        (home / "user_models.py").write_text(before + "CHANGED = True\n")
        assert main(["archive", str(results), "-o", str(tmp_path / "other.tar.gz")]) == 2
        assert main(["verify", str(tmp_path / "mine.tar.gz")]) == 0
        assert main(["verify", str(tmp_path / "mine.tar.gz"), "--rerun", "random/0", "--trust"]) == 2
        journal = (method / "0" / "journal.jsonl").read_bytes()
        search = ["search", str(method / "setting.json"), "-o", str(method / "0" / "journal.jsonl"), "--keep-code"]
        assert main(search) == 0
        assert (method / "0" / "journal.jsonl").read_bytes() == journal
        assert main(["archive", str(results), "-o", str(tmp_path / "kept.tar.gz")]) == 0
        assert main(["verify", str(tmp_path / "kept.tar.gz"), "--rerun", "random/0", "--trust"]) == 0
    finally:
        (home / "user_models.py").write_text(before)
    said = capsys.readouterr().err
    assert "was changed after the runs were made" in said
    assert "is not the code that the archive's runs trained" in said


def test_an_archive_holds_the_function_that_gave_the_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = tmp_path / "measurements.py"
    code.write_text(
        "import numpy as np\n\n\ndef data():\n    x = np.random.default_rng(0).normal(size=(60, 2))\n"
        "    return x[:40], x[:40].sum(axis=1), x[40:], x[40:].sum(axis=1)\n"
    )
    shutil.copy("user_models.py", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "measurements", raising=False)
    methods = {"random": METHODS["random"]}
    given = experiment(KINDS["loop"], methods=methods, data={"function": "measurements:data"})
    method = tmp_path / "results" / "mine" / "runs" / "random"
    (method / "0").mkdir(parents=True)
    (method.parents[1] / "experiment.json").write_text(given.model_dump_json())
    (method / "setting.json").write_text(given.setting("mine", "random").model_dump_json())
    assert given.data is not None
    data = tmp_path / "results" / "data" / given.data.key
    archive = ["archive", "results/mine", "-o", "mine.tar.gz"]
    again = ["verify", "mine.tar.gz", "--rerun", "random/0", "--trust"]
    for command in (
        ["data", "measurements:data", "-o", str(data)],
        ["search", f"{method}/setting.json", "--data", str(data), "-o", f"{method}/0/journal.jsonl"],
        ["trials", f"{method}/setting.json", f"{method}/0/journal.jsonl", "-o", f"{method}/0/trials.csv"],
        ["compare", "results/mine", "-o", "results/mine/comparison.csv"],
        archive,
        again,
    ):
        assert main(command) == 0, capsys.readouterr().err
    with tarfile.open("mine.tar.gz") as held:
        assert "mine/code/user/measurements.py" in held.getnames()
    code.write_text(code.read_text() + "# changed\n")
    assert main([*archive[:-1], "other.tar.gz"]) == 2
    assert "measurements:data: was changed after the data were made" in capsys.readouterr().err
    assert main(again) == 2
    assert "is not the code that gave the archive's data" in capsys.readouterr().err


# The workflow


def test_snakemake_runs_all_kinds_and_again_what_was_made_with_other_code(home: Path, tmp_path: Path) -> None:
    shutil.copytree(home, tmp_path, dirs_exist_ok=True)
    (tmp_path / "experiments").mkdir()
    kinds = [name for name in KINDS if name != "program" or CC is not None]
    for name in kinds:
        methods = {"lcm": METHODS["lcm"]}
        given = experiment(KINDS[name], methods=methods, space={"learning_rate": RATE, "epochs": EPOCHS})
        (tmp_path / "experiments" / f"{name}.yaml").write_text(given.model_dump_json(exclude_none=True))

    def made(*targets: str, dry: bool = False) -> str:
        command = [str(Path(sys.executable).with_name("snakemake")), "--snakefile", str(ROOT / "Snakefile")]
        command += ["--directory", str(tmp_path), "--cores", "2", "--configfile", str(ROOT / "config/config.yaml")]
        command += ["--dry-run"] if dry else []
        command += ["--config", "folder=experiments", "experiments=[]", "--", *(f"results/{each}" for each in targets)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-1000:]
        return done.stdout + done.stderr

    tables = [f"{name}/runs/lcm/0/trials.csv" for name in kinds]
    made(*tables, "loop.tar.gz")
    for table in tables:
        assert (tmp_path / "results" / table).read_text().count("\n") == 9
    assert "Nothing to be done" in made(*tables, dry=True)
    assert main(["verify", str(tmp_path / "results" / "loop.tar.gz")]) == 0
    with (tmp_path / "user_models.py").open("a") as file:
        file.write("CHANGED = 1\n")
    planned = made(*tables, dry=True)
    assert all((f"output: results/{name}/runs" in planned) == (name in ("keras", "loop")) for name in kinds)
