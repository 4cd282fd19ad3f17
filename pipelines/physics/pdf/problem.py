"""An evolution made ready: options parsed, values found, kernels at hand."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from diffpipe.pipelines.physics import checks
from diffpipe.pipelines.physics.pdf import flavours, grid, sum_rules
from diffpipe.pipelines.physics.pdf.evolution import legs
from diffpipe.pipelines.physics.pdf.evolution.legs import Evolved, Kernels, Settings
from diffpipe.pipelines.physics.pdf.evolution.state import State
from diffpipe.pipelines.physics.pdf.evolution.theory import Theory
from diffpipe.pipelines.physics.pdf.inputs import catalogue, tabulated
from diffpipe.pipelines.physics.pdf.inputs.base import Input
from diffpipe.pipelines.physics.pdf.kernels import stage as kernel_stage
from diffpipe.pipelines.physics.pdf.kernels.tables import KernelMatrices, MatchingMatrices
from diffpipe.pipelines.physics.pdf.options import STAGE, Plan, split
from diffpipe.pipelines.physics.pdf.parameters import (
    TABLE,
    given,
    known_input,
    own_parameters,
    theory,
)
from diffpipe.pipelines.physics.refusal import RefusedError

SUM_RULES = ("checked", "kept", "ignored")


class Problem(NamedTuple):
    """What is to be evolved, with what, and where to."""

    plan: Plan
    input: Input | None
    own: Mapping[str, Array]
    theory: Theory
    alphas_flavours: int
    scales: Array
    kernels: Kernels
    x: np.ndarray
    density: Array | None  # of an input from elsewhere
    keeps_sums: bool

    def densities(self) -> Array:
        """x f (11, x) at q0."""
        if self.density is not None:
            return self.density
        assert self.input is not None
        found = catalogue.density(self.input, self.own, self.x)
        if not self.keeps_sums:
            return found
        norms = {name: value for name, value in self.own.items() if name in self.input.norms}
        like = catalogue.density(self.input, norms, self.x)
        return sum_rules.kept(found, like, self.plan.x_min, self.plan.points)

    @property
    def axis(self) -> int:
        """The length of the flavour axis."""
        return len(flavours.names(self.plan.flavours[-1]))

    def evolve(self, start: State, read: Callable[[State, Array], Array]) -> Evolved:
        """`start` at the scales, as `read` reads it."""
        plan = self.plan
        return legs.evolve(
            start,
            self.theory,
            self.alphas_flavours,
            self.scales,
            Settings(plan.order, plan.flavours, plan.flavours_below, plan.steps),
            self.kernels,
            self.axis,
            read,
        )


class _Values(NamedTuple):
    """The options of `pdf_evolution` that are no part of the plan."""

    input: str = "mstw2008lo"
    scales: Sequence[float] | Mapping[str, float] | None = None
    q0: float | None = None
    kr: float | None = None
    alphas_scale: float | None = None
    alphas_flavours: int | None = None
    table_x: Sequence[float] | None = None
    sum_rules: str = "checked"


def problem(
    parameters: Mapping[str, Array], inputs: Mapping[str, Array], options: Mapping[str, Any]
) -> Problem:
    """From what a stage is given; raises ValueError for a wrong option or parameter."""
    plan, others = split(options, _Values._fields)
    values = _parsed(others)
    own, input = own_parameters(parameters), known_input(values.input)
    keeps_sums = _keeps_sums(values, input)
    q0 = given("q0", parameters, inputs, values.q0, input and input.q0)
    kr = given("kr", parameters, {}, values.kr, 1.0)
    found, alphas_flavours = theory(
        parameters, q0, kr, input, plan.flavours, values.alphas_scale, values.alphas_flavours
    )
    x = grid.nodes(plan.x_min, plan.points)
    return Problem(
        plan,
        input,
        own,
        found,
        alphas_flavours,
        _scales(parameters, values.scales),
        _kernels(plan, inputs),
        x,
        _density(values, inputs, x),
        keeps_sums,
    )


def _parsed(options: Mapping[str, Any]) -> _Values:
    for name in ("q0", "kr", "alphas_scale"):
        if options.get(name) is not None:
            checks.positive_number(STAGE, name, options[name])
    if options.get("alphas_flavours") is not None:
        checks.integer(STAGE, "alphas_flavours", options["alphas_flavours"], at_least=3)
    checks.one_of(STAGE, "sum_rules", options.get("sum_rules", "checked"), SUM_RULES)
    return _Values(**options)


def _kernels(plan: Plan, inputs: Mapping[str, Array]) -> Kernels:
    made = inputs if "singlet" in inputs else kernel_stage.pdf_kernels({}, {}, **plan.kernels())
    matching = made.get("matching")
    return Kernels(
        tuple(plan.kernels()["flavours"]),
        KernelMatrices(made["non_singlet"], made["singlet"]),
        None if matching is None else MatchingMatrices(*matching),
    )


def _density(values: _Values, inputs: Mapping[str, Array], x: np.ndarray) -> Array | None:
    if values.input != TABLE:
        return inputs.get("density")
    if values.table_x is None or "table_xf" not in inputs:
        raise RefusedError(
            f"{STAGE}: input {TABLE} needs the option table_x and the input table_xf",
            hint="table_x: [1e-7, ..., 1.0] and inputs: {table_xf: <stage>.<output>}",
        )
    nodes = np.asarray(values.table_x, np.float64)
    return tabulated.from_table(nodes, inputs["table_xf"])({}, x)


def _keeps_sums(values: _Values, input: Input | None) -> bool:
    if values.sum_rules == "kept" and input is None:
        raise RefusedError(
            f"{STAGE}: sum_rules: kept is for inputs of the library, not for {values.input}",
            hint="set sum_rules: checked",
        )
    return values.sum_rules == "kept"


def _scales(parameters: Mapping[str, Array], option: object) -> Array:
    if "scales" in parameters:
        return jnp.atleast_1d(parameters["scales"])
    if option is None:
        raise RefusedError(f"{STAGE}: scales are not given", hint="options: {scales: [91.2]}, GeV")
    return jnp.asarray(_listed_scales(option))


def _listed_scales(scales: object) -> np.ndarray:
    if isinstance(scales, Mapping):
        checks.known_keys(STAGE, "option scales", scales, {"min", "max", "count"}, set())
        count = checks.integer(STAGE, "scales.count", scales["count"], at_least=1)
        ends = checks.rising(STAGE, "scales", [scales["min"], scales["max"]], at_least=2)
        checks.positive_number(STAGE, "scales.min", ends[0])
        return np.geomspace(ends[0], ends[1], count)
    values = checks.rising(STAGE, "scales", scales, at_least=1)
    checks.positive_number(STAGE, "scales[0]", values[0])
    return np.array(values)
