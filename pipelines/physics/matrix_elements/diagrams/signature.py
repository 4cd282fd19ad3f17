"""What the numbers of an amplitude depend on: processes of one signature are computed once."""

from collections.abc import Hashable
from typing import Any

from diffpipe.pipelines.physics.matrix_elements.diagrams.currents import Current, Leg, in_order
from diffpipe.pipelines.physics.matrix_elements.diagrams.generate import Diagrams


def signature(diagrams: Diagrams) -> Hashable:
    """Equal for processes that differ in nothing but names, as u u~ > t t~ and c c~ > t t~."""
    closings = diagrams.closings
    numbers: dict[Current, int] = {}
    currents = []
    for current in in_order([each for one in closings for each in (one.near, one.far)]):
        numbers[current] = len(numbers)
        currents.append(_current(current, numbers))
    met = tuple(
        (numbers[each.near], numbers[each.far], _rounded(each.factor), each.colour, each.strong)
        for each in closings
    )
    root = tuple(_rounded(each) for each in diagrams.colour_root.ravel())
    process = diagrams.process
    return (*currents, met, root, process.average, process.identical_factor)


def _current(current: Current, numbers: dict[Current, int]) -> Hashable:
    particle = current.particle
    kind = (particle.spin, particle.is_antiparticle, particle.mass, particle.width)
    terms = tuple(
        (
            each.interaction.structure,
            each.interaction.couplings,
            each.slots,
            each.out,
            _rounded(each.factor),
            tuple(numbers[source] for source in each.inputs),
        )
        for each in current.terms
    )
    return kind, current.propagates, _leg(current.leg), terms


def _leg(leg: Leg | None) -> Hashable:
    return None if leg is None else (leg.number, leg.incoming)


def _rounded(number: Any) -> complex:
    return complex(round(complex(number).real, 9), round(complex(number).imag, 9))
