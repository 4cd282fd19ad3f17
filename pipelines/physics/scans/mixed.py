"""The mixed schedule: a slot holds either a state to start from or the residuals of a step.

A step whose residuals are held is pulled back without being taken again, so fewer steps are taken
than with states alone, for the same number of slots: it pays where the residuals of a step are no
larger than a state. The problem is that of Maddison, arXiv:2305.09568. The table of n steps and s
slots takes of the order of n^2 s operations.
"""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from diffpipe.pipelines.physics.scans.legs import Leg, Reversal

RECORD = 0  # among the ways to go on: keep the residuals of the next step


def forward_steps(length: int, slots: int) -> int:
    """The fewest steps taken, the first sweep included; the state before them is at hand."""
    fewest, _ = _table(length, min(slots, length - 1))
    return int(fewest[-1, length])


def schedule(length: int, slots: int) -> Iterator[Reversal]:
    """The reversals of `length` steps with the fewest of them taken."""
    _, ways = _table(length, min(slots, length - 1))
    held = [(0, False)]  # for each slot in use: a step, and whether it holds its residuals
    for step in reversed(range(length)):
        if held[-1] == (step, True):
            held.pop()
            yield Reversal(step, (), len(held))
        else:
            yield Reversal(step, tuple(_legs(held, step, ways)))


def _legs(held: list[tuple[int, bool]], step: int, ways: np.ndarray) -> Iterator[Leg]:
    """The way from the last state held, whose slot is free from then on, to `step`."""

    def way(at: int) -> int:
        return int(ways[len(ways) - 1 - len(held), step + 1 - at])

    at, _ = held.pop()
    while True:
        slot, begin = len(held), at
        if (ahead := way(at)) != RECORD:
            held.append((begin, False))
            at += ahead
        end, free = at, len(held)
        while at < step and way(at) == RECORD:
            held.append((at, True))
            at += 1
        yield Leg(slot, begin, end, at - end, free)
        if at == step:
            return


@lru_cache(maxsize=8)
def _table(length: int, slots: int) -> tuple[np.ndarray, np.ndarray]:
    """The fewest steps for n steps ahead with s slots free, and the way to go on: both [s, n].

    With M(1, s) = 1 and no way for n > 1 without a slot, M(n, s) is the smallest of
    1 + M(n-1, s-1), residuals of the next step kept, and of i + M(n-i, s-1) + M(i, s), the state
    kept and i steps taken; when it is loaded again its slot is free. The way is `RECORD` or i.
    """
    fewest = np.full((slots + 1, length + 1), np.inf)
    fewest[:, 1] = 1
    ways = np.zeros((slots + 1, length + 1), np.int64)
    steps = np.arange(length + 1)
    for s in range(1, slots + 1):
        for n in range(2, length + 1):
            stored = steps[1:n] + fewest[s, 1:n] + fewest[s - 1, n - 1 : 0 : -1]
            best = int(np.argmin(stored))
            recorded = 1 + fewest[s - 1, n - 1]
            ways[s, n] = RECORD if recorded <= stored[best] else best + 1
            fewest[s, n] = min(recorded, stored[best])
    return fewest, ways
