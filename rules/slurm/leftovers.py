"""What a killed head process left: its Slurm jobs live on, and write into the store.

Before another run computes anything here, those that wait are cancelled (they have done nothing
yet) and those at work are waited for (what they finish is kept). So a slot never has two writers.
"""

import time
from collections.abc import Callable

from diffpipe.cache.store import Store
from diffpipe.rules import runs
from diffpipe.rules.slurm import commands
from diffpipe.rules.slurm.place import job_name

_POLL_SECONDS = 2


def settle(store: Store, said: Callable[[str], None]) -> list[str]:
    """Wait until no job of an earlier run is left, and name the runs that left some.

    Raises ClusterError where Slurm cannot say.
    """
    left = runs.with_jobs(store)
    if left and not commands.is_here():
        said(f"Slurm jobs of the run {left[-1].folder.name} may still be at work: ask the cluster")
        return []
    for run in left:
        told = False
        while jobs := commands.queue(job_name(run)):
            waiting = [job for job in jobs if not job.at_work]
            commands.cancel(waiting)
            if not told:
                said(_words(run.folder.name, jobs, waiting))
                told = True
            time.sleep(_POLL_SECONDS)
        runs.note_jobs(run, left=False)
    return [run.folder.name for run in left]


def _words(run: str, jobs: list[commands.Job], waiting: list[commands.Job]) -> str:
    numbers = ", ".join(job.number for job in jobs if job.at_work) or "none"
    return (
        f"the run {run} was killed and left Slurm jobs on this store: {len(waiting)} that wait are "
        f"cancelled; waiting for those at work: {numbers} (scancel ends them, nothing is lost)"
    )
