"""Snakemake's events, in the run's folder: a logger plugin.

`events.jsonl` has a line for each task that starts, ends or fails: the display and `diffpipe
status` read it, in this process or another. Snakemake's own words are kept in `snakemake.log` for
when it fails. The plugin is registered by hand, since Snakemake's search does not see editable
installs.
"""

import contextlib
import json
import sys
import time
from dataclasses import dataclass, field
from logging import WARNING, LogRecord
from pathlib import Path
from typing import Any, final

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_interface_logger_plugins.registry import LoggerPluginRegistry
from snakemake_interface_logger_plugins.settings import LogHandlerSettingsBase

from diffpipe.cache.layout import RunLayout

NAME = "diffpipe"


@dataclass
class LogHandlerSettings(LogHandlerSettingsBase):
    folder: str = field(default=".", metadata={"help": "The run's folder."})


@final
class LogHandler(LogHandlerBase):
    """Takes the place of the log on standard error."""

    writes_to_stream = True
    writes_to_file = False
    has_filter = True
    has_formatter = True
    needs_rulegraph = False

    def __post_init__(self) -> None:
        assert isinstance(self.settings, LogHandlerSettings)
        self._run = RunLayout(Path(self.settings.folder))
        self._tasks: dict[int, str] = {}  # Snakemake's number of a job -> its task
        self._events = self._run.events.open("a", buffering=1)
        self._log = self._run.snakemake_log.open("a", buffering=1)

    def emit(self, record: LogRecord) -> None:
        event = getattr(record, "event", None)
        with contextlib.suppress(OSError):  # a full disk has no room for words
            if event in _EVENTS:
                self._note(event, record)
            elif record.levelno >= WARNING or event is LogEvent.ERROR:
                self._log.write(f"{record.levelname}: {record.getMessage()}\n")

    def close(self) -> None:
        for file in (self._events, self._log):
            with contextlib.suppress(OSError):
                file.close()
        super().close()

    def _note(self, event: Any, record: Any) -> None:
        if event is LogEvent.JOB_INFO:
            self._tasks[record.jobid] = record.wildcards.get("task", record.rule_name)
        number = record.job_id if event is LogEvent.JOB_FINISHED else record.jobid
        line = {"at": time.time(), "event": _EVENTS[event], "task": self._tasks.get(number)}
        self._events.write(json.dumps(line) + "\n")


_EVENTS = {
    LogEvent.JOB_INFO: "started",
    LogEvent.JOB_FINISHED: "finished",
    LogEvent.JOB_ERROR: "failed",
}


def handler_settings(run: RunLayout) -> dict[str, LogHandlerSettings]:
    """Snakemake's `log_handler_settings` for a run."""
    registry = LoggerPluginRegistry()
    if not registry.is_installed(NAME):
        registry.register_plugin(f"snakemake_logger_plugin_{NAME}", sys.modules[__name__])
    return {NAME: LogHandlerSettings(folder=str(run.folder))}
