"""The engine: Snakemake runs the tasks of a frozen plan at a place; signals stop it cleanly.

Snakemake works in a thread of its own, so that the main thread is free for the display and for
signals. The first interrupt ends what runs at once: what was finished is stored, what was being
written is not.
"""

import contextlib
import errno
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread

from diffpipe.cache.errors import (
    DamagedError,
    DiffpipeError,
    InterruptedRunError,
    UnwritableStoreError,
    WorkerError,
)
from diffpipe.cache.layout import RunLayout
from diffpipe.pipelines.core.plan import Plan
from diffpipe.rules import runs
from diffpipe.rules.place import Place

SNAKEFILE = Path(__file__).parent.parent / "Snakefile"
_TICK_SECONDS = 0.1
_ROOM_FOR_WORDS = 16_384  # bytes
Tick = Callable[[], None]


def execute(
    plan: Plan,
    run: RunLayout,
    place: Place,
    tick: Tick = lambda: None,
    described: Tick = lambda: None,
) -> None:
    """Describe what is new, then run all tasks; raises what the workers reported.

    tick is called about ten times a second on this thread, described once all shapes are known.
    """
    with _interruptible(), _ended(place) as threads:
        threads.append(_Background(_import_snakemake))  # takes a second, while workers get ready
        try:
            place.start(plan, run)
        except OSError as error:
            raise _without_words(run, error) from error

        def wait_for(work: Callable[[], None]) -> None:
            threads.append(_Background(work))
            threads[-1].wait(tick, place.check)
            _report(run, threads[-1].error)

        if plan.to_create:
            wait_for(place.describe)
        described()
        if plan.tasks:
            wait_for(lambda: _snakemake(run, place))


class _Background:
    """A function in a thread, and the exception it ended with.

    Its end is an event: a thread whose `join` is interrupted counts as ended before Python 3.13.
    """

    def __init__(self, work: Callable[[], None]) -> None:
        self.error: BaseException | None = None
        self.ended = Event()
        self._work = work
        Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:
            self.error = error
        finally:
            self.ended.set()

    def wait(self, *ticks: Tick) -> None:
        while not self.ended.wait(_TICK_SECONDS):
            for tick in ticks:
                tick()
        for tick in ticks:
            tick()


def _import_snakemake() -> None:
    import snakemake.api  # noqa: F401


def _snakemake(run: RunLayout, place: Place) -> None:
    from snakemake.api import SnakemakeApi
    from snakemake.settings.types import (
        ConfigSettings,
        DAGSettings,
        ExecutionSettings,
        OutputSettings,
        ResourceSettings,
        SchedulingSettings,
    )

    from diffpipe.rules.plugins import scheduler
    from diffpipe.rules.plugins.logger import handler_settings

    output = OutputSettings(enable_file_logging=False, log_handler_settings=handler_settings(run))
    with SnakemakeApi(output) as api:
        workflow = api.workflow(
            resource_settings=ResourceSettings(**place.resources()),
            config_settings=ConfigSettings(config={"plan": str(run.plan)}),
            snakefile=SNAKEFILE,
            workdir=run.folder / "work",
        )
        dag = workflow.dag(DAGSettings(targets={"all"}))
        dag.execute_workflow(
            execution_settings=ExecutionSettings(latency_wait=place.latency_seconds),
            scheduling_settings=SchedulingSettings(scheduler=scheduler.NAME),
            scheduler_settings=scheduler.settings(),
            **place.execution(),
        )


def _report(run: RunLayout, error: BaseException | None) -> None:
    """Raise what the workers reported; damage first, since it can be mended."""
    reported = [each for each in runs.errors(run) if not isinstance(each, InterruptedRunError)]
    damaged = [each for each in reported if isinstance(each, DamagedError)]
    if damaged or reported:
        raise min(damaged or reported, key=lambda each: each.shard or 0)
    if error is not None:
        raise _without_words(run, error) from error


def _without_words(run: RunLayout, error: BaseException) -> DiffpipeError:
    """What can be said of workers that left no word; on a full disk there is no room for one."""
    full = os.strerror(errno.ENOSPC)
    if shutil.disk_usage(run.folder).free < _ROOM_FOR_WORDS or full in str(error):
        return UnwritableStoreError(
            f"cannot write {run.folder.parent.parent}: {full}",
            hint="free space or choose another folder with --store; what is stored is kept",
        )
    if isinstance(error, DiffpipeError):
        error.hint = error.hint or f"see {run.logs}"
        return error
    return WorkerError(
        f"Snakemake could not run the tasks ({str(error).strip()})",
        hint=f"finished shards are kept, the same command goes on; see {run.snakemake_log}",
    )


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Ctrl-C ends it with an InterruptedRunError."""
    try:
        yield
    except KeyboardInterrupt as error:
        hint = "finished shards are kept; the same command goes on from there"
        raise InterruptedRunError("interrupted", hint=hint) from error


@contextlib.contextmanager
def _ended(place: Place) -> Iterator[list[_Background]]:
    """Whatever happens, nothing that was started outlives the engine."""
    threads: list[_Background] = []
    failed = True
    try:
        yield threads
        failed = False
    finally:
        heard = {each: signal.signal(each, signal.SIG_IGN) for each in _SIGNALS}
        try:
            place.stop(at_once=failed)
        finally:
            while failed and _stop_children() | any(not each.ended.is_set() for each in threads):
                time.sleep(_TICK_SECONDS)
            for number, handler in heard.items():
                signal.signal(number, handler)


_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def _stop_children() -> bool:
    """End every process that this one started; whether there were any."""
    import psutil

    children = psutil.Process(os.getpid()).children(recursive=True)
    for child in children:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.terminate()
    psutil.wait_procs(children, timeout=_TICK_SECONDS)
    return bool(children)
