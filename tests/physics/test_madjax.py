"""The madjax backend, on a stand-in for madjax and small packages written here in its layout.

The stand-in has the defects of the real one, as far as a test asks for them. With the real madjax
and a folder of generated packages in DIFFPIPE_MADJAX_PACKAGES, those are compared as well.
"""

import os
import re
import sys
from functools import cache, partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffpipe.pipelines.physics.matrix_elements import points
from diffpipe.pipelines.physics.matrix_elements.element import build
from diffpipe.pipelines.physics.matrix_elements.madjax import calls, frame, lookup, served, slha
from diffpipe.pipelines.physics.matrix_elements.madjax.backend import examine, open_backend
from diffpipe.pipelines.physics.matrix_elements.madjax.element import find
from diffpipe.pipelines.physics.matrix_elements.madjax.package import load
from diffpipe.pipelines.physics.matrix_elements.process.concrete import expand
from diffpipe.pipelines.physics.matrix_elements.process.notation import parse
from diffpipe.pipelines.physics.matrix_elements.stage import matrix_element
from diffpipe.pipelines.physics.refusal import RefusedError

EE, UU = "e+ e- > mu+ mu-", "u u~ > g g"
STOCK = {"lone": "[real]", "dtype": "complex64"}
CURED = {"lone": "real", "dtype": "complex128"}
STOCKED = pytest.mark.usefixtures("stock")

MADJAX = {
    "__init__.py": """
import jax
jax.config.update("jax_enable_x64", True)

class MadJax:
    pass
""",
    "madjax_patch.py": """
import jax.numpy as jnp

def complex(real, *imaginary):
    value = real + 1j * imaginary[0] if imaginary else {lone}
    return jnp.array(value).astype(jnp.{dtype})
""",
    "wavefunctions.py": """
import jax.numpy as jnp
from madjax.madjax_patch import complex

def amplitude(value{captured}):
    return complex(value)

def spinor(leg):
    '''Of a massless momentum, right of its helicities: (sqrt(E + pz), (px + i py)/sqrt(E + pz)).'''
    e, x, y, z = leg.asarray()
    upper = jnp.sqrt(e + z)
    lower = jnp.where(e + z > 0.0, complex(x, y) / upper, complex(jnp.sqrt(2.0 * e), 0.0))
    return [complex(upper, 0.0), lower]
""",
    "phasespace/__init__.py": "",
    "phasespace/vectors.py": """
class LorentzVector:
    def __init__(self, components):
        self.components = components

    def asarray(self):
        return self.components
""",
}

