"""Searches over MPI: on any number of ranks, whatever is killed when, the journal is the serial executor's."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from conftest import MPIEXEC, QUIET, needs_mpi, resealed
from hypercurve.config.setting import Setting
from hypercurve.events.journal import read_lines
from hypercurve.runs.run import Run
from test_runs import LCM, REAL, events, run, setting

PROGRAM = Path(__file__).with_name("mpi_search_program.py")
ENVIRONMENT = QUIET | {"PRTE_MCA_hwloc_default_binding_policy": "none"}
Case = tuple[Setting, Path, str]
ANY = -1  # rank
PAUSING = ["halving", {"hyperband": {"reduction_factor": 2}}, "asha"]

pytestmark = [pytest.mark.slow, needs_mpi]


def start(ranks: int, folder: Path, cases: Iterable[Case], tasks: int | None = None, **environment: str) -> Any:
    """Start the program under mpiexec, or alone for no ranks."""
    listed = [
        {"setting": given.model_dump(mode="json"), "journal": str(journal), "trainer": trainer}
        | ({"data": trainer} if "/" in trainer else {})
        for given, journal, trainer in cases
    ]
    (folder / "cases.json").write_text(json.dumps(listed))
    launcher = [str(MPIEXEC), "--oversubscribe", "-n", str(ranks)] if ranks else []
    return subprocess.Popen(
        [*launcher, sys.executable, str(PROGRAM), str(tasks or ranks or 1), str(folder / "cases.json")],
        env={**os.environ, **ENVIRONMENT, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def carry_out(ranks: int, folder: Path, *cases: Case, **options: Any) -> None:
    process = start(ranks, folder, cases, **options)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output


def workers(path: Path) -> set[int]:
    return {line["wall"]["worker"] for line in read_lines(path)[0] if line["event"] in ("reported", "completed")}


@pytest.mark.parametrize("ranks", [0, 1, 3, 5])
def test_journals_equal_the_serial_executors_on_any_number_of_ranks(tmp_path: Path, ranks: int) -> None:
    ways = list(product(("random", {"grid": {"points": 3}}, "sobol"), (None, LCM), (1, 4)))
    settings = [setting(search=search, stop=stop, slots=slots) for search, stop, slots in ways]
    settings.append(
        setting(stop={"lcm": {"check_points": [0.2], "configurations": 20}}, slots=3, budget={"samples": 3e4})
    )
    settings += [
        setting(stop=stop, slots=slots)
        for stop in (*PAUSING, {"asha": {"form": "stopping"}}, "median")
        for slots in (1, 4)
    ]
    settings += [setting(stop=stop, slots=3, budget={"samples": 6e4}) for stop in PAUSING[1:]]
    cases = [(given, tmp_path / f"{number}.jsonl", "plain") for number, given in enumerate(settings)]
    slow = [
        (setting(stop=stop, slots=slots), tmp_path / f"slow-{number}-{slots}.jsonl", "slow")
        for number, stop in enumerate((LCM, *PAUSING))
        for slots in (2, 11)
    ]
    carry_out(ranks, tmp_path, *cases, *slow)
    for given, path, _ in [*cases, *slow]:
        run(given, tmp_path / "serial.jsonl")
        assert events(path) == events(tmp_path / "serial.jsonl"), f"{given.search} {given.stop} {given.slots}"
        (tmp_path / "serial.jsonl").unlink()
    for _, path, _ in slow:
        assert workers(path) == set(range(ranks or 1)), "every rank takes part"


FEW = {
    "batch_size": {"choice": [32, 64, 128, 512], "ordered": True},
    "epochs": {"choice": [0.2, 0.5, 3], "ordered": True},
}


@pytest.mark.parametrize("ranks", [0, 3])
def test_few_steps_and_few_configurations_are_the_same_on_any_number_of_ranks(tmp_path: Path, ranks: int) -> None:
    """Trials have 1 to 94 steps, so that they report at points of their own, and the same training is wanted again."""
    rate = {"learning_rate": {"uniform": [0.0, 1.0]}}
    ways = product((FEW, FEW | rate), (None, LCM, *PAUSING, {"asha": {"form": "stopping"}}, "patience"), (1, 4))
    settings = [setting(space=space, stop=stop, slots=slots) for space, stop, slots in ways]
    cases = [(given, tmp_path / f"{number}.jsonl", "slow") for number, given in enumerate(settings)]
    carry_out(ranks, tmp_path, *cases)
    for given, path, _ in cases:
        run(given, tmp_path / "serial.jsonl")
        assert events(path) == events(tmp_path / "serial.jsonl"), f"{given.stop} {given.slots}"
        (tmp_path / "serial.jsonl").unlink()


@pytest.mark.parametrize("ranks", [3])
def test_searchers_that_learn_suggest_the_same_on_any_number_of_ranks(tmp_path: Path, ranks: int) -> None:
    """No rank knows the next configuration before its turn, and what is told is told in virtual order."""
    cases = [
        (setting(search=search, stop=stop, slots=4), tmp_path / f"{search}-{number}.jsonl", "slow")
        for number, (search, stop) in enumerate(product(("tpe", "gp", "cmaes", "pso"), (None, LCM, "halving")))
    ]
    carry_out(ranks, tmp_path, *cases)
    for given, path, _ in cases:
        run(given, tmp_path / "serial.jsonl")
        assert events(path) == events(tmp_path / "serial.jsonl"), path.name
        (tmp_path / "serial.jsonl").unlink()


@pytest.mark.parametrize("ranks", [3])
def test_journals_cut_anywhere_are_gone_on_with_by_other_numbers_of_ranks(tmp_path: Path, ranks: int) -> None:
    cases = []
    for number, (stop, slots) in enumerate([(None, 3), (LCM, 1), (LCM, 4), *((stop, 4) for stop in PAUSING)]):
        given = setting(stop=stop, slots=slots, budget={"trials": 20})
        whole = tmp_path / f"whole-{number}.jsonl"
        run(given, whole)
        content = whole.read_bytes()
        for cut in (0, 200, len(content) // 3, len(content) // 2, len(content) - 400, len(content) - 150, len(content)):
            path = tmp_path / f"{number}-{cut}.jsonl"
            path.write_bytes(content[:cut])
            cases.append((given, path, "plain"))
    carry_out(ranks, tmp_path, *cases)
    for _, path, _ in cases:
        assert events(path) == events(tmp_path / f"whole-{path.name[0]}.jsonl"), path.name


def test_a_trial_that_does_not_come_out_as_before_ends_the_run(tmp_path: Path) -> None:
    given = setting(slots=3)
    run(given, tmp_path / "whole.jsonl")
    lines = (tmp_path / "whole.jsonl").read_text().splitlines(keepends=True)
    last = next(n for n, line in enumerate(lines) if n > 20 and '"event":"reported"' in line)
    line = json.loads(lines[last])
    line["metrics"]["loss"] += 1e-9
    (tmp_path / "journal.jsonl").write_bytes(resealed([*lines[:last], line]))
    process = start(2, tmp_path, [(given, tmp_path / "journal.jsonl", "plain")])
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "training again gave" in output


def test_in_order_of_arrival_runs_complete_and_their_journals_can_be_driven_again(tmp_path: Path) -> None:
    settings = [
        setting(stop=stop, slots=slots, order="arrival", **more)
        for stop, slots, more in [
            (None, 1, {}),
            (LCM, 4, {}),
            (LCM, 11, {}),
            *[(stop, slots, {}) for stop in PAUSING for slots in (2, 5)],
            ({"lcm": {"check_points": [0.2], "configurations": 20}}, 3, {"budget": {"samples": 3e4}}),
        ]
    ]
    cases = [(given, tmp_path / f"{number}.jsonl", "slow") for number, given in enumerate(settings)]
    carry_out(3, tmp_path, *cases)
    for given, path, _ in cases:
        lines, _ = read_lines(path)
        state = Run(given, 0, samples=1000, data="none")
        state.fold(lines, str(path))
        assert state.complete
        path.write_text("".join(f"{json.dumps(line)}\n" for line in lines[: len(lines) // 2]))
    carry_out(2, tmp_path, *cases)
    for given, path, _ in cases:
        state = Run(given, 0, samples=1000, data="none")
        state.fold(read_lines(path)[0], str(path))
        assert state.complete


def test_budgets_in_seconds_end_runs(tmp_path: Path) -> None:
    given = setting(stop={"lcm": {"check_points": [0.2], "configurations": 20}}, slots=3, budget={"seconds": 1e-9})
    carry_out(2, tmp_path, (given, tmp_path / "journal.jsonl", "plain"))
    state = Run(given, 0, samples=1000, data="none")
    state.fold(read_lines(tmp_path / "journal.jsonl")[0], "journal")
    assert state.complete


@pytest.mark.parametrize("ranks", [0, 2])
def test_a_communicator_of_the_wrong_size_stops_at_once_and_says_what_does_not_fit(tmp_path: Path, ranks: int) -> None:
    process = start(ranks, tmp_path, [(setting(), tmp_path / "journal.jsonl", "plain")], tasks=3)
    output, _ = process.communicate(timeout=60)
    if ranks:  # alone, it is the command line that gives the code
        assert process.returncode == 2
        assert output.count("the launcher and the MPI library do not fit") == 1
        assert "Traceback" not in output
    assert f"started as {ranks or 1} MPI process" in output
    assert not (tmp_path / "journal.jsonl").exists()


def test_failing_trials_are_recorded_with_tracebacks_and_never_end_the_run(tmp_path: Path) -> None:
    given = setting(budget={"trials": 12}, slots=4)
    carry_out(3, tmp_path, (given, tmp_path / "journal.jsonl", "faulty"))
    failures = {line["trial"]: line for line in read_lines(tmp_path / "journal.jsonl")[0] if line["event"] == "failed"}
    assert {trial: line["reason"][:30] for trial, line in failures.items() if trial in (1, 3, 4, 6)} == {
        1: "ValueError: no such layer",
        3: "SystemExit: bye",
        4: "MemoryError",
        6: "RuntimeError: a file named \\ud",
    }
    assert all("Traceback" in failures[trial]["wall"]["traceback"] for trial in (1, 3, 4, 6))


def test_an_error_of_the_users_on_one_rank_ends_all_with_its_message(tmp_path: Path) -> None:
    process = start(3, tmp_path, [(setting(), tmp_path / "journal.jsonl", "broken")])
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert output.count("the data have gone") == 1
    assert "Traceback" not in output


def test_a_rank_that_is_killed_ends_the_job_and_the_rerun_goes_on(tmp_path: Path) -> None:
    given = setting(stop=LCM, slots=4)
    run(given, tmp_path / "serial.jsonl")
    kills = [
        (0, 0, signal.SIGKILL, 137),
        (2, 9, signal.SIGKILL, 137),
        (ANY, 28, signal.SIGKILL, 137),
        (0, 9, signal.SIGTERM, 75),
        (1, 9, signal.SIGTERM, 75),
    ]
    cases = [(given, tmp_path / f"{number}.jsonl", "killed") for number in range(len(kills))]
    for (rank, trial, which, code), case in zip(kills, cases, strict=True):
        began = time.monotonic()
        process = start(3, tmp_path, [case], KILL=f"{rank},{trial},{int(which)}")
        output, _ = process.communicate(timeout=30)
        assert process.returncode == code, output
        assert time.monotonic() - began < 30
        assert "signal 9" in output if which is signal.SIGKILL else "run the same command again" in output
        state = Run(given, 0, samples=1000, data="none")
        state.fold(read_lines(case[1])[0], str(case[1]))
        assert not state.complete
    carry_out(2, tmp_path, *[(given, path, "plain") for _, path, _ in cases])
    for _, path, _ in cases:
        assert events(path) == events(tmp_path / "serial.jsonl")


@pytest.mark.parametrize(("which", "code"), [(signal.SIGTERM, 1), (signal.SIGUSR1, 75), (signal.SIGKILL, -9)])
def test_a_signal_to_the_launcher_ends_all_ranks(tmp_path: Path, which: int, code: int) -> None:
    given = setting(slots=4, budget={"trials": 3000})
    process = start(2, tmp_path, [(given, tmp_path / "journal.jsonl", "slow")])
    while not (tmp_path / "journal.jsonl").exists() or (tmp_path / "journal.jsonl").stat().st_size < 10_000:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(which)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == code, output
    if code == 75:
        assert output.count("run the same command again to go on") == 1
    time.sleep(0.5)  # ranks without a launcher notice it at the next point
    size = (tmp_path / "journal.jsonl").stat().st_size
    time.sleep(0.2)
    assert (tmp_path / "journal.jsonl").stat().st_size == size, "nobody goes on writing"
    Run(given, 0, samples=1000, data="none").fold(read_lines(tmp_path / "journal.jsonl")[0], "journal")


def test_two_ranks_train_what_one_process_trains(tmp_path: Path) -> None:
    from hypercurve.config.data import DataSpec
    from hypercurve.training import make_trainer
    from hypercurve.training.data import prepare

    folder = tmp_path / "digits"
    prepare(DataSpec(name="digits"), folder)
    given = setting(**{**REAL, "budget": {"trials": 8}}, slots=2)
    carry_out(2, tmp_path, (given, tmp_path / "mpi.jsonl", str(folder)))
    run(given, tmp_path / "serial.jsonl", make_trainer(given, folder))
    assert events(tmp_path / "mpi.jsonl") == events(tmp_path / "serial.jsonl")
    assert workers(tmp_path / "mpi.jsonl") == {0, 1}
