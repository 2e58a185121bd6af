"""Schedules worth reusing: what a winner's weights went through, exported, played to Keras, and trained again."""

import importlib.util
import json
import math
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from conftest import resealed
from hypercurve.analysis import schedules_export as exporting
from hypercurve.analysis import schedules_gain
from hypercurve.analysis.lineage import ancestry, total_steps
from hypercurve.cli import main
from hypercurve.config.experiment import Experiment
from hypercurve.config.files import read_resolved, read_setting
from hypercurve.config.objective import Objective
from hypercurve.config.setting import Setting
from hypercurve.curves.cost import step_at
from hypercurve.events.encoding import without_wall
from hypercurve.events.journal import read_lines
from hypercurve.results.runs import RunResult, read_run
from hypercurve.runs.trial import Trial
from hypercurve.training import make_trainer
from hypercurve.training.scheduled import ScheduledTrainer
from hypercurve.training.trainer import Snapshot
from results_data import call, carried_out

# 42 steps an epoch, 126 in all: evolution at 30, 60, 90 and 120.
NETWORKS = """\
data: {name: digits, validation: 0.25}
model: dense
space:
  learning_rate: {log_uniform: [0.005, 1.0]}
  momentum: {uniform: [0.0, 0.9]}
  decay_ratio: {uniform: [0.8, 1.0]}
  decay_every: 10
  decay: 0.002
  units: 16
  batch_size: 32
  epochs: 3
budget: {trials: 4}
repeats: 4
methods:
  random: {search: random}
  pbt:
    population:
      every: 30
      explore: {learning_rate: {factors: [0.5, 2.0]}, momentum: {factors: [0.8, 1.2]}, decay_ratio: {factors: [0.9, 1.1]}}
  two:
    space: {learning_rate: {log_uniform: [0.0001, 1.0]}, decay_ratio: 0.9}
    population:
      members: 2
      every: 30
      explore: {learning_rate: {factors: [0.0001]}}  # copies stand still, so they do not win
"""

FORMULAS = """\
data: {name: digits, validation: 0.25}
model: synthetic
space:
  learning_rate: {log_uniform: [0.001, 1.0]}
  batch_size: 32
  epochs: 4
budget: {trials: 6}
repeats: 2
seed: 1  # at which no trial raises, as 2 % of these do
retrain: 3
baseline: random
methods:
  random: {search: random}
  pbt: {population: {every: 20, explore: {learning_rate: {factors: [0.8, 1.2]}}}}
"""

Found = tuple[RunResult, Setting]


def data_of(results: Path) -> Path:
    return results.parent / "data" / read_resolved(results / "experiment.json").data.key


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two populations and a search of real networks."""
    return carried_out(
        tmp_path_factory.mktemp("networks"), NETWORKS, "networks", {"pbt": [0], "two": [0], "random": [0]}
    )


@pytest.fixture(scope="module")
def found(networks: Path) -> dict[str, Found]:
    """A population whose winner has copied, and one whose winner never did."""
    read = [exporting.read(networks / "runs" / method / "0") for method in ("pbt", "two")]
    copied = [one for one in read if len(exporting.segments(*one)) > 1]
    alone = [one for one in read if len(exporting.segments(*one)) == 1]
    assert len(copied) == len(alone) == 1, "other libraries decide otherwise here: take another seed"
    return {"copied": copied[0], "alone": alone[0]}


@pytest.fixture(scope="module")
def formulas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole experiment with retrainings, on learning curves by formula."""
    results = carried_out(tmp_path_factory.mktemp("formulas"), FORMULAS, "formulas", {"random": [0, 1], "pbt": [0, 1]})
    for method in ("random", "pbt"):
        for repeat in (0, 1):
            folder = results / "schedules" / method / str(repeat)
            call("schedule", results / "runs" / method / str(repeat), "--seeds", 3, "--only-export")
            call("search", folder / "retraining.json", "--data", data_of(results), "-o", folder / "retrained.jsonl")
    return results


