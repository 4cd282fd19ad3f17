"""Checkpoints: what a shard of a stage takes with its residuals stored, and without.

Measured once where a stage leaves the choice to the planner; one small file each, named by the key
of all that times and sizes depend on (so not by the values of parameters).
"""

from dataclasses import dataclass

import msgspec

from diffpipe.cache import files, sealed
from diffpipe.cache.layout import Layout


class Times(msgspec.Struct, frozen=True):
    """Seconds for a shard, functions compiled; write, read: of its residuals, in the store."""

    forward: float
    forward_keeping: float
    pullback: float  # with the forward pass inside
    pullback_from: float  # from residuals at hand
    write: float
    read: float

    @property
    def saved(self) -> float:
        """What stored residuals save the pullback, less what they cost; below zero: they cost."""
        extra = self.forward_keeping - self.forward
        return self.pullback - self.pullback_from - extra - self.write - self.read


class Measured(msgspec.Struct, frozen=True):
    """The bytes of a shard's residuals, and its times; `refused`: why there are none."""

    residual_bytes: int
    times: Times | None = None
    refused: str = ""


@dataclass(frozen=True)
class Checkpoints:
    """The measurements of a store."""

    layout: Layout

    def get(self, key: str) -> Measured | None:
        """What was measured under a key, if it is whole."""
        return sealed.read(self.layout.checkpoint(key), Measured)

    def put(self, key: str, measured: Measured) -> None:
        """Store what was measured."""
        with files.writing(self.layout.root):
            sealed.write(self.layout.checkpoint(key), measured)
