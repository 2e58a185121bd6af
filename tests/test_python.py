"""The interface for notebooks and scripts: `import hypercurve`."""

import doctest
import inspect
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from threadpoolctl import threadpool_info

import hypercurve
from conftest import ROOT, SYNTHETIC, changed, listing
from hypercurve.cli import main
from hypercurve.config.consistency import COLUMNS
from hypercurve.config.files import read_experiment
from hypercurve.events.encoding import without_wall
from hypercurve.events.journal import Journal, read_lines
from hypercurve.execution.serial import execute
from hypercurve.results.runs import read_run, write_trials
from hypercurve.runs.run import Run
from hypercurve.training.loop import Context
from hypercurve.training.synthetic import SyntheticTrainer
from hypercurve.util.errors import UserError


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

    @pytest.mark.slow
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


def train(hyperparameters: dict[str, float], context: Context) -> Iterator[dict[str, float]]:
    """Falls faster at a rate of a half; which is what its validation loss tells, with a little luck."""
    luck = np.random.default_rng(context.seed).random() * 1e-3
    loss = 2.3
    for _ in range(context.epochs):
        loss *= 1 - hyperparameters["rate"] * (1 - hyperparameters["rate"])
        yield {"loss": loss, "val_loss": loss + luck, "test_loss": loss + 2 * luck}


RATE = {"rate": {"uniform": [0.0, 1.0]}}
LOOP = {**RATE, "epochs": 10}


