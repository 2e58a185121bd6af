"""Jobs that docs/slurm.md names are planned as it says, for Slurm, PBS and LSF; and how rules get into a container."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import QUIET, ROOT, needs_mpi
from hypercurve.util.errors import UserError
from hypercurve.workflow_support.launching import into_container

EXPERIMENT = """\
data: {name: digits}
model: {loop: "own_loop:train"}
objective: {metric: loss}
space: {rate: {uniform: [0.1, 0.9]}, epochs: 4}
budget: {trials: 40}
"""
METHODS = re.search(
    r"## Which jobs an experiment makes.*?```yaml\n(.*?)```", (ROOT / "docs/slurm.md").read_text(), re.DOTALL
)
PLUGINS = {"slurm": "slurm", "pbs": "cluster_generic", "lsf": "lsf"}
MPI = {
    "slurm": "srun --mpi=pmix --kill-on-bad-exit=1",
    "pbs": "mpiexec",
    "lsf": "mpiexec --hostfile $LSB_DJOB_HOSTFILE --prtemca plm_ssh_agent blaunch",
}


def write_program(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A checkout with an experiment of the methods in docs/slurm.md; programs in its folder `bin` come before all others."""
    for name in ("workflow", "rules", "envs", "profiles"):
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copy(ROOT / "Snakefile", tmp_path)
    (tmp_path / "config" / "experiments").mkdir(parents=True)
    (tmp_path / "config" / "config.yaml").write_text("experiments: [jobs]\ncontainer: images/own.sif\n")
    assert METHODS is not None
    (tmp_path / "config" / "experiments" / "jobs.yaml").write_text(EXPERIMENT + METHODS[1])
    (tmp_path / "own_loop.py").write_text('def train(hyperparameters, context):\n    yield {"loss": 0.0}\n')
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "own.sif").touch()
    return tmp_path


def snakemake(site: Path, *options: str, code: int = 0) -> str:
    program = Path(sys.executable).with_name("snakemake")
    path = f"{site / 'bin'}:{os.environ['PATH']}"
    environment = os.environ | QUIET | {"PATH": path, "HC_LOG": str(site / "started")}
    run = subprocess.run([program, *options], cwd=site, env=environment, capture_output=True, text=True)
    assert run.returncode == code, run.stderr[-3000:] + run.stdout[-1000:]
    return run.stdout + run.stderr


def planned(said: str, rule: str, method: str = "") -> dict[str, str]:
    """Resources of the first job of a rule, for a method."""
    blocks = [
        block
        for block in said.split("\nrule ")[1:]
        if block.startswith(f"{rule}:") and (not method or f"method={method}" in block)
    ]
    (line,) = re.findall(r"^    resources: (.*)$", blocks[0], re.MULTILINE)
    return dict(word.split("=", 1) for word in re.split(r", (?=\w+=)", line))


@pytest.mark.slow
@pytest.mark.parametrize("profile", PLUGINS)
def test_the_jobs_that_the_docs_name_are_planned(site: Path, profile: str) -> None:
    if importlib.util.find_spec(f"snakemake_executor_plugin_{PLUGINS[profile]}") is None:
        pytest.skip(f"Snakemake's plugin for {profile} is not installed")
    said = snakemake(site, "-n", "--profile", f"profiles/{profile}", "--", "results/jobs/report.html")
    assert len(re.findall(r"^rule batch:", said, re.MULTILINE)) == 2, "forty trials, twenty to a job"
    tasks = {method: planned(said, "parallel_search", method)["tasks"] for method in ("cpus", "gpus", "ranks")}
    assert tasks == {"cpus": "16", "gpus": "4", "ranks": "32"}
    assert planned(said, "parallel_search", "gpus")["gpu"] == "4"
    for rule in ("preflight", "parallel_search"):
        found = planned(said, rule)
        assert found["mpi"] == MPI[profile]
        if profile == "lsf":  # which asks for cores, whatever the tasks are
            assert found["cpus_per_task"] == tasks["ranks"]
            assert found["ptile"] == "8"
    assert planned(said, "batch")["runtime"] == "60"


