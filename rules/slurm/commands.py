"""Slurm's own commands: what is in the queue, what it would refuse, submitting and cancelling."""

import os
import pwd
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from diffpipe.cache.errors import ClusterError
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
_MOST_AT_ONCE = 500  # job numbers in one command line


@dataclass(frozen=True)
class Job:
    """A job in the queue."""

    number: str
    name: str
    state: str
    reason: str

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


def queue(prefix: str = "") -> list[Job]:
    """This user's jobs whose names begin with a prefix; raises ClusterError."""
    user = pwd.getpwuid(os.getuid()).pw_name
    lines = _ask("squeue", f"--user={user}", "--noheader", "--format=%i|%j|%T|%r").splitlines()
    jobs = (Job(*line.split("|", 3)) for line in lines if line.count("|") >= 3)
    return [job for job in jobs if job.name.startswith(prefix)]


def refusal(flags: Sequence[str]) -> str | None:
    """Why Slurm would never run a job with these options; None where it would."""
    try:
        _ask("sbatch", "--test-only", *flags, "--wrap=true")
    except ClusterError as error:
        return error.message
    return None


def submit(flags: Sequence[str], script: str) -> str:
    """Submit a script; the number of its job. Raises ClusterError."""
    return _ask("sbatch", "--parsable", *flags, given=script).split(";")[0]


def cancel(jobs: Sequence[Job]) -> None:
    """Cancel jobs, those that wait and those that run."""
    numbers = [job.number for job in jobs]
    for first in range(0, len(numbers), _MOST_AT_ONCE):
        _ask("scancel", *numbers[first : first + _MOST_AT_ONCE])


def _ask(*command: str, given: str = "") -> str:
    """What a command of Slurm prints; raises ClusterError with what it complains of."""
    try:
        done = subprocess.run(command, input=given, capture_output=True, text=True)
    except FileNotFoundError as error:
        hint = "run this on a machine of the cluster, or without --profile slurm"
        raise ClusterError(f"there is no Slurm here: no command {command[0]}", hint=hint) from error
    if done.returncode:
        said = " ".join(line.partition("error: ")[2] or line for line in done.stderr.splitlines())
        raise ClusterError(f"{command[0]}: {said or f'exit code {done.returncode}'}")
    return done.stdout.strip()
