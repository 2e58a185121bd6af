"""A paused program computes nothing, with all that it has started; and one that goes on goes on whole."""

import os
import re
import signal
import sys
import time
from pathlib import Path

import pytest

from hypercurve.config.model import CommandSpec
from hypercurve.runs.trial import Trial
from hypercurve.training.command import CommandTrainer
from hypercurve.training.process_trees import Process
from hypercurve.training.program import _IDENTITY, Log, Program, Programs
from hypercurve.training.trainer import TrialFailed

pytestmark = pytest.mark.slow

LINUX = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="processes are found in Linux's /proc")
TICKING = "while :; do echo x >> ticks; for i in 1 2 3 4 5 6 7 8 9; do :; done; done"
REPORTING = "while sleep 0.05; do echo 1; done"
RANKS = """
from mpi4py import MPI
rank = MPI.COMM_WORLD.rank
while True:
    open(f"ticks.{rank}", "a").write("x")
    if MPI.COMM_WORLD.allreduce(1) == 2 and rank == 0:
        print(MPI.COMM_WORLD.size, flush=True)
"""
THREADS = """
import ctypes, threading, time
def tick():
    while True:
        open("ticks", "a").write("x")
def report():
    while True:
        time.sleep(0.05)
        print(1, flush=True)
for work in (tick, tick, report):
    threading.Thread(target=work).start()
"""
FIRST_ENDS = THREADS + "ctypes.CDLL(None).pthread_exit(None)"
HANDLERS = "import signal\nfor number in (signal.SIGTSTP, signal.SIGCONT): signal.signal(number, print)\n" + THREADS
CONTINUED = "import os, signal\nif not os.fork():\n    while True: os.kill(os.getppid(), signal.SIGCONT)\n" + THREADS
FORKING = "import subprocess, threading\ndef fork():\n    while True: subprocess.run(['true'])\n"
FORKING += "threading.Thread(target=fork).start()\n" + THREADS


def ticks(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("ticks*"))


