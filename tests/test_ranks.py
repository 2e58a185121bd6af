"""Trials of several MPI ranks: on any number of groups, whatever is killed, the journal is that of one group."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from conftest import MPIEXEC, QUIET, ROOT, needs_mpi
from hypercurve.config.experiment import Experiment
from hypercurve.config.files import ConfigError
from hypercurve.events.journal import read_lines
from test_runs import events

EXPERIMENT: dict[str, Any] = {
    "model": {"loop": "ranked_loops:Loop"},
    "objective": {"metric": "loss"},
    "space": {"rate": {"log_uniform": [0.01, 0.5]}, "epochs": 10},
    "budget": {"trials": 9},
    "training": {"accumulation_points": 10},
}
METHODS: dict[str, Any] = {
    "random": {"search": "random", "ranks": 2},
    "halving": {"search": "random", "stop": "halving", "slots": 9, "ranks": 2},
    "lcm": {"search": "random", "stop": {"lcm": {"split": 0.3}}, "slots": 3, "ranks": 2},
    "pbt": {
        "population": {"members": 4, "every": 2, "explore": {"rate": {"factors": [0.8, 1.2]}}},
        "ranks": 2,
    },
}
HYPERCURVE = [sys.executable, "-m", "hypercurve"]
COMMAND = ["{launcher}", sys.executable, "ranked_program.py", "{rate}", "{epochs}"]
SOON = "import hypercurve.execution.mpi.groups as it; it.STUCK = 1.0; from hypercurve.cli import main; exit(main())"

pytestmark = [pytest.mark.slow, needs_mpi]


def search(
    folder: Path,
    method: str,
    tasks: int,
    loop: str | None = "Loop",
    program: list[str] = HYPERCURVE,
    **environment: str,
) -> subprocess.CompletedProcess[str]:
    """A run in a folder with these processes; without a loop, of a program."""
    folder.mkdir(exist_ok=True)
    for name in ("ranked_loops.py", "ranked_program.py"):
        shutil.copy(ROOT / "tests" / name, folder)
    model = {"loop": f"ranked_loops:{loop}"} if loop else {"command": COMMAND, "files": ["ranked_program.py"]}
    changes = {"model": model, "budget": {"trials": 9 if loop else 4}, "methods": {method: METHODS[method]}}
    experiment = Experiment.model_validate({**EXPERIMENT, **changes})
    setting = folder / "setting.json"
    setting.write_text(experiment.setting("ranked", method).model_dump_json())
    arguments = ["search", str(setting), "-o", str(folder / "journal.jsonl"), "--tasks", str(tasks)]
    return subprocess.run(
        [str(MPIEXEC), "--oversubscribe", "-n", str(tasks), *program, *arguments],
        cwd=folder,
        env={**os.environ, **QUIET, "PRTE_MCA_hwloc_default_binding_policy": "none", **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def lines_of(folder: Path) -> list[dict[str, Any]]:
    return read_lines(folder / "journal.jsonl")[0]


@pytest.mark.parametrize("method", ["halving", "lcm", "pbt"])
def test_journals_are_equal_on_any_number_of_groups(tmp_path: Path, method: str) -> None:
    several = (4, 6) if method == "pbt" else (4, 5)  # with 5, the first is a supervisor that trains nothing
    for tasks in (2, *several):
        done = search(tmp_path / f"{tasks}", method, tasks)
        assert done.returncode == 0, done.stderr
    lines = lines_of(tmp_path / "2")
    assert {line["metrics"]["size"] for line in lines if line["event"] == "completed"} == {2}
    for tasks in several:
        assert events(tmp_path / f"{tasks}" / "journal.jsonl") == events(tmp_path / "2" / "journal.jsonl")
    workers = {line["wall"]["worker"] for line in lines_of(tmp_path / "4") if line["event"] == "reported"}
    assert workers == {0, 1}, "both groups have trained"


def test_a_function_trains_like_a_class(tmp_path: Path) -> None:
    for name in ("Loop", "function"):
        done = search(tmp_path / name, "lcm", 4, name)
        assert done.returncode == 0, done.stderr
    without = [[{**line, "wall": None} for line in lines_of(tmp_path / name)[1:]] for name in ("Loop", "function")]
    assert [[line["event"], line.get("metrics")] for line in without[0]] == [
        [line["event"], line.get("metrics")] for line in without[1]
    ]


def test_errors_fail_their_trials_only(tmp_path: Path) -> None:
    done = search(tmp_path / "run", "random", 4, "Faulty")
    assert done.returncode == 0, done.stderr
    failed = {line["trial"]: line["reason"] for line in lines_of(tmp_path / "run") if line["event"] == "failed"}
    assert failed == {
        1: "KeyError: 'on all'",
        2: "rank 1 of the trial: ValueError: only here",
        3: "ValueError: only with the leader",
        4: "rank 1 of the trial has come to its end, rank 0 goes on",
    }
    completed = [line for line in lines_of(tmp_path / "run") if line["event"] == "completed"]
    assert len(completed) == 5


def test_programs_are_started_on_ranks_beside_each_other(tmp_path: Path) -> None:
    for tasks in (1, 2):
        done = search(tmp_path / f"{tasks}", "halving", tasks, None)
        assert done.returncode == 0, done.stderr
    assert events(tmp_path / "1" / "journal.jsonl") == events(tmp_path / "2" / "journal.jsonl")
    lines = lines_of(tmp_path / "2")
    assert not [line for line in lines if line["event"] == "failed"]
    assert {line["metrics"]["size"] for line in lines if line["event"] in ("reported", "completed")} == {2}
    assert {line["wall"]["worker"] for line in lines if line["event"] == "reported"} == {0, 1}


@pytest.mark.parametrize(("method", "rank"), [("halving", "1"), ("pbt", "0")])
def test_a_killed_rank_costs_no_more_than_the_time_since(tmp_path: Path, method: str, rank: str) -> None:
    whole, folder = search(tmp_path / "whole", method, 2, "Killed", KILL_RANK="9"), tmp_path / "killed"
    assert whole.returncode == 0, whole.stderr
    assert search(folder, method, 4, "Killed", KILL_RANK=rank).returncode != 0
    assert not (folder / "journal.jsonl").exists()
    again = search(folder, method, 2, "Killed", KILL_RANK=rank)
    assert again.returncode == 0, again.stderr
    assert events(folder / "journal.jsonl") == events(tmp_path / "whole" / "journal.jsonl")


@pytest.mark.parametrize("rank", ["0", "1"])
def test_a_rank_that_waits_for_one_that_failed_does_not_wait_for_ever(tmp_path: Path, rank: str) -> None:
    done = search(tmp_path / "run", "random", 2, "Hanging", [sys.executable, "-c", SOON], FAILING=rank)
    assert done.returncode == 2, done.stderr
    assert f"rank {rank} of a trial has failed: OSError: no more data here" in done.stderr
    assert "Let an error come to all ranks alike" in done.stderr


def test_a_loop_is_tried_on_one_rank(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(json.dumps({**EXPERIMENT, "methods": {"random": METHODS["random"]}}))
    shutil.copy(ROOT / "tests" / "ranked_loops.py", tmp_path)
    done = subprocess.run([*HYPERCURVE, "try", "mine.yaml"], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "tried on one, in place of 2: what they say to each other is not seen" in done.stdout
    assert "Nothing is wrong" in done.stdout


@pytest.mark.parametrize(
    ("model", "method", "said"),
    [
        ("softmax", {"ranks": 2}, "are for loops and programs of your own: softmax is trained by one process"),
        ({"command": ["cat", "{rate}"]}, {"ranks": 2}, "must stand before the program"),
        (
            {"command": ["{launcher}", "cat", "{rate}"]},
            {"ranks": 4, "tasks": 6},
            "multiple of `ranks` = 4, which each trial has, or one more",
        ),
        ({"command": ["{launcher}", "cat", "{rate}"]}, {"ranks": 4, "tasks": 7}, "4 or 8"),
        ({"command": ["--{launcher}", "cat", "{rate}"]}, {}, "it must be an argument alone"),
        ({"command": ["{launcher}", "{rate}"]}, {}, "the program itself cannot hold placeholders"),
    ],
)
def test_what_does_not_fit_is_refused(write_experiment: Any, model: Any, method: Any, said: str) -> None:
    from hypercurve.config.files import read_experiment

    content = {**EXPERIMENT, "model": model, "methods": {"random": {"search": "random", **method}}}
    if model == "softmax":
        content |= {
            "data": {"name": "digits"},
            "space": {"learning_rate": {"uniform": [0.1, 0.2]}},
            "objective": {"metric": "loss"},
        }
    with pytest.raises(ConfigError) as found:
        read_experiment(write_experiment(json.dumps(content)))
    assert said in str(found.value)
