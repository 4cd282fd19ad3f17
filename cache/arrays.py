"""Named arrays <-> the store: every value that is written or computed with passes through here.

Empty arrays are made by zarr, so that a user opens them as what they are; their chunks are then
written and read by `chunks`. zarr accepts slices past the end and floats into integers without a
word, so shape and dtype are checked first; a short last chunk is padded, as zarr does.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from diffpipe.cache import chunks
from diffpipe.cache.specs import ArraySpec

_FLAT_FOLDER: Any = {"name": "default", "separator": "."}


def create_group(
    folder: Path, attributes: Mapping[str, Any], specs: Mapping[str, ArraySpec]
) -> None:
    """Make a group with empty arrays; `folder` must not be visible to readers yet."""
    import zarr
    from zarr.codecs import Crc32cCodec

    group = zarr.create_group(folder, attributes=dict(attributes))
    for name, spec in specs.items():
        group.create_array(
            name,
            shape=spec.shape,
            chunks=spec.chunk,
            dtype=spec.dtype,
            fill_value=_fill(spec.dtype),
            compressors=[Crc32cCodec()],
            filters=None,
            chunk_key_encoding=_FLAT_FOLDER,
            attributes={"unit": spec.unit},
        )


def write_slot(
    folder: Path, spec: ArraySpec, shard: int, values: Any, *, durable: bool = False
) -> None:
    """Write one shard whole; raises ValueError for another shape, TypeError for another dtype."""
    block = np.asarray(values)
    if block.dtype != np.dtype(spec.dtype):
        raise TypeError(f"dtype {block.dtype}, stored as {spec.dtype}")
    if block.shape != spec.slot_shape(shard):
        raise ValueError(f"shape {block.shape}, stored as {spec.slot_shape(shard)}")
    little = block.astype(block.dtype.newbyteorder("<"), copy=False)
    missing = spec.chunk_nbytes - little.nbytes
    chunks.write(folder, spec, shard, little.tobytes() + bytes(missing), durable=durable)


def read_slot(folder: Path, spec: ArraySpec, shard: int) -> np.ndarray:
    """Read one shard; raises DamagedError for a bad checksum, FileNotFoundError."""
    body = chunks.payload(folder, spec, shard)
    block = np.frombuffer(body, np.dtype(spec.dtype).newbyteorder("<"))
    rows = block.reshape(spec.chunk)
    if spec.placement == "event":
        return rows[: spec.slot_shape(shard)[0]]
    return rows[0] if spec.placement == "shard" else rows


def _fill(dtype: str) -> Any:
    return np.nan if np.dtype(dtype).kind in "fc" else np.zeros((), dtype)[()]
