"""What is made of a population's journal: lineage, schedules, members, traits, and figures."""

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import analysis_data
from analysis_data import drive, experiment, population_experiment, pretended_fitness
from hypercurve.analysis import figures, lineage, report, tables, traits
from hypercurve.analysis.figures.timeline import bars
from hypercurve.config.experiment import Experiment
from hypercurve.config.figures import applicable
from hypercurve.events.trials import TrialState
from hypercurve.results.runs import RunEvent, RunResult, write_trials
from hypercurve.runs.run import Run

SAMPLES = 320  # 40 steps in four epochs of batches of 32: reports at 10, 20, 30 and 40
NAN = math.nan
# By generation, each member's fitness: 0 copies 3; 1 copies 0; 3 diverged and copies 2; 1 wins.
FITNESS = ((0.5, 0.6, 0.7, 0.8), (0.9, 0.1, 0.7, 0.8), (0.5, 0.9, 0.95, NAN), (0.6, 0.97, 0.9, 0.8))


def four(**options: Any) -> Experiment:
    given = {"members": 4, "every": 10, "explore": {"learning_rate": {"factors": [2.0]}}, **options}
    return experiment(
        model="mlp",
        space={
            "learning_rate": {"log_uniform": [1e-6, 100.0]},
            "decay_ratio": 0.9,
            "decay_every": 10,
            "batch_size": 32,
            "epochs": 4,
        },
        budget={"trials": 4},
        repeats=1,
        baseline="pbt",
        methods={"pbt": {"population": given}},
    )


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory: pytest.TempPathFactory) -> tuple[Experiment, RunResult]:
    chosen = four()
    path = tmp_path_factory.mktemp("four") / "journal.jsonl"
    return chosen, drive(chosen, "pbt", 0, path, lambda m, n, _: FITNESS[n - 1][m], samples=SAMPLES)


def rates(run: RunResult) -> list[float]:
    """The learning rates that members began with."""
    return [float(run.trials[member].history[0].configuration["learning_rate"]) for member in range(4)]


class TestRecords:
    def test_carry_copies(self, by_hand: tuple[Experiment, RunResult]) -> None:
        run = by_hand[1]
        copies = {(m, s.donor, s.progress, s.at, s.generation) for m, t in run.trials.items() for s in t.history[1:]}
        assert copies == {(0, 3, 0.25, 0.25, 1), (1, 0, 0.5, 0.5, 2), (3, 2, 0.75, 0.75, 3)}
        assert run.best == 1

    def test_a_member_revived_by_a_copy_is_running_again(self, by_hand: tuple[Experiment, RunResult]) -> None:
        revived = by_hand[1].trials[3]
        assert (revived.status, revived.reason, revived.performance("val_accuracy")) == ("completed", None, 0.8)
        assert [progress for progress, _ in revived.curve] == [0.25, 0.5, 1.0]

    def test_agree_with_the_state_that_decided(self, by_hand: tuple[Experiment, RunResult], tmp_path: Path) -> None:
        from hypercurve.events.journal import read_lines

        chosen, record = by_hand
        drive(chosen, "pbt", 0, tmp_path / "j.jsonl", lambda m, n, _: FITNESS[n - 1][m], samples=SAMPLES)
        run = Run(chosen.setting("example", "pbt"), 0, samples=SAMPLES, data="0123456789abcdef")
        run.fold(read_lines(tmp_path / "j.jsonl")[0], "journal")
        for number, state in run.trials.items():
            trial = record.trials[number]
            assert (trial.status, trial.configuration) == (state.status, state.configuration)
            assert trial.history[-1].progress * 40 == state.anchor

    def test_trials_csv_has_the_final_configurations(
        self, by_hand: tuple[Experiment, RunResult], tmp_path: Path
    ) -> None:
        chosen, run = by_hand
        write_trials(run, chosen.setting("", "pbt"), tmp_path / "trials.csv")
        table = pd.read_csv(tmp_path / "trials.csv")
        assert table["learning_rate"].tolist() == [run.trials[m].configuration["learning_rate"] for m in range(4)]
        assert table["learning_rate"][2] == rates(run)[2]


