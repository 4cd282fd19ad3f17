"""Diagrams by recursion over subsets of legs: every off-shell current is made once.

A unit is a leg, or the products of a decay taken together. Currents of larger sets of units are
made of those of smaller ones by all interactions that fit. Every tree diagram has exactly one
vertex, not counting the units' own, around which no branch holds half of the units or more, except
that the branch with unit 0 may hold half: cutting the diagram between that branch and the vertex
gives each diagram once (compare Caravaglios and Moretti, hep-ph/9507237, and Kanaki and
Papadopoulos, hep-ph/0002082).
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from math import prod

import numpy as np

from diffpipe.pipelines.physics.matrix_elements.diagrams import colour
from diffpipe.pipelines.physics.matrix_elements.diagrams.colour import Palette
from diffpipe.pipelines.physics.matrix_elements.diagrams.currents import (
    Closing,
    Current,
    Key,
    Leg,
    Term,
)
from diffpipe.pipelines.physics.matrix_elements.diagrams.rules import Fusion, fusions
from diffpipe.pipelines.physics.matrix_elements.model.interactions import Orders
from diffpipe.pipelines.physics.matrix_elements.model.particles import PARTICLES, anti

ROTATIONS = {"gggg": 3, "ggggh": 3}  # colour structures of the vertices of four gluons


@dataclass(frozen=True)
class Selection:
    """Which diagrams are wanted.

    most: the largest powers of the couplings; weighted: the largest WEIGHTED order. required: sets
    of particles of which one must be an s-channel propagator. final, legs: bit masks of the legs
    that leave, and of all.
    """

    most: Orders
    weighted: int
    final: int
    legs: int
    required: tuple[frozenset[str], ...] = ()
    forbidden: frozenset[str] = frozenset()
    not_s_channel: frozenset[str] = frozenset()

    def is_s_channel(self, legs: int) -> bool:
        """Whether these legs' momentum is that of final legs only, or of all others."""
        return legs & ~self.final == 0 or self.legs & ~legs & ~self.final == 0

    def admits(self, orders: Orders, to_come: int) -> bool:
        """Whether these orders leave one power of a coupling for each of the vertices to come."""
        if orders.weighted + to_come > self.weighted:
            return False
        return all(have <= most for have, most in zip(orders, self.most, strict=True))


