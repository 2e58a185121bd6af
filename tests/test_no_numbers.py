"""Numbers that are none: what fails a trial, and what is missing at a point; and trainings that are wanted again."""

import json
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

import hypercurve
from hypercurve.config.data import NO_DATA
from hypercurve.config.doubts import doubts
from hypercurve.config.experiment import Experiment
from hypercurve.config.files import read_experiment
from hypercurve.events.journal import Journal, read_lines
from hypercurve.execution.advance import ReportCheck
from hypercurve.execution.batches import batch_of, run_batch, trial_table
from hypercurve.execution.serial import execute
from hypercurve.runs.known import KnownTrainings
from hypercurve.runs.run import Run
from hypercurve.training.synthetic import SyntheticTrainer
from hypercurve.training.trainer import Report
from results_data import call

NAN, INF = math.nan, math.inf
X = {"x": {"uniform": [0.0, 1.0]}}


class TestWhatFailsATrial:
    REWARD = ReportCheck("val_reward", curve="val_reward", network=False)
    LOSS = ReportCheck("val_reward", network=False)

    @pytest.mark.parametrize(
        ("check", "metrics", "progress", "told", "reason"),
        [
            (REWARD, {"loss": 1.0, "val_reward": NAN}, 0.1, False, None),  # late
            (REWARD, {"loss": 1.0}, 0.5, True, None),  # not measured here
            (REWARD, {"loss": 1.0, "val_reward": NAN}, 0.5, True, "diverged: val_reward is nan"),
            (REWARD, {"loss": 1.0, "val_reward": -INF}, 0.1, False, "diverged: val_reward is -inf"),
            (REWARD, {"loss": NAN, "val_reward": 1.0}, 0.5, True, None),  # not judged
            (REWARD, {"loss": INF, "val_reward": 1.0, "other": NAN}, 1.0, True, None),
            (REWARD, {"loss": 1.0, "val_reward": NAN}, 1.0, False, "val_reward, the objective, is nan at the end"),
            (LOSS, {"loss": 1.0, "val_reward": NAN}, 0.5, True, None),
            (LOSS, {"loss": NAN, "val_reward": 1.0}, 0.1, False, "diverged: loss is nan"),
            (LOSS, {"loss": INF}, 0.1, False, "diverged: loss is inf"),
            (LOSS, {"loss": 1.0, "val_reward": INF}, 1.0, True, "val_reward, the objective, is inf at the end"),
            (ReportCheck("val_loss", curve="val_loss"), {"val_loss": NAN}, 0.1, False, "diverged: val_loss is nan"),
            (ReportCheck("val_x", curve="val_x"), {"loss": NAN}, 0.1, False, "diverged: loss is nan"),  # a network
            (
                ReportCheck("val_x", always=True),
                {"loss": 1.0, "val_x": NAN},
                0.1,
                False,
                "val_x, the objective, is nan",
            ),
        ],
    )
    def test_the_rule(
        self, check: ReportCheck, metrics: dict[str, float], progress: float, told: bool, reason: str | None
    ) -> None:
        assert check.failure(Report(progress, metrics), told) == reason

    def test_a_bound_needs_a_number_at_the_end(self) -> None:
        given = {"model": {"loop": "m:f"}, "objective": {"metric": "loss"}, "space": {**X, "epochs": 2}}
        rest = {"budget": {"trials": 1}, "methods": {"a": {"search": "random"}}, "constraints": {"val_p": {"min": 0.5}}}
        check = ReportCheck.of(Experiment.model_validate(given | rest).setting("e", "a"))
        report = {"loss": 1.0, "val_loss": 1.0, "val_p": NAN}
        assert check.failure(Report(0.5, report)) is None
        reason = check.failure(Report(1.0, report))
        assert reason is not None
        assert reason.startswith("the trainer reported no val_p, on which there is a bound; it reported loss, val_loss")


@pytest.mark.parametrize("late", [NAN, None, "absent"])
def test_a_reward_may_come_late(late: Any) -> None:
    def train(h: dict[str, Any], context: Any) -> Iterator[dict[str, Any]]:
        for epoch in range(context.epochs):
            reward = h["x"] if epoch >= 2 or h["x"] <= 0.5 else late
            yield {"loss": 1 / (epoch + 1)} | ({} if reward == "absent" else {"val_reward": reward})

    found = hypercurve.tune(
        train, {**X, "epochs": 10}, trials=20, objective={"metric": "reward", "mode": "max"}, stop="median"
    )
    assert "failed" not in set(found.trials["status"])
    assert found.chosen["x"].item() == found.trials["x"].max()
    first = found.curves[found.curves["progress"] == 0.1].set_index("trial")["val_reward"]
    assert (first.isna() == (found.trials.set_index("trial")["x"] > 0.5)).all(), "an empty cell, and no other"


