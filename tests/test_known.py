"""A recorded training is a fact: whatever a results folder holds of it is used, and nothing is trained twice."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from conftest import resealed
from hypercurve.analysis import cells
from hypercurve.cli import main
from hypercurve.config.experiment import Experiment
from hypercurve.config.setting import Setting
from hypercurve.events import networks
from hypercurve.events.encoding import RawLine, encode_line, without_wall
from hypercurve.events.journal import read_lines
from hypercurve.execution.batches import run_batch, trial_table
from hypercurve.execution.mpi.worker import Worker
from hypercurve.execution.serial import execute
from hypercurve.results.runs import read_run
from hypercurve.runs.known import KnownTrainings
from hypercurve.runs.resuming import history, restart, resumable
from hypercurve.runs.run import Run
from hypercurve.runs.trial import Trial
from hypercurve.training.synthetic import SyntheticTrainer
from hypercurve.training.trainer import Report, Session, Snapshot, Trainer

LCM = {"lcm": {"check_points": [0.2, 0.4]}}
STOPS: dict[str, Any] = {
    "none": None,
    "lcm": {"lcm": {"check_points": [0.2, 0.4], "configurations": 20}},
    "asha stopping": {"asha": {"form": "stopping"}},
    "median": "median",
    "patience": {"patience": {"points": 2}},
}
"""Stoppers whose decisions do not depend on how many trials there will be."""
SEARCHES: dict[str, Any] = {
    "random": "random",
    "sobol": "sobol",
    "tpe": {"tpe": {"startup": 5}},
    "gp": {"gp": {"startup": 5, "candidates": 20}},
    "cmaes": "cmaes",
    "pso": "pso",
}


def experiment(**changes: Any) -> Experiment:
    given = {
        "data": {"name": "digits"},
        "model": "synthetic",
        "curve": "loss",
        "space": {"learning_rate": {"log_uniform": [0.001, 1.0]}, "momentum": {"uniform": [0.0, 0.9]}, "epochs": 4},
        "budget": {"trials": 20},
        "training": {"accumulation_points": 5},
        "methods": {"random": {"search": "random"}, "lcm": {"search": "random", "stop": LCM, "slots": 2}},
    }
    return Experiment.model_validate(given | changes)


class Counting(Trainer):
    """The synthetic trainer, noting every point that is really trained to."""

    def __init__(self) -> None:
        self.inner = SyntheticTrainer()
        self.trained: list[tuple[int, float]] = []

    def open(self, trial: Trial) -> Session:
        session = self.inner.open(trial)
        advance = session.advance

        def noted(progress: float) -> Report:
            self.trained.append((trial.number, progress))
            return advance(progress)

        session.advance = noted  # type: ignore[method-assign]
        return session

    def test(self, *arguments: Any) -> Any:
        return self.inner.test(*arguments)

    @property
    def trials(self) -> set[int]:
        return {trial for trial, _ in self.trained}


def carry_out(folder: Path, given: Setting, repeat: int = 0, model: str | None = None, **options: Any) -> Counting:
    """Carry out a run in an experiment's results folder; what it really trained."""
    run = Run(given, repeat, samples=1000, data="none", model=model)
    output = folder / "runs" / given.method / str(repeat) / "journal.jsonl"
    trainer = Counting()
    with resumable(output, run.header) as journal:
        execute(run, trainer, journal, known=KnownTrainings(output, run.header, **options))
    return trainer


def lines_of(folder: Path, method: str, repeat: int = 0) -> list[RawLine]:
    return read_lines(folder / "runs" / method / str(repeat) / "journal.jsonl")[0]


def events(lines: Sequence[RawLine]) -> list[RawLine]:
    return [without_wall(line) for line in lines]


def test_a_larger_budget_trains_only_what_is_new(tmp_path: Path) -> None:
    carry_out(tmp_path, experiment().setting("e", "random"))
    more = experiment(budget={"trials": 30}).setting("e", "random")
    assert carry_out(tmp_path, more).trials == set(range(20, 30))
    carry_out(tmp_path / "fresh", more)
    assert events(lines_of(tmp_path, "random")) == events(lines_of(tmp_path / "fresh", "random"))


