"""The workflow: what is run for a target, what is run again after a change, what a person sees when something fails."""

import base64
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hypercurve.cli import main

ROOT = Path(__file__).parents[1]
SNAKEMAKE = str(Path(sys.executable).with_name("snakemake"))

TINY = """\
description: a tiny experiment
data: {name: digits}
model: synthetic
space:
  learning_rate: {uniform: [0.0, 1.0]}
  momentum: {uniform: [0.0, 1.0]}
budget: {trials: 12}
repeats: 2
baseline: random
methods:
  random: {search: random, trials_per_job: 6}
  lcm: {search: random, stop: {lcm: {stopping_rate: 0.8, split: 0.2}}}
"""

REPLAY = """\
model: recorded
data: {{curves: {results}/tiny}}
budget: {{trials: 10}}
repeats: 3
methods:
  random: {{search: random}}
  lcm: {{search: random, stop: {{lcm: {{split: 0.2}}}}}}
vary:
  rates: {{method: lcm, over: {{stopping_rate: [0.5, 0.8], split: [0.2, 0.4]}}}}
"""


class Workflow:
    """Snakemake on a folder of experiments of its own."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.experiments = folder / "experiments"
        self.experiments.mkdir()
        self.results = folder / "results"
        self.listed = ["tiny"]

    def write(self, text: str, name: str = "tiny") -> None:
        (self.experiments / f"{name}.yaml").write_text(text)

    def call(self, *targets: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        """Run Snakemake for targets below the results folder; without one, for all that is listed."""
        return subprocess.run(
            [
                *(SNAKEMAKE, "--snakefile", str(ROOT / "Snakefile"), "--directory", str(self.folder), "--cores", "2"),
                *("--configfile", str(ROOT / "config/config.yaml"), *options),
                *("--config", f"folder={self.experiments}", f"results={self.results}"),
                f"experiments=[{','.join(self.listed)}]",
                *("--", *(str(self.results / target) for target in targets)),
            ],
            capture_output=True,
            text=True,
        )

    def planned(self, *targets: str) -> set[tuple[str, str]]:
        """(rule, first output below the results folder) of every job that a dry run would start."""
        run = self.call(*targets, options=("--dry-run",))
        assert run.returncode == 0, run.stderr + run.stdout
        jobs = re.findall(
            r"^(?:local)?rule (\w+):\n(?:    input: .*\n)?    output: ([^,\n]+)", run.stdout + run.stderr, re.M
        )
        return {(rule, str(Path(output).relative_to(self.results))) for rule, output in jobs}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    workflow = Workflow(tmp_path_factory.mktemp("workflow"))
    workflow.write(TINY)
    run = workflow.call("tiny/report.html")
    assert run.returncode == 0, run.stderr[-3000:] + run.stdout[-3000:]
    return workflow


def lcm_only() -> set[tuple[str, str]]:
    runs = {("setting", "tiny/runs/lcm/setting.json")}
    for repeat in range(2):
        runs |= {("search", f"tiny/runs/lcm/{repeat}/journal.jsonl"), ("trials", f"tiny/runs/lcm/{repeat}/trials.csv")}
    return runs


AGGREGATES = {
    ("experiment", "tiny/experiment.json"),
    ("compare", "tiny/comparison.csv"),
    ("figure", "tiny/figures/best.svg"),
    ("figure", "tiny/figures/curves.svg"),
    ("figure", "tiny/figures/parallel.svg"),
    ("figure", "tiny/figures/importance.svg"),
    ("report", "tiny/report.html"),
}


@pytest.mark.slow
class TestFinished:
    def test_everything_is_there_and_nothing_is_left_to_do(self, finished: Workflow) -> None:
        made = finished.results / "tiny"
        below = {str(path.relative_to(made)) for path in made.rglob("*") if path.is_file()}
        for method in ("random", "lcm"):
            for repeat in ("0", "1"):
                assert {f"runs/{method}/{repeat}/journal.jsonl", f"runs/{method}/{repeat}/trials.csv"} <= below
        assert {"comparison.csv", "report.html", "figures/best.svg", "figures/best.png", "experiment.json"} <= below
        assert not [name for name in below if "partial" in name or "/." in name], "nothing half-written stays"
        assert finished.planned("tiny/report.html") == set()

    def test_a_changed_method_reruns_that_method_and_what_depends_on_it(self, finished: Workflow) -> None:
        finished.write(TINY.replace("stopping_rate: 0.8", "stopping_rate: 0.7"))
        try:
            assert finished.planned("tiny/report.html") == lcm_only() | AGGREGATES
        finally:
            finished.write(TINY)

    @pytest.mark.parametrize(
        "change", [("a tiny experiment", "another question"), ("baseline: random", "baseline: lcm")]
    )
    def test_a_change_of_the_comparison_trains_nothing(self, finished: Workflow, change: tuple[str, str]) -> None:
        finished.write(TINY.replace(*change))
        try:
            assert finished.planned("tiny/report.html") == AGGREGATES
        finally:
            finished.write(TINY)

    def test_a_changed_space_reruns_all_runs_but_prepares_no_data(self, finished: Workflow) -> None:
        finished.write(TINY.replace("momentum: {uniform: [0.0, 1.0]}", "momentum: {uniform: [0.0, 0.9]}"))
        try:
            rules = {rule for rule, _ in finished.planned("tiny/report.html")}
            assert {"setting", "trial_table", "batch", "search", "trials", "report"} <= rules
            assert "data" not in rules
        finally:
            finished.write(TINY)

    def test_a_run_can_be_made_again_by_its_name(self, finished: Workflow) -> None:
        journal = finished.results / "tiny/runs/lcm/1/journal.jsonl"
        before = [re.sub(r',"wall":.*', "", line) for line in journal.read_text().splitlines()]
        journal.unlink()
        assert finished.planned("tiny/runs/lcm/1/journal.jsonl") == {("search", "tiny/runs/lcm/1/journal.jsonl")}
        assert finished.call("tiny/runs/lcm/1/journal.jsonl").returncode == 0
        assert [re.sub(r',"wall":.*', "", line) for line in journal.read_text().splitlines()] == before

    def test_results_are_archived_and_the_archive_verifies(self, finished: Workflow) -> None:
        assert finished.call("tiny/report.html").returncode == 0  # after what the tests before this one have made anew
        assert finished.planned("tiny.tar.gz") == {("archive", "tiny.tar.gz")}
        made = finished.call("tiny.tar.gz")
        assert made.returncode == 0, made.stderr[-2000:]
        assert main(["verify", str(finished.results / "tiny.tar.gz"), "--rerun", "lcm/1"]) == 0
        assert finished.planned("tiny.tar.gz") == set()

    def test_an_experiment_that_plays_another_one_waits_for_it(self, finished: Workflow) -> None:
        text = REPLAY.format(results=finished.results)
        finished.write(text, "again")
        try:
            made = finished.call("again/report.html")
            assert made.returncode == 0, made.stderr[-3000:] + made.stdout[-3000:]
            below = {str(path.relative_to(finished.results)) for path in finished.results.glob("again/**/*")}
            assert {"again/replay.csv", "again/vary.csv", "again/figures/pareto.svg", "again/comparison.csv"} <= below
            assert "again/runs/lcm/2/journal.jsonl" in below
            finished.listed = ["tiny", "again"]
            wanted = finished.planned()
            assert ("overview", "report.html") in wanted
            assert ("archive", "again.tar.gz") not in wanted, "which would be refused"
            assert finished.planned("again/report.html") == set()
            finished.write(text.replace("repeats: 3", "repeats: 4"), "again")
            rules = {rule for rule, _ in finished.planned("again/report.html")}
            assert rules == {"experiment", "replay", "compare", "figure", "report"}, "nothing is trained or read again"
            finished.write(TINY.replace("stopping_rate: 0.8", "stopping_rate: 0.7"))
            rules = {rule for rule, _ in finished.planned("again/report.html")}
            assert {"search", "curves", "replay"} <= rules, "what is played is recorded first"
            assert "data" not in rules
        finally:
            finished.listed = ["tiny"]
            finished.write(TINY)
            (finished.experiments / "again.yaml").unlink()

    def test_snakemakes_own_report_holds_tables_and_figures_with_captions(self, finished: Workflow) -> None:
        assert finished.call("report.html").returncode == 0
        made = finished.call("report.html", options=("--report", str(finished.folder / "all.html")))
        assert made.returncode == 0, made.stderr[-2000:]
        text = (finished.folder / "all.html").read_text()
        for part in (
            "searches hyperparameters",
            "What to look for",
            "The methods of",
            "tiny/report.html",
            "all experiments",
        ):
            assert part in text, part
        assert not re.search(r'<(script|link|img)[^>]*(src|href)="?http', text), "it needs no network"


@pytest.mark.slow
def test_a_shipped_experiment_is_planned_by_its_target_alone(tmp_path: Path) -> None:
    run = subprocess.run(
        [SNAKEMAKE, "-n", "--config", f"results={tmp_path}", "--", f"{tmp_path}/mnist-trials/comparison.csv"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    counts = dict(re.findall(r"^(\w+) +(\d+)$", run.stdout + run.stderr, re.M))
    # 9 repeats of two methods, none of which has enough trials for two jobs
    assert counts == {"compare": "1", "data": "1", "experiment": "1", "search": "18", "setting": "2", "total": "23"}


@pytest.mark.slow
@pytest.mark.parametrize("tasks", [1, 2])
def test_only_runs_of_several_processes_are_mpi_jobs_and_those_are_checked_beforehand(
    tmp_path: Path, tasks: int
) -> None:
    workflow = Workflow(tmp_path)
    workflow.write(TINY + f"  pbt: {{population: {{every: 100}}, tasks: {tasks}}}\n")
    planned = {rule for rule, _ in workflow.planned("tiny/runs/pbt/0/journal.jsonl")}
    assert planned == {"data", "setting"} | ({"search"} if tasks == 1 else {"preflight", "parallel_search"})


@pytest.mark.slow
def test_another_number_of_processes_outdates_nothing_and_a_run_that_is_missing_is_made(tmp_path: Path) -> None:
    workflow = Workflow(tmp_path)
    target, method = "tiny/runs/pbt/0/journal.jsonl", "  pbt: {{population: {{every: 100}}, tasks: {}}}\n"
    workflow.write(TINY + method.format(2))
    assert workflow.call(target).returncode == 0
    assert workflow.planned(target) == set()
    workflow.write(TINY + method.format(3))
    assert workflow.planned(target) == set()
    (workflow.results / target).unlink()
    assert workflow.planned(target) == {("parallel_search", target)}


@pytest.mark.slow
def test_only_what_a_killed_snakemake_left_complete_is_not_trained_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workflow = Workflow(tmp_path)
    workflow.write(TINY)
    target, journal = "tiny/runs/lcm/0/journal.jsonl", workflow.results / "tiny/runs/lcm/0/journal.jsonl"
    assert workflow.call(target).returncode == 0
    whole = journal.read_bytes()
    # As a killed Snakemake leaves it: marked, and without a record.
    state = tmp_path / ".snakemake"
    (record,) = (path for path in (state / "metadata").rglob("*") if path.is_file() and str(journal) in _key(path))
    marker = state / "incomplete" / record.relative_to(state / "metadata")
    marker.parent.mkdir(parents=True, exist_ok=True)
    record.unlink()
    marker.write_text('{"external_jobid": null}')
    assert workflow.planned(target) == {("search", "tiny/runs/lcm/0/journal.jsonl")}
    # Its job, and one that a Snakemake with other targets has submitted here.
    logs, cancelled = tmp_path / ".snakemake/slurm_logs/rule_search", tmp_path / "cancelled"
    jobs = "".join(f"{7 + repeat:<20}{tmp_path!s:<4096}{logs}/tiny_lcm_{repeat}/1.log\n" for repeat in range(2))
    (tmp_path / "jobs").write_text(jobs)
    for name, text in (
        ("squeue", f"test -e {cancelled} || cat {tmp_path}/jobs"),
        ("scancel", f"echo $@ > {cancelled}"),
    ):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin", prepend=":")
    assert workflow.call(target).returncode == 0
    assert cancelled.read_text() == "7\n"
    assert journal.read_bytes() == whole, "line for line, wall-clock readings included"
    assert workflow.planned(target) == set()
    assert not marker.exists()
    assert workflow.call(target, options=("--force",)).returncode == 0
    assert journal.read_bytes() == whole, "the run's history has it"


def _key(path: Path) -> str:
    """What a file of Snakemake's records is about."""
    return base64.urlsafe_b64decode("".join(path.parts[path.parts.index("metadata") + 1 :]).replace("@", "")).decode()


@pytest.mark.slow
def test_a_bad_experiment_stops_everything_before_any_job(tmp_path: Path) -> None:
    workflow = Workflow(tmp_path)
    workflow.write(TINY.replace("stopping_rate: 0.8", "stoping_rate: 0.8"))
    run = workflow.call("tiny/report.html")
    assert run.returncode == 2
    assert "tiny.yaml:12: methods.lcm.stop.lcm.stoping_rate" in run.stderr
    assert "did you mean 'stopping_rate'?" in run.stderr
    assert "Traceback" not in run.stderr
    assert not workflow.results.exists()


@pytest.mark.slow
def test_a_failing_job_shows_its_log_and_the_reason(tmp_path: Path) -> None:
    workflow = Workflow(tmp_path)
    workflow.write(TINY.replace("data: {name: digits}", "data: {path: none.npz}"))
    (tmp_path / "none.npz").write_bytes(b"PK\x03\x04 damaged")
    run = workflow.call("tiny/comparison.csv", options=("--show-failed-logs",))
    assert run.returncode == 1
    assert "none.npz" in run.stderr
    assert "hypercurve data:" in run.stderr, "the log with the message is shown"
