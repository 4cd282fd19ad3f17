"""Evaluations: what a fit has found at a point, one small file each, kept beside the artefacts.

The artefacts of a point are many and large; of each a fit needs these few numbers again, when it
is repeated after it was killed. A file is named by the key of all that can change its numbers, is
there whole or not at all, and carries its own digest: one that is damaged counts as missing.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

import msgspec

from diffpipe.cache import documents, files
from diffpipe.cache.errors import DamagedError
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


class _Stored(msgspec.Struct, frozen=True):
    evaluation: Evaluation
    digest: str


@dataclass(frozen=True)
class Evaluations:
    """The evaluations of a store."""

    layout: Layout

    def get(self, key: str) -> Evaluation | None:
        """What is stored under a key, if it is whole."""
        try:
            found = documents.read(self.layout.evaluation(key))
            stored = msgspec.convert(found, _Stored)
        except (FileNotFoundError, DamagedError, msgspec.ValidationError):
            return None
        return stored.evaluation if stored.digest == _digest(stored.evaluation) else None

    def put(self, key: str, evaluation: Evaluation) -> None:
        """Store what was found."""
        document: Any = _Stored(evaluation, _digest(evaluation))
        with files.writing(self.layout.root):
            self.layout.evaluations.mkdir(exist_ok=True)
            files.write(self.layout.evaluation(key), msgspec.json.encode(document))


def _digest(evaluation: Evaluation) -> str:
    return hashlib.sha256(msgspec.json.encode(evaluation)).hexdigest()
