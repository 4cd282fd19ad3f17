"""The schedules for a number of snapshots, by name."""

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple

from diffpipe.pipelines.physics.scans import mixed, revolve
from diffpipe.pipelines.physics.scans.legs import Reversal, Table, table


class Scheme(NamedTuple):
    """Functions of the number of steps and of snapshots."""

    schedule: Callable[[int, int], Iterator[Reversal]]
    forward_steps: Callable[[int, int], int]  # taken in all, the first sweep included


SCHEMES = {
    "revolve": Scheme(revolve.schedule, revolve.forward_steps),
    "mixed": Scheme(mixed.schedule, mixed.forward_steps),
}


@lru_cache(maxsize=64)
def table_of(scheme: str, length: int, snapshots: int) -> Table:
    """A schedule as arrays."""
    return table(SCHEMES[scheme].schedule(length, snapshots))
