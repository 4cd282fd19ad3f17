"""Named arrays <-> the store: every value that is written or computed with passes through here.

zarr accepts slices past the end and floats into integers without a word, so shape and dtype are
checked first; a short last chunk is padded, as zarr does.
"""

from pathlib import Path
from typing import Any

import numpy as np

from diffpipe.cache import chunks
from diffpipe.cache.specs import ArraySpec


def write_slot(
    folder: Path, spec: ArraySpec, shard: int, values: Any, *, durable: bool = False
) -> None:
    """Write one shard whole; raises ValueError for another shape, TypeError for another dtype."""
    block = np.asarray(values)
    if block.dtype != np.dtype(spec.dtype):
        raise TypeError(f"dtype {block.dtype}, stored as {spec.dtype}")
    if block.shape != spec.slot_shape(shard):
        raise ValueError(f"shape {block.shape}, stored as {spec.slot_shape(shard)}")
    little = np.ascontiguousarray(block.astype(block.dtype.newbyteorder("<"), copy=False))
    padding = bytes(spec.chunk_nbytes - little.nbytes)
    body = little.reshape(-1).view(np.uint8)
    chunks.write(folder, spec, shard, body, padding, durable=durable)


def read_slot(folder: Path, spec: ArraySpec, shard: int) -> np.ndarray:
    """Read one shard; raises DamagedError for a bad checksum, FileNotFoundError."""
    body = chunks.payload(folder, spec, shard)
    block = np.frombuffer(body, np.dtype(spec.dtype).newbyteorder("<"))
    rows = block.reshape(spec.chunk)
    if spec.placement == "event":
        return rows[: spec.slot_shape(shard)[0]]
    return rows[0] if spec.placement == "shard" else rows