@pytest.mark.slow
@pytest.mark.parametrize("stop", STOPS)
@pytest.mark.parametrize("search", SEARCHES)
def test_more_trials_go_on_from_the_last_line_where_decisions_do_not_depend_on_their_number(
    tmp_path: Path, search: str, stop: str
) -> None:
    if stop != "none" and search not in ("random", "tpe"):
        pytest.skip("pairs: every searcher, every stopper")
    methods = {"m": {"search": SEARCHES[search], "slots": 2, **({"stop": STOPS[stop]} if STOPS[stop] else {})}}
    before = carry_out(tmp_path, experiment(methods=methods).setting("e", "m"))
    first = lines_of(tmp_path, "m")
    after = carry_out(tmp_path, experiment(methods=methods, budget={"trials": 30}).setting("e", "m"))
    second = lines_of(tmp_path, "m")
    ended = next(number for number, line in enumerate(first) if line["event"] == "ended")
    # With fewer trials the queue is empty sooner: up to the last start, all decisions are the same.
    same = next(n for n in range(1, ended) if without_wall(first[n]) != without_wall(second[n]))
    assert max(n for n in range(ended) if any("start" in action for action in first[n]["then"])) < same
    assert not set(before.trained) & set(after.trained), "nothing is trained twice"


def test_methods_with_the_same_draws_train_their_union(tmp_path: Path) -> None:
    e = experiment()
    alone = carry_out(tmp_path / "alone", e.setting("e", "lcm"))
    carry_out(tmp_path, e.setting("e", "random"))
    after = carry_out(tmp_path, e.setting("e", "lcm"))
    assert alone.trained
    assert after.trained == []
    assert events(lines_of(tmp_path, "lcm")) == events(lines_of(tmp_path / "alone", "lcm"))
    walls = [line["wall"] for line in lines_of(tmp_path, "lcm") if line["event"] in ("reported", "completed")]
    assert {wall["reused"] for wall in walls} == {"random/0"}


def test_the_report_says_how_much_was_known_and_what_was_spent(tmp_path: Path) -> None:
    for name in ("random", "lcm"):
        carry_out(tmp_path, experiment().setting("e", name))
    runs = {name: [read_run(tmp_path / "runs" / name / "0" / "journal.jsonl")] for name in ("random", "lcm")}
    (said,) = cells.reused(runs)
    assert said.startswith("lcm: 0 of 20 trials trained here, the others known from random; 0")
    assert said.endswith("computing really spent")


def test_what_a_stopper_left_unfinished_is_gone_on_with(tmp_path: Path) -> None:
    e = experiment()
    stopped = carry_out(tmp_path, e.setting("e", "lcm"))
    after = carry_out(tmp_path, e.setting("e", "random"))
    whole = carry_out(tmp_path / "alone", e.setting("e", "random"))
    assert set(whole.trained) == {(trial, point) for trial in range(20) for point in (0.2, 0.4, 0.6, 0.8, 1.0)}
    known = {trial for trial in range(20) if (trial, 1.0) in stopped.trained}
    assert known
    assert after.trials == set(range(20)) - known
    assert events(lines_of(tmp_path, "random")) == events(lines_of(tmp_path / "alone", "random"))


@pytest.mark.parametrize(
    "change",
    [
        {"methods": {"renamed": {"search": "random"}}},
        {"methods": {"random": {"search": "random"}, "new": {"search": "random", "stop": "median"}}},
        {"description": "another question"},
        {"repeats": 3},
        {"figures": ["best"]},
        {"cost": {"step": 1.0}},
    ],
    ids=str,
)
def test_what_does_not_change_a_training_trains_nothing(tmp_path: Path, change: dict[str, Any]) -> None:
    carry_out(tmp_path, experiment().setting("e", "random"))
    changed = experiment(**change)
    for method in changed.methods:
        assert carry_out(tmp_path, changed.setting("e", method)).trained == []


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"training": {"accumulation_points": 10}}, {"training": {"threads": 2, "accumulation_points": 5}}],
    ids=str,
)
def test_what_changes_a_training_trains_anew_and_keeps_the_old(tmp_path: Path, change: dict[str, Any]) -> None:
    carry_out(tmp_path, experiment().setting("e", "random"))
    before = lines_of(tmp_path, "random")
    assert len(carry_out(tmp_path, experiment(**change).setting("e", "random")).trials) > 15  # some fail at once
    kept = [read_lines(path)[0] for path in history(tmp_path / "runs" / "random" / "0" / "journal.jsonl")]
    assert before in kept
    assert carry_out(tmp_path, experiment().setting("e", "random")).trained == [], "and it is taken again"
    assert lines_of(tmp_path, "random") == before