PACKAGE = {
    "__init__.py": """
import pathlib
import sys
sys.path.insert(0, str(pathlib.Path(__file__).parent))
""",
    "model/__init__.py": "",
    "model/aloha_methods.py": """
STRENGTH = {strength}

def angle(a, b):
    return a[0] * b[1] - a[1] * b[0]
""",
    "model/parameters.py": """
import jax.numpy as jnp
from madjax.madjax_patch import complex

def calculate_full_parameters(slha):
    mz, wz = slha.get(("mass", 23), 91.188), slha.get(("decay", 23), 2.441404)
    alpha, gf = 1.0 / slha.get(("sminputs", 1), 132.507), slha.get(("sminputs", 2), 1.16639e-5)
    mw2 = mz**2 * (0.5 + jnp.sqrt(0.25 - jnp.pi * alpha / (jnp.sqrt(2.0) * gf * mz**2)))
    sin2 = 1.0 - mw2 / mz**2
    e, per = jnp.sqrt(4.0 * jnp.pi * alpha), jnp.sqrt(sin2 * (1.0 - sin2))
    strong = 4.0 * jnp.pi * slha.get(("sminputs", 3), 0.118)
    return {{
        "ZERO": 0.0, "mdl_MZ": mz, "mdl_WZ": wz, "GC_3": complex(e, 0.0),
        "GC_L": complex(e * (sin2 - 0.5) / per, 0.0), "GC_R": complex(e * sin2 / per, 0.0),
        "GC_11": complex(strong, 0.0),
    }}
""",
    "processes/__init__.py": "",
    "processes/all_processes.py": """
import itertools
import jax
import jax.numpy as jnp
from madjax.wavefunctions import *
from model.aloha_methods import *

class Sums:
    def get_external_masses(self, model):
        return ((model["ZERO"], model["ZERO"]), (model["ZERO"], model["ZERO"]))

    def smatrix(self, p, model):
        table = [list(row) for row in itertools.product((-1, 1), repeat=4)]
        self.amp2, self.helEvals = [0.0], []
        t = self.{summed}(p, jnp.array(table), model)
        {recorded}
        return STRENGTH * (jnp.sum(t) / self.average).real

    def vmap_matrix(self, p, table, model):
        return STRENGTH * jax.vmap(self.matrix, in_axes=(None, 0, None))(p, table, model)

    def one_by_one(self, p, table, model):
        return STRENGTH * jnp.stack([self.matrix(p, row, model) for row in table])

    def matrix(self, p, hel, model):
        flows = self.flows([spinor(leg) for leg in p], hel, model)
        self.jamp = [[amplitude(each) for each in flows]]
        self.amp2[0] += abs(flows[0]) ** 2
        jamp = jnp.array(self.jamp[0])
        return jnp.sum(jnp.dot(jnp.array(self.cf), jamp) * jamp.conj() / jnp.array(self.denom))

class Matrix_1_epem_mupmum(Sums):
    average, cf, denom = 4, [[1.0]], [1.0]
    # Process: e+ e- > mu+ mu- WEIGHTED<=4 @1

    def flows(self, w, hel, model):
        s = abs(angle(w[0], w[1])) ** 2
        propagator = 1.0 / complex(s - model["mdl_MZ"] ** 2, model["mdl_MZ"] * model["mdl_WZ"])
        z = [jnp.where(hel[i] < 0, model["GC_L"], model["GC_R"]) for i in (1, 3)]
        size = jnp.where(hel[1] == hel[3], abs(angle(w[1], w[2])), abs(angle(w[1], w[3]))) ** 2
        kept = (hel[0] == -hel[1]) & (hel[2] == -hel[3])
        return [2.0 * kept * size * (model["GC_3"] ** 2 / s + z[0] * z[1] * propagator)]

class Matrix_1_uux_gg(Sums):
    '''M. Mangano and S. Parke, Phys. Rept. 200 (1991) 301: two quarks, two gluons.'''
    average, cf, denom = 72, [[16.0, -2.0], [-2.0, 16.0]], [3.0, 3.0]
    # Process: u u~ > g g WEIGHTED<=2 @1
    # Process: c c~ > g g WEIGHTED<=2 @1

    def flows(self, w, hel, model):
        kept = (hel[0] == -hel[1]) & (hel[2] == -hel[3])
        quark, other, gluon = (
            [jnp.where(hel[sign] < 0, w[this][c], w[that][c]) for c in (0, 1)]
            for sign, this, that in ((0, 0, 1), (0, 1, 0), (2, 2, 3))
        )
        above = 2.0 * kept * model["GC_11"] * angle(quark, gluon) ** 3 * angle(other, gluon)
        rest = angle(w[2], w[3]) * angle(w[1], w[0])
        return [
            above / (angle(w[0], w[2]) * angle(w[3], w[1]) * rest),
            -above / (angle(w[0], w[3]) * angle(w[2], w[1]) * rest),
        ]
""",
}


def write(folder, files, **filled):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.format(**filled) if "{" in text else text)
    return str(folder)


