"""Colour by numerical contraction: tensors of currents, and the colour matrix of a process.

A current's tensor has one axis for every coloured leg of the process, of length 1 where the leg is
not part of the current, and a last axis for the current's own colour. The first coloured leg is
held at its first colour state: what is left over is the same for each of its states (Schur's
lemma), so sums over colour are multiplied by their number.
"""

from dataclasses import dataclass, field
from functools import cache
from math import sqrt

import numpy as np

ZERO = 1e-9  # tensors are made of numbers such as 1/2 and 1/(2 sqrt(3)), with rounding of 1e-15
_DIGITS = 6


@cache
def generators() -> np.ndarray:
    """T^a = lambda^a/2 in the fundamental representation, (8, 3, 3): Gell-Mann's matrices."""
    t = np.zeros((8, 3, 3), complex)
    for a, (i, j) in zip((0, 3, 5), ((0, 1), (0, 2), (1, 2)), strict=True):
        t[a, i, j] = t[a, j, i] = 0.5
        t[a + 1, i, j], t[a + 1, j, i] = -0.5j, 0.5j
    t[2] = np.diag([0.5, -0.5, 0.0])
    t[7] = np.diag([1.0, 1.0, -2.0]) / (2.0 * sqrt(3.0))
    return t


@cache
def structure() -> np.ndarray:
    """i f^abc = 2 tr([T^a, T^b] T^c), (8, 8, 8)."""
    t = generators()
    ordered = np.einsum("aij,bjk,cki->abc", t, t, t)
    return 2.0 * (ordered - ordered.transpose(1, 0, 2))


def vertex(colour: str, dimensions: tuple[int, ...]) -> np.ndarray:
    """The invariant tensor of a vertex, one axis per particle in the order of the interaction."""
    if colour == "one":
        return np.ones((1,) * len(dimensions))
    if colour == "T":  # antiquark, quark, gluon: T^a_ji
        return generators().transpose(1, 2, 0)
    if colour == "F":
        return structure().reshape(*structure().shape, *(1 for _ in dimensions[3:]))
    if colour == "FF":  # F^abe F^cde
        four = np.einsum("abe,cde->abcd", structure(), structure())
        return four.reshape(*four.shape, *(1 for _ in dimensions[4:]))
    return np.eye(max(dimensions)).reshape(dimensions)


def external(position: int | None, coloured: int, dimension: int) -> np.ndarray:
    """The tensor of one leg: a unit matrix; the first coloured leg is held at its first state."""
    if position is None:
        return np.ones((1,) * (coloured + 1))
    rows = np.eye(dimension)[: 1 if position == 0 else dimension]
    shape = [1] * coloured + [dimension]
    shape[position] = rows.shape[0]
    return rows.reshape(shape)


def contract(tensor: np.ndarray, inputs: list[np.ndarray]) -> np.ndarray:
    """The inputs' own colours summed with the vertex tensor, whose last axis stays open."""
    ends = tensor.shape
    found = tensor.reshape(ends[0], -1)
    for number, each in enumerate(inputs, 1):
        # one row of colours times a matrix (that colour, all further axes), over the legs' axes
        found = np.matmul(each[..., None, :], found)[..., 0, :]
        following = ends[number] if number < len(inputs) else 1
        found = found.reshape(*found.shape[:-1], following, -1)
    return found[..., 0, :]


@dataclass
class Palette:
    """The distinct colour tensors met so far, each known by its number.

    Tensors that differ by a factor are one entry.
    """

    tensors: list[np.ndarray] = field(default_factory=list)
    _numbers: dict[tuple[tuple[int, ...], bytes], int] = field(default_factory=dict)

    def add(self, tensor: np.ndarray) -> tuple[int, complex] | None:
        """(number, factor) with tensor = factor * tensors[number]; None if it is zero."""
        flat = tensor.reshape(-1)
        filled = np.flatnonzero(np.abs(flat) > ZERO)
        if not filled.size:
            return None
        factor = complex(flat[filled[0]])
        unit = tensor / factor
        key = (tensor.shape, (np.round(unit, _DIGITS) + 0.0).tobytes())
        if key not in self._numbers:
            self._numbers[key] = len(self.tensors)
            self.tensors.append(unit)
        return self._numbers[key], factor


def square_root(tensors: list[np.ndarray], states: int) -> np.ndarray:
    """A matrix R with sum over colours of |sum_i A_i c_i|^2 = sum_k |sum_i R_ki A_i|^2.

    tensors: the full colour tensors c_i of the process with the first coloured leg held; states:
    how many states that leg has. R has as many rows as there are independent tensors.
    """
    flat = np.stack([each.reshape(-1) for each in np.broadcast_arrays(*tensors)])
    gram = states * (flat.conj() @ flat.T)
    values, vectors = np.linalg.eigh(gram)
    kept = values > ZERO * values[-1]
    return np.sqrt(values[kept])[:, None] * vectors[:, kept].conj().T
