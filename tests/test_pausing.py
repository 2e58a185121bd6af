"""A paused program computes nothing, with all that it has started; and one that goes on goes on whole."""

import os
import sys
import time
from pathlib import Path

import pytest

from hypercurve.training.process_trees import Process
from hypercurve.training.program import _IDENTITY, Log, Program, Programs

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
    ],
    ids=["child", "session", "daemon", "group", "pipeline", "mpi"],
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
def test_a_script_that_forks_goes_on_after_every_pause() -> None:
    script = "while :; do /bin/true; echo $(echo 1); /bin/true; done"
    program = Program(Programs(0.1), ["bash", "-c", script], {}, 20, Log(None))
    for _ in range(300):
        assert program.line() == b"1"
        program.pause()
        process = Process.of(program._process.pid)
        assert process is not None
        assert process.state in "TD"
    program.close()


def test_programs_see_settings_of_mpi_but_not_whose_rank_started_them() -> None:
    settings = ["OMPI_MCA_btl", "OMPI_ALLOW_RUN_AS_ROOT", "OMPI_CC", "PRTE_MCA_rmaps_default_mapping_policy"]
    settings += ["PMIX_MCA_psec", "HYDRA_LAUNCHER", "OPAL_PREFIX", "SLURM_JOB_ID", "SLURM_MPI_TYPE", "I_MPI_FABRICS"]
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
