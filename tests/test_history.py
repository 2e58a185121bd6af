"""Journals of a run over time: listed, put aside, removed; by the command line."""

from pathlib import Path

import pytest

from hypercurve.cli import main
from hypercurve.config.experiment import Experiment
from hypercurve.events.journal import read_lines


def search(folder: Path, prepared: Path, trials: int) -> Path:
    """A run of random search in an experiment's results folder; its own folder."""
    experiment = Experiment.model_validate(
        {
            "data": {"name": "digits"},
            "model": "synthetic",
            "space": {"learning_rate": {"uniform": [0.0, 1.0]}},
            "budget": {"trials": trials},
            "methods": {"random": {"search": "random"}},
        }
    )
    run = folder / "runs" / "random" / "0"
    run.mkdir(parents=True, exist_ok=True)
    (run.parent / "setting.json").write_text(experiment.setting("e", "random").model_dump_json())
    journal = run / "journal.jsonl"
    journal.unlink(missing_ok=True)  # as Snakemake does before a job runs again
    assert main(["search", str(run.parent / "setting.json"), "--data", str(prepared), "-o", str(journal)]) == 0
    return run


def test_every_journal_of_a_run_is_listed_and_an_old_setting_takes_its_journal_again(
    tmp_path: Path, prepared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = search(tmp_path, prepared, 5)
    before = (run / "journal.jsonl").read_bytes()
    search(tmp_path, prepared, 8)
    capsys.readouterr()
    assert main(["history", str(run)]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert [line.split(", ")[0].split(": ")[1] for line in listed[:-1]] == ["complete"] * 3
    assert [line.split(", ")[1] for line in listed[:-1]] == ["5 trials", "8 trials", "8 trials"]
    search(tmp_path, prepared, 5)
    assert (run / "journal.jsonl").read_bytes() == before, "its very bytes: nothing is decided anew"


def test_a_run_that_is_restarted_is_decided_anew_and_trains_nothing(tmp_path: Path, prepared: Path) -> None:
    run = search(tmp_path, prepared, 5)
    before = (run / "journal.jsonl").read_bytes()
    assert main(["restart", str(run)]) == 0
    assert not (run / "journal.jsonl").exists()
    search(tmp_path, prepared, 5)
    lines = read_lines(run / "journal.jsonl")[0]
    old = read_lines(next((run / "history").glob("*.aside.jsonl")))[0]
    assert (run / "journal.jsonl").read_bytes() != before
    seconds = [line["wall"]["seconds"] for line in lines if "metrics" in line and "time" in line]
    assert seconds == [line["wall"]["seconds"] for line in old if "metrics" in line and "time" in line]
    assert main(["restart", str(tmp_path)]) == 2


def test_clean_says_what_it_would_remove_and_removes_it_when_told(
    tmp_path: Path, prepared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = search(tmp_path / "history", prepared, 5)  # an experiment may be called so
    states = run / "journal.states"
    kept = len(list(states.iterdir()))  # networks of the best trials
    (states / "0-1.state").write_bytes(b"x" * 1_500_000)
    assert main(["clean", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert f"{states}: {kept + 1} files, 1.5 MB" in said
    assert "Nothing is removed" in said
    assert states.exists()
    assert main(["clean", str(tmp_path), "--yes"]) == 0
    assert sorted(path.name for path in run.iterdir()) == ["journal.jsonl"]
    assert main(["clean", str(tmp_path)]) == 0
    assert "nothing to remove" in capsys.readouterr().out
