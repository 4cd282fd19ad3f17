"""`diffpipe pdf`, as a physicist meets it: tables, derivatives, LHAPDF sets, mistakes."""

# ruff: noqa: E501 (one case a line reads better)

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from support import diffpipe, document

from diffpipe.cache.errors import DiffpipeError
from diffpipe.cli.app import app
from diffpipe.pipelines.physics.pdf.inputs import catalogue
from diffpipe.pipelines.physics.pdf.lhapdf import bicubic
from diffpipe.pipelines.physics.pdf.lhapdf.files import locate
from diffpipe.pipelines.physics.pdf.lhapdf.reader import lhapdf, read

TOY = ("--input", "les_houches_toy", "--precision", "fast")
NNLO = (*TOY, "--order", "NNLO", "--scheme", "VFNS")
QUICK = (*TOY, "--order", "NLO", "--scheme", "FFNS")  # one number of flavours
POINT = ("--q2", "1e4", "--x", "0.001,0.1")
FLAVOURS = [*(str(pid) for pid in range(-5, 6) if pid), "21"]


def pdf(*words):
    """What the command prints, run in this process."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        app(["pdf", *words], standalone_mode=False)
    return printed.getvalue()


def found(*words):
    """The JSON document."""
    return json.loads(pdf(*words, "--json"))


def nnlo(x="0.001,0.1", q2="1e4", kr="1", settings="alphas_q0=0.35", wrt="kr"):
    """At NNLO; always with a derivative, so that all calls share one compiled function."""
    return found(*NNLO, "--kr", kr, "--q2", q2, "--x", x, "--set", settings, "--wrt", wrt)


def densities(document, of="xf"):
    values = document[of] if of == "xf" else document["gradient"][of]
    return np.array([values[pid] for pid in FLAVOURS])


# at Q^2 = 1e4 GeV^2 and kR = 1
TABLE_15 = {  # NNLO VFNS, x = 1e-5, 1e-3, 0.1, 0.3: table 15 of hep-ph/0511119
    "xu_v": [0.0031907, 0.060019, 0.54993, 0.34622],
    "xd_v": [0.0019532, 0.034519, 0.27035, 0.12833],
    "xL_-": [0.00011116, 0.0016296, 0.0099596, 0.0029572],
    "2xL_+": [34.732, 6.4173, 0.38526, 0.0346],
    "xs_+": [16.69, 2.7954, 0.1123, 0.008841],
    "xc_+": [15.875, 2.4494, 0.064466, 0.0040134],
    "xb_+": [12.896, 1.8139, 0.03728, 0.0021047],
    "xg": [220.12, 30.404, 0.85266, 0.078898],
}
TABLE_3 = {  # NLO FFNS, x = 1e-4, 1e-2, 0.1, 0.5: table 3 of hep-ph/0204316
    "xu_v": [0.012841, 0.23026, 0.55452, 0.12271],
    "xd_v": [0.0074558, 0.12928, 0.27336, 0.031967],
    "xL_-": [0.00034911, 0.0053251, 0.010011, 0.00038265],
    "2xL_+": [14.746, 2.2527, 0.39336, 0.0024126],
    "xs_+": [6.8355, 0.8422, 0.11489, 0.00058424],
    "xc_+": [6.4769, 0.65246, 0.060351, 0.00016955],
    "xb_+": [0.0, 0.0, 0.0, 0.0],
    "xg": [92.872, 8.1066, 0.89867, 0.0080473],
}
# five printed digits allow 5e-5; the rest is the interpolation of the evolution
PRINTED = 7e-5


def columns(document):
    """The columns of the benchmark's tables."""
    xf = {pid: np.array(document["xf"][pid]) for pid in FLAVOURS}
    return {
        "xu_v": xf["2"] - xf["-2"],
        "xd_v": xf["1"] - xf["-1"],
        "xL_-": xf["-1"] - xf["-2"],
        "2xL_+": 2.0 * (xf["-1"] + xf["-2"]),
        "xs_+": xf["3"] + xf["-3"],
        "xc_+": xf["4"] + xf["-4"],
        "xb_+": xf["5"] + xf["-5"],
        "xg": xf["21"],
    }


def test_the_document_has_what_it_promises():
    document = nnlo(wrt="alphas,mb,mt,q2,N_uv,pdf.a_g")
    assert (document["x"], document["q2"]) == ([0.001, 0.1], 1e4)
    assert list(document["xf"]) == FLAVOURS
    assert list(document["gradient"]) == ["alphas", "mb", "mt", "q2", "N_uv", "pdf.a_g"]
    for name in document["gradient"]:
        assert densities(document, name).shape == (11, 2)
    assert not densities(document, "mt").any()  # five flavours know nothing of the top
    assert (document["order"], document["scheme"], document["flavours"]) == (
        "NNLO",
        "VFNS",
        [3, 4, 5],
    )
    assert document["parameters"]["alphas_q0"] == 0.35
    assert document["parameters"]["N_uv"] == 5.1072
    assert document["alphas_gradient"]["N_uv"] == 0.0


