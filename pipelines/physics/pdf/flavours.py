"""Flavours of the grids and the evolution basis, with the matrices between them.

Order of the flavour axis everywhere outside the evolution: `FLAVOURS`, quarks, antiquarks, gluon.
The evolution basis for nf flavours, with q+- = q +- qbar, has 2 nf + 1 rows:

    g
    Sigma, T3, T8, T15, ...    Sigma = sum of q+,
                               T_(k^2-1) = q1+ + ... + q(k-1)+ - (k-1) qk+, as in `QUARKS`
    V, V3, V8, V15, ...        built from q- as Sigma, T3, ... are from q+
"""

import numpy as np

QUARKS = ("u", "d", "s", "c", "b")
ANTIQUARKS = tuple(f"{quark}bar" for quark in QUARKS)
FLAVOURS = (*QUARKS, *ANTIQUARKS, "g")
GLUON = len(FLAVOURS) - 1


def rotation(nf: int) -> np.ndarray:
    """Rows Sigma (or V), T3, T8, ... over the quarks, shape (nf, nf)."""
    rows = np.tril(np.ones((nf, nf)), -1) - np.diag(np.arange(nf, dtype=np.float64))
    rows[0] = 1.0
    return rows


def to_basis(nf: int, room: int) -> np.ndarray:
    """From all `FLAVOURS` to the rows of `room` >= nf flavours, shape (2 room + 1, 11).

    Flavours above nf are dropped; the rows of flavours that are to arrive later are zero.
    """
    matrix = np.zeros((2 * room + 1, len(FLAVOURS)))
    matrix[0, GLUON] = 1.0
    for first_row, sign in ((1, 1.0), (1 + room, -1.0)):
        rows = slice(first_row, first_row + nf)
        matrix[rows, :nf] = rotation(nf)
        matrix[rows, len(QUARKS) : len(QUARKS) + nf] = sign * rotation(nf)
    return matrix


def to_physical(nf: int) -> np.ndarray:
    """From the rows of nf flavours to all `FLAVOURS`, shape (11, 2 nf + 1); zero above nf."""
    matrix = np.zeros((len(FLAVOURS), 2 * nf + 1))
    matrix[GLUON, 0] = 1.0
    half = 0.5 * np.linalg.inv(rotation(nf))
    for first_flavour, sign in ((0, 1.0), (len(QUARKS), -1.0)):
        matrix[first_flavour : first_flavour + nf, 1:] = np.hstack([half, sign * half])
    return matrix


def arrival(nf: int, room: int) -> np.ndarray:
    """The rows of `room` flavours where the nf-th appears, shape (2 room + 1, 2 room + 1).

    At its threshold its density is zero (trivial matching), so its T is Sigma and its V_k is V.
    """
    matrix = np.eye(2 * room + 1)
    for first_row in (1, 1 + room):
        matrix[first_row + nf - 1] = matrix[first_row]
    return matrix
