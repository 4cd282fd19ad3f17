"""A place: where the tasks of a run are computed. `here` and `slurm` are the two there are."""

import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from diffpipe.cache.errors import UsageError, WorkerError
from diffpipe.cache.layout import RunLayout
from diffpipe.pipelines.core.plan import Plan
from diffpipe.rules import runs
from diffpipe.rules.worker import DESCRIBE

MODULE = [sys.executable, "-P", "-m", "diffpipe.rules.worker"]


class Place(ABC):
    """Gets ready for one run, tells Snakemake how to execute it, and ends what it started."""

    latency_seconds: ClassVar[int] = 1  # how late a file may appear that another process made

    @property
    @abstractmethod
    def jobs(self) -> int:
        """How many tasks the shards of a segment are cut into."""

    @property
    def queued(self) -> int:
        """How many tasks have been submitted and wait for a machine."""
        return 0

    @property
    @abstractmethod
    def workers(self) -> int:
        """How many tasks are computed at a time, at most."""

    @property
    def limited(self) -> bool:
        """Whether it was told how many."""
        return False

    def limit(self, fitting: Callable[[int], int]) -> None:
        """From the next start on have as many workers at a time as fit, of those asked for."""
        del fitting
        raise UsageError("a memory budget is for this machine", hint="--mem is that of each job")

    @abstractmethod
    def start(self, plan: Plan, run: RunLayout) -> None:
        """Get ready, before anything runs; raises DiffpipeError where the plan cannot run here."""

    @contextmanager
    def kept(self) -> Iterator[None]:
        """What is started for a run may stay for the next, up to the end of this context."""
        yield

    @abstractmethod
    def resources(self) -> dict[str, Any]:
        """The fields of Snakemake's ResourceSettings."""

    @abstractmethod
    def execution(self) -> dict[str, Any]:
        """The arguments of Snakemake's execute_workflow."""

    @abstractmethod
    def check(self) -> None:
        """Look after what runs, now and then; raises DiffpipeError where it can never end."""

    @abstractmethod
    def stop(self, *, at_once: bool) -> None:
        """End what was started; `at_once`, where tasks are still at work."""

    @abstractmethod
    def describe(self) -> None:
        """Evaluate shapes and create artefacts; raises what the worker reported."""


def describe(run: RunLayout) -> None:
    """Evaluate shapes and create artefacts, in a process of its own; raises what it reported."""
    if subprocess.call([*MODULE, str(run.plan), DESCRIBE]):
        lost = WorkerError(
            "the shapes of the stages could not be evaluated", hint=f"see {run.logs}"
        )
        raise [*runs.errors(run), lost][0]
