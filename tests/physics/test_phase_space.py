"""Flat phase space: kinematics, exact volumes, derivatives, and what lies outside."""

import math
from functools import partial, reduce

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import betaincinv
from support import Request, assemble, composed, quickly, sweep, values

from diffpipe.pipelines.physics.events.decays import mass_ratio
from diffpipe.pipelines.physics.events.phase_space import phase_space
from diffpipe.pipelines.physics.events.unit_cube import unit_cube

COUNT = 4096
ENERGY = 700.0
MIXED = (173.0, 0.0, 80.4, 4.7, 0.0, 91.2)
CASES = [(n, masses[:n]) for n in range(2, 7) for masses in ((0.0,) * n, MIXED)]


def cube(legs, count=COUNT):
    return unit_cube(0, count, count=count, seed=3, dimensions=3 * legs - 4)["unit"]


def generate(unit, masses, energy=ENERGY, incoming=(0.938, 5.0)):
    """Momenta and weights, with masses and sqrt(s) as arguments that can be differentiated."""
    names = [f"m{place}" for place in range(len(masses))]
    given = dict(zip(names, masses, strict=True)) | {"energy": jnp.asarray(energy)}
    outputs = phase_space(
        given, {"unit": unit}, masses=names, energy="energy", incoming=list(incoming)
    )
    return outputs["momenta"], outputs["weight"]


compiled = quickly(generate)


def generated(unit, masses, energy=ENERGY):
    """Of numbers of one type, for which it is compiled once."""
    numbers = jax.tree.map(partial(np.asarray, dtype=float), (tuple(masses), energy))
    return tuple(map(np.asarray, compiled(unit, *numbers)))


def sample(masses):
    return generated(cube(len(masses)), masses)


def squared(momenta):
    return momenta[..., 0] ** 2 - np.sum(momenta[..., 1:] ** 2, axis=-1)


@pytest.mark.parametrize(("legs", "masses"), CASES)
def test_momentum_is_conserved_and_every_leg_is_on_its_mass_shell(legs, masses):
    momenta, weight = sample(masses)
    assert momenta.shape == (COUNT, 2 + legs, 4)
    incoming, outgoing = momenta[:, :2].sum(axis=1), momenta[:, 2:].sum(axis=1)
    # a few roundings of sums of 700 GeV, and of squares of energies: far below the 1e-11 promised
    np.testing.assert_allclose(incoming, np.tile([ENERGY, 0, 0, 0], (COUNT, 1)), atol=1e-12)
    np.testing.assert_allclose(outgoing, incoming, rtol=0.0, atol=3e-12)
    shells = squared(momenta) - np.square([0.938, 5.0, *masses])
    assert np.abs(shells / momenta[..., 0] ** 2).max() < 2e-15
    assert (momenta[:, 0, 3] > 0).all()
    assert (weight > 0).all()


@pytest.mark.parametrize("legs", range(2, 7))
def test_massless_legs_weigh_their_volume_everywhere(legs):
    _, weight = sample((0.0,) * legs)
    expected = (2 * math.pi) ** (4 - 3 * legs) * (math.pi / 2) ** (legs - 1)
    expected *= ENERGY ** (2 * legs - 4) / (math.factorial(legs - 1) * math.factorial(legs - 2))
    assert (weight == weight[0]).all()
    assert weight[0] == pytest.approx(expected, rel=1e-14)  # a few roundings


def two_body(mass, first, second):
    """The phase space of two legs, from the triangle function."""
    square = (mass**2 - first**2 - second**2) ** 2 - (2 * first * second) ** 2
    return np.sqrt(np.maximum(square, 0.0)) / (8 * math.pi * mass**2)


def quadrature(low, high):
    """Nodes and weights in (low, high) that do well with any power at the ends (tanh-sinh)."""
    step = 0.1
    grid = np.arange(-29, 30) * step
    node = 0.5 * (1.0 + np.tanh(0.5 * math.pi * np.sinh(grid)))
    weight = 0.25 * math.pi * step * np.cosh(grid) / np.cosh(0.5 * math.pi * np.sinh(grid)) ** 2
    return low + (high - low) * node, (high - low) * weight


