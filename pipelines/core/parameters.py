"""Values of parameters: finite numbers and rectangular arrays of them, from YAML or `--set`."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from diffpipe.cache.errors import UsageError, did_you_mean
from diffpipe.pipelines.core.model import Parameter, Value


def as_value(raw: Any) -> Value | None:
    """A number, or nested tuples of numbers of one shape; None for anything else."""
    if isinstance(raw, list | tuple):
        items = [as_value(item) for item in raw]
        shapes = {shape_of(item) for item in items if item is not None}
        return None if None in items or len(shapes) != 1 else tuple(items)
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        return None
    try:
        return float(raw) if math.isfinite(raw) else None
    except OverflowError:
        return None


def shape_of(value: Value) -> tuple[int, ...]:
    """The shape of nested tuples; () for a number."""
    return (len(value), *shape_of(value[0])) if isinstance(value, tuple) else ()


def with_values(
    parameters: Mapping[str, Parameter], values: Mapping[str, Value]
) -> dict[str, Parameter]:
    """The parameters with some values changed; raises UsageError for a name or shape."""
    changed = dict(parameters)
    for name, value in values.items():
        if name not in changed:
            raise UsageError(f"unknown parameter {name!r}", hint=did_you_mean(name, changed))
        given, known = shape_of(value), shape_of(changed[name].value)
        if given != known:
            raise UsageError(f"{name} has shape {known}, the value given {given}")
        changed[name] = replace(changed[name], value=value)
    return changed
