"""Columns of text without lines between them, for what is too wide for a table."""

from collections.abc import Collection, Sequence
from typing import Any

PLAIN: Any = {"markup": False, "highlight": False, "soft_wrap": True}  # text as it is, for rich


def aligned(rows: Sequence[Sequence[str]], right: Collection[int]) -> list[str]:
    """A line for each row, its cells under each other; those numbered in `right` end together.

    A row of one cell goes over all columns.
    """
    whole = [row for row in rows if len(row) > 1]
    widths = [max(map(len, column)) for column in zip(*whole, strict=True)]
    return [_line(row, widths, right) for row in rows]


def _line(row: Sequence[str], widths: list[int], right: Collection[int]) -> str:
    if len(row) == 1:
        return row[0]
    cells = enumerate(zip(row, widths, strict=True))
    padded = (c.rjust(width) if k in right else c.ljust(width) for k, (c, width) in cells)
    return "  ".join(padded).rstrip()