def test_other_code_of_the_users_is_another_training(tmp_path: Path) -> None:
    given = experiment().setting("e", "random")
    carry_out(tmp_path, given, model="0123456789abcdef")
    assert carry_out(tmp_path, given, model="fedcba9876543210").trials == set(range(20))


def test_another_repeat_is_another_training(tmp_path: Path) -> None:
    given = experiment(repeats=2).setting("e", "random")
    carry_out(tmp_path, given, repeat=0)
    assert len(carry_out(tmp_path, given, repeat=1).trials) > 15  # some fail at once


def test_failures_are_known_with_their_reasons(tmp_path: Path) -> None:
    class Failing(Counting):
        def open(self, trial: Trial) -> Session:
            if trial.number % 3 == 0:
                raise ValueError(f"no layer {trial.number}")
            return super().open(trial)

    given = experiment().setting("e", "random")
    run = Run(given, 0, samples=1000, data="none")
    with resumable(tmp_path / "runs" / "random" / "0" / "journal.jsonl", run.header) as journal:
        execute(run, Failing(), journal)
    assert carry_out(tmp_path, experiment().setting("e", "lcm")).trained == []
    failed = {line["trial"]: line["reason"] for line in lines_of(tmp_path, "lcm") if line["event"] == "failed"}
    assert failed == {trial: f"ValueError: no layer {trial}" for trial in range(0, 20, 3)}


def test_further_places_are_used_if_they_are_named_and_others_only_if_they_may(tmp_path: Path) -> None:
    given = experiment().setting("e", "random")
    carry_out(tmp_path / "other", given)
    assert carry_out(tmp_path / "here", given).trained
    assert carry_out(tmp_path / "there", given, further=[tmp_path / "other"]).trained == []
    lcm = experiment().setting("e", "lcm")
    assert carry_out(tmp_path / "other", lcm, others=False).trained


def test_a_run_that_goes_on_beside_is_looked_at_again_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hypercurve.runs.known.EVERY", 0.0)
    monkeypatch.setattr("hypercurve.runs.known.SHARE", 0.0)
    e = experiment()
    run = Run(e.setting("e", "lcm"), 0, samples=1000, data="none")
    known = KnownTrainings(tmp_path / "runs" / "lcm" / "0" / "journal.jsonl", run.header)
    configuration = encode_line(run.start())["then"][0]["configuration"]
    assert known.report(Trial(0, configuration, 0, 0), 0.2) is None
    carry_out(tmp_path, e.setting("e", "random"))
    found = known.report(Trial(0, configuration, 0, 0), 0.2)
    assert found is not None
    assert found.source == "random/0"


def test_a_killed_journal_gives_what_it_holds(tmp_path: Path) -> None:
    e = experiment()
    for method in ("random", "lcm"):
        carry_out(tmp_path / "whole", e.setting("e", method))
    content = (tmp_path / "whole" / "runs" / "random" / "0" / "journal.jsonl").read_bytes()
    for cut in range(0, len(content), 997):
        path = tmp_path / str(cut) / "runs" / "random" / "0" / "journal.partial.jsonl"
        path.parent.mkdir(parents=True)
        path.write_bytes(content[:cut])
        after = carry_out(tmp_path / str(cut), e.setting("e", "lcm"))
        held = [line for line in read_lines(path)[0] if line["event"] in ("reported", "completed", "failed")]
        over = {line["trial"] for line in held if line["event"] != "reported"}
        # Without a snapshot, a training begins anew; of those that are over, only the chosen one may, to be tested.
        assert len(over & after.trials) <= 1
        assert events(lines_of(tmp_path / str(cut), "lcm")) == events(lines_of(tmp_path / "whole", "lcm"))


def test_a_run_starts_over_from_its_known_trainings(tmp_path: Path) -> None:
    given = experiment().setting("e", "random")
    carry_out(tmp_path, given)
    output = tmp_path / "runs" / "random" / "0" / "journal.jsonl"
    before = output.read_bytes()
    aside = restart(output)
    assert not output.exists()
    assert [path.read_bytes() for path in aside] == [before]
    assert carry_out(tmp_path, given).trained == []
    assert output.read_bytes() != before, "decided anew, at another time"
    assert events(lines_of(tmp_path, "random")) == events([json.loads(line) for line in before.splitlines()])


