"""Populations under real MPI: equal on any number of ranks, and after any mishap."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from conftest import MPIEXEC, QUIET, needs_mpi, resealed
from hypercurve.config.experiment import Experiment
from hypercurve.config.setting import Setting
from hypercurve.events import networks
from hypercurve.events.encoding import RawLine, without_wall
from hypercurve.events.journal import read_lines
from hypercurve.runs.run import Run
from hypercurve.runs.trial import Trial
from hypercurve.training.synthetic import SyntheticTrainer
from hypercurve.training.trainer import Session, Snapshot

PROGRAM = Path(__file__).with_name("mpi_population_program.py")
MEMBERS, STEPS = 7, 20

pytestmark = [pytest.mark.slow, needs_mpi]


def setting(lag: int = 0, exploit: object = "quartile", model: str = "synthetic", **more: Any) -> dict[str, Any]:
    population = {"every": 25, "exploit": exploit, "lag": lag, "snapshot_every": 3, "members": MEMBERS}
    explore = {"learning_rate": {"factors": [0.8, 1.2]}, "momentum": {"uniform_factor": [0.5, 2.0], "resample": 0.25}}
    space = {
        "learning_rate": {"log_uniform": [0.001, 1.0]},
        "momentum": {"uniform": [0.0, 0.9]},
        "epochs": 20,
        "batch_size": 64,
    }
    content = {
        "data": {"name": "digits"},
        "model": model,
        "space": {**space, **more.pop("space", {})},
        "budget": more.pop("budget", {"trials": MEMBERS}),
        "methods": {"pbt": {"population": {**population, "explore": explore, **more}}},
    }
    return Experiment.model_validate(content).setting("mpi", "pbt").model_dump(mode="json")


CASES: list[dict[str, Any]] = [
    *({"name": f"{kind}{lag}", "setting": setting(lag, kind)} for lag in (0, 1) for kind in ("quartile", "tournament")),
    *(
        {
            "name": f"sick{lag}",
            "setting": setting(lag, {"quartile": {"fraction": 0.4}}),
            "repeat": 2,
            "diverges": [[2], 3],
            "raises": [[4], 8],
        }
        for lag in (0, 1)
    ),
    {"name": "samples1", "setting": setting(1, budget={"samples": 1.5e5})},
    {"name": "seconds0", "setting": setting(0, budget={"seconds": 0.925}), "takes": 0.01},
    {"name": "seconds1", "setting": setting(1, budget={"seconds": 0.925}), "takes": 0.01},
    {"name": "doomed", "setting": setting(1), "diverges": [list(range(MEMBERS)), 5]},
    {"name": "every1", "setting": setting(1, snapshot_every=1)},
    *(  # the clock asks for snapshots, at every evolution step
        {"name": f"minutes{lag}", "setting": setting(lag, snapshot_every=1000), "minutes": 0, "diverges": [[2], 3]}
        for lag in (0, 1)
    ),
]


def start(ranks: int, folder: Path, cases: list[dict[str, Any]], timeout: float = 200) -> tuple[int, str]:
    """Carry out cases with so many ranks; the exit code and what was printed."""
    folder.mkdir(exist_ok=True)
    arguments = [str(MPIEXEC), "--oversubscribe", "-n", str(ranks)] if ranks > 1 else []
    arguments += [sys.executable, str(PROGRAM), str(folder), json.dumps(cases)]
    done = subprocess.run(arguments, env={**os.environ, **QUIET}, timeout=timeout, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def events(folder: Path, name: str) -> list[RawLine]:
    return [without_wall(line) for line in read_lines(folder / f"{name}.jsonl")[0]]


def outcome(folder: Path, name: str) -> Any:
    return json.loads((folder / f"{name}.json").read_text())


def assert_equal(folder: Path, other: Path, name: str) -> None:
    assert events(folder, name) == events(other, name)
    assert outcome(folder, name)["hashes"] == outcome(other, name)["hashes"]
    assert not (folder / f"{name}.snapshots").exists()


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All cases, carried out by one process."""
    folder = tmp_path_factory.mktemp("single")
    assert start(1, folder, CASES) == (0, "")
    return folder