def test_densities_are_those_of_the_published_tables():
    document = nnlo(x="1e-5,1e-3,0.1,0.3")
    for name, values in columns(document).items():
        np.testing.assert_allclose(values, TABLE_15[name], rtol=PRINTED, err_msg=name)
    fixed = found(*QUICK, "--q2", "1e4", "--x", "1e-4,1e-2,0.1,0.5", "--wrt", "kr")
    for name, values in columns(fixed).items():
        np.testing.assert_allclose(values, TABLE_3[name], rtol=PRINTED, err_msg=name)
    assert fixed["alphas"] == pytest.approx(0.1109018, abs=6e-8)  # hep-ph/0204316: seven digits


@pytest.mark.parametrize(("kr", "alphas"), [("1", 0.1156047), ("2", 0.1154097), ("0.5", 0.1158180)])
def test_alphas_is_that_at_the_square_of_mu_r_which_is_q2(kr, alphas):
    # the published values have seven digits
    assert nnlo(kr=kr)["alphas"] == pytest.approx(alphas, abs=6e-8)


BASE = {"alphas_q0": 0.35, "mc": 1.5, "mb": 4.5, "q0": 1.4, "kr": 1.2, "q2": 1e4, "b_g": 5.0}


def moved(name, by):
    """At BASE with one value moved; mc lies above q0, so that it can move both ways."""
    values = BASE | {name: BASE[name] * (1.0 + by)}
    settings = ",".join(f"{each}={values[each]!r}" for each in values if each not in ("kr", "q2"))
    return nnlo(q2=repr(values["q2"]), kr=repr(values["kr"]), settings=settings)


@pytest.fixture(scope="module")
def slopes():
    settings = ",".join(f"{each}={BASE[each]!r}" for each in BASE if each not in ("kr", "q2"))
    wrt = "alphas_q0,alphas,alphas_mz,mc,mb,q0,kr,q2,q,b_g"
    return nnlo(kr=repr(BASE["kr"]), settings=settings, wrt=wrt)


@pytest.mark.parametrize("name", BASE)
def test_derivatives_are_those_of_the_commands_own_numbers(slopes, name):
    step = 1e-4
    up, down = (moved(name, by) for by in (step, -step))

    def difference(of):
        return (of(up) - of(down)) / (2.0 * step * BASE[name])

    exact = densities(slopes, name)
    # truncation, step^2 = 1e-8 times third derivatives of some ten, and rounding / step
    scale = abs(exact).max(axis=0)
    np.testing.assert_allclose(exact / scale, difference(densities) / scale, rtol=0.0, atol=1e-6)
    of_alphas = difference(lambda each: each["alphas"])
    assert slopes["alphas_gradient"][name] == pytest.approx(of_alphas, rel=1e-6, abs=1e-12)


def test_alphas_is_the_coupling_that_was_given_and_q_the_root_of_q2(slopes):
    assert slopes["gradient"]["alphas"] == slopes["gradient"]["alphas_q0"]
    twice_q = 2.0 * np.sqrt(slopes["q2"])
    # rounding of a product
    np.testing.assert_allclose(
        densities(slopes, "q"), twice_q * densities(slopes, "q2"), rtol=1e-14
    )


def test_a_derivative_by_alphas_elsewhere_keeps_masses_and_scales(slopes):
    settings = ",".join(f"{each}={BASE[each]!r}" for each in BASE if each not in ("kr", "q2"))
    at_m_z = nnlo(q2=repr(91.1876**2), kr=repr(BASE["kr"]), settings=settings, wrt="alphas_q0")
    rate = at_m_z["alphas_gradient"]["alphas_q0"]
    # the same slope by two ways; rounding
    exact = densities(slopes, "alphas_q0") / rate
    np.testing.assert_allclose(densities(slopes, "alphas_mz"), exact, rtol=1e-12)


