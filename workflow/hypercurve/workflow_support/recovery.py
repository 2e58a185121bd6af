"""What a Snakemake that was killed has left: jobs that still run on Slurm, and results whose end it has not seen."""

import os
import shutil
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

PATIENCE = 60.0
"""Seconds to wait for jobs that are being cancelled; those that stay longer have their journals locked meanwhile."""

TESTED = ("9.27.",)
"""Versions of Snakemake whose private parts are as :func:`unfinished` expects them."""


class Job(NamedTuple):
    """A job that is to run now and that an earlier Snakemake began: it saw no end of it.

    Args:
        log: the last folders of the path that Slurm's plugin has it print to; they name its rule and wildcards.
        outputs: what it makes.
    """

    log: str
    outputs: list[Path]


def recover(workflow: Any) -> None:
    """Go on where a Snakemake that was killed has stopped: end its jobs on Slurm, keep what they have completed.

    Args:
        workflow: Snakemake's.
    """
    jobs = unfinished(workflow)
    end_left_behind({job.log for job in jobs})
    for job in jobs:
        for output in job.outputs:
            take_back(output)


def unfinished(workflow: Any) -> list[Job]:
    """The jobs of this Snakemake that an earlier one began; none, with the reason on stderr, where that is not certain.

    The only place that uses private parts of Snakemake. Without its lock, those jobs may be of a Snakemake that lives.

    Args:
        workflow: Snakemake's.
    """
    alone = "what an earlier Snakemake may have left behind is left alone"
    try:
        keep = workflow.persistence
        jobs = [
            Job(f"rule_{job.name}/{'_'.join(job.wildcards).replace('/', '_')}".rstrip("/"), list(map(Path, job.output)))
            for job in workflow.dag.needrun_jobs()
            if keep._filter_incomplete_keys([keep._get_key(output) for output in job.output])
        ]
        locked = workflow.execution_settings.lock
    except (AttributeError, TypeError) as error:
        print(f"Snakemake {version('snakemake')} is not as expected ({error}): {alone}", file=sys.stderr)
        return []
    if jobs and not version("snakemake").startswith(TESTED):
        print(f"not tested with Snakemake {version('snakemake')}: {alone}", file=sys.stderr)
        return []
    if jobs and not locked:
        print(f"--nolock: another Snakemake may be at work here; {alone}", file=sys.stderr)
        return []
    return jobs


def end_left_behind(logs: set[str]) -> None:
    """Cancel jobs on Slurm that would write what this Snakemake's jobs write, so that these can go on.

    Runs that are cancelled go on from their journals; populations save a snapshot first. Waits until they are gone: they may
    complete their runs meanwhile, which :func:`take_back` must see.

    Args:
        logs: the folders that they print to, see :class:`Job`. They must have been submitted from the working directory.
    """
    if not logs or shutil.which("squeue") is None:
        return
    left = _left_behind(logs)
    if left:
        print(f"cancelling jobs that an earlier Snakemake left behind: {', '.join(left)}", file=sys.stderr)
        subprocess.run(["scancel", *left], check=False)
    end = time.monotonic() + PATIENCE
    while left and time.monotonic() < end:
        time.sleep(1.0)
        left = _left_behind(logs)


def _left_behind(logs: set[str]) -> list[str]:
    """The jobs on Slurm that were submitted here and print to one of some folders."""
    columns = "JobID:20,WorkDir:4096,StdOut:4096"
    command = ["squeue", "--noheader", "--user", str(os.geteuid()), "--Format", columns]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", None) or str(error)
        print(f"squeue does not say whether an earlier Snakemake left jobs behind: {said.strip()}", file=sys.stderr)
        return []
    # Interactive jobs print to no file: their last column is empty.
    jobs = [(line[:20].strip(), line[20:4116].strip(), line[4116:].strip()) for line in listed.splitlines()]
    ends = tuple(f"/{log}" for log in logs)
    return [
        job
        for job, folder, output in jobs
        if output and str(Path(output).parent).endswith(ends) and Path(folder).resolve() == Path.cwd()
    ]


def take_back(output: Path) -> None:
    """Make a finished journal, which a job completed when its Snakemake had been killed, one to go on with.

    Snakemake has no record of how it was made, so it makes it again, and deletes it first. As a partial journal it is
    kept, and taken as it is if setting, data and code are still the same.

    Args:
        output: what a job makes; nothing is done unless it is a journal or batch that is there, and was not begun again.
    """
    partial = output.with_name(output.stem + ".partial" + output.suffix)
    journal = output.name in ("journal.jsonl", "retrained.jsonl") or output.match("batches/*.jsonl")
    if journal and output.exists() and not partial.exists():
        output.rename(partial)
