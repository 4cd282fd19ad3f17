"""HistFactory likelihoods: pyhf's values and gradients, and derivatives in templates."""

import json
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pyhf
import pytest
from scipy.special import gammaln
from support import assemble, composed, sweep, values

from diffpipe.cache.errors import DiffpipeError, NonFiniteError, PipelineError
from diffpipe.pipelines.core.results import read_results
from diffpipe.pipelines.physics.likelihood.histfactory import derive, interpolation, model
from diffpipe.pipelines.physics.likelihood.histfactory.companions import companions
from diffpipe.pipelines.physics.likelihood.histfactory.compile import compile
from diffpipe.pipelines.physics.likelihood.histfactory.factorial import log_factorial
from diffpipe.pipelines.physics.likelihood.histfactory.load import load
from diffpipe.pipelines.physics.likelihood.histfactory.patches import Patch
from diffpipe.pipelines.physics.likelihood.histfactory.reader import (
    histfactory as histfactory_reader,
)
from diffpipe.pipelines.physics.likelihood.histfactory.stage import histfactory
from diffpipe.pipelines.physics.likelihood.histfactory.workspace import parse
from diffpipe.pipelines.physics.refusal import RefusedError

# pyhf 0.7 calls what jsonschema has deprecated
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

# compiling takes the time of these tests; what is compiled runs a few times
jit = partial(
    jax.jit,
    compiler_options={"xla_backend_optimization_level": 0, "xla_cpu_use_fusion_emitters": False},
)
CODES = [("code4p", "code4"), ("code0", "code1"), ("code2", "code4")]


def hello(signal=(5.0,), background=(10.0,), uncertainty=(3.5,), observed=(15.0,)):
    """The workspace of `pyhf.simplemodels.uncorrelated_background`."""
    samples = [
        {"name": "signal", "data": list(signal), "modifiers": [normfactor("mu")]},
        {
            "name": "background",
            "data": list(background),
            "modifiers": [
                {"name": "uncorr_bkguncrt", "type": "shapesys", "data": list(uncertainty)}
            ],
        },
    ]
    return document({"singlechannel": samples}, {"singlechannel": list(observed)})


def document(channels, observed, parameters=()):
    measurement = {"name": "m", "config": {"poi": "mu", "parameters": list(parameters)}}
    return {
        "channels": [{"name": name, "samples": each} for name, each in channels.items()],
        "observations": [{"name": name, "data": list(data)} for name, data in observed.items()],
        "measurements": [measurement],
        "version": "1.0.0",
    }


def normfactor(name, kind="normfactor"):
    return {"name": name, "type": kind, "data": None}


LUMI = {
    "name": "lumi",
    "inits": [1.02],
    "bounds": [[0.9, 1.1]],
    "auxdata": [0.99],
    "sigmas": [0.03],
}
SETTINGS = [
    LUMI,
    {"name": "mu", "inits": [1.3], "bounds": [[-1.0, 4.0]]},
    {"name": "shape_a", "fixed": True, "inits": [0.2], "auxdata": [0.4]},
    {"name": "norm_b", "bounds": [[-3.0, 3.0]]},
    {"name": "free_a_short", "auxdata": [31.0], "fixed": True},
    {"name": "free_m_mid", "factors": [30.0, 40.0, 50.0], "inits": [1.1, 0.9, 1.0]},
    {"name": "stat_a_short", "sigmas": [0.07], "auxdata": [1.01]},
    {"name": "not_in_the_model", "fixed": True},
]


def everything(seed):
    """A workspace with every modifier, shared between samples and channels, and settings."""
    generator = np.random.default_rng(seed)
    channels, observed = {}, {}
    for channel, bins in (("z_long", 7), ("a_short", 1), ("m_mid", 3)):
        samples = [_sample(generator, channel, name, bins) for name in ("tt", "qcd", "sig")]
        if channel == "a_short":
            samples.pop(1)
        channels[channel] = samples
        observed[channel] = generator.poisson(60, bins).astype(float).tolist()
    channels["m_mid"][0]["data"][1] = 0.0  # a bin without content: its shapesys is fixed
    return document(channels, observed, SETTINGS)


