"""The stages that evolve parton densities: one set of densities, or the operator for many."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jax import Array

from diffpipe.pipelines.physics.pdf import sanity, sum_rules
from diffpipe.pipelines.physics.pdf.evolution import coupling, operator, state
from diffpipe.pipelines.physics.pdf.evolution.state import State
from diffpipe.pipelines.physics.pdf.options import STAGE
from diffpipe.pipelines.physics.pdf.problem import Problem, problem
from diffpipe.pipelines.physics.refusal import RefusedError


def pdf_evolution(
    parameters: Mapping[str, Array], inputs: Mapping[str, Array], **options: Any
) -> dict[str, Array]:
    """Parton densities of the proton by DGLAP evolution, on a grid in x and Q.

    Parameters, all optional and differentiable: alphas_mz, alpha_s(91.1876 GeV); or alphas_q0,
    alpha_s(q0); or alphas, at the input's own scale. mc, mb, mt (also m_c, ...), pole masses in
    GeV. scales, muF in GeV, (q,). q0, muF in GeV where the densities are given. kr = muR^2/muF^2.
    pdf.<name>, those of the input. What is not given is the input's.
    Inputs, brought along by the stage itself: the matrices of `pdf_kernels`, and `density` (11, x)
    where the input is a set or a function; `table_xf` (11, x of the table) where it is a table.
    Outputs: grid (x, q, flavour), x f(x, Q), flavours as `flavours.names`: u d s c b, their
    antiquarks, g (with t and tbar if six flavours are met); x (x,), falling; ln_q (q,), GeV; alphas
    (q,), alpha_s(muR = sqrt(kr) Q); momentum_sum (), the share of the proton's momentum at the last
    scale, and number_sums (3,), the numbers of u, d, s less their antiquarks there; below x_min a
    power of x.
    Options: scales, Q in GeV, a list or {min, max, count} evenly in ln Q (unless a parameter);
    input; order LO, NLO, NNLO; scheme VFNS or FFNS; nf, flavours at q0 (VFNS 3, FFNS 4); nf_max
    (5); kr (1); q0; alphas_scale, alphas_flavours, where alpha_s is given; backward, to allow
    scales below q0; precision, precise (100 points, 3 steps) or fast (70, 2), or x_min (1e-7),
    points, steps (for each number of flavours) themselves; heavy_from_gluon, parametrised (as in
    the benchmarks) or exact; table_x, the nodes of a table; sum_rules, checked, ignored,
    or kept: valence of u and d and the gluon are scaled so that parameters of shapes leave numbers
    and momentum as they are with the shapes that were published.
    Raises ValueError for a wrong option.
    Source: hep-ph/0408244, section 2, for the equations; hep-ph/0204316, section 1.3, and
    hep-ph/0511119, section 4.4, for the benchmarks.
    """
    of = problem(parameters, inputs, options)
    first, last = of.plan.flavours[0], of.plan.flavours[-1]
    start = state.from_flavours(of.densities()[:, :, None], first, last)

    def read(now: State, projection: Array) -> Array:
        return state.to_flavours(now, projection)[:, :, 0]

    evolved = of.evolve(start, read)
    return _tabulated(of, jnp.transpose(evolved.values, (2, 0, 1)), evolved.a)


def pdf_operator(
    parameters: Mapping[str, Array], inputs: Mapping[str, Array], **options: Any
) -> dict[str, Array]:
    """The evolution operator on the grid, for many densities at one set of theory parameters.

    Parameters and options as those of `pdf_evolution`, without what belongs to an input's
    densities; `input` only gives the usual values of couplings, masses and q0.
    Outputs: operator (q, flavour, x, flavour, x), from the second flavour and x, at q0, to the
    first, at Q; x (x,); ln_q (q,); alphas (q,). `pdf_from_operator` applies it.
    Raises ValueError for a wrong option.
    """
    of = problem(parameters, inputs, options)
    if of.plan.flavours_below:
        raise RefusedError(f"{STAGE}: an operator leads upwards only", hint="leave out backward")
    nf, to_come = of.plan.flavours[0], len(of.plan.flavours) - 1

    def read(now: State, projection: Array) -> Array:
        return operator.in_flavours(now, projection, nf)

    evolved = of.evolve(operator.unit(of.plan.points, to_come), read)
    return {"operator": evolved.values} | _axes(of, evolved.a)


def pdf_from_operator(
    parameters: Mapping[str, Array],  # noqa: ARG001  a stage takes both
    inputs: Mapping[str, Array],
) -> dict[str, Array]:
    """Densities at the scales of an operator, linear in those at q0.

    Inputs: operator (q, flavour, x, flavour, x) of `pdf_operator`; density (flavour, x), or
    (member, flavour, x), x f on its nodes. Output: grid (x, q, flavour), with a leading axis of
    members where there are any.
    """
    return {"grid": jnp.einsum("qfigj,...gj->...iqf", inputs["operator"], inputs["density"])}


def check_pdf_evolution(
    parameters: Mapping[str, Array], inputs: Mapping[str, Array], **options: Any
) -> None:
    """Refuse values that make no evolution (the runner calls it once, with the numbers)."""
    of = problem(parameters, inputs, options)
    sanity.check(of, with_sum_rules=options.get("sum_rules") != "ignored")


def check_pdf_operator(
    parameters: Mapping[str, Array], inputs: Mapping[str, Array], **options: Any
) -> None:
    """As `check_pdf_evolution`, without the densities."""
    sanity.check(problem(parameters, inputs, options), with_sum_rules=False)


def _axes(of: Problem, a: Array) -> dict[str, Array]:
    return {
        "x": jnp.asarray(of.x),
        "ln_q": jnp.log(of.scales),
        "alphas": coupling.FOUR_PI * a,
    }


def _tabulated(of: Problem, values: Array, a: Array) -> dict[str, Array]:
    last = values[:, -1].T
    carried = {
        "momentum_sum": sum_rules.momentum(last, of.plan.x_min, of.plan.points),
        "number_sums": sum_rules.numbers(last, of.plan.x_min, of.plan.points),
    }
    return {"grid": values} | _axes(of, a) | carried
