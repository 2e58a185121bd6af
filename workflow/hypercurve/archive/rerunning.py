"""Training an archived run again, and comparing its journal event for event."""

import difflib
from pathlib import Path

from ..config.code_files import model_digest, rules_digest
from ..config.data import NO_DATA, DataSpec
from ..config.model import label
from ..events.journal import Journal, check_line, decode, read_lines
from ..execution.rerun import rerun_journal
from ..results.runs import read_run
from ..runs.run import Run
from ..training import make_trainer
from ..training.data import load, prepare, verify
from ..util.files import sha256
from ..util.user_code import module_file
from .checking import Results, function_file
from .contents import Manifest
from .packing import ArchiveError

FAR, SHORTEST = 5.0, 1.0
"""Seconds of computing that differ by more than this factor are said to, if there are at least so many."""


def rerun(
    manifest: Manifest, results: Results, name: str, folder: Path, data: Path | None, trust: bool = False
) -> tuple[int, float]:
    """Train a run of an archive that has been checked again.

    Args:
        manifest: what it says of itself.
        results: what its results say.
        name: METHOD/REPEAT.
        folder: for temporary files.
        data: folder of prepared data; by default they are prepared anew.

    Returns:
        The number of events, all equal, and how many seconds were computed for them here.

    Raises:
        ArchiveError: there is no such run, or the data are others.
        JournalError: an event came out different; the message says which.
    """
    known = {f"{method}/{repeat}": (method, repeat) for method, repeat in results.runs}
    if name not in known:
        nearest = difflib.get_close_matches(name, known, n=1)
        raise ArchiveError(f"no run {name!r}{f'; did you mean {nearest[0]!r}?' if nearest else ''}")
    method, repeat = known[name]
    assert results.experiment is not None
    setting = results.experiment.setting(manifest.experiment, method)
    own = [part.kind for part in (setting.search, setting.stop) if part is not None and part.is_own]
    if not trust and (
        not isinstance(setting.model, str) or (setting.data is not None and setting.data.function) or own
    ):
        raise ArchiveError(
            f"{name}: to run it again is to run code that the archive names ({', '.join(own) or label(setting.model)}). "
            "Look at it first, then add --trust"
        )
    samples, digest = 0, NO_DATA
    if setting.data is not None:
        if data is None:
            _check_function(setting.data, folder / "archive" / manifest.experiment / "data" / "manifest.json")
            data = prepare(setting.data, folder / "data").folder
        dataset = load(data)
        verify(data)
        samples, digest = dataset.samples, dataset.digest
    if digest != manifest.data:
        raise ArchiveError(f"{data}: holds the data {digest}, but the archive's runs were trained on {manifest.data}")
    lines = results.journals[method, repeat]
    archived = folder / "archive" / manifest.experiment
    model = model_digest(setting.model, archived)
    if model != results.runs[method, repeat].model:
        raise ArchiveError(f"{label(setting.model)}: is not the code that the archive's runs trained; see code/user")
    rules = rules_digest(setting, archived)
    if rules != results.runs[method, repeat].rules:
        raise ArchiveError(f"{', '.join(own)}: is not the code that decided the archive's runs; see code/user")
    run = Run(
        setting, repeat, samples=samples, data=digest, record=results.records.get(method), model=model, rules=rules
    )
    trainer = make_trainer(setting, data, folder / "programs")
    if setting.population is None:
        return len(lines), rerun_journal(run, trainer, lines, name)
    if setting.budget.kind == "seconds":
        raise ArchiveError(f"{name}: a population that ended by the clock cannot be run again event for event")
    from ..execution.mpi import population
    from ..execution.mpi.comm import communicator

    path = folder / "again.jsonl"
    with Journal(path) as journal:
        population.execute(run, trainer, journal, communicator(1), folder=folder / "snapshots")
    again, _ = read_lines(path)
    for number, (line, new) in enumerate(zip(lines, again, strict=False), start=1):
        where = f"{name}:{number}"
        check_line(decode(new, where), line, where, "training again led")
    if len(lines) != len(again):
        raise ArchiveError(f"{name}: has {len(lines)} events, but training again led to {len(again)}")
    return len(lines), read_run(path).seconds


def compared_seconds(told: float, here: float) -> str:
    """What is to be said of a run's computing seconds, as an archive tells them and as they were here.

    >>> compared_seconds(12.0, 10.0)
    '12.0 in the archive, 10.0 here'
    >>> compared_seconds(500.0, 10.0)
    '500.0 in the archive, 10.0 here: 50 times as many, so look twice at its speedups; seconds can be made up'
    """
    text = f"{told:.1f} in the archive, {here:.1f} here"
    factor = max(told, here) / max(min(told, here), 1e-9)
    if factor <= FAR or max(told, here) < SHORTEST:
        return text
    many = "many" if told > here else "few"
    times = f"{factor:.0f}" if factor < 1e6 else "over a million"
    return f"{text}: {times} times as {many}, so look twice at its speedups; seconds can be made up"


def _check_function(spec: DataSpec, described: Path) -> None:
    """Hold the function that is to give the data once more to the one that gave them.

    Raises:
        ArchiveError: its file is another.
    """
    if spec.function is None:
        return
    made = function_file(described)
    if made is None or made.sha256 != sha256(module_file(spec.function.partition(":")[0], "data.function")):
        raise ArchiveError(f"{spec.function}: is not the code that gave the archive's data; see code/user")
