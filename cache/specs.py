"""The shape of a stored array, how it is cut into chunks, and what of it is believed."""

import math
import reprlib
from dataclasses import dataclass
from typing import Any, Literal, get_args

from diffpipe.cache.errors import DamagedError
from diffpipe.cache.masks import MOST_SHARDS

Placement = Literal["event", "shard", "once"]
_ITEM_BYTES = {"float64": 8, "int64": 8, "bool": 1, "complex128": 16, "int32": 4, "uint32": 4}
_MOST_DIMENSIONS = 32  # what every NumPy and zarr takes
# A worker holds a shard of several arrays at a time, and a file can claim this size without taking
# it on disk: what claims more is not read.
_MOST_CHUNK_BYTES = 4 << 30


@dataclass(frozen=True)
class ArraySpec:
    """The shape of one stored array and how it is cut into chunks.

    placement `event`: rows are events, a chunk is a shard of them; `shard`: row k, a chunk, belongs
    to shard k, or to the k-th `block` of so many consecutive shards; `once`: one chunk.
    """

    shape: tuple[int, ...]
    chunk: tuple[int, ...]
    dtype: str
    placement: Placement
    unit: str = "1"
    block: int = 1

    @classmethod
    def per_event(
        cls, count: int, shard: int, row: tuple[int, ...], dtype: str, unit: str = "1"
    ) -> "ArraySpec":
        return cls((count, *row), (min(shard, count), *row), dtype, "event", unit)

    @classmethod
    def per_shard(
        cls, shards: int, shape: tuple[int, ...], dtype: str, unit: str = "1", block: int = 1
    ) -> "ArraySpec":
        """A value for each shard, or with `block` for each block of so many (the last is short)."""
        return cls((-(-shards // block), *shape), (1, *shape), dtype, "shard", unit, block)

    @classmethod
    def once(cls, shape: tuple[int, ...], dtype: str, unit: str = "1") -> "ArraySpec":
        return cls(shape, shape, dtype, "once", unit)

    @classmethod
    def from_json(cls, document: Any, slots: int) -> "ArraySpec":
        """What `to_json` wrote of an array with so many slots; raises DamagedError for all else."""
        names = set(cls.__dataclass_fields__)
        if not isinstance(document, dict) or document.keys() | {"block"} != names:
            raise DamagedError(f"{reprlib.repr(document)} is not {', '.join(sorted(names))}")
        spec = cls(
            _lengths(document["shape"]),
            _lengths(document["chunk"]),
            _one_of(document["dtype"], _ITEM_BYTES),
            _one_of(document["placement"], get_args(Placement)),
            _unit(document["unit"]),
            _block(document.get("block", 1), document["placement"]),
        )
        if spec.chunk != spec._chunk_for(slots):
            raise DamagedError(f"shape {spec.shape} is not {slots} shards of {spec.chunk}")
        if spec.chunk_nbytes > _MOST_CHUNK_BYTES:
            raise DamagedError(f"a chunk has {spec.chunk_nbytes} bytes, over {_MOST_CHUNK_BYTES}")
        return spec

    def to_json(self) -> dict[str, Any]:
        return {
            "shape": list(self.shape),
            "chunk": list(self.chunk),
            "dtype": self.dtype,
            "placement": self.placement,
            "unit": self.unit,
        } | ({"block": self.block} if self.block > 1 else {})

    def chunk_of(self, shard: int) -> int:
        """The number of the chunk that holds the values of a shard, or of its block."""
        return shard // self.block

    def slot_shape(self, shard: int) -> tuple[int, ...]:
        """The shape of the values of one shard (the last one may be short)."""
        if self.placement == "event":
            rows = min(self.chunk[0], self.shape[0] - shard * self.chunk[0])
            return (rows, *self.shape[1:])
        return self.shape[1:] if self.placement == "shard" else self.shape

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * _ITEM_BYTES[self.dtype]

    @property
    def chunk_nbytes(self) -> int:
        return math.prod(self.chunk) * _ITEM_BYTES[self.dtype]

    def _chunk_for(self, slots: int) -> tuple[int, ...] | None:
        """The chunk that cuts the shape into so many slots, as far as it is given by them."""
        if self.placement == "once":
            return self.shape
        rows = self.chunk[0] if self.shape and self.chunk else 0
        chunks = -(-slots // self.block)
        if not rows or -(-self.shape[0] // rows) != chunks or rows > self.shape[0]:
            return None
        return (rows if self.placement == "event" else 1, *self.shape[1:])


def _lengths(value: Any) -> tuple[int, ...]:
    """A shape; booleans, floats, zeros and what no array library takes are none."""
    is_shape = type(value) is list and len(value) <= _MOST_DIMENSIONS
    if not is_shape or not all(type(each) is int and 0 < each < 1 << 63 for each in value):
        raise DamagedError(f"the shape {reprlib.repr(value)} is not whole numbers above zero")
    return tuple(value)


def _one_of(value: Any, known: Any) -> Any:
    if not isinstance(value, str) or value not in known:
        raise DamagedError(f"{reprlib.repr(value)} is none of {', '.join(known)}")
    return value


def _block(value: Any, placement: str) -> int:
    """How many shards a chunk is for; only what is added up may be for many."""
    if type(value) is not int or not 0 < value <= (MOST_SHARDS if placement == "shard" else 1):
        raise DamagedError(f"{reprlib.repr(value)} is no number of shards for a chunk")
    return value


def _unit(value: Any) -> str:
    if not isinstance(value, str) or not value.isprintable():
        raise DamagedError(f"the unit {reprlib.repr(value)} is not text")
    return value
