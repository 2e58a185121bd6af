"""Tables, figures and reports of experiments in which all trials failed, or all but one, or none was stopped."""

import csv
import html
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import hypercurve
from conftest import ROOT
from hypercurve.cli import main
from hypercurve.config.figures import applicable
from hypercurve.config.files import read_resolved
from hypercurve.workflow_support.failures import failures_since

LOOP = """\
def train(h, context):
    for epoch in range(context.epochs):
        if {fails}:
            raise OSError(2, "No such file or directory", "/data/train.csv")
        yield {{"loss": h["x"] / (epoch + 1), "val_accuracy": 1 - h["x"] + epoch / 100}}
"""
EXPERIMENT = """\
model: {{loop: {module}:train}}
space: {{x: {{uniform: [0.0, 1.0]}}, y: {{uniform: [0.0, 1.0]}}, epochs: 3}}
budget: {{trials: 6, at: [3]}}
repeats: 2
fail_fast: false
methods:
  random: {{search: random}}
  tpe: {{search: {{tpe: {{startup: 3}}}}, slots: 2}}
  patience: {{search: random, stop: patience}}
  lcm: {{search: random, stop: {{lcm: {{configurations: 6, split: 0.4}}}}}}
  median: {{search: random, stop: median}}
"""
KINDS = {  # when trials fail
    "all_at_once": "True",
    "all_late": "epoch == 2",
    "all_but_one": "context.trial != 2",
    "none": "False",
    "baseline_only": "context.trial < 6 and context.seed % 2",
}


def made(folder: Path, kind: str) -> Path:
    """Results of an experiment, tables, all figures and report included."""
    (folder / f"failing_{kind}.py").write_text(LOOP.format(fails=KINDS[kind]))
    (folder / f"{kind}.yaml").write_text(EXPERIMENT.format(module=f"failing_{kind}"))
    results = folder / "results" / kind
    assert main(["resolve", f"{kind}.yaml", "-o", str(results / "experiment.json")]) == 0
    experiment = read_resolved(results / "experiment.json")
    for method in experiment.methods:
        setting = results / "runs" / method / "setting.json"
        assert main(["resolve", f"{kind}.yaml", "--method", method, "-o", str(setting)]) == 0
        for repeat in map(str, range(experiment.repeats)):
            run = setting.parent / repeat
            options = ["--repeat", repeat, "--no-fail-fast", "--no-reuse"]
            assert main(["search", str(setting), *options, "-o", str(run / "journal.jsonl")]) == 0
            assert main(["trials", str(setting), str(run / "journal.jsonl"), "-o", str(run / "trials.csv")]) == 0
    for table in ("comparison", "budgets", "traits"):
        assert main(["compare", str(results), "--table", table, "-o", str(results / f"{table}.csv")]) == 0
    return results


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_tables_figures_and_reports_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    results = made(tmp_path, kind)
    found = hypercurve.load(results)
    figures = {"best", "curves", "traits", "budgets", "timeline", "parallel", "importance"}
    for figure in figures.union(applicable(found.experiment)):
        assert main(["figure", str(results), figure, "-o", str(results / "figures" / f"{figure}.svg")]) == 0
    assert main(["report", str(results), "-o", str(results / "report.html")]) == 0
    assert len(found.comparison) == len(found.runs)
    assert (len(found.curves) == 0) == (kind == "all_at_once")
    assert len(found.chosen) == sum(run.best is not None for runs in found.runs.values() for run in runs)
    failed = int((found.trials["status"] == "failed").sum())
    page = (results / "report.html").read_text()
    head = page[: page.index('id="setting"')]
    assert (f"{failed} of 60 trials failed" in head) == (failed > 0)
    assert ("FileNotFoundError" in head) == (failed > 0)
    rows = list(csv.DictReader((results / "runs/random/1/trials.csv").open()))
    assert [bool(row["reason"]) for row in rows] == [row["status"] == "failed" for row in rows]
    assert ("trials failed" in capsys.readouterr().err) == (failed > 0)
    lines = list(failures_since(results.parent, 0.0))
    assert len(lines) == sum(run.count("failed") > 0 for runs in found.runs.values() for run in runs)
    assert all(Path(line.partition("; see ")[2]).is_file() for line in lines)


@pytest.mark.slow
def test_what_failed_saved_no_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    rows = {row["method"]: row for row in csv.DictReader((made(tmp_path, "all_but_one") / "traits.csv").open())}
    assert float(rows["random"]["saved"]) == 0.0


TYPO = """\
def train(h, context):
    for epoch in range(context.epochs):
        yield {"loss": h["alpha"] / (epoch + 1)}  # the space has x, not alpha
"""
WORKFLOW = """\
model: {loop: typo:train}
objective: {metric: loss}
space: {x: {uniform: [0.0, 1.0]}, epochs: 3}
budget: {trials: 6}
methods: {random: {search: random, trials_per_job: 3}, tpe: {search: tpe}}
"""


@pytest.mark.slow
def test_what_snakemake_says(tmp_path: Path) -> None:
    for name in ("Snakefile", "rules", "workflow", "profiles", "envs"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "config" / "experiments").mkdir(parents=True)
    (tmp_path / "config" / "config.yaml").write_text(
        "experiments: [typo]\nfolder: config/experiments\nresults: results\n"
    )
    (tmp_path / "typo.py").write_text(TYPO)
    experiment = tmp_path / "config" / "experiments" / "typo.yaml"

    def snakemake() -> subprocess.CompletedProcess[str]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT / "workflow")}
        command = ["snakemake", "--cores", "2", "results/typo/report.html"]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600)

    experiment.write_text(WORKFLOW)
    done = snakemake()
    assert done.returncode != 0
    assert done.stderr.count("the first 3 trials failed alike: KeyError: 'alpha'") >= 3  # two batches, and tpe
    assert 'typo.py, line 3, in train: yield {"loss": h["alpha"]' in done.stderr
    named = set(re.findall(r"the whole of it: (\S+)", done.stderr))
    assert named == {
        "results/typo/runs/random/0/batches/0.failures.txt",
        "results/typo/runs/random/0/batches/1.failures.txt",
        "results/typo/runs/tpe/0/journal.failures.txt",
    }
    assert all("in train" in (tmp_path / name).read_text() for name in named)
    experiment.write_text(WORKFLOW + "fail_fast: false\n")
    done = snakemake()
    assert done.returncode == 0, done.stderr
    for method in ("random", "tpe"):
        told = f"6 of 6 trials failed: KeyError: 'alpha'; see results/typo/runs/{method}/0/journal.failures.txt"
        assert told in done.stderr
        assert (tmp_path / f"results/typo/logs/{method}/0/search.log").read_text().splitlines()[-1] == told
    assert "12 of 12 trials failed: KeyError" in html.unescape((tmp_path / "results/typo/report.html").read_text())
    (tmp_path / "typo.py").write_text(
        TYPO.replace('{"loss": h["alpha"] / (epoch + 1)}', '{"val_loss": h["x"], "loss": 1.0}')
    )
    experiment.write_text(WORKFLOW)
    done = snakemake()
    assert done.returncode == 0, done.stderr
    assert "trials failed" not in done.stderr
    assert not list(tmp_path.glob("results/typo/runs/*/*/journal.failures.txt"))
