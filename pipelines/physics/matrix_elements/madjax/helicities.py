"""The helicity configurations that contribute: a few of many, found at sample points."""

from dataclasses import dataclass

import numpy as np

from diffpipe.pipelines.physics.matrix_elements.madjax.look import Look

VANISHING = 1e-12  # of the largest contribution at a point: what is left of exact zeros
ROUNDING = 1e-9  # the denominator is an integer, found as a ratio of sums


@dataclass(frozen=True)
class Rows:
    """Rows of a class's helicity table, and what their sum is divided by.

    They are those that contribute at the default inputs: a coupling that is zero there and not in
    use would need others. diagrams: the length of the list that the class has for their weights.
    """

    table: tuple[tuple[int, ...], ...]
    denominator: float
    diagrams: int


def contributing(look: Look) -> Rows | None:
    """The rows above VANISHING at any of the points; None where they do not add up to |M|^2."""
    if look.by_row is None or look.table is None or look.by_row.shape[1:] != look.table.shape[:1]:
        return None
    denominator = _denominator(look.by_row.sum(axis=1), look.values)
    if denominator is None:
        return None
    largest = look.by_row.max(axis=1, keepdims=True)
    kept = (look.by_row > VANISHING * largest).any(axis=0)
    table = tuple(tuple(int(each) for each in row) for row in look.table[kept])
    return Rows(table, denominator, look.diagrams)


def _denominator(sums: np.ndarray, values: np.ndarray) -> float | None:
    """Spin and colour average times identical particles: an integer, the same at all points."""
    if not (values > 0.0).all():
        return None
    ratios = sums / values
    nearest = np.round(ratios[0])
    same = np.abs(ratios - nearest).max() <= ROUNDING * nearest
    return float(nearest) if same else None
