"""What tests/test_mpi_population.py starts under mpiexec: populations on synthetic or real networks, with mishaps.

Usage: mpi_population_program.py FOLDER CASES, the latter a JSON list of cases::

    {"name": "lag", "setting": {...}, "repeat": 0,                  # a run; its journal is FOLDER/lag.jsonl
     "trainer": "synthetic" or the folder of a prepared data set,
     "raises": [members, step], "diverges": [members, step],        # at that evolution step, always
     "moody": true,                                                 # what it raises reads differently every time
     "patient": true,                                               # wait for the disk at every evolution step
     "takes": 0.01,                                                 # what reports say that they took
     "minutes": 0,                                                  # after how many the clock asks for a snapshot
     "stagger": 0.05,                                               # in each report, one member in three takes so long
     "kill": {"rank": 1, "advance": 30}}                            # or "write": 7, "publish": 2; "signal": "SIGKILL"

Rank 0 writes FOLDER/lag.json: SHA-256 of every member's final state, reports trained for, seconds.
"""

import hashlib
import json
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hypercurve.config.setting import Setting
from hypercurve.events.journal import Journal
from hypercurve.execution.mpi import population, snapshots
from hypercurve.execution.mpi.comm import communicator, guarded
from hypercurve.runs.run import Run
from hypercurve.runs.trial import Trial
from hypercurve.training.trainer import Report, Session, Snapshot, Trainer


class Countdown:
    """Kills the process when something has happened so many times."""

    def __init__(self, kill: dict[str, Any], rank: int):
        self.kill = kill if kill.get("rank") == rank else {}
        self.counts: dict[str, int] = {}

    def count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1
        if self.kill.get(what) == self.counts[what]:
            os.kill(os.getpid(), getattr(signal, self.kill.get("signal", "SIGKILL")))


class Mishaps(Trainer):
    """A trainer whose sessions are remembered and have the case's mishaps."""

    def __init__(self, inner: Trainer, case: dict[str, Any], points: tuple[float, ...], countdown: Countdown):
        self.inner, self.case, self.points, self.countdown = inner, case, points, countdown
        self.sessions: dict[int, Session] = {}

    def open(self, trial: Trial) -> Session:
        session = self.inner.open(trial)
        self.sessions[trial.number] = session
        advance = session.advance

        def advanced(progress: float) -> Report:
            self.countdown.count("advance")
            report, step = advance(progress), self.points.index(progress) + 1
            if (step + trial.number) % 3 == 0:
                time.sleep(self.case.get("stagger", 0.0))
            report = replace(report, seconds=self.case.get("takes", report.seconds))
            if self.meets("raises", trial.number, step):
                where = f"{session}, {os.getpid() if self.case.get('moody') else 'always'}"
                raise RuntimeError(f"the member raises, as it is meant to, {where}: " + "é" * 3000)
            if self.meets("diverges", trial.number, step):
                return Report(progress, {"loss": float("nan")})
            return report

        session.advance = advanced  # type: ignore[method-assign]
        return session

    def meets(self, what: str, member: int, step: int) -> bool:
        members, when = self.case.get(what, ([], 0))
        return member in members and step == when

    def test(self, trial: Trial, snapshot: Snapshot) -> Any:
        return self.inner.test(trial, snapshot)

    def export(self, trial: Trial, snapshot: Snapshot, folder: Path) -> Path | None:
        return self.inner.export(trial, snapshot, folder)


def carry_out(folder: Path, case: dict[str, Any], comm: Any) -> None:
    setting = Setting.model_validate(case["setting"])
    countdown = Countdown(case.get("kill", {}), comm.rank)
    samples, name = 1600, case["name"]
    if case.get("trainer", "synthetic") == "synthetic":
        from hypercurve.training.synthetic import SyntheticTrainer

        inner: Trainer = SyntheticTrainer(evaluate="points", failures=False)
    else:
        from hypercurve.training import make_trainer
        from hypercurve.training.data import load

        inner, samples = make_trainer(setting, Path(case["trainer"])), load(Path(case["trainer"])).samples
    run = Run(setting, case.get("repeat", 0), samples=samples, data="none")
    trainer = Mishaps(inner, case, run.points, countdown)
    written, published = snapshots._write, snapshots.Snapshots.publish

    def write(path: Path, content: Any) -> None:
        countdown.count("write")
        written(path, content)

    def publish(self: Any, manifest: Any) -> None:
        countdown.count("publish")
        published(self, manifest)

    written_so_far = snapshots.Saver.written

    def waited_for(self: Any, member: int) -> Any:
        if case.get("patient"):
            self.wait()
        return written_so_far(self, member)

    snapshots.Saver.written = waited_for  # type: ignore[method-assign]
    snapshots._write, snapshots.Snapshots.publish = write, publish  # type: ignore[assignment, method-assign]
    began = time.perf_counter()
    journal = Journal(folder / f"{name}.jsonl") if comm.rank == 0 else None
    try:
        snapshots_folder, minutes = folder / f"{name}.snapshots", case.get("minutes")
        population.execute(run, trainer, journal, comm, folder=snapshots_folder, minutes=minutes)
    finally:
        snapshots._write, snapshots.Snapshots.publish = written, published  # type: ignore[method-assign]
        snapshots.Saver.written = written_so_far  # type: ignore[method-assign]
        if journal is not None:
            journal.close()
    seconds = time.perf_counter() - began
    hashes = {}
    for number, session in trainer.sessions.items():
        state = session.snapshot()
        whole = np.concatenate((state.weights, state.slots)).tobytes() + repr((state.progress, state.step)).encode()
        hashes[number] = hashlib.sha256(whole).hexdigest()
    gathered = comm.gather((hashes, countdown.counts.get("advance", 0)))
    if comm.rank == 0:
        found = dict(sorted((number, digest) for part, _ in gathered for number, digest in part.items()))
        outcome = {"hashes": found, "trained": sum(count for _, count in gathered), "seconds": seconds}
        (folder / f"{name}.json").write_text(json.dumps(outcome))


def main() -> None:
    folder, cases = Path(sys.argv[1]), json.loads(sys.argv[2])
    comm = communicator(int(os.environ.get("OMPI_COMM_WORLD_SIZE", "1")))
    with guarded(comm):
        for case in cases:
            carry_out(folder, case, comm)


if __name__ == "__main__":
    main()
