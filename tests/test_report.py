"""What reports say: what made the runs, where rules come from, cost and regret of replays; and the page over several."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import hypercurve
from analysis_data import experiment, run_all
from hypercurve.analysis import cells, figures, origins, overview, prose, report, tables
from hypercurve.cli import main
from hypercurve.config.data import DataSpec
from hypercurve.config.experiment import Experiment
from hypercurve.config.figures import FIGURES, applicable
from hypercurve.config.methods import Method
from hypercurve.events.lines import NO_WALL, Wall
from hypercurve.search.registry import SEARCHERS
from hypercurve.stopping.registry import STOPPERS
from hypercurve.util.errors import UserError
from hypercurve.util.files import write_text

ORIGIN = {
    "source": "0011223344556677",
    "versions": {"python": "3.12.1", "keras": "3.15.1"},
    "machine": "Linux x86_64",
    "processor": "Some Processor",
    "cores": 8,
}


def write_results(folder: Path, chosen: Experiment) -> tables.Runs:
    """The results of an experiment with everything that a report shows."""
    runs = run_all(chosen, folder)
    write_text(folder / "experiment.json", chosen.model_dump_json())
    tables.write(tables.comparison(chosen, runs), folder / "comparison.csv")
    for name in applicable(chosen):
        svg = folder / "figures" / f"{name}.svg"
        figures.save(figures.draw(name, chosen, runs), svg, svg.with_suffix(".png"))
    return runs


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Experiment, tables.Runs]:
    folder = tmp_path_factory.mktemp("results") / "example"
    chosen = experiment(repeats=2, budget={"trials": 8})
    return folder, chosen, write_results(folder, chosen)


def test_what_was_assumed_of_the_data_is_said_and_labels_come_with_the_best(
    results: tuple[Path, Experiment, tables.Runs], tmp_path: Path
) -> None:
    folder, chosen, runs = results
    np.savez(tmp_path / "given.npz", x=np.arange(30).reshape(30, 1), y=np.array(["<b>", "cat", "dog"] * 10))
    spec = DataSpec(path=str(tmp_path / "given.npz"))
    own = chosen.model_copy(update={"data": spec})
    moved = tmp_path / "results" / "example"
    shutil.copytree(folder, moved)
    write_text(moved / "experiment.json", own.model_dump_json())
    assert hypercurve.load(moved).best.labels is None  # what is known of the data is not there
    report.write(own, "example", runs, moved, tmp_path / "without.html")
    assert "What was assumed of the data" not in (tmp_path / "without.html").read_text()
    assert main(["data", str(tmp_path / "given.npz"), "-o", str(tmp_path / "results" / "data" / spec.key)]) == 0
    assert hypercurve.load(moved).best.labels == ("<b>", "cat", "dog")
    report.write(own, "example", runs, moved, tmp_path / "with.html")
    page = (tmp_path / "with.html").read_text()
    assert "What was assumed of the data" in page
    assert "Labels were numbered: &#39;&lt;b&gt;&#39; is class 0, &#39;cat&#39; is class 1" in page
    shutil.copytree(tmp_path / "results" / "data" / spec.key, moved / "data")  # as in an archive
    shutil.rmtree(tmp_path / "results" / "data")
    assert hypercurve.load(moved).best.labels == ("<b>", "cat", "dog")
    (moved / "data" / "manifest.json").write_text('{"classes": 3, "labels": [[1]]}')
    assert hypercurve.load(moved).best.labels is None


class TestWhatMadeTheRuns:
    def test_times_machine_packages_and_code_are_those_of_the_journals(self, tmp_path: Path) -> None:
        chosen = experiment(repeats=2, budget={"trials": 4})
        runs = run_all(chosen, tmp_path)
        for run in (run for own in runs.values() for run in own):
            run.begun = Wall(at=1.7e9 - 3600, origin=ORIGIN)
        said = dict(origins.ran(runs))
        assert said["Runs"].startswith("2023-11-14 21:13 to 2023-11-14 22:")
        assert said["Machine"] == "Some Processor, 8 cores, Linux x86_64"
        assert said["Code of runs"] == "0011223344556677"
        assert said["Packages of runs"] == "python 3.12.1, keras 3.15.1"

    def test_runs_of_several_machines_are_counted(self, tmp_path: Path) -> None:
        chosen = experiment(repeats=2, budget={"trials": 4})
        runs = run_all(chosen, tmp_path)
        for run, cores in zip((run for own in runs.values() for run in own), (8, 8, 8, 64), strict=True):
            run.begun = Wall(origin=ORIGIN | {"cores": cores})
        said = dict(origins.ran(runs))["Machine"]
        assert said == (
            "Some Processor, 8 cores, Linux x86_64 (3 runs); Some Processor, 64 cores, Linux x86_64 (1 run)"
        )

    def test_journals_that_do_not_say_are_no_error(self, tmp_path: Path) -> None:
        chosen = experiment(repeats=1, budget={"trials": 4})
        runs = run_all(chosen, tmp_path)
        for run in (run for own in runs.values() for run in own):
            run.begun = NO_WALL
        assert list(origins.ran(runs)) == [("Machine", "the journals do not say")]


class TestSources:
    def test_every_rule_has_one_but_those_that_need_none(self) -> None:
        rules = SEARCHERS | STOPPERS
        assert {kind for kind, rule in rules.items() if not rule.source} == {"grid", "fixed"}

    def test_a_method_names_those_of_all_its_parts(self) -> None:
        said = prose.source(Method.model_validate({"search": "tpe", "stop": "asha"}))
        assert "Bergstra" in said
        assert "massively parallel" in said
        assert "Jaderberg" in prose.source(Method.model_validate({"population": {"every": 10, "members": 4}}))
        assert prose.source(Method.model_validate({"search": "grid"})) == ""


class TestFigures:
    @pytest.mark.slow
    def test_a_very_large_drawing_is_shown_as_its_picture(
        self, results: tuple[Path, Experiment, tables.Runs], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder, *_ = results
        svg = folder / "figures" / "best.svg"
        assert report.image(svg).startswith("data:image/svg+xml;base64,")
        monkeypatch.setattr(report, "LARGEST_SVG", 100)
        expected = "data:image/png" if svg.with_suffix(".png").stat().st_size < svg.stat().st_size else "data:image/svg"
        assert report.image(svg).startswith(expected)
        large = folder / "figures" / "large.svg"
        large.write_text("<svg>" + 10**6 * " " + "</svg>")
        assert report.image(large).startswith("data:image/svg"), "there is no picture of it"
        large.with_suffix(".png").write_bytes(svg.with_suffix(".png").read_bytes())
        assert report.image(large).startswith("data:image/png")

    def test_every_figure_says_what_to_look_for(self) -> None:
        for figure in FIGURES:
            text = report.html(figures.module_of(figure).CAPTION)
            assert "<strong>What to look for:</strong>" in text, figure
            assert "system-message" not in text, figure

    def test_captions_are_those_of_snakemakes_report(self, root: Path) -> None:
        written = (root / "rules" / "captions" / "figure.rst").read_text(encoding="utf-8")
        assert written == figures.captions(), "`make schema` writes it anew"


def test_cost_and_regret_of_a_replay_stand_in_its_report(tmp_path: Path) -> None:
    pd.DataFrame(
        {
            "task": "t",
            "method": ["random", "lcm"],
            "repeats": 1,
            **{"cost": [1.0, 0.25], "cost_low": [None, 0.2], "cost_high": [None, 0.3]},
            **{"regret": [0.0, 0.125], "regret_low": [None, 0.1], "regret_high": [None, 0.15], "same_best": [1.0, 0.5]},
        }
    ).to_csv(tmp_path / "replay.csv", index=False)
    pd.DataFrame(
        {
            "task": "t",
            "method": "lcm",
            "at": [0.1, 0.15],
            "regret": [0.5, 0.25],
            "regret_low": None,
            "regret_high": None,
        }
    ).to_csv(tmp_path / "costs.csv", index=False)
    found = cells.replayed(tmp_path)
    assert found["at"] == ["10\u202f%", "15\u202f%"]
    random, lcm = found["rows"]
    assert (random["cost"], random["regret"], random["cost_interval"]) == ("100\u202f%", "0.000", "")
    assert [cell["mean"] for cell in random["at"]] == ["–", "–"]
    assert (lcm["cost"], lcm["cost_interval"]) == ("25\u202f%", "20.0 to 30.0")
    assert (lcm["regret_interval"], lcm["same"]) == ("0.100 to 0.150", "50\u202f%")
    assert [cell["mean"] for cell in lcm["at"]] == ["0.500", "0.250"]
    (tmp_path / "costs.csv").unlink()
    with pytest.raises(UserError, match=r"costs\.csv: cannot be read"):
        cells.replayed(tmp_path)


class TestOverview:
    @pytest.mark.slow
    def test_holds_every_experiment_and_leads_to_its_report(
        self, results: tuple[Path, Experiment, tables.Runs], tmp_path: Path
    ) -> None:
        folder, chosen, runs = results
        report.write(chosen, "example", runs, folder, folder / "report.html")
        other = tmp_path / "other one"
        write_results(other, experiment(description="", repeats=1, budget={"trials": 4}))
        output = folder.parent / "all.html"
        overview.write([folder, other], output)
        text = output.read_text()
        for part in (
            "Does LCM find what random search finds",
            'href="example/report.html"',
            "kept for validation · dense · 8 trials · 2 repeats",
            "In short",
            "2 experiments",
            "The experiment file states no question.",
            "Its report has not been written yet.",
        ):
            assert part in text, part
        assert text.count("data:image/") == 2
        assert "http" not in text

    def test_what_is_missing_is_told(
        self, results: tuple[Path, Experiment, tables.Runs], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        output = tmp_path / "all.html"
        assert main(["overview", str(tmp_path), "-o", str(output)]) == 2
        assert "experiment.json: cannot be read" in capsys.readouterr().err
        write_text(tmp_path / "experiment.json", results[1].model_dump_json())
        assert main(["overview", str(tmp_path), "-o", str(output)]) == 2
        assert "comparison.csv: cannot be read" in capsys.readouterr().err
        assert not output.exists()


LOOP: dict[str, Any] = {
    "data": None,
    "model": {"loop": "anywhere:Loop"},
    "space": {"rate": {"uniform": [0.0, 1.0]}, "epochs": 10},
    "objective": {"metric": "recall", "mode": "max"},
    "constraints": {"val_precision": {"min": 0.7}, "size": {"min": 10, "max": 5000}, "cost": {"max": 0.0015}},
    "baseline": None,
}


class TestOfUsersModels:
    def test_bounds_stand_in_the_setting(self) -> None:
        facts = report._facts(experiment(**LOOP, methods={"a": {"search": "random"}}), {})
        assert facts["Objective"] == "validation recall, the higher the better"
        assert facts["Constraints"] == (
            "val_precision at least 0.7; size at least 10 and at most 5000; cost at most 0.0015 virtual seconds"
        )
        assert "Constraints" not in report._facts(experiment(), {})

    def test_populations_of_loops_count_epochs(self) -> None:
        chosen = experiment(**LOOP, methods={"pbt": {"population": {"every": 2, "members": 4}}})
        text = " ".join(prose._population(chosen, chosen.methods["pbt"].population))
        assert "Every 2 epochs they are ranked by the recall that they report." in text

    def test_a_single_repeat_says_what_each_method_found(self) -> None:
        chosen = experiment(**LOOP, repeats=1)
        rows = [
            {"method": "random", "repeats": 1, "speedup": 1.0, "best_performance_mean": 0.82, "same_best": 1},
            {"method": "lcm", "repeats": 1, "speedup": 2.0, "best_performance_mean": 0.79, "same_best": 0},
        ]
        table = pd.DataFrame(rows).assign(difference_mean=float("nan"))
        (line,) = cells.summary(chosen, table)
        assert line["text"].endswith("; best recall 0.79 against 0.82; the same best configuration in 0 of 1 repeat")
