"""What clusters do to runs. After each: the journal of an undisturbed run, with all lines that had been written before."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from checkout import Site, events, ranks, until
from cluster import Cluster

Started = Callable[..., subprocess.Popen[bytes]]

# Some seconds of learning curves by formula: tens of thousands of journal lines.
CURVES = """\
data: {name: digits}
model: synthetic
space: {learning_rate: {log_uniform: [0.001, 1.0]}, momentum: {uniform: [0.0, 0.99]}, batch_size: 32}
budget: {trials: 5000}
methods:
  lcm: {search: random, slots: 8, tasks: 4, stop: {lcm: {split: 0.5, stopping_rate: 0.5}}}
"""
# Some seconds of training on two processes.
MEMBERS = """\
data: {name: digits}
model: softmax
space: {learning_rate: {log_uniform: [0.0001, 0.1]}, batch_size: 32, epochs: 1500}
budget: {trials: 8}
methods:
  pbt:
    population: {every: 500, snapshot_every: 10, explore: {learning_rate: {factors: [0.8, 1.2]}}}
    tasks: 2
"""
LCM, PBT = "results/curves/runs/lcm/0/journal.jsonl", "results/members/runs/pbt/0/journal.jsonl"


def is_told_to_end(process: int) -> bool:
    """Whether a process that stands still has been sent SIGTERM, or was let go on with it, and is gone."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return True
    pending = re.search(r"^ShdPnd:\s*(\w+)", status, re.M)
    return pending is not None and bool(int(pending[1], 16) & 1 << signal.SIGTERM - 1)


class Run:
    """A run on the cluster that is disturbed.

    Args:
        site: the checkout.
        target: the run's journal.
    """

    def __init__(self, site: Site, target: str):
        self.site, self.target, self.path = site, target, site.folder / target
        self.partial = self.path.with_suffix(".partial.jsonl")
        self.known = {job.id for job in site.jobs("parallel_search")}
        self.before = b""
        shutil.rmtree(self.path.parent, ignore_errors=True)

    @contextmanager
    def still(self, lines: int) -> Iterator[tuple[str, list[int]]]:
        """The job, once it has written so many lines, and its processes, which stand still meanwhile."""
        until(lambda: self.partial.exists() and self.partial.read_bytes().count(b"\n") > lines, f"line {lines}")
        job = self.jobs()[-1].id
        processes = ranks(job)
        for process in processes:
            os.kill(process, signal.SIGSTOP)
        assert len(processes) > 1, "it was disturbed too late"
        self.remember()
        yield job, processes
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)

    def remember(self) -> None:
        content = self.partial.read_bytes()
        self.before = content[: content.rfind(b"\n") + 1]

    def jobs(self) -> list:  # type: ignore[type-arg]
        return [job for job in self.site.jobs("parallel_search") if job.id not in self.known]

    def hold(self, reference: Path) -> None:
        """The journal is complete, equal to the undisturbed one, and begins with what was written before."""
        assert self.before, "it was not disturbed"
        content = self.path.read_bytes()
        assert len(content) > len(self.before), "it was disturbed too late"
        assert content.startswith(self.before), "nothing that was written is lost, or written anew"
        assert events(self.path) == events(reference)
        assert sorted(path.name for path in self.path.parent.iterdir()) == ["history", "journal.jsonl"]


@pytest.fixture(scope="module")
def references(site: Site) -> dict[str, Path]:
    """Journals of undisturbed runs, on this machine."""
    (site.folder / "config/experiments/curves.yaml").write_text(CURVES)
    (site.folder / "config/experiments/members.yaml").write_text(MEMBERS)
    hypercurve = [sys.executable, "-m", "hypercurve"]
    made = {}
    for target in (LCM, PBT):
        name, method = target.split("/")[1], target.split("/")[3]
        folder = site.folder / "undisturbed" / name
        setting, data, journal = folder / "setting.json", folder / "data", folder / "journal.jsonl"
        experiment = site.folder / f"config/experiments/{name}.yaml"
        for command in (
            ["resolve", str(experiment), "--method", method, "-o", str(setting)],
            ["data", "digits", "-o", str(data)],
        ):
            subprocess.run([*hypercurve, *command], check=True, capture_output=True)
        mpiexec = [str(Path(sys.executable).with_name("mpiexec")), "--allow-run-as-root", "--oversubscribe", "-n", "2"]
        search = ["search", str(setting), "--data", str(data), "--tasks", "2", "-o", str(journal)]
        subprocess.run([*mpiexec, *hypercurve, *search], check=True, capture_output=True)
        made[target] = journal
    return made


@pytest.fixture
def lcm(site: Site, references: dict[str, Path]) -> Iterator[Run]:
    run = Run(site, LCM)
    yield run
    run.hold(references[LCM])


def test_a_job_near_its_time_limit_saves_a_snapshot_and_goes_on_with_more_time(
    site: Site, started: Started, references: dict[str, Path]
) -> None:
    run = Run(site, PBT)
    site.change("slurm/config.yaml", ("TERM@120", "TERM@59"))
    process = started("--", PBT)
    with run.still(200) as (job, processes):
        # Limits are in minutes, and Slurm looks at them twice a minute.
        minutes = int(site.cluster.output("squeue", "--noheader", f"--jobs={job}", "--format=%M").split(":")[-2]) + 1
        site.cluster.output("scontrol", "update", f"jobid={job}", f"timelimit={minutes}")
        until(lambda: all(map(is_told_to_end, processes)), "the signal before the limit")
    until(lambda: len(run.jobs()) == 2, "another job")
    run.remember()
    assert list((run.path.parent / "snapshots").glob("*/manifest.json"))
    site.wait(process)
    first, second = (site.cluster.output("scontrol", "show", "job", job.id) for job in run.jobs()[:2])
    assert f"TimeLimit=00:{minutes:02}:00" in first
    assert "TimeLimit=08:00:00" in second, "twice the profile's"
    assert "ended by SIGTERM; run the same command again to go on" in site.said, "the log of the job that was ended"
    assert "going on after line" in (site.folder / "results/members/logs/pbt/0/search.log").read_text()
    run.hold(references[PBT])


