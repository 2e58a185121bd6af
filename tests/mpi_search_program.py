"""What `test_mpi_search.py` runs under mpiexec: carries out one or more runs with all ranks.

    mpi_search_program.py TASKS CASES.json

Each case is `{"setting": ..., "journal": ..., "trainer": ..., "data": ...}`; see TRAINERS.
"""

import json
import os
import signal
import sys
import time
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

from hypercurve.config.setting import Setting
from hypercurve.events.journal import Journal
from hypercurve.execution.mpi import search as supervised
from hypercurve.execution.mpi.comm import communicator, guarded
from hypercurve.runs import known as looking
from hypercurve.runs.known import KnownTrainings
from hypercurve.runs.run import Run
from hypercurve.runs.trial import Trial
from hypercurve.training.synthetic import SyntheticTrainer
from hypercurve.training.trainer import Report, Session, Trainer
from hypercurve.util.errors import UserError


class Changed(Trainer):
    """The synthetic trainer with something done before every report."""

    def __init__(self, rank: int):
        self.rank, self.inner = rank, SyntheticTrainer()

    def before(self, trial: Trial, progress: float) -> None: ...

    def open(self, trial: Trial) -> Session:
        session = self.inner.open(trial)
        advance = session.advance

        def changed(progress: float) -> Report:
            self.before(trial, progress)
            return advance(progress)

        session.advance = changed  # type: ignore[method-assign]
        return session

    def test(self, *arguments: Any) -> dict[str, float]:
        return self.inner.test(*arguments)


class Slow(Changed):
    """Takes a while for each point, so that all ranks take part; how long depends on rank and trial."""

    def before(self, trial: Trial, progress: float) -> None:
        time.sleep(0.002 * (1 + (trial.number + self.rank) % 3))


class Faulty(Changed):
    """Raises what users' models raise: a long message, exits, no message, and text that is not UTF-8."""

    def before(self, trial: Trial, progress: float) -> None:
        match trial.number, progress:
            case 1, 0.4:
                raise ValueError("no such layer\n" + "x" * 10_000)
            case 3, _:
                raise SystemExit("bye")
            case 4, 1.0:
                raise MemoryError
            case 6, 0.2:
                raise RuntimeError("a file named \udcff")


class Broken(Changed):
    """An error of the user's on one rank, which ends the run."""

    def before(self, trial: Trial, progress: float) -> None:
        if self.rank == 1:
            raise UserError("the data have gone")


class Killed(Slow):
    """One rank kills itself when it trains a certain trial; which, is in the environment: `RANK,TRIAL,SIGNAL`; -1: any."""

    def before(self, trial: Trial, progress: float) -> None:
        super().before(trial, progress)
        rank, number, which = map(int, os.environ["KILL"].split(","))
        if rank in (-1, self.rank) and trial.number >= number:
            os.kill(os.getpid(), which)


class Overtaken(Slow):
    """When this run has begun, another one is there that has done all of some trials and a part of others."""

    def before(self, trial: Trial, progress: float) -> None:
        super().before(trial, progress)
        if progress > 0.3 and not (there := Path(os.environ["OVERTAKEN"])).exists():
            there.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileExistsError):  # another rank was faster
                os.link(os.environ["OVERTAKING"], there)


TRAINERS = {"plain": lambda _: SyntheticTrainer(), "slow": Slow, "faulty": Faulty, "broken": Broken, "killed": Killed}
TRAINERS["overtaken"] = Overtaken


def trainer_of(case: dict[str, Any], setting: Setting, rank: int) -> Trainer:
    if "data" not in case:
        return TRAINERS[case["trainer"]](rank)
    from hypercurve.training import make_trainer

    return make_trainer(setting, Path(case["data"]))


def main() -> None:
    comm = communicator(int(sys.argv[1]))
    with guarded(comm):
        for case in json.loads(Path(sys.argv[2]).read_text()):
            setting = Setting.model_validate(case["setting"])
            run = Run(setting, 0, samples=1000, data="none")
            with Journal(Path(case["journal"])) if comm.rank == 0 else nullcontext() as journal:
                known = None
                if journal is not None and case.get("known"):
                    known = KnownTrainings(Path(case["journal"]), run.header)
                supervised.execute(run, trainer_of(case, setting, comm.rank), journal, comm, known=known)


if __name__ == "__main__":
    looking.EVERY = looking.SHARE = 0  # at all times
    signal.alarm(300)  # whatever is wrong, nothing stays behind
    main()
