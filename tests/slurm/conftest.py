"""A Slurm for the tests of this folder, and a checkout of its own to run from. `make test-slurm` runs them."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator

import pytest
from checkout import Site
from cluster import Cluster, install, why_not


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The cluster, started once, and ended with all that runs on it."""
    if (reason := why_not()) is not None:
        pytest.skip(f"no Slurm here: {reason}")
    install()
    # Shells start what runs in the background deaf to Ctrl-C, and Snakemake would be so too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    made = Cluster()
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def site(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A checkout that the tests of a file share."""
    return Site(cluster, tmp_path_factory.mktemp("site") / "hypercurve")


@pytest.fixture
def started(site: Site) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts `snakemake --profile slurm`; what a failed test leaves going is ended."""
    processes = []

    def start(*arguments: str) -> subprocess.Popen[bytes]:
        processes.append(site.on_slurm(*arguments))
        return processes[-1]

    yield start
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