def _sample(generator, channel, name, bins):
    data = generator.uniform(8.0, 30.0, bins)
    modifiers = [normfactor("lumi", "lumi"), _stat(generator, channel, data)]
    if name == "sig":
        modifiers.append(normfactor("mu"))
    else:
        modifiers += [_histosys(generator, f"shape_{i}", data) for i in "ab"]
        modifiers += [_normsys(generator, f"norm_{i}") for i in "ab"]
        modifiers.append(_normsys(generator, "shape_a"))
    if name == "tt":
        uncertainty = generator.uniform(0.5, 3.0, bins).tolist()
        shape = {"name": f"free_{channel}", "type": "shapesys", "data": uncertainty}
        modifiers.append(shape)
    if name == "qcd" and bins == 3:
        modifiers.append(normfactor("data_driven", "shapefactor"))
    generator.shuffle(modifiers)
    return {"name": name, "data": data.tolist(), "modifiers": modifiers}


def _histosys(generator, name, data):
    lo, hi = (data * generator.uniform(*span, len(data)) for span in ((0.8, 1.0), (1.0, 1.3)))
    return {
        "name": name,
        "type": "histosys",
        "data": {"lo_data": lo.tolist(), "hi_data": hi.tolist()},
    }


def _normsys(generator, name):
    lo, hi = generator.uniform(0.8, 1.0), generator.uniform(1.0, 1.3)
    return {"name": name, "type": "normsys", "data": {"lo": lo, "hi": hi}}


def _stat(generator, channel, data):
    uncertainty = generator.uniform(0.5, 2.0, len(data)) * (generator.uniform(size=len(data)) > 0.1)
    return {"name": f"stat_{channel}", "type": "staterror", "data": uncertainty.tolist()}


def compiled(raw, codes=CODES[0], measurement=None):
    histosys, normsys = codes
    return compile(parse(raw, measurement, "ws"), histosys=histosys, normsys=normsys)


def on_device(tables):
    return {name: jnp.asarray(each) for name, each in tables.items()}


@cache
def evaluated():
    return jit(jax.value_and_grad(model.log_likelihood))


EXPECTED = jit(model.expected_data)


def pyhf_model(raw, codes=CODES[0], backend="numpy"):
    pyhf.set_backend(backend, precision="64b")
    histosys, normsys = codes
    settings = {"normsys": {"interpcode": normsys}, "histosys": {"interpcode": histosys}}
    workspace = pyhf.Workspace(raw)
    found = workspace.model(modifier_settings=settings)
    return found, np.array(workspace.data(found))


def points(made, count=3):
    """The start, and random points within bounds, up to three standard deviations away."""
    generator = np.random.default_rng(7)
    start = np.array(made.tables["init"])
    yield start
    for _ in range(count):
        moved = start + generator.uniform(-3.0, 3.0, len(start)) * np.where(start == 0, 1.0, 0.1)
        yield np.clip(moved, made.tables["lower"], made.tables["upper"])


def test_the_one_bin_workspace_has_its_published_value():
    made = compiled(hello())
    tables = on_device(made.tables)
    value, gradient = evaluated()(tables["init"], tables, tables["data"])
    # -4.25748227: pyhf's documented value, 9 digits
    assert float(value) == pytest.approx(-4.25748227, abs=5e-9)
    assert made.names == ["mu", "uncorr_bkguncrt[0]"]
    np.testing.assert_allclose(gradient, 0.0, atol=1e-13)  # 15 events observed, 5 + 10 expected


@pytest.mark.parametrize("codes", CODES)
@pytest.mark.parametrize("seed", [1, 2])
def test_values_are_those_of_pyhf(seed, codes):
    raw = everything(seed)
    made = compiled(raw, codes)
    theirs, data = pyhf_model(raw, codes)
    assert list(made.names) == theirs.config.par_names
    assert made.poi == theirs.config.poi_index
    np.testing.assert_array_equal(made.tables["init"], theirs.config.suggested_init())
    bounds = np.array(theirs.config.suggested_bounds())
    np.testing.assert_array_equal(made.tables["lower"], bounds[:, 0])
    np.testing.assert_array_equal(made.tables["upper"], bounds[:, 1])
    np.testing.assert_array_equal(made.tables["fixed"], theirs.config.suggested_fixed())
    np.testing.assert_allclose(made.tables["data"], data, rtol=1e-14)  # (b/d)^2 rounds
    tables = on_device(made.tables)
    for theta in points(made):
        value, _ = evaluated()(jnp.asarray(theta), tables, tables["data"])
        # two ways to add some hundred numbers
        np.testing.assert_allclose(value, theirs.logpdf(theta, data)[0], rtol=1e-12)
        expected = EXPECTED(jnp.asarray(theta), tables)
        np.testing.assert_allclose(expected, theirs.expected_data(theta), rtol=1e-12)


