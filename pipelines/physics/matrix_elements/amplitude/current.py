"""One off-shell current: its vertices, their sum, its propagator, in one kernel."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jax import Array

from diffpipe.pipelines.physics.matrix_elements.amplitude import propagators
from diffpipe.pipelines.physics.matrix_elements.amplitude.propagators import Wave
from diffpipe.pipelines.physics.matrix_elements.amplitude.structures import STRUCTURES, Meeting
from diffpipe.pipelines.physics.matrix_elements.amplitude.waves import Spinor
from diffpipe.pipelines.physics.matrix_elements.diagrams.currents import Current, Term
from diffpipe.pipelines.physics.matrix_elements.model.particles import Particle

FIXED = {"": 1.0, "-1": -1.0}  # couplings that are numbers


def maker(current: Current, terms: Sequence[Term]) -> Callable[..., Wave | None]:
    """The function from sources' waves to the current's wave; None where all terms vanish."""

    def make(
        entering: Sequence[Any],
        momenta: Mapping[int, Array],
        couplings: Mapping[str, Array],
        mass: Array | None,
        inverse: Array | None,
    ) -> Wave | None:
        by_source = dict(zip(current.sources, entering, strict=True))
        made = [(_vertex(each, by_source, momenta, couplings), each.factor) for each in terms]
        there = [(wave, factor) for wave, factor in made if wave is not None]
        if not there:
            return None
        total = propagators.combine([wave for wave, _ in there], [factor for _, factor in there])
        if inverse is None:
            return total
        return _propagated(current.particle, total, momenta.get(current.key.legs), mass, inverse)

    return make


def _vertex(
    term: Term,
    waves: Mapping[Current, Any],
    momenta: Mapping[int, Array],
    couplings: Mapping[str, Array],
) -> Wave | None:
    sources = dict(zip(term.slots, term.inputs, strict=True))
    meeting = Meeting(
        term.out,
        {slot: waves[source] for slot, source in sources.items()},
        [_coupling(name, couplings) for name in term.interaction.couplings],
        lambda slot: momenta[sources[slot].key.legs],
    )
    wave = STRUCTURES[term.interaction.structure](meeting)
    return None if isinstance(wave, Spinor) and wave.left is None and wave.right is None else wave


def _coupling(name: str | None, couplings: Mapping[str, Array]) -> Any:
    return None if name is None else FIXED.get(name, couplings.get(name))


def _propagated(particle: Particle, wave: Any, k: Any, mass: Array | None, inverse: Array) -> Wave:
    if particle.spin == 0:
        return propagators.scalar(wave, inverse)
    if particle.spin == 2:
        return propagators.vector(wave, k, mass, inverse)
    run = propagators.adjoint if particle.is_antiparticle else propagators.spinor
    return run(wave, k, mass, inverse)


def needed_momenta(current: Current, terms: Sequence[Term]) -> list[int]:
    """The sets of legs whose momenta the vertices and the propagator need."""
    sets = {
        source.key.legs
        for each in terms
        if each.interaction.structure in ("vvv", "vvvs", "ggh")
        for source in each.inputs
    }
    particle = current.particle
    if current.propagates and (particle.is_fermion or (particle.spin == 2 and particle.mass)):
        sets.add(current.key.legs)
    return sorted(sets)


def needed_couplings(terms: Sequence[Term]) -> list[str]:
    """The names of the couplings that are not fixed numbers."""
    names = {name for each in terms for name in each.interaction.couplings if name is not None}
    return sorted(names - FIXED.keys())
