"""Trials of several ranks on a cluster: loops with communicators of their own, programs as steps within their job."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from checkout import ROOT, Site, events, ranks, until

MPIEXEC = Path(sys.executable).with_name("mpiexec")
LOOP = """\
model: {loop: "ranked_loops:Waiting"}
objective: {metric: loss}
space: {rate: {log_uniform: [0.01, 0.5]}, epochs: 10}
budget: {trials: 12}
methods:
  lcm: {search: random, stop: {lcm: {split: 0.4}}, slots: 4, ranks: 2, tasks: 8}
"""
COMMAND = """\
model: {command: ["{launcher}", PYTHON, ranked_program.py, "{rate}", "{epochs}"], files: [ranked_program.py]}
objective: {metric: loss}
space: {rate: {log_uniform: [0.01, 0.5]}, epochs: 10}
budget: {trials: 6}
methods:
  halving: {search: random, stop: halving, slots: 6, ranks: 2, tasks: 4}
"""
WAITING = """

class Waiting(Loop):
    def before(self):
        time.sleep(0.5)
"""


def write(site: Site, name: str, experiment: str) -> str:
    """An experiment in the checkout; the target that runs its only method."""
    (site.folder / "config" / "experiments" / f"{name}.yaml").write_text(experiment)
    return f"results/{name}/runs/{'lcm' if name == 'loops' else 'halving'}/0/journal.jsonl"


def test_four_trials_of_two_ranks_on_four_nodes_are_killed_and_go_on(site: Site, tmp_path: Path) -> None:
    loops = (ROOT / "tests" / "ranked_loops.py").read_text() + WAITING
    (site.folder / "ranked_loops.py").write_text(loops)
    target = write(site, "loops", LOOP)
    site.change("slurm/config.yaml", ("    nodes: 2\n", "    nodes: 4\n"))
    snakemake = site.on_slurm("--", target)
    partial = (site.folder / target).with_suffix(".partial.jsonl")
    until(lambda: partial.exists() and partial.read_bytes().count(b'"reported"') > 12, "a report")
    job = site.jobs("parallel_search")[-1]
    assert job.nodes == 4
    processes = ranks(job.id)
    assert len(processes) == 8
    os.kill(processes[5], signal.SIGKILL)  # follows the third group's leader
    site.wait(snakemake)
    jobs = site.jobs("parallel_search")
    assert len(jobs) == 2, "it was submitted again"

    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "ranked_loops.py").write_text(loops.replace("sleep(0.5)", "sleep(0)"))
    setting = site.folder / Path(target).parents[1] / "setting.json"
    shutil.copy(setting, alone)
    command = [sys.executable, "-m", "hypercurve", "search", "setting.json", "-o", "journal.jsonl", "--tasks", "2"]
    subprocess.run([str(MPIEXEC), "--oversubscribe", "-n", "2", *command], cwd=alone, check=True, timeout=300)
    found, expected = events(site.folder / target), events(alone / "journal.jsonl")
    assert found[1:] == expected[1:]  # the code's digest, in the first line, is that of the changed file


def test_programs_of_two_ranks_are_steps_of_their_job(site: Site) -> None:
    shutil.copy(ROOT / "tests" / "ranked_program.py", site.folder)
    target = write(site, "programs", COMMAND.replace("PYTHON", sys.executable))
    site.wait(site.on_slurm("--", target))
    lines = events(site.folder / target)
    completed = [line for line in lines if line["event"] == "completed"]
    assert completed
    assert {line["metrics"]["size"] for line in completed} == {2}
    assert not [line for line in lines if line["event"] == "failed"]
