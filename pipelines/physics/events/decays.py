"""n legs flat in phase space, as a chain of two-body decays; exact for massless legs.

Q_i = p_i + ... + p_n, of mass M_i, decays to p_i and Q_{i+1}; Q_1 is all legs and Q_n = p_n. With
S_i = m_i + ... + m_n, K_i = M_i - S_i is what is left of M_i above its threshold. A decay has

    dPhi_2 = |p| / (4 pi M_i) times what is uniform in cos(theta) and phi,
    2 M_i |p| = sqrt(D_i (D_i + 2 m_i) (T_i + 2 S_{i+1}) (T_i + 2 S_i)),  D_i = K_i - K_{i+1},
                                                                          T_i = K_i + K_{i+1},

which is lambda^(1/2)(M_i^2, m_i^2, M_{i+1}^2) in sums alone, so that nothing cancels near a
threshold. Phase space is the product of the decays and of dM_i^2/(2 pi), i = 2 ... n-1. Massless
legs that follow the i-th have a volume that goes as K_{i+1}^(2k-2), k = n-i-1; so (K_{i+1}/K_i)^2 =
x has the density k (k+1) x^(k-1) (1-x), and where it is drawn from that, every event weighs V_n,
the volume. With masses, K_i is drawn as before; an event then weighs V_n(K_1) times the ratio of
the measures: dM_i^2/dK_i^2 = M_i/K_i, and |p|/M_i over that of massless legs,

    D_i T_i h_i / (2 M_i^2) over D_i T_i / (2 K_i^2),
    h_i^2 = (1 + 2 m_i/D_i) (1 + 2 S_{i+1}/T_i) (1 + 2 S_i/T_i).

Source: S. Platzer, "RAMBO on diet", arXiv:1308.2922.
"""

import math
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

NEWTON_STEPS = 7  # to rounding, for up to 14 legs


class Decay(NamedTuple):
    """Q -> p + Q', per event in GeV."""

    mass: Array  # of Q
    leg: Array  # mass of p
    rest: Array  # mass of Q'
    momentum: Array  # |p| at rest of Q
    weight: Array  # h K/M


def decays(available: Array, masses: Sequence[Array], unit: Array) -> list[Decay]:
    """The n-1 decays where sqrt(s) is the sum of the masses and `available`, (event,) in GeV.

    masses: m_i in GeV, scalars. unit: (event, n-2), numbers in (0, 1) that place the masses M_i.
    """
    sums = list(accumulate(reversed(masses)))[::-1]
    left, drops = [available], []
    for number, k in enumerate(range(len(masses) - 2, 0, -1)):
        ratio, complement = mass_ratio(unit[:, number], k)
        drops.append(left[-1] * complement)
        left.append(left[-1] * ratio)
    left, drops = [*left, jnp.zeros_like(available)], [*drops, left[-1]]
    return [
        _decay(left[i : i + 2], drop, masses[i], sums[i : i + 2]) for i, drop in enumerate(drops)
    ]


def weight(of: Sequence[Decay], available: Array) -> Array:
    """The volume of phase space that an event stands for, (event,) in GeV^(2n-4)."""
    product = massless_volume(len(of) + 1, available) * (available / of[0].mass)
    for decay in of:
        product = product * decay.weight
    return product


def momenta(of: Sequence[Decay], angles: Array) -> Array:
    """Momenta of the legs in the frame of Q_1, (event, n, 4) [E, px, py, pz] in GeV.

    angles: (event, 2n-2), numbers in (0, 1): (1 + cos(theta))/2 and phi/(2 pi) of each decay.
    """
    frame = on_shell(jnp.zeros((angles.shape[0], 3)), of[0].mass)
    legs = []
    for number, decay in enumerate(of):
        direction = _direction(angles[:, 2 * number], angles[:, 2 * number + 1])
        three = decay.momentum[:, None] * direction
        legs.append(_boosted(three, decay.leg, frame, decay.mass))
        frame = _boosted(-three, decay.rest, frame, decay.mass)
    return jnp.stack([*legs, frame], axis=1)


def on_shell(three: Array, mass: Array) -> Array:
    """Momenta (event, 4) with the energy that the mass demands; three: (event, 3)."""
    energy = jnp.sqrt(jnp.sum(three**2, axis=1) + mass**2)
    return jnp.concatenate([energy[:, None], three], axis=1)


