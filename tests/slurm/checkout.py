"""A checkout from which Snakemake is run on the cluster, and looks at what it does there."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from cluster import Cluster

from hypercurve.events.encoding import RawLine, without_wall
from hypercurve.events.journal import read_lines

ROOT = Path(__file__).parents[2]
NOT_COPIED = shutil.ignore_patterns(".git", ".snakemake", ".venv*", ".*_cache", ".hypothesis", "__pycache__")


def not_copied(folder: str, names: list[str]) -> set[str]:
    """What stays behind: what tools made, and the results, which stand in the root alone; a package has their name too."""
    return {*NOT_COPIED(folder, names), *({"results"} if Path(folder) == ROOT else ())}


class Job(NamedTuple):
    """A job that Slurm knows of, going or ended."""

    id: str
    comment: str
    state: str
    nodes: int
    names: str


class Site:
    """A checkout from which Snakemake is run on the cluster.

    Args:
        cluster: where to.
        folder: of the checkout; must not exist.
    """

    def __init__(self, cluster: Cluster, folder: Path):
        self.cluster, self.folder = cluster, folder
        self._earlier: set[str] = set()
        self._earlier = {job.id for job in self.jobs("")}
        shutil.copytree(ROOT, folder, symlinks=True, ignore=not_copied)
        self.change("slurm/config.yaml", ("  parallel_search:\n", "  parallel_search:\n    nodes: 2\n"))

    def change(self, name: str, *changes: tuple[str, str]) -> None:
        """Edit a file as a user would; each text must stand there once."""
        path = self.folder / name
        text = path.read_text()
        for old, new in changes:
            assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {name}"
            text = text.replace(old, new)
        path.write_text(text)

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start `snakemake` with these arguments; what it prints is appended to a file."""
        with (self.folder / "said.txt").open("ab") as said:
            command = [str(Path(sys.executable).with_name("snakemake")), *arguments]
            return subprocess.Popen(
                command, cwd=self.folder, stdout=said, stderr=said, start_new_session=True, env=_environment()
            )

    def on_slurm(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start `snakemake --profile slurm`, looking often whether jobs have ended."""
        return self.start("--profile", "slurm", "--slurm-init-seconds-before-status-checks", "2", *arguments)

    def wait(self, process: subprocess.Popen[bytes], code: int = 0) -> None:
        """Wait for the end of Snakemake, which must come with this code."""
        assert process.wait(timeout=900) == code, self.said[-6000:]

    @property
    def said(self) -> str:
        """All that Snakemake has printed so far."""
        return (self.folder / "said.txt").read_text()

    def jobs(self, rule: str) -> list[Job]:
        """The jobs of a rule since this checkout was made, oldest first."""
        listed = self.cluster.output("squeue", "--states=all", "--noheader", "--sort=i", "--format=%i|%k|%T|%D|%N")
        jobs = [line.split("|") for line in listed.splitlines()]
        found = [Job(*job[:3], int(job[3]), job[4]) for job in jobs if job[1].startswith(f"rule_{rule}")]
        return [job for job in found if job.id not in self._earlier]


def _environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith(("PYTHONPATH", "SNAKEMAKE", "OMPI"))}


def until(condition: Callable[[], Any], what: str, seconds: float = 180) -> Any:
    """Wait for a condition, and give its value."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"{what} did not come about in {seconds} s"
        time.sleep(0.1)
    return value


def events(path: Path) -> list[RawLine]:
    """A journal's lines, but for what may differ between equal runs."""
    return [without_wall(line) for line in read_lines(path)[0]]


def ranks(job: str) -> list[int]:
    """Process ids of the MPI processes of a job, in the order of their ranks."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words, said = (process / "cmdline").read_bytes().split(b"\0"), (process / "environ").read_bytes()
        except OSError:
            continue
        number = re.search(rb"\0SLURM_PROCID=(\d+)\0", said)
        if b"--tasks" in words and b"python" in words[0] and f"\0SLURM_JOB_ID={job}\0".encode() in said and number:
            found[int(number[1])] = int(process.name)
    return [found[rank] for rank in sorted(found)]
