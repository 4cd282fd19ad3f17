"""Cotangents that a user gives: arrays of a .npz file or a zarr group, named stage.output."""

import hashlib
import zipfile
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from diffpipe.cache.errors import PipelineError, UsageError
from diffpipe.pipelines.core.steps import Call, Given

_DTYPES = ("float64", "complex128")


def find(path: Path) -> dict[str, Given]:
    """The cotangents in a file, by the names of their outputs; raises UsageError."""
    arrays = {name: np.asarray(values) for name, values in _arrays(path)}
    if not arrays:
        raise UsageError(f"--cotangent {path} has no arrays", hint="name them stage.output")
    for name, values in arrays.items():
        _check(path, name, values)
    return {
        name: Given(str(path), name, _digest(values), values.shape, str(values.dtype))
        for name, values in arrays.items()
    }


def given_cotangent(given: Given, call: Call, output: str, shard: int) -> np.ndarray:
    """A cotangent as a stage takes it: of an output with events, the rows of one shard."""
    values = _load(given)
    if not call.is_per_event(output):
        return values
    assert call.sample is not None
    first = shard * call.sample[1]
    return values[first : first + call.rows(shard)]


@cache
def _load(given: Given) -> np.ndarray:
    """The array, as it was when the run was planned; raises PipelineError."""
    found = dict(_arrays(Path(given.path), given.array))
    if given.array not in found or _digest(np.asarray(found[given.array])) != given.digest:
        raise PipelineError(
            f"the cotangent {given.array} in {given.path} is another than when the run began",
            hint="leave the file as it is until the run has ended, or start again",
        )
    return np.asarray(found[given.array])


def _arrays(path: Path, only: str | None = None) -> Iterator[tuple[str, Any]]:
    try:
        if path.is_dir():
            yield from _zarr_arrays(path, only)
            return
        with path.open("rb") as file:
            found = np.load(file, allow_pickle=False)
            if not isinstance(found, Mapping):
                raise ValueError("it is one array; save them by name, in a .npz file")
            yield from ((name, found[name]) for name in found if only in (None, name))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        hint = "numpy.savez(FILE, **{'stage.output': cotangent}), or a zarr group of such arrays"
        why = getattr(error, "strerror", None) or error
        raise UsageError(f"--cotangent {path}: {why}", hint=hint) from error


def _zarr_arrays(path: Path, only: str | None) -> Iterator[tuple[str, Any]]:
    import zarr

    group = zarr.open_group(path, mode="r")
    yield from ((name, each[...]) for name, each in group.arrays() if only in (None, name))


def _check(path: Path, name: str, values: np.ndarray) -> None:
    if str(values.dtype) not in _DTYPES:
        text = f"--cotangent {path}: {name} is {values.dtype}, not {' or '.join(_DTYPES)}"
        raise UsageError(text, hint=f"save {name}.astype(numpy.float64)")
    if not np.isfinite(values).all():
        place = tuple(int(k) for k in np.argwhere(~np.isfinite(values))[0])
        raise UsageError(f"--cotangent {path}: {name}{list(place)} is not finite")


def _digest(values: np.ndarray) -> str:
    head = f"{values.dtype.str} {values.shape} ".encode()
    return hashlib.sha256(head + np.ascontiguousarray(values).tobytes()).hexdigest()[:40]
