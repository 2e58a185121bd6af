"""A real Slurm of four virtual nodes on this Debian machine, for tests: `cluster.py start`, `stop`, `install`, `try`.

Daemons, key, ports and state are its own and live in one folder. Its settings must stand in the usual place, since Slurm's
plugin for Snakemake takes SLURM_CONF from the environment of jobs; where other settings stand there, it does not start.
"""

import argparse
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

FOLDER = Path("/var/tmp/hypercurve-slurm")
PACKAGES = ("slurm-wlm", "slurm-wlm-basic-plugins", "munge", "libpmix2")
CONF = Path("/etc/slurm/slurm.conf")
NAME = "hypercurve-tests"
MARK = "HYPERCURVE_SLURM"
"""Variable in the environment of all daemons."""

NODES = 4
GPUS = 2  # of each node; there are none, but Slurm counts them and says which a step has
CPUS = 2  # with more CPUs a node than the machine has, ranks fail in MPI_Init

# A node's TmpFS is its own, since PMIx servers of two nodes on one machine would meet in it. Credentials are short-lived
# because a requeued job waits until those of its first start are certain to have expired.
SETTINGS = """\
# Made by hypercurve's tests/slurm/cluster.py, which deletes it.
ClusterName={name}
SlurmctldHost=localhost
SlurmctldPort=16817
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=10
CryptoType=crypto/munge
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdPidFile={folder}/%n.pid
SlurmdLogFile={folder}/%n.log
SlurmdSpoolDir={folder}/%n/spool
TmpFS={folder}/%n/tmp
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
GresTypes=gpu
SelectTypeParameters=CR_CPU
MpiDefault=pmix
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2
SlurmdParameters=config_overrides
MinJobAge=600
KillWait=10
ReturnToService=2
SlurmdTimeout=30
{nodes}
PartitionName=main Nodes=n[1-{count}] Default=YES MaxTime=INFINITE State=UP
"""


class ClusterError(RuntimeError):
    """The cluster cannot run here; the message says why."""


def why_not() -> str | None:
    """Why this machine cannot run the cluster; None if it can."""
    if os.geteuid() != 0:
        return "starting a Slurm needs root"
    if not Path("/etc/debian_version").exists() or shutil.which("apt-get") is None:
        return "its packages are Debian's"
    if CONF.exists() and CONF.read_text().splitlines()[:1] != SETTINGS.splitlines()[:1]:
        return f"there is a Slurm already: {CONF}"
    return None


def install() -> None:
    """Install what is missing of Slurm.

    Raises:
        ClusterError: the packages cannot be had.
    """
    if any(shutil.which(program) is None for program in ("slurmctld", "slurmd", "srun", "sbatch", "munged")):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["update", "-qq"], ["install", "-qq", "-y", "--no-install-recommends", *PACKAGES]):
            done = subprocess.run(["apt-get", *command], env=environment, capture_output=True, text=True)
            if done.returncode != 0:
                raise ClusterError(f"apt-get {command[0]}: {done.stderr.strip().splitlines()[-1:]}")
    # Slurm's plugin loads the name without a version, which Debian has in no package that it needs.
    for library in Path("/usr/lib").glob("*/pmix2/lib/libpmix.so.2"):
        if not (link := library.with_name("libpmix.so")).exists():
            link.symlink_to(library.name)


