"""Slurm's own commands: what is in the queue, what it would refuse, submitting and cancelling."""

import math
import os
import pwd
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from shutil import which

from diffpipe.cache.errors import ClusterError, UsageError
from diffpipe.pipelines.core.resources import Resources

# What squeue gives as the reason of a job that no waiting will ever start.
_NEVER = {
    "AccountNotAllowed",
    "AssocMaxCpuPerJobLimit",
    "AssocMaxMemPerJob",
    "AssocMaxWallDurationPerJobLimit",
    "BadConstraints",
    "DependencyNeverSatisfied",
    "InvalidAccount",
    "InvalidQOS",
    "MaxMemPerLimit",
    "PartitionConfig",
    "PartitionNodeLimit",
    "PartitionTimeLimit",
    "QOSMaxCpuPerJobLimit",
    "QOSMaxMemoryPerJob",
    "QOSMaxWallDurationPerJobLimit",
}
_AT_WORK = {"RUNNING", "COMPLETING", "CONFIGURING", "STAGE_OUT", "SUSPENDED", "STOPPED"}
ENDED = {
    "BOOT_FAIL",
    "CANCELLED",
    "DEADLINE",
    "FAILED",
    "FORGOTTEN",  # of a job that squeue no longer knows
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "PREEMPTED",
    "TIMEOUT",
}
_NO_NODE = "Requested node configuration is not available"
_MOST_AT_ONCE = 500  # job numbers in one command line


@dataclass(frozen=True)
class Job:
    """A job in the queue."""

    number: str
    name: str
    state: str
    reason: str

    def __str__(self) -> str:
        why = f" ({self.reason})" if self.state == "PENDING" else ""
        return f"Slurm job {self.number}: {self.state.lower()}{why}"

    @property
    def at_work(self) -> bool:
        return self.state in _AT_WORK

    @property
    def never_starts(self) -> bool:
        return self.state == "PENDING" and self.reason.strip("()") in _NEVER


@dataclass(frozen=True)
class Account:
    """Under which name and in which partition jobs run; None: the cluster's default."""

    partition: str | None = None
    account: str | None = None

    @property
    def flags(self) -> list[str]:
        named = {"partition": self.partition, "account": self.account}
        return [f"--{name}={value}" for name, value in named.items() if value is not None]


def request(resources: Resources) -> list[str]:
    """The options of sbatch that ask for these resources."""
    flags = ["--ntasks=1", f"--cpus-per-task={resources.cpus}", f"--mem={resources.memory_mb}M"]
    flags += [f"--gpus={resources.gpus}"] if resources.gpus else []
    return flags + ([f"--time={resources.runtime_min}"] if resources.runtime_min else [])


def queue(prefix: str, *, ended: bool = False) -> list[Job]:
    """This user's jobs whose names begin with a prefix; raises ClusterError.

    ended: those that have ended too, as long as Slurm remembers them (MinJobAge, some minutes).
    """
    user = pwd.getpwuid(os.getuid()).pw_name
    flags = [f"--user={user}", "--noheader", "--format=%i|%j|%T|%r"]
    lines = _ask("squeue", *flags, *(["--states=all"] if ended else [])).splitlines()
    jobs = (Job(*line.split("|", 3)) for line in lines if line.count("|") >= 3)
    return [job for job in jobs if job.name.startswith(prefix)]


def refuse_the_impossible(resources: Resources, account: Account) -> None:
    """Raise ClusterError where Slurm would never run a job that asks for this."""
    flags = request(resources) + account.flags
    try:
        _ask("sbatch", "--test-only", *flags, "--wrap=true")
        _refuse_too_long(resources.runtime_min or 0, account.partition)
    except ClusterError as error:
        if _NO_NODE in error.message and _is_down(account):
            return  # until the nodes are back nothing can be said
        raise ClusterError(
            f"the cluster can never run a job with {' '.join(flags)}: {error.message}",
            hint="see resources: in the pipeline file, and --partition --mem --time",
        ) from error


def _is_down(account: Account) -> bool:
    """Whether not even the smallest job would be taken now: all nodes are drained, or down."""
    try:
        _ask("sbatch", "--test-only", *account.flags, "--ntasks=1", "--mem=1M", "--wrap=true")
    except ClusterError as error:
        return _NO_NODE in error.message
    return False


def _refuse_too_long(minutes: int, partition: str | None) -> None:
    """Slurm takes a job beyond the time limit of its partition, and lets it wait for ever."""
    for line in _ask("sinfo", "--noheader", "--format=%P|%l").splitlines():
        name, _, limit = line.partition("|")
        is_meant = name.rstrip("*") == partition if partition else name.endswith("*")
        if is_meant and minutes > _minutes(limit):
            raise ClusterError(f"the partition {name.rstrip('*')} has a time limit of {limit}")


def _minutes(limit: str) -> float:
    """A time limit as Slurm writes it: days-hours:minutes:seconds, or infinite."""
    if not limit[:1].isdigit():
        return math.inf
    days, _, clock = limit.rpartition("-")
    hours, minutes, seconds = [0, 0, *map(int, clock.split(":"))][-3:]
    return 1440 * int(days or 0) + 60 * hours + minutes + seconds / 60


def submit(flags: Sequence[str], script: str) -> str:
    """Submit a script; the number of its job. Raises ClusterError."""
    return _ask("sbatch", "--parsable", *flags, given=script).split(";")[0]


def cancel(jobs: Sequence[Job]) -> None:
    """Cancel jobs, those that wait and those that run."""
    numbers = [job.number for job in jobs]
    for first in range(0, len(numbers), _MOST_AT_ONCE):
        _ask("scancel", *numbers[first : first + _MOST_AT_ONCE])


def is_here() -> bool:
    """Whether this machine has Slurm's commands at all."""
    return which("squeue") is not None


def _ask(*command: str, given: str = "") -> str:
    """What a command of Slurm prints; raises ClusterError with what it complains of."""
    try:
        done = subprocess.run(command, input=given, capture_output=True, text=True)
    except FileNotFoundError as error:
        hint = "run this on a machine of the cluster, or without --profile slurm"
        raise UsageError(f"there is no Slurm here: no command {command[0]}", hint=hint) from error
    if done.returncode:
        said = " ".join(line.partition("error: ")[2] or line for line in done.stderr.splitlines())
        raise ClusterError(f"{command[0]}: {said or f'exit code {done.returncode}'}")
    return done.stdout.strip()
