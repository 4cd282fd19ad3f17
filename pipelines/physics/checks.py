"""Checks of the options of a stage: each refusal says what was asked, what came, what to try."""

import itertools
import math
from collections.abc import Collection, Sequence


def positive_number(stage: str, name: str, value: object) -> float:
    """`value` as a float; ValueError unless it is a finite number above zero."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{stage}: option {name} must be a number, got {value!r}")
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{stage}: option {name} must be above zero, got {value!r}")
    return float(value)


def not_negative(stage: str, name: str, value: object) -> float:
    """`value` as a float; ValueError unless it is a finite number, zero or above."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{stage}: option {name} must be a number, got {value!r}")
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{stage}: option {name} must not be below zero, got {value!r}")
    return float(value)


def integer(stage: str, name: str, value: object, *, at_least: int) -> int:
    """`value` as an int; ValueError unless it is an integer not below `at_least`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < at_least:
        raise ValueError(
            f"{stage}: option {name} must be an integer of at least {at_least}, got {value!r}"
        )
    return value


def one_of(stage: str, name: str, value: object, choices: Collection[str]) -> str:
    """`value`; ValueError unless it is one of `choices`."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(
            f"{stage}: option {name} must be one of {', '.join(sorted(choices))}, got {value!r}"
        )
    return value


def rising(stage: str, name: str, values: object, *, at_least: int) -> list[float]:
    """`values` as floats; ValueError unless they are finite numbers that rise strictly."""
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise ValueError(f"{stage}: option {name} must be a list of numbers, got {values!r}")
    if any(isinstance(v, bool) or not isinstance(v, int | float) for v in values):
        raise ValueError(f"{stage}: option {name} must hold numbers only, got {list(values)!r}")
    numbers = [float(value) for value in values]
    falls = any(not a < b for a, b in itertools.pairwise(numbers))
    if len(numbers) < at_least or falls or not all(map(math.isfinite, numbers)):
        raise ValueError(
            f"{stage}: option {name} needs at least {at_least} numbers, each above the one "
            f"before it, got {list(values)!r}"
        )
    return numbers


def known_keys(
    stage: str, name: str, value: object, required: set[str], optional: set[str]
) -> None:
    """ValueError unless `value` is a mapping with the required and no unknown keys."""
    if not isinstance(value, dict):
        raise ValueError(f"{stage}: {name} must be a mapping, got {value!r}")
    missing, unknown = required - value.keys(), value.keys() - required - optional
    if missing or unknown:
        raise ValueError(
            f"{stage}: {name} has missing keys {sorted(missing)} and unknown keys "
            f"{sorted(map(str, unknown))}; it takes {sorted(required | optional)}"
        )
