"""The state of a fit on disk: whole or not there, and only for the fit that wrote it."""

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from diffpipe.cache.errors import UsageError

NAME = "state.npz"
IDENTITY = "identity"


def save(folder: Path, identity: str, arrays: Mapping[str, Any]) -> None:
    """Write named arrays under a temporary name, then rename."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f"{NAME}.{os.getpid()}"
    with temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays, **{IDENTITY: np.array(identity)})
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(folder / NAME)


def load(folder: Path, identity: str) -> dict[str, np.ndarray] | None:
    """The arrays saved last, None where there are none.

    Raises UsageError for a damaged file, or one of another fit.
    """
    path = folder / NAME
    if not path.exists():
        return None
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        found = str(arrays.pop(IDENTITY))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UsageError(f"cannot read {path}: {error}", hint="delete it and fit anew") from error
    if found != identity:
        raise UsageError(
            f"{path} belongs to another fit: other settings, pipeline, code or versions",
            hint="give another --folder, or delete that one",
        )
    return arrays
