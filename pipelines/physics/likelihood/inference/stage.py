"""A HistFactory workspace fitted or tested, as a stage that follows its templates."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from diffpipe.pipelines.physics.likelihood.histfactory import model
from diffpipe.pipelines.physics.likelihood.histfactory import stage as histfactory
from diffpipe.pipelines.physics.likelihood.inference import explanation
from diffpipe.pipelines.physics.likelihood.inference.asymptotic import (
    BEST,
    FITS,
    Discovery,
    Hypothesis,
    Likelihood,
    discovery,
    hypothesis,
)
from diffpipe.pipelines.physics.likelihood.inference.covariance import covariance
from diffpipe.pipelines.physics.likelihood.inference.fit import Fit, maximise

LIKELIHOOD = Likelihood(model.log_likelihood, model.expected_data)
MEDIAN = 2  # of the five expected values, that of no fluctuation


def inference(
    parameters: Mapping[str, Array],
    inputs: Mapping[str, Any],
    *,
    at: Mapping[str, Sequence[int]],
    templates: Mapping[str, Mapping[str, Any]],
    channels: Mapping[str, int],  # noqa: ARG001  for `explain_inference`
    names: Sequence[str],  # noqa: ARG001
    held: Sequence[int] = (),
    poi: int | None = None,
    statistic: str | None = None,
    mu: float | None = None,
) -> dict[str, Array]:
    """The best fit of a workspace and, if asked, the test of a signal strength.

    Inputs: those of `histfactory`. Parameters of the stage are held at their values in every fit.
    Outputs: theta (n,), the best fit in pyhf's order; errors (n,), from the curvature there, 0 for
    parameters that are held or sit at a bound; log_likelihood () and twice_nll () = -2 log L of
    the best fit. With statistic q or qtilde: q, q_asimov, clsb, clb, cls_observed and cls_median,
    each (), and cls_expected (5,) for -2 ... 2 sigma. With q0: q, q_asimov, p0, significance and
    significance_expected, each (), and p0_expected (5,). With qtilde the best fit has mu >= 0.
    Derivatives follow from the implicit function theorem (`fit.py`): those of theta and errors are
    refused if a parameter sits at its bound, all if a fit has not converged; the error says which.
    Options are those that `companions.py` makes of a user's: at, templates, channels as of
    `histfactory`; names (n,) of the parameters; held, numbers of those that are fixed; poi, number
    of the signal strength; statistic and mu, the test.
    """
    problem = _problem(parameters, inputs, at=at, templates=templates, held=held)
    made, fit = _inferred(problem, poi, statistic, mu)
    fixed = problem.fixed | fit.at_bound
    errors = covariance(model.log_likelihood, problem.tables, problem.data, fit.theta, fixed)
    best = {"log_likelihood": fit.log_likelihood, "twice_nll": -2.0 * fit.log_likelihood}
    variances = jnp.diagonal(errors)
    determined = jnp.where(fixed, 1.0, variances)  # the root of 0 has no derivative
    return {
        "theta": fit.theta,
        "errors": jnp.where(fixed, 0.0, jnp.sqrt(determined)),
        **best,
        **({} if made is None else _outputs(made)),
    }


def check_inference(
    parameters: Mapping[str, Any],
    inputs: Mapping[str, Any],
    *,
    templates: Mapping[str, Mapping[str, Any]],
    **options: Any,  # noqa: ARG001
) -> None:
    """Refuse what `check_histfactory` refuses."""
    histfactory.check_histfactory(parameters, inputs, templates=templates)


def explain_inference(
    parameters: Mapping[str, Any],
    inputs: Mapping[str, Any],
    *,
    at: Mapping[str, Sequence[int]],
    templates: Mapping[str, Mapping[str, Any]],
    channels: Mapping[str, int],
    names: Sequence[str],
    held: Sequence[int] = (),
    poi: int | None = None,
    statistic: str | None = None,
    mu: float | None = None,
) -> str | None:
    """Which fit has not converged, which parameter sits at its bound or is not determined."""
    arrays = jax.tree.map(jnp.asarray, (dict(parameters), dict(inputs)))
    problem = _problem(*arrays, at=at, templates=templates, held=held)
    made, best = jax.jit(lambda problem: _inferred(problem, poi, statistic, mu))(problem)
    fits = jax.tree.map(lambda each: each[None], best) if made is None else made.fits
    rates = [model.expected_bins(theta, problem.tables) for theta in fits.theta]
    kinds = FITS if made is not None else FITS[BEST:]
    lost = explanation.not_converged(kinds, fits, names, rates, problem.data, channels)
    at_bound = explanation.at_bound(best, names, problem.tables["lower"], problem.tables["upper"])
    return lost or _flat(problem, best, names) or at_bound


class _Problem(NamedTuple):
    tables: Mapping[str, Array]
    data: Array
    start: Array
    fixed: Array

    def space(self) -> dict[str, Array]:
        bounds = {name: self.tables[name] for name in ("lower", "upper")}
        return {"start": self.start, "fixed": self.fixed, **bounds}


def _problem(
    parameters: Mapping[str, Array],
    inputs: Mapping[str, Any],
    *,
    at: Mapping[str, Sequence[int]],
    templates: Mapping[str, Mapping[str, Any]],
    held: Sequence[int],
) -> _Problem:
    tables = histfactory.tables_of(inputs, templates)
    start = histfactory.theta_of(parameters, tables["init"], at)
    given = [i for indices in at.values() for i in indices]
    holding = np.zeros(start.shape, bool)
    holding[[*held, *given]] = True
    return _Problem(tables, tables["data"], start, tables["fixed"] | holding)


def _inferred(
    problem: _Problem, poi: int | None, statistic: str | None, mu: float | None
) -> tuple[Hypothesis | Discovery | None, Fit]:
    """The test, if there is one, and the best fit."""
    space, data = problem.space(), problem.data
    if statistic is None:
        return None, maximise(model.log_likelihood, problem.tables, data, **space)
    if poi is None:
        raise ValueError("a test needs the option poi")
    made: Hypothesis | Discovery
    if statistic == "q0":
        made = discovery(LIKELIHOOD, problem.tables, data, poi=poi, **space)
    else:
        if mu is None:
            raise ValueError(f"the statistic {statistic} needs the option mu")
        made = hypothesis(
            LIKELIHOOD, problem.tables, data, poi=poi, mu=mu, statistic=statistic, **space
        )
    return made, Fit(*(each[BEST] for each in made.fits))


def _outputs(made: Hypothesis | Discovery) -> dict[str, Array]:
    left = {"mu_hat", "fits"}  # mu_hat is in theta
    named = {name: each for name, each in made._asdict().items() if name not in left}
    if isinstance(made, Hypothesis):
        named["cls_median"] = made.cls_expected[MEDIAN]
    return named


def _flat(problem: _Problem, best: Fit, names: Sequence[str]) -> str | None:
    hessian = jax.jit(jax.hessian(model.log_likelihood))(best.theta, problem.tables, problem.data)
    return explanation.undetermined(
        np.asarray(hessian), np.asarray(problem.fixed | best.at_bound), names
    )
