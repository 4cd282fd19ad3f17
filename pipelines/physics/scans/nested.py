"""The nested scheme: about sqrt(n) segments of about sqrt(n) steps, each run twice.

The first sweep keeps the state before each segment; the way back runs a segment again, with the
residuals of its steps kept, and pulls it back.
"""

from math import isqrt
from typing import NamedTuple


class Segments(NamedTuple):
    """`number` segments of `size` steps, after the first `rest` steps."""

    number: int
    size: int
    rest: int

    @property
    def snapshots(self) -> int:
        """The most that is held: the state before each segment, the residuals of one's steps."""
        return self.number + (self.rest > 0) + max(self.size, self.rest)


def segments(length: int) -> Segments:
    """Segments without rest where a size within a factor two of sqrt(n) allows it."""
    root = isqrt(max(0, length - 1)) + 1  # rounded up
    even = [size for size in range((root + 1) // 2, 2 * root + 1) if length % size == 0]
    size = min(even, key=lambda size: size + length // size, default=root)
    return Segments(length // size, size, length % size)


def forward_steps(length: int) -> int:
    """Each step is taken in the first sweep and on the way back."""
    return 2 * length
