"""Readers of data files: pure functions from paths to named arrays."""

from pathlib import Path

import numpy as np


def csv(path: Path, *, covariance: Path | None = None) -> dict[str, np.ndarray]:
    """Columns of a comma-separated table, by the names in its first line; `#` starts a comment.

    covariance: a second file, a square table of numbers without a header, given back as
    `covariance` (row, row). Raises ValueError with file and line for what is not a number.
    """
    with path.open() as lines:
        rows = [line.split("#")[0].strip() for line in lines]
    header, *body = [(number, row) for number, row in enumerate(rows, 1) if row]
    names = [name.strip() for name in header[1].split(",")]
    table = np.array([_numbers(path, number, row, len(names)) for number, row in body])
    columns = {name: np.ascontiguousarray(table[:, i]) for i, name in enumerate(names)}
    if covariance is not None:
        columns["covariance"] = _covariance(covariance, len(body))
    return columns


def npz(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a NumPy archive; nothing in it is unpickled."""
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _covariance(path: Path, size: int) -> np.ndarray:
    lines = [line.strip() for line in path.read_text().splitlines() if line.strip()]
    if len(lines) != size:
        raise ValueError(f"{path}: {len(lines)} rows for {size} points")
    return np.array([_numbers(path, number, row, size) for number, row in enumerate(lines, 1)])


def _numbers(path: Path, line: int, row: str, columns: int) -> list[float]:
    cells = row.split(",")
    if len(cells) != columns:
        raise ValueError(f"{path}, line {line}: {len(cells)} cells for {columns} columns")
    try:
        return [float(cell) for cell in cells]
    except ValueError as error:
        raise ValueError(f"{path}, line {line}: {error}") from error