class TestLineage:
    def test_winners_path(self, by_hand: tuple[Experiment, RunResult]) -> None:
        run = by_hand[1]
        assert lineage.ancestry(run, 1) == [(3, 0), (0, 1), (1, 1)]
        assert lineage.ancestry(run, 2) == [(2, 0)]

    def test_table(self, by_hand: tuple[Experiment, RunResult]) -> None:
        chosen, run = by_hand
        table = lineage.lineage(run, chosen.setting("", "pbt"))
        assert table.iloc[:, :5].to_numpy().tolist() == [[10, 1, 0, 3, 10], [20, 2, 1, 0, 20], [30, 3, 3, 2, 30]]
        first, second = rates(run)[3] * 0.9, rates(run)[3] * 0.9 * 2 * 0.9
        assert table["learning_rate_before"].tolist() == pytest.approx([first, second, rates(run)[2] * 0.9**3])
        assert table["learning_rate_after"].tolist() == pytest.approx((table["learning_rate_before"] * 2).tolist())
        assert list(table)[5:] == ["learning_rate_before", "learning_rate_after"]

    def test_schedule(self, by_hand: tuple[Experiment, RunResult]) -> None:
        chosen, run = by_hand
        table = lineage.schedule(run, chosen.setting("", "pbt"))
        assert list(table) == ["member", "step", "progress", "source", *chosen.space.names]
        r = rates(run)
        copied = r[3] * 0.9 * 2
        again = copied * 0.9 * 2
        expected = [
            (0, 0, "start", r[0]),
            (0, 10, "copy", copied),
            (0, 20, "decay", copied * 0.9),
            (0, 30, "decay", copied * 0.81),
            (1, 0, "start", r[1]),
            (1, 10, "decay", r[1] * 0.9),
            (1, 20, "copy", again),
            (1, 30, "decay", again * 0.9),
            (2, 0, "start", r[2]),
            (2, 10, "decay", r[2] * 0.9),
            (2, 20, "decay", r[2] * 0.81),
            (2, 30, "decay", r[2] * 0.729),
            (3, 0, "start", r[3]),
            (3, 10, "decay", r[3] * 0.9),
            (3, 20, "decay", r[3] * 0.81),
            (3, 30, "copy", r[2] * 0.729 * 2),
        ]
        assert [*zip(table["member"], table["step"], table["source"], strict=True)] == [row[:3] for row in expected]
        assert table["learning_rate"].tolist() == pytest.approx([row[3] for row in expected])
        assert table["progress"].tolist() == [row[1] / 40 for row in expected]

    def test_members(self, by_hand: tuple[Experiment, RunResult]) -> None:
        chosen, run = by_hand
        table = lineage.members(run, chosen.setting("", "pbt"))
        assert table["performance"].tolist() == [0.6, 0.97, 0.9, 0.8]
        assert table["ancestor"].tolist() == [3, 3, 2, 2]
        assert table["copies"].tolist() == [1, 1, 0, 1]
        r = rates(run)
        last = [r[3] * 1.8 * 0.81, r[3] * 1.8 * 1.8 * 0.9, r[2] * 0.729, r[2] * 0.729 * 2]  # at step 39
        assert table["learning_rate"].tolist() == pytest.approx(last)

    def test_a_donor_of_the_step_before_is_taken_as_it_arrived_there(self, tmp_path: Path) -> None:
        # Ranked on the step before: at step 20, member 0 copies 3 as it was at 10, and at step 30 member 1 copies 0 as it
        # was at 20, before 0's own copy there.
        run = drive(four(lag=1), "pbt", 0, tmp_path / "j", lambda m, n, _: FITNESS[n - 1][m], samples=SAMPLES)
        copy = run.trials[0].history[1]
        assert (copy.donor, copy.progress, copy.at) == (3, 0.5, 0.25)
        (place,) = [i for i, stretch in enumerate(run.trials[1].history) if stretch.donor == 0]
        assert lineage.parent(run, 1, place) == (0, 0)

    def test_tables_of_a_search_are_empty_or_plain(self, tmp_path: Path) -> None:
        chosen = experiment(model="mlp", repeats=1, budget={"trials": 3}, methods={"random": {"search": "random"}})
        run = analysis_data.run_all(chosen, tmp_path)["random"][0]
        setting = chosen.setting("", "random")
        assert lineage.lineage(run, setting).empty
        assert (lineage.schedule(run, setting)["source"] == "start").all()
        assert lineage.members(run, setting)["ancestor"].tolist() == [0, 1, 2]


