"""Flavours of the grids and the evolution basis, with the matrices between them.

Order of the flavour axis everywhere outside the evolution: `names`, quarks, antiquarks, gluon. The
evolution basis for nf flavours, with q+- = q +- qbar, has 2 nf + 1 rows:

    g
    Sigma, T3, T8, T15, ...    Sigma = sum of q+,
                               T_(k^2-1) = q1+ + ... + q(k-1)+ - (k-1) qk+
    V, V3, V8, V15, ...        built from q- as Sigma, T3, ... are from q+
"""

import numpy as np

ALL_QUARKS = ("u", "d", "s", "c", "b", "t")
PIDS = {"d": 1, "u": 2, "s": 3, "c": 4, "b": 5, "t": 6}
GLUON_PID = 21


def quarks(nf: int) -> tuple[str, ...]:
    """The quarks of a grid on which nf flavours appear: five, or six with the top."""
    return ALL_QUARKS[: max(nf, 5)]


def names(nf: int) -> tuple[str, ...]:
    """The flavour axis of such a grid: quarks, antiquarks, gluon."""
    return (*quarks(nf), *(f"{quark}bar" for quark in quarks(nf)), "g")


QUARKS = quarks(5)
FLAVOURS = names(5)
GLUON = len(FLAVOURS) - 1


def pid(name: str) -> int:
    """The PDG number of a flavour of `names`; 21 for the gluon."""
    if name == "g":
        return GLUON_PID
    return -PIDS[name.removesuffix("bar")] if name.endswith("bar") else PIDS[name]


def rotation(nf: int) -> np.ndarray:
    """Rows Sigma (or V), T3, T8, ... over the quarks, shape (nf, nf)."""
    rows = np.tril(np.ones((nf, nf)), -1) - np.diag(np.arange(nf, dtype=np.float64))
    rows[0] = 1.0
    return rows


def to_basis(nf: int, axis: int) -> np.ndarray:
    """From a flavour axis of that length to the rows of nf flavours, shape (2 nf + 1, axis).

    Flavours above nf are dropped.
    """
    matrix, room = np.zeros((2 * nf + 1, axis)), axis // 2
    matrix[0, axis - 1] = 1.0
    for first_row, sign in ((1, 1.0), (1 + nf, -1.0)):
        rows = slice(first_row, first_row + nf)
        matrix[rows, :nf] = rotation(nf)
        matrix[rows, room : room + nf] = sign * rotation(nf)
    return matrix


def to_physical(nf: int, axis: int, room: int | None = None) -> np.ndarray:
    """From the rows of nf flavours to the flavour axis, shape (axis, 2 room + 1); zero above nf.

    room: the rows are those of so many flavours, of which nf count; by default nf.
    """
    rows, quarks = room or nf, axis // 2
    matrix = np.zeros((axis, 2 * rows + 1))
    matrix[axis - 1, 0] = 1.0
    half = 0.5 * np.linalg.inv(rotation(nf))
    for first_flavour, sign in ((0, 1.0), (quarks, -1.0)):
        matrix[first_flavour : first_flavour + nf, 1 : nf + 1] = half
        matrix[first_flavour : first_flavour + nf, rows + 1 : rows + nf + 1] = sign * half
    return matrix