@pytest.mark.parametrize("ranks", [2, 3, 9])
def test_journals_and_final_weights_are_equal_on_any_number_of_ranks(tmp_path: Path, single: Path, ranks: int) -> None:
    assert start(ranks, tmp_path, CASES) == (0, "")
    for case in CASES:
        assert_equal(tmp_path, single, case["name"])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_plain_loop_that_follows_the_journal_trains_to_the_same(single: Path, case: dict[str, Any]) -> None:
    """Nothing here is shared with the executor but sessions: metrics show that weights moved as the journal says."""
    lines = events(single, case["name"])
    sessions: dict[int, Session] = {}
    states: dict[tuple[int, float], Snapshot] = {}
    trainer, copies, metrics = SyntheticTrainer(evaluate="points", failures=False), 0, 0
    for line in lines:
        if line["event"] in ("reported", "completed", "failed"):
            session, progress = sessions[line["trial"]], line.get("progress", 1.0)
            report = session.advance(progress)
            if line["event"] != "failed":
                assert report.metrics == line["metrics"]
                metrics += 1
            states[line["trial"], progress] = session.snapshot()
        for action in line["then"]:
            if "start" in action:
                sessions[action["start"]] = trainer.open(
                    Trial(action["start"], action["configuration"], repeat=case.get("repeat", 0))
                )
            if "copy" in action:
                session = sessions[action["copy"]]
                own, state = session.snapshot(), states[action["from"], action["at"]]
                session.restore(replace(state, progress=own.progress, step=own.step))
                session.adjust(action["configuration"])
                copies += 1
    assert copies > (2 if case["name"] == "doomed" else 10)
    assert metrics > (20 if case["name"] == "doomed" else 80)
    ended = [line for line in lines if line["event"] == "ended"]
    assert len(ended) == 1
    if ended[0]["reason"] == "finished" and case["name"] != "doomed":
        assert lines[-1]["event"] == "tested"
        finals = {line["trial"]: line["metrics"]["val_accuracy"] for line in lines if line["event"] == "completed"}
        assert ended[0]["best"] == max(finals, key=lambda trial: (finals[trial], -trial))


@pytest.mark.parametrize("lag", [0, 1])
def test_members_that_diverge_or_raise_are_ranked_last_and_go_on_as_copies(single: Path, lag: int) -> None:
    lines = read_lines(single / f"sick{lag}.jsonl")[0]
    failed = {line["trial"]: line for line in lines if line["event"] == "failed"}
    assert set(failed) == {2, 4}
    assert failed[2]["reason"] == "diverged: loss is nan"
    assert failed[4]["reason"].startswith("RuntimeError: the member raises")
    assert "mpi_population_program.py" in failed[4]["wall"]["traceback"]
    copies = {(a["copy"], a["at"]): a for line in lines for a in line["then"] if "copy" in a}
    for trial, progress in ((2, 0.15), (4, 0.4)):
        assert copies[trial, progress]["from"] not in (2, 4) or trial != 2
        assert any(line["event"] == "completed" and line["trial"] == trial for line in lines)


def test_runs_end_by_their_budgets_or_when_all_have_diverged(single: Path) -> None:
    ends = {
        case["name"]: [e for e in events(single, case["name"]) if e["event"] in ("ended", "tested")] for case in CASES
    }
    assert {name: [end.get("reason") for end in found] for name, found in ends.items()} == {
        **{name: ["finished", None] for name in ends},
        "samples1": ["samples"],
        "seconds0": ["seconds"],
        "seconds1": ["seconds"],
        "doomed": ["finished"],
    }
    spent = sum(line["wall"]["seconds"] for line in read_lines(single / "seconds0.jsonl")[0] if "progress" in line)
    assert spent == pytest.approx(0.92)


def test_with_lag_nobody_waits_for_who_is_slow_now(tmp_path: Path) -> None:
    cases = [
        {"name": f"lag{lag}", "stagger": 0.06, "setting": setting(lag, members=3, budget={"trials": 3})}
        for lag in (0, 1)
    ]
    assert start(3, tmp_path, cases) == (0, "")
    together, apart = (outcome(tmp_path, case["name"])["seconds"] for case in cases)
    assert together > STEPS * 0.06
    assert apart < 0.75 * together


# --- mishaps ----------------------------------------------------------------------------------------------------------