@pytest.fixture
def cli_run(tmp_path: Path, prepared: Path) -> Iterator[Any]:
    def search(given: Setting, *options: str, ranks: int = 0) -> Path:
        folder = tmp_path / "runs" / given.method
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "setting.json").write_text(given.model_dump_json())
        output = folder / "0" / "journal.jsonl"
        arguments = ["search", str(folder / "setting.json"), "--data", str(prepared), "-o", str(output), *options]
        if not ranks:
            assert main(arguments) == 0
            return output
        command = ["mpiexec", "--oversubscribe", "-n", str(ranks), sys.executable, "-m", "hypercurve", *arguments]
        subprocess.run(
            [*command, "--tasks", str(ranks)], check=True, capture_output=True, timeout=120, env={**os.environ}
        )
        return output

    return search  # type: ignore[return-value]


@pytest.mark.slow
@pytest.mark.parametrize("order", ["virtual", "arrival"])
@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_ranks_train_nothing_that_is_known_and_what_is_partly_known_from_there(
    tmp_path: Path, cli_run: Any, ranks: int, order: str
) -> None:
    methods: dict[str, Any] = {"random": {"search": "random"}}
    methods["lcm"] = {"search": "random", "stop": LCM, "slots": 3, "order": order}
    e = experiment(methods=methods)
    cli_run(e.setting("e", "random"))
    output = cli_run(e.setting("e", "lcm"), ranks=ranks)
    walls = [line["wall"] for line in read_lines(output)[0] if line["event"] in ("reported", "completed")]
    assert {wall.get("reused") for wall in walls} == {"random/0"}
    whole = cli_run(
        experiment(methods={"all": {"search": "random", "slots": 3, "order": order}}).setting("e", "all"), ranks=ranks
    )
    assert {line["wall"].get("reused") for line in read_lines(whole)[0] if line["event"] == "completed"} == {"random/0"}
    more = experiment(methods=methods, budget={"trials": 30}).setting("e", "lcm")
    trained = {
        line["trial"]
        for line in read_lines(cli_run(more, ranks=ranks))[0]
        if "reused" not in line.get("wall", {"reused": 0}) and line["event"] in ("reported", "completed")
    }
    assert trained
    assert trained <= set(range(20, 30))


def test_what_members_of_a_population_report_is_of_no_other_training(tmp_path: Path) -> None:
    population = {"members": 8, "every": 500, "explore": {}}
    methods: dict[str, Any] = {"random": {"search": "random"}, "pbt": {"population": population}}
    e = experiment(methods=methods, space={"learning_rate": {"log_uniform": [0.001, 0.1]}, "epochs": 4})
    run = Run(e.setting("e", "pbt"), 0, samples=1000, data="none")
    header = Run(e.setting("e", "random"), 0, samples=1000, data="none").header
    assert run.header.training != header.training, "they report at other points, and on a part of the validation"
    # Nor is a journal of one that has the same name for its trainings, once a member has copied another.
    first = encode_line(Run(e.setting("e", "random"), 0, samples=1000, data="none").start())
    started = first["then"][0]
    copy = {"copy": 0, "from": 1, "at": 0.2, "configuration": {**started["configuration"], "learning_rate": 0.05}}
    lines = [
        first,
        {"event": "started", "trial": 0, "time": 0.0, "then": [{"continue": 0}]},
        {"event": "reported", "trial": 0, "progress": 0.2, "metrics": {"loss": 1.0}, "time": 1.0, "then": [copy]},
        {"event": "reported", "trial": 0, "progress": 0.4, "metrics": {"loss": 0.5}, "time": 2.0, "then": []},
    ]
    path = tmp_path / "runs" / "pbt" / "0" / "journal.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    known = KnownTrainings(tmp_path / "runs" / "random" / "0" / "journal.jsonl", header)
    trial = Trial(0, started["configuration"], 0, 0)
    assert known.report(trial, 0.2) is not None
    assert known.report(trial, 0.4) is None