def test_gradients_are_those_of_pyhf_and_jax():
    raw = everything(3)
    made = compiled(raw)
    tables = on_device(made.tables)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        theirs, data = pyhf_model(raw, backend="jax")
        gradient = jit(jax.grad(lambda theta: theirs.logpdf(theta, jnp.asarray(data))[0]))
        expected = [np.array(gradient(jnp.asarray(theta))) for theta in points(made)]
    pyhf.set_backend("numpy")
    for theta, wanted in zip(points(made), expected, strict=True):
        _, found = evaluated()(jnp.asarray(theta), tables, tables["data"])
        # sums of some hundred terms as large as 1e2
        np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("codes", CODES[1:])
def test_gradients_of_the_other_codes_are_slopes_of_their_values(codes):
    made = compiled(everything(3), codes)
    tables = on_device(made.tables)
    theta = jnp.asarray(list(points(made))[1])
    exact = evaluated()(theta, tables, tables["data"])[1]
    step = 1e-5
    for i in (made.names.index(name) for name in ("shape_a", "shape_b", "norm_a", "norm_b")):
        ends = [
            evaluated()(theta.at[i].add(each), tables, tables["data"])[0] for each in (step, -step)
        ]
        # central differences: step^2 times the third derivative, and rounding 1e-13/step
        np.testing.assert_allclose((ends[0] - ends[1]) / (2 * step), exact[i], rtol=1e-6)


def test_where_a_bin_and_its_count_are_zero_the_likelihood_is_that_of_pyhf():
    raw = hello([0.0, 5.0], [0.0, 10.0], [1.0, 3.5], [0.0, 15.0])
    made = compiled(raw)
    theirs, data = pyhf_model(raw)
    assert made.tables["fixed"].tolist() == theirs.config.suggested_fixed() == [False, True, False]
    tables = on_device(made.tables)
    value, gradient = evaluated()(tables["init"], tables, tables["data"])
    np.testing.assert_allclose(value, theirs.logpdf(made.tables["init"], data)[0], rtol=1e-14)
    assert np.isfinite(gradient).all()


def test_derivatives_hold_where_a_factor_is_zero():
    made = compiled(everything(1))
    tables = on_device(made.tables)
    theta = jnp.asarray(made.tables["init"]).at[made.poi].set(0.0)
    exact = evaluated()(theta, tables, tables["data"])[1][made.poi]
    step = 1e-5
    values = [
        evaluated()(theta.at[made.poi].set(each), tables, tables["data"])[0]
        for each in (step, -step)
    ]
    # central differences: step^2 times the third derivative, and rounding 1e-13/step
    np.testing.assert_allclose((values[0] - values[1]) / (2 * step), exact, rtol=1e-6)


def test_the_logarithm_of_a_factorial():
    n = np.concatenate([np.arange(40.0), np.linspace(0.0, 30.0, 77), np.logspace(1.5, 8, 40)])
    # gammaln's own error is of this size
    np.testing.assert_allclose(log_factorial(jnp.asarray(n)), gammaln(n + 1.0), 1e-14, 2e-14)


def test_the_polynomial_of_code_4_joins_and_is_above_zero():
    lo, hi = (each.ravel() for each in np.meshgrid(*2 * [np.logspace(-6, 1, 15)]))
    series = interpolation.polynomial(lo, hi, np)
    alpha = np.linspace(-1.0, 1.0, 101)
    factor = 1.0 + alpha[:, None] ** np.arange(1, 7) @ series
    # coefficients as large as hi log(hi)^2, some 50, cancel
    np.testing.assert_allclose(factor[[0, -1]], [lo, hi], atol=1e-12)
    assert (factor[1:-1] > 0.0).all()


