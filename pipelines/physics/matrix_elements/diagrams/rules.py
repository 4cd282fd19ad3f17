"""Which particles can meet, and what leaves: the interactions looked up by what enters."""

import itertools
from dataclasses import dataclass
from functools import cache

from diffpipe.pipelines.physics.matrix_elements.model.interactions import Interaction, interactions
from diffpipe.pipelines.physics.matrix_elements.model.particles import anti


@dataclass(frozen=True)
class Fusion:
    """Particles in the given slots of an interaction give `name`, which goes on from slot `out`."""

    interaction: Interaction
    slots: tuple[int, ...]
    out: int
    name: str


@cache
def fusions(forbidden: frozenset[str] = frozenset()) -> dict[tuple[str, ...], list[Fusion]]:
    """Fusions by the names that enter, in order; identical particles take slots in one way only."""
    found: dict[tuple[str, ...], dict[tuple[int, str], Fusion]] = {}
    for number, interaction in enumerate(interactions()):
        if forbidden.intersection(interaction.particles):
            continue
        for slots in itertools.permutations(range(len(interaction.particles))):
            *taken, out = slots
            names = tuple(interaction.particles[slot] for slot in taken)
            name = anti(interaction.particles[out])
            entry = Fusion(interaction, tuple(taken), out, name)
            found.setdefault(names, {}).setdefault((number, name), entry)
    return {names: list(entries.values()) for names, entries in found.items()}
