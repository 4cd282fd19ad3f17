"""First come, first served: a scheduler plugin.

Snakemake's own weigh every ready job against every other, each time one ends: with thousands of
ready jobs that costs more than the work. Here no job is worth more than another. The plugin is
registered by hand, since Snakemake's search does not see editable installs.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from snakemake_interface_scheduler_plugins.base import SchedulerBase
from snakemake_interface_scheduler_plugins.registry import SchedulerPluginRegistry
from snakemake_interface_scheduler_plugins.settings import SchedulerSettingsBase

NAME = "diffpipe"


@dataclass
class SchedulerSettings(SchedulerSettingsBase):
    """There are none."""


@final
class Scheduler(SchedulerBase):
    """Takes ready jobs as they come, as long as there is room for them."""

    def __post_init__(self) -> None:
        # Cluster jobs are given this name, and know only Snakemake's own schedulers.
        self.dag.workflow.scheduling_settings.scheduler = "greedy"

    def select_jobs(
        self,
        selectable_jobs: Sequence[Any],
        remaining_jobs: Sequence[Any],
        available_resources: Mapping[str, int | str],
        input_sizes: Mapping[Any, int],
    ) -> Sequence[Any]:
        """The jobs to start now; the names are the interface's."""
        del remaining_jobs, input_sizes
        free = {name: each for name, each in available_resources.items() if isinstance(each, int)}
        chosen = []
        for job in sorted(selectable_jobs, key=lambda job: job.jobid):  # the order of the plan
            needs = {name: job.scheduler_resources.get(name, 0) for name in free}
            if all(needs[name] <= free[name] for name in free):
                chosen.append(job)
                free = {name: free[name] - needs[name] for name in free}
            if not free["_cores"]:
                break
        return chosen


def settings() -> SchedulerSettings:
    """Snakemake's `scheduler_settings`; the scheduler is then NAME."""
    registry = SchedulerPluginRegistry()
    if not registry.is_installed(NAME):
        registry.register_plugin(f"snakemake_scheduler_plugin_{NAME}", sys.modules[__name__])
    return SchedulerSettings()