def test_a_metric_that_is_not_judged_is_missing_where_it_is_no_number() -> None:
    def function(h: dict[str, Any]) -> dict[str, float]:
        return {"loss": h["x"], "precision": NAN if h["x"] < 0.5 else 0.9, "recall": INF}

    found = hypercurve.tune(function, X, trials=20)
    assert set(found.trials["status"]) == {"completed"}
    assert found.chosen["x"].item() == found.trials["x"].min()
    assert (found.curves["precision"].isna() == (found.curves["loss"] < 0.5)).all()


def test_a_loss_that_is_no_number_fails_and_so_does_an_objective_at_the_end() -> None:
    def diverges(h: dict[str, Any], context: Any) -> Iterator[float]:
        yield from (1.0, 0.5, NAN, 0.1)

    with pytest.warns(UserWarning, match="diverged: val_loss is nan"):
        found = hypercurve.tune(diverges, {**X, "epochs": 4}, trials=2)
    assert set(found.trials["progress"]) == {0.8}
    with pytest.warns(UserWarning, match="val_reward, the objective, is nan at the end"):
        hypercurve.tune(
            lambda h: {"loss": 1.0, "val_reward": NAN},
            X,
            trials=2,
            objective={"metric": "reward", "mode": "max"},
            fail_fast=False,
        )


PROGRAM = """#!/bin/sh
printf '{"loss": 1.0, "val_reward": %s, "nan": 3}\\n' "$1"
printf '{"loss": 0.5, "val_reward": 2.0, "val_p": -nan(0x7f), "val_q":inf, "val_r": -Infinity}\\n'
"""