class TestTuning:
    def test_of_a_function_finds_its_least_loss(self) -> None:
        found = hypercurve.tune(lambda h: (h["x"] - 0.3) ** 2, {"x": {"uniform": [0, 1]}}, trials=40, search="tpe")
        assert found.chosen["x"].item() == pytest.approx(0.3, abs=0.05)
        assert found.chosen["performance"].item() == found.trials["performance"].min()
        assert found.folder is None

    def test_tells_functions_their_hyperparameters_only(self) -> None:
        seen: list[dict[str, Any]] = []
        hypercurve.tune(lambda h: seen.append(h) or 1.0, {"x": {"choice": [*range(99)]}, "y": 3}, trials=2)  # type: ignore[func-returns-value]
        assert [set(one) for one in seen] == [{"x", "y"}] * 2

    def test_of_a_generator_stops_bad_trials(self) -> None:
        found = hypercurve.tune(train, LOOP, trials=40, stop="lcm", repeats=2)
        assert (found.trials["status"] == "stopped").mean() > 0.4
        assert found.trials.query("status == 'stopped'")["progress"].max() < 1
        assert found.chosen["rate"].between(0.3, 0.7).all()
        assert (found.chosen["test_loss"] > found.chosen["performance"]).all()

    @pytest.mark.parametrize("arguments", ["h, context", "h", "h, context=None"])
    def test_of_a_class_that_yields_a_loss_does_as_of_a_generator(self, arguments: str) -> None:
        held: dict[str, Any] = {}
        exec(
            f"class Made:\n    def __init__(self, {arguments}):\n        self.rate = h['rate']\n"
            "    def train(self):\n        for epoch in range(3):\n            yield self.rate / (epoch + 1)\n",
            held,
        )

        def generator(h: dict[str, float]) -> Iterator[float]:
            for epoch in range(3):
                yield h["rate"] / (epoch + 1)

        space = {"rate": {"uniform": [0, 1]}, "epochs": 3}
        of_class, of_generator = (
            hypercurve.tune(one, space, trials=4, accumulation_points=3) for one in (held["Made"], generator)
        )
        assert of_class.trials["status"].eq("completed").all()
        columns = ["rate", "performance", "loss"]
        pd.testing.assert_frame_equal(of_class.trials[columns], of_generator.trials[columns])
        pd.testing.assert_frame_equal(
            of_class.curves.drop(columns="method"), of_generator.curves.drop(columns="method")
        )

    def test_of_a_class_without_train_says_so(self) -> None:
        with pytest.raises(UserError, match=r"class .*Lacking has no method train"):
            hypercurve.tune(type("Lacking", (), {}), LOOP, trials=2)

    def test_decides_as_the_workflow_does(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The same loop in an experiment file, by the commands that the workflow calls."""
        mine = hypercurve.tune(train, LOOP, trials=15, stop={"asha": {}}, slots=3, seed=5, folder=tmp_path / "mine")
        source = inspect.getsource(train).replace("context: Context", "context")
        (tmp_path / "tuned_loop.py").write_text(f"from collections.abc import Iterator\nimport numpy as np\n\n{source}")
        (tmp_path / "mine.yaml").write_text(
            "model: {loop: tuned_loop:train}\nobjective: {metric: loss}\nspace: {rate: {uniform: [0, 1]}, epochs: 10}\n"
            "budget: {trials: 15}\nseed: 5\nmethods: {asha: {search: random, stop: {asha: {}}, slots: 3}}\n"
        )
        monkeypatch.chdir(tmp_path)
        monkeypatch.syspath_prepend(tmp_path)
        assert main(["resolve", "mine.yaml", "--method", "asha", "--output", "setting.json"]) == 0
        assert main(["search", "setting.json", "--output", "journal.jsonl"]) == 0
        theirs = [without_wall(line) for line in read_lines(tmp_path / "journal.jsonl")[0]]
        own = [without_wall(line) for line in read_lines(tmp_path / "mine/runs/asha/0/journal.jsonl")[0]]
        assert own[0] == theirs[0] | {key: own[0][key] for key in ("setting", "model", "training")}
        assert own[1:] == theirs[1:]
        assert len(mine.trials) == 15

    def test_compares_methods_on_the_same_draws(self) -> None:
        methods = {"random": {"search": "random"}, "asha": {"search": "random", "stop": "asha", "slots": 2}}
        found = hypercurve.tune(train, LOOP, trials=20, methods=methods)
        rates = found.trials.pivot_table(index="trial", columns="method", values="rate")
        assert (rates["random"] == rates["asha"]).all()
        assert found.comparison["method"].tolist() == ["random", "asha"]
        found.figure("best")

    def test_goes_on_in_a_folder(self, tmp_path: Path) -> None:
        calls: list[float] = []
        broken = [True]

        def loss(h: dict[str, float]) -> float:
            if broken[0] and len(calls) == 7:
                raise KeyboardInterrupt
            calls.append(h["x"])
            return h["x"]

        space = {"x": {"uniform": [0.0, 1.0]}}
        with pytest.raises(KeyboardInterrupt):
            hypercurve.tune(loss, space, trials=12, folder=tmp_path / "kept")
        broken[0] = False
        found = hypercurve.tune(loss, space, trials=12, folder=tmp_path / "kept")
        assert (len(found.trials), len(calls)) == (12, 12), "nothing is trained twice"
        again = hypercurve.tune(loss, space, trials=12, folder=tmp_path / "kept")
        assert len(calls) == 12
        pd.testing.assert_frame_equal(again.trials, hypercurve.load(tmp_path / "kept").trials)
        fewer = hypercurve.tune(loss, space, trials=5, folder=tmp_path / "kept")
        assert (len(fewer.trials), len(calls)) == (5, 12), "what is known serves another setting too"

    def test_keeps_no_files_without_a_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        monkeypatch.chdir(tmp_path)
        hypercurve.tune(train, LOOP, trials=3)
        assert list(tmp_path.iterdir()) == []

    def test_names_why_trials_failed(self) -> None:
        def loss(h: dict[str, float]) -> object:
            return {"x": h["x"], "text": "high"}[["x", "text"][h["x"] > 0.5]] if h["x"] < 0.8 else 1 / 0

        reasons = set(hypercurve.tune(loss, {"x": {"uniform": [0.0, 1.0]}}, trials=30).trials["reason"].dropna())
        assert reasons == {
            "ZeroDivisionError: division by zero",
            "epoch 1: reported 'high', which is no mapping of metrics",
        }

    def test_warns_if_every_trial_failed_and_may_go_on(self) -> None:
        with pytest.warns(UserWarning, match="all 5 trials failed; the first: NameError: name 'nonsense'"):
            hypercurve.tune(lambda h: nonsense, RATE, trials=5, fail_fast=False)  # type: ignore[name-defined]  # noqa: F821

    def test_ends_with_the_users_error_where_the_first_trials_fail_alike(self) -> None:
        tried = []

        def loss(h: dict[str, float]) -> float:
            tried.append(h)
            return h["rat"]

        with pytest.raises(UserError) as caught:
            hypercurve.tune(loss, RATE, trials=20)
        said = str(caught.value)
        assert len(tried) == 3
        assert "the first 3 trials failed alike: KeyError: 'rat'" in said
        assert re.search(r"\n  .*test_python.py, line \d+, in loss: return", said)
        assert "the hyperparameters are rate, epochs; did you mean rate?" in said
        assert "Traceback (most recent call last)" in said

    def test_ends_with_the_first_trial_that_lacks_the_objective(self, capsys: pytest.CaptureFixture[str]) -> None:
        def train(h: dict[str, float], context: Context) -> Iterator[dict[str, float]]:
            for _ in range(context.epochs):
                epochs.append(1)
                yield {"loss": h["rate"], "val_acc": 1 - h["rate"]}

        epochs: list[int] = []
        with pytest.raises(UserError, match=r"it reported loss, val_acc; did you mean `objective: {metric: acc}`\?"):
            hypercurve.tune(train, {**RATE, "epochs": 10}, trials=20, objective="accuracy")
        assert len(epochs) == 10
        assert "warning: at its first point, the trainer reported no val_accuracy" in capsys.readouterr().err

    @pytest.mark.parametrize("name", COLUMNS)
    def test_a_hyperparameter_is_not_called_as_a_column_is(self, name: str) -> None:
        with pytest.raises(UserError, match=f"space.{name}: is the name of a column of results, as "):
            hypercurve.tune(lambda h: 1.0, {name: {"uniform": [0.0, 1.0]}}, trials=3)

    @pytest.mark.parametrize(
        "name", ["loss", "val_loss", "test_loss", "reported_test_loss", "event", "time", "at", "index"]
    )
    def test_metrics_stand_beside_hyperparameters_of_their_name(self, name: str) -> None:
        def train(h: dict[str, float]) -> dict[str, float]:
            return {"loss": 7.0, "val_loss": h[name], "test_loss": 9.0, "event": 5.0}

        found = hypercurve.tune(train, {name: {"uniform": [0.0, 1.0]}}, trials=3)
        for frame in (found.trials, found.chosen, found.curves, found.events, found.comparison, found.importance):
            assert frame.columns.is_unique
        assert found.chosen[name].item() == found.trials[name].min() == found.best.configuration[name]
        assert found.chosen["reported_test_loss" if name == "test_loss" else "test_loss"].item() == 9.0

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"trials": 0}, "budget.trials: must be at least 1"),
            ({}, "budget: needs exactly one of trials, seconds, samples"),
            ({"trials": 5, "search": "randm"}, "methods.randm.search"),
            ({"trials": 5, "space": {"rate": {"unifrm": [0, 1]}, "epochs": 3}}, "space.rate"),
            ({"trials": 5, "space": RATE}, "space.epochs: is required"),
            ({"trials": 5, "objective": "f1"}, "objective: needs `mode`"),
            ({"trials": 5, "methods": {"pbt": {"population": {"every": 2}}}}, "populations and methods with `tasks`"),
            ({"trials": 5, "folder": "a folder"}, "may hold letters, digits"),
        ],
    )
    def test_says_what_does_not_fit(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(UserError, match=re.escape(message)):
            hypercurve.tune(train, **({"space": LOOP} | options))

    def test_of_a_plain_function_cannot_stop_early(self) -> None:
        with pytest.raises(UserError, match="check_points"):
            hypercurve.tune(lambda h: h["rate"], RATE, trials=5, stop="lcm")

    def test_leaves_results_of_something_else_alone(self, results: Path) -> None:
        before = listing(results)
        with pytest.raises(UserError, match="holds results of something else"):
            hypercurve.tune(train, LOOP, trials=3, folder=results)
        assert listing(results) == before


class TestExamples:
    def test_of_docstrings_run(self) -> None:
        import hypercurve.api.tuning

        outcome = doctest.testmod(hypercurve.api.tuning)
        assert (outcome.failed, outcome.attempted > 5) == (0, True)

    @pytest.mark.slow
    def test_of_the_documentation_run(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        outcome = doctest.testfile(str(ROOT / "docs" / "python.md"), module_relative=False)
        assert (outcome.failed, outcome.attempted > 15) == (0, True)


def test_a_notebook_keeps_its_own_number_of_threads() -> None:
    before = [library["num_threads"] for library in threadpool_info()]
    hypercurve.tune(lambda h: h["x"], {"x": {"uniform": [0.0, 1.0]}}, trials=2)
    assert [library["num_threads"] for library in threadpool_info()] == before