@dataclass
class Growth:
    """Currents of all sets of units; `palette` is shared by the whole process."""

    units: list[list[Current]]
    selection: Selection
    palette: Palette
    table: dict[int, dict[Key, Current]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._fusions = fusions(self.selection.forbidden)
        self._most = 4 if self.selection.most.hig else 3
        for number, currents in enumerate(self.units):
            self.table[1 << number] = {each.key: each for each in currents}

    def closings(self) -> list[Closing]:
        """The cuts whose sum is the amplitude."""
        everything = (1 << len(self.units)) - 1
        found = []
        for near in _subsets_with_first(everything):
            if 2 * near.bit_count() <= len(self.units) and near != everything:
                far = self._fused(everything ^ near, limit=len(self.units), propagates=False)
                found += list(self._meet(self.currents(near), far))
        return found

    def currents(self, units: int) -> dict[Key, Current]:
        """All currents of a set of units."""
        if units not in self.table:
            self.table[units] = self._fused(units, limit=None, propagates=True)
        return self.table[units]

    def _fused(self, units: int, *, limit: int | None, propagates: bool) -> dict[Key, Current]:
        """Sums of the terms over all ways to part the units into 2, 3 (or 4) branches.

        limit: a number of units of which every branch must hold less than half.
        """
        found: dict[Key, Current] = {}
        for parts in _partitions(units, self._most):
            if limit is not None and any(2 * part.bit_count() >= limit for part in parts):
                continue
            tables = [self.currents(part).values() for part in parts]
            for inputs in itertools.product(*tables):
                for fusion in self._fusions.get(tuple(each.key.name for each in inputs), ()):
                    self._add(found, fusion, inputs, propagates)
        return found

    def _add(
        self,
        found: dict[Key, Current],
        fusion: Fusion,
        inputs: tuple[Current, ...],
        propagates: bool,
    ) -> None:
        key = self._key(fusion, inputs, propagates)
        if key is None:
            return
        diagrams = prod(each.diagrams for each in inputs)
        for turn in range(ROTATIONS.get(fusion.interaction.structure, 1)):
            turned = _rotated(inputs, turn)
            known = self._colour(fusion, turned)
            if known is not None:
                factor = known[1] * _fermion_sign(fusion, inputs)
                term = Term(fusion.interaction, fusion.slots, turned, fusion.out, factor, diagrams)
                self._current(
                    found, replace(key, colour=known[0]), inputs, propagates
                ).terms.append(term)
                diagrams = 0  # colour structures of one vertex are one diagram

    def _current(
        self, found: dict[Key, Current], key: Key, inputs: tuple[Current, ...], propagates: bool
    ) -> Current:
        if key not in found:
            fermions = sorted(leg for each in inputs for leg in each.fermions)
            found[key] = Current(key, tuple(fermions), propagates=propagates)
        return found[key]

    def _key(self, fusion: Fusion, inputs: tuple[Current, ...], propagates: bool) -> Key | None:
        """The key without its colour; None where the selection leaves the current out."""
        legs = sum(each.key.legs for each in inputs)
        orders = sum((each.key.orders for each in inputs), fusion.interaction.orders)
        strong = sum(each.key.strong for each in inputs) + fusion.interaction.orders.strong
        joined = sum(1 for unit in self.units if unit[0].key.legs & legs)
        if not self.selection.admits(orders, max(len(self.units) - joined - 1, 0)):
            return None
        passed = frozenset[int]().union(*(each.key.passed for each in inputs))
        if propagates and self.selection.is_s_channel(legs):
            if fusion.name in self.selection.not_s_channel:
                return None
            passed |= self._passes(legs, fusion.name)
        return Key(legs, fusion.name, orders, passed, strong)

    def _passes(self, legs: int, name: str) -> set[int]:
        """Which of the required s-channels this is; what final legs come from is outgoing."""
        physical = anti(name) if legs & ~self.selection.final == 0 else name
        return {i for i, any_of in enumerate(self.selection.required) if physical in any_of}

    def _colour(self, fusion: Fusion, inputs: tuple[Current, ...]) -> tuple[int, complex] | None:
        names = fusion.interaction.particles
        tensor = colour.vertex(
            fusion.interaction.colour, tuple(PARTICLES[name].colours for name in names)
        ).transpose(*fusion.slots, fusion.out)
        colours = [self.palette.tensors[each.key.colour] for each in inputs]
        return self.palette.add(colour.contract(tensor, colours))

    def _meet(self, near: dict[Key, Current], far: dict[Key, Current]) -> Iterator[Closing]:
        for one, other in itertools.product(near.values(), far.values()):
            passed = one.key.passed | other.key.passed
            if other.key.name != anti(one.key.name) or len(passed) < len(self.selection.required):
                continue
            if not self.selection.admits(one.key.orders + other.key.orders, 0):
                continue
            known = self.palette.add(self._met_colour(one, other))
            if known is not None:
                yield Closing(one, other, known[1] * _closing_sign(one, other), known[0])

    def _met_colour(self, near: Current, far: Current) -> np.ndarray:
        first, second = (self.palette.tensors[each.key.colour] for each in (near, far))
        product: np.ndarray = np.sum(first * second, axis=-1, keepdims=True)
        return product


def external(leg: Leg, position: int | None, coloured: int, palette: Palette) -> Current:
    """The current of one leg; position: its place among the coloured legs."""
    known = palette.add(colour.external(position, coloured, leg.particle.colours))
    assert known is not None
    fermions = (leg.number,) if leg.particle.is_fermion else ()
    return Current(Key(1 << leg.number, leg.name, colour=known[0]), fermions, leg=leg)


def _rotated(inputs: tuple[Current, ...], turn: int) -> tuple[Current, ...]:
    """The first three gluons moved round; what else enters stays."""
    if not turn:
        return inputs
    gluons = [i for i, each in enumerate(inputs) if each.key.name == "g"][:3]
    turned = list(inputs)
    for place, i in enumerate(gluons):
        turned[i] = inputs[gluons[(place + turn) % 3]]
    return tuple(turned)


def _fermion_sign(fusion: Fusion, inputs: tuple[Current, ...]) -> int:
    """The sign of bringing the fermion legs, taken slot by slot, into the order of the legs."""
    in_slots = sorted(zip(fusion.slots, inputs, strict=True), key=lambda pair: pair[0])
    return _sign_of([each.fermions for _, each in in_slots])


def _closing_sign(near: Current, far: Current) -> int:
    """The same for two currents that meet, the antifermion's line first."""
    far_first = near.particle.is_fermion and not near.particle.is_antiparticle
    return _sign_of([far.fermions, near.fermions] if far_first else [near.fermions, far.fermions])


def _sign_of(groups: list[tuple[int, ...]]) -> int:
    flat = [leg for group in groups for leg in group]
    swaps = sum(a > b for a, b in itertools.combinations(flat, 2))
    return -1 if swaps % 2 else 1


def _subsets_with_first(units: int) -> Iterator[int]:
    """Subsets that hold the lowest unit."""
    first = units & -units
    rest = units ^ first
    subset = rest
    while True:
        yield first | subset
        if not subset:
            return
        subset = (subset - 1) & rest


def _partitions(units: int, most: int) -> Iterator[tuple[int, ...]]:
    """Ways to part a set into 2 ... most sets, each way once."""
    for first in _subsets_with_first(units):
        rest = units ^ first
        if rest:
            yield (first, rest)
            if most > 2:
                for parts in _partitions(rest, most - 1):
                    yield (first, *parts)