def volume(mass, masses):
    """The phase space of legs by its recursion in the mass of all but the first."""
    first, *rest = masses
    if len(rest) == 1:
        return two_body(mass, first, rest[0])
    node, weight = quadrature(sum(rest), mass - first)
    inner = np.array([volume(each, rest) for each in node])
    return np.sum(weight * node / math.pi * two_body(mass, first, node) * inner)


def test_two_massive_legs_weigh_their_volume_everywhere():
    _, weight = sample((173.0, 80.4))
    np.testing.assert_allclose(weight, two_body(ENERGY, 173.0, 80.4), rtol=1e-14)  # roundings


@pytest.mark.parametrize(
    ("masses", "energy"),
    [
        ((173.0, 173.0, 125.0), 700.0),
        ((0.0, 91.2, 4.7), 100.0),
        ((125.0, 0.0, 173.0), 298.001),
        ((173.0, 0.0, 80.4, 91.2), 500.0),
        ((0.5, 0.1, 0.1, 0.1), 1000.0),
    ],
)
def test_the_integral_of_the_weight_is_the_volume_of_massive_legs(masses, energy):
    node, share = quadrature(0.0, 1.0)
    axes = len(masses) - 2  # angles do not change the weight
    places = np.stack(np.meshgrid(*[node] * axes, indexing="ij"), axis=-1).reshape(-1, axes)
    shares = reduce(np.multiply.outer, [share] * axes).ravel()
    unit = np.full((COUNT, 3 * len(masses) - 4), 0.5)  # as many as elsewhere: compiled once
    unit[: len(places), :axes] = places
    _, weight = generated(unit, masses, energy)
    # the ends of both quadratures: the weight goes there as a fourth root of 1 - v
    assert shares @ weight[: len(places)] == pytest.approx(volume(energy, masses), rel=1e-8)


def assert_mean(values, expected, weight=1.0):
    """Within four standard deviations of as many random events; quasi-random ones do better."""
    weight = np.broadcast_to(weight / np.mean(weight), len(values))
    spread = np.std(weight * (values - expected))
    assert abs(np.mean(weight * values) - expected) < 4.0 * spread / math.sqrt(len(values))


def test_the_order_of_the_legs_changes_no_integral():
    masses = np.array([173.0, 0.0, 80.4, 91.2])
    momenta, weight = sample(tuple(masses))
    energies = (weight[:, None] * momenta[:, 2:, 0]).mean(axis=0) / weight.mean()
    for order in ([3, 0, 1, 2], [2, 1, 0, 3]):
        momenta, weight = sample(tuple(masses[order]))
        for place, leg in enumerate(order):
            assert_mean(momenta[:, 2 + place, 0], energies[leg], weight)


@pytest.mark.parametrize("legs", range(3, 7))
def test_massless_legs_fill_phase_space_evenly(legs):
    momenta, _ = sample((0.0,) * legs)
    for leg in range(2, 2 + legs):
        share = 2.0 * momenta[:, leg, 0] / ENERGY  # its density is x (1 - x)^(n-3)
        assert_mean(share, 2 / legs)
        assert_mean(share**2, 6 / (legs * (legs + 1)))
        for axis in (1, 2, 3):
            cosine = momenta[:, leg, axis] / momenta[:, leg, 0]
            assert_mean(cosine, 0.0)
            assert_mean(cosine**2, 1 / 3)
        for other in range(2, leg):
            pair = squared(momenta[:, leg] + momenta[:, other]) / ENERGY**2
            assert_mean(pair, 2 / (legs * (legs - 1)))


@partial(quickly, static_argnums=1)
def ratio_and_slope(number, k):
    return mass_ratio(number, k), jax.vmap(jax.grad(lambda v: mass_ratio(v, k)[0] ** 2))(number)


