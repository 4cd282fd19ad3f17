"""Chunks: the bytes of one shard of one array, read and written as zarr v3 lays them down.

Arrays are made by zarr: little-endian, uncompressed, each chunk a file that ends in its crc32c.
Here are the files themselves, without zarr or NumPy: importing zarr costs more than a whole
unchanged rerun, and its 2 to 5 ms per operation more than most stages take for a shard. It also
removes a trap: zarr does not write a chunk that equals the fill value (a zero gradient would look
undone), and deletes it on overwriting; here what is computed is written. A test holds the bytes
against zarr's own.
"""

import array
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import google_crc32c

from diffpipe.cache import layout, masks
from diffpipe.cache.errors import DamagedError

Placement = Literal["event", "shard", "once"]
_CHECKSUM_BYTES = 4
_TYPECODES = {"float64": "d", "int64": "q", "bool": "b"}
_ITEM_BYTES = {"float64": 8, "int64": 8, "bool": 1, "complex128": 16, "int32": 4, "uint32": 4}


@dataclass(frozen=True)
class ArraySpec:
    """The shape of one stored array and how it is cut into chunks.

    placement `event`: rows are events, a chunk is a shard of them; `shard`: row k belongs to
    shard k; `once`: one chunk.
    """

    shape: tuple[int, ...]
    chunk: tuple[int, ...]
    dtype: str
    placement: Placement
    unit: str = "1"

    @classmethod
    def per_event(
        cls, count: int, shard: int, row: tuple[int, ...], dtype: str, unit: str = "1"
    ) -> "ArraySpec":
        return cls((count, *row), (min(shard, count), *row), dtype, "event", unit)

    @classmethod
    def per_shard(
        cls, shards: int, shape: tuple[int, ...], dtype: str, unit: str = "1"
    ) -> "ArraySpec":
        return cls((shards, *shape), (1, *shape), dtype, "shard", unit)

    @classmethod
    def once(cls, shape: tuple[int, ...], dtype: str, unit: str = "1") -> "ArraySpec":
        return cls(shape, shape, dtype, "once", unit)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "ArraySpec":
        shape, chunk = tuple(document["shape"]), tuple(document["chunk"])
        return cls(shape, chunk, document["dtype"], document["placement"], document["unit"])

    def to_json(self) -> dict[str, Any]:
        return {
            "shape": list(self.shape),
            "chunk": list(self.chunk),
            "dtype": self.dtype,
            "placement": self.placement,
            "unit": self.unit,
        }

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


def present(folder: Path, slots: int) -> int:
    """The set of shards of which this array's folder holds a chunk: one listing, nothing read."""
    try:
        names = [entry.name for entry in folder.iterdir()]
    except FileNotFoundError:
        return 0
    shards = (layout.chunk_shard(name) for name in names)
    return masks.mask_of((shard for shard in shards if shard is not None), slots)


def payload(folder: Path, spec: ArraySpec, shard: int) -> bytes:
    """The bytes of a chunk, its checksum verified; raises DamagedError, FileNotFoundError."""
    path = folder / layout.chunk_name(len(spec.shape), shard)
    data = path.read_bytes()
    body, checksum = data[:-_CHECKSUM_BYTES], data[-_CHECKSUM_BYTES:]
    if len(body) != spec.chunk_nbytes:
        raise DamagedError(f"chunk has {len(data)} bytes, not {spec.chunk_nbytes} + 4", shard=shard)
    if google_crc32c.value(body) != int.from_bytes(checksum, "little"):
        raise DamagedError("chunk fails its crc32c checksum", shard=shard)
    return body


def write(folder: Path, spec: ArraySpec, shard: int, body: bytes) -> None:
    """Write a chunk under a temporary name, then give it its own: it is there whole or not at all.

    Raises ValueError where `body` has another length than a chunk.
    """
    if len(body) != spec.chunk_nbytes:
        raise ValueError(f"{len(body)} bytes for a chunk of {spec.chunk_nbytes}")
    path = folder / layout.chunk_name(len(spec.shape), shard)
    partial = path.with_name(f"{path.name}.{layout.unique()}.partial")
    try:
        with partial.open("wb", buffering=0) as file:
            for part in (body, google_crc32c.value(body).to_bytes(_CHECKSUM_BYTES, "little")):
                _write_all(file, part)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _write_all(file: IO[bytes], part: bytes) -> None:
    view = memoryview(part)
    while view:
        view = view[file.write(view) :]


def values(folder: Path, spec: ArraySpec) -> Any:
    """A once-array as a number or nested lists, for printing."""
    flat = array.array(_TYPECODES[spec.dtype])
    flat.frombytes(payload(folder, spec, 0))
    if sys.byteorder == "big":
        flat.byteswap()
    return _nested(flat.tolist(), spec.shape)


def _nested(flat: list[Any], shape: tuple[int, ...]) -> Any:
    if not shape:
        return flat[0]
    step = len(flat) // shape[0]
    return [_nested(flat[i * step : (i + 1) * step], shape[1:]) for i in range(shape[0])]
