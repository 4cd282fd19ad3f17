"""The manifest: what an artefact says of itself, parsed once into frozen values.

It is the attribute `diffpipe` of the artefact's zarr group: the facts given by whoever made it
(kind, stage, pipeline, ingredients of the key, ...), its arrays, the sha256 of each array's own
metadata, and its own digest. Digests find what is damaged, not who wrote it: a stranger can make
them too, so every value that is used is checked, here.
"""

import hashlib
import json
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffpipe.cache import documents, files, keys, masks
from diffpipe.cache.errors import DamagedError, StoreError
from diffpipe.cache.layout import is_name
from diffpipe.cache.metadata import FILE as _METADATA
from diffpipe.cache.specs import ArraySpec

_ATTRIBUTE = "diffpipe"


@dataclass(frozen=True)
class Manifest:
    """The facts of an artefact, how many slots it has, and its arrays."""

    facts: Mapping[str, Any]
    slots: int
    specs: Mapping[str, ArraySpec]


def make(key: str, facts: Mapping[str, Any], specs: Mapping[str, ArraySpec]) -> Manifest:
    """The manifest of a new artefact; raises StoreError for what would be refused on reading."""
    arrays = {name: spec.to_json() for name, spec in specs.items()}
    stored = {**facts, "format": keys.STORE_FORMAT, "key": key, "arrays": arrays}
    try:
        return parse(stored, key)
    except DamagedError as error:
        raise StoreError(f"the artefact {key} cannot be stored: {error.message}") from error


def write(folder: Path, manifest: Manifest) -> None:
    """Complete a new group, whose arrays are there already."""
    metadata = {name: _sha256(folder / name) for name in manifest.specs}
    facts = {**manifest.facts, "metadata": metadata}
    group = documents.read(folder / _METADATA)
    group["attributes"] = {_ATTRIBUTE: {**facts, "digest": _digest(facts)}}
    text = json.dumps(group, indent=1)
    if len(text) > documents.MOST_BYTES:
        raise StoreError(
            f"the manifest of stage {facts['stage']} has {len(text)} bytes, over "
            f"{documents.MOST_BYTES}",
            hint="give large arrays as data, not as parameters or options",
        )
    (folder / _METADATA).write_text(text)


def read(folder: Path) -> Manifest:
    """The manifest of the artefact in a folder; raises DamagedError with the reason, OSError."""
    _expect(files.is_folder(folder), "it is no folder", folder.name)
    attributes = documents.read(folder / _METADATA).get("attributes")
    facts = attributes.get(_ATTRIBUTE) if isinstance(attributes, dict) else None
    manifest = parse(facts, folder.name)
    _expect(_digest(manifest.facts) == manifest.facts.get("digest"), "it fails its digest", facts)
    _check_arrays(folder, manifest)
    return manifest


def parse(facts: Any, key: str) -> Manifest:
    """The manifest that JSON values stand for; raises DamagedError."""
    if not isinstance(facts, dict):
        raise DamagedError(f"it is no JSON object: {reprlib.repr(facts)}")
    _expect(facts.get("format") == keys.STORE_FORMAT, "its format is another", facts.get("format"))
    _expect(facts.get("key") == key, "its key is another", facts.get("key"))
    for name in ("kind", "stage", "pipeline"):
        _expect(is_name(facts.get(name)), f"{name} is no name", facts.get(name))
    _check_active(facts, key)
    slots = facts.get("slots")
    if type(slots) is not int or not 0 < slots <= masks.MOST_SHARDS:
        raise DamagedError(f"{reprlib.repr(slots)} slots, not 1 to {masks.MOST_SHARDS}")
    return Manifest(facts, slots, _specs(facts.get("arrays"), slots))


def _specs(arrays: Any, slots: int) -> dict[str, ArraySpec]:
    _expect(isinstance(arrays, dict), "arrays is no JSON object", arrays)
    for name in arrays:
        _expect(is_name(name), "the name of an array is no name", name)
    return {name: ArraySpec.from_json(each, slots) for name, each in arrays.items()}


def _check_active(facts: Mapping[str, Any], key: str) -> None:
    """What a pullback is active in stands in its key."""
    base, dash, _ = key.rpartition("-")
    if not dash:
        return
    ingredients = facts.get("ingredients")
    active = ingredients.get("active") if isinstance(ingredients, dict) else None
    if not isinstance(active, list) or not all(isinstance(each, str) for each in active):
        raise DamagedError(f"it does not say what it is active in: {reprlib.repr(active)}")
    _expect(keys.active_key(base, active) == key, "its key is of another active set", active)


def _check_arrays(folder: Path, manifest: Manifest) -> None:
    """Array folders are folders, and their own metadata is what it was."""
    metadata = manifest.facts.get("metadata")
    if not isinstance(metadata, dict) or metadata.keys() != manifest.specs.keys():
        raise DamagedError("the digests of its arrays' metadata are not one for each")
    for name, expected in metadata.items():
        _expect(files.is_folder(folder / name), "an array is no folder", name)
        _expect(_sha256(folder / name) == expected, "the metadata of an array is changed", name)


def _digest(facts: Mapping[str, Any]) -> str:
    try:
        return keys.digest({name: value for name, value in facts.items() if name != "digest"})
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"it has no digest: {error}") from error


def _sha256(array: Path) -> str:
    return hashlib.sha256(files.read(array / _METADATA, documents.MOST_BYTES)).hexdigest()


def _expect(holds: bool, otherwise: str, found: object) -> None:
    if not holds:
        raise DamagedError(f"{otherwise}: {reprlib.repr(found)}")
