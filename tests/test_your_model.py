"""docs/your-model.md, tried out: its files are written and its commands run as they stand there."""

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "your-model.md").read_text(encoding="utf-8")

FILE = re.compile(r"[Tt]his is\s+`([^`]+)`:\n\n```\w+\n(.*?)```", re.S)
COMMANDS = re.compile(r"```sh\n(.*?)```", re.S)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a checkout is, after all that the page says was done."""
    place = tmp_path_factory.mktemp("checkout")
    for name in ("Snakefile", "rules", "workflow", "profiles", "envs"):
        (place / name).symlink_to(ROOT / name)
    (place / "config" / "experiments").mkdir(parents=True)
    (place / "config" / "config.yaml").write_text(
        "experiments: [my-network]\nfolder: config/experiments\nresults: results\n"
    )
    files = FILE.findall(PAGE)
    assert {name for name, _ in files} == {
        *("my_network.py", "config/experiments/my-network.yaml"),
        *("my_regression.py", "config/experiments/my-regression.yaml"),
    }
    for name, text in files:
        (place / name).write_text(text)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT / "workflow")}
    for block in COMMANDS.findall(PAGE):
        for command in block.splitlines():
            run = subprocess.run(
                command.split(), cwd=place, env=environment, capture_output=True, text=True, timeout=900
            )
            assert run.returncode == 0, f"{command}\n{run.stdout[-2000:]}{run.stderr[-3000:]}"
    return place


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
@pytest.mark.parametrize(("experiment", "other"), [("my-network", "lcm"), ("my-regression", "asha")])
def test_the_page_can_be_followed_to_its_tables(folder: Path, experiment: str, other: str) -> None:
    assert (folder / "results" / experiment / "report.html").stat().st_size > 1000
    compared = {row["method"]: row for row in rows(folder / "results" / experiment / "comparison.csv")}
    assert list(compared) == ["random", other]
    for method, row in compared.items():
        trials = rows(folder / f"results/{experiment}/runs/{method}/0/trials.csv")
        assert len(trials) == int(float(row["trials"])) == 20
        assert "completed" in {trial["status"] for trial in trials}
        assert float(row["best_performance_mean"]) > 0


@pytest.mark.slow
def test_constraints_fail_trials_with_a_reason(folder: Path) -> None:
    trials = rows(folder / "results/my-regression/runs/random/0/trials.csv")
    large = [trial for trial in trials if trial["units"] == "128"]
    assert large
    assert {trial["status"] for trial in large} == {"failed"}
    journal = (folder / "results/my-regression/runs/random/0/journal.jsonl").read_text()
    assert "parameters is 1537, above its bound 500" in journal
