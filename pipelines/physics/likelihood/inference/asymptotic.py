"""Tests of a hypothesis with asymptotic distributions: q_mu, q~_mu, CLs, and q0.

Formulas: Cowan, Cranmer, Gross and Vitells, arXiv:1007.1727, whose equation numbers are given.
CLs: Read, J. Phys. G 28 (2002) 2693. Values agree with the asymptotic calculator of pyhf.

Statistics are differences of maxima, so their derivatives follow from the envelope theorem and
exist where mu_hat sits at its bound; the Asimov data follow the fit whose parameters they have.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array, lax
from jax.scipy.special import log_ndtr

from diffpipe.pipelines.physics.likelihood.inference import distributions
from diffpipe.pipelines.physics.likelihood.inference.fit import Fit, LogLikelihood, maximise

STATISTICS = ("q", "qtilde")
FITS = ("fit for the Asimov data", "best fit", "fit at the tested value", "fit to the Asimov data")
BEST = 1


class Likelihood(NamedTuple):
    """A likelihood and the data it expects.

    log_likelihood(theta (n,), model, data (m,)) -> (); expected_data(theta, model) -> data (m,),
    auxiliary measurements included: the Asimov data, at which theta is the best fit (Section 3.2).
    """

    log_likelihood: LogLikelihood
    expected_data: Callable[[Array, Any], Array]


class Hypothesis(NamedTuple):
    """The test of one signal strength mu against the background alone.

    q () and q_asimov (), the statistic of the data and of the Asimov data; clsb () = p_mu,
    clb () = 1 - p_b, cls_observed () their ratio; cls_expected (5,) for -2, -1, 0, 1, 2 sigma;
    mu_hat (); fits, the four of FITS, stacked.
    """

    q: Array
    q_asimov: Array
    clsb: Array
    clb: Array
    cls_observed: Array
    cls_expected: Array
    mu_hat: Array
    fits: Fit


class Discovery(NamedTuple):
    """The test of the background alone, with a signal of strength one expected.

    q () and q_asimov (); p0 () and significance () = sqrt(q0); p0_expected (5,) for 2, 1, 0, -1, -2
    sigma, rising; significance_expected (), the median; mu_hat (); fits, the four of FITS, stacked.
    """

    q: Array
    q_asimov: Array
    p0: Array
    significance: Array
    p0_expected: Array
    significance_expected: Array
    mu_hat: Array
    fits: Fit


def hypothesis(
    likelihood: Likelihood,
    model: Any,
    data: Array,
    *,
    poi: int,
    mu: Array | float,
    start: Array,
    lower: Array,
    upper: Array,
    fixed: Array,
    statistic: str = "qtilde",
) -> Hypothesis:
    """CLs of a signal strength, observed and expected, from the statistic q_mu or q~_mu.

    poi: number of the signal strength among the parameters; mu: its tested value. start, lower,
    upper, fixed: as `maximise` takes them. statistic: q (Eq. 14; mu_hat may be negative, whatever
    its lower bound) or qtilde (Eq. 16; mu_hat >= 0). Asimov data are those of mu = 0 with the other
    parameters fitted to the data.
    Differentiable in model, data and mu. Where mu_hat >= mu, q is 0 and so is its derivative.
    """
    if statistic not in STATISTICS:
        raise ValueError(f"statistic must be one of {', '.join(STATISTICS)}, got {statistic!r}")
    bounded = statistic == "qtilde"
    lower = lower.at[poi].set(0.0 if bounded else -jnp.inf)
    test = _Test(likelihood, model, data, poi, start, lower, upper, fixed)
    q, q_asimov, fits = _statistics(test, jnp.asarray(mu, float), jnp.asarray(0.0))
    mu_hat = fits.theta[BEST, poi]
    q = jnp.where(mu_hat <= mu, q, 0.0)
    log_sb, log_b = distributions.log_tails(q, q_asimov, bounded=bounded)
    p_values = (jnp.exp(log_sb), jnp.exp(log_b), jnp.exp(log_sb - log_b))
    return Hypothesis(q, q_asimov, *p_values, distributions.cls_expected(q_asimov), mu_hat, fits)


def discovery(
    likelihood: Likelihood,
    model: Any,
    data: Array,
    *,
    poi: int,
    start: Array,
    lower: Array,
    upper: Array,
    fixed: Array,
) -> Discovery:
    """p-value of the background alone, observed and expected, from the statistic q0 (Eq. 12).

    Arguments as of `hypothesis`; Asimov data are those of mu = 1 with the other parameters fitted
    to the data. p0 = 1 - Phi(sqrt(q0)), Eq. (52); Z0 = sqrt(q0), Eq. (53). Where mu_hat <= 0, q0 is
    0 and so is its derivative.
    """
    test = _Test(likelihood, model, data, poi, start, lower, upper, fixed)
    q, q_asimov, fits = _statistics(test, jnp.asarray(0.0), jnp.asarray(1.0))
    mu_hat = fits.theta[BEST, poi]
    q = jnp.where(mu_hat >= 0.0, q, 0.0)
    significance, median = distributions.root(q), distributions.root(q_asimov)
    p0, expected = jnp.exp(log_ndtr(-significance)), distributions.p0_expected(q_asimov)
    return Discovery(q, q_asimov, p0, significance, expected, median, mu_hat, fits)


class _Test(NamedTuple):
    likelihood: Likelihood
    model: Any
    data: Array
    poi: int
    start: Array
    lower: Array
    upper: Array
    fixed: Array

    def fit(self, data: Array, mu: Array, hold: Array) -> Fit:
        """A fit with the signal strength held at mu, or free."""
        start = self.start.at[self.poi].set(jnp.where(hold, mu, self.start[self.poi]))
        fixed = self.fixed.at[self.poi].set(hold)
        bounds = {"lower": self.lower, "upper": self.upper}
        log_likelihood = self.likelihood.log_likelihood
        return maximise(log_likelihood, self.model, data, start=start, fixed=fixed, **bounds)


class _Case(NamedTuple):
    mu: Array
    hold: Array
    makes_asimov: Array
    of_asimov: Array


def _statistics(test: _Test, mu: Array, asimov_mu: Array) -> tuple[Array, Array, Fit]:
    """-2 log of the profile likelihood ratio at mu, for the data and for the Asimov data.

    The fits, those of FITS, are turns of one loop, which is compiled once: the first one's
    parameters give the Asimov data, to which the last is made.
    """
    cases = _Case(
        mu=jnp.stack([asimov_mu, mu, mu, mu]),
        hold=jnp.asarray([True, False, True, True]),
        makes_asimov=jnp.asarray([True, False, False, False]),
        of_asimov=jnp.asarray([False, False, False, True]),
    )

    def one(asimov: Array, case: _Case) -> tuple[Array, Fit]:
        fit = test.fit(jnp.where(case.of_asimov, asimov, test.data), case.mu, case.hold)
        made = test.likelihood.expected_data(fit.theta, test.model)
        return jnp.where(case.makes_asimov, made, asimov), fit

    asimov, fits = lax.scan(one, test.data, cases)
    best = test.likelihood.log_likelihood(fits.theta[0], test.model, asimov)
    value = fits.log_likelihood
    return _not_negative(2.0 * (value[1] - value[2])), _not_negative(2.0 * (best - value[3])), fits


def _not_negative(q: Array) -> Array:
    """A difference of maxima without what rounding leaves below zero."""
    return jnp.where(q > 0.0, q, 0.0)