def test_templates_and_observations_of_other_stages_take_their_places(tmp_path):
    raw = everything(2)
    (tmp_path / "ws.json").write_text(json.dumps(raw))
    place = {"channel": "m_mid", "sample": "tt"}
    chosen = {
        "nominal": place,
        "up": place | {"modifier": "shape_a", "type": "histosys", "side": "hi"},
        "factor": place | {"modifier": "norm_b", "side": "lo"},
        "stat": place | {"modifier": "stat_m_mid"},
    }
    options = {"workspace": "ws.json", "templates": chosen, "names": {"s": "shape_a"}}
    brought = companions(options, ["mu", "s"], tmp_path)
    given = {
        "nominal": jnp.asarray([20.0, 21.0, 22.0]),
        "up": jnp.asarray([23.0, 22.0, 25.0]),
        "factor": jnp.asarray(0.9),
        "stat": jnp.asarray([1.0, 1.5, 0.5]),
        "observed": jnp.arange(11.0) + 50.0,
        "workspace": histfactory_reader(tmp_path / "ws.json"),
    }
    moved = {"mu": jnp.asarray(0.7), "s": jnp.asarray(-0.4)}
    found = jit(partial(histfactory, **brought["options"]))(moved, given)
    theirs, data, theta = _by_hand(raw, given)
    expected = -2.0 * theirs.logpdf(theta, data)[0]
    np.testing.assert_allclose(found["twice_nll"], expected, rtol=1e-13)  # rounding
    main = theirs.expected_data(theta, include_auxdata=False)
    np.testing.assert_allclose(found["expected"], main, rtol=1e-13)


def _by_hand(raw, given):
    """The same with the numbers written into the workspace."""
    (m_mid,) = (each for each in raw["channels"] if each["name"] == "m_mid")
    (tt,) = (each for each in m_mid["samples"] if each["name"] == "tt")
    tt["data"] = given["nominal"].tolist()
    for modifier in tt["modifiers"]:
        match modifier["name"], modifier["type"]:
            case "shape_a", "histosys":
                modifier["data"]["hi_data"] = given["up"].tolist()
            case "norm_b", _:
                modifier["data"]["lo"] = float(given["factor"])
            case "stat_m_mid", _:
                modifier["data"] = given["stat"].tolist()
    theirs, data = pyhf_model(raw)
    data[:11] = given["observed"]
    theta = np.array(theirs.config.suggested_init())
    theta[theirs.config.par_names.index("mu")] = 0.7
    theta[theirs.config.par_names.index("shape_a")] = -0.4
    return theirs, data, theta


TEMPLATES = ("nominal", "shift_lo", "shift_hi", "norm_lo", "norm_hi", "shapesys", "stat")


def test_derivatives_in_every_kind_of_template():
    """Of the likelihood of the derived tables: widths and auxiliary data move along."""
    made = compiled(everything(2))
    arrays = on_device(made.arrays)
    theta = jnp.asarray(list(points(made, 1))[1])

    def along(step, direction):
        moved = {name: arrays[name] * (1.0 + step * direction[name]) for name in TEMPLATES}
        tables = derive.tables(arrays | moved, jnp)
        return model.log_likelihood(theta, tables, tables["data"])

    generator = np.random.default_rng(5)
    value, slope = jit(along), jit(jax.jacfwd(along))
    for kind in TEMPLATES:
        zeros = {name: np.zeros(made.arrays[name].shape) for name in TEMPLATES}
        direction = zeros | {kind: generator.normal(size=made.arrays[kind].shape)}
        step = 1e-5
        difference = (value(step, direction) - value(-step, direction)) / (2 * step)
        # central differences: step^2 times the third derivative, and rounding 1e-13/step
        np.testing.assert_allclose(slope(0.0, direction), difference, rtol=1e-6, atol=1e-7)


def refused(raw, text, hint="", measurement=None):
    with pytest.raises(RefusedError) as error:
        compiled(raw, measurement=measurement)
    assert text in str(error.value)
    assert hint in (error.value.hint or "")


def changed(*changes, raw=None):
    """The one-bin workspace with values at places of the document changed; None: taken away."""
    found = hello() if raw is None else raw
    for path, value in changes:
        *above, last = path
        inner = found
        for word in above:
            inner = inner[word]
        if value is None:
            del inner[last]
        else:
            inner[last] = value
    return found


SIGNAL = ("channels", 0, "samples", 0)
BACKGROUND = ("channels", 0, "samples", 1)


