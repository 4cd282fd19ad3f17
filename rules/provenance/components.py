"""Components: the numbers in a value (a number, or nested lists of them), each with its label."""

import math
from collections.abc import Iterator
from typing import Any


def components(name: str, value: Any) -> Iterator[tuple[str, float]]:
    """A number under its own name; of lists each number, as `name[0][2]`."""
    if not isinstance(value, list | tuple):
        yield name, value
        return
    for index, each in enumerate(value):
        yield from components(f"{name}[{index}]", each)


def norm(*values: Any) -> float:
    """The root of the sum of squares over all components."""
    return math.hypot(*(number for value in values for _, number in components("", value)))


def magnitude(value: Any) -> float:
    """The sum of the magnitudes of all components."""
    return math.fsum(abs(number) for _, number in components("", value))


def add(left: Any, right: Any) -> Any:
    """The sum of two values of one shape."""
    if isinstance(left, list):
        return [add(*pair) for pair in zip(left, right, strict=True)]
    return left + right