@pytest.mark.parametrize("k", [1, 2, 3, 5, 12])
def test_mass_ratios_solve_their_polynomial_to_rounding(k):
    end = 10.0 ** -np.arange(1.0, 16.0)
    number = np.concatenate([end, np.linspace(0.01, 0.99, 99), 1.0 - end])
    (ratio, complement), slope = jax.tree.map(np.asarray, ratio_and_slope(number, k))
    x, y = ratio**2, complement * (1.0 + ratio)
    # the polynomial is an incomplete beta function
    np.testing.assert_allclose(x, betaincinv(k, 2, number), rtol=1e-14)
    exact = np.where(number < 0.5, 1.0 - x, betaincinv(2, k, 1.0 - number))
    np.testing.assert_allclose(y, exact, rtol=1e-14)
    # a power of k-1 multiplies the roundings of x
    np.testing.assert_allclose(slope * k * (k + 1) * x ** (k - 1) * y, 1.0, rtol=5e-14)


FEW = 64
MASSES = (173.0, 0.0, 80.4, 4.7)
POINT = np.array([*MASSES, ENERGY])


@quickly
def pushed(point, direction):
    """Momenta and weights of four legs, and their derivatives as masses and sqrt(s) move."""
    run = lambda point: generate(cube(4, FEW), tuple(point[:4]), point[4])  # noqa: E731
    return jax.jvp(run, (point,), (direction,))


@pytest.mark.parametrize("place", range(5))
def test_derivatives_in_masses_and_energy_are_those_of_finite_differences(place):
    direction = np.eye(5)[place]
    values, slopes = pushed(POINT, direction)
    # a mass of zero has but one side; truncation is below 1e-8 in either case, rounding 1e-10
    steps, coefficients = (
        ((0, 1, 2, 3), (-11 / 6, 3.0, -1.5, 1 / 3)) if place == 1 else ((-1, 1), (-0.5, 0.5))
    )
    moved = [pushed(POINT + 1e-3 * step * direction, direction)[0] for step in steps]
    for each, (value, slope) in enumerate(zip(values, slopes, strict=True)):
        numeric = sum(c * m[each] for c, m in zip(coefficients, moved, strict=True)) / 1e-3
        scale = np.abs(value).max() / 100.0  # what it changes by, per 100 GeV
        np.testing.assert_allclose(numeric, slope, rtol=1e-6, atol=1e-7 * scale)


def test_legs_stay_on_their_shells_and_conserve_momentum_as_masses_move():
    metric = np.array([1.0, -1.0, -1.0, -1.0])
    for place, mass in enumerate(MASSES):
        (momenta, _), (slope, _) = pushed(POINT, np.eye(5)[place])
        product = np.asarray(2.0 * momenta * slope)
        expected = np.zeros((FEW, 6))
        expected[:, 2 + place] = 2.0 * mass
        # roundings of the terms of each sum
        np.testing.assert_allclose(product @ metric, expected, atol=1e-13 * np.abs(product).max())
        total = np.sum(slope[:, 2:], axis=1)
        np.testing.assert_allclose(total, 0.0, atol=1e-13 * np.abs(slope).max())


@quickly
def both_modes(point, tangent, cotangent):
    value, forward = jax.jvp(generate, point, tangent)
    backward = jax.vjp(generate, *point)[1](cotangent)
    return value, forward, backward


@pytest.mark.slow  # forward and reverse mode are compiled
def test_both_modes_give_the_same_derivatives_of_everything():
    generator = np.random.default_rng(1)
    random = partial(jax.tree.map, lambda each: generator.normal(size=np.shape(each)))
    point = (cube(4, FEW), MASSES, ENERGY)
    tangent, cotangent = random(point), random((np.zeros((FEW, 6, 4)), np.zeros(FEW)))
    _, forward, backward = both_modes(point, tangent, cotangent)
    leaves = zip(*map(jax.tree.leaves, (backward, tangent)), strict=True)
    terms = [np.asarray(left * right) for left, right in leaves]
    pushed_on = sum(np.sum(a * b) for a, b in zip(cotangent, forward, strict=True))
    scale = sum(np.abs(term).sum() for term in terms)
    assert abs(pushed_on - sum(map(np.sum, terms))) < 1e-13 * scale  # roundings


@quickly
def value_and_pullback(unit, masses, energy, cotangent):
    value, pull = jax.vjp(partial(generate, incoming=(300.0, 200.0)), unit, masses, energy)
    return value, pull(cotangent)


