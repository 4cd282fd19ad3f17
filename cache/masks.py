"""Sets of shards as integers: bit k stands for shard k. A million shards are 125 kB."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

MOST_SHARDS = 10_000_000  # 1.25 MB a set; a number read from a file could ask for all memory


def full(slots: int) -> int:
    """All of `slots` shards."""
    return (1 << slots) - 1


def mask_of(shards: Iterable[int], slots: int) -> int:
    """The set of these shards; those outside 0..slots-1 are left out."""
    bits = bytearray(slots // 8 + 1)
    for shard in shards:
        if 0 <= shard < slots:
            bits[shard >> 3] |= 1 << (shard & 7)
    return int.from_bytes(bits, "little")


def members(mask: int) -> Iterator[int]:
    """The shards of a set, ascending."""
    for index, byte in enumerate(mask.to_bytes((mask.bit_length() + 7) // 8, "little")):
        if byte:
            yield from (8 * index + bit for bit in range(8) if byte >> bit & 1)


def to_ranges(mask: int) -> list[list[int]]:
    """The set as half-open ranges [[first, stop], ...], as written in a plan."""
    ranges: list[list[int]] = []
    for shard in members(mask):
        if ranges and ranges[-1][1] == shard:
            ranges[-1][1] += 1
        else:
            ranges.append([shard, shard + 1])
    return ranges


def from_ranges(ranges: Sequence[Sequence[int]]) -> int:
    """The set that `to_ranges` wrote."""
    mask = 0
    for first, stop in ranges:
        mask |= full(stop - first) << first
    return mask


def split(mask: int, parts: int) -> list[int]:
    """The set cut into at most `parts` runs of equal count, in order; empty runs are left out."""
    shards = list(members(mask))
    cuts = [len(shards) * part // parts for part in range(parts + 1)]
    groups = [shards[first:stop] for first, stop in pairwise(cuts)]
    return [mask_of(group, group[-1] + 1) for group in groups if group]
