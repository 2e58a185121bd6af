"""A spread of the malformed inputs of `malformed_inputs.py`; `benchmarks/malformed.py` runs them all."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest

from conftest import ROOT
from hypercurve.analysis import tables
from hypercurve.archive.rerunning import compared_seconds
from hypercurve.cli import main
from malformed_inputs import base, inputs
from malformed_inputs.case import Case
from malformed_inputs.curves import CURVES, csv_files
from malformed_inputs.data_files import npz_files
from malformed_inputs.experiments import configs

LARGE = ("000", "MB", "GB")
"""In names of inputs that are written, and read, for longer than a quick test may take."""


def told(case: Case, capsys: pytest.CaptureFixture[str]) -> str:
    """What a command says of a malformed input, in this process."""
    try:
        code = main(case.command)
    except SystemExit as error:  # of argparse
        code = int(str(error.code))
    said = capsys.readouterr()
    assert code == case.code, f"{case.name}: {said.out}{said.err}"
    return said.out + said.err


@pytest.mark.parametrize("make", [configs, npz_files, csv_files])
def test_a_spread_is_refused_in_words(make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "curves.csv").write_text(CURVES)
    (folder := tmp_path / "inputs").mkdir()
    cases = [case for case in make(tmp_path, folder, False) if not any(size in case.name for size in LARGE)]
    assert len(cases) > 40
    for case in cases[::8]:
        said = told(case, capsys)
        assert case.words in said, case.name
        assert "Traceback" not in said
        assert len(said) < 6000, case.name


def test_texts_in_tables_are_no_formulas(tmp_path: Path) -> None:
    table = pd.DataFrame({"=x": ["=1+1", "@sum", "-x", "-1.5", "relu"], "y": [1.5, -2.5, 0.0, 1e-9, 3.0]})
    tables.write(table, tmp_path / "table.csv")
    assert (tmp_path / "table.csv").read_text() == "'=x,y\n'=1+1,1.5\n'@sum,-2.5\n'-x,0.0\n-1.5,1e-09\nrelu,3.0\n"


def test_seconds_are_compared_within_a_factor() -> None:
    assert compared_seconds(49.0, 10.0) == "49.0 in the archive, 10.0 here"
    assert "6 times as few" in compared_seconds(10.0, 60.0)
    assert "over a million times as many" in compared_seconds(60.0, 0.0)
    assert compared_seconds(0.5, 0.01) == "0.5 in the archive, 0.0 here"


@pytest.mark.slow
def test_a_spread_of_all_is_refused_by_the_program_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    from malformed import run

    for name in ("right", "inputs", "here"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "right")
    cases = list(inputs(base(tmp_path / "right"), tmp_path / "inputs", large=False))
    assert len(cases) >= 300
    assert len({case.kind for case in cases}) == 8
    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(lambda case: run(case, tmp_path / "here"), cases[3::40]))
    wrong = {
        one.case.name: one.problems for one in outcomes if [said for said in one.problems if not said.endswith(" s")]
    }
    assert wrong == {}
    assert list((tmp_path / "here").iterdir()) == []
