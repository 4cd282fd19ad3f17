"""A compiled workspace evaluated: value and gradient, best fit, CLs, on the device they are for."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
from jax import Array
from jax.typing import ArrayLike

from diffpipe.pipelines.physics.likelihood.histfactory import model
from diffpipe.pipelines.physics.likelihood.histfactory.compile import Compiled
from diffpipe.pipelines.physics.likelihood.inference import asymptotic
from diffpipe.pipelines.physics.likelihood.inference.asymptotic import Hypothesis, Likelihood
from diffpipe.pipelines.physics.likelihood.inference.fit import Fit, maximise

LIKELIHOOD = Likelihood(model.log_likelihood, model.expected_data)
# the older way to emit loops compiles small functions twice as fast, and they run as fast
_OPTIONS = {"cpu": {"xla_cpu_use_fusion_emitters": False}}


class Evaluation:
    """The functions of one workspace, its tables committed to the device once."""

    def __init__(self, made: Compiled) -> None:
        tables: Mapping[str, Array] = jax.device_put(dict(made.tables))
        self.tables = tables

        # tables as constants: to pass them takes as long as a small workspace does
        def evaluate(theta: Array) -> tuple[Array, Array]:
            return jax.value_and_grad(model.log_likelihood)(theta, tables, tables["data"])

        self._gradient = _compiled(evaluate)

    def value_and_gradient(self, theta: ArrayLike) -> tuple[Array, Array]:
        """log L () and its gradient (n,), for the observed data."""
        found: tuple[Array, Array] = self._gradient(theta)
        return found

    def expected_bins(self, theta: ArrayLike) -> Array:
        """What bins expect (bin,)."""
        found: Array = _compiled(model.expected_bins)(theta, self.tables)
        return found

    def best_fit(self) -> Fit:
        """The maximum within the bounds of the measurement."""
        run = _compiled(partial(maximise, model.log_likelihood))
        fit: Fit = run(self.tables, self.tables["data"], **self._box())
        return fit

    def hypothesis(self, poi: int, mu: ArrayLike) -> Hypothesis:
        """The test of a signal strength, which is the parameter `poi`, with q~_mu."""
        run = _compiled(partial(asymptotic.hypothesis, LIKELIHOOD, poi=poi))
        found: Hypothesis = run(self.tables, self.tables["data"], mu=mu, **self._box())
        return found

    def _box(self) -> dict[str, Array]:
        start = self.tables["init"]
        return {"start": start} | {n: self.tables[n] for n in ("lower", "upper", "fixed")}


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    return jax.jit(function, compiler_options=_OPTIONS.get(jax.default_backend()))
