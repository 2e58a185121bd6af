"""Which GPUs each process sees, as far as a machine without any can show: by what its job says that it has."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from conftest import MPIEXEC, QUIET, needs_mpi
from hypercurve.config.experiment import Experiment
from hypercurve.training import gpus
from hypercurve.util.errors import UserError

LOOP = """\
import os, time

def train(hyperparameters, context):
    for epoch in range(context.epochs):
        time.sleep(0.02)
        with open("seen", "a") as log:
            log.write(f"{os.getpid()} {os.environ.get('CUDA_VISIBLE_DEVICES')}\\n")
        yield {"loss": hyperparameters["x"] / (epoch + 1), "val_loss": 0.0}
"""
TAKE = """\
import sys, time
from hypercurve.training.gpus import reserve
print(",".join(reserve(float(sys.argv[1]))), flush=True)
sys.stdin.read()
"""


def taking(number: float, folder: Path, **environment: str) -> subprocess.Popen[str]:
    """A process that takes GPUs, says which, and keeps them until its input is closed."""
    return subprocess.Popen(
        [sys.executable, "-c", TAKE, str(number)],
        env={**os.environ, "TMPDIR": str(folder), **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.slow
def test_processes_of_a_job_share_its_gpus_and_one_that_finds_none_waits(tmp_path: Path) -> None:
    job = {"CUDA_VISIBLE_DEVICES": "3,GPU-5", "SLURM_JOB_ID": "1"}
    halves = [taking(0.5, tmp_path, **job) for _ in range(4)]
    assert Counter(map(first_line, halves)) == {"3": 2, "GPU-5": 2}
    other = taking(2, tmp_path, **(job | {"SLURM_JOB_ID": "2"}))
    assert first_line(other) == "3,GPU-5"  # the same names, in another job, are of other GPUs
    whole = taking(1, tmp_path, **job)
    assert whole.stderr is not None
    assert whole.stderr.readline() == "waiting for a GPU: all 2 are taken\n"
    for half in halves[:3]:
        half.kill()
    first_line(whole)
    for process in (*halves, other, whole):
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("said", "number", "processes", "message"),
    [
        ({"CUDA_VISIBLE_DEVICES": "0,1"}, 1, 3, "each of 3 processes here is to have as many"),
        ({"CUDA_VISIBLE_DEVICES": "0"}, 2, 1, "has too few GPUs: CUDA_VISIBLE_DEVICES=0"),
        ({"ROCR_VISIBLE_DEVICES": "0"}, 0.25, 5, "ROCR_VISIBLE_DEVICES=0"),
        ({"CUDA_VISIBLE_DEVICES": ""}, 1, 1, "too few GPUs"),
        ({}, 1, 1, "0 on this machine"),
    ],
)
def test_too_few_gpus_are_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: dict[str, str], number: float, processes: int, message: str
) -> None:
    for name in gpus.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(gpus, "NVIDIA", tmp_path / "none")
    monkeypatch.setattr(gpus, "AMD", tmp_path / "none")
    with pytest.raises(UserError, match="too few GPUs") as found:
        gpus.check(number, processes)
    assert message in str(found.value)
    gpus.check(0, 100)


def test_gpus_of_a_machine_are_counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in gpus.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for address in ("0000:01:00.0", "0000:02:00.0"):
        (tmp_path / "nvidia" / address).mkdir(parents=True)
    for number, said in enumerate(("0", "4711", "815")):  # the first is a processor
        (tmp_path / "amd" / str(number)).mkdir(parents=True)
        (tmp_path / "amd" / str(number) / "gpu_id").write_text(said + "\n")
    monkeypatch.setattr(gpus, "NVIDIA", tmp_path / "none")
    monkeypatch.setattr(gpus, "AMD", tmp_path / "amd")
    assert gpus.visible() == ("ROCR_VISIBLE_DEVICES", ["0", "1"])
    monkeypatch.setattr(gpus, "NVIDIA", tmp_path / "nvidia")
    assert gpus.visible() == ("CUDA_VISIBLE_DEVICES", ["0", "1"])


@pytest.mark.slow
@needs_mpi
@pytest.mark.parametrize(("number", "distinct"), [("0.5", 2), ("0", 1)])
def test_each_process_of_a_search_sees_its_own(tmp_path: Path, number: str, distinct: int) -> None:
    (tmp_path / "seeing.py").write_text(LOOP)
    given: dict[str, Any] = {
        "model": {"loop": "seeing:train"},
        "objective": {"metric": "loss"},
        "space": {"x": {"uniform": [0.0, 1.0]}, "epochs": 4},
        "budget": {"trials": 8},
        "methods": {"random": {"search": "random", "tasks": 2, "gpus": float(number)}},
    }
    setting = tmp_path / "setting.json"
    setting.write_text(Experiment.model_validate(given).setting("seeing", "random").model_dump_json())
    options = ["--tasks", "2", "--gpus", number, "-o", str(tmp_path / "journal.jsonl")]
    environment = {**os.environ, **QUIET, "TMPDIR": str(tmp_path), "CUDA_VISIBLE_DEVICES": "0,1"}
    command = [str(MPIEXEC), "--oversubscribe", "-n", "2", sys.executable, "-m", "hypercurve", "search", str(setting)]
    subprocess.run([*command, *options], cwd=tmp_path, env=environment, check=True, timeout=120)
    seen = dict(line.split(" ") for line in (tmp_path / "seen").read_text().splitlines())
    assert len(seen) == 2, "both processes have trained"
    assert len(set(seen.values())) == distinct
    assert set(seen.values()) <= ({"0", "1"} if number != "0" else {""})
