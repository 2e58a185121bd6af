"""Tables, figures and reports of experiments in which all trials failed, or all but one, or none was stopped."""

import csv
from pathlib import Path

import pytest

import hypercurve
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
