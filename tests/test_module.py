"""The workflow in other people's workflows: imported by a `module` statement, and as the catalogue of workflows lists it."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]

IMPORTER = f"""\
configfile: "settings.yaml"


module hypercurve:
    snakefile: "{ROOT}/workflow/Snakefile"
    config: config["hypercurve"]
    {{paths}}


rule all:
    input: "{{results}}/{{wanted}}", "best.txt"


use rule * from hypercurve as hc_*


rule best:
    input: "{{results}}/own/comparison.csv"
    output: "best.txt"
    shell: "cut -d, -f1 {{{{input}}}} > {{{{output}}}}"
"""

EXPERIMENT = """\
model: {loop: "own_loop:train"}
objective: {metric: loss}
space: {rate: {uniform: [0.1, 0.9]}, epochs: 4}
budget: {trials: 6}
training: {accumulation_points: 4}
figures: [best]
methods:
  random: {search: random}
  lcm: {search: random, stop: {lcm: {split: 0.5, check_points: [0.5]}}}
"""

LOOP = """\
def train(hyperparameters, context):
    for epoch in range(context.epochs):
        loss = hyperparameters["rate"] ** (epoch + 1)
        yield {"loss": loss, "val_loss": loss}
"""


@pytest.fixture
def importer(tmp_path: Path) -> Path:
    """Somebody's project: their Snakefile with code beside it, in a folder of its own; their experiment and settings."""
    for name, text in {
        "workflow/own_loop.py": LOOP,
        "trials/own.yaml": EXPERIMENT,
        "settings.yaml": "hypercurve: {experiments: [own], folder: trials}\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return tmp_path


def snakemake(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("snakemake")
    return subprocess.run([program, "--cores", "2", *options], cwd=folder, capture_output=True, text=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("paths", "results"), [('prefix: "tuning"', "tuning/results"), ('replace_prefix: {"results/": "out/"}', "out")]
)
def test_an_importer_gets_its_report_where_it_wants_it_and_uses_a_table_in_a_rule_of_its_own(
    importer: Path, paths: str, results: str
) -> None:
    text = IMPORTER.format(paths=paths, results=results, wanted="report.html")
    (importer / "workflow" / "Snakefile").write_text(text)
    run = snakemake(importer)
    assert run.returncode == 0, run.stderr[-3000:]
    assert (importer / "best.txt").read_text().split() == ["method", "random", "lcm"]
    assert "What to look for" in (importer / results / "own" / "report.html").read_text(), "captions are found"
    assert not (importer / results / "own.tar.gz").exists(), (
        "the default target is the importer's, not that of the module"
    )
    assert "Nothing to be done" in snakemake(importer, "--dry-run").stderr
    made = snakemake(importer, "--report", "all.html")
    assert made.returncode == 0, made.stderr[-2000:]
    assert "The methods of" in (importer / "all.html").read_text()
    assert not (importer / "results").exists()


@pytest.mark.slow
def test_a_mistake_in_an_importers_settings_is_told_by_the_name_of_its_file(importer: Path) -> None:
    (importer / "Snakefile").write_text(IMPORTER.format(paths="", results="results", wanted="report.html"))
    (importer / "settings.yaml").write_text("hypercurve: {experiments: [other], folder: trials}\n")
    run = snakemake(importer, "--dry-run")
    assert run.returncode == 2
    assert "settings.yaml: experiments: trials has no other.yaml" in run.stderr


def test_the_catalogue_of_workflows_finds_what_it_asks_for() -> None:
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert set(usage) <= {"mandatory-flags", "software-stack-deployment", "report"}
    assert set(usage["software-stack-deployment"]) <= {"conda", "apptainer", "apptainer+conda"}
    assert usage["report"] is ('report: "' in (ROOT / "workflow" / "Snakefile").read_text())
    assert "## Use it as a module" in (ROOT / "config" / "README.md").read_text()
    for name in ("config/config.yaml", "LICENSE", "README.md"):
        assert (ROOT / name).stat().st_size, name
    rules = [path.read_text() for path in sorted((ROOT / "rules").glob("*.smk"))]
    assert all((ROOT / "rules" / "../envs/hypercurve.yaml").is_file() for text in rules if "conda:" in text)
