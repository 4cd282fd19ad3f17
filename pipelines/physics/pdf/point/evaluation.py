"""An evolution at one point of its values, compiled once for all points of the same options.

Few values, many densities: derivatives are taken forward, along one direction at a time.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from diffpipe.pipelines.physics.pdf import options, stage
from diffpipe.pipelines.physics.pdf.evolution.coupling import FOUR_PI
from diffpipe.pipelines.physics.pdf.evolution.theory import coupling_at, running_of
from diffpipe.pipelines.physics.pdf.kernels.stage import pdf_kernels
from diffpipe.pipelines.physics.pdf.options import Plan
from diffpipe.pipelines.physics.pdf.parameters import COUPLINGS
from diffpipe.pipelines.physics.pdf.point.origin import Density, Origin
from diffpipe.pipelines.physics.pdf.problem import Problem, problem

Constants = Mapping[str, Mapping[str, Array]]


class Case(NamedTuple):
    """What is evolved: values (scalars; q2 (q,), muF^2 in GeV^2) and options of the stage."""

    origin: Origin
    options: Mapping[str, Any]
    values: Mapping[str, Array]

    @property
    def plan(self) -> Plan:
        return options.of_mapping(self.options)

    @property
    def coupling(self) -> str:
        """The name under which alpha_s is given."""
        return next(name for name in COUPLINGS if name in self.values)


def evaluate(
    of: Case, tangents: Sequence[Mapping[str, Array]] = ()
) -> tuple[dict[str, Array], list[dict[str, Array]]]:
    """grid (x, q, flavour) and alphas (q,) on the nodes, and their derivatives along tangents."""
    constants = constants_of(of)
    setup = _Setup(tuple(sorted(of.options.items())), of.origin.density)
    if not tangents:
        return _compiled(setup)(of.values, constants), []
    along = _compiled_along(setup)
    found = [along(of.values, tangent, constants) for tangent in tangents]
    return found[0][0], [slope for _, slope in found]


def ready(of: Case) -> Problem:
    """The case as the evolution understands it."""
    return problem(*arguments(of.origin.density, of.values, constants_of(of)), of.options)


class _Setup(NamedTuple):
    """What a compiled function is made for."""

    options: tuple[tuple[str, Any], ...]
    density: Density | None


def constants_of(of: Case) -> Constants:
    """What does not change with the values: kernel matrices, and the arrays of a set."""
    kernels = pdf_kernels({}, {}, **of.plan.kernels())
    return {"kernels": kernels, "set": of.origin.arrays}


def arguments(
    density: Density | None, values: Mapping[str, Array], constants: Constants
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Parameters and inputs of the stage."""
    parameters = {name: value for name, value in values.items() if name != "q2"}
    inputs = dict(constants["kernels"])
    if density is not None:
        inputs["density"] = jax.jit(density)(values, {**constants["set"], "x": inputs["x"]})
    return {**parameters, "scales": jnp.sqrt(values["q2"])}, inputs


def _outputs(setup: _Setup, values: Mapping[str, Array], constants: Constants) -> dict[str, Array]:
    parameters, inputs = arguments(setup.density, values, constants)
    chosen = dict(setup.options)
    densities = stage.pdf_evolution(parameters, inputs, **chosen)["grid"]
    of = problem(parameters, inputs, chosen)
    return {"grid": densities, "alphas": _alphas(of, values["q2"])}


@functools.lru_cache(maxsize=16)
def _compiled(setup: _Setup) -> Callable[..., Any]:
    return jax.jit(functools.partial(_outputs, setup))


@functools.lru_cache(maxsize=16)
def _compiled_along(setup: _Setup) -> Callable[..., Any]:
    def along(values: Any, tangent: Any, constants: Constants) -> Any:
        return jax.jvp(lambda v: _outputs(setup, v, constants), (values,), (tangent,))

    return jax.jit(along)


def _alphas(of: Problem, q2: Array) -> Array:
    """alpha_s(muR^2 = q2), (q,): its thresholds are at muR^2 = kr m^2."""
    running = running_of(of.theory, of.plan.order)
    q = jnp.sqrt(q2 / of.theory.kr)
    first, *more = sorted({*of.plan.flavours, *of.plan.flavours_below})

    log_mu2 = jnp.log(q2)

    def with_flavours(nf: int) -> Array:
        return coupling_at(of.theory, of.alphas_flavours, log_mu2, nf, running)

    a = with_flavours(first)
    for nf in more:
        a = jnp.where(q >= of.theory.masses[nf], with_flavours(nf), a)
    return FOUR_PI * a
