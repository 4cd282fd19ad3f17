"""A Slurm cluster of one node on this machine, for as long as a test module needs it."""

import contextlib
import fcntl
import os
import shutil
import socket
import stat
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch")
ETC = Path("/etc/slurm")  # Snakemake's job step drops SLURM_CONF, so that only this place is read
OURS = "diffpipe-test"  # the name of the folder that our links point into
PATIENCE_SECONDS = 30

# Four processors whatever the hardware has, so that small jobs run side by side; they are placed
# at once, neither bound nor limited nor accounted. A job ignores SIGTERM for five seconds at most.
SLURM_CONF = """\
ClusterName=diffpipe
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmdParameters=config_overrides
ReturnToService=2
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,sched_interval=1,bf_interval=1
KillWait=5
DefMemPerCPU=1000
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=8000 Gres=gpu:fake:2
PartitionName=debug Nodes={host} Default=YES MaxTime=INFINITE State=UP
PartitionName=short Nodes={host} MaxTime=1 State=UP
"""
GRES_CONF = "NodeName={host} Name=gpu Type=fake File={folder}/gpu[0-1]\n"
FILES = {"slurm.conf": SLURM_CONF, "gres.conf": GRES_CONF}
LINKS = [ETC / name for name in FILES]


@dataclass(frozen=True)
class Cluster:
    """Partitions `debug` and `short` (one minute), with 4 CPUs, 8000 MB and 2 GPUs."""

    folder: Path

    def ask(self, *command: str) -> str:
        """What a Slurm command prints; it has to succeed."""
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    def jobs(self, columns: str = "%i %j %T %r") -> list[str]:
        """The jobs that wait, run or are about to end, a line each."""
        return self.ask("squeue", "--noheader", f"--format={columns}").splitlines()

    def clear(self) -> None:
        """Cancel every job, and see to it that no process of any is left."""
        self.ask("scancel", "--user=root")
        self.wait(lambda: not self.jobs())
        _end_jobs(self.folder / OURS / "slurm.conf")

    def wait(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition holds; the logs say why it does not."""
        end = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            if time.monotonic() > end:
                logs = (f"{log}:\n{log.read_text()[-2000:]}" for log in self.folder.glob("*.log"))
                raise TimeoutError("\n".join(["Slurm did not come round", *logs]))
            time.sleep(0.05)


@contextlib.contextmanager
def slurm_cluster(folder: Path) -> Iterator[Cluster]:
    """A cluster that lives in a folder with a short path; a test is skipped where none can be."""
    obstacle = _obstacle()
    if obstacle:
        pytest.skip(obstacle)
    cluster = Cluster(folder)
    with (
        _alone(),
        _configured(folder),
        _munged(cluster),
        _daemon(folder, "slurmctld", "-D"),
        _daemon(folder, "slurmd", "-D", "-f", f"{folder}/{OURS}/slurm.conf"),
    ):
        cluster.wait(_is_idle)
        try:
            yield cluster
        finally:
            cluster.clear()


def _obstacle() -> str | None:
    """Why no cluster can be started here."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        return f"Slurm is not installed: no {', '.join(missing)}"
    if os.geteuid() != 0:
        return "only root can start a Slurm cluster"
    there = [each for each in LINKS if each.exists() or each.is_symlink()]
    if "SLURM_CONF" in os.environ or not all(map(_is_ours, there)):
        return "this machine belongs to another Slurm cluster"
    return None


def _is_ours(path: Path) -> bool:
    return path.is_symlink() and path.readlink().parent.name == OURS


def _write(folder: Path) -> None:
    """The configuration, the key, and the devices that pass for GPUs."""
    host = socket.gethostname().split(".")[0]
    ports = _free_ports()
    for name in (OURS, "state", "spool"):
        (folder / name).mkdir()
    for name, text in FILES.items():
        (folder / OURS / name).write_text(text.format(folder=folder, host=host, ports=ports))
    (folder / "munge.key").write_bytes(os.urandom(128))
    (folder / "munge.key").chmod(0o400)
    for number in range(2):  # slurmd wants character devices: each is another /dev/null
        os.mknod(folder / f"gpu{number}", stat.S_IFCHR | 0o600, os.makedev(1, 3))


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Wait for other test runs: a machine has one configuration of Slurm."""
    folder = os.open(ETC, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


@contextlib.contextmanager
def _configured(folder: Path) -> Iterator[None]:
    """Lead Slurm's commands to this cluster; what a killed test run left is removed before."""
    _remove()
    _write(folder)
    try:
        for link in LINKS:
            link.symlink_to(folder / OURS / link.name)
        yield
    finally:
        _remove()


def _remove() -> None:
    """Remove our links, and end what still runs of the cluster that they lead to."""
    for link in LINKS:
        if link.is_symlink():
            _end_jobs(link.readlink())
            link.unlink()


def _end_jobs(configuration: Path) -> None:
    """End what escaped Slurm: the environment of what it starts names its configuration."""
    mark = f"SLURM_CONF={configuration}\0".encode()
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(OSError, psutil.Error):
            if mark in Path(f"/proc/{process.pid}/environ").read_bytes():
                found += [process, *process.children(recursive=True)]
    _end(found)


def _end(processes: Iterable[psutil.Process]) -> None:
    """SIGTERM, then SIGKILL for those that do not heed it."""
    for signal in ("terminate", "kill"):
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                getattr(process, signal)()
        _, processes = psutil.wait_procs(processes, timeout=5)


@contextlib.contextmanager
def _munged(cluster: Cluster) -> Iterator[None]:
    """The daemon that vouches for users; forced, since others cannot enter the folder."""
    base = f"{cluster.folder}/munge"
    options = [f"--{each}-file={base}.{each}" for each in ("key", "pid", "seed")]
    options += [f"--socket={base}.socket", "--foreground", "--force"]
    with _daemon(cluster.folder, "munged", *options):
        cluster.wait(Path(f"{base}.socket").exists)
        yield


@contextlib.contextmanager
def _daemon(folder: Path, *command: str) -> Iterator[None]:
    """Run a daemon as a child that ends with this process, even if this one is killed."""
    tied = ("setpriv", "--pdeathsig", "TERM", *command)
    with (folder / f"{command[0]}.log").open("w") as log:
        process = psutil.Popen(tied, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        yield
    finally:
        _end([process])


def _is_idle() -> bool:
    sinfo = ("sinfo", "--noheader", "--partition=debug", "--format=%t")
    return subprocess.run(sinfo, capture_output=True, text=True).stdout.split() == ["idle"]
