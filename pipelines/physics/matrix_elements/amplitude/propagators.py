"""Propagators: what a current becomes on its way to the next vertex.

Vertices and propagators come with a factor i each. Every current has one of both, so it carries
i^2 = -1, and the amplitude is i times the sum of what these functions make. The unitary gauge,
fixed widths: D = p^2 - m^2 + i m Gamma. k is the entering momentum, components (4, event).
"""

from collections.abc import Sequence
from typing import Any

from jax import Array

from diffpipe.pipelines.physics.matrix_elements.amplitude import vertices
from diffpipe.pipelines.physics.matrix_elements.amplitude.kernel import as_complex, kernel
from diffpipe.pipelines.physics.matrix_elements.amplitude.vertices import dot
from diffpipe.pipelines.physics.matrix_elements.amplitude.waves import Spinor

Wave = Array | Spinor
ROUNDING = 1e-12


@kernel
def denominator(k: Array, mass: Array | None, width: Array | None) -> Array:
    """1/D, (1, event); real where there is no mass or no width."""
    square = (k[0] * k[3] - k[1] * k[2]).real[None, :]
    distance = square if mass is None else square - mass**2
    if mass is None or width is None:
        return 1.0 / distance
    shift = mass * width
    norm = 1.0 / (distance**2 + shift**2)
    return as_complex(distance * norm, -shift * norm)


def vector(v: Array, k: Array, mass: Array | None, inverse: Array) -> Array:
    """-(-g + k k/m^2)/D, without its second term where there is no mass."""
    if mass is not None:
        v = v - k * (dot(v, k) / mass**2)
    return v * inverse


def scalar(s: Array, inverse: Array) -> Array:
    """-1/D."""
    return -s * inverse


@kernel
def spinor(psi: Spinor, k: Array, mass: Array | None, inverse: Array) -> Spinor:
    """-(k-slash + m) psi/D."""
    left = None if psi.right is None else vertices.adjugate_times(k, psi.right)
    right = None if psi.left is None else vertices.times(k, psi.left)
    return _with_mass(Spinor(left, right), psi, mass, -inverse)


@kernel
def adjoint(chi: Spinor, k: Array, mass: Array | None, inverse: Array) -> Spinor:
    """-chi (-k-slash + m)/D: fermion number flows against the entering momentum."""
    left = None if chi.right is None else -vertices.transposed_times(k, chi.right)
    right = None if chi.left is None else -vertices.transposed_adjugate_times(k, chi.left)
    return _with_mass(Spinor(left, right), chi, mass, -inverse)


def _with_mass(slashed: Spinor, plain: Spinor, mass: Array | None, inverse: Array) -> Spinor:
    """(slashed + m plain) inverse, where halves may be absent."""
    if mass is None:
        return Spinor(*(None if each is None else each * inverse for each in slashed))
    scaled = Spinor(*(None if each is None else mass * each for each in plain))
    together = (add(halves) for halves in zip(slashed, scaled, strict=True))
    return Spinor(*(None if each is None else each * inverse for each in together))


def add(waves: Sequence[Array | None]) -> Array | None:
    """The sum of those that are not absent."""
    return vertices.total([each for each in waves if each is not None])


def combine(waves: Sequence[Wave], factors: Sequence[complex]) -> Wave:
    """The sum of the waves times their factors; halves of spinors one by one."""
    if isinstance(waves[0], Spinor):
        halves = (
            add([_times(half, factor) for half, factor in zip(each, factors, strict=True)])
            for each in zip(*waves, strict=True)
        )
        return Spinor(*halves)
    summed = add([_times(each, factor) for each, factor in zip(waves, factors, strict=True)])
    assert summed is not None
    return summed


def _times(wave: Any, factor: complex) -> Any:
    if wave is None or factor == 1:
        return wave
    return -wave if factor == -1 else wave * simple(factor)


def simple(factor: complex) -> complex | float:
    """A real number where the imaginary part is zero, or rounding."""
    return factor.real if abs(factor.imag) <= ROUNDING * abs(factor) else factor
