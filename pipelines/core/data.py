"""Data files, read once per process by their reader; every value finite."""

from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from diffpipe.cache.errors import DiffpipeError, PipelineError, did_you_mean
from diffpipe.pipelines.core.functions import load
from diffpipe.pipelines.core.model import Function
from diffpipe.pipelines.core.steps import DataSource


def read_data(source: DataSource) -> Any:
    """A column of a dataset, or all of them by name; raises PipelineError naming the file."""
    columns = _dataset(msgspec.json.encode(source))
    if source.column is None:
        return columns
    if source.column not in columns:
        raise PipelineError(
            f"{source.files['path']} has no column {source.column!r}",
            hint=did_you_mean(source.column, columns),
        )
    return columns[source.column]


@cache
def _dataset(encoded: bytes) -> dict[str, np.ndarray]:
    source = msgspec.json.decode(encoded, type=DataSource)
    folder = None if source.reader.folder is None else Path(source.reader.folder)
    reader = load(Function(source.reader.module, source.reader.name, folder))
    files = {word: Path(path) for word, path in source.files.items()}
    try:
        columns = reader(files.pop("path"), **files, **source.options)
    except DiffpipeError:
        raise
    except Exception as error:
        raise PipelineError(f"cannot read {source.files['path']}: {error}") from error
    return {name: _finite(source, name, np.asarray(each)) for name, each in columns.items()}


def _finite(source: DataSource, name: str, values: np.ndarray) -> np.ndarray:
    if values.dtype.kind in "fc" and not np.isfinite(values).all():
        row = int(np.argwhere(~np.isfinite(values))[0][0])
        raise PipelineError(
            f"{source.files['path']}: {name}, row {row} is {values[row]}: not a finite number"
        )
    return values.astype(np.float64) if values.dtype.kind == "f" else values
