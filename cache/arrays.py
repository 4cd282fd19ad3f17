"""Named arrays <-> zarr v3: every chunk that is written or computed with passes through here.

zarr facts that this file exists for (zarr 3.1): a missing chunk reads as fill, so presence is
tested before; `write_empty_chunks` belongs to the open handle, so `open_array` sets it each time,
or all-zero shards would not be written and look undone; slices past the end and floats into
integers are silently accepted, so shape and dtype are checked first.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import Crc32cCodec

from diffpipe.cache.chunks import ArraySpec

_FLAT_FOLDER: Any = {"name": "default", "separator": "."}
_ALWAYS_WRITE: Any = {"write_empty_chunks": True}


def create_group(
    folder: Path, attributes: Mapping[str, Any], specs: Mapping[str, ArraySpec]
) -> None:
    """Make a group with empty arrays; `folder` must not be visible to readers yet."""
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


def open_array(folder: Path, mode: Any = "r") -> zarr.Array[Any]:
    """The one way to open a stored array: all-fill shards written through it are kept."""
    return zarr.open_array(folder, mode=mode).with_config(_ALWAYS_WRITE)


def write_slot(target: zarr.Array[Any], spec: ArraySpec, shard: int, values: Any) -> None:
    """Write one shard whole; raises ValueError for another shape, TypeError for another dtype."""
    block = np.asarray(values)
    if block.dtype != np.dtype(spec.dtype):
        raise TypeError(f"dtype {block.dtype}, stored as {spec.dtype}")
    if block.shape != spec.slot_shape(shard):
        raise ValueError(f"shape {block.shape}, stored as {spec.slot_shape(shard)}")
    target[_selection(spec, shard)] = block[None] if spec.placement == "shard" else block


def read_slot(source: zarr.Array[Any], spec: ArraySpec, shard: int) -> np.ndarray:
    """Read one shard; raises ValueError where the chunk fails its checksum."""
    block = np.asarray(source[_selection(spec, shard)])
    return block[0] if spec.placement == "shard" else block


def _selection(spec: ArraySpec, shard: int) -> Any:
    if spec.placement == "once":
        return ...
    first = shard * spec.chunk[0]
    return slice(first, min(first + spec.chunk[0], spec.shape[0]))


def _fill(dtype: str) -> Any:
    return np.nan if np.dtype(dtype).kind in "fc" else np.zeros((), dtype)[()]
