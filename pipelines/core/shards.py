"""Sums over shards, in an order that only the number of shards decides."""

from collections.abc import Iterable

import numpy as np


def pairwise_sum(values: Iterable[np.ndarray]) -> np.ndarray:
    """The sum by a pairwise tree in the order given; holds log2(n) partial sums at a time.

    The tree is that of a binary counter: neighbours are added first, then pairs of pairs. Raises
    ValueError when there is nothing to add.
    """
    partial: list[tuple[int, np.ndarray]] = []  # (leaves added up, their sum)
    for value in values:
        partial.append((1, np.asarray(value)))
        while len(partial) > 1 and partial[-1][0] == partial[-2][0]:
            (left, first), (right, second) = partial[-2:]
            partial[-2:] = [(left + right, first + second)]
    if not partial:
        raise ValueError("nothing to add up")
    total = partial.pop()[1]
    while partial:
        total = partial.pop()[1] + total
    return np.asarray(total)
