"""How scans are traced for a while: for forward mode, or noted down.

Both are contexts that the caches of `jax.jit` know of, so what was traced within one is not taken
for what is traced without.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import jax

from diffpipe.pipelines.physics.scans.report import Scan

_forward = jax.make_user_context(False)
_notes = jax.make_user_context(None)


class Notes:
    """The scans met, each once: equal ones cannot be told from one that is traced twice."""

    def __init__(self) -> None:
        self.scans: list[Scan] = []

    def add(self, scan: Scan) -> None:
        if scan not in self.scans:
            self.scans.append(scan)


@contextmanager
def forward_mode() -> Iterator[None]:
    """Scans traced within are plain `jax.lax.scan`, since what has a VJP of its own has no JVP."""
    with _forward(True):
        yield


def is_forward() -> bool:
    """Whether scans are to be traced for forward mode."""
    return bool(_forward.value)


@contextmanager
def recording() -> Iterator[list[Scan]]:
    """The scans that are traced within, in the order they are met.

    A scan within another loop is listed as one, whatever the number of times that it runs.
    """
    notes = Notes()
    with _notes(notes):
        yield notes.scans


def note(described: Callable[[], Scan]) -> None:
    """Note a scan down, if somebody asked for it."""
    if _notes.value is not None:
        _notes.value.add(described())
