"""|M|^2 of a process: closings met, colours summed, spins summed."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from jax import Array

from diffpipe.pipelines.physics.matrix_elements.amplitude.kernel import kernel, namespace
from diffpipe.pipelines.physics.matrix_elements.amplitude.propagators import (
    ROUNDING,
    combine,
    simple,
)
from diffpipe.pipelines.physics.matrix_elements.amplitude.vertices import lowered
from diffpipe.pipelines.physics.matrix_elements.amplitude.walk import Walk
from diffpipe.pipelines.physics.matrix_elements.amplitude.waves import Spinor
from diffpipe.pipelines.physics.matrix_elements.diagrams.generate import Diagrams

UNROLLED = 40  # entries of a colour matrix above which a matrix product is faster than sums


def assignments(diagrams: Diagrams) -> Iterator[int]:
    """All chiralities of the massless fermions, as bits of their legs."""
    chiral = [1 << leg.number for leg in diagrams.legs if leg.particle.is_chiral]
    for choice in range(1 << len(chiral)):
        yield sum(bit for i, bit in enumerate(chiral) if choice >> i & 1)


def squared(
    diagrams: Diagrams,
    constants: Mapping[str, Array],
    momenta: Array,
    chiralities: Sequence[int],
) -> Array:
    """|M|^2, (event,), summed over colours and spins, averaged over those that come in.

    momenta: (event, leg, 4) in GeV, incoming first; chiralities: those assignments that contribute.
    """
    walk = Walk(diagrams.legs, constants, momenta)
    parts = [by_chirality(diagrams, walk, each) for each in chiralities]
    total = sum(part.sum(axis=tuple(range(part.ndim - 1))) for part in parts)
    strong = 2 * min(each.strong for each in diagrams.closings)
    norm = diagrams.process.average * diagrams.process.identical_factor
    return total * (constants["gs"] ** strong / norm)


def by_chirality(diagrams: Diagrams, walk: Walk, chirality: int) -> Array:
    """|M|^2 of each spin state of one assignment, (spin states ..., event), summed over colours.

    The lowest power of gs is left out, and the average over incoming states.
    """
    met = along_colours(diagrams, walk, chirality)
    columns = [diagrams.colours.index(number) for number in met]
    root = diagrams.colour_root[:, columns]
    if not columns:
        return 0.0 * walk.momentum(1)[:1].real
    return _squares(list(met.values()), root=tuple(map(tuple, root)))


def along_colours(diagrams: Diagrams, walk: Walk, chirality: int) -> dict[int, Array]:
    """The amplitude along each of the colour tensors that it has, (spin states ..., event)."""
    lowest = min(each.strong for each in diagrams.closings)
    found: dict[int, list[tuple[Any, Any, Any]]] = {}
    factors: dict[int, list[complex]] = {}
    for each in diagrams.closings:
        near, far = walk.wave(each.near, chirality), walk.wave(each.far, chirality)
        if near is not None and far is not None and _share(near, far):
            power = walk.constants["gs"] ** (each.strong - lowest) if each.strong > lowest else None
            found.setdefault(each.colour, []).append((near, far, power))
            factors.setdefault(each.colour, []).append(each.factor)
    return {number: _meet(pairs, factors=tuple(factors[number])) for number, pairs in found.items()}


def _share(near: Any, far: Any) -> bool:
    """Whether two waves have a half in common."""
    if not isinstance(near, Spinor):
        return True
    return any(a is not None and b is not None for a, b in zip(near, far, strict=True))


@kernel
def _meet(pairs: Sequence[tuple[Any, Any, Any]], *, factors: tuple[complex, ...]) -> Array:
    """The sum of factor * power * near . far, without the components' axis."""
    total: Any = 0.0
    for (near, far, power), factor in zip(pairs, factors, strict=True):
        met = _contract(near, far) * simple(factor)
        total = total + (met if power is None else met * power)
    return total


def _contract(near: Any, far: Any) -> Any:
    if isinstance(near, Spinor):
        halves = [(a, b) for a, b in zip(near, far, strict=True) if a is not None and b is not None]
        return sum((a * b).sum(axis=-2) for a, b in halves)
    return (near * (lowered(far) if near.shape[-2] == 4 else far)).sum(axis=-2)


@kernel
def _squares(amplitudes: Sequence[Array], *, root: tuple[tuple[complex, ...], ...]) -> Array:
    """sum_k |sum_i R_ki A_i|^2."""
    if len(root) * len(amplitudes) > UNROLLED:
        return _squares_by_product(amplitudes, np.array(root))
    total: Any = 0.0
    for row in root:
        kept = [(each, r) for each, r in zip(amplitudes, row, strict=True) if abs(r) > ROUNDING]
        mixed: Any = combine([each for each, _ in kept], [r for _, r in kept])
        total = total + mixed.real**2 + mixed.imag**2
    return total


def _squares_by_product(amplitudes: Sequence[Array], root: np.ndarray) -> Array:
    """The same by one matrix product: R = X + i Y acts on real and imaginary parts stacked."""
    stacked = namespace(amplitudes[0]).stack(amplitudes)
    flat = stacked.reshape(len(amplitudes), -1)
    parts = namespace(flat).concatenate([flat.real, flat.imag])
    mixed = np.block([[root.real, -root.imag], [root.imag, root.real]]) @ parts
    total: Array = (mixed**2).sum(axis=0).reshape(stacked.shape[1:])
    return total
