"""Jobs that a killed Snakemake left on a cluster are found among all others, and nothing else is touched."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hypercurve.workflow_support import recovery
from hypercurve.workflow_support.recovery import end_left_behind, recover, take_back

JOURNAL = "results/demo/runs/lcm/0/journal.jsonl"


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs that come before all others."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.chdir(tmp_path)
    program(folder / "scancel", f'echo "$@" >> {tmp_path}/cancelled')
    return folder


def program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def listed(folder: Path, programs: Path, *jobs: tuple[int, Path, str]) -> None:
    """Let squeue list jobs, (number, folder that it was submitted from, where it prints), until some are cancelled."""
    table = "".join(f"{job:<20}{where!s:<4096}{output:<4096}\n" for job, where, output in jobs)
    (folder / "listed").write_text(table)
    program(programs / "squeue", f"test -e {folder}/cancelled || cat {folder}/listed")


def snakemake(**settings: Any) -> SimpleNamespace:
    """What is asked of Snakemake's workflow: jobs to run, all begun by an earlier Snakemake, and a lock."""
    job = SimpleNamespace(name="hc_search", wildcards=["demo", "lcm", "0"], output=[JOURNAL])
    keep = SimpleNamespace(_get_key=str, _filter_incomplete_keys=set)
    return SimpleNamespace(
        dag=SimpleNamespace(needrun_jobs=lambda: iter([job])),
        persistence=keep,
        execution_settings=SimpleNamespace(lock=settings.get("lock", True)),
    )


def test_only_jobs_that_were_submitted_here_and_print_to_our_folder_are_ended(
    tmp_path: Path, programs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs = tmp_path / "with space" / "slurm_logs"
    listed(
        tmp_path,
        programs,
        (11, tmp_path, f"{logs}/rule_a/x_0/11.log"),
        (12, tmp_path, ""),
        (13, tmp_path, "/home/else/slurm-13.out"),
        (14, tmp_path, f"{logs}/rule_b/14.log"),
        (15, tmp_path, f"{logs}/rule_a/x_1/15.log"),
        (16, tmp_path / "other", f"{logs}/rule_b/16.log"),
    )
    end_left_behind({"rule_a/x_0", "rule_b"})
    assert (tmp_path / "cancelled").read_text() == "11 14\n"
    assert "left behind: 11, 14" in capsys.readouterr().err


def test_what_a_killed_snakemake_began_is_ended_and_what_it_completed_is_gone_on_with(
    tmp_path: Path, programs: Path
) -> None:
    logs = tmp_path / "anywhere"  # as --slurm-logdir says
    listed(
        tmp_path,
        programs,
        (21, tmp_path, f"{logs}/rule_hc_search/demo_lcm_0/21.log"),
        (22, tmp_path, f"{logs}/rule_hc_search/demo_lcm_1/22.log"),  # of another Snakemake, which lives
    )
    journal = tmp_path / JOURNAL
    journal.parent.mkdir(parents=True)
    journal.write_text("complete")
    recover(snakemake())
    assert (tmp_path / "cancelled").read_text() == "21\n"
    assert [path.name for path in journal.parent.iterdir()] == ["journal.partial.jsonl"]


@pytest.mark.parametrize("case", ["without a lock", "another version", "other private parts", "no marks"])
def test_where_it_is_not_certain_what_was_left_behind_it_is_left_alone(
    tmp_path: Path, programs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    listed(tmp_path, programs, (31, tmp_path, f"{tmp_path}/.snakemake/slurm_logs/rule_hc_search/demo_lcm_0/31.log"))
    journal = tmp_path / JOURNAL
    journal.parent.mkdir(parents=True)
    journal.write_text("complete")
    workflow = snakemake(lock=case != "without a lock")
    if case == "another version":
        monkeypatch.setattr(recovery, "TESTED", ("8.0.",))
    elif case == "other private parts":
        del workflow.dag.needrun_jobs
    elif case == "no marks":
        workflow.persistence._filter_incomplete_keys = lambda _: set()
    recover(workflow)
    assert not (tmp_path / "cancelled").exists()
    assert journal.read_text() == "complete"
    assert ("is left alone" in capsys.readouterr().err) == (case != "no marks")


def test_a_cluster_that_does_not_answer_is_said_and_stops_nothing(
    tmp_path: Path, programs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program(programs / "squeue", "echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1")
    end_left_behind({"rule_a"})
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
    table = tmp_path / "trials.jsonl"
    table.write_text("no journal")
    take_back(table)
    assert table.exists()
