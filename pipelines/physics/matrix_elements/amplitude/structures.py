"""Lorentz structures by name: which vertex function gives the open slot's wave."""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from jax import Array

from diffpipe.pipelines.physics.matrix_elements.amplitude import vertices
from diffpipe.pipelines.physics.matrix_elements.amplitude.propagators import Wave
from diffpipe.pipelines.physics.matrix_elements.amplitude.vertices import Coupling


@dataclass(frozen=True)
class Meeting:
    """Waves that meet at one vertex, by slot; `out` is open, `momentum` gives the entering k."""

    out: int
    waves: Mapping[int, Any]
    couplings: Sequence[Coupling]
    momentum: Callable[[int], Array]

    def outgoing(self) -> Array:
        """The momentum that enters at the open slot."""
        return -reduce(operator.add, (self.momentum(slot) for slot in self.waves))

    def cyclic(self) -> tuple[int, int]:
        """The slots of the two vectors that follow the open one of three, in cyclic order."""
        return (self.out + 1) % 3, (self.out + 2) % 3


def _ffv(meeting: Meeting) -> Wave | None:
    waves, (left, right) = meeting.waves, meeting.couplings
    if meeting.out == 2:
        return vertices.spinor_spinor_vector(waves[0], waves[1], left, right)
    if meeting.out == 1:
        return vertices.adjoint_vector(waves[0], waves[2], left, right)
    return vertices.spinor_vector(waves[1], waves[2], left, right)


def _ffs(meeting: Meeting) -> Wave | None:
    waves, y = meeting.waves, meeting.couplings[0]
    if meeting.out == 2:
        met = vertices.spinor_spinor(waves[0], waves[1])
        return None if met is None else y * met
    return vertices.spinor_scalar(waves[1 - meeting.out], waves[2], y)


def _vvv(meeting: Meeting) -> Wave:
    (one, two), k = meeting.cyclic(), meeting.momentum
    first, second = meeting.waves[one], meeting.waves[two]
    made = vertices.vector_vector(first, second, k(one), k(two), meeting.outgoing())
    return vertices.product(meeting.couplings[0], made)


def _vvvs(meeting: Meeting) -> Wave:
    waves, k, coupling = meeting.waves, meeting.momentum, meeting.couplings[0]
    if meeting.out == 3:
        pair = vertices.vector_vector(waves[0], waves[1], k(0), k(1), k(2))
        return vertices.product(coupling, vertices.dot(pair, waves[2]))
    one, two = meeting.cyclic()
    pair = vertices.vector_vector(waves[one], waves[two], k(one), k(two), meeting.outgoing())
    return vertices.product(coupling, pair, waves[3])


def _vectors_scalars(meeting: Meeting) -> Wave:
    """Two vectors in the first slots with one or two scalars; or scalars only."""
    first, second = (meeting.waves.get(slot) for slot in (0, 1))
    scalars = [wave for slot, wave in meeting.waves.items() if slot > 1]
    if first is not None and second is not None:
        return vertices.product(meeting.couplings[0], vertices.dot(first, second), *scalars)
    vector = second if first is None else first
    return vertices.product(meeting.couplings[0], vector, *scalars)


def _scalars(meeting: Meeting) -> Wave:
    return vertices.product(meeting.couplings[0], *meeting.waves.values())


def _vvvv(meeting: Meeting) -> Wave:
    partner = meeting.out ^ 1  # slots 0 and 1 are alike, and 2 and 3
    others = [wave for slot, wave in meeting.waves.items() if slot != partner]
    made = vertices.four_vectors(meeting.waves[partner], *others)
    return vertices.product(meeting.couplings[0], made)


def _gggg(meeting: Meeting) -> Wave:
    made: Wave = vertices.four_gluons(*(meeting.waves[slot] for slot in range(3)))
    return made


def _ggh(meeting: Meeting) -> Wave:
    waves, k, coupling = meeting.waves, meeting.momentum, meeting.couplings[0]
    if meeting.out == 2:
        made = vertices.gluons_to_scalar(waves[0], waves[1], k(0), k(1))
        return vertices.product(coupling, made)
    gluon = 1 - meeting.out
    made = vertices.gluon_scalar(waves[gluon], waves[2], k(gluon), meeting.outgoing())
    return vertices.product(coupling, made)


def _ggggh(meeting: Meeting) -> Wave:
    waves, coupling = meeting.waves, meeting.couplings[0]
    made = vertices.four_gluons(waves[0], waves[1], waves[2])
    if meeting.out == 4:
        return vertices.product(coupling, vertices.dot(made, waves[3]))
    return vertices.product(coupling, made, waves[4])


STRUCTURES: dict[str, Callable[[Meeting], Wave | None]] = {
    "ffv": _ffv,
    "ffs": _ffs,
    "vvv": _vvv,
    "vvs": _vectors_scalars,
    "vvss": _vectors_scalars,
    "sss": _scalars,
    "ssss": _scalars,
    "vvvv": _vvvv,
    "gggg": _gggg,
    "ggh": _ggh,
    "vvvs": _vvvs,
    "ggggh": _ggggh,
}