@pytest.mark.parametrize("stop_after", [0.4, 0.8, 1.0])
@pytest.mark.parametrize("batch", [False, True])
def test_a_run_that_goes_on_beside_may_be_ahead_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: bool, stop_after: float
) -> None:
    """Another run reports what this one is about to train to; then this one goes on, with no point left out."""
    monkeypatch.setattr("hypercurve.runs.known.EVERY", 0.0)
    monkeypatch.setattr("hypercurve.runs.known.SHARE", 0.0)
    methods = {"random": {"search": "random"}, "again": {"search": "random"}}
    e = experiment(budget={"trials": 2}, methods=methods)
    carry_out(tmp_path / "whole", e.setting("e", "random"))
    lines = (tmp_path / "whole" / "runs" / "random" / "0" / "journal.jsonl").read_bytes().splitlines(keepends=True)
    until = next(
        n for n, line in enumerate(map(json.loads, lines)) if line.get("progress", 1.0) >= stop_after and n > 1
    )

    class Overtaken(Counting):
        def open(self, trial: Trial) -> Session:
            session = super().open(trial)
            advance = session.advance

            def overtaken(progress: float) -> Report:
                if progress == 0.2 and trial.number == 0:
                    path = tmp_path / "runs" / "random" / "0" / "journal.partial.jsonl"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(b"".join(lines[: until + 1]))
                return advance(progress)

            session.advance = overtaken  # type: ignore[method-assign]
            return session

    run, trainer = Run(e.setting("e", "again"), 0, samples=1000, data="none"), Overtaken()
    output = tmp_path / "runs" / "again" / "0" / "journal.jsonl"
    known = KnownTrainings(output, run.header)
    if batch:
        output = output.parent / "batches" / "0.jsonl"
        with resumable(output, run.batch_header(0)) as journal:
            run_batch(run, trial_table(run.setting, 0), trainer, journal, 0, known)
    else:
        with resumable(output, run.header) as journal:
            execute(run, trainer, journal, known=known)
        assert events(lines_of(tmp_path, "again")) == [
            {**line, "method": "again", "setting": run.header.setting} if line["event"] == "run" else line
            for line in events([json.loads(line) for line in lines])
        ]
    points = [point for trial, point in trainer.trained if trial == 0]
    assert known.used == {"random/0": {0}}
    assert points[:5] in ([0.2], [0.2, 0.4, 0.6, 0.8, 1.0]), "losses are means since the last point"
    tested = [json.loads(line) for line in output.read_bytes().splitlines()][-1]
    assert (tested["trial"], tested["metrics"]) == tuple(json.loads(lines[-1])[key] for key in ("trial", "metrics"))


def test_a_batch_that_goes_on_writes_no_line_twice(tmp_path: Path) -> None:
    given = experiment(budget={"trials": 4}).setting("e", "random")
    whole = tmp_path / "whole" / "random" / "0" / "batches" / "0.jsonl"

    def batch(output: Path) -> None:
        run = Run(given, 0, samples=1000, data="none")
        with resumable(output, run.batch_header(0)) as journal:
            known = KnownTrainings(output.parents[1] / "journal.jsonl", run.header)
            run_batch(run, trial_table(given, 0), Counting(), journal, 0, known)

    batch(whole)
    content = whole.read_bytes()
    for cut in range(0, len(content), 331):
        output = tmp_path / str(cut) / "runs" / "random" / "0" / "batches" / "0.jsonl"
        output.parent.mkdir(parents=True)
        output.with_name("0.partial.jsonl").write_bytes(content[:cut])
        batch(output)
        assert events(read_lines(output)[0]) == events(read_lines(whole)[0])


def test_sessions_of_a_batch_are_closed_when_their_trials_have_failed(tmp_path: Path) -> None:
    closed: set[int] = set()

    class Diverging(Counting):
        def open(self, trial: Trial) -> Session:
            session = super().open(trial)
            session.advance = lambda progress: Report(progress, {"loss": float("nan")})  # type: ignore[method-assign]
            session.close = lambda: closed.add(trial.number)  # type: ignore[method-assign]
            return session

    given = experiment(budget={"trials": 4}).setting("e", "random")
    run = Run(given, 0, samples=1000, data="none")
    with resumable(tmp_path / "0.jsonl", run.batch_header(0)) as journal:
        run_batch(run, trial_table(given, 0), Diverging(), journal, 0)
    assert closed == set(range(4))