def imported(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"exported_{path.parent.name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def used_rates(monkeypatch: pytest.MonkeyPatch, run: RunResult, setting: Setting, data: Path) -> np.ndarray:
    """The learning rate of every step, as the engine was given it while it trained under a run's schedule."""
    from hypercurve.training import keras_trainer

    given: list[np.ndarray] = []

    def spy(*args: Any, original: Any = keras_trainer.learning_rates, **more: Any) -> np.ndarray:
        given.append(original(*args, **more))
        return given[-1]

    monkeypatch.setattr(keras_trainer, "learning_rates", spy)
    again = exporting.retraining(run, setting, 1)
    make_trainer(again, data).open(Trial(0, {}, again.seed)).advance(1.0)
    return np.concatenate(given)


@pytest.mark.slow
class TestPath:
    def test_followed_through_its_members_gives_the_winners_network(
        self, networks: Path, found: dict[str, Found]
    ) -> None:
        """Each stretch trained in its own member's place, with what it copied: to the last bit what the run reported."""
        run, setting = found["copied"]
        trainer, total, snapshot = make_trainer(setting, data_of(networks)), total_steps(run, setting), None
        schedule = exporting.segments(run, setting)
        assert [segment.member for segment in schedule] == [member for member, _ in ancestry(run, run.best or 0)]
        metrics: dict[str, float] = {}
        for piece in exporting.pieces(schedule, total):
            member = piece.segment.member
            session = trainer.open(Trial(member, piece.segment.configuration, setting.seed, run.repeat))
            if snapshot is not None:
                placed = Snapshot(piece.start / total, piece.start, snapshot.weights, snapshot.slots)
                session.restore(placed)
                session.adjust(piece.segment.configuration, piece.start)
            points = [p for p, _ in run.trials[member].curve if piece.start < step_at(p, total) <= piece.end]
            for point in points:
                metrics = dict(session.advance(point).metrics)
                assert metrics == dict(run.trials[member].curve)[point]
            snapshot = session.snapshot()
        assert metrics["val_accuracy"] == run.performance("val_accuracy")

    def test_played_from_the_winners_own_seed_is_the_members_journal_where_it_never_copied(
        self, networks: Path, found: dict[str, Found]
    ) -> None:
        run, setting = found["alone"]
        trainer = make_trainer(setting, data_of(networks))
        played = ScheduledTrainer(trainer, exporting.segments(run, setting), total_steps(run, setting))
        assert run.chosen is not None
        session = played.open(Trial(run.chosen.number, {}, setting.seed, run.repeat))
        for progress, metrics in run.chosen.curve[:-1]:
            assert session.advance(progress).metrics == metrics
        assert session.advance(1.0).metrics == {**run.chosen.curve[-1][1], **run.test}

    def test_played_from_a_snapshot_goes_on_as_without(self, networks: Path, found: dict[str, Found]) -> None:
        run, setting = found["copied"]
        again = exporting.retraining(run, setting, 1)
        trainer, trial = make_trainer(again, data_of(networks)), Trial(0, {}, again.seed)
        whole = trainer.open(trial).advance(1.0).metrics
        points = again.training.accumulation_points
        for cut in points[:-1]:
            first, second = trainer.open(trial), trainer.open(trial)
            first.advance(cut)
            second.restore(first.snapshot())
            assert second.advance(1.0).metrics["val_loss"] == whole["val_loss"]

    def test_of_a_search_is_the_chosen_configuration(self, networks: Path) -> None:
        run, setting = exporting.read(networks / "runs" / "random" / "0")
        (segment,) = exporting.segments(run, setting)
        assert run.chosen is not None
        assert (segment.step, segment.member) == (0, run.best)
        assert segment.configuration == run.chosen.configuration


@pytest.mark.slow
class TestExport:
    def test_table_holds_what_every_step_was_trained_with(
        self, networks: Path, found: dict[str, Found], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        run, setting = found["copied"]
        exporting.export(run, setting, tmp_path, 0)
        table = pd.read_csv(tmp_path / "schedule.csv")
        total = total_steps(run, setting)
        whole = table.set_index("step").reindex(range(total), method="ffill")
        used = used_rates(monkeypatch, run, setting, data_of(networks))
        assert np.array_equal(whole["learning_rate"].to_numpy(np.float32), used)
        assert list(table["source"].unique()) == ["start", "decay", "copy"]
        for piece in exporting.pieces(exporting.segments(run, setting), total):
            assert (whole["momentum"][piece.start : piece.end] == piece.segment.configuration["momentum"]).all()

    def test_keras_trains_with_the_rates_that_the_run_used(
        self, networks: Path, found: dict[str, Found], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        import keras

        run, setting = found["copied"]
        exporting.export(run, setting, tmp_path, 0)
        text = (tmp_path / "schedule.py").read_text()
        assert [line for line in text.splitlines() if line.startswith(("import ", "from "))] == [
            "import keras",
            "import numpy as np",
        ]
        assert "momentum" in text  # changes, and no schedule of Keras can
        schedule = imported(tmp_path / "schedule.py").FoundSchedule()
        total = total_steps(run, setting)
        seen: list[np.float32] = []

        class Watch(keras.callbacks.Callback):
            def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
                seen.append(np.float32(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)))

        model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(1, use_bias=False)])
        model.compile(keras.optimizers.SGD(schedule), "mse")
        x, y = np.ones((total, 4), np.float32), np.ones((total, 1), np.float32)
        model.fit(x, y, batch_size=1, epochs=1, shuffle=False, verbose=0, callbacks=[Watch()])
        used = used_rates(monkeypatch, run, setting, data_of(networks))
        assert np.array_equal(np.array(seen), used)
        # Beyond the end, the last rate; and the model comes back from disk with its schedule.
        assert float(schedule(10 * total)) == used[-1]
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras").optimizer
        assert int(loaded.iterations) == total
        again = type(schedule).from_config(json.loads(json.dumps(schedule.get_config())))
        assert [float(again(step)) for step in range(0, total, 7)] == [float(value) for value in used[::7]]

    def test_keras_updates_weights_with_these_rates(self, found: dict[str, Found], tmp_path: Path) -> None:
        """A gradient of one, so that a weight has lost the sum of the rates."""
        import keras

        run, setting = found["copied"]
        exporting.export(run, setting, tmp_path, 0)
        optimizer = keras.optimizers.SGD(imported(tmp_path / "schedule.py").FoundSchedule())
        weight = keras.Variable(np.zeros(1, np.float64), dtype="float64")
        for _ in range(60):
            optimizer.apply([keras.ops.ones(1, dtype="float64")], [weight])
        rates = exporting.rates(exporting.segments(run, setting), total_steps(run, setting), setting.model)
        assert float(weight[0]) == pytest.approx(-rates[:60].sum(dtype=np.float64), rel=1e-6)


