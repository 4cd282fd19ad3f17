"""Validation with the JSON schemas that pyhf ships; pyhf itself is not imported."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsonschema

from diffpipe.pipelines.physics.refusal import RefusedError, did_you_mean

VERSION = "1.0.0"
_SHOWN = 60  # characters of a value that a message shows


def validate(document: Any, definition: str, source: str) -> None:
    """Refuse a document that is no "workspace", "patchset" or "jsonpatch" of pyhf's schema.

    source: what the message calls the document. Raises RefusedError with the place inside it, such
    as channels[0].samples[1].data[2], and the value there.
    """
    error = next(iter(_validator(definition).iter_errors(document)), None)
    if error is None:
        return
    where = place(error.absolute_path) or "the document"
    raise RefusedError(
        f"{source}: {where}: {_message(error)}",
        hint=error.schema.get("hint") or f"the format is pyhf's, schema {VERSION}",
    )


def place(path: Iterable[str | int]) -> str:
    """A place inside a JSON document as text: channels[0].samples[1].data[2]."""
    parts = [f"[{each}]" if isinstance(each, int) else f".{each}" for each in path]
    return "".join(parts).removeprefix(".")


def _message(error: Any) -> str:
    if error.validator in ("required", "additionalProperties", "modifier"):
        return str(error.message)
    wanted = {"type": f"must be of type {error.validator_value}"}
    wanted["const"] = f"must be {error.validator_value!r}"
    wanted["minItems"] = f"must have at least {error.validator_value} entries"
    return f"{wanted.get(error.validator, error.message)}, got {_brief(error.instance)}"


def _brief(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


@cache
def _validator(definition: str) -> Any:
    spec = find_spec("pyhf")
    if spec is None or spec.submodule_search_locations is None:
        raise RefusedError("pyhf, whose schema is used, is not there", hint="pip install pyhf")
    path = Path(spec.submodule_search_locations[0]) / "schemas" / VERSION / "defs.json"
    definitions = json.loads(path.read_text(encoding="utf-8"))["definitions"]
    kind = jsonschema.validators.extend(
        jsonschema.Draft6Validator, {"type": _type, "items": _items, "anyOf": _any_of}
    )
    return kind(_inlined(definitions[definition], definitions))


def _inlined(schema: Any, definitions: Mapping[str, Any]) -> Any:
    """A schema with definitions in place of references: to look these up takes most of the time."""
    if isinstance(schema, list):
        return [_inlined(each, definitions) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        found: Any = {"definitions": definitions}
        for word in schema["$ref"].removeprefix("#/").split("/"):
            found = found[word]
        return _inlined(found, definitions)
    return {word: _inlined(each, definitions) for word, each in schema.items()}


def _type(validator: Any, types: Any, instance: Any, schema: Any) -> Iterator[Any]:
    """`type`; a number has to be finite, which JSON promises and Python's reader does not."""
    if types == "number" and isinstance(instance, float) and not math.isfinite(instance):
        yield jsonschema.ValidationError("must be a finite number", "finite")
    yield from jsonschema.Draft6Validator.VALIDATORS["type"](validator, types, instance, schema)


def _items(validator: Any, items: Any, instance: Any, schema: Any) -> Iterator[Any]:
    """`items`, at once where they are numbers, as nearly all of a workspace is."""
    if items == {"type": "number"} and isinstance(instance, list) and _are_numbers(instance):
        return
    yield from jsonschema.Draft6Validator.VALIDATORS["items"](validator, items, instance, schema)


def _are_numbers(values: list[Any]) -> bool:
    return {type(each) for each in values} <= {int, float} and all(map(math.isfinite, values))


def _any_of(validator: Any, branches: Any, instance: Any, schema: Any) -> Iterator[Any]:
    """`anyOf`; of modifiers only the branch of the type, so that an error says what is wrong."""
    types = [each.get("properties", {}).get("type", {}).get("const") for each in branches]
    if None in types:
        yield from jsonschema.Draft6Validator.VALIDATORS["anyOf"](
            validator, branches, instance, schema
        )
    elif not isinstance(instance, Mapping) or not isinstance(instance.get("type"), str):
        yield jsonschema.ValidationError("a modifier needs a name, a type and data", "modifier")
    elif instance["type"] not in types:
        text = f"there is no modifier of type {instance['type']!r}"
        hint = {"hint": did_you_mean(instance["type"], types)}
        yield jsonschema.ValidationError(text, "modifier", schema=hint)
    else:
        yield from validator.descend(instance, branches[types.index(instance["type"])])
