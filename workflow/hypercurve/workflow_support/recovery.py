"""What a Snakemake that was killed has left: jobs that still run on Slurm."""

import os
import shutil
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

PATIENCE = 60.0
"""Seconds to wait for jobs that are being cancelled; those that stay longer have their journals locked meanwhile."""

TESTED = ("9.27.",)
"""Versions of Snakemake whose private parts are as this package expects them."""


def recover(workflow: Any) -> None:
    """Go on where a Snakemake that was killed has stopped: end its jobs on Slurm.

    What they have completed, Snakemake deletes, having no record of it; the runs' own history gives it back.

    Args:
        workflow: Snakemake's.
    """
    end_left_behind(unfinished(workflow))


def unfinished(workflow: Any) -> set[str]:
    """Where Slurm has the jobs print that an earlier Snakemake began, and saw no end of: the last folders of the paths.

    None, with the reason on stderr, where that is not certain.

    With :mod:`.ordering`, the only place that uses private parts of Snakemake. Without its lock, those jobs may be of a
    Snakemake that lives.

    Args:
        workflow: Snakemake's.
    """
    alone = "what an earlier Snakemake may have left behind is left alone"
    try:
        keep = workflow.persistence
        logs = {
            f"rule_{job.name}/{'_'.join(job.wildcards).replace('/', '_')}".rstrip("/")
            for job in workflow.dag.needrun_jobs()
            if keep._filter_incomplete_keys([keep._get_key(output) for output in job.output])
        }
        locked = workflow.execution_settings.lock
    except (AttributeError, TypeError) as error:
        print(f"Snakemake {version('snakemake')} is not as expected ({error}): {alone}", file=sys.stderr)
        return set()
    if logs and not version("snakemake").startswith(TESTED):
        print(f"not tested with Snakemake {version('snakemake')}: {alone}", file=sys.stderr)
        return set()
    if logs and not locked:
        print(f"--nolock: another Snakemake may be at work here; {alone}", file=sys.stderr)
        return set()
    return logs


def end_left_behind(logs: set[str]) -> None:
    """Cancel jobs on Slurm that would write what this Snakemake's jobs write, so that these can go on.

    Runs that are cancelled go on from their journals; populations save a snapshot first. Waits until they are gone.

    Args:
        logs: the folders that they print to: :func:`unfinished`. They must have been submitted from the working directory.
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
