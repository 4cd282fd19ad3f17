"""Checks: when a stage or a gradient was last put to the proof, and how it came out.

One small file each, named by the key of what was checked: so a check is of just these parameters,
this code and this data, and counts for nothing else.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from diffpipe.cache import files, keys, sealed
from diffpipe.cache.layout import Layout


class Check(msgspec.Struct, frozen=True):
    """How a stage, or the gradient of an objective, came out.

    of: the stage, or stage.output of the objective; wrt: the parameters that its gradient was
    checked in; values: of all parameters there; verdict: failed, not decided or passed; at: UTC,
    ISO 8601; counts: verdict -> how many laws; versions: of what computed.
    """

    of: str
    verdict: str
    counts: dict[str, int]
    wrt: list[str]
    values: dict[str, Any]
    seed: int
    versions: dict[str, str]
    at: str


def now() -> str:
    """The time of a check."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def key_of(primal: str, output: str | None = None) -> str:
    """The key of the check of a stage (its primal), or of the gradient of an output."""
    return keys.key("check", primal=primal, output=output)


@dataclass(frozen=True)
class Checks:
    """The checks of a store."""

    layout: Layout

    def get(self, key: str) -> Check | None:
        """The last check of what has this key, if it is whole."""
        return sealed.read(self.layout.check(key), Check)

    def put(self, key: str, check: Check) -> None:
        """Store a check in the place of the one before."""
        with files.writing(self.layout.root):
            sealed.write(self.layout.check(key), check)