class TestTraits:
    @staticmethod
    def run(method: str, repeat: int, rate: float, other: float, best: float) -> RunResult:
        """Two trials on two workers: one to its end in 8 of 10 seconds, one stopped at a quarter after 5."""
        run = RunResult("e", method, repeat, "setting", "data", SAMPLES, best=0, reason="finished")
        fixed = {"batch_size": 32, "epochs": 4}
        run.trials[0] = TrialState(
            0, {"learning_rate": rate, **fixed}, 0.0, "completed", 1.0, [(1.0, {"val_accuracy": best})]
        )
        run.trials[1] = TrialState(1, {"learning_rate": other, **fixed}, 0.0, "stopped", 0.25)
        run.events += [
            RunEvent("reported", 1, 0.25, 1.0, 5.0, 0.0, worker=1, at=105.0),
            RunEvent("completed", 0, 1.0, 4.0, 8.0, 2.0, worker=0, at=110.0),
        ]
        return run

    def test_by_hand(self) -> None:
        chosen = experiment(repeats=2, methods={"random": {"search": "random"}})
        runs = [self.run("random", 0, 0.1, 0.2, 0.90), self.run("random", 1, 0.1, 0.3, 0.94)]
        row = traits.traits(chosen, {"random": runs}).iloc[0]
        assert (row["workers"], row["utilisation"]) == (2, (5 + 8) / (2 * 10))
        assert (row["configurations_differ"], row["choices_differ"]) == (0.5, 0)
        assert row["performance_sd"] == pytest.approx(0.04 / math.sqrt(2))
        assert (row["saved"], row["ended_early"], row["changes"]) == (1 - 50 / 80, 0.5, 0)

    def test_trainings_that_were_taken_from_other_runs_keep_nobody_busy(self) -> None:
        chosen = experiment(repeats=1, baseline="lcm", methods={"lcm": {"search": "random", "stop": "lcm"}})
        run = self.run("lcm", 0, 0.1, 0.2, 0.90)
        run.events[0] = run.events[0]._replace(reused="random/0", at=100.0)
        assert run.wall == 10
        assert traits.traits(chosen, {"lcm": [run]})["utilisation"].tolist() == [8 / (2 * 10)]
        run.events[1] = run.events[1]._replace(reused="random/0")
        assert math.isnan(traits.traits(chosen, {"lcm": [run]})["utilisation"][0])

    def test_of_a_population(self, by_hand: tuple[Experiment, RunResult]) -> None:
        row = traits.traits(by_hand[0], {"pbt": [by_hand[1]]}).iloc[0]
        assert (row["saved"], row["ended_early"], row["changes"]) == (0, 3 / 7, 3 / 4)
        assert row["workers"] == 3
        assert math.isnan(row["choices_differ"])

    def test_decay_by_a_schedule_is_no_change_of_the_method(self, tmp_path: Path) -> None:
        chosen = four(explore={})
        run = drive(chosen, "pbt", 0, tmp_path / "j", lambda m, n, _: FITNESS[n - 1][m], samples=SAMPLES)
        assert traits.traits(chosen, {"pbt": [run]})["changes"].tolist() == [0]

    def test_slides(self) -> None:
        methods = {
            "grid": {"search": "grid"},
            "pbt": {"population": {"every": 10}},
            "lcm": {"search": "random", "stop": "lcm"},
        }
        chosen = experiment(
            model="mlp", space={"learning_rate": {"uniform": [0.1, 1]}}, methods=methods, baseline="grid"
        )
        said = {name: traits.slides(method, "Early Stopping") for name, method in chosen.methods.items()}
        assert said == {"grid": False, "pbt": True, "lcm": None}


