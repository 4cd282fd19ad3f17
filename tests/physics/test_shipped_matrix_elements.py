"""The shipped pipelines on `matrix_element`, ttbar and ee_mumu, against formulae of textbooks."""

from dataclasses import replace
from functools import cache, cached_property, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import Request, Store, assemble, composed, cut, library, sweep, values
from test_laws import STAGED, partial_scale

from diffpipe.pipelines.core.results import read_results
from diffpipe.pipelines.library.ee_mumu.stages import line_shape
from diffpipe.pipelines.library.ttbar.stages import check_kinematics, kinematics
from diffpipe.pipelines.physics.pdf import interpolation
from diffpipe.pipelines.physics.pdf.stage import pdf_evolution
from diffpipe.pipelines.physics.refusal import RefusedError

SMALL = 16384  # events: two of the shards of each pipeline
IN_BLOCKS = {"ttbar": ("gluons", "quarks", "weight"), "ee_mumu": ("matrix_element",)}
QUICKLY = {"xla_backend_optimization_level": 0, "xla_cpu_use_fusion_emitters": False}  # to compile
GEV2_PB = 0.3893793721e9  # (hbar c)^2


class Made:
    """A shipped pipeline: its whole sample, and a small one, staged and as one function."""

    def __init__(self, name, folder):
        self.name = name
        self.whole = assemble(library.find(name))
        self.small = cut(self.whole, SMALL, None)
        self.store = Store.open(folder / "store")

    def options(self, stage):
        return self.whole.stages[stage].options

    @cached_property
    def swept(self):
        """The plan of the small sample's backward sweep, finished."""
        return sweep(self.store, self.small)[0]

    @cached_property
    def results(self):
        return read_results(self.store, self.swept)

    @cached_property
    def outputs(self):
        """What the forward sweep of the whole sample finds, by `stage.output`."""
        plan, _ = sweep(self.store, self.whole, Request("forward"))
        return {key: np.array(v) for key, v in read_results(self.store, plan).outputs.items()}

    @cached_property
    def pull(self):
        """The small sample's histogram.moments and a pullback of them, as one function.

        Evaluated in one block and hardly optimised: compiling takes longer than its few runs.
        """
        stages = dict(self.small.stages)
        for each in IN_BLOCKS[self.name]:
            stages[each] = replace(stages[each], options={**stages[each].options, "block": SMALL})
        moments = replace(self.small.objective, stage="histogram", output="moments")
        function = composed(replace(self.small, stages=stages, objective=moments))

        def pull(parameters, cotangent):
            value, pullback = jax.vjp(function, parameters)
            return value, pullback(cotangent)[0]

        return partial(jax.jit(pull, compiler_options=QUICKLY), values(self.small))

    def slopes(self, parameter, column=0):
        """Derivatives of the small sample's moments by a parameter, (bin,)."""
        shape = self.outputs["histogram.moments"].shape
        cotangents = [np.zeros(shape) for _ in range(shape[0])]
        for number, each in enumerate(cotangents):
            each[number, column] = 1.0
        return np.array([self.pull(jnp.asarray(each))[1][parameter] for each in cotangents])


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return cache(lambda name: Made(name, tmp_path_factory.mktemp(name)))


@pytest.fixture(scope="module")
def ttbar(made):
    return made("ttbar")


@pytest.fixture(scope="module")
def ee_mumu(made):
    return made("ee_mumu")


# the objective as a sum over moments: the total, and the mean of the six bins from 88 to 94 GeV
COTANGENTS = {"ttbar": np.ones((8, 1)), "ee_mumu": np.zeros((10, 2))}
COTANGENTS["ee_mumu"][2:8, 0] = 1.0 / 6.0


@pytest.mark.slow  # the composed functions take a while to compile
@pytest.mark.parametrize("name", ["ttbar", "ee_mumu"])
def test_law_1_staged_gradient_is_the_gradient_of_the_composed_function(made, name):
    found = made(name)
    moments, gradient = found.pull(jnp.asarray(COTANGENTS[name]))
    objective = np.vdot(moments, COTANGENTS[name])
    assert found.results.objective == pytest.approx(objective, rel=STAGED)
    for each in found.small.parameters:
        difference = abs(found.results.gradient[each] - float(gradient[each]))
        scale = partial_scale(found.store, found.small, found.swept, each)
        assert difference <= STAGED * scale, each


