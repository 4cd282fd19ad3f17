"""Snakemake's jobs on warm workers: an executor plugin.

Snakemake's local executor does everything but the work itself, which goes to the pool; a rule's
shell command serves those who run without one (plain Snakemake, cluster jobs). The plugin is
registered by hand, since Snakemake's search does not see editable installs.
"""

import sys
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, final

from snakemake.executors import local
from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry
from snakemake_interface_executor_plugins.settings import ExecutorSettingsBase

from diffpipe.rules.pool import Pool

NAME = "diffpipe"
common_settings = local.common_settings


@dataclass
class ExecutorSettings(ExecutorSettingsBase):
    pool: Pool | None = field(default=None, metadata={"help": "The warm workers."})


@final
class Executor(local.Executor):
    """Each job's task is computed by the pool, in a thread that waits for it."""

    def run_single_job(self, job: Any) -> "Future[None]":
        if job.rule.name == "all":  # has nothing to compute
            return super().run_single_job(job)
        self.workflow.async_run(job.prepare())
        settings = self.workflow.executor_settings
        future: Future[None] = self.pool.submit(settings.pool.compute, job.wildcards.task)
        return future


def settings(pool: Pool) -> ExecutorSettings:
    """Snakemake's `executor_settings` for this pool; `executor` is then NAME."""
    registry = ExecutorPluginRegistry()
    if not registry.is_installed(NAME):
        registry.register_plugin(f"snakemake_executor_plugin_{NAME}", sys.modules[__name__])
    return ExecutorSettings(pool)
