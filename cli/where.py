"""Where a run computes: the options of this machine and of a cluster, and the place they make."""

import os
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from diffpipe.cache.errors import UsageError

if TYPE_CHECKING:
    from diffpipe.pipelines.core.model import Pipeline
    from diffpipe.pipelines.core.resources import Resources
    from diffpipe.rules.budget import Budget
    from diffpipe.rules.place import Place
    from diffpipe.rules.slurm.commands import Account

_CORES = os.cpu_count() or 1


class Profile(StrEnum):
    SLURM = "slurm"


@dataclass(frozen=True)
class _Cluster:
    """What is asked of a cluster, and under which name."""

    gpus_per_job: Annotated[
        int | None, typer.Option("--gpus-per-job", min=0, help="GPUs for each task over events.")
    ] = None
    partition: Annotated[
        str | None, typer.Option("--partition", help="Of the cluster; default: its own.")
    ] = None
    account: Annotated[
        str | None, typer.Option("--account", help="Under which jobs are submitted.")
    ] = None
    time: Annotated[str | None, typer.Option("--time", metavar="2h", help="Limit of each job.")] = (
        None
    )
    mem: Annotated[str | None, typer.Option("--mem", metavar="8GB", help="Memory of each job.")] = (
        None
    )

    @property
    def named(self) -> "Account":
        from diffpipe.rules.slurm.commands import Account

        return Account(self.partition, self.account)

    @property
    def limits(self) -> "Resources":
        """The memory and the time that the command line gives each job."""
        from diffpipe.pipelines.core import resources

        given = {"mem": self.mem, "runtime": self.time}
        try:
            return resources.parse({word: text for word, text in given.items() if text is not None})
        except ValueError as error:
            raise UsageError(f"--{str(error).replace('runtime', 'time')}") from error


@dataclass(frozen=True)
class _Tasks(_Cluster):
    """How many tasks there are, and how many at a time."""

    cores: Annotated[
        int, typer.Option("--cores", min=1, help="Worker processes at a time.", show_default="all")
    ] = _CORES
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", min=1, help="Cut each sweep over the shards into so many tasks."),
    ] = None

    def _place(self, profile: Profile | None, option: str) -> "Place":
        if profile is Profile.SLURM:
            from diffpipe.rules.slurm.place import Slurm

            return Slurm(self.named, self.jobs)
        for name in ("partition", "account", "time", "mem"):
            if getattr(self, name) is not None:
                raise UsageError(f"--{name} is for a cluster", hint=f"add {option} slurm")
        from diffpipe.rules.here import Here

        return Here(self.cores, self.jobs)


@dataclass(frozen=True)
class Where(_Tasks):
    """Where the tasks of a run are computed."""

    profile: Annotated[
        Profile | None, typer.Option("--profile", help="Submit each task as a job of a cluster.")
    ] = None

    def place(self) -> "Place":
        """This machine, or the cluster."""
        return self._place(self.profile, "--profile")


@dataclass(frozen=True)
class Budgets:
    """What a run may take of this machine."""

    disk_budget: Annotated[
        str | None,
        typer.Option("--disk-budget", metavar="20GB", help="What it may write at most."),
    ] = None
    memory_budget: Annotated[
        str | None,
        typer.Option(
            "--memory-budget", metavar="8GB", help="What all its processes may hold at a time."
        ),
    ] = None

    @property
    def budget(self) -> "Budget":
        """The budget in bytes; raises UsageError."""
        from diffpipe.rules.budget import Budget

        return Budget(
            disk=_bytes("--disk-budget", self.disk_budget),
            memory=_bytes("--memory-budget", self.memory_budget),
        )


def _bytes(option: str, text: str | None) -> int | None:
    from diffpipe.pipelines.core import resources

    try:
        found = resources.parse({} if text is None else {"mem": text}).mem_mb
    except ValueError as error:
        raise UsageError(f"{option}{str(error).removeprefix('mem')}") from error
    return None if found is None else found << 20


@dataclass(frozen=True)
class FitWhere(_Tasks):
    """Where the tasks of a fit are computed; its --profile is a parameter's."""

    on: Annotated[
        Profile | None, typer.Option("--on", help="Submit each task as a job of a cluster.")
    ] = None

    def place(self) -> "Place":
        """This machine, or the cluster."""
        return self._place(self.on, "--on")


@dataclass(frozen=True)
class Pilot(_Cluster):
    """The one job in which a whole run takes place."""

    cores: Annotated[
        int, typer.Option("--cores", min=1, help="Processors of the job; as many workers.")
    ] = 1

    def resources(self, pipeline: "Pipeline") -> "Resources":
        """What the job asks for: each worker's memory, and GPUs where a stage asks for them."""
        from diffpipe.pipelines.core.resources import Resources, together

        stages = together(stage.resources for stage in pipeline.stages.values())
        limits = self.limits
        return Resources(
            cpus=max(self.cores, stages.cpus),
            gpus=stages.gpus,
            mem_mb=limits.mem_mb or self.cores * stages.memory_mb,
            runtime_min=limits.runtime_min,
        )
