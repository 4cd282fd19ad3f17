"""Chunks: the bytes of one shard of one array, read and written as zarr v3 lays them down.

Arrays are little-endian, uncompressed, each chunk a file that ends in its crc32c (`metadata`).
Here are the files themselves, without zarr or NumPy: importing zarr costs more than a whole
unchanged rerun, and its 2 to 5 ms per operation more than most stages take for a shard. It also
removes a trap: zarr does not write a chunk that equals the fill value (a zero gradient would look
undone), and deletes it on overwriting; here what is computed is written. A test holds the bytes
against zarr's own.
"""

import array
import os
import sys
from pathlib import Path
from typing import Any

import google_crc32c

from diffpipe.cache import files, layout, masks
from diffpipe.cache.errors import DamagedError
from diffpipe.cache.specs import ArraySpec

Bytes = Any  # what has a length and a buffer to read: bytes, or a NumPy array of uint8
_CHECKSUM_BYTES = 4
_RESIDUE = 0x48674BC7  # the crc32c of anything that ends in its own crc32c: no need to cut it off
_TYPECODES = {"float64": "d", "int64": "q", "bool": "b"}


def present(folder: Path, spec: ArraySpec, slots: int) -> int:
    """The set of shards of which this array's folder holds the chunk: one listing, nothing read."""
    try:
        with os.scandir(folder) as entries:
            found = (layout.chunk_shard(len(spec.shape), entry.name) for entry in entries)
            chunks = masks.mask_of((each for each in found if each is not None), slots)
    except FileNotFoundError:
        return 0
    return chunks if spec.block == 1 else masks.of_blocks(chunks, spec.block, slots)


def path(folder: Path, spec: ArraySpec, shard: int) -> Path:
    """The chunk that holds the values of a shard, or of its block."""
    return folder / layout.chunk_name(len(spec.shape), spec.chunk_of(shard))


def payload(folder: Path, spec: ArraySpec, shard: int) -> memoryview:
    """The bytes of a chunk, its checksum verified; raises DamagedError, OSError."""
    size = spec.chunk_nbytes + _CHECKSUM_BYTES
    data = files.read(path(folder, spec, shard), size, least=size)
    if google_crc32c.value(data) != _RESIDUE:
        raise DamagedError("chunk fails its crc32c checksum", shard=shard)
    return memoryview(data)[:-_CHECKSUM_BYTES]


def write(folder: Path, spec: ArraySpec, shard: int, *parts: Bytes, durable: bool = False) -> None:
    """Write a chunk with its checksum, whole or not at all.

    Raises ValueError where the parts have together another length than a chunk.
    """
    size, checksum = sum(map(len, parts)), 0
    if size != spec.chunk_nbytes:
        raise ValueError(f"{size} bytes for a chunk of {spec.chunk_nbytes}")
    for part in parts:
        checksum = google_crc32c.extend(checksum, part)
    last = checksum.to_bytes(_CHECKSUM_BYTES, "little")
    files.write(path(folder, spec, shard), *parts, last, durable=durable)


def is_printable(spec: ArraySpec) -> bool:
    """Whether `values` can give it."""
    return spec.placement == "once" and spec.dtype in _TYPECODES


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