@pytest.mark.parametrize(
    ("path", "value", "text"),
    [
        ((*BACKGROUND, "data", 0), "ten", "channels[0].samples[1].data[0]: must be of type number"),
        (
            (*BACKGROUND, "data", 0),
            float("nan"),
            "samples[1].data[0]: must be a finite number",
        ),
        ((*BACKGROUND, "data"), [], "channels[0].samples[1].data: must have at least 1 entries"),
        ((*BACKGROUND, "data"), None, "channels[0].samples[1]: 'data' is a required property"),
        ((*BACKGROUND, "modifiers", 0, "type"), "shapesis", "no modifier of type 'shapesis'"),
        ((*BACKGROUND, "modifiers", 0, "data"), 3.0, "samples[1].modifiers[0].data: must be of"),
        (("version",), "2.0.0", "version: must be '1.0.0', got \"2.0.0\""),
        ((*BACKGROUND, "data", 0), -1.0, "channels[0].samples[1] (channel singlechannel, sample b"),
        ((*BACKGROUND, "data"), [1.0, 2.0], "2 bins in data, 1 bins in the observations"),
        ((*BACKGROUND, "modifiers", 0, "data"), [1.0, 2.0], "2 bins in data, 1 bins in the sample"),
        ((*BACKGROUND, "name"), "signal", "two samples are called 'signal'"),
        (("observations", 0, "name"), "SR", "no observations for channel singlechannel"),
        (("observations", 0, "data", 0), -2.0, "channel singlechannel: -2.0 events observed"),
        ((*SIGNAL, "modifiers", 0, "name"), "uncorr_bkguncrt", "cannot share parameters"),
        (
            (*SIGNAL, "modifiers", 0),
            {"name": "n", "type": "normsys", "data": {"lo": 0.0, "hi": 1.1}},
            "normsys 'n': a factor is 0.0",
        ),
        ((*SIGNAL, "modifiers", 0), normfactor("lumi", "lumi"), "does not set inits of lumi"),
        (
            ("measurements", 0, "config", "parameters"),
            [{"name": "mu", "sigmas": [1.0]}],
            "sets sigmas of 'mu', which a normfactor has not",
        ),
        (
            ("measurements", 0, "config", "parameters"),
            [{"name": "mu", "inits": [1.0, 2.0]}],
            "gives 2 inits for 'mu', which has 1",
        ),
    ],
)
def test_what_is_wrong_with_a_workspace_is_said_with_its_place(path, value, text):
    refused(changed((path, value)), text)


def test_an_unknown_measurement_is_told_with_those_there_are():
    refused(hello(), "no measurement 'n'", "known: m", measurement="n")


def test_a_patch_and_a_patch_of_a_set_are_applied(tmp_path):
    (tmp_path / "ws.json").write_text(json.dumps(hello()))
    patch = [{"op": "replace", "path": "/channels/0/samples/0/data", "value": [6.0]}]
    (tmp_path / "patch.json").write_text(json.dumps(patch))
    digest = pyhf.utils.digest(hello())
    (tmp_path / "set.json").write_text(json.dumps(patch_set({"six": patch}, digest)))
    for text in ("patch.json", "set.json:six"):
        found = load(tmp_path / "ws.json", [Patch.of(str(tmp_path / text))])
        assert found.channels[0].samples[1].data == [6.0]


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("set.json", "is a set of 1 patches", "set.json:six"),
        ("set.json:sex", "has no patch 'sex'", "six"),
        ("set.json:six", "was made for another workspace", "published with the set"),
        ("patch.json", "does not fit the workspace", "made together"),
        ("patch.json:six", "is one patch, not a set", "patch.json alone"),
        ("torn.json", "torn.json, line 1: no JSON", "complete"),
        ("none.json", "cannot read", ""),
    ],
)
def test_what_is_wrong_with_a_patch_is_said(tmp_path, text, said, hint):
    (tmp_path / "ws.json").write_text(json.dumps(hello()))
    patch = [{"op": "replace", "path": "/channels/7/name", "value": "SR"}]
    (tmp_path / "patch.json").write_text(json.dumps(patch))
    (tmp_path / "set.json").write_text(json.dumps(patch_set({"six": patch}, "0" * 64)))
    (tmp_path / "torn.json").write_text("[{")
    with pytest.raises(RefusedError) as error:
        load(tmp_path / "ws.json", [Patch.of(str(tmp_path / text))])
    assert said in str(error.value)
    assert hint in (error.value.hint or "")


def patch_set(patches, digest):
    return {
        "metadata": {
            "references": {"hepdata": "ins1234567"},
            "digests": {"sha256": digest},
            "labels": ["mass"],
            "description": "a signal grid",
        },
        "patches": [
            {"metadata": {"name": name, "values": [1]}, "patch": each}
            for name, each in patches.items()
        ],
        "version": "1.0.0",
    }