class TestTimeline:
    def test_merges_reports_of_a_trial(self) -> None:
        run = RunResult("e", "m", 0, "s", "d", SAMPLES, reason="finished")
        run.events += [
            RunEvent("reported", 0, 0.5, 1.0, 3.0, 1.0, worker=0, at=104.0),
            RunEvent("completed", 0, 1.0, 2.0, 4.0, 0.0, worker=0, at=108.0),
            RunEvent("reported", 1, 0.5, 3.0, 1.0, 0.0, worker=1, at=102.0),
            RunEvent("completed", 1, 1.0, 3.0, 1.0, 0.0, worker=1, at=105.0),  # two seconds idle before
        ]
        assert bars(run) == [(0, 0, 0.0, 8.0), (1, 1, 1.0, 2.0), (1, 1, 4.0, 5.0)]


class TestFigures:
    @staticmethod
    def runs(chosen: Experiment, folder: Path, failing: float = 0.01) -> dict[str, list[RunResult]]:
        return {
            method: [
                drive(chosen, method, r, folder / f"{method}-{r}", pretended_fitness(r, failing), samples=50000)
                for r in range(chosen.repeats)
            ]
            for method in chosen.methods
        }

    @pytest.mark.slow
    @pytest.mark.parametrize(("members", "failing"), [(2, 0.0), (10, 0.02), (100, 0.0), (3, 1.0)])
    @pytest.mark.filterwarnings("error")
    def test_render(self, members: int, failing: float, tmp_path: Path) -> None:
        chosen = population_experiment(members, repeats=1 if members == 100 else 2)
        runs = self.runs(chosen, tmp_path, failing)
        for name in ["population", "fitness", "timeline"] if members == 100 else [*applicable(chosen), "traits"]:
            svg, png = tmp_path / f"{name}.svg", tmp_path / f"{name}.png"
            figures.save(figures.draw(name, chosen, runs), svg, png)
            assert png.read_bytes().startswith(b"\x89PNG")
            assert svg.stat().st_size < 2_000_000, name

    @pytest.mark.slow
    @pytest.mark.filterwarnings("error")
    def test_several_populations_render(self, tmp_path: Path) -> None:
        kinds: list[dict[str, Any]] = [{}, {"lag": 1}, {"exploit": "tournament"}]
        methods = {f"m{i}": {"population": {"every": 900, **kind}} for i, kind in enumerate(kinds)}
        chosen = population_experiment(5, methods=methods, repeats=1)
        runs = self.runs(chosen, tmp_path)
        for name in applicable(chosen):
            figures.save(figures.draw(name, chosen, runs), tmp_path / "f.svg", tmp_path / "f.png")

    @pytest.mark.filterwarnings("error")
    def test_no_population(self) -> None:
        chosen = experiment(repeats=1)
        for name in ("population", "fitness", "timeline"):
            figures.draw(name, chosen, {"random": [], "lcm": []})

    def test_the_way_to_the_winner_leaves_a_donor_where_it_was_copied(
        self, by_hand: tuple[Experiment, RunResult]
    ) -> None:
        from hypercurve.analysis.figures.members import Population

        way = Population(*by_hand).way("learning_rate")
        steps = way[:, 0].tolist()
        assert steps == sorted(steps)
        assert (steps[0], steps[-1], steps.count(10), steps.count(20)) == (0, 40, 2, 2)


def test_report_of_a_population(by_hand: tuple[Experiment, RunResult], tmp_path: Path) -> None:
    chosen, run = by_hand
    runs = {"pbt": [run]}
    tables.write(tables.comparison(chosen, runs), tmp_path / "comparison.csv")
    report.write(chosen, "example", runs, tmp_path, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    for part in (
        "Population Based Training: 4 members start with independent draws",
        "The least fit 25\u202f% copy weights",
        "learning_rate × 2",
        "All wait for each other",
        "3 copies at 3 evolution steps",
        "The 4 final networks descend from 2 of the members at the start",
        "began in member 3 and was copied 2 times, by way of members 3, 0, 1",
        "Members of pbt, repeat 0",
        "97.00\u202f%",
    ):
        assert part in text, part
    assert "nan" not in text.replace("resonance", "")


def test_report_has_the_slides_table_with_two_methods(tmp_path: Path) -> None:
    chosen = experiment(repeats=2, budget={"trials": 8})
    runs = analysis_data.run_all(chosen, tmp_path)
    tables.write(tables.comparison(chosen, runs), tmp_path / "comparison.csv")
    report.write(chosen, "example", runs, tmp_path, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert "Adaptive Hyperparameters" in text
    assert "slides: ✗" in text