@LINUX
@pytest.mark.parametrize(
    "command",
    [
        ["sh", "-c", f"{TICKING} & {REPORTING}"],
        ["sh", "-c", f"setsid sh -c '{TICKING}' & {REPORTING}"],
        ["sh", "-c", f"(setsid sh -c '{TICKING}' &) ; {REPORTING}"],
        ["bash", "-c", f"set -m; ({TICKING}) & {REPORTING}"],
        ["sh", "-c", f"trap '' TSTP TTIN TTOU; ({TICKING}) | cat & {REPORTING}"],
        ["mpiexec", "-n", "2", "--oversubscribe", sys.executable, "-c", RANKS],
        *([sys.executable, "-c", code] for code in (THREADS, FIRST_ENDS, HANDLERS, CONTINUED, FORKING)),
    ],
    ids=[
        "child",
        "session",
        "daemon",
        "group",
        "pipeline",
        "mpi",
        "threads",
        "first-ends",
        "handlers",
        "continued",
        "forking",
    ],
)
def test_nothing_of_a_paused_program_computes(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    program = Program(Programs(0.1), command, {}, 60, Log(tmp_path / "log"))
    for _ in range(5):
        while ticks(tmp_path) == 0:
            program.line()
        assert program.line()
        program.pause()
        before = ticks(tmp_path)
        time.sleep(0.2)
        assert ticks(tmp_path) == before
        deadline = time.monotonic() + 60
        while ticks(tmp_path) == before and time.monotonic() < deadline:
            assert program.line()
        assert ticks(tmp_path) > before
    program.close()
    assert not (tmp_path / "log").exists() or b"hypercurve" not in (tmp_path / "log").read_bytes()


@LINUX
@pytest.mark.parametrize("control", ["", "set -m; "], ids=["no control", "job control"])
def test_a_script_that_forks_goes_on_after_every_pause(control: str) -> None:
    """With job control, a shell that sees its child stop takes that for its end."""
    script = f"{control}while /bin/true; do echo $(echo 1); /bin/true || exit 3; done"
    program = Program(Programs(0.1), ["bash", "-c", script], {}, 20, Log(None))
    for _ in range(300):
        assert program.line() == b"1"
        program.pause()
        process = Process.of(program._process.pid)
        assert process is not None
        assert process.state in "TD"
    program.close()


@LINUX
def test_what_a_paused_program_computes_is_said(tmp_path: Path) -> None:
    """Somebody else continues it, as `kill -CONT` does."""
    path = tmp_path / "programs" / "3.log"
    program = Program(Programs(0.1), ["sh", "-c", "echo 1; while :; do :; done"], {}, 20, Log(path))
    assert program.line() == b"1"
    program.pause()
    number = program._process.pid
    before = Process.of(number)
    assert before is not None
    os.kill(number, signal.SIGCONT)
    while (now := Process.of(number)) is not None and now.ticks < before.ticks + 20:
        time.sleep(0.01)
    program.go_on()
    program.close()
    assert re.search(r"hypercurve: computed while its trial was paused: \d\.\d\d s in 1 pauses", path.read_text())


@pytest.mark.parametrize("printed", [0, 1, 2])
@pytest.mark.parametrize("population", [False, True])
def test_standard_error_does_not_count_for_the_timeout(population: bool, printed: int, tmp_path: Path) -> None:
    """Whatever the method, before its first line, between two, and after the last."""
    script = """i=0; while [ $i -lt $1 ]; do echo '{{"loss": 1}}'; i=$((i + 1)); done
        while :; do echo alive >&2; sleep 0.1; done"""
    command = ["sh", "-c", script, "sh", str(printed), "{resume}", "{snapshot}", "{until}"]
    model = CommandSpec(command=command, timeout=1, grace=0.1)
    trainer = CommandTrainer(model, None, exchanges=population, logs=tmp_path / "programs")
    session = trainer.open(Trial(0, {"epochs": 2}))
    with pytest.raises(TrialFailed, match=r"for 1 s \(`timeout`\); see programs/0.log"):
        session.advance(1.0)
    assert set((tmp_path / "programs" / "0.log").read_text().split()) == {"alive"}


def test_programs_see_settings_of_mpi_but_not_whose_rank_started_them() -> None:
    settings = ["OMPI_MCA_btl", "OMPI_ALLOW_RUN_AS_ROOT", "OMPI_CC", "PRTE_MCA_rmaps_default_mapping_policy"]
    settings += [
        "PMIX_MCA_psec",
        "HYDRA_LAUNCHER",
        "OPAL_PREFIX",
        "PRTE_ALLOW_RUN_AS_ROOT",
        "PMI_MMAP_SYNC_WAIT_TIME",
        "SLURM_PMIX_DIRECT_CONN",
        "SLURM_JOB_ID",
        "SLURM_MPI_TYPE",
        "I_MPI_FABRICS",
    ]
    settings += ["PRTE_ALLOW_RUN_AS_ROOT", "PMI_MMAP_SYNC_WAIT_TIME", "SLURM_PMIX_DIRECT_CONN", "HYDRA_IFACE"]
    parents = ["OMPI_COMM_WORLD_RANK", "OMPI_MCA_orte_ess_node_rank", "PMIX_RANK", "PMIX_SERVER_URI4", "PRTE_LAUNCHED"]
    parents += ["PMI_RANK", "PMI_FD", "SLURM_PROCID", "OMPI_UNIVERSE_SIZE", "OMPI_MCA_num_procs", "MPI_LOCALRANKID"]
    assert [name for name in settings + parents if _IDENTITY.match(name)] == parents


def test_a_program_of_a_rank_starts_ranks_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    inner = ["mpiexec", "-n", "2", "--oversubscribe", sys.executable, "-c", RANKS]
    code = f"""
from mpi4py import MPI
from hypercurve.training.program import Log, Program, Programs
program = Program(Programs(0.1), {inner!r}, {{}}, 60, Log(None))
print("inner", program.line().decode(), flush=True)
program.close()
"""
    outer = ["mpiexec", "-n", "2", "--oversubscribe", sys.executable, "-c", code]
    program = Program(Programs(0.1), outer, {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}, 60, Log(tmp_path / "log"))
    assert [program.line(), program.line()] == [b"inner 2"] * 2
    program.close()