def test_several_scales_make_lists_and_x_may_be_a_range():
    scales = ("--q2", "1,2,1e4", "--backward")
    document = found(*QUICK, *scales, "--x", "1e-3:1:4", "--order", "LO")
    np.testing.assert_allclose(document["x"], [1e-3, 1e-2, 0.1, 1.0], rtol=1e-14)  # rounding
    assert np.shape(document["alphas"]) == (3,)
    xf = densities(document)
    assert xf.shape == (11, 3, 4)
    assert not xf[:, :, -1].any()  # x f vanishes at x = 1
    given = np.asarray(
        catalogue.density(catalogue.INPUTS["les_houches_toy"], {}, np.array(document["x"][:3]))
    )
    # at q0 it is the input, interpolated on 70 nodes
    np.testing.assert_allclose(xf[-1, 1, :3], given[-1], rtol=1e-5)


def test_the_table_names_flavours_and_scales():
    text = pdf(*QUICK, "--q2", "1e4", "--x", "0.1", "--wrt", "mb")
    assert "les_houches_toy, NLO, FFNS, nf = 4, kr = 1, q0 = 1.41421 GeV" in text
    assert "alpha_s(muR^2 = q2) = 0.110901" in text  # hep-ph/0204316: .1109018
    assert "d(x f) / d mb" in text
    assert "ubar" in text
    assert text.splitlines()[-1].split() == ["g", "0.000000e+00"]


def test_all_scalars_can_be_asked_for():
    gradient = found(*QUICK, *POINT, "--wrt", "all")["gradient"]
    own = catalogue.INPUTS["les_houches_toy"].defaults
    assert set(gradient) == {"alphas", "mc", "mb", "mt", "q0", "kr", "q2", *own}
    assert not any(gradient["mb"]["21"])  # four flavours at all scales


# --- LHAPDF sets ----------------------------------------------------------------------------------

ORACLE = """
import json, sys
from neopdf.pdf import PDF
name, pids, x, q2 = json.load(sys.stdin)
pdf = PDF.mkPDF(name, 0)
xf = [[pdf.xfxQ2(pid, *each) for pid in pids] for each in zip(x, q2)]
json.dump(xf, sys.stdout)
"""
SIZE = ("--x-points", "40", "--q-points", "24", "--q-max", "1e3")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the set `toy`, NNLO with mc above q0: three subgrids."""
    folder = tmp_path_factory.mktemp("sets")
    text = pdf(*NNLO, "--set", "alphas_q0=0.35,mc=1.5", "--write", str(folder / "toy"), *SIZE)
    assert f"written: {folder / 'toy'}" in text
    return folder


def test_a_set_holds_the_evolution_at_its_knots(folder):
    member = read(locate("toy", folder))
    assert member.pids == tuple(map(int, FLAVOURS))
    assert [grid.q[[0, -1]].tolist() for grid in member.subgrids] == [
        [2.0**0.5, 1.5],
        [1.5, 4.5],
        [4.5, 1e3],
    ]
    low, middle, high = member.subgrids
    charm, bottom = (member.pids.index(pid) for pid in (4, 5))
    assert not low.xf[:, :, charm].any()  # just below m_c there is none, just above there is: NNLO
    assert middle.xf[:-1, 0, charm].all()
    assert not middle.xf[:, -1, bottom].any()
    assert high.xf[:-1, 0, bottom].all()
    for grid, place in ((low, 2), (middle, 3), (high, -1)):
        x = ",".join(map(repr, grid.x[1:].tolist()))
        there = nnlo(x=x, q2=repr(float(grid.q[place] ** 2)), settings="alphas_q0=0.35,mc=1.5")
        exact = densities(there).T
        # one scale and many are reached by other steps of the integration
        np.testing.assert_allclose(grid.xf[1:, place], exact, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(
        member.info["AlphaS_Vals"][-1],
        nnlo(q2="1e6", settings="alphas_q0=0.35,mc=1.5")["alphas"],
        rtol=1e-13,
    )
    assert (member.info["MCharm"], member.info["ThresholdBottom"]) == (1.5, 4.5)


def test_a_set_reads_the_same_in_another_program(folder):
    pytest.importorskip("neopdf", reason="neopdf-hep, an independent reader, is not installed")
    rng = np.random.default_rng(1)
    x, q = (
        np.exp(rng.uniform(np.log(low), np.log(high), 200))
        for low, high in ((1e-7, 1.0), (1.5, 1e3))
    )
    done = subprocess.run(
        [sys.executable, "-c", ORACLE],
        input=json.dumps(["toy", list(map(int, FLAVOURS)), x.tolist(), (q**2).tolist()]),
        env=os.environ | {"NEOPDF_DATA_PATH": str(folder)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    own = _at(lhapdf(folder / "toy" / "toy_0000.dat", info=folder / "toy" / "toy.info"), x, q)
    # rounding of ln x and ln Q, amplified where x f falls as (1 - x)^3 towards x = 1
    np.testing.assert_allclose(own, json.loads(done.stdout), rtol=1e-12, atol=1e-15)


@jax.jit
def _at(arrays, x, q):
    table = bicubic.table(arrays)
    return bicubic.densities(table, x, bicubic.scale(table, q))


@pytest.mark.slow  # whole commands
def test_a_set_is_an_input(folder, monkeypatch):
    monkeypatch.chdir(folder)
    words = ("--input", "lhapdf:toy/0", *QUICK[2:], "--order", "LO")
    member = read(locate("toy", folder))
    low = member.subgrids[0]
    x = low.x[20:26]
    begun = found(*words, "--q2", "2", "--x", ",".join(map(repr, x.tolist())))
    # where the set begins nothing evolves; the values pass from 40 knots to 70 nodes and back
    np.testing.assert_allclose(densities(begun)[-1], low.xf[20:26, 0, -1], rtol=2e-4)
    assert begun["parameters"]["alphas_mz"] == member.info["AlphaS_MZ"]
    assert (begun["parameters"]["mc"], begun["parameters"]["mb"]) == (1.5, 4.5)
    assert begun["q0"] == 2.0**0.5


def test_the_set_that_is_kept_here_gives_the_published_table():
    x, q = np.array([1e-5, 1e-3, 0.1, 0.3]), np.full(4, 100.0)
    files = locate("diffpipe_toy", Path(__file__).parent / "physics" / "data")
    xf = np.asarray(_at(lhapdf(files.member, info=files.info), x, q)).T
    values = {"xf": {str(pid): row for pid, row in zip(read(files).pids, xf, strict=True)}}
    for name, column in columns(values).items():
        # interpolation on 46 x knots and 20 Q knots
        np.testing.assert_allclose(column, TABLE_15[name], rtol=2e-3, err_msg=name)


OWN = """
import jax.numpy as jnp


