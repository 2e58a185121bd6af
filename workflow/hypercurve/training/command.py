"""Trainer for programs of users: whatever prints one JSON object per epoch on its standard output.

In a population, a program is run in segments: from the snapshot file of the last one (or none) until an epoch, where it
writes another. Only the files' bytes travel. Elsewhere it runs through, stopped while nobody waits for its next line. Where
states of trials in flight are saved (:mod:`hypercurve.training.saving`), a training that takes longer than the time between
two of them runs in segments of about that time. How long an epoch takes is known from the slowest program so far; the first
of all tells it by a segment of one epoch.
See docs/models.md.
"""

import json
import math
import os
import re
import shlex
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt

from ..config.code_files import code_files
from ..config.model import LAUNCHER, CommandSpec, filled
from ..runs.trial import Trial
from ..space.search_space import Value
from ..util.seeding import integer_seed
from .epochs import EpochSession, tested
from .loop import THREADS
from .network_files import write_state
from .program import Log, Program, Programs
from .trainer import Snapshot, Trainer, TrialFailed
from .user_states import State

PATIENCE = 1.0
"""Seconds to wait, when a program was ended from outside, for our own end."""

LARGEST = 1 << 30
"""Bytes of a snapshot file that is kept, in memory, of a trial that has come to its end."""

OPEN_MPI = {"PRTE_MCA_hwloc_default_binding_policy": "none", "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe"}
"""What Open MPI's launcher is told, and others do not read: several of them share the cores of a node, and each would bind
its processes to the first ones."""
OF_A_JOB = ("SLURM_JOB", "SLURM_CONF", "SLURM_CLUSTER", "SLURM_SUBMIT")
"""Slurm's variables that say something of the whole job; all others are of a step."""

_NO_NUMBER = re.compile(rb'"(?:[^"\\]|\\.)*"|[-+]?\b(?:nan(?:\([\w]*\))?|inf(?:inity)?)(?!\w)', re.IGNORECASE)


def _as_json(found: re.Match[bytes]) -> bytes:
    """What stands for NaN or infinity as C, Fortran or Julia print it, as JSON's readers take it; texts as they are."""
    text = found[0]
    if text.startswith(b'"'):
        return text
    if text.lstrip(b"-+")[:1].lower() == b"n":
        return b"NaN"
    return b"-Infinity" if text.startswith(b"-") else b"Infinity"


class CommandTrainer(Trainer):
    """Follows :class:`hypercurve.training.trainer.Trainer`.

    Args:
        spec: which program.
        dataset: the folder of the prepared data set; None: the program has data of its own.
        threads: threads that a trial may use.
        exchanges: whether sessions are members of a population.
        logs: where standard error goes, a file per trial; None drops it.
        ranks: MPI processes of a trial, which stands for `{launcher}` starts.

    Attributes:
        pace: seconds per epoch of the slowest program so far; None: there was none.
        segments: whether programs write the snapshots that they are asked for.

    Raises:
        UserError: the program is missing.
    """

    def __init__(
        self,
        spec: CommandSpec,
        dataset: Path | None,
        *,
        threads: int = 1,
        exchanges: bool = False,
        logs: Path | None = None,
        ranks: int = 1,
    ) -> None:
        code_files(spec)
        self.spec, self.dataset, self.threads, self.exchanges, self.logs = spec, dataset, threads, exchanges, logs
        self.environment = dict.fromkeys(THREADS, str(threads)) | spec.env
        self.programs = Programs(spec.grace)
        self.launcher = launcher(ranks, threads)
        if LAUNCHER in spec.placeholders and self.launcher[0] != "env":
            self.environment = {**OPEN_MPI, "PRTE_MCA_prte_tmpdir_base": str(self.programs.folder), **self.environment}
        self.pace: float | None = None
        self.segments = spec.segmented

    def open(self, trial: Trial) -> "CommandSession":
        """A session at the start of its training; its program starts when it is first trained."""
        return CommandSession(self, trial)

    def test(self, trial: Trial, snapshot: Snapshot) -> dict[str, float]:
        """What the program reported last as `test_...`."""
        del trial
        return tested(snapshot)

    def export(self, trial: Trial, snapshot: Snapshot, folder: Path) -> Path | None:
        """The last snapshot file of a program that writes any: `best.snapshot`."""
        del trial
        return write_state(snapshot, folder, "best.snapshot")


