"""Slots for the arrays of a state or of residuals: those alike in both have the same room."""

from collections import Counter
from collections.abc import Sequence
from math import prod
from typing import Any

import jax.numpy as jnp
from jax import Array, lax

Slots = dict[str, Array]  # name of a room -> arrays alike, the slots as first axis
Kind = Any  # shape and dtype
Room = tuple[int, Sequence[Kind]]  # the first so many slots can hold arrays like these


def empty(*rooms: Room) -> Slots:
    """Zeros with room for all."""
    found: Slots = {}
    for slots, kinds in rooms:
        for name, kind in _named(kinds).items():
            if name not in found or len(found[name]) < slots:
                found[name] = jnp.zeros((slots, *kind.shape), kind.dtype)
    return found


def put(slots: Slots, slot: Array, arrays: Sequence[Array]) -> Slots:
    """The slots with these arrays in one of them."""
    update = lax.dynamic_update_index_in_dim
    return slots | {n: update(slots[n], each, slot, 0) for n, each in _named(arrays).items()}


def at(slots: Slots, slot: Array, kinds: Sequence[Kind]) -> list[Array]:
    """The arrays of these kinds in one of them."""
    return [lax.dynamic_index_in_dim(slots[n], slot, keepdims=False) for n in _named(kinds)]


def size(*holds: Sequence[Kind]) -> int:
    """The bytes of a slot that can hold any of these."""
    rooms = {name: kind for kinds in holds for name, kind in _named(kinds).items()}
    return sum(prod(kind.shape) * kind.dtype.itemsize for kind in rooms.values())


def _named(arrays: Sequence[Any]) -> dict[str, Any]:
    """Each by its type, its shape and its number among those alike."""
    alike: Counter[str] = Counter()
    named = {}
    for each in arrays:
        kind = f"{each.dtype}{each.shape}"
        named[f"{kind} {alike[kind]}"] = each
        alike[kind] += 1
    return named