class Cluster:
    """The cluster in a folder.

    Args:
        folder: for everything that it writes.
    """

    def __init__(self, folder: Path = FOLDER):
        self.folder = folder

    def start(self) -> None:
        """Start all daemons, and wait until all nodes are idle.

        Raises:
            ClusterError: they do not come up.
        """
        self.stop()
        self._write()
        munge = self.folder / "munge"
        user = pwd.getpwnam("munge")
        command = [
            *("munged", "--key-file", str(munge / "key"), "--socket", str(munge / "socket")),
            *("--pid-file", str(munge / "pid"), "--log-file", str(munge / "log"), "--seed-file", str(munge / "seed")),
        ]
        self._run(*command, user=user.pw_uid, group=user.pw_gid, extra_groups=[])
        self.start_controller()
        for number in range(1, NODES + 1):
            self.start_node(f"n{number}")
        self.wait_for_idle()

    def start_controller(self) -> None:
        """Start slurmctld, with the state that the last one left."""
        self._run("slurmctld")

    def start_node(self, name: str) -> None:
        """Start a node's slurmd."""
        self._run("slurmd", "-N", name)

    def stop_controller(self, number: int = signal.SIGKILL) -> None:
        """End slurmctld."""
        self._end(self.folder / "slurmctld.pid", number)

    def stop_node(self, name: str, number: int = signal.SIGKILL) -> None:
        """End a node's slurmd; what it has started goes on."""
        self._end(self.folder / f"{name}.pid", number)

    def wait_for_idle(self, seconds: float = 60) -> None:
        """Wait until all nodes are idle.

        Raises:
            ClusterError: they are not, after so many seconds.
        """
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            states = self.output("sinfo", "--noheader", "--Node", "--format=%T").split()
            if states == ["idle"] * NODES:
                return
            time.sleep(0.2)
        raise ClusterError(f"the nodes are not idle but {states}; logs are in {self.folder}")

    def output(self, *command: str) -> str:
        """What a command of Slurm prints; nothing if it fails."""
        return subprocess.run(command, capture_output=True, text=True).stdout

    def stop(self) -> None:
        """End all jobs and daemons, and delete the folder."""
        if not self.folder.exists():
            return
        if (self.folder / "slurmctld.pid").exists():
            jobs = self.output("squeue", "--noheader", "--format=%i").split()
            if jobs:
                self.output("scancel", "--full", *jobs)
                end = time.monotonic() + 20
                while time.monotonic() < end and self.output("squeue", "--noheader", "--format=%i").split():
                    time.sleep(0.2)
        # Nobody will want to know what the daemons know: they need not save it.
        for process in self._processes():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
        for path in (CONF, CONF.with_name("gres.conf")):
            path.unlink(missing_ok=True)

    def _processes(self) -> list[psutil.Process]:
        """What still runs of this cluster: daemons, and what they have started, also what got away from its parent."""
        found: list[psutil.Process] = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                environment = process.environ()
                if environment.get(MARK) == str(self.folder) or environment.get("SLURM_CLUSTER_NAME") == NAME:
                    found += [process, *process.children(recursive=True)]
        return found

    def _write(self) -> None:
        munge = self.folder / "munge"
        for path in (munge, self.folder / "state", *(self.folder / f"n{n}" / "spool" for n in range(1, NODES + 1))):
            path.mkdir(parents=True, exist_ok=True)
        for number in range(1, NODES + 1):
            (self.folder / f"n{number}" / "tmp").mkdir()
        (munge / "key").write_bytes(secrets.token_bytes(1024))
        for path, mode in ((self.folder, 0o755), (munge, 0o755), (munge / "key", 0o400)):
            path.chmod(mode)
        user = pwd.getpwnam("munge")
        for path in (munge, munge / "key"):
            os.chown(path, user.pw_uid, user.pw_gid)
        nodes = "\n".join(
            f"NodeName=n{n} NodeHostname=localhost Port={17000 + n} CPUs={CPUS} RealMemory=20000 Gres=gpu:{GPUS} "
            "State=UNKNOWN"
            for n in range(1, NODES + 1)
        )
        CONF.parent.mkdir(exist_ok=True)
        files = [self.folder / f"gpu{number}" for number in range(GPUS)]  # Slurm only looks whether they are there
        for file in files:
            file.touch()
        listed = "".join(f"NodeName=n[1-{NODES}] Name=gpu File={file}\n" for file in files)
        CONF.with_name("gres.conf").write_text(listed)
        CONF.write_text(SETTINGS.format(name=NAME, folder=self.folder, nodes=nodes, count=NODES))

    def _run(self, *command: str, **options: Any) -> None:
        environment = {**os.environ, MARK: str(self.folder)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, **options)
        if done.returncode != 0:
            raise ClusterError(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")

    @staticmethod
    def _end(file: Path, number: int) -> None:
        """Send a signal to the process that a file names, and wait for its end."""
        try:
            pid = int(file.read_text())
            os.kill(pid, number)
        except (OSError, ValueError):
            return
        end = time.monotonic() + 15
        while time.monotonic() < end and Path(f"/proc/{pid}").exists():
            time.sleep(0.05)
        file.unlink(missing_ok=True)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("command", choices=("check", "install", "start", "stop", "try"))
    given = parser.parse_args()
    cluster = Cluster()
    if given.command == "stop":
        cluster.stop()
        return 0
    if (reason := why_not()) is not None:
        print(f"no Slurm here: {reason}", file=sys.stderr)
        return 3
    if given.command == "check":
        return 0
    try:
        install()
        if given.command in ("start", "try"):
            cluster.start()
        if given.command == "try":
            cluster.stop()
    except (ClusterError, OSError, KeyError) as error:
        cluster.stop()
        print(f"no Slurm here: {error}", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