@pytest.mark.slow
@pytest.mark.parametrize("text", ["nan", "-nan", "NAN", "nan(ind)", "NaN", "null"])
def test_what_c_prints_for_nan_is_nan(tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    program = tmp_path / "program"
    program.write_text(PROGRAM)
    program.chmod(0o755)
    found = printed(tmp_path, [str(program), text])
    assert [line["metrics"] for line in found if "metrics" in line][:2] == [
        {"loss": 1.0, "nan": 3.0},
        {"loss": 0.5, "val_reward": 2.0},
    ]


@pytest.mark.slow
def test_infinity_in_the_loss_has_its_own_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\necho '{\"loss\": -inf}'\n")
    program.chmod(0o755)
    found = printed(tmp_path, [str(program)], curve="loss")
    assert [line["reason"] for line in found if line["event"] == "failed"] == ["diverged: loss is -inf"]


def printed(folder: Path, command: list[str], **changes: Any) -> list[dict[str, Any]]:
    """The journal of a run of one trial of a program."""
    experiment = {"model": {"command": command}, "space": {"epochs": 2}, "budget": {"trials": 1}}
    experiment |= {"objective": {"metric": "reward", "mode": "max"}, "methods": {"a": {"search": "random"}}}
    setting = Experiment.model_validate(experiment | changes).setting("e", "a")
    (folder / "runs" / "a").mkdir(parents=True)
    (folder / "runs" / "a" / "setting.json").write_text(setting.model_dump_json())
    call("search", folder / "runs" / "a" / "setting.json", "-o", folder / "runs" / "a" / "0" / "journal.jsonl")
    return read_lines(folder / "runs" / "a" / "0" / "journal.jsonl")[0]


@pytest.mark.slow
class TestRepeats:
    SPACE: ClassVar = {"a": {"choice": ["x", "y"]}, "b": {"choice": [1, 2, 3]}}

    @pytest.mark.parametrize("search", ["random", "tpe", "cmaes", "pso", "gp", "sobol"])
    @pytest.mark.parametrize("slots", [1, 4])
    def test_a_configuration_is_trained_once_and_that_is_said(self, search: str, slots: int) -> None:
        trained: Counter[str] = Counter()

        def function(h: dict[str, Any]) -> float:
            trained[json.dumps(h, sort_keys=True)] += 1
            return float(h["b"] + (h["a"] == "x"))

        with pytest.warns(UserWarning, match="30 trials, but the space has 6 combinations"):
            found = hypercurve.tune(function, self.SPACE, trials=30, search=search, slots=slots)
        assert len(found.trials) == 30
        assert set(trained.values()) == {1}
        assert found.trials.groupby(["a", "b"])["performance"].nunique().max() == 1
        assert found.trials["performance"].tolist() == (found.trials["b"] + (found.trials["a"] == "x")).tolist()

    @pytest.mark.parametrize("stop", ["asha", {"asha": {"form": "stopping"}}, "lcm", "median", "hyperband"])
    def test_no_epoch_is_trained_twice_under_a_stopper_either(self, stop: Any) -> None:
        trained: Counter[Any] = Counter()

        def train(h: dict[str, Any], context: Any) -> Iterator[float]:
            for epoch in range(context.epochs):
                trained[h["b"], epoch, context.seed] += 1
                yield h["b"] + context.seed / 2**40 + 1 / (epoch + 1)

        with pytest.warns(UserWarning, match="combinations"):
            found = hypercurve.tune(train, {"b": {"choice": [1, 2, 3, 4]}, "epochs": 10}, trials=25, stop=stop)
        seeds = {(b, seed) for b, _, seed in trained}
        assert len(seeds) <= 4, "one seed for each configuration"
        ended = found.curves.groupby(["trial"])["loss"].apply(tuple)
        values = found.trials.set_index("trial")["b"]
        for b in (1, 2, 3, 4):
            curves = sorted((ended[n] for n in ended.index if values[n] == b), key=len)
            assert all(
                longer[: len(curve)] == curve for curve in curves for longer in curves if len(longer) >= len(curve)
            )

    def test_trials_of_constants_alone_differ_in_their_seeds(self) -> None:
        seeds: set[int] = set()
        hypercurve.tune(lambda h, context: seeds.add(context.seed) or 1.0, {"x": 3}, trials=5)  # type: ignore[func-returns-value]
        assert len(seeds) == 5

    def test_check_says_it_and_goes_on(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        path = tmp_path / "few.yaml"
        path.write_text(
            "data: {name: digits}\nmodel: dense\nspace: {units: {choice: [8, 16]}, batch_size: {integer: [30, 32]}}\n"
            "budget: {trials: 7}\nmethods: {random: {search: random}, grid: {search: grid}}\n"
        )
        call("check", path)
        said = capsys.readouterr()
        assert "methods.random: 7 trials, but the space has 6 combinations" in said.err
        assert "grid" not in said.err
        assert "ok" in said.out
        path.write_text(path.read_text().replace("trials: 7", "trials: 6"))
        assert not list(doubts(read_experiment(path)))

    @pytest.mark.parametrize(
        ("trials", "stop", "curves"),
        [
            (10, "lcm", 2),
            (9, "lcm", 1),
            (29, "lcm", 3),
            (30, "lcm", None),
            (10, "{lcm: {split: 0.4}}", None),
            (10, "{lcm: {configurations: 60}}", None),
            (10, "asha", None),
        ],
    )
    def test_few_curves_for_lcm_are_doubted(self, tmp_path: Path, trials: int, stop: str, curves: int | None) -> None:
        path = tmp_path / "few.yaml"
        path.write_text(
            "data: {name: digits}\nmodel: dense\nspace: {learning_rate: {uniform: [0.1, 0.2]}}\n"
            f"budget: {{trials: {trials}}}\nmethods: {{m: {{search: random, stop: {stop}}}}}\n"
        )
        said = list(doubts(read_experiment(path)))
        assert len(said) == (curves is not None)
        assert all(f"matched with {curves} completed curve" in one for one in said)

    @pytest.mark.parametrize("batches", [1, 3])
    def test_batches_train_none_twice_and_give_the_same_journal(self, tmp_path: Path, batches: int) -> None:
        experiment = {
            "data": {"name": "digits"},
            "model": "synthetic",
            "space": {"batch_size": {"choice": [32, 64, 128]}, "epochs": {"choice": [1, 2]}},
            "budget": {"trials": 20},
            "methods": {"a": {"search": "random", "slots": 3}},
        }
        setting = Experiment.model_validate(experiment).setting("e", "a")

        def new() -> Run:
            return Run(setting, 0, samples=1000, data=NO_DATA)

        table = trial_table(setting, 0)
        assert len(table) == 6
        folder = tmp_path / "runs" / "a" / "0"
        (folder / "batches").mkdir(parents=True)
        for number in range(batches):
            with Journal(folder / "batches" / f"{number}.jsonl") as journal:
                run_batch(new(), batch_of(table, number, batches), SyntheticTrainer(), journal, number)
        for name, known in (("journal", KnownTrainings(folder / "journal.jsonl", new().header)), ("alone", None)):
            with Journal(folder / f"{name}.jsonl") as journal:
                execute(new(), SyntheticTrainer(), journal, known=known)
        one, other = (
            [{key: value for key, value in line.items() if key != "wall"} for line in read_lines(folder / name)[0]]
            for name in ("journal.jsonl", "alone.jsonl")
        )
        assert one == other
