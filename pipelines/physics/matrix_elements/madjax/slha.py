"""Inputs by the names of the physics, as the SLHA entries that a package reads."""

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
from jax import Array

from diffpipe.pipelines.physics.matrix_elements.model.parameters import (
    DEFAULTS,
    ENTRIES,
    INPUTS,
    canonical,
)
from diffpipe.pipelines.physics.refusal import RefusedError

Entry = tuple[str, int]


class _Asked(dict[Entry, Any]):
    """A card that notes which entries are looked up."""

    def __init__(self, values: Mapping[Entry, Any]) -> None:
        super().__init__(values)
        self.entries: set[Entry] = set()

    def get(self, key: Entry, default: Any = None) -> Any:
        self.entries.add(key)
        return super().get(key, default)

    def __getitem__(self, key: Entry) -> Any:
        self.entries.add(key)
        return super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        self.entries.add(key)  # type: ignore[arg-type]
        return super().__contains__(key)


def read_by(parameters: Callable[[Mapping[Entry, Any]], Any]) -> frozenset[Entry]:
    """The entries that a package's calculate_full_parameters looks up; it ignores all others."""
    card = _Asked({entry: DEFAULTS[name] for entry, name in ENTRIES.items()})
    parameters(card)
    return frozenset(card.entries)


def entries(inputs: Mapping[str, Any], read: frozenset[Entry]) -> dict[Entry, Array]:
    """A card with every input that is read, those not given at the defaults of `parameters`.

    Values are numbers or (event,). RefusedError for names unknown to the model or the package.
    """
    given = {canonical(name): value for name, value in inputs.items()}
    for name in given:
        _check(name, read)
    values = DEFAULTS | given
    return {entry: jnp.asarray(values[name], float) for entry, name in names(read).items()}


def names(read: frozenset[Entry]) -> dict[Entry, str]:
    """The inputs that are read, by entry."""
    return {entry: name for entry, name in ENTRIES.items() if entry in read}


def _check(name: str, read: frozenset[Entry]) -> None:
    each = INPUTS[name]
    if (each.block, each.code) not in read:
        raise RefusedError(
            f"the madjax package does not read {name} (SLHA {each.block} {each.code}): a value "
            "for it would change nothing",
            hint=f"it reads {', '.join(names(read).values())}; others are fixed in its model",
        )
