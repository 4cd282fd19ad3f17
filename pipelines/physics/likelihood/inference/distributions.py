"""Asymptotic distributions of likelihood-ratio statistics, as p-values of roots of q.

Formulas: Cowan, Cranmer, Gross and Vitells, arXiv:1007.1727, whose equation numbers are given.
Phi is taken as a logarithm throughout, so that ratios of small p-values keep all digits.
"""

import jax.numpy as jnp
from jax import Array
from jax.scipy.special import log_ndtr

SIGMAS = (-2.0, -1.0, 0.0, 1.0, 2.0)


def root(q: Array) -> Array:
    """sqrt(q) of a statistic q >= 0, with derivative 0 at q = 0.

    sqrt(q) is linear in the distance of mu_hat from mu and has a kink where mu_hat = mu: q stays 0
    beyond. The derivative there is that of the flat side, and not the 0 times infinity of the
    chain rule.
    """
    positive = q > 0.0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, q, 1.0)), 0.0)


def log_tails(q: Array, q_asimov: Array, *, bounded: bool) -> tuple[Array, Array]:
    """log p_mu and log(1 - p_b) of q_mu, or of q~_mu if `bounded`.

    q_mu: p_mu = 1 - Phi(sqrt(q)), Eq. (59), and under the background alone, whose Asimov data give
    q_A = mu^2/sigma^2 (Eq. 30), 1 - p_b = 1 - Phi(sqrt(q) - sqrt(q_A)), Eq. (57). The same holds
    for q~_mu up to q_A; above, Eqs. (65) and (66): 1 - Phi((q +- q_A)/(2 sqrt(q_A))).
    """
    observed, asimov = root(q), root(q_asimov)
    if not bounded:
        return log_ndtr(-observed), log_ndtr(asimov - observed)
    beyond = (q > q_asimov) & (q_asimov > 0.0)
    width = 2.0 * jnp.where(beyond, asimov, 1.0)
    tested = jnp.where(beyond, (q + q_asimov) / width, observed)
    background = jnp.where(beyond, (q - q_asimov) / width, observed - asimov)
    return log_ndtr(-tested), log_ndtr(-background)


def cls_expected(q_asimov: Array) -> Array:
    """CLs (5,) if the background alone fluctuates by -2, -1, 0, 1, 2 sigma towards a signal.

    sqrt(q) is then sqrt(q_A) - n: Section 4.
    """
    fluctuated = jnp.asarray(SIGMAS)
    return jnp.exp(log_ndtr(fluctuated - root(q_asimov)) - log_ndtr(fluctuated))


def p0_expected(q0_asimov: Array) -> Array:
    """p-value of the background (5,) if a signal of strength one fluctuates by 2 ... -2 sigma.

    sqrt(q0) is then sqrt(q0_A) + n, n = 2, 1, 0, -1, -2, p-values rising; Eq. (52) and Section 4.
    """
    return jnp.exp(log_ndtr(jnp.asarray(SIGMAS) - root(q0_asimov)))