@pytest.mark.slow  # pullbacks are compiled
@pytest.mark.parametrize("masses", [MASSES, pytest.param((0.0,) * 4, marks=pytest.mark.slow)])
def test_derivatives_are_finite_at_the_edges_of_the_cube_and_on_the_axis(masses):
    ends = np.array([0.0, 2.0**-53, 1e-9, 0.5, 1.0 - 2.0**-53, 1.0])
    corners = np.stack(np.meshgrid(*[ends] * 4, indexing="ij"), axis=-1).reshape(-1, 4)
    unit = np.concatenate([corners, corners[:, ::-1]], axis=1)
    momenta, weight = generated(unit, masses)
    assert np.isfinite(momenta).all()
    assert (weight > 0).all()
    on_axis = unit[:, 2] == 1.0
    assert np.abs(momenta[on_axis][:, 2, 1:3]).max() < 1e-5  # sin(theta) is 2e-8
    ones = np.ones_like(momenta), np.ones_like(weight)
    for leaf in jax.tree.leaves(value_and_pullback(unit, masses, ENERGY, ones)[1]):
        assert np.isfinite(leaf).all()


@pytest.mark.parametrize("energy", [-1.0, 0.0, 100.0, 258.1, 500.0])
def test_below_threshold_weights_are_zero_with_finite_derivatives(energy):
    unit = cube(4, FEW)  # the incoming have 500 GeV together, the outgoing 258.1 GeV
    momenta, weight = np.ones((FEW, 6, 4)), np.ones(FEW)
    values, of_weight = value_and_pullback(unit, MASSES, energy, (0.0 * momenta, weight))
    assert np.isfinite(values[0]).all()
    for leaf in (values[1], *jax.tree.leaves(of_weight)):
        np.testing.assert_array_equal(leaf, np.zeros_like(leaf))
    _, of_both = value_and_pullback(unit, MASSES, energy, (momenta, weight))
    for leaf in jax.tree.leaves(of_both):
        assert np.isfinite(leaf).all()


def test_outside_the_unit_cube_there_is_no_phase_space():
    unit = np.array([[0.5, 0.5], [-0.1, 0.5], [0.5, 1.1]])
    momenta, weight = generated(unit, MASSES[:2])
    assert np.isfinite(momenta).all()
    np.testing.assert_array_equal(weight > 0, [True, False, False])


def test_energies_may_differ_from_event_to_event():
    unit, energies = cube(3, FEW), np.linspace(200.0, 900.0, FEW)
    run = jax.jit(partial(phase_space, masses=[173.0, 80.4, 0.0]))
    outputs = run({}, {"unit": unit, "energy": energies})
    possible = energies > 253.4
    np.testing.assert_array_equal(outputs["weight"] > 0, possible)
    # roundings of sums
    total = np.asarray(outputs["momenta"])[possible, 2:, 0].sum(axis=1)
    np.testing.assert_allclose(total, energies[possible], rtol=1e-14)


@pytest.mark.parametrize("cut", [1, COUNT - 1])
def test_events_do_not_depend_on_their_shard(cut):
    unit, whole = cube(3), sample(MIXED[:3])
    for rows in (slice(0, cut), slice(cut, COUNT)):
        for part, each in zip(generated(unit[rows], MIXED[:3]), whole, strict=True):
            # compiled for another number of events: roundings
            np.testing.assert_allclose(part, each[rows], rtol=1e-13, atol=1e-11)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"masses": [1.0]}, "option masses must list at least two"),
        ({"masses": "MT"}, "option masses must list"),
        ({"masses": [1.0, -2.0, 0.0]}, r"option masses\[1\] must not be below zero, got -2.0"),
        ({"masses": [1.0, True, 0.0]}, r"option masses\[1\] must be a number"),
        ({"masses": [1.0, "pair", 0.0]}, r"masses\[1\] must name .* one number, got 'pair'"),
        ({"masses": [1.0, 2.0]}, r"unit has shape \(2, 5\), and 2 outgoing legs need \(event, 2\)"),
        ({"incoming": [0.0, 0.0, 0.0]}, "option incoming must list two"),
        ({"energy": 0.0}, "option energy must be above zero"),
        ({"energy": None}, "energy must be either an option or an input"),
    ],
)
def test_wrong_options_are_refused_by_name(options, word):
    right = {"masses": [1.0, 2.0, 0.0], "energy": 10.0}
    with pytest.raises(ValueError, match=word):
        phase_space({"pair": np.ones(2)}, {"unit": np.full((2, 5), 0.5)}, **(right | options))


