"""Snakemake's Slurm plugin, as a run needs it: it looks often enough, and it can be stopped.

The plugin asks the queue less and less often, up to every three minutes; a sweep has phases that
wait for each other, so the longest pause is bounded here. Its thread sleeps through an interrupt;
here it wakes up. Registered by hand, since Snakemake's search does not see editable installs.
"""

import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, final

import snakemake_executor_plugin_slurm as plugin
from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry

NAME = "diffpipe-slurm"
common_settings = plugin.common_settings
_LONGEST_PAUSE_SECONDS = 30
_STEP_SECONDS = 0.2


@dataclass
class ExecutorSettings(plugin.ExecutorSettings):
    ready: Callable[[Any], None] | None = field(default=None, metadata={"help": "Is told of it."})


@final
class Executor(plugin.Executor):
    """Submits each job with sbatch, and follows it with squeue."""

    def __post_init__(self, test_mode: bool = False) -> None:
        super().__post_init__(test_mode)
        self.workflow.executor_settings.ready(self)

    async def sleep(self) -> None:
        """Wait until it is time to look again, or there is no reason to."""
        pause = min(self.next_seconds_between_status_checks, _LONGEST_PAUSE_SECONDS)
        for _ in range(int(pause / _STEP_SECONDS)):
            if not self.wait:
                return
            await asyncio.sleep(_STEP_SECONDS)

    def abort(self) -> None:
        """Have Snakemake submit nothing more and come to its end; for any thread."""
        self.workflow.scheduler.executor_error_callback(RuntimeError("the run was ended"))


def settings(ready: Callable[[Any], None], **named: Any) -> ExecutorSettings:
    """Snakemake's `executor_settings`; `executor` is then NAME."""
    registry = ExecutorPluginRegistry()
    if not registry.is_installed(NAME):
        module = f"snakemake_executor_plugin_{NAME.replace('-', '_')}"
        registry.register_plugin(module, sys.modules[__name__])
    return ExecutorSettings(ready=ready, **named)
