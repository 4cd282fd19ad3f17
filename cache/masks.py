"""Sets of shards as integers: bit k stands for shard k. A million shards are 125 kB.

Integers are joined and compared in microseconds; what looks into one goes through its binary
digits or the ranges in them, once for the whole set and not for each shard or task.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, pairwise

MOST_SHARDS = 10_000_000  # 1.25 MB a set; a number read from a file could ask for all memory
Ranges = Sequence[Sequence[int]]  # half-open [[first, stop], ...], ascending and apart


def full(slots: int) -> int:
    """All of `slots` shards."""
    return (1 << slots) - 1


def mask_of(shards: Iterable[int], slots: int) -> int:
    """The set of these shards; those outside 0..slots-1 are left out."""
    digits = bytearray(b"0") * (slots + 1)
    for shard in shards:
        if 0 <= shard < slots:
            digits[shard] = ord("1")
    return _from_digits(digits)


def members(mask: int) -> Iterator[int]:
    """The shards of a set, ascending."""
    for first, stop in to_ranges(mask):
        yield from range(first, stop)


def to_ranges(mask: int) -> list[list[int]]:
    """The set as half-open ranges [[first, stop], ...], as written in a plan."""
    lowest_first = bin(mask)[:1:-1]
    return [list(run.span()) for run in re.finditer("1+", lowest_first)]


def from_ranges(ranges: Ranges) -> int:
    """The set that `to_ranges` wrote; ranges may touch and overlap, and be empty."""
    digits = bytearray(b"0") * (1 + max((stop for _, stop in ranges), default=0))
    for first, stop in ranges:
        digits[first:stop] = b"1" * (stop - first)
    return _from_digits(digits)


def within(ranges: Ranges, first: int, stop: int) -> list[list[int]]:
    """The part of a set, given as ranges, that lies in first..stop-1."""
    found = []
    for place in range(bisect_right(ranges, first, key=lambda each: each[1]), len(ranges)):
        if ranges[place][0] >= stop:
            break
        found.append([max(ranges[place][0], first), min(ranges[place][1], stop)])
    return found


def spans(mask: int, parts: int, align: int = 1) -> list[range]:
    """At most `parts` ranges that hold all of the set, and each about as many of its shards.

    They begin at multiples of `align`; each holds a shard of the set.
    """
    ranges, total = to_ranges(mask), mask.bit_count()
    parts = min(parts, total)
    before = list(accumulate((stop - first for first, stop in ranges), initial=0))
    starts = set()
    for index in (total * part // parts for part in range(parts)):
        place = bisect_right(before, index) - 1
        shard = ranges[place][0] + index - before[place]
        starts.add(shard - shard % align)
    return [range(*pair) for pair in pairwise([*sorted(starts), mask.bit_length()])]


def in_blocks(mask: int, block: int) -> int:
    """The blocks (block k: shards k*block..(k+1)*block-1) in which the set has a shard."""
    return from_ranges(
        [[first // block, (stop - 1) // block + 1] for first, stop in to_ranges(mask)]
    )


def of_blocks(blocks: int, block: int, slots: int) -> int:
    """The shards of a set of blocks; the last block may be short."""
    return from_ranges(
        [[first * block, min(stop * block, slots)] for first, stop in to_ranges(blocks)]
    )


def in_whole_blocks(mask: int, made: int, block: int, slots: int) -> int:
    """The set, and with each shard all of its block where nothing of the block is made."""
    untouched = in_blocks(mask, block) & ~in_blocks(made, block)
    return mask | of_blocks(untouched, block, slots)


def _from_digits(lowest_first: bytearray) -> int:
    return int(lowest_first[::-1], 2)