def forget():
    for name in [name for name in sys.modules if name.split(".")[0] == "madjax"]:
        del sys.modules[name]


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Puts a stand-in for madjax on sys.path, stock or otherwise."""

    def install(lone, dtype, captured=""):
        write(tmp_path / "site" / "madjax", MADJAX, lone=lone, dtype=dtype, captured=captured)
        monkeypatch.syspath_prepend(tmp_path / "site")

    forget()
    yield install
    forget()


@pytest.fixture
def package(tmp_path):
    """Writes a package; `strength` is a constant of its vertex routines."""

    def package(name="pkg", strength=1.0, summed="vmap_matrix", recorded=None):
        recorded = recorded or "self.helEvals = [(table, t.real / self.average)]"
        filled = {"strength": strength, "summed": summed, "recorded": recorded}
        return write(tmp_path / name, PACKAGE, **filled)

    return package


@pytest.fixture
def stock(install):
    install(**STOCK)


def momenta(count=20):
    """Massless events, beams along z, every other one boosted."""
    found = points.sample([0.0, 0.0], [0.0, 0.0], count)
    return np.where(np.arange(count)[:, None, None] % 2, found @ frame.boost(), found)


INPUTS = {"MZ": 90.0, "aS": 0.13, "WZ": np.linspace(2.0, 3.0, 20)}


@cache
def native(text):
    """Values of the native element at `momenta` and INPUTS."""
    (element,) = build(text)
    return np.asarray(jax.jit(element.squared)(INPUTS, momenta()))


def assert_native(element, text):
    # two orders of a few hundred operations, each rounded, in amplitudes that do not cancel
    np.testing.assert_allclose(element.squared(INPUTS, momenta()), native(text), rtol=1e-12)


def state(element, name):
    return next(each.state for each in element.findings if each.name == name)


VARIANTS = [STOCK, CURED, STOCK | {"lone": "real"}, STOCK | {"dtype": "complex128"}]


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda each: "-".join(each.values()))
@pytest.mark.parametrize("text", [EE, UU])
def test_values_are_those_of_the_native_element_whatever_was_wrong(install, package, variant, text):
    install(**variant)
    element = open_backend(package(), text)
    repaired = {
        "colour sum": variant["lone"] == "[real]",
        "precision": variant["dtype"] == "complex64",
    }
    for name, is_repaired in repaired.items():
        assert state(element, name) == ("repaired" if is_repaired else "fine")
    assert (element.kept, element.configurations) == (4, 16)
    assert_native(element, text)


@STOCKED
def test_the_stage_opens_a_package_while_it_is_traced(package):
    options = {"process": EE, "backend": "madjax", "package": str(package())}
    inputs = {"momenta": momenta()}
    by_package = jax.jit(lambda p: matrix_element({}, p, **options))(inputs)["value"]
    native = jax.jit(lambda p: matrix_element({}, p, process=EE))(inputs)["value"]
    np.testing.assert_allclose(by_package, native, rtol=1e-12)  # rounding


@STOCKED
def test_a_second_package_hears_of_the_repair_of_the_first(package):
    first, second = (open_backend(package(name), EE) for name in ("one", "two"))
    assert first.findings == second.findings


CAPTURED = {"captured": ", complex=complex"}  # what is bound to an argument cannot be replaced


def test_a_colour_sum_that_cannot_be_repaired_is_refused_where_there_is_a_sum(install, package):
    install(lone="[real]", dtype="complex128", **CAPTURED)
    path = package()
    with pytest.raises(RefusedError, match=r"colour sum: .* 2 colour flows have shapes"):
        open_backend(path, UU)
    assert_native(open_backend(path, EE), EE)


def test_single_precision_that_cannot_be_repaired_is_refused(install, package):
    install(**STOCK | CAPTURED)
    with pytest.raises(RefusedError, match="precision: it computes with complex64"):
        open_backend(package(), EE)


@STOCKED
def test_jax_stays_in_single_precision_if_it_was_and_nothing_is_computed(package):
    jax.config.update("jax_enable_x64", False)
    try:
        loaded = load(package())
        assert not jax.config.read("jax_enable_x64")
        assert loaded.findings[0].state == "repaired"
        with pytest.raises(RefusedError, match="set jax_enable_x64 before anything"):
            find(loaded, EE)
    finally:
        jax.config.update("jax_enable_x64", True)


def moved(element, x):
    """|M|^2 for MZ and WZ, at sqrt(s) times a scale and with final momenta turned around x."""
    mz, wz, scale, angle = x
    p = points.sample([0.0, 0.0], [0.0, 0.0], 8)
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    turn = jnp.eye(4).at[2:, 2:].set(jnp.array([[cos, -sin], [sin, cos]]))
    p = scale * jnp.concatenate([p[:, :2], p[:, 2:] @ turn.T], axis=1)
    return element.squared({"MZ": mz, "WZ": wz}, p)


@pytest.mark.slow  # madjax's own pullback is compiled
@STOCKED
def test_gradients_reach_parameters_and_momenta_of_beams_on_the_axis(package):
    elements = [open_backend(package(), EE), *build(EE)]
    x = jnp.array([91.188, 2.441404, 1.0, 0.1])
    ours, expected = (np.asarray(jax.jit(jax.jacrev(partial(moved, each)))(x)) for each in elements)
    size = np.abs(expected).max(axis=0)  # entries cross zero
    np.testing.assert_allclose(ours / size, expected / size, rtol=0.0, atol=1e-12)


@pytest.mark.slow  # madjax's own pullback is compiled
@STOCKED
def test_gradients_on_the_axis_are_nan_without_the_rotation(package):
    element, p = open_backend(package(), EE), points.sample([0.0, 0.0], [0.0, 0.0], 8)
    card = slha.entries({}, element.package.entries)
    summed = lambda p: calls.over_events(calls.smatrix, element._code, card, p).sum()  # noqa: E731
    assert np.isnan(jax.jit(jax.grad(summed))(p)).any(axis=(1, 2)).all()
    assert str(examine(element)[-2]).endswith("numbers at 4 of 4 points")


def test_a_decay_is_looked_at_in_motion_unless_that_would_change_its_value():
    (decay,), (radiating,), (scattering,) = (
        expand(parse(text)) for text in ("t > b w+", "t > b w+ g", EE)
    )
    still = np.array([1.0, 0.0, 0.0, 0.0])
    assert np.abs(frame.of(decay) @ still)[1:].min() > 0.1
    assert frame.is_safe(decay)
    assert not frame.is_safe(radiating)
    metric = np.diag([1.0, -1.0, -1.0, -1.0])
    for process in (decay, radiating, scattering):
        matrix = frame.of(process)
        np.testing.assert_allclose(matrix.T @ metric @ matrix, metric, atol=1e-15)


@STOCKED
def test_two_packages_keep_to_their_own_vertices_and_leave_no_trace(package, monkeypatch):
    mine = type(sys)("model")
    monkeypatch.setitem(sys.modules, "model", mine)
    path = list(sys.path)
    one, two = open_backend(package("a/pkg"), EE), open_backend(package("b/pkg", strength=3.0), EE)
    np.testing.assert_allclose(two.squared({}, momenta()), 9.0 * one.squared({}, momenta()))
    assert sys.path == path
    assert sys.modules["model"] is mine
    assert not [name for name in sys.modules if name.startswith(("model.", "_diffpipe"))]


@STOCKED
def test_a_package_may_be_given_by_its_name(package, monkeypatch, tmp_path):
    package()
    monkeypatch.syspath_prepend(tmp_path)
    assert load("pkg").folder == tmp_path / "pkg"


@STOCKED
@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("MX", "no parameter 'MX'", "MZ"),
        ("MT", r"does not read MT \(SLHA mass 6\)", "it reads MZ, aEWM1"),
        ("mass 6", "does not read MT", "others are fixed"),
    ],
)
def test_parameters_that_would_be_ignored_are_refused(package, name, message, hint):
    element = open_backend(package(), EE)
    with pytest.raises(RefusedError, match=message) as caught:
        element.squared({name: 1.0}, momenta())
    assert hint in caught.value.hint


@STOCKED
def test_parameters_may_be_given_by_their_slha_entries(package):
    element = open_backend(package(), EE)
    values = [element.squared({name: 90.0}, momenta()) for name in ("MZ", "mass 23")]
    np.testing.assert_array_equal(*values)


@STOCKED
def test_momenta_of_another_number_of_legs_are_refused(package):
    element = open_backend(package(), EE)
    with pytest.raises(RefusedError, match=r"\(event, 4, 4\), got \(20, 3, 4\)"):
        element.squared({}, momenta()[:, :3])


@STOCKED
@pytest.mark.parametrize(
    "insides",
    [
        {"summed": "one_by_one"},
        {"recorded": "pass"},
        {"recorded": "self.helEvals = [(table[:3], t)]"},
        {"strength": 3.0},  # rows that do not add up to an integer times |M|^2
    ],
)
def test_classes_that_do_not_tell_helicities_apart_are_evaluated_whole(package, insides):
    element = open_backend(package(**insides), EE)
    assert element.kept == 16
    np.testing.assert_allclose(
        element.squared(INPUTS, momenta()),
        insides.get("strength", 1.0) ** 2 * native(EE),
        rtol=1e-12,  # as above
    )


@pytest.mark.usefixtures("install")
def test_an_absent_madjax_is_explained(monkeypatch):
    monkeypatch.setitem(sys.modules, "madjax", None)
    with pytest.raises(RefusedError, match="madjax is not installed") as caught:
        load("anything")
    assert "empty placeholder" in caught.value.hint
    assert "pip install git+https://github.com/madjax-hep/madjax" in caught.value.hint


@pytest.mark.usefixtures("install")
def test_the_empty_placeholder_is_told_from_madjax(tmp_path, monkeypatch):
    write(tmp_path / "site" / "madjax", {"__init__.py": ""})
    monkeypatch.syspath_prepend(tmp_path / "site")
    with pytest.raises(RefusedError, match=r"site/madjax/__init__\.py\) is the empty placeholder"):
        load("anything")


@pytest.mark.usefixtures("install")
def test_a_madjax_that_cannot_be_imported_is_explained(tmp_path, monkeypatch):
    write(tmp_path / "site" / "madjax", {"__init__.py": "import jax.config_of_old"})
    monkeypatch.syspath_prepend(tmp_path / "site")
    with pytest.raises(RefusedError, match="importing it fails: ModuleNotFoundError"):
        load("anything")


@STOCKED
def test_what_is_no_package_is_refused(tmp_path):
    with pytest.raises(RefusedError, match="neither a folder nor a package 'nowhere'"):
        load("nowhere")
    with pytest.raises(RefusedError, match=r"it has no __init__\.py") as caught:
        load(str(tmp_path))
    assert "output madjax" in caught.value.hint


@STOCKED
def test_a_package_that_cannot_be_imported_or_evaluated_is_refused(package):
    broken, raising = Path(package("broken")), Path(package("raising"))
    (broken / "model" / "aloha_methods.py").write_text("import nothing_of_the_kind")
    with pytest.raises(RefusedError, match="fails: ModuleNotFoundError: No module named 'nothing"):
        load(str(broken))
    (raising / "model" / "aloha_methods.py").write_text("STRENGTH = 1.0")
    with pytest.raises(RefusedError, match="cannot be evaluated: NameError: name 'angle'"):
        open_backend(str(raising), EE)


COMMENTS = """
class Matrix_1_uux_mupmum(object):
        # Process: u u~ > mu+ mu- WEIGHTED<=4 @1
        # Process: c c~ > mu+ mu- WEIGHTED<=4 @1