class CommandSession(EpochSession):
    """One trial in training."""

    def __init__(self, trainer: CommandTrainer, trial: Trial) -> None:
        super().__init__(trainer.spec, trial, trainer.exchanges)
        self.trainer = trainer
        self._log = Log(None if trainer.logs is None else trainer.logs / f"{trial.number}.log")
        self._program: Program | None = None
        self._content: bytes | None = None  # of the snapshot file of the last segment
        self._pace: float | None = None  # seconds per epoch of the last segment
        self._spent, self._first = 0.0, 0.0  # seconds in this segment, and those until its first line
        self._from, self._until = 0, 0  # epochs of the trial that the program runs through
        self._again = False

    def command(self, until: int, resume: Path | None, snapshot: Path) -> list[str]:
        """The program and its arguments.

        Args:
            until: the epoch until which it is to run.
            resume: the snapshot file that it is to go on from; None: from the start.
            snapshot: the file that it is to write at the end.
        """
        trial, trainer = self.trial, self.trainer
        values = {name: _text(value) for name, value in self.hyperparameters.items()}
        values |= {
            "seed": str(integer_seed(trial.seed, trial.repeat, "trainable", trial.draws)),
            "trial": str(trial.number),
            "repeat": str(trial.repeat),
            "threads": str(trainer.threads),
            "resume": "" if resume is None else str(resume),
            "snapshot": str(snapshot),
            "until": str(until),
        }
        if trainer.dataset is not None:
            values["data"] = str(trainer.dataset)
        words: list[str] = []
        for argument in trainer.spec.command:
            if argument == f"{{{LAUNCHER}}}":
                words += trainer.launcher
            elif (word := filled(argument, values)) is not None:
                words.append(word)
        return words

    def _begin(self, until: int) -> None:
        if self._program is None:
            self._from, self._until, self._spent = self.done, until if self.exchanges else self._goal(), 0.0
            self._start()

    def _goal(self) -> int:
        """The epoch until which a program runs that is no member of a population."""
        pace = self.trainer.pace if self._pace is None else self._pace
        if self._every is None or math.isinf(self._every) or not self.trainer.segments:
            return self.epochs
        if pace is None:
            return min(self.done + 1, self.epochs)
        left = self.epochs - self.done
        return self.epochs if left * pace <= self._every else self.done + min(left, max(1, int(self._every / pace)))

    def _start(self) -> None:
        """Start the program, to go on from the last segment or from the start."""
        self._file("snapshot").unlink(missing_ok=True)
        resume = None
        if self._content is not None:
            resume = self._file("resume")
            resume.write_bytes(self._content)
        # A program counts the epochs of its state, which may be another's.
        until = self.age - self.done + self._until
        command = self.command(until, resume, self._file("snapshot"))
        spec = self.trainer.spec
        self._program = Program(self.trainer.programs, command, self.trainer.environment, spec.timeout, self._log)

    def _file(self, name: str) -> Path:
        return self.trainer.programs.folder / f"{self.trial.repeat}-{self.trial.number}.{name}"

    def _next(self) -> object:
        assert self._program is not None
        began = time.monotonic()
        line = self._program.line()
        self._spent += time.monotonic() - began
        if self.done == self._from:
            self._first = self._spent
        if line is None:
            code = self._program.code()
            if self._interrupted(code):
                return self._next()
            raise TrialFailed(f"{_ending(code)} after {self.done} of {self.epochs} epochs{self._log.told}")
        return self._parsed(line)

    def _interrupted(self, code: int) -> bool:
        """Whether the program was ended from outside, which is no fault of its trial: it is started again, once.

        A scheduler that ends a job sends SIGTERM or SIGKILL to all processes in it, one after the other, ours too. If it
        does, nobody must learn that the program ended first; if it has ended the program alone, the trial goes on.
        """
        if code not in (-signal.SIGTERM, -signal.SIGKILL) or self._again:
            return False
        self._again = True
        time.sleep(PATIENCE)  # ours may be on its way
        self._rerun()
        return True

    def _rerun(self) -> None:
        """Start the program once more, and let it come to where it was."""
        self._start()
        assert self._program is not None
        for _ in range(self.done - self._from):
            self._program.line()

    def _parsed(self, line: bytes) -> Mapping[str, Any]:
        try:
            try:
                found = json.loads(line)
            except ValueError:
                found = json.loads(_NO_NUMBER.sub(_as_json, line))
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            text = line[:200].decode(errors="backslashreplace").strip()
            raise TrialFailed(f"epoch {self.done + 1}: printed {text!r}, which is no JSON object")
        return found

    def _said(self) -> str | None:
        return self._log.tail or None

    def _reached(self, end: bool) -> None:
        program = self._program
        if program is None:
            return
        if not end and not self.exchanges:
            program.pause()
            return
        self._end(program)

    def _passed(self) -> None:
        """At the end of a segment, its snapshot is taken; one that is not there is done without."""
        program = self._program
        if self._every is None or self.exchanges or program is None:
            return
        epochs = self.done - self._from  # the first takes the program's start as well
        pace = self._first if epochs == 1 else (self._spent - self._first) / (epochs - 1)
        if epochs > 1 or pace > self._every:
            self.trainer.pace = max(pace, self.trainer.pace or 0.0)
        if self.done < self._until or self._until == self.epochs:
            return
        self._pace, before = pace, self._content
        try:
            self._end(program)
            reason = "wrote no snapshot to {snapshot}" if self._content is None else ""
        except TrialFailed as failure:
            reason = failure.reason
        if reason:
            print(
                f"warning: trial {self.trial.number}: run until epoch {self.done} ({{until}}), the program {reason}. Trials "
                "of this program are not saved in the middle; they run through",
                file=sys.stderr,
                flush=True,
            )
            self.trainer.segments = False
            self._content, self._until = before, self.epochs
            self._rerun()

    def _end(self, program: Program) -> None:
        """The program is to have ended, and written its snapshot where that is of use."""
        if program.line() is not None:
            raise TrialFailed(f"printed more than {self.done} lines, one for each epoch")
        if code := program.code():
            if self._interrupted(code):
                assert self._program is not None
                self._end(self._program)
                return
            raise TrialFailed(f"{_ending(code)} after its last line{self._log.told}")
        self._program = None
        if self.exchanges:
            self._content = self._written()
        elif (self._every is not None and self.trainer.segments) or 0 < self._size() <= LARGEST:
            path = self._file("snapshot")
            self._content = path.read_bytes() if path.is_file() else None
        for name in ("resume", "snapshot"):
            self._file(name).unlink(missing_ok=True)

    def _size(self) -> int:
        """Bytes of the snapshot file; -1 where there is none."""
        path = self._file("snapshot")
        return path.stat().st_size if path.is_file() else -1

    def _written(self) -> bytes:
        if (size := self._size()) < 0:
            raise TrialFailed(f"wrote no snapshot to {{snapshot}}{self._log.told}")
        if size > (room := self.trainer.spec.state_bytes):
            raise TrialFailed(f"wrote a snapshot of {size} bytes, more than `state_bytes` = {room} allows")
        return self._file("snapshot").read_bytes()

    def _adjust(self) -> None:
        """The next segment is started with the new ones."""
        if not self.exchanges:
            raise TypeError("a program that runs through cannot take over other hyperparameters")

    def can_save(self) -> bool:
        """Where a segment has just ended."""
        return not self.exchanges and self.trainer.segments and self._program is None and self._content is not None

    def _save(self) -> State:
        assert self._content is not None
        return self._content

    def _end_state(self) -> State | None:
        return self._content

    def _load(self, state: bytes | dict[str, npt.NDArray[Any]]) -> None:
        if not self.trainer.spec.segmented:
            raise TypeError("the command has no {resume}, {snapshot} and {until}")
        assert isinstance(state, bytes)
        self._content, self._program = state, None


def launcher(ranks: int, threads: int) -> list[str]:
    """The words that start a program's MPI processes within the allocation of this job.

    The variable HYPERCURVE_LAUNCHER, which the workflow sets to the profile's `mpi`, says by what; else it is the mpiexec
    beside this Python.

    Args:
        ranks: how many.
        threads: of each.
    """
    beside = str(Path(sys.executable).with_name("mpiexec"))
    words = shlex.split(os.environ.get("HYPERCURVE_LAUNCHER", "")) or [beside]
    if words == ["mpiexec"] and Path(beside).exists():
        words = [beside]
    if Path(words[0]).name == "srun":
        # A step of its own, beside the one that this process is in, whose variables srun and PMIx would take for its own.
        known = [name for name in os.environ if name.startswith(("SLURM_", "SRUN_")) and not name.startswith(OF_A_JOB)]
        words = ["env", *(f"--unset={name}" for name in known), *words]
        words += ["--overlap", "--exact", f"--cpus-per-task={threads}"]
    return [*words, "-n", str(ranks)]


def _text(value: Value) -> str:
    """A value as it stands in a command: numbers so that they read back as exactly what they were."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _ending(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by signal {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
