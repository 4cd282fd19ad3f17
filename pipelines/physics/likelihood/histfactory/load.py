"""From files to a compiled workspace."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from diffpipe.pipelines.physics.likelihood.histfactory.document import read_json
from diffpipe.pipelines.physics.likelihood.histfactory.patches import Patch, apply
from diffpipe.pipelines.physics.likelihood.histfactory.workspace import (
    Workspace,
    checked,
    parse,
)


def load(path: Path, patches: Sequence[Patch] = (), measurement: str | None = None) -> Workspace:
    """The workspace of a file, patched in turn; measurement: by default the first.

    Raises RefusedError.
    """
    return parse(_document(path, patches), measurement, str(path))


def understood(path: Path, patches: Sequence[Patch], measurement: str | None) -> Workspace:
    """The same without the schema's word, as long as nothing is out of place: it takes a while."""
    document = _document(path, patches)
    try:
        return checked(document, measurement, str(path))
    except (LookupError, TypeError, AttributeError):
        return parse(document, measurement, str(path))


def _document(path: Path, patches: Sequence[Patch]) -> Any:
    document = read_json(path)
    for patch in patches:
        document = apply(document, patch)
    return document
