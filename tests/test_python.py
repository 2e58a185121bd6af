"""The interface for notebooks and scripts: `import hypercurve`."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

import hypercurve
from conftest import SYNTHETIC, changed
from hypercurve.analysis.records import read_run, write_trials
from hypercurve.errors import UserError
from hypercurve.execution.serial import execute
from hypercurve.journal import Journal
from hypercurve.reading import read_experiment
from hypercurve.run import Run
from hypercurve.training.synthetic import SyntheticTrainer


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of a small experiment, as the workflow leaves them."""
    folder = tmp_path_factory.mktemp("results") / "small"
    file = folder.parent / "small.yaml"
    file.write_text(changed(SYNTHETIC, ("budget: {trials: 20}", "budget: {trials: 20}\nrepeats: 2")))
    experiment = read_experiment(file)
    for method in experiment.methods:
        setting = experiment.setting("small", method)
        for repeat in range(experiment.repeats):
            run = Run(setting, repeat, samples=50_000, data="0123456789abcdef")
            with Journal(folder / "runs" / method / str(repeat) / "journal.jsonl") as journal:
                execute(run, SyntheticTrainer(), journal)
    (folder / "experiment.json").write_text(experiment.model_dump_json())
    return folder


class TestImporting:
    def test_is_cheap(self) -> None:
        heavy = {"numpy", "pandas", "tensorflow", "pydantic", "matplotlib"}
        code = f"import sys, hypercurve; hypercurve.__version__; print({heavy} & {{*sys.modules}})"
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": ":".join(sys.path)}
        )
        assert done.stdout == "set()\n", done.stderr

    def test_offers_what_is_documented(self) -> None:
        assert set(hypercurve.__all__) <= set(dir(hypercurve))
        for name in hypercurve.__all__:
            assert getattr(hypercurve, name) is not None
        with pytest.raises(AttributeError, match="no attribute 'lod'"):
            hypercurve.lod  # noqa: B018

    def test_of_results_needs_no_tensorflow(self, results: Path) -> None:
        code = f"import sys, hypercurve; hypercurve.load({str(results)!r}).trials; print('tensorflow' in sys.modules)"
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": ":".join(sys.path)}
        )
        assert done.stdout == "False\n", done.stderr


class TestResults:
    def test_of_an_experiment_are_all_its_runs(self, results: Path, tmp_path: Path) -> None:
        found = hypercurve.load(results)
        assert (found.name, list(found.runs), found.missing) == ("small", ["random", "lcm"], ())
        assert repr(found) == "<small: 4 runs of random, lcm; 80 trials>"
        assert found.trials.groupby(["method", "repeat"]).size().tolist() == [20] * 4
        assert list(found.comparison["method"]) == ["random", "lcm"]

    def test_hold_the_trials_of_trials_csv(self, results: Path, tmp_path: Path) -> None:
        found = hypercurve.load(results / "runs" / "lcm" / "1")
        setting = found.experiment.setting("small", "lcm")
        write_trials(read_run(results / "runs" / "lcm" / "1" / "journal.jsonl"), setting, tmp_path / "trials.csv")
        written = pd.read_csv(tmp_path / "trials.csv")
        pd.testing.assert_frame_equal(found.trials[list(written)], written, check_exact=True, check_dtype=False)

    def test_hold_every_report(self, results: Path) -> None:
        found = hypercurve.load(str(results / "runs" / "random" / "0"))
        completed = found.events[found.events["event"] == "completed"]["trial"]
        assert set(completed) == set(found.trials.query("status == 'completed'")["trial"])
        assert set(found.curves.columns) >= {"method", "repeat", "trial", "progress", "loss", "val_accuracy"}
        last = found.curves.groupby("trial")["val_accuracy"].last().dropna()
        ends = found.trials.set_index("trial")["performance"].dropna()
        pd.testing.assert_series_equal(last, ends, check_names=False)

    def test_tell_what_each_run_chose(self, results: Path) -> None:
        found = hypercurve.load(results)
        best = found.trials.groupby(["method", "repeat"], sort=False)["performance"].max()
        assert found.chosen["performance"].tolist() == best.tolist()
        assert found.chosen["test_accuracy"].between(0, 1).all()

    def test_tell_the_importance_of_hyperparameters(self, results: Path) -> None:
        found = hypercurve.load(results).importance
        assert set(found["hyperparameter"]) == {"learning_rate", "momentum", "batch_size"}

    @pytest.mark.parametrize(("place", "runs"), [("", 4), ("runs/lcm", 2), ("runs/lcm/1", 1)])
    def test_of_an_experiment_a_method_or_a_run_have_figures(self, results: Path, place: str, runs: int) -> None:
        found = hypercurve.load(results / place)
        assert sum(map(len, found.runs.values())) == runs
        for name in ("best", "curves", "parallel"):
            drawn = hypercurve.figure(results / place, name)
            assert isinstance(drawn, Figure)
        assert drawn._repr_png_().startswith(b"\x89PNG"), "notebooks show it"  # type: ignore[attr-defined]

    def test_without_some_runs_say_so(self, results: Path, tmp_path: Path) -> None:
        part = tmp_path / "small"
        for name in ("experiment.json", "runs/random/0/journal.jsonl", "runs/random/1/journal.jsonl"):
            (part / name).parent.mkdir(parents=True, exist_ok=True)
            (part / name).write_bytes((results / name).read_bytes())
        found = hypercurve.load(part)
        assert found.missing == (("lcm", 0), ("lcm", 1))
        assert repr(found).endswith("2 runs missing>")
        assert found.comparison["best_performance_mean"].isna().tolist() == [False, True]
        for name in ("best", "curves", "parallel", "importance", "timeline"):
            found.figure(name)
        with pytest.raises(UserError, match=r"runs/lcm/0/journal.jsonl"):
            hypercurve.load(part, whole=True)

    @pytest.mark.parametrize(
        ("place", "message"),
        [
            (lambda r: r / "nothing", "is no folder of results"),
            (lambda r: r.parent, "neither it nor a folder above it has an experiment.json"),
            (lambda r: r / "runs", "is no folder of an experiment, a method or a run"),
        ],
    )
    def test_are_not_found_elsewhere(self, results: Path, place: Callable[[Path], Path], message: str) -> None:
        with pytest.raises(UserError, match=message):
            hypercurve.load(place(results))

    def test_have_no_figure_of_another_name(self, results: Path) -> None:
        with pytest.raises(UserError, match="there is no figure 'bets'; did you mean 'best'"):
            hypercurve.figure(results, "bets")
        with pytest.raises(UserError, match=r"drawn from replay.csv"):
            hypercurve.load(results).figure("pareto")
