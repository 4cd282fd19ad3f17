"""The shipped selection of muon pairs, from a ROOT and from a Les Houches file."""

from dataclasses import replace
from functools import cached_property, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import support
import uproot
from support import Request, Store, assemble, composed, library, sweep, values
from test_laws import STAGED, partial_scale

from diffpipe.cache.errors import PipelineError
from diffpipe.pipelines.core.results import read_results
from diffpipe.pipelines.library.zmumu_events import sample
from diffpipe.pipelines.library.zmumu_events.stages import (
    check_from_legs,
    check_significance,
    from_legs,
    significance,
)
from diffpipe.pipelines.physics.events.lhe import lhe
from diffpipe.pipelines.physics.refusal import RefusedError

NAMES = ("zmumu_events", "zmumu_lhe")


class Made:
    """A shipped pipeline, staged and as one function."""

    def __init__(self, name, folder):
        self.name = name
        self.pipeline = assemble(library.find(name))
        self.store = Store.open(folder / "store")

    @property
    def path(self):
        return self.pipeline.stages["events"].files["path"]

    @cached_property
    def outputs(self):
        plan, _ = sweep(self.store, self.pipeline, Request("forward"))
        return {key: np.array(v) for key, v in read_results(self.store, plan).outputs.items()}

    @cached_property
    def swept(self):
        return sweep(self.store, self.pipeline)[0]

    @cached_property
    def results(self):
        return read_results(self.store, self.swept)

    @cached_property
    def value_and_gradient(self):
        events = self.pipeline.stages["events"]
        opened = replace(events, options={**events.options, "path": self.path})
        stages = {**self.pipeline.stages, "events": opened}
        needed = {name: stages[name] for name in stages if name not in ("cut_flow", "window_flow")}
        return jax.jit(jax.value_and_grad(composed(replace(self.pipeline, stages=needed))))

    def at(self, **changed):
        point = values(self.pipeline) | {
            name: jnp.asarray(np.array(v)) for name, v in changed.items()
        }
        return float(self.value_and_gradient(point)[0])


@pytest.fixture(scope="module", params=NAMES)
def made(request, tmp_path_factory):
    return Made(request.param, tmp_path_factory.mktemp(request.param))


def read_pairs(made):
    """Momenta (event, 2, 4) and the product of charges of a pipeline's file, read plainly."""
    if made.name == "zmumu_lhe":
        events = lhe(0, 400, count=400, seed=0, path=made.path, legs=4)
        return events["momenta"][:, 2:], -np.ones(400)
    columns = uproot.open(made.path)["events"].arrays(library="np")
    legs = [[columns[word + muon] for word in ("E", "px", "py", "pz")] for muon in "12"]
    return np.array(legs, float).transpose(2, 0, 1), columns["Q1"] * columns["Q2"]


def test_hard_yields_are_those_of_a_plain_selection_of_the_file(made):
    momenta, charge = read_pairs(made)
    pt = np.hypot(momenta[:, :, 1], momenta[:, :, 2])
    eta = np.arctanh(momenta[:, :, 3] / np.linalg.norm(momenta[:, :, 1:], axis=2))
    total = momenta.sum(axis=1)
    mass = np.sqrt(total[:, 0] ** 2 - np.sum(total[:, 1:] ** 2, axis=1))
    passed = [charge < 0, pt[:, 0] >= 20, pt[:, 1] >= 20, abs(eta[:, 0]) < 1.8]
    passed += [abs(eta[:, 1]) < 1.8, mass >= 82.0, mass < 100.0]
    yields = np.logical_and.accumulate(passed).sum(axis=1)
    assert made.outputs["cut_flow.hard"].tolist() == [len(mass), *yields[:5]]
    assert made.outputs["window_flow.hard"].tolist() == yields[4:].tolist()
    spectrum = np.histogram(mass[np.logical_and.reduce(passed[:5])], np.arange(60, 121, 2))[0]
    assert made.outputs["spectrum_hard.moments"][:, 0].tolist() == spectrum.tolist()
    assert made.outputs["spectrum_hard.variance"].tolist() == spectrum.tolist()


def test_soft_yields_are_close_to_the_hard_ones(made):
    for flow in ("cut_flow", "window_flow"):
        assert abs(made.outputs[f"{flow}.relative_bias"]).max() < 0.03  # found: 0.003, 0.012
    hard = made.outputs["spectrum_hard.moments"][:, 0]
    soft, variance = (made.outputs[f"spectrum.{name}"] for name in ("moments", "variance"))
    # a fifth of a bin's width: few events leave their bin, and their noise is below Poisson's
    assert (abs(soft[:, 0] - hard) < 1 + 2 * np.sqrt(hard)).all()
    assert (variance <= soft[:, 0] * (1 + 1e-12)).all()


def test_the_staged_gradient_is_that_of_the_composed_function(made):
    value, gradient = made.value_and_gradient(values(made.pipeline))
    np.testing.assert_allclose(made.results.objective, value, rtol=STAGED)
    for name in made.pipeline.parameters:
        difference = abs(np.asarray(made.results.gradient[name]) - gradient[name])
        scale = partial_scale(made.store, made.pipeline, made.swept, name)
        assert difference <= STAGED * scale, name


