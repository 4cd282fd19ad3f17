"""JSON documents on disk."""

import json
from pathlib import Path
from typing import Any

from diffpipe.pipelines.physics.refusal import RefusedError


def read_json(path: Path) -> Any:
    """The document of a file; raises RefusedError with file and line."""
    try:
        return json.loads(path.read_bytes())
    except json.JSONDecodeError as error:
        raise RefusedError(
            f"{path}, line {error.lineno}: no JSON: {error.msg}", hint="is the file complete?"
        ) from error
    except RecursionError as error:
        raise RefusedError(f"{path}: lists within lists without an end") from error
    except (OSError, UnicodeDecodeError) as error:
        raise RefusedError(f"cannot read {path}: {error}") from error