@pytest.mark.slow
@pytest.mark.parametrize("order", ["virtual", "arrival"])
@pytest.mark.parametrize("ranks", [1, 3])
def test_ranks_may_be_overtaken_by_a_run_beside(tmp_path: Path, ranks: int, order: str) -> None:
    methods: dict[str, Any] = {"random": {"search": "random"}}
    methods["lcm"] = {"search": "random", "stop": LCM, "slots": 3, "order": order}
    e = experiment(methods=methods)
    carry_out(tmp_path / "whole", e.setting("e", "random"))
    lines = (tmp_path / "whole" / "runs" / "random" / "0" / "journal.jsonl").read_bytes().splitlines(keepends=True)
    part = [line for line in lines if json.loads(line).get("trial", 0) % 3 or json.loads(line).get("progress", 0) < 0.7]
    (tmp_path / "part").write_bytes(resealed(part))
    output = tmp_path / "runs" / "lcm" / "0" / "journal.jsonl"
    given = e.setting("e", "lcm")
    cases = [{"setting": given.model_dump(mode="json"), "journal": str(output), "trainer": "overtaken", "known": True}]
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    program = Path(__file__).with_name("mpi_search_program.py")
    command = ["mpiexec", "--oversubscribe", "-n", str(ranks), sys.executable, str(program), str(ranks), "cases.json"]
    there = tmp_path / "runs" / "random" / "0" / "journal.partial.jsonl"
    environment = {**os.environ, "OVERTAKEN": str(there), "OVERTAKING": str(tmp_path / "part")}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    found = read_lines(output)[0]
    reused = [line["wall"].get("reused") for line in found if line["event"] in ("reported", "completed")]
    assert set(reused) == {None, "random/0"}
    if order == "virtual":
        carry_out(tmp_path / "alone", given)
        assert events(found) == events(lines_of(tmp_path / "alone", "lcm"))
    else:
        again = Run(given, 0, samples=1000, data="none")
        again.fold(found, "journal")
        assert again.complete


@pytest.mark.slow
def test_the_rank_that_has_the_chosen_network_writes_its_file_and_says_so(tmp_path: Path) -> None:
    given = Experiment.model_validate(
        {
            "model": {"loop": "user_models:Loop"},
            "objective": {"metric": "error", "mode": "min"},
            "space": {"learning_rate": {"log_uniform": [0.001, 0.4]}, "epochs": 5},
            "budget": {"trials": 8},
            "training": {"accumulation_points": 5},
            "methods": {"m": {"search": "random", "slots": 3}},
        }
    ).setting("e", "m")
    (tmp_path / "setting.json").write_text(given.model_dump_json())
    found = []
    for ranks in (0, 3):
        start = ["mpiexec", "--oversubscribe", "-n", str(ranks)] if ranks else []
        output = tmp_path / str(ranks) / "journal.jsonl"
        command = [
            *start,
            sys.executable,
            "-m",
            "hypercurve",
            "search",
            str(tmp_path / "setting.json"),
            "-o",
            str(output),
        ]
        command += ["--tasks", str(ranks)] if ranks else []
        subprocess.run(command, check=True, cwd=Path(__file__).parent, capture_output=True, timeout=120)
        found.append(read_lines(output)[0])
        assert networks.problem(output.parent, found[-1][-1]["wall"]["network"]) is None
        assert sorted(path.name for path in output.parent.iterdir()) == [
            "best.npz",
            "history",
            "journal.jsonl",
            "journal.states",
        ]
    assert events(found[0]) == events(found[1])
    assert found[0][-1]["wall"]["network"]["file"] == found[1][-1]["wall"]["network"]["file"] == "best.npz"


class Writing(Counting):
    """Writes the network of a trial as a file."""

    def export(self, trial: Trial, snapshot: Snapshot, folder: Path) -> Path:
        path = folder / "best.bin"
        path.write_text(f"{trial.number} {snapshot.weights}")
        networks.keep_only(path)
        return path


