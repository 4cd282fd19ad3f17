"""A pilot: one Slurm job in which a whole run takes place, on warm workers."""

import sys
import time
from pathlib import Path
from shlex import join

from diffpipe.cache.files import writing
from diffpipe.cache.layout import unique
from diffpipe.cache.store import Store
from diffpipe.pipelines.core.resources import Resources
from diffpipe.rules.slurm import commands
from diffpipe.rules.slurm.commands import Account

_WARNING_SECONDS = 30  # before the time limit, to end in good order


def submit(store: Store, arguments: list[str], resources: Resources, account: Account) -> str:
    """Submit `diffpipe` with these arguments; the number of its job. Raises ClusterError."""
    commands.refuse_the_impossible(resources, account)
    flags = commands.request(resources) + account.flags
    name = f"diffpipe-pilot-{time.strftime('%Y%m%d-%H%M%S')}-{unique()[:6]}"
    log = store.layout.pilots / f"{name}.log"
    with writing(store.root):
        store.layout.pilots.mkdir(parents=True, exist_ok=True)
        log.touch()  # it says whose the job is, while that waits
    signal = f"--signal=B:TERM@{_WARNING_SECONDS}"
    command = [sys.executable, "-P", "-m", "diffpipe.cli.app", *arguments]
    script = f"#!/bin/sh\ncd {join([str(Path.cwd())])} && exec {join(command)}\n"
    where = [f"--job-name={name}", f"--output={log}", "--export=ALL", "--open-mode=append"]
    return commands.submit([*flags, *where, signal], script)


def log_of(store: Store, job: commands.Job) -> Path:
    """What a pilot prints."""
    return store.layout.pilots / f"{job.name}.log"


def pilots(store: Store) -> list[commands.Job]:
    """The pilots of this store that wait or run."""
    if not store.layout.pilots.exists() or not commands.is_here():
        return []
    return [job for job in commands.queue("diffpipe-pilot-") if log_of(store, job).exists()]