KILLS: list[tuple[str, int, int, dict[str, Any]]] = [
    # case, ranks before and after, what kills
    ("quartile0", 2, 3, {"rank": 0, "advance": 1}),
    ("sick1", 2, 3, {"rank": 0, "advance": 37}),
    ("quartile1", 3, 2, {"rank": 0, "write": 9}),
    ("quartile1", 2, 3, {"rank": 0, "publish": 1}),
    ("tournament0", 3, 2, {"rank": 0, "publish": 4}),
    ("quartile1", 5, 2, {"rank": 4, "advance": 20}),
    ("seconds1", 2, 3, {"rank": 1, "advance": 30}),
    ("minutes0", 2, 3, {"rank": 0, "publish": 4}),
    ("minutes1", 3, 2, {"rank": 0, "publish": 4}),
    # the same by SIGTERM, which one rank hears
    ("quartile0", 3, 2, {"rank": 2, "advance": 25, "signal": "SIGTERM"}),
    ("sick1", 1, 2, {"rank": 0, "advance": 25, "signal": "SIGTERM"}),
]


def test_runs_that_are_killed_end_soon_and_resume_to_the_same(tmp_path: Path, single: Path) -> None:
    """Killed at all kinds of moments, on other numbers of ranks before and after; all resumed by one start per number."""
    by_name = {case["name"]: case for case in CASES}
    resumed: dict[int, list[tuple[int, dict[str, Any]]]] = {}
    for index, (name, before, after, kill) in enumerate(KILLS):
        case = {**by_name[name], "name": f"{name}-{index}"}
        code, said = start(before, tmp_path, [{**case, "kill": kill}], timeout=60)
        left = STEPS * MEMBERS
        if "signal" in kill:
            assert (code, "run the same command again" in said) == (75, True), said
            left = (STEPS - snapshots(tmp_path, case["name"])[0]) * MEMBERS
        else:
            assert code == 128 + 9, (kill, said)
        resumed.setdefault(after, []).append((left, case))
    for ranks, cases in resumed.items():
        assert start(ranks, tmp_path, [case for _, case in cases]) == (0, "")
        for left, case in cases:
            name = case["name"].partition("-")[0]
            assert events(tmp_path, case["name"]) == events(single, name), case["name"]
            mine, other = outcome(tmp_path, case["name"]), outcome(single, name)
            assert mine["hashes"] == other["hashes"], case["name"]
            assert mine["trained"] <= left
            assert not (tmp_path / f"{case['name']}.snapshots").exists()
    for name in ("tournament0-4", "minutes0-7", "minutes1-8"):
        assert outcome(tmp_path, name)["trained"] < STEPS * MEMBERS, "it had snapshots"


@pytest.mark.parametrize(("ranks", "every", "advance"), [(1, 1, 24), (1, 3, 31), (2, 1, 14), (2, 3, 17)])
def test_what_a_signal_ends_leaves_a_snapshot_of_its_last_step(
    tmp_path: Path, ranks: int, every: int, advance: int
) -> None:
    kill = {"rank": ranks - 1, "advance": advance, "signal": "SIGTERM"}
    code, said = start(ranks, tmp_path, [{"name": "ended", "setting": setting(1, snapshot_every=every), "kill": kill}])
    assert (code, "ended by SIGTERM; run the same command again" in said) == (75, True), said
    steps = [sum(line.get("trial") == m and "progress" in line for line in events(tmp_path, "ended")) for m in range(7)]
    assert snapshots(tmp_path, "ended")[0] == steps[0] == min(steps)


SLOW = """\
import time, user_models
class Loop(user_models.Loop):
    def train(self):
        for report in super().train():
            time.sleep(0.01)
            yield report
"""


@pytest.mark.parametrize("ranks", [0, 2])
def test_a_population_that_a_signal_ends_from_the_command_line_leaves_a_snapshot(tmp_path: Path, ranks: int) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    shutil.copy(Path(__file__).with_name("user_models.py"), tmp_path)
    content = {
        "model": {"loop": "slow:Loop"},
        "objective": {"metric": "loss"},
        "space": {"learning_rate": {"uniform": [0.0, 0.1]}, "epochs": 200},
        "budget": {"trials": 4},
        "methods": {
            "pbt": {
                "population": {
                    "every": 2,
                    "snapshot_every": 1000,
                    "explore": {"learning_rate": {"factors": [0.8, 1.2]}},
                }
            }
        },
    }
    setting = Experiment.model_validate(content).setting("slow", "pbt")
    (tmp_path / "setting.json").write_text(setting.model_dump_json())
    command = [sys.executable, "-m", "hypercurve", "search", "setting.json", "-o", "journal.jsonl"]
    if ranks:
        command = [str(MPIEXEC), "--oversubscribe", "-n", str(ranks), *command, "--tasks", str(ranks)]
    process = subprocess.Popen(command, cwd=tmp_path, env={**os.environ, **QUIET})
    partial = tmp_path / "journal.partial.jsonl"
    while not partial.exists() or partial.read_bytes().count(b'"reported"') < 8:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGUSR1 if ranks else signal.SIGTERM)  # which mpiexec forwards
    assert process.wait(timeout=60) == 75
    (manifest,) = (tmp_path / "snapshots").glob("*/manifest.json")
    assert 4 * int(manifest.parent.name) == partial.read_bytes().count(b'"reported"')


