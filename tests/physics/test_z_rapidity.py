"""The shipped rapidity spectra of the Z: predictions, derivatives and the fit of normalisations."""

import numpy as np
import pytest
from numpy.polynomial.legendre import leggauss
from scipy.interpolate import CubicSpline, KroghInterpolator
from support import Request, Store, assemble, diffpipe, document, library, sweep, with_values

from diffpipe.pipelines.core.results import read_results
from diffpipe.pipelines.library.z_rapidity.stages import weights

BINS = {"atlas": slice(0, 7), "cdf": slice(7, 35)}
STEPS = {"k_atlas": 1e-3, "m_z": 1e-2}  # of finite differences
LUMINOSITY = {"atlas": 0.018, "cdf": 0.06}


class Made:
    """The pipeline, swept in a store of its own."""

    def __init__(self, folder):
        self.pipeline = assemble(library.find("z_rapidity"))
        self.store = Store.open(folder / "store")
        plan, _ = sweep(self.store, self.pipeline, Request("backward", wrt=list(STEPS)))
        self.gradient = read_results(self.store, plan).gradient
        self.outputs = {name: np.array(v) for name, v in self.forward().outputs.items()}
        self.pdf = self.stored(plan, "pdf")

    def forward(self, **changed):
        plan, _ = sweep(self.store, with_values(self.pipeline, **changed), Request("forward"))
        return read_results(self.store, plan)

    def stored(self, plan, stage):
        artefact = self.store.get(plan.step(f"{stage}:primal").key)
        return {name: artefact.read(name, 0) for name in artefact.specs}

    def value(self, name):
        return self.pipeline.parameters[name].value

    def stage(self, name):
        return self.pipeline.stages[name].options


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return Made(tmp_path_factory.mktemp("z_rapidity"))


def test_leading_order_of_atlas_is_that_of_an_independent_calculation(made):
    # Gauss integration with MSTW 2008 LO as printed and densities from another solver, pb
    reference = [245.23, 245.73, 245.62, 243.36, 235.93, 218.12, 152.30]
    # both integrals are good to some 1e-5, and so is the evolution; five digits of the reference
    np.testing.assert_allclose(made.outputs["spectra.lo"][BINS["atlas"]], reference, rtol=2e-4)


def partonic(made, mass, charge, isospin):
    """4 pi alpha^2/(9 M^2) F of q qbar -> l- l+ in pb, written from the couplings alone."""
    names = ("sin2_theta_eff", "alpha", "m_z", "gamma_z")
    s2, alpha, m_z, gamma_z = (made.value(name) for name in names)
    (vq, aq), (vl, al) = ((t - 2 * e * s2, t) for e, t in ((charge, isospin), (-1.0, -0.5)))
    z = mass**2 / (mass**2 - m_z**2 + 1j * m_z * gamma_z) / (4 * s2 * (1 - s2))
    helicities = [
        abs(-charge + (vq + i * aq) * (vl + j * al) * z) ** 2 for i in (1, -1) for j in (1, -1)
    ]
    return 4 * np.pi * alpha**2 / (9 * mass**2) * 0.3893793721e9 * sum(helicities) / 4


def quarks(made, x, mass):
    """x f (10, ...) at x and Q = mass, by splines in x and a polynomial in ln Q."""
    grid, nodes, ln_q = (made.pdf[name] for name in ("grid", "x", "ln_q"))
    u = -np.log(nodes) + 8 * (1 - nodes)
    smooth = CubicSpline(u, grid[:, :, :10] / ((1 - nodes) ** 3)[:, None, None])
    inside = np.minimum(x, 1.0)
    in_x = smooth(-np.log(inside) + 8 * (1 - inside)) * ((1 - inside) ** 3)[..., None, None]
    basis = KroghInterpolator(ln_q, np.eye(len(ln_q)))(np.log(mass))
    return np.moveaxis(np.einsum("...qf,...q->...f", in_x, basis), -1, 0)


def breit_wigner_points(made, edges, points):
    """Masses and weights of Gauss-Legendre in arctan((M^2 - MZ^2)/(MZ Gamma)), panel by panel."""
    m_z, scale = made.value("m_z"), made.value("m_z") * made.value("gamma_z")
    node, share = leggauss(points)
    t = np.arctan((np.array(edges) ** 2 - m_z**2) / scale)
    half, middle = np.diff(t)[:, None] / 2, (t[1:] + t[:-1])[:, None] / 2
    angle = (middle + half * node).ravel()
    mass = np.sqrt(m_z**2 + scale * np.tan(angle))
    return mass, (half * share).ravel() * scale / np.cos(angle) ** 2 / (2 * mass)


