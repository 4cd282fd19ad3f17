"""A Slurm cluster: each task is a job of its own, submitted by Snakemake's Slurm plugin.

The head process stays on the login node. Whatever ends it, its jobs are found again by their name,
which begins with the run's: they are cancelled where it is interrupted, and where it is killed
the next run looks after them (see `leftovers`).
"""

import time
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, final

from diffpipe.cache.errors import ClusterError, UsageError
from diffpipe.cache.layout import RunLayout
from diffpipe.pipelines.core.plan import Plan
from diffpipe.rules import place, runs, worker
from diffpipe.rules.slurm import commands
from diffpipe.rules.slurm.commands import Account

if TYPE_CHECKING:
    from diffpipe.rules.plugins.slurm import Executor

_JOBS = 20
_PLUGIN = "snakemake_executor_plugin_slurm"
_POLL_SECONDS = 5
_PATIENCE_SECONDS = 60


@final
@dataclass
class Slurm(place.Place):
    """Tasks are Slurm jobs; what each asks for stands in the plan."""

    latency_seconds = 60  # network file systems show what other machines wrote a while later

    account: Account
    cut: int | None = None  # into how many jobs, and how many at a time
    _run: RunLayout | None = field(default=None, init=False)
    _executor: "Executor | None" = field(default=None, init=False)
    _next_look: float = field(default=0.0, init=False)
    _queued: int = field(default=0, init=False)

    @property
    def jobs(self) -> int:
        return self.cut or _JOBS

    @property
    def workers(self) -> int:
        return self.jobs

    @property
    def queued(self) -> int:
        return self._queued

    @property
    def run(self) -> RunLayout:
        assert self._run is not None, "not started"
        return self._run

    def start(self, plan: Plan, run: RunLayout) -> None:
        if find_spec(_PLUGIN) is None:
            raise UsageError(
                "submitting to Slurm needs Snakemake's Slurm plugin, which is not installed",
                hint="pip install 'diffpipe[slurm]'",
            )
        for resources in {task.resources for task in plan.tasks}:
            commands.refuse_the_impossible(resources, self.account)
        self._run, self._executor = run, None
        runs.note_jobs(run, left=True)

    def describe(self) -> None:
        place.describe(self.run)

    def resources(self) -> dict[str, Any]:
        named = {"slurm_partition": self.account.partition, "slurm_account": self.account.account}
        given = {word: name for word, name in named.items() if name is not None}
        return {"nodes": self.jobs, "default_resources": given}

    def execution(self) -> dict[str, Any]:
        from snakemake.settings.types import RemoteExecutionSettings

        from diffpipe.rules.plugins import slurm

        settings = slurm.settings(
            self,
            logdir=self.run.logs / "slurm",
            keep_successful_logs=True,
            init_seconds_before_status_checks=_POLL_SECONDS,
            jobname_prefix=job_name(self.run),
            pass_command_as_script=True,
            status_command="squeue",  # it needs no accounting database
        )
        remote = RemoteExecutionSettings(seconds_between_status_checks=_POLL_SECONDS)
        return {
            "executor": slurm.NAME,
            "executor_settings": settings,
            "remote_execution_settings": remote,
        }

    def ready(self, executor: "Executor") -> None:
        self._executor = executor

    def lost(self, task: str, number: str, state: str) -> None:
        """Leave word of a job that Slurm ended, unless its worker did."""
        if not self.run.error(task).exists():
            why = f"Slurm job {number} of task {task} ended: {state.lower().replace('_', ' ')}"
            more = {
                "TIMEOUT": "ask for more with --time; ",
                "OUT_OF_MEMORY": "try a larger --mem; ",
            }
            hint = f"{more.get(state, '')}finished shards are kept, the same command goes on"
            worker.report(self.run, task, ClusterError(why, hint=f"{hint}; see {self.run.logs}"))

    def check(self) -> None:
        if self._run is None or time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + _POLL_SECONDS
        try:
            jobs = commands.queue(job_name(self._run))
        except ClusterError:  # it is busy; jobs go on meanwhile
            return
        self._queued = sum(not job.at_work for job in jobs)
        for job in jobs:
            if job.never_starts:
                raise ClusterError(
                    f"Slurm will never start job {job.number}: {job.reason}",
                    hint="see resources: in the pipeline file, and --partition --mem --time",
                )

    def stop(self, *, at_once: bool) -> None:
        if self._run is None:
            return
        if at_once:
            if self._executor is not None:
                self._executor.abort()
            cancel(job_name(self._run))
        runs.note_jobs(self._run, left=False)


def job_name(run: RunLayout) -> str:
    """The name of all jobs of a run."""
    return f"diffpipe-{run.folder.name}"


def cancel(name: str) -> None:
    """Cancel all jobs of a run, and wait until they are gone."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while jobs := commands.queue(name):
        commands.cancel(jobs)
        if time.monotonic() > deadline:
            numbers = ", ".join(job.number for job in jobs)
            raise ClusterError(f"the Slurm jobs {numbers} are cancelled but do not end")
        time.sleep(0.5)
