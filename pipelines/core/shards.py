"""Sums over shards, in an order that only their number and the size of blocks decide."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np


@dataclass
class PairwiseSum:
    """A sum by a pairwise tree in the order of adding; n values take log2(n) of memory.

    The tree is that of a binary counter: neighbours are added first, then pairs of pairs.
    """

    _partial: list[tuple[int, np.ndarray]] = field(default_factory=list)  # (values, their sum)

    def add(self, value: np.ndarray) -> None:
        partial = self._partial
        partial.append((1, np.asarray(value)))
        while len(partial) > 1 and partial[-1][0] == partial[-2][0]:
            (left, first), (right, second) = partial[-2:]
            partial[-2:] = [(left + right, first + second)]

    def total(self) -> np.ndarray:
        """The sum of all values; raises ValueError when there is none."""
        if not self._partial:
            raise ValueError("nothing to add up")
        *earlier, (_, total) = self._partial
        for _, each in reversed(earlier):
            total = each + total
        return np.asarray(total)


def pairwise_sum(values: Iterable[np.ndarray]) -> np.ndarray:
    """The sum by a pairwise tree in the order given; raises ValueError when there is none."""
    total = PairwiseSum()
    for value in values:
        total.add(value)
    return total.total()


@dataclass
class BlockSum:
    """The sums over blocks of consecutive shards (the last may be short), one block at a time.

    Only a block of which every shard is given, in order, has a sum: where a shard alone is computed
    again, the sum of its block is stored already.
    """

    block: int
    slots: int
    _sum: PairwiseSum = field(default_factory=PairwiseSum)
    _next: int = 0

    def add(self, shard: int, value: np.ndarray) -> np.ndarray | None:
        """Add a shard; the sum over its block if it completes it."""
        first = shard - shard % self.block
        if shard == first:
            self._sum, self._next = PairwiseSum(), first
        if shard != self._next:
            return None
        self._sum.add(value)
        self._next += 1
        return self._sum.total() if self._next == min(first + self.block, self.slots) else None
