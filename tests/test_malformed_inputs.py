"""A spread of the malformed inputs of `malformed_inputs.py`; `benchmarks/malformed.py` runs them all."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from conftest import ROOT
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


@pytest.mark.slow
def test_a_spread_of_all_is_refused_by_the_program_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    from malformed import run

    for name in ("right", "inputs", "here"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "right")
    cases = list(inputs(base(tmp_path / "right"), tmp_path / "inputs"))
    assert len(cases) >= 300
    assert len({case.kind for case in cases}) == 8
    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(lambda case: run(case, tmp_path / "here"), cases[3::17]))
    wrong = {
        one.case.name: one.problems for one in outcomes if [said for said in one.problems if not said.endswith(" s")]
    }
    assert wrong == {}
    assert list((tmp_path / "here").iterdir()) == []
