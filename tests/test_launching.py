"""Jobs that a killed Snakemake left on a cluster are found among all others."""

from pathlib import Path

import pytest

from hypercurve.workflow_support.launching import end_left_behind, take_back


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs that come before all others."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    program(folder / "scancel", f'echo "$@" >> {tmp_path}/cancelled')
    return folder


def program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_only_jobs_that_print_to_our_folder_are_ended(
    tmp_path: Path, programs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs = tmp_path / "with space" / "slurm_logs"
    logs.mkdir(parents=True)
    listed = [(11, f"{logs}/rule_a/11.log"), (12, ""), (13, "/home/else/slurm-13.out"), (14, f"{logs}/rule_b/14.log")]
    (tmp_path / "listed").write_text("".join(f"{job:<20}{output:<200}\n" for job, output in listed))
    program(programs / "squeue", f"test -e {tmp_path}/cancelled || cat {tmp_path}/listed")
    end_left_behind(logs)
    assert (tmp_path / "cancelled").read_text() == "11 14\n"
    assert "left behind: 11, 14" in capsys.readouterr().err


def test_a_cluster_that_does_not_answer_is_said_and_stops_nothing(
    tmp_path: Path, programs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program(programs / "squeue", "echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1")
    end_left_behind(tmp_path)
    assert "left jobs behind: slurm_load_jobs error" in capsys.readouterr().err
    assert not (tmp_path / "cancelled").exists()


def test_what_was_completed_is_gone_on_with_unless_its_run_has_begun_again(tmp_path: Path) -> None:
    output, partial = tmp_path / "journal.jsonl", tmp_path / "journal.partial.jsonl"
    take_back(output)
    assert not partial.exists()
    output.write_text("complete")
    take_back(output)
    assert (output.exists(), partial.read_text()) == (False, "complete")
    output.write_text("another")
    take_back(output)
    assert (output.read_text(), partial.read_text()) == ("another", "complete")
