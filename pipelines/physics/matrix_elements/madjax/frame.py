"""The fixed frame in which madjax's code is evaluated, away from where its gradients fail.

Its wavefunctions take the square root of a transverse momentum, or of an energy less a momentum,
which is zero for beams along the z axis and for particles at rest: the gradient with respect to
momenta is NaN there. |M|^2 does not change under rotations, so all momenta are rotated by a fixed
one, off any axis. It does not change under boosts either, except for photons and gluons, whose
polarisations depend on the frame as soon as propagators have widths: only processes with a
particle at rest are boosted, and only without those.
"""

import numpy as np

from diffpipe.pipelines.physics.matrix_elements.model.particles import PARTICLES
from diffpipe.pipelines.physics.matrix_elements.process.concrete import Process

AXIS, ANGLE = (0.48, -0.64, 0.6), 1.0
VELOCITY = (0.2, -0.3, 0.15)


def of(process: Process) -> np.ndarray:
    """The Lorentz transformation (4, 4) for a process, to be multiplied from the left."""
    boosted = has_leg_at_rest(process) and not _has_massless_vectors(process)
    return boost() @ rotation() if boosted else rotation()


def has_leg_at_rest(process: Process) -> bool:
    """Whether the rest frame of the process is that of a particle."""
    return len(process.initial) == 1 or len(process.products) == 1


def is_safe(process: Process) -> bool:
    """Whether no leg is at rest in the frame."""
    return not (has_leg_at_rest(process) and _has_massless_vectors(process))


def rotation() -> np.ndarray:
    """By ANGLE around AXIS n: cos + sin n x + (1 - cos) n n (Rodrigues)."""
    n = np.array(AXIS)
    cross = np.cross(np.eye(3), -n)
    turn = np.cos(ANGLE) * np.eye(3) + np.sin(ANGLE) * cross
    turn += (1.0 - np.cos(ANGLE)) * np.outer(n, n)
    matrix = np.eye(4)
    matrix[1:, 1:] = turn
    return matrix


def boost() -> np.ndarray:
    """To the frame in which what was at rest has VELOCITY."""
    v = np.array(VELOCITY)
    gamma = 1.0 / np.sqrt(1.0 - v @ v)
    matrix = np.eye(4)
    matrix[0, 0] = gamma
    matrix[0, 1:] = matrix[1:, 0] = gamma * v
    matrix[1:, 1:] += (gamma - 1.0) * np.outer(v, v) / (v @ v)
    return matrix


def _has_massless_vectors(process: Process) -> bool:
    legs = [PARTICLES[name] for name in process.legs]
    return any(each.spin == 2 and each.mass is None for each in legs)
