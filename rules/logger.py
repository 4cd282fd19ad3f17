"""Snakemake's log of one run, in the run's folder: a logger plugin.

What a user is shown comes from the workers' records; Snakemake's own words are kept for when it
fails. The plugin is registered by hand, since Snakemake's search does not see editable installs.
"""

import sys
from dataclasses import dataclass, field
from logging import LogRecord
from pathlib import Path
from typing import final

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.registry import LoggerPluginRegistry
from snakemake_interface_logger_plugins.settings import LogHandlerSettingsBase

NAME = "diffpipe"


@dataclass
class LogHandlerSettings(LogHandlerSettingsBase):
    path: str = field(default="snakemake.log", metadata={"help": "Where to write."})


@final
class LogHandler(LogHandlerBase):
    """Appends every message to one file; takes the place of the log on standard error."""

    writes_to_stream = True
    writes_to_file = False
    has_filter = True
    has_formatter = True
    needs_rulegraph = False

    def emit(self, record: LogRecord) -> None:
        text = record.getMessage()
        settings = self.settings
        if text and text != "None" and isinstance(settings, LogHandlerSettings):
            with Path(settings.path).open("a") as file:
                file.write(f"{record.levelname}: {text}\n")


def handler_settings(path: Path) -> dict[str, LogHandlerSettings]:
    """Snakemake's `log_handler_settings` that send its log to `path`."""
    registry = LoggerPluginRegistry()
    if not registry.is_installed(NAME):
        registry.register_plugin(f"snakemake_logger_plugin_{NAME}", sys.modules[__name__])
    return {NAME: LogHandlerSettings(path=str(path))}