# ---------------------------------------------------------------------------------- p p > t t~

EDGES = [300, 400, 470, 550, 650, 800, 1100, 1600, 13000]
COLLIDER = 13000.0
MT, STEP = 172.5, 0.05
AS = 0.12575265


def test_coupling_of_the_matrix_elements_is_what_runs_to_the_mass_of_the_top(ttbar):
    # LO running is exact: 1/alpha rises by b0/(2 pi) ln(Q), b0 = 11 - 2/3 nf
    q, nf, inverse = (1.0, 1.4, 4.75, MT), (3, 4, 5), 1.0 / 0.68183
    for number, flavours in enumerate(nf):
        slope = (11.0 - 2.0 / 3.0 * flavours) / (2.0 * np.pi)
        inverse += slope * np.log(q[number + 1] / q[number])
    assert ttbar.whole.parameters["aS"].value == pytest.approx(1.0 / inverse, rel=1e-8)  # printed


def nodes(count, panels, low, high):
    """Gauss-Legendre nodes and weights on equal panels."""
    x, w = np.polynomial.legendre.leggauss(count)
    edges = np.linspace(low, high, panels + 1)
    middle, half = 0.5 * (edges[1:] + edges[:-1]), 0.5 * np.diff(edges)
    return (middle[:, None] + half[:, None] * x).ravel(), (half[:, None] * w).ravel()


def partonic(mass, top_mass):
    """sigma-hat/alpha_s^2 of q q~ > t t~ and of g g > t t~, 1/GeV^2: (2, mass).

    The functions f^(0)(rho) of Nason, Dawson and Ellis, Nucl. Phys. B 303 (1988) 607.
    """
    rho = 4.0 * top_mass**2 / mass**2
    beta = np.sqrt(1.0 - rho)
    log = np.log((1.0 + beta) / (1.0 - beta))
    quarks = (2.0 + rho) / 27.0
    gluons = ((rho**2 + 16.0 * rho + 16.0) / beta * log - 28.0 - 31.0 * rho) / 192.0
    return np.pi * beta * rho / top_mass**2 * np.stack([quarks, gluons])


class Folded:
    """The cross section in bins, pb, by quadrature in mass and rapidity.

    It converges to 1e-6 in each bin: the interpolated densities are polynomials piece by piece.
    """

    def __init__(self, made):
        stage = made.whole.stages["pdf"]
        given = values(made.whole)
        parameters = {local: given[name] for local, name in stage.parameters.items()}
        pdf = jax.jit(lambda p: pdf_evolution(p, {}, **stage.options))(parameters)

        def densities(x, scale):
            table = interpolation.table(pdf["grid"], pdf["x"], pdf["ln_q"])
            ln_q = jnp.full(x.shape, jnp.log(scale))
            return interpolation.densities(table, x, interpolation.scale_weights(table, ln_q))

        self.densities = jax.jit(densities)

    def __call__(self, top_mass):
        return np.array([self.bin(top_mass, number) for number in range(len(EDGES) - 1)])

    def bin(self, top_mass, number):
        mass, dmass = self.masses(top_mass, number)
        boost, dboost = nodes(8, 20, -1.0, 1.0)
        limit = np.log(COLLIDER / mass)
        luminosities = self.luminosities(mass, np.exp(limit[:, None] * boost), top_mass) @ dboost
        sigma = AS**2 * sum(partonic(mass, top_mass) * luminosities)
        return GEV2_PB * np.sum(2.0 / mass * dmass * limit * sigma)

    def luminosities(self, mass, boost, scale):
        """Products of x f at masses (m,) and exp(y) (m, y): of q q~ and of g g, (2, m, y)."""
        fractions = mass[:, None] / COLLIDER * boost, mass[:, None] / COLLIDER / boost
        first, second = (np.asarray(self.densities(x.ravel(), scale)) for x in fractions)
        quarks = first[:, :5] * second[:, 5:10] + first[:, 5:10] * second[:, :5]
        both = np.stack([quarks.sum(axis=1), first[:, 10] * second[:, 10]])
        return both.reshape(2, *boost.shape)

    def masses(self, top_mass, number):
        """In the first bin even in the velocity of the top, in the others in ln m."""
        low, high = EDGES[number], EDGES[number + 1]
        if number:
            log, dlog = nodes(20, 2, np.log(low), np.log(high))
            return np.exp(log), np.exp(log) * dlog
        beta, dbeta = nodes(20, 2, 0.0, np.sqrt(1.0 - 4.0 * top_mass**2 / high**2))
        mass = 2.0 * top_mass / np.sqrt(1.0 - beta**2)
        return mass, mass * beta / (1.0 - beta**2) * dbeta