PIPELINE = """
pipeline: counting
parameters: {phi: 0.3, mu: 1.2, gamma: [1.05, 0.98]}
stages:
  toy: {uses: "toy:toy", over: once, parameters: [phi]}
  likelihood:
    uses: histfactory
    over: once
    parameters: [mu, gamma]
    inputs: {signal: toy.signal, uncertainty: toy.uncertainty}
    options:
      workspace: ws.json
      names: {gamma: uncorr_bkguncrt}
      templates:
        signal: {channel: singlechannel, sample: signal}
        uncertainty: {channel: singlechannel, sample: background, modifier: uncorr_bkguncrt}
objective: likelihood.twice_nll
"""
TOY = """
import jax.numpy as jnp

def toy(parameters, inputs):
    phi = parameters["phi"]
    signal = jnp.stack([12.0 + phi, 11.0 - 2.0 * phi])
    return {"signal": signal, "uncertainty": jnp.stack([3.0 + phi**2, 7.0 - phi])}
"""


@pytest.fixture
def project(tmp_path):
    """A pipeline around a workspace of two bins, in which texts are replaced; gives its path."""
    folder = tmp_path / "project"
    folder.mkdir()
    raw = hello([12.0, 11.0], [50.0, 52.0], [3.0, 7.0], [51.0, 48.0])
    (folder / "ws.json").write_text(json.dumps(raw))
    (folder / "toy.py").write_text(TOY)

    def write(old="", new=""):
        assert old in PIPELINE
        (folder / "pipeline.yaml").write_text(PIPELINE.replace(old, new, 1) if old else PIPELINE)
        return folder / "pipeline.yaml"

    return write


def test_the_stage_is_pyhf_with_the_templates_of_another_stage(project, store):
    made = assemble(project())
    plan, _ = sweep(store, made)
    found = read_results(store, plan)
    phi = 0.3
    raw = hello([12.0 + phi, 11.0 - 2 * phi], [50.0, 52.0], [3.0 + phi**2, 7.0 - phi], [51.0, 48.0])
    theirs, data = pyhf_model(raw)
    value = -2.0 * theirs.logpdf([1.2, 1.05, 0.98], data)[0]
    np.testing.assert_allclose(found.objective, value, rtol=1e-13)  # rounding
    whole = jit(jax.value_and_grad(composed(made)))
    _, gradient = whole(values(made))
    for name in ("phi", "mu", "gamma"):
        np.testing.assert_allclose(found.gradient[name], gradient[name], rtol=1e-12, atol=1e-12)
    step = 1e-5
    ends = [whole(values(made) | {"phi": jnp.asarray(phi + s)})[0] for s in (step, -step)]
    # central differences: step^2 times the third derivative, and rounding 1e-13/step
    np.testing.assert_allclose((ends[0] - ends[1]) / (2 * step), gradient["phi"], rtol=1e-7)


@pytest.mark.parametrize(
    ("old", "new", "text", "hint"),
    [
        ("workspace: ws.json", "workspace: no.json", "there is no file 'no.json'", ""),
        ("gamma: uncorr_bkguncrt", "gamma: bkguncrt", "no parameter 'bkguncrt'", "uncorr_bkguncrt"),
        ("names:", "name:", "unknown option 'name'", "names"),
        ("sample: signal", "sample: signl", "there is no sample 'signl'", "signal"),
        ("channel: singlechannel, ", "channel: SR, ", "there is no channel 'SR'", "singlechannel"),
        ("modifier: uncorr_bkguncrt}", "modifier: x}", "no modifier 'x'", "uncorr_bkguncrt"),
        ("workspace: ws.json", "workspace: ws.json\n      measurement: n", "measurement 'n'", "m"),
        ("mu, gamma]", "mu, gamma, phi]", "no parameter 'phi'", "option names"),
    ],
)
def test_wrong_names_are_refused_before_anything_runs(project, old, new, text, hint):
    with pytest.raises(PipelineError) as error:
        assemble(project(old, new))
    assert text in error.value.message
    assert hint in (error.value.hint or "")


def test_an_empty_template_of_another_stage_is_refused(project, store):
    path = project()
    (path.parent / "toy.py").write_text(
        TOY.replace("12.0 + phi, 11.0 - 2.0 * phi", "0 * phi, 0 * phi")
    )
    with pytest.raises(DiffpipeError, match="sample signal\\) is empty: zero in all 2 bins"):
        sweep(store, assemble(path))


def test_a_negative_expectation_is_explained(project, store):
    made = assemble(project(), set_values={"mu": -9.0})
    with pytest.raises(NonFiniteError) as error:
        sweep(store, made)
    assert "bin 0 of channel singlechannel expects" in error.value.hint
