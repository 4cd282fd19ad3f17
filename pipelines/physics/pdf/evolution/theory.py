"""The values that an evolution depends on, and the coupling that follows from them."""

from collections.abc import Mapping
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from diffpipe.pipelines.physics.pdf.evolution import coupling
from diffpipe.pipelines.physics.pdf.evolution.coupling import Running


class Theory(NamedTuple):
    """Values that the evolution depends on, all differentiable."""

    a: Array  # alpha_s/(4 pi) with `a_flavours` flavours ...
    a_scale: Array  # ... at muR = this, GeV
    masses: Mapping[int, Array]  # flavours above a threshold -> pole mass, GeV
    q0: Array  # muF where the densities are given, GeV
    kr: Array  # muR^2/muF^2


def running_of(theory: Theory, order: str) -> Running:
    """What the coupling runs with: it changes flavours where the densities do."""
    log_kr = jnp.log(theory.kr)
    log_m2 = {nf: 2.0 * jnp.log(mass) + log_kr for nf, mass in theory.masses.items()}
    return Running(order, log_kr, log_m2)


def coupling_at(
    theory: Theory, a_flavours: int, log_mu2: Array, nf: int, running: Running
) -> Array:
    """alpha_s/(4 pi) with nf flavours at muR^2 = exp(log_mu2) GeV^2."""
    start = 2.0 * jnp.log(theory.a_scale)
    a, reached = coupling.to_flavours(theory.a, start, a_flavours, nf, running)
    return coupling.run(a, log_mu2 - reached, running.order, nf)