def test_leading_order_of_cdf_is_that_of_a_gauss_integration(made):
    edges = np.array(made.stage("spectra")["cdf_abs_y"])
    node, share = leggauss(6)
    y = (edges[1:] + edges[:-1])[:, None] / 2 + np.diff(edges)[:, None] / 2 * node
    mass, width = breit_wigner_points(made, [66, 80, 88, 91.2, 94, 100, 116], 6)
    y, mass = np.broadcast_arrays(y[..., None], mass)
    one, two = (quarks(made, mass / 1960 * np.exp(sign * y), mass) for sign in (1, -1))
    same = one * two  # a quark and, from the antiproton, the antiquark of its kind; or both anti
    up, down = (sum(same[k] + same[k + 5] for k in kind) for kind in ((0, 3), (1, 2, 4)))
    spectrum = up * partonic(made, mass, 2 / 3, 0.5) + down * partonic(made, mass, -1 / 3, -0.5)
    found = np.einsum("bym,y,m->b", 2 / mass * spectrum, share / 2, width)
    made_lo = made.outputs["spectra.lo"][BINS["cdf"]]
    # the sample is good to 2e-5; interpolation of densities near x = 1 is what differs at the end
    np.testing.assert_allclose(made_lo[:-4], found[:-4], rtol=5e-5)
    np.testing.assert_allclose(made_lo, found, rtol=5e-4)


def test_gradients_are_those_of_finite_differences(made):
    for name, step in STEPS.items():
        at = made.value(name)
        high, low = (made.forward(**{name: at + each}).objective for each in (step, -step))
        slope = (high - low) / (2 * step)
        # exact for k, of which chi^2 is a parabola; step^2 over that of the parameter otherwise
        assert float(made.gradient[name]) == pytest.approx(slope, rel=1e-6), name


@pytest.mark.slow  # the pullback of the evolution is compiled
def test_a_gradient_through_the_densities_is_that_of_finite_differences(made):
    name, step = "pdf.eta_S", 1e-3
    plan, _ = sweep(made.store, made.pipeline, Request("backward", wrt=[name]))
    found = read_results(made.store, plan).gradient[name]
    at = made.value(name)
    high, low = (made.forward(**{name: at + each}).objective for each in (step, -step))
    # step^2 over that of the parameter
    assert float(found) == pytest.approx((high - low) / (2 * step), rel=1e-6)


@pytest.mark.slow  # more derivatives to compile
def test_the_fit_of_normalisations_is_linear_least_squares(made):
    finished = diffpipe("fit", "z_rapidity", "--json", store=made.store.root)
    assert finished.returncode == 0, finished.stderr
    found = document(finished)
    chi2 = 0.0
    for experiment, bins in BINS.items():
        data = made.pipeline.data[experiment].files
        column = {"atlas": 2, "cdf": 1}[experiment]
        measured = np.loadtxt(data["path"], delimiter=",", skiprows=1)[:, column]
        shift = LUMINOSITY[experiment] * measured
        inverse = np.linalg.inv(
            np.loadtxt(data["covariance"], delimiter=",") - np.outer(shift, shift)
        )
        lo = made.outputs["spectra.lo"][bins]
        best, error = lo @ inverse @ measured / (lo @ inverse @ lo), (lo @ inverse @ lo) ** -0.5
        chi2 += (best * lo - measured) @ inverse @ (best * lo - measured)
        fitted = found["parameters"][f"k_{experiment}"]
        # a minimizer stops within a thousandth of the error; its Hessian is exact to rounding
        assert fitted["value"] == pytest.approx(best, abs=1e-3 * error)
        assert fitted["error"] == pytest.approx(error, rel=1e-8)
    assert found["goodness"]["chi2"] == pytest.approx(chi2, rel=1e-8)
    assert found["goodness"]["degrees"] == 33
    assert found["stages"]["pdf"]["executed"] == 0


def test_an_unknown_beam_is_refused():
    with pytest.raises(ValueError, match=r"second_beam must be one of antiproton, proton, got 'p'"):
        weights({}, {}, colliders={"lhc": {"energy": 8000.0, "second_beam": "p"}})