@pytest.mark.slow
@needs_mpi
def test_a_job_is_submitted_to_pbs_with_what_it_needs_and_its_end_is_noticed(site: Path) -> None:
    """Of PBS there are stand-ins for two programs, since there is no PBS to be had; the job itself is run."""
    pytest.importorskip("snakemake_executor_plugin_cluster_generic")
    write_program(
        site / "bin" / "qsub", 'echo "$@" >> "$HC_LOG"; for last; do :; done; sh "$last" > /dev/null 2>&1; echo 7.pbs'
    )
    write_program(
        site / "bin" / "qstat", 'test "$1 $2" = "-xf 7.pbs" && printf "    job_state = F\\n    Exit_status = 0\\n"'
    )
    only = (site / "config" / "experiments" / "jobs.yaml").read_text().splitlines()
    few = [line for line in only if not line.startswith("  ranks:") and not line.startswith("  cpus:")]
    (site / "config" / "experiments" / "jobs.yaml").write_text("\n".join(few).replace("tasks: 4", "tasks: 2"))
    snakemake(
        site, "--profile", "profiles/pbs", "--seconds-between-status-checks", "1", "--", "results/jobs/preflight.json"
    )
    assert (site / "results" / "jobs" / "preflight.json").exists()
    submitted = (site / "started").read_text()
    assert "-l select=2:ncpus=1:mpiprocs=1:mem=2000mb -l walltime=300 " in submitted


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        ("    job_state = Q", "running"),
        ("    job_state = E\n    Exit_status = 0", "running"),
        ("    job_state = F\n    Exit_status = 0", "success"),
        ("    job_state = F\n    Exit_status = 271", "failed"),
        ("    job_state = F", "failed"),
        ("qstat: Unknown Job Id 7.pbs", "failed"),
        ("qstat: cannot connect to server", "running"),
    ],
)
def test_what_pbs_says_of_a_job_is_told_to_snakemake(tmp_path: Path, answer: str, state: str) -> None:
    write_program(tmp_path / "qstat", f"echo '{answer}'")
    command = ["sh", str(ROOT / "profiles" / "pbs" / "status"), "7.pbs"]
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    assert subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout == f"{state}\n"


@pytest.mark.slow
@needs_mpi
def test_rules_run_in_the_container_and_processes_of_mpi_jobs_enter_it_one_by_one(site: Path) -> None:
    """A stand-in for apptainer notes what it is asked for and does it outside of any container."""
    enter = 'test "$1" = --version && { echo apptainer version 1.3.4; exit; }; echo "$@" >> "$HC_LOG"'
    leave = 'while test "$1" != images/own.sif; do shift; done; shift; exec "$@"'
    write_program(site / "bin" / "apptainer", f"{enter}\n{leave}")
    jobs = site / "config" / "experiments" / "jobs.yaml"
    jobs.write_text(EXPERIMENT + "methods: {lcm: {search: random, stop: lcm, tasks: 2}}\n")
    targets = ("results/jobs/preflight.json", "results/jobs/runs/lcm/setting.json")
    told = ("--cores", "2", "--sdm", "apptainer", "--apptainer-args=--nv")
    said = snakemake(site, "-n", "-p", *told, "--", "results/jobs/runs/lcm/0/journal.jsonl")
    assert (
        ' mpiexec -n 2 env -u OPAL_PREFIX apptainer exec --home "$PWD" --nv images/own.sif hypercurve search ' in said
    )
    snakemake(site, *told, "--", *targets)
    began = (site / "started").read_text().splitlines()
    inside = [line for line in began if "exec --home" in line]
    ranks = [line for line in inside if line.endswith("own.sif python -m hypercurve.execution.mpi.preflight 2")]
    assert len(ranks) == 2
    assert [line for line in inside if "sif bash -c" in line], "the rule's whole command"
    assert not any("hypercurve preflight" in line for line in inside), "the launcher is outside"


def test_an_image_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    class Told:
        deployment_method = frozenset({"apptainer"})
        apptainer_args = ""

    class NotTold(Told):
        deployment_method = frozenset({"conda"})

    image = tmp_path / "a {b}.sif"
    with pytest.raises(UserError, match="there is no image"):
        into_container(str(image), Told)
    assert into_container(str(image), NotTold) == into_container(None, Told) == ""
    image.touch()
    assert into_container(str(image), Told).endswith("a {{b}}.sif' "), "Snakemake formats it"