def toy(parameters, inputs):
    x = inputs["x"]
    zero = jnp.zeros_like(x)
    u_v, d_v = 5.1072 * x**0.8 * (1 - x) ** 3, 3.06432 * x**0.8 * (1 - x) ** 4
    g = parameters["pdf.N"] * x**-0.1 * (1 - x) ** 5
    dbar = 0.1939875 * x**-0.1 * (1 - x) ** 6
    ubar, s = (1 - x) * dbar, 0.2 * (2 - x) * dbar
    return {"density": jnp.stack([u_v + ubar, d_v + dbar, s, zero, zero, ubar, dbar, s, zero, zero, g])}


def flat(parameters, inputs):
    return {"density": inputs["x"]}
"""


@pytest.mark.slow  # whole commands
def test_a_function_is_an_input(tmp_path, monkeypatch):
    (tmp_path / "own_densities.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    words = ("--input", "own_densities:toy", *QUICK[2:])
    given = f"q0={2.0**0.5!r},alphas_q0=0.35,N=1.7"
    own = found(*words, *POINT, "--set", given, "--wrt", "N")
    toy = found(*QUICK, *POINT, "--wrt", "N_g")
    np.testing.assert_allclose(densities(own), densities(toy), rtol=1e-12)  # rounding
    np.testing.assert_allclose(densities(own, "N"), densities(toy, "N_g"), rtol=1e-12)
    refused = refusal("--input", "own_densities:flat", *QUICK[2:], *POINT, "--set", given)
    assert "density of shape (70,), expected (11, 70)" in refused


# --- mistakes -------------------------------------------------------------------------------------


def refusal(*words):
    """What the command says of a mistake of the user's: the message, and what to try."""
    with pytest.raises(DiffpipeError) as raised:
        pdf(*words)
    assert raised.value.exit_code == 2
    assert "\n" not in raised.value.message
    assert raised.value.hint
    return f"{raised.value.message} | {raised.value.hint}"