@pytest.fixture(scope="module")
def folded(ttbar):
    return Folded(ttbar)


@pytest.mark.slow  # g g > t t~ is compiled
def test_cross_section_of_top_pairs_is_that_of_the_analytic_formulae(ttbar, folded):
    wanted, found = folded(MT), ttbar.outputs["histogram.moments"][:, 0]
    # 65536 quasi-random events: 2e-6 of the total, at most 1.3e-4 of a bin
    assert found.sum() == pytest.approx(wanted.sum(), rel=2e-5)
    np.testing.assert_allclose(found, wanted, rtol=5e-4)
    np.testing.assert_allclose(
        ttbar.outputs["spectrum.dsigma_dm"], found / np.diff(EDGES), rtol=1e-14
    )


@pytest.mark.slow  # the composed pullback compiles for most of a minute
def test_derivatives_by_the_mass_of_the_top_are_those_of_the_analytic_formulae(ttbar, folded):
    wanted = (folded(MT + STEP) - folded(MT - STEP)) / (2.0 * STEP)
    # a quarter of the sample: 7e-5 of the total, 2e-3 of a bin; 3 % of the last, which has 0.3 % of
    # the cross section
    assert ttbar.results.gradient["MT"] == pytest.approx(wanted.sum(), rel=3e-4)
    np.testing.assert_allclose(ttbar.slopes("MT"), wanted, rtol=2e-3, atol=5e-4)


@pytest.mark.slow  # the staged pullbacks of both processes are compiled
def test_cross_section_of_top_pairs_goes_as_the_square_of_the_coupling(ttbar):
    slope = 2.0 * ttbar.results.objective / AS
    assert ttbar.results.gradient["aS"] == pytest.approx(slope, rel=1e-13)  # rounding


def test_no_event_changes_its_bin_when_the_mass_of_the_top_moves(ttbar):
    tiny = 2.0**-30  # of the sequence's numbers
    places = np.concatenate(
        [np.arange(8) + tiny, np.linspace(0.01, 7.99, 1000), np.arange(1, 9) - tiny]
    )
    events = {"panel": jnp.asarray(places), "boost": jnp.zeros(1016), "polar": jnp.zeros(1016)}
    for top_mass in (150.0, 172.5, 199.0):
        found = kinematics({"MT": jnp.asarray(top_mass)}, events, **ttbar.options("kinematics"))
        bins = np.searchsorted(EDGES, found["m_tt"], side="right") - 1
        np.testing.assert_array_equal(bins, np.floor(places))


@pytest.mark.parametrize("top_mass", [149.0, 200.0, 205.0])
def test_a_threshold_outside_the_first_bin_is_refused(ttbar, top_mass):
    with pytest.raises(RefusedError, match=f"2 MT = {2 * top_mass:g} GeV"):
        check_kinematics({"MT": np.asarray(top_mass)}, {}, **ttbar.options("kinematics"))


@pytest.mark.parametrize("edges", [[0.0, 400.0, 500.0], [300.0, 400.0, 14000.0]])
def test_panels_outside_the_kinematic_range_are_refused(edges):
    with pytest.raises(ValueError, match="collider energy 13000 GeV"):
        kinematics({}, {}, collider_energy=COLLIDER, edges=edges)


