"""The binomial schedule: which states to hold, and from which to go forward again.

To pull back a chain of n steps, the state before each of them is needed, last one first. With room
for s states, the fewest steps are taken by the schedule of Griewank and Walther, ACM TOMS 26 (2000)
19 (Algorithm 799, "Revolve"): of n steps ahead, go m forward and hold the state met there; treat
the n - m steps beyond with s - 1 slots, then the m steps before with all s again. The state before
the first step is one of the s.
"""

from collections.abc import Iterator
from math import comb

from diffpipe.pipelines.physics.scans.legs import Leg, Reversal


def repetitions(length: int, snapshots: int) -> int:
    """The smallest r with C(s + r, s) >= n: how often a step is taken before its reversal."""
    often = 0
    while comb(snapshots + often, snapshots) < length:
        often += 1
    return often


def forward_steps(length: int, snapshots: int) -> int:
    """n + r n - C(s + r, r - 1): every step taken, the first sweep included.

    Each of the n steps is taken once for its own reversal, the last one within the first sweep.
    """
    often = repetitions(length, snapshots)
    return length + often * length - (comb(snapshots + often, often - 1) if often else 0)


def split(length: int, snapshots: int) -> int:
    """How many of n > 1 steps to go before the next state is held, with s > 1 slots in all.

    With C(s + r - 1, s) < n <= C(s + r, s), the fewest steps are taken where the parts need r - 1
    and r repetitions: m within [C(s + r - 2, s), C(s + r - 1, s)], n - m within
    [C(s + r - 2, s - 1), C(s + r - 1, s - 1)]. Any such m will do; this is the smallest.
    """
    often = repetitions(length, snapshots)
    fewest = comb(snapshots + often - 2, snapshots)
    return max(1, fewest, length - comb(snapshots + often - 1, snapshots - 1))


def schedule(length: int, snapshots: int) -> Iterator[Reversal]:
    """The reversals of `length` steps, last step first, with `snapshots` slots.

    The legs of the first one are the first sweep.
    """
    held = [0]  # the steps before which a state is held, one for each slot
    for step in reversed(range(length)):
        yield Reversal(step, tuple(_legs(held, step, snapshots)))
        if held[-1] == step:
            held.pop()


def _legs(held: list[int], step: int, snapshots: int) -> Iterator[Leg]:
    """The way from the last state held to `step`; what is held on the way is added to `held`."""
    while (left := step + 1 - held[-1]) > 1 and len(held) < snapshots:
        end = held[-1] + split(left, snapshots - len(held) + 1)
        if end == step:  # needed at once and never again
            break
        yield Leg(len(held) - 1, held[-1], end)
        held.append(end)
    yield Leg(len(held) - 1, held[-1], step)