def bad(name, words, *said):
    return pytest.param(words, said, id=name)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        bad("nothing", [], "give --x and --q2", "--q2 1e4"),
        bad("below q0", ["--q2", "1", "--x", "0.1"], "the scale 1 GeV lies below q0 = 1.41421 GeV", "--backward"),
        bad("no scale", ["--q2", "-1", "--x", "0.1"], "q2 must be above zero, got -1"),
        bad("small x", ["--q2", "1e4", "--x", "1e-10"], "x = 1e-10 is outside", "1e-09 <= x <= 1"),
        bad("large x", ["--q2", "1e4", "--x", "0.1,1.5"], "x = 1.5 is outside"),
        bad("no number", ["--q2", "1e4", "--x", "nan"], "x = nan is outside"),
        bad("x", ["--q2", "1e4", "--x", "0.1;0.2"], "--x 0.1;0.2: not a list of numbers"),
        bad("x range", ["--q2", "1e4", "--x", "0.5:0.1:3"], "not LOW:HIGH:COUNT"),
        bad("momentum", [*POINT, "--set", "N_g=2.5"], "momentum, not 1", "--sum-rules ignored"),
        bad("number", [*POINT, "--set", "N_uv=5.3"], "u quarks less antiquarks, not 2"),
        bad("landau", [*POINT, "--set", "alphas=9"], "Landau pole", "lower alpha_s"),
        bad("masses", [*POINT, "--scheme", "VFNS", "--set", "mb=1.3"], "masses out of order"),
        bad("mass below q0", [*POINT, "--scheme", "VFNS", "--set", "mc=1.2"], "mc = 1.2 GeV lies below q0", "--nf 4"),
        bad("kr", [*POINT, "--kr", "-1"], "kr must be above zero, got -1"),
        bad("order", [*POINT, "--order", "N3LO"], "LO, NLO, NNLO", "--help"),
        bad("scheme", [*POINT, "--scheme", "ZMVFNS"], "FFNS, VFNS"),
        bad("flavours", [*POINT, "--nf", "7"], "must not be above 6"),
        bad("input", ["--input", "les_houches", *POINT], "no input 'les_houches'", "did you mean les_houches_toy"),
        bad("table", ["--input", "table", *POINT], "of pipelines only"),
        bad("no set", ["--input", "lhapdf:no_such_set/0", *POINT], "there is no LHAPDF set 'no_such_set'"),
        bad("no module", ["--input", "no_such_module:f", *POINT], "cannot import no_such_module"),
        bad("value", [*POINT, "--set", "alpha_q0=0.3"], "there is no value 'alpha_q0'", "alphas_q0"),
        bad("wrt", [*POINT, "--wrt", "N_u"], "there is no value 'N_u'", "N_uv"),
        bad("array", ["--input", "nn", *POINT, "--wrt", "w_1"], "w_1 is an array", "pipeline"),
        bad("text", [*POINT, "--set", "mb=heavy"], "--set mb=heavy: not name=value"),
        bad("list", [*POINT, "--set", "mb=[1,2]"], "mb is one number"),
        bad("couplings", [*POINT, "--set", "alphas=0.3,alphas_mz=0.118"], "given more than once: alphas_mz, alphas"),
        bad("twice", [*POINT, "--kr", "1", "--set", "kr=2"], "kr is given twice"),
    ],
)  # fmt: skip
def test_a_mistake_is_said_in_words(words, said):
    text = refusal(*QUICK, *words)
    for each in said:
        assert each in text


def test_a_set_is_not_replaced_unasked_and_must_have_its_members(folder):
    assert "already" in refusal(*QUICK, "--write", str(folder / "toy"))
    assert "--overwrite" in refusal(*QUICK, "--write", str(folder / "toy"))
    low = refusal(*QUICK, "--write", str(folder / "low"), "--q-max", "1")
    assert "the scale 1 GeV lies below q0" in low
    assert not (folder / "low").exists()
    assert "no member 3" in refusal("--input", f"lhapdf:{folder}/toy/3", *POINT)
    beyond = refusal("--input", f"lhapdf:{folder}/toy", *POINT, "--q0", "2e3")
    assert "outside the scales of the set, 1.41421 to 1000 GeV" in beyond
    below = refusal("--input", f"lhapdf:{folder}/toy", "--q2", "1e4", "--x", "1e-8")
    assert "1e-07 to 1" in below


def test_a_broken_set_is_refused_with_file_and_line(folder, tmp_path):
    (tmp_path / "toy").mkdir()
    for name in ("toy.info", "toy_0000.dat"):
        text = (folder / "toy" / name).read_text()
        (tmp_path / "toy" / name).write_text(
            text[: len(text) // 2] if name.endswith("dat") else text
        )
    text = refusal("--input", f"lhapdf:{tmp_path}/toy", *POINT)
    assert "toy_0000.dat, line " in text


def test_a_mistake_ends_without_a_traceback(tmp_path):
    done = diffpipe("pdf", *QUICK, "--q2", "1", "--x", "0.1", "--json", store=tmp_path / "store")
    assert done.returncode == 2
    assert done.stderr.startswith("error: pdf_evolution: the scale 1 GeV lies below q0")
    assert "Traceback" not in done.stderr
    assert document(done)["error"]["kind"] == "pipeline"


def test_help_needs_no_jax(tmp_path):
    code = "import sys; from diffpipe.cli import app, pdf; sys.exit('jax' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path).returncode == 0
