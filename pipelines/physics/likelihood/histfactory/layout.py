"""Where the bins of samples are in arrays of one shape: cells (stretch, slot, lane).

A channel is cut into stretches of `width` bins, the lanes; its samples are the slots. Arrays are
as wide as the widest of each: what is padding has content zero. A width that fits long and short
channels alike keeps it small. Plain Python, so that a plan can ask where a template goes.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from diffpipe.pipelines.physics.likelihood.histfactory.workspace import Workspace

_STRETCH = 4  # what a stretch costs by itself, in cells


class Layout(NamedTuple):
    """The grid of cells; first: the first stretch of each channel; slot: of (channel, sample)."""

    stretches: int
    slots: int
    width: int
    first: dict[str, int]
    slot: dict[tuple[str, str], int]
    sizes: dict[str, int]

    @property
    def cells(self) -> int:
        return self.stretches * self.slots * self.width

    def rows(self, channel: str, sample: str) -> list[int]:
        """Stretch times slot of each stretch of a sample."""
        first, slot = self.first[channel], self.slot[channel, sample]
        count = -(-self.sizes[channel] // self.width)
        return [(first + stretch) * self.slots + slot for stretch in range(count)]

    def lanes(self, channel: str, starts: Sequence[int]) -> Sequence[int]:
        """Flat index of each bin of a channel, its stretches starting at `starts`."""
        bins, width = self.sizes[channel], self.width
        if bins <= width:
            return range(starts[0], starts[0] + bins)
        return [starts[i // width] + i % width for i in range(bins)]

    def cells_of(self, channel: str, sample: str) -> Sequence[int]:
        """The cell of each bin of a sample."""
        return self.lanes(channel, [row * self.width for row in self.rows(channel, sample)])

    def sums_of(self, channel: str) -> Sequence[int]:
        """Stretch times lane of each bin of a channel: where the sum over slots is."""
        count = -(-self.sizes[channel] // self.width)
        first = self.first[channel]
        return self.lanes(channel, [(first + stretch) * self.width for stretch in range(count)])


def layout(workspace: Workspace) -> Layout:
    """The grid that wastes least."""
    sizes = {channel.name: channel.bins for channel in workspace.channels}
    width = min(range(1, max(sizes.values()) + 1), key=lambda each: _cost(sizes.values(), each))
    first: dict[str, int] = {}
    total = 0
    for name, bins in sizes.items():
        first[name] = total
        total += -(-bins // width)
    slots = max(len(channel.samples) for channel in workspace.channels)
    slot = {
        (channel.name, sample.name): i
        for channel in workspace.channels
        for i, sample in enumerate(channel.samples)
    }
    return Layout(total, slots, width, first, slot, sizes)


def _cost(sizes: Iterable[int], width: int) -> int:
    return sum(-(-bins // width) for bins in sizes) * (width + _STRETCH)
