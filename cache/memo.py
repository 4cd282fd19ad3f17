"""A memo: what was found in source files, kept on disk under the digest of their content.

Only speed depends on it. An entry can't be stale, for its key is the content it was made from; a
memo that can't be read or written is an empty one, and an entry of another form is left out.
"""

import contextlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from diffpipe.cache import documents, files


@dataclass(frozen=True)
class Memo:
    """A dict in a JSON file: each entry a digest and names of modules. `None`: not on disk."""

    path: Path | None = None
    fresh: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def kept(self) -> dict[str, Any]:
        if self.path is None:
            return {}
        try:
            found = documents.read(self.path)
        except OSError:
            return {}
        return {key: entry for key, entry in found.items() if _is_entry(entry)}

    def get(self, key: str) -> Any:
        return self.fresh.get(key, self.kept.get(key))

    def put(self, key: str, value: Any) -> None:
        self.fresh[key] = value

    def save(self) -> None:
        """Write what is new; another process's additions since may be lost, and made again."""
        if self.path is None or not self.fresh:
            return
        with contextlib.suppress(OSError):
            files.write(self.path, json.dumps(self.kept | self.fresh).encode())


def _is_entry(entry: Any) -> bool:
    """Whether this is [digest, [module, ...]]; modules are found as files, so no path is one."""
    if not isinstance(entry, list) or len(entry) != 2 or not isinstance(entry[1], list):
        return False
    texts = [entry[0], *entry[1]]
    return all(isinstance(each, str) and each.isprintable() and "/" not in each for each in texts)