@pytest.mark.parametrize("cut", [1, 6, COUNT - 1])
def test_points_of_the_cube_do_not_depend_on_how_the_range_is_cut(cut):
    parts = [
        unit_cube(start, stop, count=COUNT, seed=3, dimensions=5)["unit"]
        for start, stop in ((0, cut), (cut, COUNT))
    ]
    np.testing.assert_array_equal(np.concatenate(parts), cube(3))


def test_points_of_the_cube_are_even_and_inside():
    unit = cube(6)
    assert unit.dtype == np.float64
    assert 0.0 < unit.min() < unit.max() < 1.0
    for column in unit.T:  # one point in each cell of 1/4096: the sequence is a net
        np.testing.assert_array_equal(np.sort(np.floor(column * COUNT)), np.arange(COUNT))
    assert not np.array_equal(unit, unit_cube(0, COUNT, count=COUNT, seed=4, dimensions=14)["unit"])


@pytest.mark.parametrize(
    ("arguments", "word"),
    [({"dimensions": 0}, "option dimensions"), ({"stop": COUNT + 1}, "no range of 4096 events")],
)
def test_wrong_ranges_and_dimensions_are_refused(arguments, word):
    with pytest.raises(ValueError, match=word):
        unit_cube(**{"start": 0, "stop": 2, "count": COUNT, "seed": 1, "dimensions": 2} | arguments)


PIPELINE = """
pipeline: volume
parameters: {m_top: {value: 173.0, unit: GeV}, sqrt_s: {value: 700.0, unit: GeV}}
events: {uses: unit_cube, count: 4096, shard: 1500, seed: 3, options: {dimensions: 5}}
stages:
  legs:
    uses: phase_space
    over: events
    inputs: {unit: events.unit}
    parameters: {MT: m_top, E: sqrt_s}
    options: {masses: [MT, MT, 0.0], energy: E}
    outputs: {momenta: {unit: GeV}}
  total: {uses: "mean:total", over: events, inputs: {w: legs.weight}, outputs: {sum: {sum: true}}}
  mean: {uses: "mean:mean", over: once, inputs: {sum: total.sum}}
objective: mean.volume
"""
CODE = """
def total(parameters, inputs):
    return {"sum": inputs["w"].sum()}


def mean(parameters, inputs):
    return {"volume": inputs["sum"] / 4096}
"""


@pytest.mark.slow  # pullbacks of several legs are compiled
def test_a_pipeline_gives_the_derivative_of_a_volume_by_a_mass_and_the_energy(tmp_path, store):
    (tmp_path / "mean.py").write_text(CODE)
    (tmp_path / "pipeline.yaml").write_text(PIPELINE)
    made = assemble(tmp_path / "pipeline.yaml")
    plan, executed = sweep(store, made, Request("backward"))
    assert executed["legs", "pullback"] == 3
    found = {}
    for name, (source,) in plan.gradients.items():
        found[name] = float(store.get(source.key).read(source.array, 0))
    at_once = jax.jit(jax.grad(composed(made)))(values(made))
    up, down = (
        {
            "m_top": volume(700.0, [173.0 + step, 173.0 + step, 0.0]),
            "sqrt_s": volume(700.0 + step, [173.0, 173.0, 0.0]),
        }
        for step in (1e-2, -1e-2)
    )
    for name, slope in found.items():
        assert slope == pytest.approx(float(at_once[name]), rel=1e-12)  # order of summation
        # what 4096 quasi-random events say of the integral
        assert slope == pytest.approx((up[name] - down[name]) / 2e-2, rel=2e-3)
