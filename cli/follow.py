"""`diffpipe status --follow`: the display of a run that another process, or a cluster, is at."""

import sys
import time
from typing import TYPE_CHECKING

from diffpipe.cache.errors import DiffpipeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from diffpipe.cache.layout import RunLayout
    from diffpipe.cache.store import Store
    from diffpipe.rules.drive import Observer
    from diffpipe.rules.slurm.commands import Job

_POLL_SECONDS = 0.5


def follow(store: "Store") -> None:
    """Show the run at work as its own display does; before, wait for one that is in the queue."""
    from diffpipe.cli.progress import make_observer
    from diffpipe.rules import runs

    try:
        with make_observer(quiet=False, verbose=False) as observer:
            _wait_for_pilots(store, observer)
            for run in runs.all_runs(store)[-1:]:
                _show(store, run, observer)
    except KeyboardInterrupt:
        print("what runs goes on; diffpipe status --follow shows it again")


def pilots(store: "Store") -> "list[Job]":
    """The pilots of this store in the queue, as far as Slurm answers."""
    from diffpipe.rules.slurm import pilot

    return asked(lambda: pilot.pilots(store))


def asked(question: "Callable[[], list[Job]]") -> "list[Job]":
    """What Slurm answers; where it does not, that is said, and the rest of the status too."""
    try:
        return question()
    except DiffpipeError as error:
        print(f"warning: {error.message}", file=sys.stderr)
        return []


def _wait_for_pilots(store: "Store", observer: "Observer") -> None:
    from diffpipe.cache import lock

    told: set[str] = set()
    while not lock.holder(store) and (jobs := pilots(store)):
        for each in {str(job) for job in jobs} - told:
            told.add(each)
            observer.said(each)
        time.sleep(_POLL_SECONDS)


def _show(store: "Store", run: "RunLayout", observer: "Observer") -> None:
    from diffpipe.rules import runs

    plan, records = runs.plan(run), runs.Records(run)
    if plan is None or not runs.at_work(store, run):
        return
    observer.planned(plan, records)
    while runs.at_work(store, run):
        records.update()
        observer.tick(0)
        time.sleep(_POLL_SECONDS)
    records.update(now=True)
    observer.tick(0)
