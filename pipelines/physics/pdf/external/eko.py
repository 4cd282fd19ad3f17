"""Evolution operators computed by EKO (arXiv:2202.02338), read from their .tar files.

A file of the data version 3 (EKO 0.15) holds `metadata.yaml`, with the x grid and the point where
the evolution starts, and for each point (mu^2, nf) where it ends a pair of files: a header
`operators/<name>.yaml` and the operator `operators/<name>.npy.lz4` (`.npz.lz4` with errors), with
axes (flavour, x, flavour, x) in the order of `PIDS`, for densities f, rising x.

Read here rather than by EKO, which is under the GPL, imports numba and unpacks the whole file to a
temporary folder. Nothing is unpacked to disk and nothing is unpickled.
"""

import io
import math
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import yaml

from diffpipe.pipelines.physics.pdf import flavours
from diffpipe.pipelines.physics.pdf.external.library import imported
from diffpipe.pipelines.physics.refusal import RefusedError

DATA_VERSION = 3
METADATA = PurePosixPath("metadata.yaml")
FOLDER = PurePosixPath("operators")
ARRAYS = (".npy.lz4", ".npz.lz4")
PHOTON = 22
PIDS = (PHOTON, *range(-6, 0), flavours.GLUON_PID, *range(1, 7))
HEADS = 4096  # bytes, more than those of an .npz take


class Point(NamedTuple):
    """An operator (flavour, x, flavour, x), in the file's conventions, and where it leads."""

    mu2: float  # GeV^2
    nf: int
    operator: np.ndarray


def eko(path: Path) -> dict[str, np.ndarray]:
    """The operators of an EKO file, for x f; a reader of data files.

    Arrays: x (x,), falling; pids (flavour,), PDG numbers in the order of `flavours.names`: 11, or
    13 with the top if some operator leads to six flavours; q0 () in GeV, where they start; for
    each number of flavours that operators lead to, numbered from 0 as it rises, q_0 (q,) in GeV,
    rising, and operator_0 (q, flavour, x, flavour, x), from the second flavour and x to the first,
    as `pdf_from_operator` takes it.
    The photon is left out, and the top where it is not among `pids`: its density is then zero.
    Raises RefusedError for what is no such file, for another data version and for an operator that
    mixes partons with photons; ImportError without lz4.
    """
    files = _files(path)
    x, mu2 = _start(path, files)
    points = sorted(_points(path, files, x.size), key=lambda point: point[:2])
    found = sorted({point.nf for point in points})
    axis = [flavours.pid(name) for name in flavours.names(found[-1])]
    arrays = {
        "x": x[::-1].copy(),
        "pids": np.array(axis),
        "q0": np.sqrt(mu2),
    }
    for number, nf in enumerate(found):
        of = [point for point in points if point.nf == nf]
        arrays[f"q_{number}"] = np.sqrt([point.mu2 for point in of])
        arrays[f"operator_{number}"] = np.stack([_own(point.operator, x, axis) for point in of])
    return arrays


def _own(operator: np.ndarray, x: np.ndarray, axis: list[int]) -> np.ndarray:
    """From f to x f, to falling x and to the flavours `axis`."""
    rows = [PIDS.index(pid) for pid in axis]
    chosen = operator[rows][:, ::-1, rows, ::-1]
    return chosen * x[::-1][:, None, None] / x[::-1]


def _files(path: Path) -> dict[PurePosixPath, bytes]:
    """The metadata and the files of the operators, by name; links are no files."""
    try:
        with tarfile.open(path, "r:") as tar:
            files = [(PurePosixPath(member.name), member) for member in tar if member.isfile()]
            return {
                name: stream.read()
                for name, member in files
                if (name == METADATA or name.parent == FOLDER)
                and (stream := tar.extractfile(member)) is not None
            }
    except tarfile.TarError as error:
        raise RefusedError(f"{path} is no EKO file: {error}") from error


def _start(path: Path, files: Mapping[PurePosixPath, bytes]) -> tuple[np.ndarray, float]:
    """The x grid, rising, and mu^2 in GeV^2 where the evolution starts."""
    if METADATA not in files:
        raise RefusedError(f"{path} is no EKO file: it has no {METADATA}")
    metadata = _mapping(path, METADATA, files[METADATA], "data_version")
    if metadata["data_version"] != DATA_VERSION:
        raise RefusedError(
            f"{path} has the data version {metadata['data_version']!r}, written by EKO "
            f"{metadata.get('version')!r}; {DATA_VERSION} is read, which EKO 0.15 writes"
        )
    metadata = _mapping(path, METADATA, files[METADATA], "xgrid", "origin")
    x = np.array(metadata["xgrid"], dtype=np.float64)
    if x.ndim != 1 or x.size < 2 or not (np.diff(x, prepend=0.0) > 0.0).all() or x[-1] > 1.0:
        raise RefusedError(f"{path}: the x grid {x} does not rise from above 0 to at most 1")
    return x, float(metadata["origin"][0])


def _points(path: Path, files: Mapping[PurePosixPath, bytes], nodes: int) -> list[Point]:
    headers = [name for name in files if name.parent == FOLDER and name.suffix == ".yaml"]
    if not headers:
        raise RefusedError(f"{path} holds no operators: was their computation finished?")
    return [_point(path, files, header, nodes) for header in headers]


def _point(
    path: Path, files: Mapping[PurePosixPath, bytes], header: PurePosixPath, nodes: int
) -> Point:
    where = _mapping(path, header, files[header], "scale", "nf")
    names = [header.with_name(header.stem + ending) for ending in ARRAYS]
    own = [name for name in names if name in files]
    if len(own) != 1:
        raise RefusedError(f"{path}: {header} stands for one operator, but {len(own)} are there")
    operator = _array(path, own[0], files[own[0]], (len(PIDS), nodes) * 2)
    if np.delete(operator[0], 0, axis=1).any() or np.delete(operator[:, :, 0], 0, axis=0).any():
        raise RefusedError(f"{path}: {own[0]} mixes partons with photons (QED), which are not here")
    return Point(float(where["scale"]), int(where["nf"]), operator)


def _array(path: Path, name: PurePosixPath, content: bytes, shape: tuple[int, ...]) -> np.ndarray:
    """An operator, of which no more is unpacked than the grid allows."""
    lz4 = imported("lz4.frame", "an EKO file", "eko")
    most = 2 * 8 * math.prod(shape) + HEADS  # with its errors
    try:
        unpacked = lz4.LZ4FrameDecompressor().decompress(content, max_length=most)
        loaded = np.load(io.BytesIO(unpacked), allow_pickle=False)
        operator = loaded if isinstance(loaded, np.ndarray) else loaded["operator"]
    except (RuntimeError, ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise RefusedError(f"{path}: {name} cannot be read: {error}") from error
    if operator.shape != shape or operator.dtype != np.float64:
        raise RefusedError(
            f"{path}: {name} is {operator.dtype} of shape {operator.shape}, not float64 of {shape}"
        )
    return operator


def _mapping(path: Path, name: PurePosixPath, content: bytes, *needed: str) -> Mapping[str, Any]:
    """A file of plain YAML that has at least these entries."""
    try:
        found = yaml.safe_load(content)
    except yaml.YAMLError as error:
        raise RefusedError(f"{path}: {name} is no plain YAML: {error}") from error
    if not (isinstance(found, dict) and found.keys() >= set(needed)):
        raise RefusedError(f"{path}: {name} must be a mapping with {', '.join(needed)}")
    return found
