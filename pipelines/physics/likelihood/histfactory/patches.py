"""JSON patches of a workspace (RFC 6902), and pyhf's sets of them."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jsonpatch

from diffpipe.pipelines.physics.likelihood.histfactory.document import read_json
from diffpipe.pipelines.physics.refusal import RefusedError, did_you_mean


class Patch(NamedTuple):
    """A file with a JSON patch, or a set of patches and the name of one."""

    path: Path
    name: str | None = None

    @classmethod
    def of(cls, text: str) -> "Patch":
        """From FILE or FILE:name; a file of that whole name comes first."""
        path, sign, name = text.rpartition(":")
        return cls(Path(path), name) if sign and not Path(text).exists() else cls(Path(text))


def apply(document: Any, patch: Patch) -> Any:
    """The workspace, patched.

    Raises RefusedError for what is no patch, does not fit, or is a set made for other bytes.
    """
    from diffpipe.pipelines.physics.likelihood.histfactory import schema  # imports take a while

    path, name = patch
    found = read_json(path)
    if isinstance(found, Mapping):
        schema.validate(found, "patchset", str(path))
        found = _of_set(document, found, patch)
    elif name is not None:
        raise RefusedError(f"{path} is one patch, not a set", hint=f"write {path} alone")
    schema.validate(found, "jsonpatch", str(path))
    try:
        return jsonpatch.JsonPatch(found).apply(document)
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException) as error:
        raise RefusedError(
            f"{path} does not fit the workspace: {error}",
            hint="patches and workspace are made together: take those of one region and release",
        ) from error


def _of_set(document: Any, found: Mapping[str, Any], patch: Patch) -> Any:
    path, name = patch
    known = {each["metadata"]["name"]: each["patch"] for each in found["patches"]}
    if name is None:
        raise RefusedError(
            f"{path} is a set of {len(known)} patches", hint=f"write {path}:{next(iter(known))}"
        )
    if name not in known:
        raise RefusedError(f"{path} has no patch {name!r}", hint=did_you_mean(name, known))
    text = json.dumps(document, sort_keys=True, ensure_ascii=False).encode()
    for algorithm, digest in found["metadata"]["digests"].items():
        if hashlib.new(algorithm, text).hexdigest() != digest:
            raise RefusedError(
                f"{path} was made for another workspace: its {algorithm} digest differs",
                hint="take the workspace that was published with the set",
            )
    return known[name]
