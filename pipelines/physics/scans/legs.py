"""A schedule: how to come to each step of a chain, last one first, and what to hold on the way.

A slot holds a state to start from, or the residuals of a step until it is pulled back.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np


class Leg(NamedTuple):
    """The state before step `begin` goes to `slot`, unless it is there; then on to `end`.

    From there so many steps are recorded: taken, with the residuals in `free` and the slots behind.
    """

    slot: int
    begin: int
    end: int
    recorded: int = 0
    free: int = 0


class Reversal(NamedTuple):
    """How a step is pulled back: with its residuals in `slot`, or taken at the end of the legs.

    The first leg begins at a state that is held, each other one where the one before it ends.
    """

    step: int
    legs: tuple[Leg, ...]
    slot: int | None = None  # None: its residuals are not held


class Table(NamedTuple):
    """A schedule as int32 arrays: the legs one after the other, those of the last step first."""

    legs: np.ndarray  # (leg, number in a Leg)
    first: np.ndarray  # (step,), the first leg on the way to a step
    behind: np.ndarray  # (step,), the leg after the last of them
    slot: np.ndarray  # (step,), where its residuals are, or -1

    @property
    def states(self) -> int:
        """Slots up to the last one that holds a state."""
        return int(self.legs[:, 0].max()) + 1

    @property
    def residuals(self) -> int:
        """Slots up to the last one that holds residuals; zero for a schedule of states alone."""
        return int(self.slot.max()) + 1


def table(reversals: Iterable[Reversal]) -> Table:
    """The arrays of a schedule; the legs of its first reversal are the first sweep."""
    found = list(reversals)
    legs = np.array([leg for each in found for leg in each.legs], np.int32)
    behind = np.cumsum([len(each.legs) for each in found], dtype=np.int32)
    first = np.concatenate([np.zeros(1, np.int32), behind[:-1]])
    slot = np.array([-1 if each.slot is None else each.slot for each in found], np.int32)
    return Table(legs, first[::-1], behind[::-1], slot[::-1])
