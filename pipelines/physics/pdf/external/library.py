"""Libraries that are no dependency of this package: imported late, and named where missing."""

import importlib
from typing import Any


def imported(name: str, purpose: str, extra: str) -> Any:
    """The module `name`; ImportError that says what needs it and which extra brings it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(f"{purpose} needs {name}: pip install 'diffpipe[{extra}]'") from error
