"""The most memory that this process held at a time, where the kernel says so."""

import re
import resource
import sys
from contextlib import suppress
from pathlib import Path

_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")
_HIGH_WATER = re.compile(r"^VmHWM:\s*(\d+) kB", re.MULTILINE)
_UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss: bytes there, kB elsewhere


def forget_peak() -> None:
    """From now on count anew; where the kernel cannot, the peak is that since the start."""
    with suppress(OSError):
        _RESET.write_text("5")


def peak_mb() -> float:
    """MB (10**6 bytes) held at most since `forget_peak`, resident."""
    with suppress(OSError):
        found = _HIGH_WATER.search(_STATUS.read_text())
        if found:
            return int(found.group(1)) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT / 1e6