# ------------------------------------------------------------------------------ e+ e- > mu+ mu-

ENERGIES = np.arange(86.0, 97.0)
Z = {"MZ": 91.1876, "WZ": 2.4952, "aEWM1": 128.89, "Gf": 1.1663788e-5}


def chirality_sums(sqrt_s, given):
    """pi alpha^2/(8 s) times the squared amplitudes for equal and for opposite chiralities, pb.

    d sigma/d cos(theta) is the first times (1 + cos)^2 plus the second times (1 - cos)^2, and an
    amplitude is 1 + g_e g_mu s/(s - MZ^2 + i MZ WZ), with g = (T3 + sin^2)/(sin cos): Review of
    Particle Physics, "Cross-section formulae for specific processes".
    """
    s, alpha = sqrt_s**2, 1.0 / given["aEWM1"]
    product = np.pi * alpha / (np.sqrt(2.0) * given["Gf"] * given["MZ"] ** 2)  # (sin cos)^2
    sin2 = 0.5 * (1.0 - np.sqrt(1.0 - 4.0 * product))
    left, right = (sin2 - 0.5) / np.sqrt(product), sin2 / np.sqrt(product)
    pole = s / (s - given["MZ"] ** 2 + 1j * given["MZ"] * given["WZ"])
    factor = GEV2_PB * np.pi * alpha**2 / (8.0 * s)
    equal = abs(1.0 + left**2 * pole) ** 2 + abs(1.0 + right**2 * pole) ** 2
    return factor * equal, factor * 2.0 * abs(1.0 + left * right * pole) ** 2


def moments_of_the_line_shape(**changed):
    """int d sqrt(s) d cos d sigma/d cos {1, cos} in each bin, pb GeV: (bin, 2)."""
    x, w = np.polynomial.legendre.leggauss(20)
    sqrt_s = 0.5 * (ENERGIES[:-1] + ENERGIES[1:])[:, None] + 0.5 * x
    equal, opposite = chirality_sums(sqrt_s, Z | changed)
    columns = 8.0 / 3.0 * (equal + opposite), 4.0 / 3.0 * (equal - opposite)
    return np.stack([column @ (0.5 * w) for column in columns], axis=1)


def test_line_shape_and_asymmetry_are_those_of_photon_and_z(ee_mumu):
    total, signed = moments_of_the_line_shape().T
    # 32768 quasi-random events: 2e-6 of a cross section, 1e-6 in an asymmetry
    np.testing.assert_allclose(ee_mumu.outputs["line_shape.cross_section"], total, rtol=1e-5)
    np.testing.assert_allclose(
        ee_mumu.outputs["line_shape.asymmetry"], 1.5 * signed / total, atol=5e-6, rtol=0
    )
    assert ee_mumu.outputs["line_shape.peak"] == pytest.approx(total[2:8].mean(), rel=1e-5)


@pytest.mark.parametrize("name", ["MZ", "WZ"])
def test_derivatives_by_mass_and_width_of_the_z_are_those_of_the_line_shape(ee_mumu, name):
    step = 1e-3  # GeV
    up, down = (moments_of_the_line_shape(**{name: Z[name] + h}) for h in (step, -step))
    wanted = (up - down) / (2.0 * step)
    for column, largest in enumerate(abs(wanted).max(axis=0)):
        np.testing.assert_allclose(
            ee_mumu.slopes(name, column), wanted[:, column], rtol=1e-4, atol=1e-5 * largest
        )
    peak = wanted[2:8, 0].mean()
    assert ee_mumu.results.gradient[name] == pytest.approx(peak, rel=1e-3)


def test_a_peak_between_other_numbers_than_edges_is_refused():
    with pytest.raises(ValueError, match=r"two of the edges \[86\.0, 87\.0\]"):
        line_shape({}, {"moments": jnp.ones((1, 2))}, edges=[86, 87], peak=[86, 86.5])
