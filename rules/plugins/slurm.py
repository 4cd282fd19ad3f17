"""Snakemake's Slurm plugin, as a run needs it.

It submits with sbatch, which is the plugin's; what differs is said at each method. Registered by
hand, since Snakemake's search does not see editable installs.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, final

import snakemake_executor_plugin_slurm as plugin
from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry

from diffpipe.cache.errors import ClusterError
from diffpipe.rules.slurm import commands

NAME = "diffpipe-slurm"
common_settings = plugin.common_settings
_PAUSE_SECONDS = 5
_STEP_SECONDS = 0.2


class Head(Protocol):
    """Who is told of the executor, and of jobs that end badly."""

    def ready(self, executor: "Executor") -> None: ...

    def lost(self, task: str, number: str, state: str) -> None: ...


@dataclass
class ExecutorSettings(plugin.ExecutorSettings):
    head: Head | None = field(default=None, metadata={"help": "Is told of it."})


@final
class Executor(plugin.Executor):
    """Each job is a worker, without a second Snakemake around it."""

    def __post_init__(self, test_mode: bool = False) -> None:
        """Name all jobs alike, and so that the name is known before the first is submitted."""
        super().__post_init__(test_mode)
        self.run_uuid = self.workflow.executor_settings.jobname_prefix
        self._head: Head = self.workflow.executor_settings.head
        self._head.ready(self)

    def format_job_exec(self, job: Any) -> str:
        """The rule's command as it stands: a Snakemake in each job would cost ten seconds."""
        return str(job.shellcmd)

    def get_account_arg(self, job: Any) -> Iterator[str]:
        """The account that is given: where there is none the plugin asks around, and complains."""
        account = job.resources.get("slurm_account")
        yield f" -A {account}" if account else ""

    async def check_active_jobs(self, active_jobs: list[Any]) -> AsyncIterator[Any]:
        """Report the jobs that have ended; where Slurm does not answer, the plugin forgets all."""
        states = await asyncio.to_thread(self._states) if active_jobs else {}
        for info in active_jobs:
            state = "" if states is None else states.get(info.external_jobid, "FORGOTTEN")
            if state == "COMPLETED":
                self.report_job_success(info)
            elif state in commands.ENDED:
                self._head.lost(info.job.wildcards.task, info.external_jobid, state)
                self.report_job_error(info)
            else:
                yield info

    async def sleep(self) -> None:
        """Pause for a few seconds, or until there is no reason to; the plugin's grow to minutes."""
        for _ in range(int(_PAUSE_SECONDS / _STEP_SECONDS)):
            if self.wait:
                await asyncio.sleep(_STEP_SECONDS)

    def abort(self) -> None:
        """Have Snakemake submit nothing more and come to its end; for any thread."""
        self.workflow.scheduler.executor_error_callback(RuntimeError("the run was ended"))

    def _states(self) -> dict[str, str] | None:
        try:
            return {job.number: job.state for job in commands.queue(self.run_uuid, ended=True)}
        except ClusterError:
            return None


def settings(head: Head, **named: Any) -> ExecutorSettings:
    """Snakemake's `executor_settings`; `executor` is then NAME."""
    registry = ExecutorPluginRegistry()
    if not registry.is_installed(NAME):
        module = f"snakemake_executor_plugin_{NAME.replace('-', '_')}"
        registry.register_plugin(module, sys.modules[__name__])
    return ExecutorSettings(head=head, **named)
