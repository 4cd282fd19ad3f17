"""The subgrids of a member's .dat file.

After a head of metadata, each closed by a line `---`: a line of x knots, one of Q knots, one of PDG
numbers, and a line of x f per pair of knots, Q running fastest, with one column per flavour
(the format lhagrid1 of arXiv:1412.7420).
"""

import itertools
from pathlib import Path
from typing import NamedTuple

import numpy as np

from diffpipe.pipelines.physics.pdf.flavours import GLUON_PID
from diffpipe.pipelines.physics.pdf.lhapdf import metadata
from diffpipe.pipelines.physics.refusal import RefusedError

SEPARATOR = "---"
HEAD = ("x knots", "Q knots", "PDG numbers")  # the lines of a subgrid before its values
MIN_KNOTS = {"x": 4, "Q": 2}  # that the interpolation needs
GLUON_ALIAS = 0  # what some sets call the gluon
SEAM = 1e-6  # subgrids meet at a threshold up to the digits printed


class Subgrid(NamedTuple):
    """x f(x, Q) between two thresholds: x (x,), q (q,) in GeV, both rising; xf (x, q, flavour)."""

    x: np.ndarray
    q: np.ndarray
    xf: np.ndarray


class Line(NamedTuple):
    """A line of a file, for messages that name it."""

    path: Path
    number: int
    text: str

    def refused(self, message: str) -> RefusedError:
        return RefusedError(f"{self.path}, line {self.number}: {message}")

    def numbers(self) -> list[float]:
        try:
            return [float(word) for word in self.text.split()]
        except ValueError as error:
            raise self.refused(str(error)) from error


class Blocks(NamedTuple):
    """The head of a file and its subgrids, as lines without the blank ones."""

    head: list[Line]
    subgrids: list[list[Line]]


def blocks(path: Path) -> Blocks:
    """A member's file, cut at its separators; RefusedError where it breaks off."""
    lines = [
        Line(path, number, text.strip()) for number, text in enumerate(metadata.lines(path), 1)
    ]
    filled = [line for line in lines if line.text]
    ends = [place for place, line in enumerate(filled) if line.text == SEPARATOR]
    if len(ends) < 2 or ends[-1] != len(filled) - 1:
        raise RefusedError(
            f"{path}, line {len(lines)}: the file breaks off: a last line {SEPARATOR} is missing",
            hint="is it a whole .dat file of an LHAPDF set?",
        )
    head, *subgrids = (filled[a + 1 : b] for a, b in itertools.pairwise([-1, *ends]))
    for end, lines in zip(ends[1:], subgrids, strict=True):
        if len(lines) < len(HEAD):
            raise filled[end].refused(f"the subgrid ends before its {HEAD[len(lines)]}")
    return Blocks(head, subgrids)


def parse(subgrids: list[list[Line]]) -> tuple[tuple[int, ...], tuple[Subgrid, ...]]:
    """The PDG numbers of the flavours (gluon 21) and the subgrids; RefusedError with file, line."""
    flavours = _flavours(subgrids[0][2])
    parsed = tuple(_subgrid(lines, flavours) for lines in subgrids)
    for (below, above), lines in zip(itertools.pairwise(parsed), subgrids[1:], strict=True):
        if abs(above.q[0] / below.q[-1] - 1.0) > SEAM:
            raise lines[1].refused(
                f"the subgrid begins at Q = {above.q[0]:g} GeV, but the one before it ends at "
                f"{below.q[-1]:g}"
            )
    return flavours, parsed


def _subgrid(lines: list[Line], flavours: tuple[int, ...]) -> Subgrid:
    """A subgrid with its columns in the order of `flavours`."""
    x, q, own = _knots(lines[0], "x"), _knots(lines[1], "Q"), _flavours(lines[2])
    if set(own) != set(flavours):
        raise lines[2].refused(f"flavours {own}, but the first subgrid has {flavours}")
    rows = lines[len(HEAD) :]
    if len(rows) != x.size * q.size:
        raise lines[-1].refused(
            f"{len(rows)} rows of values end here; {x.size} x knots and {q.size} Q knots need "
            f"{x.size * q.size}"
        )
    xf = _values(rows, len(own)).reshape(x.size, q.size, -1)[:, :, [own.index(f) for f in flavours]]
    new = np.diff(x, prepend=0.0) > 0.0  # sets are met that print an x knot and its rows twice
    return Subgrid(x[new], q, xf[new])


def _knots(line: Line, name: str) -> np.ndarray:
    knots = np.array(line.numbers())
    steps = np.diff(knots, prepend=0.0)
    rising = steps >= 0.0 if name == "x" else steps > 0.0
    if not (np.isfinite(knots).all() and rising.all() and knots[0] > 0.0):
        raise line.refused(f"the {name} knots do not rise from above zero")
    if np.count_nonzero(steps) < MIN_KNOTS[name]:
        raise line.refused(f"{knots.size} {name} knots; at least {MIN_KNOTS[name]} are needed")
    if name == "x" and knots[-1] > 1.0:
        raise line.refused(f"the x knots end at {knots[-1]:g}, above 1")
    return knots


def _flavours(line: Line) -> tuple[int, ...]:
    try:
        numbers = tuple(int(word) for word in line.text.split())
    except ValueError as error:
        raise line.refused(f"no PDG numbers: {error}") from error
    named = tuple(GLUON_PID if each == GLUON_ALIAS else each for each in numbers)
    if len(set(named)) != len(named):
        raise line.refused(f"a flavour stands twice in {numbers}")
    return named


def _values(lines: list[Line], columns: int) -> np.ndarray:
    """The values (row, flavour)."""
    rows = [line.numbers() for line in lines]
    for line, row in zip(lines, rows, strict=True):
        if len(row) != columns:
            raise line.refused(f"{len(row)} values for {columns} flavours")
    values = np.array(rows)
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        raise lines[int(np.argmin(finite))].refused("a value is not finite")
    return values
