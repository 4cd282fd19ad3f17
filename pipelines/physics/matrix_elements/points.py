"""Points of phase space for looking at a process: what a physicist would try first."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from diffpipe.pipelines.physics.matrix_elements.model.particles import PARTICLES
from diffpipe.pipelines.physics.matrix_elements.process.concrete import Process
from diffpipe.pipelines.physics.refusal import RefusedError

NEWTON_STEPS = 60


def sample(
    incoming: Sequence[float], outgoing: Sequence[float], count: int, energy: float | None = None
) -> np.ndarray:
    """Momenta (count, leg, 4) in GeV, the same for each call: a decay at rest, or beams along z.

    Outgoing particles by the method of R. Kleiss, W. J. Stirling and S. D. Ellis (Comput. Phys.
    Commun. 40 (1986) 359), their masses by its common rescaling. energy: sqrt(s), by default well
    above threshold.
    """
    threshold = max(sum(outgoing), sum(incoming))
    if len(incoming) == 2 and len(outgoing) == 1:
        return _beams_to_one(incoming, outgoing[0], count)
    total = incoming[0] if len(incoming) == 1 else energy or default_energy(threshold)
    if total <= sum(outgoing) or (len(incoming) == 2 and total <= sum(incoming)):
        raise RefusedError(
            f"an energy of {total:g} GeV is below the masses of the particles, {threshold:g} GeV",
            hint="raise the energy, or lower the masses",
        )
    random = np.random.default_rng(len(incoming) + 10 * len(outgoing))
    final = massive(massless(len(outgoing), total, count, random), np.array(outgoing), total)
    return np.concatenate([_beams(np.array(incoming), total, count), final], axis=1)


def default_energy(threshold: float) -> float:
    """sqrt(s) of the sample points, GeV."""
    return 500.0 if threshold < 250.0 else 2.0 * threshold


def massless(n: int, energy: float, count: int, random: np.random.Generator) -> np.ndarray:
    """Isotropic massless momenta of given total energy, at rest together: (count, n, 4)."""
    cosine, phi = 2.0 * random.random((count, n)) - 1.0, 2.0 * np.pi * random.random((count, n))
    size = -np.log(random.random((count, n)) * random.random((count, n)))
    sine = np.sqrt(1.0 - cosine**2)
    direction = np.stack([sine * np.cos(phi), sine * np.sin(phi), cosine], axis=-1)
    q = np.concatenate([size[..., None], size[..., None] * direction], axis=-1)
    total = q.sum(axis=1)
    mass = np.sqrt(total[:, 0] ** 2 - (total[:, 1:] ** 2).sum(axis=1))
    boost, gamma = -total[:, 1:] / mass[:, None], total[:, 0] / mass
    along = np.einsum("ei,eni->en", boost, q[..., 1:])
    e = gamma[:, None] * q[..., 0] + along
    p = q[..., 1:] + boost[:, None] * (q[..., 0] + along / (1.0 + gamma[:, None]))[..., None]
    return np.concatenate([e[..., None], p], axis=-1) * (energy / mass)[:, None, None]


def massive(p: np.ndarray, masses: np.ndarray, energy: float) -> np.ndarray:
    """The same directions with masses: all three-momenta scaled by one factor per event."""
    size2 = (p[..., 1:] ** 2).sum(axis=-1)
    scale = np.full(len(p), np.sqrt(1.0 - (masses.sum() / energy) ** 2))
    for _ in range(NEWTON_STEPS):
        e = np.sqrt(masses**2 + scale[:, None] ** 2 * size2)
        scale -= (e.sum(axis=1) - energy) / (scale[:, None] * size2 / e).sum(axis=1)
    e = np.sqrt(masses**2 + scale[:, None] ** 2 * size2)
    return np.concatenate([e[..., None], p[..., 1:] * scale[:, None, None]], axis=-1)


def _beams_to_one(incoming: Sequence[float], mass: float, count: int) -> np.ndarray:
    """Two beams that make one particle at rest."""
    at_rest = np.tile([[[mass, 0.0, 0.0, 0.0]]], (count, 1, 1))
    return np.concatenate([_beams(np.array(incoming), mass, count), at_rest], axis=1)


def _beams(masses: np.ndarray, energy: float, count: int) -> np.ndarray:
    if len(masses) == 1:
        return np.tile([[[energy, 0.0, 0.0, 0.0]]], (count, 1, 1))
    s = energy**2
    first = (s + masses[0] ** 2 - masses[1] ** 2) / (2.0 * energy)
    along = np.sqrt(first**2 - masses[0] ** 2)
    beams = [[first, 0.0, 0.0, along], [energy - first, 0.0, 0.0, -along]]
    return np.tile([beams], (count, 1, 1))


def of(process: Process, constants: Mapping[str, Any], count: int) -> np.ndarray:
    """Sample points of a process."""
    masses = [float(constants[m]) if m else 0.0 for m in (PARTICLES[n].mass for n in process.legs)]
    first = len(process.initial)
    return sample(masses[:first], masses[first:], count)
