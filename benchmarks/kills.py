"""A campaign of kills: runs of all kinds are killed at random moments, again and again, until they are complete.

    python benchmarks/kills.py --kills 1000

A run is started as a user would, killed some time after it began to train (or, now and then, while it starts), and the same
command is given again: at once, while what was killed may still be ending, or after that. In the end its journal must
begin with all lines that stood there at each kill, and be equal to that of a run which was never killed, outside `wall`; in
order of arrival, every report must be equal, and the journal must follow from itself. How a run is killed:

- `group`: SIGKILL to the process group, as a terminal or `timeout` does: of an MPI job, mpiexec alone;
- `all`: SIGKILL to all processes, as Slurm does;
- `term`: SIGTERM to the process group;
- `rank`: SIGKILL to one process of an MPI job.

Ends with one line of JSON: what was killed, and what was found wrong; code 1 if anything was.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from itertools import zip_longest
from pathlib import Path
from typing import Any

from hypercurve.cli.search import make_run
from hypercurve.config.files import read_setting
from hypercurve.events.encoding import without_wall
from hypercurve.events.journal import read_lines
from kills_runs import KINDS, Place
from processes import QUIET

MARK = "HYPERCURVE_KILLS"
"""Variable in the environment of all that a start has started."""
LINGER = 20.0
"""Seconds after a kill in which processes must have come to their ends."""
HANG = 300.0
"""Seconds in which every run ends that nobody kills: some two seconds of training."""
WAYS = {"group": 0.45, "all": 0.2, "term": 0.2, "rank": 0.15}
STATES = ("snapshots", "journal.partial.jsonl")
"""What only runs that are not complete have beside their journals."""
FAULTS = ("lost_events", "unequal_journals", "leftover_processes", "leftover_files", "hangs", "bad_exits")


class Fault(Exception):
    """A run that went wrong, and how: one of FAULTS."""


def marked(mark: str) -> list[int]:
    """Processes that carry a mark, but for zombies."""
    found = []
    for place in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if f"\0{MARK}={mark}\0".encode() in b"\0" + place.read_bytes():
                found.append(int(place.parent.name))
    return found


def end(number: int) -> None:
    """Kill a process."""
    with suppress(ProcessLookupError):
        os.kill(number, signal.SIGKILL)


def until(condition: Callable[[], Any], seconds: float) -> bool:
    """Wait until something is so; whether it is."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= end:
            return False
        time.sleep(0.01)
    return True


def written(output: Path) -> bytes:
    """The whole lines of a journal, finished or not."""
    for path in (output.with_name(f"{output.stem}.partial.jsonl"), output):  # the first may become the second meanwhile
        with suppress(FileNotFoundError):
            content = path.read_bytes()
            return content[: content.rfind(b"\n") + 1]
    return b""


