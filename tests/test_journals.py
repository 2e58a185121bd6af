"""Today's seeds give yesterday's journals, line by line: what says that behaviour stayed.

`tests/journals/NAME.yaml` is an experiment, `NAME.jsonl.xz` its journals, one after another, without what stands under
`wall`. A change that is meant to change journals (a fixed rule, a new option in the setting's digest) makes them anew, and
says so in its commit: `PYTHONPATH=workflow python tests/test_journals.py`.
"""

import json
import lzma
import math
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from hypercurve.config.files import read_experiment, read_resolved
from hypercurve.events.journal import Line, read_lines, without_wall
from results_data import call, in_a_process

pytestmark = pytest.mark.slow
KEPT = Path(__file__).parent / "journals"
EXPERIMENTS = ["zoo", "record", "budget-halving", "loop"]
"""In this order: some begin with the record of zoo's random search."""
RUNS = [(name, method) for name in EXPERIMENTS for method in read_experiment(KEPT / f"{name}.yaml").methods]


def make(name: str, folder: Path) -> list[Line]:
    """All lines of an experiment's journals, made now."""
    results, source = folder / "results" / name, KEPT / f"{name}.yaml"
    call("resolve", source, "-o", results / "experiment.json")
    experiment = read_resolved(results / "experiment.json")
    assert experiment.data is not None
    data = folder / "results" / "data" / experiment.data.key
    if not data.exists():
        call("data", "digits", "--validation", experiment.data.validation, "-o", data)
    lines: list[Line] = []
    for method, options in experiment.methods.items():
        run = results / "runs" / method
        call("resolve", source, "--method", method, "-o", run / "setting.json")
        record = []
        if options.record:
            call("record", run / "setting.json", "-o", run / "record.json")
            record = ["--record", run / "record.json"]
        alone = options.population is not None  # MPI is initialised once in a process, and not in this one
        search = ("search", run / "setting.json", "--data", data, *record, "-o", run / "0" / "journal.jsonl")
        (in_a_process if alone else call)(*search)
        lines += [without_wall(line) for line in read_lines(run / "0" / "journal.jsonl")[0]]
    return lines


def of_methods(lines: list[Line]) -> dict[str, list[Line]]:
    """Journals by method."""
    journals: dict[str, list[Line]] = {}
    for line in lines:
        if line["event"] == "run":
            journal = journals.setdefault(line["method"], [])
        journal.append(line)
    return journals


def same(now: object, kept: object) -> bool:
    """Equal with all keys in one order; the last digits of numbers differ between kinds of processors."""
    if isinstance(now, dict) and isinstance(kept, dict):
        return list(now) == list(kept) and all(same(now[key], kept[key]) for key in now)
    if isinstance(now, list) and isinstance(kept, list):
        return len(now) == len(kept) and all(map(same, now, kept))
    if isinstance(now, float) and isinstance(kept, float):
        return math.isclose(now, kept, rel_tol=1e-9)
    return type(now) is type(kept) and now == kept


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], list[Line]]:
    folder = tmp_path_factory.mktemp("journals")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(str(KEPT.parents[1]))
        return {
            (name, method): lines for name in EXPERIMENTS for method, lines in of_methods(make(name, folder)).items()
        }


@pytest.fixture(scope="module")
def kept() -> dict[tuple[str, str], list[Line]]:
    journals = {}
    for name in EXPERIMENTS:
        lines = map(json.loads, lzma.decompress((KEPT / f"{name}.jsonl.xz").read_bytes()).splitlines())
        journals |= {(name, method): journal for method, journal in of_methods(list(lines)).items()}
    return journals


@pytest.mark.parametrize("run", RUNS, ids="-".join)
def test_a_seed_gives_the_journal_that_it_gave(
    run: tuple[str, str], made: dict[tuple[str, str], list[Line]], kept: dict[tuple[str, str], list[Line]]
) -> None:
    for number, (line, before) in enumerate(zip(made[run], kept[run], strict=False), start=1):
        assert same(line, before), f"line {number}:\n{json.dumps(line)}\nwas\n{json.dumps(before)}"
    assert len(made[run]) == len(kept[run])


if __name__ == "__main__":
    import os

    sys.path.insert(0, str(KEPT.parents[1]))  # where a loop of an experiment lies
    with TemporaryDirectory() as scratch:
        os.chdir(scratch)
        for name in EXPERIMENTS:
            lines = make(name, Path(scratch))
            text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
            (KEPT / f"{name}.jsonl.xz").write_bytes(lzma.compress(text.encode(), preset=9))
            print(f"{name}: {len(lines)} lines", file=sys.stderr)