class Matrix_2_uux_mupmum(object):
        # Process: u u~ > mu+ mu- WEIGHTED<=4 $$ a @2
class Matrix_3_uux_mupmum_no_a(object):
        # Process: u u~ > mu+ mu- WEIGHTED<=4 / a @3
class Matrix_4_uux_uux(object):
        # Process: u u~ > u u~ QCD<=2 QED=0 @4
class Matrix_5_uux_uux(object):
        # Process: u u~ > u u~ QCD==0 QED<=2 @5
class Matrix_6_gg_ttx(object):
        # Process: g g > t t~ WEIGHTED<=2 @6
class Matrix_7_gg_ttx(object):
        # Process: g g > t t~ WEIGHTED<=2 @7
class Matrix_8_epem_ttx_t_bwp_wp_udx_tx_bxwm(object):
        # Process: e+ e- > t t~ WEIGHTED<=4 @8
# *   Decay: t > b w+ WEIGHTED<=2
# *     Decay: w+ > u d~ WEIGHTED<=2
# *   Decay: t~ > b~ w- WEIGHTED<=2
class Matrix_9_gg_uux(object):
        pass
"""


@pytest.mark.parametrize(
    ("text", "name", "order"),
    [
        ("u u~ > mu+ mu-", "Matrix_1_uux_mupmum", (0, 1, 2, 3)),
        ("u~ u > mu+ mu-", "Matrix_1_uux_mupmum", (1, 0, 2, 3)),
        ("c~ c > mu- mu+", "Matrix_1_uux_mupmum", (1, 0, 3, 2)),
        ("u u~ > mu+ mu- $$ a", "Matrix_2_uux_mupmum", (0, 1, 2, 3)),
        ("u u~ > mu- mu+ / a", "Matrix_3_uux_mupmum_no_a", (0, 1, 3, 2)),
        ("u u~ > u u~ QCD=2 QED=0", "Matrix_4_uux_uux", (0, 1, 2, 3)),
        ("u u~ > u u~ QCD==0 QED=2", "Matrix_5_uux_uux", (0, 1, 2, 3)),
        ("g g > t t~ @7", "Matrix_7_gg_ttx", (0, 1, 2, 3)),
        (
            "e- e+ > t~ t, t~ > b~ w-, (t > b w+, w+ > u d~)",
            "Matrix_8_epem_ttx_t_bwp_wp_udx_tx_bxwm",
            (1, 0, 4, 5, 6, 2, 3),
        ),
        ("g g > u~ u", "Matrix_9_gg_uux", (0, 1, 3, 2)),
    ],
)
def test_a_process_finds_its_class_and_the_order_of_its_legs(text, name, order):
    found, _, legs = lookup.choose(text, served.processes(COMMENTS), "pkg")
    assert (found, legs) == (name, order)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("d d~ > mu+ mu-", "package pkg has no 'd d~ > mu", "u u~ > mu[+] mu- WEIGHTED<=4 @1"),
        ("u u~ > u u~", "has no 'u u~ > u u~'", "orders and exclusions have to be the same"),
        ("g g > u u~ QED=0", "has no", "gg_uux"),
        ("g g > t t~", "2 classes .* Matrix_6_gg_ttx, Matrix_7_gg_ttx", "write @N"),
        ("p p > t t~", "stands for", "name particles"),
    ],
)
def test_a_process_without_a_class_of_its_own_is_refused(text, message, hint):
    with pytest.raises(RefusedError, match=message) as caught:
        lookup.choose(text, served.processes(COMMENTS), "pkg")
    assert re.search(hint, caught.value.hint)


@STOCKED
def test_legs_in_another_order_give_the_same_values(package):
    path, p = package(), momenta()
    swapped = open_backend(path, "e- e+ > mu- mu+")
    np.testing.assert_allclose(
        swapped.squared(INPUTS, p[:, [1, 0, 3, 2]]),
        native(EE),
        rtol=1e-12,  # as above
    )


def generated():
    """(folder, process) of everything in DIFFPIPE_MADJAX_PACKAGES."""
    folder = os.environ.get("DIFFPIPE_MADJAX_PACKAGES")
    sources = Path(folder).glob("*/processes/all_processes.py") if folder else ()
    for path in sorted(sources):
        for each in served.processes(path.read_text()):
            if each.process:
                yield path.parent.parent, each.text


@pytest.mark.parametrize(("path", "text"), [*generated()])
def test_generated_packages_agree_with_the_native_element(path, text):
    if not hasattr(pytest.importorskip("madjax"), "MadJax"):
        pytest.skip("the madjax that is installed is the empty placeholder")
    element, (native,) = open_backend(str(path), text), build(text)
    count = len(element.process.initial)
    masses = [float(mass) for mass in element.masses({})]
    p = points.sample(masses[:count], masses[count:], 20)
    p = np.concatenate([p, p @ frame.boost()])
    expected = jax.jit(partial(native.squared, {}))(p)
    # five legs and more cancel among diagrams: 1.6e-13 measured
    np.testing.assert_allclose(element.squared({}, p), expected, rtol=1e-11)