@pytest.mark.slow
class TestRetraining:
    def test_is_a_setting_that_says_all_and_reads_back(
        self, networks: Path, found: dict[str, Found], tmp_path: Path
    ) -> None:
        run, setting = found["copied"]
        exporting.export(run, setting, tmp_path, 3)
        read = read_setting(tmp_path / "retraining.json")
        assert read.digest == exporting.retraining(run, setting, 3).digest
        assert read.schedule == exporting.segments(run, setting)
        assert (read.trials, read.population, read.stop) == (3, None, None)

    def test_seeds_are_fresh_and_shared_by_the_methods_of_a_repeat(self, formulas: Path) -> None:
        seeds = {
            (method, repeat): read_setting(formulas / "schedules" / method / repeat / "retraining.json").seed
            for method in ("random", "pbt")
            for repeat in ("0", "1")
        }
        assert seeds["random", "0"] == seeds["pbt", "0"] != seeds["pbt", "1"] == seeds["random", "1"]
        assert read_resolved(formulas / "experiment.json").seed not in seeds.values()

    def test_digest_changes_with_every_segment(self, networks: Path, found: dict[str, Found]) -> None:
        run, setting = found["copied"]
        again = exporting.retraining(run, setting, 1)
        other = again.schedule[-1].model_copy(update={"step": again.schedule[-1].step + 1})
        changed = again.model_copy(update={"schedule": (*again.schedule[:-1], other)})
        assert len({again.digest, changed.digest, again.model_copy(update={"schedule": ()}).digest}) == 3

    def test_settings_without_a_schedule_are_what_they_were(self, formulas: Path) -> None:
        assert "schedule" not in json.loads(read_setting(formulas / "runs" / "pbt" / "setting.json").model_dump_json())

    def test_journal_holds_a_test_of_every_network(self, formulas: Path) -> None:
        run = read_run(formulas / "schedules" / "pbt" / "0" / "retrained.jsonl")
        accuracies = [trial.metrics["test_accuracy"] for trial in run.trials.values()]
        assert len(accuracies) == len(set(accuracies)) == 3

    def test_goes_on_where_it_was_killed(self, formulas: Path, tmp_path: Path) -> None:
        folder = formulas / "schedules" / "pbt" / "1"
        whole = (folder / "retrained.jsonl").read_text().splitlines(keepends=True)
        (tmp_path / "again.partial.jsonl").write_text("".join(whole[: len(whole) // 2]) + whole[-1][:20])
        call("search", folder / "retraining.json", "--data", data_of(formulas), "-o", tmp_path / "again.jsonl")
        lines = [read_lines(path)[0] for path in (folder / "retrained.jsonl", tmp_path / "again.jsonl")]
        assert [without_wall(line) for line in lines[0]] == [without_wall(line) for line in lines[1]]

    @pytest.mark.parametrize(
        ("changes", "problem"),
        [
            ([{"step": 3}], "must begin at step 0"),
            ([{"step": 0}, {"step": 5}, {"step": 5}], "must have increasing steps"),
        ],
    )
    def test_a_schedule_out_of_order_is_refused(
        self,
        formulas: Path,
        tmp_path: Path,
        changes: list[dict[str, Any]],
        problem: str,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        given = json.loads((formulas / "schedules" / "pbt" / "0" / "retraining.json").read_text())
        given["schedule"] = [{**given["schedule"][0], **change} for change in changes]
        (tmp_path / "s.json").write_text(json.dumps(given))
        code = main(
            ["search", str(tmp_path / "s.json"), "--data", str(data_of(formulas)), "-o", str(tmp_path / "j.jsonl")]
        )
        assert code == 2
        assert problem in capsys.readouterr().err

    def test_loops_have_schedules_of_their_own(self, write_experiment: Any, capsys: pytest.CaptureFixture[str]) -> None:
        text = "model: {loop: 'm:f'}\nretrain: 2\nspace: {epochs: 3}\nbudget: {trials: 4}\nmethods: {a: {search: random}}\n"
        assert main(["check", str(write_experiment(text))]) == 2
        assert "retrain = 2: is for networks" in capsys.readouterr().err

    def test_replays_cannot_be_trained_again(self, write_experiment: Any, capsys: pytest.CaptureFixture[str]) -> None:
        text = (
            "data: {curves: x.csv}\nmodel: recorded\nretrain: 2\nbudget: {trials: 4}\nmethods: {a: {search: random}}\n"
        )
        assert main(["check", str(write_experiment(text))]) == 2
        assert "retrain = 2: must be left out" in capsys.readouterr().err


def network_table(values: dict[tuple[str, str], list[list[float]]]) -> pd.DataFrame:
    """A table of networks from test accuracies by (method, network), repeats and seeds."""
    rows = [
        {
            "method": method,
            "network": network,
            "repeat": repeat,
            "seed": seed if network == "retrained" else -1,
            "test": value,
        }
        for (method, network), repeats in values.items()
        for repeat, seeds in enumerate(repeats)
        for seed, value in enumerate(seeds)
    ]
    return pd.DataFrame(rows)


VALUES = {
    ("constant", "found"): [[0.91], [0.92], [0.93]],
    ("constant", "retrained"): [[0.90, 0.92], [0.91, 0.91], [0.92, 0.94]],
    ("pbt", "found"): [[0.96], [0.97], [0.97]],
    ("pbt", "retrained"): [[0.94, 0.94], [0.93, 0.95], [0.94, 0.96]],
}


class TestGain:
    def row(self, table: pd.DataFrame, method: str, network: str) -> Any:
        return table[(table["method"] == method) & (table["network"] == network)].iloc[0]

    def test_falls_into_the_schedules_part_and_the_selection_of_weights(self) -> None:
        table = schedules_gain.gain(network_table(VALUES), "constant", Objective())
        found, again = self.row(table, "pbt", "found"), self.row(table, "pbt", "retrained")
        # By repeat: found 0.96, 0.97, 0.97; retrained 0.94, 0.94, 0.95; constant 0.91, 0.91, 0.93.
        assert found["difference_mean"] == pytest.approx((0.05 + 0.06 + 0.04) / 3)
        assert again["difference_mean"] == pytest.approx((0.03 + 0.03 + 0.02) / 3)
        assert found["selection_mean"] == pytest.approx(found["difference_mean"] - again["difference_mean"])
        assert again["share"] == pytest.approx((0.03 + 0.03 + 0.02) / (0.05 + 0.06 + 0.04))
        assert again["share_low"] <= again["share"] <= again["share_high"]
        assert (found["networks"], again["networks"], again["repeats"]) == (3, 6, 3)

    def test_intervals_are_those_of_a_paired_t_test(self) -> None:
        table = schedules_gain.gain(network_table(VALUES), "constant", Objective())
        again = self.row(table, "pbt", "retrained")
        expected = stats.ttest_rel([0.94, 0.94, 0.95], [0.91, 0.91, 0.93]).confidence_interval(0.95)
        assert (again["difference_low"], again["difference_high"]) == pytest.approx(tuple(expected))

    def test_a_gain_within_noise_has_no_share(self) -> None:
        noisy = {**VALUES, ("pbt", "found"): [[0.96], [0.97], [0.85]]}
        table = schedules_gain.gain(network_table(noisy), "constant", Objective())
        assert math.isnan(self.row(table, "pbt", "retrained")["share"])
        assert "within noise" in schedules_gain.verdict(table, "pbt", Objective())

    def test_less_is_better_where_losses_are_measured(self) -> None:
        losses = {key: [[1 - value for value in seeds] for seeds in repeats] for key, repeats in VALUES.items()}
        one = schedules_gain.gain(network_table(losses), "constant", Objective(metric="loss", mode="min"))
        other = schedules_gain.gain(network_table(VALUES), "constant", Objective())
        assert self.row(one, "pbt", "retrained")["share"] == pytest.approx(self.row(other, "pbt", "retrained")["share"])

    def test_of_a_single_repeat_goes_by_seeds(self) -> None:
        single = {
            ("constant", "found"): [[0.91]],
            ("constant", "retrained"): [[0.90, 0.92, 0.91]],
            ("pbt", "found"): [[0.96]],
            ("pbt", "retrained"): [[0.94, 0.93, 0.95]],
        }
        table = schedules_gain.gain(network_table(single), "constant", Objective())
        found, again = self.row(table, "pbt", "found"), self.row(table, "pbt", "retrained")
        expected = stats.ttest_rel(*([0.94, 0.93, 0.95], [0.90, 0.92, 0.91])).confidence_interval(0.95)
        assert (again["difference_low"], again["difference_high"]) == pytest.approx(tuple(expected))
        assert found["difference_mean"] == pytest.approx(0.05)

    def test_leaves_trainings_that_diverged_out_and_counts_them(self) -> None:
        diverged = {**VALUES, ("pbt", "retrained"): [[0.94, math.nan], [0.93, 0.95], [0.94, 0.96]]}
        again = self.row(schedules_gain.gain(network_table(diverged), "constant", Objective()), "pbt", "retrained")
        assert (again["networks"], again["failed"]) == (5, 1)
        assert again["difference_mean"] == pytest.approx((0.03 + 0.03 + 0.02) / 3)


@pytest.mark.slow
class TestCommands:
    def test_table_figure_report_and_archive_have_the_retrainings(self, formulas: Path, tmp_path: Path) -> None:
        results = tmp_path / "results" / "formulas"
        shutil.copytree(formulas.parent, results.parent)
        experiment: Experiment = read_resolved(results / "experiment.json")
        call("compare", results, "-o", results / "comparison.csv")
        call("compare", results, "--table", "schedule", "-o", results / "schedule.csv")
        table = pd.read_csv(results / "schedule.csv")
        assert list(zip(table["method"], table["network"], table["networks"], strict=True)) == [
            (method, network, many)
            for method in experiment.methods
            for network, many in (("found", 2), ("retrained", 6))
        ]
        call("figure", results, "retrained", "-o", results / "figures" / "retrained.svg")
        call("report", results, "-o", results / "report.html")
        page = (results / "report.html").read_text()
        assert "Schedule and selection" in page
        assert "Gain " in page
        for method in experiment.methods:
            for repeat in range(experiment.repeats):
                run = results / "runs" / method / str(repeat)
                setting = run.parent / "setting.json"
                call("trials", setting, run / "journal.jsonl", "-o", run / "trials.csv")
                if method == "pbt":
                    call("members", setting, run / "journal.jsonl", "-o", run / "members.csv")
        call("archive", results, "-o", tmp_path / "whole.tar.gz")
        call("verify", tmp_path / "whole.tar.gz")
        path = results / "schedules" / "pbt" / "0" / "retraining.json"
        path.write_text(path.read_text().replace('"trials": 3', '"trials": 2'))
        assert main(["archive", str(results), "-o", str(tmp_path / "other.tar.gz")]) == 2

    def test_a_run_is_retrained_against_another_and_told(
        self, formulas: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        shutil.copytree(formulas.parent, tmp_path / "results", ignore=shutil.ignore_patterns("schedules"))
        runs = tmp_path / "results" / "formulas" / "runs"
        command = ["schedule", runs / "pbt" / "0", "--seeds", 3, "--against", runs / "random" / "0"]
        call(*command)
        printed = capsys.readouterr().out
        assert "Gain " in printed
        assert "selection of weights" in printed
        assert {path.name for path in (tmp_path / "results/formulas/schedules/pbt/0").iterdir()} == {
            *exporting.FILES,
            "retrained.jsonl",
            "retrained.states",
            "history",
            "gain.csv",
        }
        again = read_run(tmp_path / "results/formulas/schedules/pbt/0/retrained.jsonl")
        before = read_run(formulas / "schedules/pbt/0/retrained.jsonl")
        assert [t.metrics for t in again.trials.values()] == [t.metrics for t in before.trials.values()]
        call(*command)
        assert capsys.readouterr().out.count("is there already") == 2

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["{runs}/pbt"], "is no run's folder"),
            (["{runs}/pbt/7"], "holds journal.jsonl"),
            (["{runs}/pbt/0", "--against", "{runs}/random/0"], "need --seeds"),
            (["{runs}/pbt/0", "--seeds", "2", "--against", "{runs}/random/1"], "another repeat and seed"),
        ],
    )
    def test_mistakes_are_told(
        self, formulas: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["schedule", *(part.format(runs=formulas / "runs") for part in arguments)]) == 2
        assert message in capsys.readouterr().err

    def test_schedules_are_not_trained_with_other_code_of_the_users_than_the_run_was(
        self, networks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.syspath_prepend(str(tmp_path))
        code = tmp_path / "scheduled_net.py"
        code.write_text(
            "import keras\n\n\ndef build(h):\n    layers = keras.layers\n"
            "    return keras.Sequential([keras.Input((8, 8)), layers.Flatten(), layers.Dense(10)])\n"
        )
        (tmp_path / "e.yaml").write_text(
            "data: {name: digits}\nmodel: scheduled_net:build\nbudget: {trials: 2}\n"
            "space: {learning_rate: {log_uniform: [0.01, 0.1]}, epochs: 0.2}\nmethods: {random: {search: random}}\n"
        )
        run, data = Path("results/e/runs/random/0"), data_of(networks)
        call("resolve", "e.yaml", "--method", "random", "-o", run.parent / "setting.json")
        call("search", run.parent / "setting.json", "--data", data, "-o", run / "journal.jsonl")
        command = ["schedule", run, "--seeds", 1, "--data", data]
        call(*command)
        call(*command)
        assert capsys.readouterr().out.count("is there already") == 1
        code.write_text(code.read_text() + "CHANGED = 1\n")
        assert main([str(part) for part in command]) == 2
        assert "scheduled_net:build was changed after this run was made" in capsys.readouterr().err
        call("schedule", run)
        retrained = tmp_path / "results/e/schedules/random/0/retrained.jsonl"
        lines = retrained.read_text().splitlines(keepends=True)
        retrained.write_bytes(resealed([lines[0].replace('"model":"', '"model":"f'), *lines[1:]]))
        code.write_text(code.read_text().removesuffix("CHANGED = 1\n"))
        call(*command)
        assert "is there already" not in capsys.readouterr().out, "that was retrained with other code"
        assert '"model":"f' not in retrained.read_text()
