"""JSON read from a store: of bounded size and depth, one object, no name twice."""

import json
import reprlib
from pathlib import Path
from typing import Any

from diffpipe.cache import files
from diffpipe.cache.errors import DamagedError

# A manifest takes some kB, or some MB with large arrays among the parameters of its stage. JSON
# that is made to unfold takes some 30 times its size in memory.
MOST_BYTES = 16 << 20


def read(path: Path) -> dict[str, Any]:
    """The object in a JSON file; raises DamagedError with the reason, OSError."""
    try:
        return _parse(files.read(path, MOST_BYTES))
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"{path.name}: {error}") from error


def _parse(data: bytes) -> dict[str, Any]:
    value = json.loads(data.decode("utf-8"), object_pairs_hook=_without_repeats)
    if not isinstance(value, dict):
        raise ValueError(f"{reprlib.repr(value)} is no JSON object")
    return value


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError(f"a name stands twice in {reprlib.repr([name for name, _ in pairs])}")
    return found