class Campaign:
    """What is killed, and what was found.

    Args:
        place: where runs are.
        seed: of all that is drawn.
        keep: where runs that went wrong are moved; None: they are deleted.
    """

    def __init__(self, place: Place, seed: int, keep: Path | None):
        self.place, self.draw, self.keep = place, random.Random(seed), keep
        self.kills: Counter[str] = Counter()  # by kind
        self.ways: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.runs = self.starts = self._swept = 0
        self._whole: dict[str, Path] = {}  # journals of runs that were never killed, by kind
        self._starting: dict[str, float] = {}  # seconds before they began to train
        self._ending: list[tuple[str, str, float]] = []  # marks of what was killed, how, and when

    def run(self, kind: str, kills: int) -> None:
        """Carry out a run, and kill it at most so many times."""
        whole = self.whole(kind)
        self.runs += 1
        folder = self.place.folder / f"{kind}-{self.runs}"
        said = self.place.folder / f"{kind}-{self.runs}.txt"
        outputs = self.place.steps(kind, folder)
        before: dict[Path, list[bytes]] = {output: [] for output in outputs}
        try:
            for output in outputs:
                while kills > 0 and self._killed(kind, output, said):
                    kills -= 1
                    before[output].append(written(output))
                if kills <= 0:
                    self._finish(kind, output, said)
            self._ended()
            self._compare(kind, outputs, before, whole)
        except Fault as fault:
            self.faults[fault.args[0]] += fault.args[2] if len(fault.args) > 2 else 1
            print(f"{kind}, run {self.runs}: {fault.args[0]}: {fault.args[1]}", file=sys.stderr, flush=True)
            if self.keep is not None:
                self.keep.mkdir(parents=True, exist_ok=True)
                for path in (folder, said):
                    shutil.move(path, self.keep / f"{os.getpid()}-{path.name}")
        self._sweep()
        shutil.rmtree(folder, ignore_errors=True)
        said.unlink(missing_ok=True)

    def whole(self, kind: str) -> Path:
        """The journal of a run that is not killed, in one process; made when it is first asked for."""
        if kind not in self._whole:
            self.place.prepare(kind)
            *_, output = self.place.steps(kind, self.place.folder / f"{kind}-whole")
            began = time.monotonic()
            said = self.place.folder / f"{kind}-whole.txt"
            process, _ = self._start(kind, output, said, 0)
            until(lambda: reports(output) or process.poll() is not None, HANG)
            self._starting[kind] = time.monotonic() - began
            if process.wait(HANG) != 0:
                sys.exit(said.read_text())
            self._whole[kind] = output
        return self._whole[kind]

    def _start(self, kind: str, output: Path, said: Path, ranks: int) -> tuple[subprocess.Popen[bytes], str]:
        self.starts += 1
        mark = f"{os.getpid()}-{self.starts}"
        command, folder = self.place.command(kind, output, ranks)
        environment = {**os.environ, **QUIET, **self.place.environment, MARK: mark}
        # What a killed mpiexec leaves refuses a later one that gets its process number.
        environment["PRTE_MCA_prte_tmpdir_base"] = str(self.place.folder / f"mpi-{mark}")
        with said.open("ab") as log:
            log.write(f"--- {mark}: {' '.join(command)}\n".encode())
            log.flush()
            process = subprocess.Popen(
                command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        return process, mark

    def _ranks(self, kind: str) -> int:
        return self.draw.choice(KINDS[kind].ranks or [0])

    def _killed(self, kind: str, output: Path, said: Path) -> bool:
        """Start a run and kill it at a random moment; False if it was complete before."""
        there, begun = reports(output), time.monotonic()
        process, mark = self._start(kind, output, said, self._ranks(kind))
        early, way = self.draw.random() < 0.2, self.draw.choices([*WAYS], [*WAYS.values()])[0]
        if way == "rank" and not KINDS[kind].ranks:
            way = "all"
        moment = self.draw.uniform(0, self._starting[kind] if early else 0.8)
        if not early and not until(lambda: reports(output) > there or process.poll() is not None, HANG):
            self._hang(process, mark)
        elif early:
            moment += begun - time.monotonic()
        with suppress(subprocess.TimeoutExpired):
            self._check(process.wait(max(0.0, moment)), said)
            return False
        self.kills[kind] += 1
        self.ways[way] += 1
        self._kill(process, mark, way)
        try:
            code = process.wait(HANG)
        except subprocess.TimeoutExpired:
            self._hang(process, mark)
        self._told(said, code)
        self._ending.append((mark, way, time.monotonic()))
        if self.draw.random() < 0.5:
            self._ended()
        return True

    def _kill(self, process: subprocess.Popen[bytes], mark: str, way: str) -> None:
        if way == "rank":  # mpiexec ends the others
            ranks = [each for each in marked(mark) if parent_of(each) == process.pid]
            end(self.draw.choice(sorted(ranks)) if ranks else process.pid)
        elif way == "all":
            while going := marked(mark):  # what they start meanwhile, too
                for each in going:
                    end(each)
        else:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM if way == "term" else signal.SIGKILL)

    def _finish(self, kind: str, output: Path, said: Path) -> None:
        """Carry a run to its end."""
        process, mark = self._start(kind, output, said, self._ranks(kind))
        try:
            self._check(process.wait(HANG), said)
        except subprocess.TimeoutExpired:
            self._hang(process, mark)

    def _hang(self, process: subprocess.Popen[bytes], mark: str) -> None:
        state = [f"{number} {command_of(number)[-1][:40].decode()}" for number in marked(mark)]
        self._kill(process, mark, "all")
        raise Fault("hangs", f"no end within {HANG:g} s of {state}")

    def _check(self, code: int, said: Path) -> None:
        """A run that nobody killed has ended: well."""
        if code != 0:
            raise Fault("bad_exits", f"code {code}: {said.read_text(errors='replace')[-3000:]}")
        self._told(said, code)

    def _told(self, said: Path, code: int) -> None:
        """What a run says is for users."""
        text = said.read_text(errors="replace").rpartition("\n--- ")[2]
        if "Traceback" in text:
            raise Fault("bad_exits", f"code {code}: {text[-3000:]}")

    def _ended(self) -> None:
        """Wait until nothing is left of what was killed."""
        while self._ending:
            mark, way, when = self._ending.pop()
            while marked(mark) and time.monotonic() < when + LINGER:
                time.sleep(0.05)
            if marked(mark):
                left = [b" ".join(command_of(number)).decode(errors="replace") for number in marked(mark)]
                raise Fault("leftover_processes", f"{mark}, {way}: {left}", len(left))

    def _sweep(self) -> None:
        """End what a run that went wrong has left."""
        for mark in [f"{os.getpid()}-{start + 1}" for start in range(self._swept, self.starts)]:
            for each in marked(mark):
                end(each)
        self._swept = self.starts

    def _compare(self, kind: str, outputs: list[Path], before: dict[Path, list[bytes]], whole: Path) -> None:
        for output in outputs:
            content = output.read_bytes()
            for held in before[output]:
                if not content.startswith(held):
                    lost = [
                        old for old, new in zip_longest(held.split(b"\n"), content.split(b"\n")) if old and old != new
                    ]
                    raise Fault("lost_events", f"{output.name}: {lost[0].decode()}", len(lost))
        journal = outputs[-1]
        found, expected = ([without_wall(line) for line in read_lines(path)[0]] for path in (journal, whole))
        if kind == "arrival":
            path = self.place.folder / f"{kind}.json"
            state = make_run(argparse.Namespace(setting=path, repeat=0, data=None), read_setting(path))
            state.fold(read_lines(journal)[0], str(journal))
            told, known = (
                {(line["trial"], line.get("progress")): line["metrics"] for line in lines if "progress" in line}
                for lines in (found, expected)
            )
            if not state.complete or any(told[key] != known[key] for key in told.keys() & known.keys()):
                raise Fault("unequal_journals", f"{[key for key in told if told[key] != known.get(key, told[key])]}")
        elif found != expected:
            pairs = zip([*found, {}], [*expected, {}], strict=False)
            raise Fault("unequal_journals", str(next(pair for pair in pairs if pair[0] != pair[1])))
        names = [{path.name for path in one.parent.iterdir()} - {"batches"} for one in (journal, whole)]
        in_flight = sorted(journal.with_suffix(".states").glob("[0-9]*"))
        if names[0] != names[1] or in_flight or any(name.startswith(".") or name in STATES for name in names[0]):
            raise Fault("leftover_files", f"{sorted(names[0])}, not {sorted(names[1])}; {in_flight}")


