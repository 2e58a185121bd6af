"""What is wrong with a training that was tried, or will be with the whole experiment, each in a sentence."""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ..config.experiment import Experiment
from ..config.model import counts_epochs
from ..runs.failures import explained, is_result
from .estimate import MethodEstimate
from .measure import Tried
from .text import cannot_save, duration, size, values

LONG = 300.0
"""Seconds of a trial from which on it matters that it can be saved."""


def wrong_with(experiment: Experiment, methods: Sequence[str], tried: Tried) -> Iterator[str]:
    """What is wrong with what was seen of a training of these methods."""
    who = ", ".join(methods)
    if tried.failure is not None:
        yield f"{who}: the trial that was tried fails, and so will others: {explained(tried.failure)[0]}"
        return
    if tried.problem is not None:
        yield f"{who}: {tried.problem}"
        return
    if tried.repeated:
        yield f"{who}: a repeat from the same seed gives other digits ({tried.repeated}); what is recorded stands"
    elif tried.resumed:
        yield f"{who}: what goes on from a snapshot is not the same training ({tried.resumed})"
    objective, judged = experiment.objective.key, experiment.judged.metric
    if objective not in tried.metrics and counts_epochs(experiment.model):
        there = ", ".join(tried.metrics)
        yield f"{who}: {objective} is not among what is reported first: {there}; a trial that ends without it has failed"
    elif (
        tried.early and judged not in tried.early and any(experiment.methods[name].stop is not None for name in methods)
    ):
        yield f"{who}: {judged} is not reported at the first points; without it, no trial is stopped"
    yield from (f"{who}: {fault}" for fault in tried.faults)
    for other in tried.others:
        if other.failure is not None and not is_result(other.failure.reason):
            yield f"{who}: trial {other.trial.number} ({values(other.trial.configuration)}) fails: {other.failure.reason}"


def costly(
    experiment: Experiment,
    tried: Mapping[str, Tried],
    found: Mapping[str, MethodEstimate],
    cores: int,
    results: Path,
) -> Iterator[str]:
    """What is wrong with what the whole would take.

    Args:
        experiment: the experiment.
        tried: by method, the training that stands for its trials.
        found: what each method would take.
        cores: that there are.
        results: where results would be written.
    """
    for name, one in found.items():
        if tried[name].state is None and one.trial > LONG:
            why = cannot_save(experiment)
            yield f"{name}: a trial takes {duration(one.trial)}, and begins anew if its job is ended: {why}"
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    together = min(cores, sum(one.jobs * one.width for one in found.values()))
    needed = together * max(one.memory + one.programs for one in tried.values())
    if needed > memory:
        yield f"{together} trainings at once may take {size(needed)} of memory; this machine has {size(memory)}"
    place = next(folder for folder in (results.absolute(), *results.absolute().parents) if folder.is_dir())
    free, disk = shutil.disk_usage(place).free, sum(one.disk for one in found.values())
    if disk > free:
        yield f"journals may take {size(disk)}; where results are written, {size(free)} are left"
