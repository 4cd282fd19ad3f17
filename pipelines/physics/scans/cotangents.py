"""Cotangents that a loop can carry: None for those of integers, whose type no array has."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax import Array
from jax.dtypes import float0

Tree = Any  # arrays in tuples, lists, dicts


def pulled(pull: Callable[..., Any], cotangents: Tree, kinds: Tree) -> Any:
    """What a pullback makes of the cotangents of what is of these shapes and types."""

    def whole(kind: jax.ShapeDtypeStruct, cotangent: Array | None) -> Any:
        return np.zeros(kind.shape, float0) if cotangent is None else cotangent

    return without_float0(pull(jax.tree.map(whole, kinds, cotangents)))


def without_float0(tree: Tree) -> Tree:
    """The cotangents that are not of integers."""
    return jax.tree.map(lambda leaf: None if leaf.dtype == float0 else leaf, tree)