def test_a_cancelled_job_is_submitted_again_and_goes_on(site: Site, started: Started, lcm: Run) -> None:
    process = started("--", LCM)
    with lcm.still(3000) as (job, _):
        site.cluster.output("scancel", job)
    site.wait(process)
    assert [job.state for job in lcm.jobs()] == ["CANCELLED", "COMPLETED"]


def test_a_job_whose_node_goes_down_goes_on_elsewhere(site: Site, cluster: Cluster, started: Started, lcm: Run) -> None:
    process = started("--", LCM)
    with lcm.still(3000) as (job, _):
        name = cluster.output("squeue", "--noheader", f"--jobs={job}", "--format=%B").strip()
        cluster.output("scontrol", "update", f"nodename={name}", "state=down", "reason=test")
    try:
        site.wait(process)
        assert "Restarts=1" in cluster.output("scontrol", "show", "job", job)
        assert all(name not in known.names for known in lcm.jobs())
    finally:
        cluster.output("scontrol", "update", f"nodename={name}", "state=resume")
        cluster.wait_for_idle()


def test_a_killed_rank_ends_its_job_which_is_submitted_again(site: Site, started: Started, lcm: Run) -> None:
    process = started("--", LCM)
    with lcm.still(3000) as (_, processes):
        os.kill(processes[1], signal.SIGKILL)
    site.wait(process)
    assert [job.state for job in lcm.jobs()] == ["FAILED", "COMPLETED"]


def test_a_restart_of_the_controller_disturbs_nothing(site: Site, cluster: Cluster, started: Started, lcm: Run) -> None:
    process = started("--", LCM)
    with lcm.still(3000):
        cluster.stop_controller()
        time.sleep(5)
        cluster.start_controller()
    site.wait(process)
    assert [job.state for job in lcm.jobs()] == ["COMPLETED"]


class TestKilledSnakemake:
    def kill(self, process: subprocess.Popen[bytes]) -> None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def test_its_jobs_are_replaced_by_those_of_the_next(self, site: Site, started: Started, lcm: Run) -> None:
        process = started("--", LCM)
        with lcm.still(3000) as (job, _):
            self.kill(process)
            site.wait(site.start("--profile", "slurm", "--unlock", "--", LCM))
            assert [job.state for job in lcm.jobs()] == ["RUNNING"]
            process = started("--rerun-incomplete", "--", LCM)
            until(lambda: len(lcm.jobs()) == 2, "another job")
        site.wait(process)
        assert f"cancelling jobs that an earlier Snakemake left behind: {job}" in site.said
        assert [job.state for job in lcm.jobs()] == ["CANCELLED", "COMPLETED"]

    def test_what_its_jobs_have_completed_meanwhile_is_kept(self, site: Site, started: Started, lcm: Run) -> None:
        process = started("--", LCM)
        with lcm.still(3000):
            self.kill(process)
        until(lambda: lcm.jobs()[0].state == "COMPLETED", "the end of the job")
        site.wait(site.start("--profile", "slurm", "--unlock", "--", LCM))
        site.wait(started("--rerun-incomplete", "--", LCM))
        assert len(lcm.jobs()) == 1


def test_a_run_goes_on_with_other_numbers_of_processes(site: Site, started: Started, lcm: Run) -> None:
    for tasks, other, lines in ((4, 2, 3000), (2, 8, 12000)):
        process = started("--", LCM)
        with lcm.still(lines):
            process.send_signal(signal.SIGINT)  # Snakemake cancels its jobs
            site.wait(process, code=1)
        site.change("config/experiments/curves.yaml", (f"tasks: {tasks}", f"tasks: {other}"))
        site.change("slurm/config.yaml", ("nodes: 2", "nodes: 4") if other == 8 else ("nodes: 2", "nodes: 2"))
    site.wait(started("--", LCM))
    assert lcm.jobs()[-1].nodes == 4
    site.change("config/experiments/curves.yaml", ("tasks: 8", "tasks: 4"))
    site.change("slurm/config.yaml", ("nodes: 4", "nodes: 2"))
    site.wait(site.start("--profile", "slurm", "--dry-run", "--", LCM))
    planned = site.said.rpartition("Building DAG of jobs")[2]
    assert "rule" not in planned, "another number of processes outdates nothing"


def test_a_full_disk_loses_nothing(site: Site, started: Started, references: dict[str, Path], tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(small)], check=True)
    try:
        run = Run(site, LCM)
        run.path = small / LCM
        run.partial = run.path.with_suffix(".partial.jsonl")
        options = ("--config", f"results={small}/results", "--", str(run.path))
        (small / "filler").write_bytes(bytes(44 << 20))
        site.wait(started("--retries", "0", *options), code=1)
        run.remember()
        assert shutil.disk_usage(small).free < 8192
        (small / "filler").unlink()
        site.wait(started(*options))
        run.hold(references[LCM])
    finally:
        subprocess.run(["umount", str(small)], check=True)
