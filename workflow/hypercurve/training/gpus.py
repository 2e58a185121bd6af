"""Which GPUs a process trains on: its share of those that its job has, and nobody else's.

Schedulers give a job its GPUs, by a variable that says which; how its processes share them is left to them. Here, each takes
as many as its method says, by locks on files in the node's temporary folder, which the system frees when the process ends,
in whatever way. Without a scheduler, all processes of this user on the machine share all its GPUs in the same way: one that
finds none free waits.
"""

import fcntl
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from ..util.errors import UserError

VARIABLES = ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")
"""What tells CUDA and ROCm which GPUs there are for them."""
JOBS = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID")
"""What tells a job from others on its node, where each may call its first GPU 0."""
WHOLE = 2520
"""Bytes that stand for a GPU in the file of its locks: a number that all of 2 to 10 divide."""
NVIDIA, AMD = Path("/proc/driver/nvidia/gpus"), Path("/sys/class/kfd/kfd/topology/nodes")
_LOOK = 0.5  # seconds

_files: dict[str, IO[bytes]] = {}
_taken: list[str] = []


def visible() -> tuple[str, list[str]]:
    """The variable that says which GPUs this job has, and their names in it; if none does, those of the machine."""
    for variable in VARIABLES:
        if (said := os.environ.get(variable)) is not None:
            return variable, [name.strip() for name in said.split(",") if name.strip()]
    if count := len(list(NVIDIA.glob("*"))):
        return VARIABLES[0], [str(number) for number in range(count)]
    found = [path for path in AMD.glob("*/gpu_id") if path.read_text().strip() not in ("", "0")]
    return VARIABLES[1 if found else 0], [str(number) for number in range(len(found))]


def check(gpus: float, processes: int) -> None:
    """See whether processes of one job on this node find the GPUs that they are to have.

    Args:
        gpus: for each process: a whole number, or a share of one.
        processes: how many there are.

    Raises:
        UserError: there are too few.
    """
    if gpus == 0:
        return
    variable, there = visible()
    room = len(there) // int(gpus) if gpus >= 1 else len(there) * int(1 / gpus)
    if processes > room:
        has = f"{variable}={','.join(there)}" if variable in os.environ else f"{len(there)} on this machine"
        each = f"each of {processes} processes here is" if processes > 1 else "this process is"
        raise UserError(f"`gpus` = {gpus:g}: {each} to have as many, and its job has too few GPUs: {has}")


def reserve(gpus: float, ask: Callable[[], None] = lambda: None) -> Sequence[str]:
    """Take GPUs for this process and what it starts, for as long as it lives; no others are visible to it from then on.

    Must be called before TensorFlow is imported.

    Args:
        gpus: how many: 0, a whole number, or a share of one, which other processes may share.
        ask: called while it waits; raises where the run is asked to end.

    Returns:
        Their names.

    Raises:
        UserError: the job has none, or fewer than that.
    """
    if _taken:
        return _taken
    check(gpus, 1)
    variable, there = visible()
    taken: list[str] = []
    told = False
    while gpus > 0 and not (taken := _take(gpus, there)):
        if not told:
            told = True
            print(f"waiting for a GPU: all {len(there)} are taken", file=sys.stderr, flush=True)
        time.sleep(_LOOK)
        ask()
    for name in {variable, *VARIABLES} & {variable, *os.environ}:
        os.environ[name] = ",".join(taken)
    _taken.extend(taken)
    return taken


def _take(gpus: float, there: Sequence[str]) -> list[str]:
    """What can be taken now; nothing if that is too little."""
    size = WHOLE if gpus >= 1 else int(WHOLE * gpus)
    taken: list[tuple[str, IO[bytes], int]] = []
    for start in range(0, WHOLE - size + 1, size):  # one part of each, before a second of any
        for name in there:
            file = _file(name)
            with suppress(OSError):
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, size, start)
                taken.append((name, file, start))
            if len(taken) >= gpus:
                return [name for name, *_ in taken]
    for _, file, start in taken:
        fcntl.lockf(file, fcntl.LOCK_UN, size, start)
    return []


def _file(name: str) -> IO[bytes]:
    """The file of a GPU's locks: each byte stands for a small share of it. Open once, as closing it would end all locks."""
    job = next((os.environ[variable] for variable in JOBS if os.environ.get(variable)), "none")
    place = re.sub(r"[^A-Za-z0-9._-]", "-", f"{job}-{name}")
    if place not in _files:
        folder = Path(tempfile.gettempdir()) / f"hypercurve-gpus-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        _files[place] = (folder / place).open("ab")
    return _files[place]
