"""Metadata of zarr v3, the bytes that zarr itself would write.

zarr takes some ms for each empty array, and a quarter of a second to be imported, more than most
stages take for a shard; the documents are a few lines, and a test holds them against zarr's own.
"""

import json
from pathlib import Path
from typing import Any

from diffpipe.cache.specs import ArraySpec

FILE = "zarr.json"
_FILL = {"float64": "NaN", "complex128": ["NaN", 0.0], "bool": False}  # zero of integers
_BYTES: dict[str, Any] = {"name": "bytes", "configuration": {"endian": "little"}}


def write_group(folder: Path) -> None:
    """Make an empty group."""
    _write(folder, {"attributes": {}, "zarr_format": 3, "node_type": "group"})


def write_array(folder: Path, spec: ArraySpec) -> None:
    """Make an array without chunks: uncompressed, each chunk a file that ends in its crc32c."""
    endless = {"name": "bytes"} if spec.dtype == "bool" else _BYTES
    document = {
        "shape": spec.shape,
        "data_type": spec.dtype,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": spec.chunk}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}},
        "fill_value": _FILL.get(spec.dtype, 0),
        "codecs": [endless, {"name": "crc32c"}],
        "attributes": {"unit": spec.unit},
        "zarr_format": 3,
        "node_type": "array",
        "storage_transformers": [],
    }
    _write(folder, document)


def _write(folder: Path, document: dict[str, Any]) -> None:
    folder.mkdir()
    (folder / FILE).write_text(json.dumps(document, indent=2))