def test_a_journal_that_comes_back_brings_its_network_and_a_superseded_one_leaves_none(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "random" / "0"
    output = folder / "journal.jsonl"
    found: dict[str, str] = {}
    for name, trials in (("small", 5), ("large", 20), ("small", 5), ("large", 20), ("again", 25)):
        given = experiment(budget={"trials": trials}).setting("e", "random")
        run, trainer = Run(given, 0, samples=1000, data="none"), Writing()
        with resumable(output, run.header) as journal:
            execute(run, trainer, journal, known=KnownTrainings(output, run.header))
        said = read_lines(output)[0][-1]["wall"]["network"]
        assert networks.problem(folder, said) is None
        content = (folder / "best.bin").read_text()
        assert content.split()[0] == str(run.best.number if run.best else None)
        assert trainer.trained == [] or name not in found
        assert found.setdefault(name, content) == content
    assert found["small"] != found["large"] == found["again"], "or this test tests nothing"
    # Of a run whose chosen trial was known, but not its network, no other's is left beside the journal.
    for path in (folder / "history").glob("*.best.bin"):
        path.unlink()
    (folder / "best.bin").write_text("somebody's")
    run, trainer = (
        Run(experiment(budget={"trials": 22}).setting("e", "random"), 0, samples=1000, data="none"),
        Writing(),
    )
    with resumable(output, run.header) as journal:
        execute(run, trainer, journal, known=KnownTrainings(output, run.header))
    assert "network" not in read_lines(output)[0][-1]["wall"]
    assert networks.find(folder) is None
    assert [path.read_text() for path in (folder / "history").glob("*.best.bin")] == ["somebody's"]


def test_a_damaged_journal_of_the_history_is_passed_over_and_what_it_holds_before_is_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = experiment().setting("e", "random")
    carry_out(tmp_path, given)
    output = tmp_path / "runs" / "random" / "0" / "journal.jsonl"
    before = events(lines_of(tmp_path, "random"))
    (kept,) = history(output)
    lines = kept.read_bytes().splitlines(keepends=True)
    output.unlink()
    kept.unlink()
    kept.write_bytes(b"".join([*lines[:60], b'{"event": \xff}\n', *lines[61:]]))
    trained = carry_out(tmp_path, given).trained
    assert f"{kept}:61: damaged line" in capsys.readouterr().err
    assert trained
    held = {json.loads(line)["trial"] for line in lines[:60] if b'"completed"' in line or b'"failed"' in line}
    assert not held & {trial for trial, _ in trained} or len(held & {trial for trial, _ in trained}) == 1
    assert events(lines_of(tmp_path, "random")) == before


def test_a_finished_journal_that_nobody_has_kept_is_kept_before_another_takes_its_place(tmp_path: Path) -> None:
    output = tmp_path / "runs" / "random" / "0" / "journal.jsonl"
    carry_out(tmp_path, experiment(seed=1).setting("e", "random"))
    before = output.read_bytes()
    for path in history(output):
        path.unlink()
    carry_out(tmp_path, experiment().setting("e", "random"))
    assert before in [path.read_bytes() for path in history(output)]


def test_a_rank_keeps_what_it_saved_of_a_trial_until_its_end_is_written() -> None:
    said: list[str] = []

    class Saying(Counting):
        def open(self, trial: Trial) -> Session:
            session = super().open(trial)
            session.rest = lambda: said.append("rest")  # type: ignore[method-assign]
            session.close = lambda: said.append("close")  # type: ignore[method-assign]
            return session

    run = Run(
        experiment(space={"learning_rate": 0.1, "epochs": 4}).setting("e", "random"), 0, samples=1000, data="none"
    )
    worker = Worker(run, Saying(), 1)
    worker.start(0, {"learning_rate": 0.1, "epochs": 4}, [], 5, 0.0)
    while (number := worker.choose()) is not None:
        worker.advance(number)
    assert said == ["rest"]
    worker.release(0, best=False)
    assert said == ["rest", "close"]


def test_the_network_of_a_further_place_is_taken_with_its_training(tmp_path: Path) -> None:
    given, found = experiment().setting("e", "random"), list[Any]()
    for folder, further in ((tmp_path / "other", []), (tmp_path / "here", [tmp_path / "other"])):
        output, run, trainer = (
            folder / "runs" / "random" / "0" / "journal.jsonl",
            Run(given, 0, samples=1000, data="none"),
            Writing(),
        )
        with resumable(output, run.header) as journal:
            execute(run, trainer, journal, known=KnownTrainings(output, run.header, further=further))
        found.append(read_lines(output)[0][-1]["wall"].get("network"))
    assert trainer.trained == []
    assert found[0] == found[1] is not None