def massless_volume(legs: int, energy: Array) -> Array:
    """V_n, the integral of dPhi_n over n massless legs of sqrt(s) = energy, in GeV^(2n-4)."""
    constant = (2.0 * math.pi) ** (4 - 3 * legs) * (math.pi / 2.0) ** (legs - 1)
    constant /= math.factorial(legs - 1) * math.factorial(legs - 2)
    return constant * energy ** (2 * legs - 4)


def mass_ratio(number: Array, k: int) -> tuple[Array, Array]:
    """sqrt(x) and 1 - sqrt(x), both to 1e-14 of themselves, with (k+1) x^k - k x^(k+1) = number.

    With y = 1 - x the polynomial is x^k (1 + k y), and what it lacks to 1 is y^2 (1 + 2 x + ... +
    k x^(k-1)). The k-th root of the one and the square root of the other rise concavely in x and
    in y; each is solved in its half of (0, 1), where it keeps away from slope 0.
    """
    low = number < 0.5
    below, above = jnp.where(low, number, 0.25), jnp.where(low, 0.25, 1.0 - number)
    x = _root(lambda x: x * (1.0 + k * (1.0 - x)) ** (1.0 / k), below ** (1.0 / k))
    y = _root(lambda y: y * jnp.sqrt(_polynomial(1.0 - y, k)), jnp.sqrt(above))
    ratio = jnp.sqrt(jnp.where(low, x, 1.0 - y))
    return ratio, jnp.where(low, 1.0 - x, y) / (1.0 + ratio)


def _root(function: Callable[[Array], Array], target: Array) -> Array:
    """t with function(t) = target, for a function that is 0 at 0 and rises concavely.

    Newton's steps from 0 stay below the root. The last alone is differentiated, which gives
    dt/dtarget = 1/function'(t) in either mode.
    """

    def step(t: Array, target: Array) -> Array:
        value, slope = jax.jvp(function, (t,), (jnp.ones_like(t),))
        return t + (target - value) / slope

    t = jnp.zeros_like(target)
    for _ in range(NEWTON_STEPS - 1):
        t = step(t, jax.lax.stop_gradient(target))
    return step(jax.lax.stop_gradient(t), target)


def _polynomial(x: Array, k: int) -> Array:
    """1 + 2 x + ... + k x^(k-1)."""
    value = jnp.full_like(x, float(k))
    for coefficient in range(k - 1, 0, -1):
        value = value * x + float(coefficient)
    return value


def _decay(left: Sequence[Array], drop: Array, leg: Array, sums: Sequence[Array]) -> Decay:
    """The decay with (K_i, K_{i+1}), D_i, m_i and (S_i, S_{i+1})."""
    mass, rest = left[0] + sums[0], left[1] + sums[1]
    total = left[0] + left[1]  # T
    squared = (1.0 + 2.0 * leg / drop) * (1.0 + 2.0 * sums[1] / total)
    heavier = jnp.sqrt(squared * (1.0 + 2.0 * sums[0] / total))  # h
    momentum = 0.5 * drop * total * heavier / mass
    return Decay(mass, leg, rest, momentum, heavier * (left[0] / mass))


def _direction(polar: Array, azimuth: Array) -> Array:
    """Unit vectors (event, 3)."""
    sine = 2.0 * jnp.sqrt(polar * (1.0 - polar))
    phi = 2.0 * math.pi * azimuth
    return jnp.stack([sine * jnp.cos(phi), sine * jnp.sin(phi), 2.0 * polar - 1.0], axis=1)


def _boosted(three: Array, mass: Array, frame: Array, frame_mass: Array) -> Array:
    """The momentum (event, 3), given at rest of `frame` (event, 4), where that frame moves.

    The energy is taken from the mass, so that mass shells hold to rounding after any boost.
    """
    energy = on_shell(three, mass)[:, 0]
    along = jnp.sum(frame[:, 1:] * three, axis=1)
    factor = (energy + along / (frame[:, 0] + frame_mass)) / frame_mass
    return on_shell(three + factor[:, None] * frame[:, 1:], mass)
