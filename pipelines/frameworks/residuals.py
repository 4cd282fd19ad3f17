"""Residuals of `jax.vjp` as plain arrays: what a pullback needs beyond its stage's inputs.

`jax.vjp` gives a pytree. Its leaves that are inputs are refilled from the store; the others are
packed into one flat array per dtype. The tree itself (which holds the jaxpr) is traced again
where the pullback runs: the same code gives the same tree, and the code is in the key.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.dtypes import issubdtype, prng_key

from diffpipe.cache.errors import PipelineError


@dataclass(frozen=True)
class Recipe:
    """How to put a VJP together again."""

    tree: Any
    sources: tuple[int | None, ...]  # leaf -> number of the input leaf it is; None: it is stored
    stored: tuple[jax.ShapeDtypeStruct, ...]


def vjp_with_recipe(
    function: Callable[[Any], tuple[Any, Any]], active: Any, everything: Any
) -> tuple[Any, list[Any], Recipe]:
    """(auxiliary outputs, stored leaves, recipe) of the VJP at `active`, while tracing.

    function: active -> (differentiable outputs, auxiliary outputs). everything: all that the
    pullback will be given again.
    """
    _, vjp, auxiliary = jax.vjp(function, active, has_aux=True)
    leaves, tree = jax.tree.flatten(vjp)
    given = jax.tree.leaves(everything)
    sources = tuple(next((i for i, x in enumerate(given) if x is leaf), None) for leaf in leaves)
    stored = [leaf for leaf, source in zip(leaves, sources, strict=True) if source is None]
    shapes = tuple(jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in stored)
    return auxiliary, stored, Recipe(tree, sources, shapes)


def rebuild(recipe: Recipe, everything: Any, stored: list[Any]) -> Callable[[Any], Any]:
    """The VJP function, from what is given again and what was stored."""
    given, rest = jax.tree.leaves(everything), iter(stored)
    leaves = [next(rest) if source is None else given[source] for source in recipe.sources]
    vjp: Callable[[Any], Any] = jax.tree.unflatten(recipe.tree, leaves)
    return vjp


def pack(stage: str, leaves: list[Any]) -> dict[str, jax.Array]:
    """One flat array per dtype."""
    if any(issubdtype(leaf.dtype, prng_key) for leaf in leaves):
        raise PipelineError(
            f"stage {stage} keeps a random key as residual, which cannot be stored",
            hint="write checkpoint: recompute",
            stage=stage,
        )
    flat: dict[str, list[Any]] = {}
    for leaf in leaves:
        flat.setdefault(str(leaf.dtype), []).append(jnp.ravel(leaf))
    return {dtype: jnp.concatenate(parts) for dtype, parts in sorted(flat.items())}


def unpack(recipe: Recipe, packed: Mapping[str, Any]) -> list[Any]:
    """The leaves again; arrays may be longer than needed (a short last shard)."""
    used = dict.fromkeys(packed, 0)
    leaves = []
    for each in recipe.stored:
        dtype, size = str(each.dtype), math.prod(each.shape)
        first = used[dtype]
        leaves.append(jnp.reshape(packed[dtype][first : first + size], each.shape))
        used[dtype] = first + size
    return leaves