def reports(output: Path) -> int:
    """How many reports a journal holds."""
    content = written(output)
    return content.count(b'"event":"reported"') + content.count(b'"event":"completed"')


def parent_of(number: int) -> int:
    """The parent of a process; 0: it is gone."""
    try:
        return int(Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def command_of(number: int) -> list[bytes]:
    """A process's command."""
    try:
        return Path(f"/proc/{number}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return [b""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", choices=[*KINDS], default=[*KINDS], help="kinds of runs; default: all")
    parser.add_argument("--keep", type=Path, help="folder for runs that went wrong")
    given = parser.parse_args()
    began, draw = time.monotonic(), random.Random(given.seed)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        sys.path.insert(0, folder)
        campaign = Campaign(Place(Path(folder)), given.seed, given.keep and given.keep.absolute())
        while (done := campaign.kills.total()) < given.kills:
            (kind,) = draw.choices(given.kinds, [KINDS[name].weight for name in given.kinds])
            campaign.run(kind, min(20, given.kills - done))
            counts = ", ".join(f"{campaign.faults[name]} {name.replace('_', ' ')}" for name in FAULTS)
            said = f"{campaign.kills.total()} kills in {campaign.runs} runs, {kind}: {counts}"
            print(said, file=sys.stderr, flush=True)
    result: dict[str, Any] = {"kills": campaign.kills.total(), "runs": campaign.runs}
    result |= {name: campaign.faults[name] for name in FAULTS}
    result |= {"by_kind": campaign.kills, "by_way": campaign.ways, "seconds": round(time.monotonic() - began)}
    print(json.dumps(result))
    sys.exit(any(campaign.faults.values()))


if __name__ == "__main__":
    main()
