"""The engine: Snakemake runs the tasks of a frozen plan; signals stop it cleanly.

Snakemake works in a thread of its own, so that the main thread is free for the display and for
signals. The first interrupt ends the workers at once: what they had finished is stored, what they
were writing is not.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

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

SNAKEFILE = Path(__file__).parent.parent / "Snakefile"
_TICK_SECONDS = 0.1
_ROOM_FOR_WORDS = 16_384  # bytes
Tick = Callable[[], None]


def execute(plan: Plan, run: RunLayout, cores: int, tick: Tick = lambda: None) -> None:
    """Describe what is new, then run all tasks; raises what the workers reported.

    tick is called about ten times a second on this thread.
    """
    loading = _Background(_import_snakemake)
    with _interruptible():
        try:
            if plan.to_create:
                describe(run, tick)
            if plan.tasks:
                work = _Background(lambda: _snakemake(run, cores))
                work.wait(tick)
                _report(run, work.error)
        except KeyboardInterrupt as error:
            _stop_children([loading])
            raise InterruptedRunError(
                "interrupted", hint="finished shards are kept; the same command goes on from there"
            ) from error


def describe(run: RunLayout, tick: Tick = lambda: None) -> None:
    """Evaluate shapes and create artefacts in a process of its own."""
    with run.log("describe").open("w") as log:
        command = [sys.executable, "-P", "-m", "diffpipe.rules.worker", str(run.plan), "describe"]
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        while process.poll() is None:
            tick()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_TICK_SECONDS)
    if process.returncode:
        _report(run, WorkerError("the shapes of the stages could not be evaluated"))


class _Background:
    """A function in a thread, and the exception it ended with."""

    def __init__(self, work: Callable[[], None]) -> None:
        self.error: BaseException | None = None
        self._work = work
        self.thread = Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:
            self.error = error

    def wait(self, tick: Tick) -> None:
        try:
            while self.thread.is_alive():
                tick()
                self.thread.join(_TICK_SECONDS)
            tick()
        except KeyboardInterrupt:
            _stop_children([self])
            raise


def _import_snakemake() -> None:
    import snakemake.api  # noqa: F401 (takes a second, while shapes are evaluated)


def _snakemake(run: RunLayout, cores: int) -> None:
    from snakemake.api import SnakemakeApi
    from snakemake.settings.types import (
        ConfigSettings,
        DAGSettings,
        ExecutionSettings,
        OutputSettings,
        Quietness,
        ResourceSettings,
    )

    from diffpipe.rules.logger import handler_settings

    output = OutputSettings(
        quiet={Quietness.ALL},
        enable_file_logging=False,
        log_handler_settings=handler_settings(run.folder / "snakemake.log"),
    )
    with SnakemakeApi(output) as api:
        workflow = api.workflow(
            resource_settings=ResourceSettings(cores=cores),
            config_settings=ConfigSettings(config={"plan": str(run.plan)}),
            snakefile=SNAKEFILE,
            workdir=run.folder / "work",
        )
        dag = workflow.dag(DAGSettings(targets={"all"}))
        dag.execute_workflow(execution_settings=ExecutionSettings(latency_wait=1))


def _report(run: RunLayout, error: BaseException | None) -> None:
    """Raise what the workers reported; damage first, since it can be mended."""
    reported = [each for each in runs.errors(run) if not isinstance(each, InterruptedRunError)]
    damaged = [each for each in reported if isinstance(each, DamagedError)]
    if damaged or reported:
        raise (damaged or reported)[0]
    if error is not None:
        raise _without_words(run, error) from error


def _without_words(run: RunLayout, error: BaseException) -> DiffpipeError:
    """What can be said of workers that left no word; on a full disk there is no room for one."""
    if shutil.disk_usage(run.folder).free < _ROOM_FOR_WORDS:
        return UnwritableStoreError(
            f"cannot write {run.folder.parent.parent}: No space left on device",
            hint="free space or choose another folder with --store; what is stored is kept",
        )
    if isinstance(error, DiffpipeError):
        error.hint = error.hint or f"see {run.logs}"
        return error
    started = sorted(log.stem for log in run.logs.glob("*-*.log"))
    lost = [task for task in started if not run.marker(task).exists()]
    who = f"the worker of task {', '.join(lost)}" if lost else "Snakemake"
    return WorkerError(
        f"{who} ended without a word: killed, or out of memory? ({str(error).strip()})",
        hint=f"finished shards are kept, the same command goes on; logs are in {run.logs}",
    )


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM acts like Ctrl-C while the engine runs."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _stop_children(threads: list[_Background]) -> None:
    """End every process that this one started, until no thread starts another."""
    import psutil

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    try:
        while True:
            for child in psutil.Process(os.getpid()).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.terminate()
            if not any(each.thread.is_alive() for each in threads):
                return
            for each in threads:
                each.thread.join(_TICK_SECONDS)
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
