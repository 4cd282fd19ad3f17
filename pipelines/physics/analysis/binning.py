"""Bins of one to several variables: groups of axes, parsed from the option of a histogram."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from diffpipe.pipelines.physics import checks
from diffpipe.pipelines.physics.refusal import RefusedError


class Axis(NamedTuple):
    """A variable and the rising edges of its intervals, (interval + 1,) in the variable's unit."""

    variable: str
    edges: Array

    @property
    def intervals(self) -> int:
        return int(self.edges.size) - 1


Group = tuple[Axis, ...]  # all combinations of its intervals, the last axis running fastest


def parse(stage: str, bins: object, inputs: Mapping[str, Any]) -> list[Group]:
    """The groups of the option `bins`; edges by name are taken from the inputs.

    Raises ValueError for what is no list of groups, and for inputs that are missing.
    """
    if isinstance(bins, str) or not isinstance(bins, Sequence) or not bins:
        raise ValueError(f"{stage}: option bins must be a list of groups, got {bins!r}")
    said = [_mapping(stage, number, group) for number, group in enumerate(bins)]
    check_given(stage, {name for group in said for name in group}, inputs)
    return [
        tuple(
            Axis(name, _edges(stage, f"bins[{number}].{name}", edges, inputs))
            for name, edges in group.items()
        )
        for number, group in enumerate(said)
    ]


def size(group: Group) -> int:
    """How many bins a group has."""
    return math.prod(axis.intervals for axis in group)


def check_given(stage: str, needed: set[str], inputs: Mapping[str, Any]) -> None:
    """ValueError unless all inputs that are needed are given."""
    missing = needed - inputs.keys()
    if missing:
        raise ValueError(
            f"{stage}: bins, moments and weight need the inputs {sorted(missing)}, which are not "
            f"given; got {sorted(inputs)}"
        )


def check_rising(stage: str, groups: Sequence[Group]) -> None:
    """RefusedError unless all edges, which another stage may have made, rise strictly."""
    for axis in (axis for group in groups for axis in group):
        edges = np.asarray(axis.edges)
        if not (np.diff(edges) > 0.0).all():
            raise RefusedError(
                f"{stage}: the edges of {axis.variable} do not rise: {edges.tolist()}",
                hint="each edge must be above the one before it",
            )


def _mapping(stage: str, number: int, group: object) -> Mapping[str, object]:
    if not isinstance(group, Mapping) or not group:
        raise ValueError(
            f"{stage}: bins[{number}] must map variables to edges, such as {{m_ll: [60, 120]}}, "
            f"got {group!r}"
        )
    return {str(name): edges for name, edges in group.items()}


def _edges(stage: str, option: str, edges: object, inputs: Mapping[str, Any]) -> Array:
    if not isinstance(edges, str):
        return jnp.asarray(checks.rising(stage, option, edges, at_least=2))
    check_given(stage, {edges}, inputs)
    found: Array = inputs[edges]
    if found.ndim != 1 or found.size < 2:
        raise ValueError(
            f"{stage}: option {option} names the input {edges!r} of shape {found.shape}; edges are "
            "a list of at least two numbers"
        )
    return found
