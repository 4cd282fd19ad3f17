"""Momenta of events: brought onto the mass shell, and checked."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from diffpipe.pipelines.physics.refusal import RefusedError

NEWTON_STEPS = 3  # from the right answer: exact up to seventh derivatives
TOLERANCE = 1e-6  # of the event's energy: event files are printed with 7 digits or more


def on_shell(momenta: Array, masses: Sequence[Array | float], incoming: int) -> Array:
    """Momenta (event, leg, 4) on the shells of the masses: how they move when a mass moves.

    The total momentum and all directions in its rest frame stay; the three-momenta there are scaled
    by one factor for the legs that come in, and one for those that leave. Momenta that are on shell
    stay as they are, and their derivatives are taken at fixed s, directions and boost. The energy
    of a decay is the mass of what decays.
    """
    if incoming == 1:
        return _decay(momenta, masses)
    total = momenta[:, incoming:].sum(axis=1)
    energy = _mass(total)
    sides = ((0, incoming), (incoming, momenta.shape[1]))
    scaled = [
        _scaled(_at_rest(momenta[:, a:b], total, energy), masses[a:b], energy) for a, b in sides
    ]
    return jnp.concatenate([_boosted(each, total, energy) for each in scaled], axis=1)


def _decay(momenta: Array, masses: Sequence[Array | float]) -> Array:
    total = momenta[:, 0]
    old = _mass(total)
    new = jnp.broadcast_to(jnp.asarray(masses[0]), old.shape)
    rest = _scaled(_at_rest(momenta[:, 1:], total, old), masses[1:], new)
    moved = total * (new / old)[:, None]  # the same velocity
    legs = _boosted(rest, moved, new)
    return jnp.concatenate([moved[:, None], legs], axis=1)


def _mass(p: Array) -> Array:
    return jnp.sqrt(p[:, 0] ** 2 - (p[:, 1:] ** 2).sum(axis=1))


def _scaled(p: Array, masses: Sequence[Array | float], energy: Array) -> Array:
    """Three-momenta at rest times the factor that gives these masses and this energy."""
    size2 = (p[..., 1:] ** 2).sum(axis=-1)
    mass2 = jnp.stack([jnp.broadcast_to(jnp.asarray(m) ** 2, energy.shape) for m in masses], axis=1)
    scale = jnp.ones_like(energy)
    for _ in range(NEWTON_STEPS):
        e = jnp.sqrt(mass2 + scale[:, None] ** 2 * size2)
        slope = scale * (size2 / e).sum(axis=1)
        scale = scale - (e.sum(axis=1) - energy) / slope
    e = jnp.sqrt(mass2 + scale[:, None] ** 2 * size2)
    return jnp.concatenate([e[..., None], p[..., 1:] * scale[:, None, None]], axis=-1)


def _at_rest(p: Array, total: Array, mass: Array) -> Array:
    """Momenta in the rest frame of the total."""
    return _transformed(p, -total[:, 1:] / mass[:, None], total[:, 0] / mass)


def _boosted(p: Array, total: Array, mass: Array) -> Array:
    """Momenta from the rest frame of the total back to where it has its momentum."""
    return _transformed(p, total[:, 1:] / mass[:, None], total[:, 0] / mass)


def _transformed(p: Array, u: Array, gamma: Array) -> Array:
    """A boost with four-velocity (gamma, u)."""
    along = (p[..., 1:] * u[:, None, :]).sum(axis=-1)
    e = gamma[:, None] * p[..., 0] + along
    shift = p[..., 0] + along / (1.0 + gamma[:, None])
    return jnp.concatenate([e[..., None], p[..., 1:] + u[:, None, :] * shift[..., None]], axis=-1)


def check_shape(shape: tuple[int, ...], legs: Sequence[str]) -> None:
    """RefusedError unless there are four components for each of the legs."""
    if len(shape) != 3 or shape[1:] != (len(legs), 4):
        raise RefusedError(
            f"momenta of {' '.join(legs)} have shape (event, {len(legs)}, 4), got {shape}",
            hint="[E, px, py, pz] in GeV, incoming legs first, in the order of the process",
        )


def check(momenta: np.ndarray, legs: Sequence[str], masses: Sequence[float], incoming: int) -> None:
    """RefusedError unless the momenta have the shape, masses and balance of the process."""
    check_shape(momenta.shape, legs)
    if not np.isfinite(momenta).all():
        event = int(np.argwhere(~np.isfinite(momenta))[0][0])
        raise RefusedError(f"momenta of event {event} are not finite: {momenta[event].tolist()}")
    scale = momenta[:, :incoming, 0].sum(axis=1)
    _check_balance(momenta, scale, incoming)
    _check_shells(momenta, scale, legs, masses)


def _check_balance(momenta: np.ndarray, scale: np.ndarray, incoming: int) -> None:
    left = momenta[:, :incoming].sum(axis=1) - momenta[:, incoming:].sum(axis=1)
    off = np.abs(left).max(axis=1) / np.abs(scale)
    if not off.max() <= TOLERANCE:
        event = int(off.argmax())
        raise RefusedError(
            f"momenta of event {event} do not balance: incoming minus outgoing is "
            f"{_listed(left[event])} GeV, tolerance {TOLERANCE:g} of the energy",
            hint="are incoming legs first, and are all particles of the event there?",
        )


def _check_shells(
    momenta: np.ndarray, scale: np.ndarray, legs: Sequence[str], masses: Sequence[float]
) -> None:
    square = momenta[..., 0] ** 2 - (momenta[..., 1:] ** 2).sum(axis=-1)
    off = np.abs(square - np.square(masses)) / scale[:, None] ** 2
    if not off.max() <= TOLERANCE:
        event, leg = (int(i) for i in np.unravel_index(off.argmax(), off.shape))
        mass = np.sign(square[event, leg]) * np.sqrt(abs(square[event, leg]))
        raise RefusedError(
            f"momentum of event {event}, leg {leg} ({legs[leg]}) is off shell: "
            f"{_listed(momenta[event, leg])} has mass {mass:g} GeV, not {masses[leg]:g}; p^2 may "
            f"differ by {TOLERANCE:g} of the squared energy",
            hint="check the order of the legs, and set the mass to that of the events",
        )


def _listed(p: Any) -> str:
    return "[" + ", ".join(f"{each:.6g}" for each in p) + "]"
