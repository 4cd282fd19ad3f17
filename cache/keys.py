"""Keys: the sha256 of everything that can change the stored bits.

A key is taken from tagged canonical JSON (sorted names, shortest round-trip floats, no NaN), never
from `hash()`, a modification time or a pickle. A golden test pins the bytes.
"""

import hashlib
import json
from typing import Any

STORE_FORMAT = 1  # the layout of the store on disk
EXECUTION_FORMAT = 2  # how the runner computes; raised by hand when the same stage gives other bits
_HEX_DIGITS = 40  # 160 bits


def canonical(value: Any) -> str:
    """Canonical JSON of plain values; raises ValueError for NaN and Inf, TypeError for objects."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )


def digest(value: Any) -> str:
    """The sha256 (40 hexadecimal digits) of the canonical JSON of plain values."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:_HEX_DIGITS]


def key(kind: str, **ingredients: Any) -> str:
    """The key of an artefact of one kind (primal, residuals, pullback, tangent, reduction)."""
    tags = {"diffpipe": {"store": STORE_FORMAT, "execution": EXECUTION_FORMAT, "kind": kind}}
    return digest(tags | {"ingredients": ingredients})


def active_key(base: str, active: list[str]) -> str:
    """The key of a pullback: its base, then what it was taken with respect to.

    Pullbacks of one base share a prefix, so that one listing finds a superset of what is asked.
    """
    return f"{base}-{digest(sorted(active))[:12]}"
