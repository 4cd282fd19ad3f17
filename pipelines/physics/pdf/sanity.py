"""What an evolution's numbers must fulfil: looked at once, outside of any traced function."""

import itertools

import numpy as np

from diffpipe.pipelines.physics.pdf import sum_rules
from diffpipe.pipelines.physics.pdf.evolution import coupling
from diffpipe.pipelines.physics.pdf.evolution.theory import coupling_at, running_of
from diffpipe.pipelines.physics.pdf.options import STAGE
from diffpipe.pipelines.physics.pdf.problem import Problem
from diffpipe.pipelines.physics.refusal import RefusedError

SUM_RULE_TOLERANCE = 0.02  # published fits print their parameters to about a per mille
LARGEST_ALPHAS = 3.0
COUNTED_FROM = 1e-4  # with a larger x_min too much lies below the grid


def check(of: Problem, *, with_sum_rules: bool) -> None:
    """RefusedError for values that make no evolution."""
    _positive(of)
    _masses(of)
    _scales(of)
    _coupling(of)
    if with_sum_rules:
        _sum_rules(of)


def _positive(of: Problem) -> None:
    theory = of.theory
    named = {"q0": theory.q0, "kr": theory.kr, "alpha_s": theory.a, "its scale": theory.a_scale}
    for name, value in (named | {f"scale {n}": q for n, q in enumerate(of.scales)}).items():
        if not (np.isfinite(value) and float(value) > 0.0):
            raise RefusedError(f"{STAGE}: {name} must be above zero, got {float(value):g}")


def _masses(of: Problem) -> None:
    masses, q0 = {nf: float(mass) for nf, mass in of.theory.masses.items()}, float(of.theory.q0)
    names = {4: "mc", 5: "mb", 6: "mt"}
    met = sorted(masses)
    for lighter, heavier in itertools.pairwise(met):
        if not masses[lighter] < masses[heavier]:
            raise RefusedError(
                f"{STAGE}: masses out of order: {names[lighter]} = {masses[lighter]:g} GeV is not "
                f"below {names[heavier]} = {masses[heavier]:g} GeV"
            )
    for nf in of.plan.flavours[1:]:
        if masses[nf] < q0 * (1.0 - 1e-12):
            raise RefusedError(
                f"{STAGE}: {names[nf]} = {masses[nf]:g} GeV lies below q0 = {q0:g} GeV, where "
                f"{of.plan.flavours[0]} flavours are given",
                hint=f"raise {names[nf]}, or set option nf: {nf} for a density with that flavour",
            )


def _scales(of: Problem) -> None:
    q0 = float(of.theory.q0)
    below = [float(q) for q in of.scales if q < q0 * (1.0 - 1e-12)]
    if below and not of.plan.flavours_below:
        raise RefusedError(
            f"{STAGE}: the scale {below[0]:g} GeV lies below q0 = {q0:g} GeV",
            hint="ask for scales from q0 on, or set option backward: true",
        )


def _coupling(of: Problem) -> None:
    """The coupling where it is largest: at the smallest muR."""
    smallest = min(float(of.theory.q0), *(float(q) for q in of.scales))
    running = running_of(of.theory, of.plan.order)
    log_mu2 = 2.0 * np.log(smallest) + running.log_kr
    nf = _flavours_at(of, smallest)
    found = float(coupling_at(of.theory, of.alphas_flavours, log_mu2, nf, running))
    alphas, given = coupling.FOUR_PI * found, coupling.FOUR_PI * float(of.theory.a)
    if not all(np.isfinite(each) and 0.0 < each < LARGEST_ALPHAS for each in (alphas, given)):
        raise RefusedError(
            f"{STAGE}: alpha_s = {given:g} at {float(of.theory.a_scale):g} GeV hits the Landau "
            f"pole near muR = {smallest * float(of.theory.kr) ** 0.5:g} GeV",
            hint="lower alpha_s, or raise q0 and the scales",
        )


def _sum_rules(of: Problem) -> None:
    densities = of.densities()
    finite = np.isfinite(densities).all(axis=0)
    if not finite.all():
        bad = int(np.argmin(finite))
        raise RefusedError(
            f"{STAGE}: the density at q0 is not finite at x = {of.x[bad]:g}",
            hint="look at the input's parameters, and where its grid begins (option x_min)",
        )
    carried = float(sum_rules.momentum(densities, of.plan.x_min, of.plan.points))
    found = {"momentum, not 1": (carried, 1.0)}
    up, down, _ = (float(n) for n in sum_rules.numbers(densities, of.plan.x_min, of.plan.points))
    found |= {
        "u quarks less antiquarks, not 2": (up, 2.0),
        "d quarks less antiquarks, not 1": (down, 1.0),
    }
    for what, (value, right) in found.items():
        if of.plan.x_min <= COUNTED_FROM and abs(value / right - 1.0) > SUM_RULE_TOLERANCE:
            raise RefusedError(
                f"{STAGE}: the densities at q0 carry {value:.4f} {what}",
                hint="change the input's normalisations, or set option sum_rules: ignored",
            )


def _flavours_at(of: Problem, q: float) -> int:
    met = sorted({*of.plan.flavours, *of.plan.flavours_below})
    passed = [nf for nf in met[1:] if q >= float(of.theory.masses[nf])]
    return max(passed, default=met[0])
