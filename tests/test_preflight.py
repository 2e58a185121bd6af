"""The check before MPI jobs: it finds out what does not fit, and says what to change."""

import os
import socket
from pathlib import Path

import pytest

from conftest import MPIEXEC, QUIET, needs_mpi
from hypercurve.execution.mpi.preflight import preflight
from hypercurve.util.errors import UserError


@pytest.fixture(autouse=True)
def as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in QUIET.items():
        monkeypatch.setenv(name, value)


@pytest.mark.slow
@needs_mpi
def test_says_what_was_found_where_all_is_well() -> None:
    found = preflight(f"{MPIEXEC} --oversubscribe", 3)
    assert found["tasks"] == 3
    assert "Open MPI" in found["library"]
    assert sum(found["nodes"].values()) == 3


def test_a_launcher_that_is_not_there_is_named() -> None:
    with pytest.raises(UserError, match=r"there is no program 'nosuchlauncher' here.*resource `mpi`"):
        preflight("nosuchlauncher --mpi=pmix", 2)


@pytest.mark.slow
@needs_mpi
def test_what_a_launcher_says_is_passed_on() -> None:
    with pytest.raises(UserError, match=r"(?s)did not start one MPI job of 2 processes.*nosuchoption.*resource `mpi`"):
        preflight(f"{MPIEXEC} --nosuchoption", 2)


@pytest.mark.slow
@needs_mpi
def test_what_a_killed_launcher_left_behind_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It left a folder that is named by its process number, which the next launcher happens to get again."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.delenv("PRTE_MCA_prte_tmpdir_base")
    left = f'mkdir -p "$TMPDIR/ompi.$$"; touch "$TMPDIR/ompi.$$/pmix.{socket.gethostname()}.tool"'
    launcher = tmp_path / "launcher"
    launcher.write_text(f'#!/bin/sh\n{left}\nexec "{MPIEXEC}" --oversubscribe "$@"\n')
    launcher.chmod(0o755)
    assert preflight(str(launcher), 2)["tasks"] == 2


@pytest.mark.slow
def test_processes_that_do_not_find_each_other_are_noticed(tmp_path: Path) -> None:
    launcher = tmp_path / "launcher"  # of another MPI: each process is one by itself
    launcher.write_text('#!/bin/sh\nshift 2\n"$@" & "$@"; code=$?; wait; exit $code\n')
    launcher.chmod(0o755)
    with pytest.raises(UserError, match=r"(?s)started as 1 MPI process where 2 were asked for"):
        preflight(str(launcher), 2)


def test_a_launcher_that_hangs_is_given_up(tmp_path: Path) -> None:
    launcher = tmp_path / "launcher"
    launcher.write_text("#!/bin/sh\nexec sleep 60\n")
    os.chmod(launcher, 0o755)  # noqa: PTH101
    with pytest.raises(UserError, match=r"gave no answer in 0\.5 s"):
        preflight(str(launcher), 2, patience=0.5)


def test_an_open_quote_in_the_launcher_is_an_error_of_the_user() -> None:
    with pytest.raises(UserError, match="No closing quotation"):
        preflight("srun 'open", 2)
