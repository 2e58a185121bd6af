"""Programs of users on a real Slurm: the journals of a single process, and nothing left where a job is cancelled."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from checkout import Site, events, until
from cluster import Cluster

LOGISTIC = """\
model:
  command: [./logistic, "--rate={rate}", "--epochs={epochs}", "--seed={seed}", "--resume={resume}",
    "--snapshot={snapshot}", "--until={until}"]
objective: {metric: loss}
space: {rate: {log_uniform: [0.0001, 1.0]}, epochs: 8}
budget: {trials: 24}
methods:
  random: {search: random, trials_per_job: 12}
  lcm: {search: random, stop: lcm, slots: 2, tasks: 2}
  pbt: {population: {members: 6, every: 2, explore: {rate: {factors: [0.8, 1.2]}}}, tasks: 2}
"""
SLOW = """\
model: {command: [./slow.sh, "{epochs}", "{trial}"], grace: 1}
objective: {metric: loss}
space: {rate: 1.0, epochs: 20}
budget: {trials: 8}
methods:
  lcm: {search: random, stop: {lcm: {split: 0.9}}, slots: 4, tasks: 2}
"""
# Each has a daemon besides, in a session of its own.
SCRIPT = """\
#!/bin/sh
setsid sleep 600 </dev/null >/dev/null 2>&1 &
for epoch in $(seq "$1"); do
  sleep 0.1
  echo "{\\"loss\\": $epoch.$2, \\"val_loss\\": $epoch.$2}"
done
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no cc")
def test_a_program_in_c_is_tuned_by_batches_by_lcm_and_by_pbt(site: Site) -> None:
    source = site.folder / "examples" / "logistic.c"
    subprocess.run(["cc", "-O2", "-o", str(site.folder / "logistic"), str(source), "-lm"], check=True)
    (site.folder / "config/experiments/c.yaml").write_text(LOGISTIC)
    methods = ("random", "lcm", "pbt")
    site.wait(site.on_slurm("--", *(f"results/c/runs/{method}/0/journal.jsonl" for method in methods)))
    assert len(site.jobs("batch")) == 2
    assert [job.nodes for job in site.jobs("parallel_search")] == [2, 2]
    assert {job.state for job in site.jobs("")} == {"COMPLETED"}
    for method in methods:
        setting, alone = site.folder / f"results/c/runs/{method}/setting.json", site.folder / f"{method}.jsonl"
        command = [sys.executable, "-m", "hypercurve", "search", str(setting), "-o", str(alone)]
        subprocess.run(command, cwd=site.folder, check=True, capture_output=True)
        journal = events(site.folder / f"results/c/runs/{method}/0/journal.jsonl")
        assert journal == events(alone), method
        assert not [line for line in journal if line["event"] == "failed"]


def test_programs_of_a_cancelled_job_are_gone_with_all_that_they_started(
    site: Site, cluster: Cluster, started: Callable[..., subprocess.Popen[bytes]]
) -> None:
    script, target = site.folder / "slow.sh", "results/slow/runs/lcm/0/journal.jsonl"
    script.write_text(SCRIPT)
    script.chmod(0o755)
    (site.folder / "config/experiments/slow.yaml").write_text(SLOW)
    known = {job.id for job in site.jobs("parallel_search")}
    partial = (site.folder / target).with_suffix(".partial.jsonl")
    process = started("--", target)
    until(lambda: partial.exists() and partial.read_bytes().count(b"\n") > 8, "some lines")
    left = programs()
    assert {name for _, name in left} >= {"slow.sh", "sleep"}, "programs and their daemons"
    before = partial.read_bytes()
    cluster.output("scancel", next(job.id for job in site.jobs("parallel_search") if job.id not in known))
    until(lambda: not {each for each, _ in left} & {each for each, _ in programs()}, "the end of all programs", 30)
    site.wait(process)
    content = (site.folder / target).read_bytes()
    assert content.startswith(before[: before.rfind(b"\n") + 1])
    assert not [line for line in events(site.folder / target) if line["event"] == "failed"]
    until(lambda: not programs(), "the end of all programs", 30)


def programs() -> list[tuple[int, str]]:
    """Processes that programs of users are, or have started: ids and names."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if b"HYPERCURVE_PROGRAM=" in (process / "environ").read_bytes():
                found.append((int(process.name), (process / "comm").read_text().strip()))
        except OSError:
            continue
    return found