@pytest.mark.parametrize("lag", [0, 1])
def test_a_signal_in_the_last_step_does_not_undo_what_is_done(tmp_path: Path, single: Path, lag: int) -> None:
    """Snakemake deletes the output of a job that fails, so a complete run must not end with an error."""
    kill = {"rank": 1, "advance": 58, "signal": "SIGTERM"}
    case = next(case for case in CASES if case["name"] == f"quartile{lag}")
    assert start(2, tmp_path, [{**case, "stagger": 0.05, "kill": kill}]) == (0, "")
    assert_equal(tmp_path, single, case["name"])


def test_a_member_whose_error_reads_differently_every_time_resumes(tmp_path: Path) -> None:
    case = {"name": "moody", "setting": setting(0, snapshot_every=50), "raises": [[3], 4], "moody": True}
    kill = {"rank": 0, "advance": 30}
    assert start(2, tmp_path, [{**case, "kill": kill}])[0] == 128 + 9
    failed = [line for line in events(tmp_path, "moody") if line["event"] == "failed"]
    assert " at 0x...>, " in failed[0]["reason"]
    assert start(2, tmp_path, [case]) == (0, "")


def snapshots(folder: Path, name: str) -> list[int]:
    """Evolution steps with a snapshot, the newest first."""
    found = (folder / f"{name}.snapshots").glob("*/manifest.json")
    return sorted((int(path.parent.name) for path in found), reverse=True)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was stopped when it had several snapshots."""
    folder = tmp_path_factory.mktemp("stopped")
    case = next(case for case in CASES if case["name"] == "quartile1")
    assert start(1, folder, [{**case, "kill": {"rank": 0, "advance": 90, "signal": "SIGTERM"}}])[0] == 75
    assert len(snapshots(folder, "quartile1")) == 2, "two are kept"
    return folder


def test_damaged_snapshots_are_passed_over(tmp_path: Path, single: Path, stopped: Path) -> None:
    steps = snapshots(stopped, "quartile1")
    cases = []
    for damage in ("flipped", "short", "missing", "manifest", "all"):
        cases.append({**next(case for case in CASES if case["name"] == "quartile1"), "name": damage})
        shutil.copy(stopped / "quartile1.jsonl", tmp_path / f"{damage}.jsonl")
        folder = tmp_path / f"{damage}.snapshots"
        shutil.copytree(stopped / "quartile1.snapshots", folder)
        for step in steps if damage == "all" else steps[:1]:
            victim = folder / str(step) / ("manifest.json" if damage == "manifest" else "5.f32")
            content = bytearray(victim.read_bytes())
            content[len(content) // 2] ^= 1
            victim.write_bytes(content[:-4] if damage == "short" else content)
            if damage == "missing":
                victim.unlink()
    assert start(2, tmp_path, cases) == (0, "")
    for case in cases:
        assert events(tmp_path, case["name"]) == events(single, "quartile1")
        assert outcome(tmp_path, case["name"])["hashes"] == outcome(single, "quartile1")["hashes"]
        left = STEPS - (0 if case["name"] == "all" else steps[1])
        assert outcome(tmp_path, case["name"])["trained"] == left * MEMBERS


def test_a_journal_that_comes_out_different_is_refused(tmp_path: Path, stopped: Path) -> None:
    case = next(case for case in CASES if case["name"] == "quartile1")
    shutil.copytree(stopped, tmp_path, dirs_exist_ok=True)
    journal = tmp_path / "quartile1.jsonl"
    newest = snapshots(tmp_path, "quartile1")[0]
    (tmp_path / "quartile1.snapshots" / str(newest) / "manifest.json").unlink()
    lines = journal.read_text().splitlines(keepends=True)
    last = json.loads(lines[-1])
    last["metrics"]["loss"] += 1e-9
    journal.write_bytes(resealed([*lines[:-1], last]))
    code, said = start(2, tmp_path, [case])
    assert code == 2
    assert f"quartile1.jsonl:{len(lines)}: says metrics" in said
    assert "training again" in said


def test_a_complete_run_is_left_alone(tmp_path: Path, single: Path) -> None:
    case = next(case for case in CASES if case["name"] == "quartile1")
    shutil.copy(single / "quartile1.jsonl", tmp_path)
    before = (tmp_path / "quartile1.jsonl").read_bytes()
    assert start(2, tmp_path, [case]) == (0, "")
    assert (tmp_path / "quartile1.jsonl").read_bytes() == before
    assert outcome(tmp_path, "quartile1")["trained"] == 0
    folded = Run(Setting.model_validate(case["setting"]), 0, samples=1600, data="none")
    folded.fold(read_lines(tmp_path / "quartile1.jsonl")[0], "journal")
    assert folded.complete


# --- real networks ----------------------------------------------------------------------------------------------------


def test_networks_are_equal_bit_for_bit_on_any_number_of_ranks_and_after_a_kill(tmp_path: Path) -> None:
    from hypercurve.config.data import DataSpec
    from hypercurve.training.data import prepare

    data = str(prepare(DataSpec(name="digits"), tmp_path / "digits").folder)
    space = {"epochs": 4, "decay_ratio": {"uniform": [0.9, 1.0]}, "decay_every": 10, "units_1": 16, "units_2": 8}
    adam = {**space, "optimizer": "adam", "learning_rate": {"log_uniform": [0.0005, 0.05]}, "momentum": 0.0}
    options = {"model": "mlp", "members": 5, "every": 8, "snapshot_every": 2}
    cases = [
        {"name": "sgd", "trainer": data, "setting": setting(0, space=space, **options), "diverges": [[1], 2]},
        {"name": "adam", "trainer": data, "patient": True, "setting": setting(1, space=adam, **options)},
    ]
    assert start(1, tmp_path / "1", cases)[0] == 0
    kill = {"rank": 0, "advance": 15}
    assert start(3, tmp_path / "3", [cases[0], {**cases[1], "kill": kill}])[0] == 128 + 9
    assert_equal(tmp_path / "3", tmp_path / "1", "sgd")
    assert start(2, tmp_path / "3", cases[1:])[0] == 0
    assert_equal(tmp_path / "3", tmp_path / "1", "adam")
    assert outcome(tmp_path / "3", "adam")["trained"] < outcome(tmp_path / "1", "adam")["trained"]
    for ranks in ("1", "3"):  # of several ranks, the one that has the best member has written it
        tested = read_lines(tmp_path / ranks / "adam.jsonl")[0][-1]
        assert tested["wall"]["network"] == networks.described(tmp_path / ranks / "best.keras")
        predicted = accuracy(tmp_path / ranks / "best.keras", Path(data))
        assert predicted == pytest.approx(tested["metrics"]["test_accuracy"])


def accuracy(network: Path, data: Path) -> float:
    """The share of the test part, as it lies in the user's file, whose classes a network's file tells."""
    import keras

    from hypercurve.training.data import load

    test = load(data)
    return float((keras.saving.load_model(network).predict(test.x_test, verbose=0).argmax(1) == test.y_test).mean())


def test_networks_under_optimizers_of_their_own_are_equal_too(tmp_path: Path) -> None:
    """Running statistics, generators of noise and all that Keras's optimizers hold, killed on two ranks."""
    from hypercurve.config.data import DataSpec
    from hypercurve.training.data import prepare

    data = str(prepare(DataSpec(name="digits"), tmp_path / "digits").folder)
    space = {"epochs": 2, "learning_rate": {"log_uniform": [0.0005, 0.05]}, "momentum": 0.9}
    options = {"members": 4, "every": 5, "snapshot_every": 2, "space": space}
    cases = [
        {
            "name": name,
            "trainer": data,
            "patient": True,
            "setting": setting(lag, model=f"own_networks:{name}", **options),
        }
        for name, lag in (("adamw", 1), ("momentum", 0))
    ]
    assert start(1, tmp_path / "1", cases)[0] == 0
    for case, kill in zip(cases, ({"rank": 1, "advance": 11}, {"rank": 0, "advance": 13}), strict=True):
        assert start(2, tmp_path / "2", [{**case, "kill": kill}])[0] == 128 + 9
        assert snapshots(tmp_path / "2", case["name"])
    assert start(2, tmp_path / "2", cases)[0] == 0
    for case in cases:
        assert_equal(tmp_path / "2", tmp_path / "1", case["name"])
        assert outcome(tmp_path / "2", case["name"])["trained"] < outcome(tmp_path / "1", case["name"])["trained"]
        assert [action for line in events(tmp_path / "1", case["name"]) for action in line["then"] if "copy" in action]
