"""The order of runs whose trainings are the same: those first that the others can use."""

import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .recovery import TESTED


def wait_for_trainings(workflow: Any, lenders: Callable[[str, str], Sequence[str]]) -> None:
    """Let runs wait for those that train the same, as far as both are to be made.

    Snakemake's own way, an input, would be wrong here: to ask for a run alone would make the other as well, and a run would
    be outdated whenever the other came or went. So nothing of a run changes, but when it begins. Nobody waits where

    - Snakemake is to stop early (``--until``): it then begins nothing that depends on where it stops;
    - jobs are in groups, which are put together before;
    - Snakemake will make its plan again (checkpoints, queues): it would take what waits for a thing that need not be made.

    With :mod:`.recovery`, the only place that uses private parts of Snakemake.

    Args:
        workflow: Snakemake's, when its plan has been made and no job has begun.
        lenders: by experiment and method, the methods that train the same; none for others than ours.
    """
    try:
        dag = workflow.dag
        edges, depending, counts, ready = dag.dependencies, dag.depending, dag._n_until_ready, dag._ready_jobs
        fixed = not (any(dag.checkpoint_jobs) or any(dag.queue_input_jobs))
        runs = {
            Path(job.output[0]): job
            for job in (dag.needrun_jobs() if fixed else ())
            if job.output and Path(job.output[0]).match("*/runs/*/*/journal.jsonl")
            if job.group is None and not dag.in_until(job)
        }
    except (AttributeError, TypeError) as error:
        print(
            f"Snakemake {version('snakemake')} is not as expected ({error}): no run waits for another", file=sys.stderr
        )
        return
    waiting: dict[Path, Path] = {}
    for path in runs:
        experiment, _, method, repeat, name = path.parts[-5:]
        able = [path.parents[2] / lender / repeat / name for lender in lenders(experiment, method)]
        if there := [lender for lender in able if lender in runs]:
            waiting[path] = there[0]
    if waiting and not version("snakemake").startswith(TESTED):
        print(f"not tested with Snakemake {version('snakemake')}: no run waits for another", file=sys.stderr)
        return
    for path, lender in waiting.items():
        job, first = runs[path], runs[lender]
        if first not in edges[job]:
            edges[job][first] = set()  # without a file: it does not matter whether that is there, or how old it is
            depending[first][job] = set()
            counts[job] += 1
            ready.discard(job)
    for said in sorted({(path.parts[-5], path.parts[-3], lender.parts[-3]) for path, lender in waiting.items()}):
        print("{}: {} waits for {}, whose trainings it uses".format(*said), file=sys.stderr)
