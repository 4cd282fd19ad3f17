"""Evaluations: what a fit has found at a point, one small file each, kept beside the artefacts.

The artefacts of a point are many and large; of each a fit needs these few numbers again, when it
is repeated after it was killed. A file is named by the key of all that can change its numbers.
"""

from dataclasses import dataclass

import msgspec

from diffpipe.cache import files, sealed
from diffpipe.cache.layout import Layout


class Evaluation(msgspec.Struct, frozen=True):
    """An objective at a point, and as far as asked its slopes and their own (row by row).

    goodness: a chi^2 of the fit with `points` terms, where the objective's stage has one.
    """

    objective: float
    slopes: list[float] = []
    matrix: list[list[float]] = []
    goodness: float | None = None
    points: int | None = None


@dataclass(frozen=True)
class Evaluations:
    """The evaluations of a store."""

    layout: Layout

    def get(self, key: str) -> Evaluation | None:
        """What is stored under a key, if it is whole."""
        return sealed.read(self.layout.evaluation(key), Evaluation)

    def put(self, key: str, evaluation: Evaluation) -> None:
        """Store what was found."""
        with files.writing(self.layout.root):
            sealed.write(self.layout.evaluation(key), evaluation)
