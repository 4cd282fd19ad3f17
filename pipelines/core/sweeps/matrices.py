"""Jacobians and products with the Hessian, put together from what is stored."""

from collections.abc import Callable, Mapping

import numpy as np

from diffpipe.pipelines.core.steps import Source
from diffpipe.pipelines.core.sweeps.jacobian import Axis, Jacobian

Read = Callable[[Source], np.ndarray]
Matrix = dict[str, dict[str, np.ndarray]]  # row -> column -> (*its shape, *the column's shape)


def assemble(jacobian: Jacobian, read: Read) -> Matrix:
    """The Jacobian of each output with respect to each parameter."""
    columns, rows = _slices(jacobian.columns), _slices(jacobian.rows)
    pulled = _pulled(jacobian, columns, read)
    whole = np.zeros((_size(jacobian.rows), _size(jacobian.columns)))
    if jacobian.mode == "reverse":
        whole += pulled
    else:
        pushed = _pushed(jacobian, rows, read)
        whole = whole.astype(pushed.dtype)
        place = np.concatenate(
            [np.arange(columns[name].start, columns[name].stop) for name in jacobian.direct]
            or [np.zeros(0, int)]
        )
        whole[:, place] += pushed[:, : place.size]
        whole += pushed[:, place.size :] @ pulled
    return {
        row.name: {
            column.name: whole[rows[row.name], columns[column.name]].reshape(
                (*row.shape, *column.shape)
            )
            for column in jacobian.columns
        }
        for row in jacobian.rows
    }


def _pushed(jacobian: Jacobian, rows: Mapping[str, slice], read: Read) -> np.ndarray:
    """(row, direction); zero where an output does not move."""
    sizes = {column.name: column.size for column in jacobian.columns}
    count = sum(sizes[name] for name in jacobian.direct) + _size(jacobian.cut)
    found = {name: read(pushed.source) for name, pushed in jacobian.pushed.items()}
    whole = np.zeros((_size(jacobian.rows), count), np.result_type(np.float64, *found.values()))
    for name, pushed in jacobian.pushed.items():
        tangents = found[name]
        whole[rows[name], pushed.numbers] = tangents.reshape(tangents.shape[0], -1).T
    return whole


def _pulled(jacobian: Jacobian, columns: Mapping[str, slice], read: Read) -> np.ndarray:
    """(row or component of the cut, column); zero where it does not depend on it."""
    count = _size(jacobian.rows if jacobian.mode == "reverse" else jacobian.cut)
    whole = np.zeros((count, _size(jacobian.columns)))
    for name, sources in jacobian.pulled.items():
        for source in sources:
            whole[:, columns[name]] += read(source).reshape(count, -1)
    return whole


def _slices(axes: list[Axis]) -> dict[str, slice]:
    found, first = {}, 0
    for axis in axes:
        found[axis.name] = slice(first, first + axis.size)
        first += axis.size
    return found


def _size(axes: list[Axis]) -> int:
    return sum(axis.size for axis in axes)
