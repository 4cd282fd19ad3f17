"""A memo: answers kept on disk under the digest of everything they depend on.

Only speed depends on it. An entry can't be stale, for its key is the content it was made from; a
memo that can't be read or written is an empty one.
"""

import contextlib
import json
import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Memo:
    """A dict in a JSON file; `None` keeps nothing on disk."""

    path: Path | None = None
    fresh: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def kept(self) -> dict[str, Any]:
        if self.path is None:
            return {}
        try:
            return dict(json.loads(self.path.read_bytes()))
        except (OSError, ValueError, TypeError):
            return {}

    def get(self, key: str) -> Any:
        return self.fresh.get(key, self.kept.get(key))

    def put(self, key: str, value: Any) -> None:
        self.fresh[key] = value

    def save(self) -> None:
        """Write what is new; another process's additions since may be lost, and made again."""
        if self.path is None or not self.fresh:
            return
        partial = self.path.with_suffix(f".{os.getpid()}.partial")
        with contextlib.suppress(OSError):
            partial.write_text(json.dumps(self.kept | self.fresh))
            partial.rename(self.path)
