"""The walk over a process's currents: every wave once, for one assignment of chiralities.

Massless fermions have an assignment bit for each leg (1: the state with a left half), so that what
chirality forbids is never computed; all other legs keep their spin states in an axis.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from jax import Array

from diffpipe.pipelines.physics.matrix_elements.amplitude import propagators, waves
from diffpipe.pipelines.physics.matrix_elements.amplitude.current import (
    maker,
    needed_couplings,
    needed_momenta,
)
from diffpipe.pipelines.physics.matrix_elements.amplitude.kernel import kernel, namespace
from diffpipe.pipelines.physics.matrix_elements.amplitude.propagators import Wave
from diffpipe.pipelines.physics.matrix_elements.amplitude.waves import Spinor
from diffpipe.pipelines.physics.matrix_elements.diagrams.currents import Current, Leg


class Walk:
    """Waves of all currents at given events, each computed when first asked for."""

    def __init__(
        self, legs: tuple[Leg, ...], constants: Mapping[str, Array], momenta: Array
    ) -> None:
        """momenta: (event, leg, 4) in GeV; constants: of `couplings`."""
        self.legs = legs
        self.constants = constants
        self._momenta = momenta
        self._axes = [each.number for each in legs if has_axis(each)]
        self._chiral = sum(1 << each.number for each in legs if each.particle.is_chiral)
        self._waves: dict[tuple[Current, int], Wave | None] = {}
        self._entering: dict[int, Array] = {}
        self._inverse: dict[tuple[int, str | None, str | None], Array] = {}
        self._states = {each.number: self._external(each) for each in legs}

    def wave(self, current: Current, chirality: int) -> Wave | None:
        """The wave of a current; None where it vanishes for these chiralities."""
        key = (current, chirality & current.key.legs & self._chiral)
        if key not in self._waves:
            self._waves[key] = self._compute(current, chirality)
        return self._waves[key]

    def momentum(self, legs: int) -> Array:
        """The entering momentum of a set of legs, components (4, event)."""
        if legs not in self._entering:
            first = legs & -legs
            if legs == first:
                number = first.bit_length() - 1
                p = waves.momentum(self._momenta[:, number])
                self._entering[legs] = p if self.legs[number].incoming else -p
            else:
                self._entering[legs] = self.momentum(first) + self.momentum(legs ^ first)
        return self._entering[legs]

    def mass(self, name: str | None) -> Array | None:
        return None if name is None else self.constants[name]

    def _external(self, leg: Leg) -> list[Wave]:
        """The states of one leg: one with an axis, or two of a chiral fermion."""
        p, mass = self._momenta[:, leg.number], self.mass(leg.particle.mass)
        if leg.particle.spin == 0:
            return [(1.0 + 0.0 * p[:, 0]).reshape((1,) * (len(self._axes) + 1) + (-1,))]
        if leg.particle.spin == 2:
            return [self._along_axis(leg, waves.vector(p, mass, outgoing=not leg.incoming))]
        # what leaves as a fermion enters as an antifermion, and the other way round
        anti = leg.particle.is_antiparticle is leg.incoming
        states = list(waves.fermion(p, mass, anti=anti))
        if leg.particle.is_antiparticle:
            states = [waves.adjoint(each) for each in states]
        if mass is None:
            return [Spinor(*(self._plain(half) for half in each)) for each in states]
        halves: list[Any] = [self._along_axis(leg, half) for half in zip(*states, strict=True)]
        return [Spinor(*halves)]

    def _along_axis(self, leg: Leg, states: Sequence[Any]) -> Array:
        stacked: Array = namespace(self._momenta).stack(states)
        shape = [1] * len(self._axes)
        shape[self._axes.index(leg.number)] = len(states)
        return stacked.reshape(*shape, *stacked.shape[1:])

    def _plain(self, half: Array | None) -> Array | None:
        return None if half is None else half.reshape((1,) * len(self._axes) + half.shape)

    def _compute(self, current: Current, chirality: int) -> Wave | None:
        if current.leg is not None:
            states = self._states[current.leg.number]
            return states[(chirality >> current.leg.number) & 1 if len(states) == 2 else 0]
        entering = [self.wave(each, chirality) for each in current.sources]
        found = zip(current.sources, entering, strict=True)
        there = {source for source, wave in found if wave is not None}
        terms = [each for each in current.terms if there.issuperset(each.inputs)]
        if not terms:
            return None
        mass, inverse = self._running(current)
        made: Wave | None = kernel(maker(current, terms))(
            entering,
            {legs: self.momentum(legs) for legs in needed_momenta(current, terms)},
            {name: self.constants[name] for name in needed_couplings(terms)},
            mass,
            inverse,
        )
        return made

    def _running(self, current: Current) -> tuple[Array | None, Array | None]:
        """Mass and 1/D of a current that propagates."""
        if not current.propagates:
            return None, None
        return self.mass(current.particle.mass), self._denominator(current)

    def _denominator(self, current: Current) -> Array:
        particle, legs = current.particle, current.key.legs
        key = (legs, particle.mass, particle.width)
        if key not in self._inverse:
            mass, width = self.mass(particle.mass), self.mass(particle.width)
            self._inverse[key] = propagators.denominator(self.momentum(legs), mass, width)
        return self._inverse[key]


def has_axis(leg: Leg) -> bool:
    """Whether a leg's spin states are an axis of the waves."""
    return leg.particle.helicities > 1 and not leg.particle.is_chiral
