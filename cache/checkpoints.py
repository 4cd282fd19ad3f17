"""Checkpoints: what a shard of a stage takes with its residuals stored, and without.

Measured once where a stage leaves the choice to the planner; one small file each, named by the key
of all that times and sizes depend on (so not by the values of parameters). A file is there whole or
not at all, and carries its own digest: one that is damaged counts as missing.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

import msgspec

from diffpipe.cache import documents, files
from diffpipe.cache.errors import DamagedError
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


class _Stored(msgspec.Struct, frozen=True):
    measured: Measured
    digest: str


@dataclass(frozen=True)
class Checkpoints:
    """The measurements of a store."""

    layout: Layout

    def get(self, key: str) -> Measured | None:
        """What was measured under a key, if it is whole."""
        try:
            found = documents.read(self.layout.checkpoint(key))
            stored = msgspec.convert(found, _Stored)
        except (FileNotFoundError, DamagedError, msgspec.ValidationError):
            return None
        return stored.measured if stored.digest == _digest(stored.measured) else None

    def put(self, key: str, measured: Measured) -> None:
        """Store what was measured."""
        document: Any = _Stored(measured, _digest(measured))
        with files.writing(self.layout.root):
            self.layout.checkpoints.mkdir(exist_ok=True)
            files.write(self.layout.checkpoint(key), msgspec.json.encode(document))


def _digest(measured: Measured) -> str:
    return hashlib.sha256(msgspec.json.encode(measured)).hexdigest()