@pytest.mark.parametrize("name", ["pt_min", "eta_max", "m_low", "m_high"])
def test_the_gradient_in_thresholds_is_that_of_finite_differences(made, name):
    at, step = made.pipeline.parameters[name].value, 1e-4
    slope = (made.at(**{name: at + step}) - made.at(**{name: at - step})) / (2 * step)
    # step^2 over that of the temperature, and rounding over the step
    assert float(made.results.gradient[name]) == pytest.approx(slope, rel=1e-5, abs=1e-8)


def test_each_stage_transposes(made):
    generator = np.random.default_rng(7)
    for step in made.swept.steps:
        if step.kind == "pullback":
            forward, backward, scale = support.adjoint_pair(made.store, step, generator)
            assert abs(forward - backward) <= 1e-12 * scale, step.id  # as law 1


def test_what_is_selected_is_the_z(made):
    share = made.outputs["significance.signal"] / made.outputs["window.yields"][0, -1]
    assert 0.9 < float(share) < 1.0
    assert float(made.results.objective) > 10.0


def test_momenta_and_masses_of_the_root_sample_agree(tmp_path):
    made = Made("zmumu_events", tmp_path)
    momenta = read_pairs(made)[0].sum(axis=1)
    mass = np.sqrt(momenta[:, 0] ** 2 - np.sum(momenta[:, 1:] ** 2, axis=1))
    stored = uproot.open(made.path)["events"]["M"].array(library="np")
    # the columns are float32, and what cancels in E^2 - p^2 is up to (E/M)^2
    np.testing.assert_allclose(mass, stored, rtol=1e-5)


def test_the_script_writes_what_the_pipelines_read(tmp_path):
    sample.write_root(tmp_path / "z.root")
    sample.write_lhe(tmp_path / "z.lhe.gz")
    columns = uproot.open(tmp_path / "z.root")["events"].arrays(library="np")
    assert len(columns["M"]) == sample.ROOT_PAIRS
    shipped = uproot.open(library.SHIPPED / "zmumu_events" / "data" / "zmumu.root")["events"]
    assert sorted(shipped.keys()) == sorted(columns)
    read = partial(lhe, 0, 400, count=sample.LHE_PAIRS, seed=0)
    momenta = read(path=tmp_path / "z.lhe.gz")["momenta"]
    incoming, outgoing = momenta[:, :2].sum(axis=1), momenta[:, 2:].sum(axis=1)
    np.testing.assert_allclose(incoming, outgoing, atol=1e-6)  # eleven digits are written


def test_a_threshold_that_leaves_no_pair_is_refused(tmp_path):
    made = support.with_values(assemble(library.find("zmumu_events")), pt_min=1e4)
    with pytest.raises(PipelineError, match=r"cut_flow.*empty selection.*after cut 2 of 5"):
        sweep(Store.open(tmp_path / "store"), made, Request("forward"))


@pytest.mark.parametrize("pdg", [[2, -2, 13, 13], [2, -2, 11, -11], [2, -2, 13, 22]])
def test_events_without_a_muon_pair_are_refused(pdg):
    legs = np.array([[2, -2, 13, -13], pdg])
    with pytest.raises(RefusedError, match="event 1 has the legs"):
        check_from_legs({}, {"momenta": np.ones((2, 4, 4)), "pdg": legs})


def test_legs_are_found_in_whatever_order():
    pdg = np.array([[2, -2, 13, -13], [2, -2, -13, 13]])
    momenta = np.arange(32.0).reshape(2, 4, 4)
    found = from_legs({}, {"momenta": jnp.asarray(momenta), "pdg": jnp.asarray(pdg)})["momenta"]
    np.testing.assert_array_equal(found[0], momenta[0, 2:])
    np.testing.assert_array_equal(found[1], momenta[1, [3, 2]])


WINDOW = {"m_low": jnp.asarray(80.0), "m_high": jnp.asarray(100.0)}
GIVEN = {"window": jnp.asarray([[50.0, 40.0], [50.0, 40.0]]), "spectrum": jnp.ones((3, 1))}
EDGES = [60.0, 80.0, 100.0, 120.0]


def test_significance_is_that_of_the_window_over_its_sidebands():
    found = significance(WINDOW, GIVEN, edges=EDGES, sidebands=[[60, 80], [100, 120]])
    assert float(found["background"]) == pytest.approx(1.0, rel=1e-15)  # one in 20 GeV
    assert float(found["significance"]) == pytest.approx(39.0 / np.sqrt(40.0), rel=1e-15)


@pytest.mark.parametrize("sidebands", [[], [[60, 70]], [[60, 80, 100]], [[80, 60]]])
def test_sidebands_that_are_no_bins_are_refused(sidebands):
    with pytest.raises(ValueError, match="sidebands"):
        significance(WINDOW, GIVEN, edges=EDGES, sidebands=sidebands)


def test_a_window_upside_down_or_empty_is_refused():
    with pytest.raises(RefusedError, match="m_low = 80 to m_high = 70 GeV is empty"):
        check_significance(WINDOW | {"m_high": 70.0}, GIVEN)
    with pytest.raises(RefusedError, match="empty selection"):
        check_significance(WINDOW, GIVEN | {"window": np.zeros((2, 2))})
