"""LHAPDF sets: written, read, interpolated as another program does it, and refused where broken."""

import itertools
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import yaml
from scipy.integrate import quad
from support import assemble, composed, sweep, values

from diffpipe.cache.errors import NonFiniteError
from diffpipe.pipelines.core.results import read_results
from diffpipe.pipelines.physics.pdf import flavours, grid
from diffpipe.pipelines.physics.pdf.lhapdf import alpha_s, bicubic, writer
from diffpipe.pipelines.physics.pdf.lhapdf.files import SetFiles, locate
from diffpipe.pipelines.physics.pdf.lhapdf.reader import lhapdf, read
from diffpipe.pipelines.physics.pdf.lhapdf.settings import Settings
from diffpipe.pipelines.physics.pdf.lhapdf.stage import parton_luminosity, pdf_interpolation
from diffpipe.pipelines.physics.pdf.lhapdf.subgrids import Subgrid
from diffpipe.pipelines.physics.refusal import RefusedError

PIDS = (-5, -4, -3, -2, -1, 21, 1, 2, 3, 4, 5)
M_C, M_B = 1.4, 4.75
X = np.concatenate([np.geomspace(1e-5, 0.1, 18), np.linspace(0.15, 1.0, 12)])
Q = [np.geomspace(*ends) for ends in ((1.0, M_C, 4), (M_C, M_B, 6), (M_B, 1e3, 9))]
for below, above in itertools.pairwise(Q):
    below[-1] = above[0]
EVENTS = 512  # all evaluations are of so many, so that they share their compilation


def analytic(x, q, nf, member=0):
    """x f of a toy that evolves a little, (x, q, flavour); flavours above nf are zero."""
    ln_q, x = np.log1p(q)[None, :], x[:, None]
    columns = {
        pid: (1.0 + 0.1 * member + 0.02 * pid) * x ** (0.5 - 0.2 * ln_q / 7.0) * (1.0 - x) ** 3
        for pid in PIDS
    }
    columns[21] = 1.7 * x**-0.1 * (1.0 - x) ** 5 * (1.0 + ln_q**2)
    hidden = {pid for pid in PIDS if nf < abs(pid) < 6}
    return np.stack([(pid not in hidden) * columns[pid] * ln_q**0 for pid in PIDS], axis=-1)


def toy(member=0):
    return [Subgrid(X, q, analytic(X, q, nf, member)) for nf, q in enumerate(Q, 3)]


def settings(**changed):
    q = np.concatenate(Q)
    said = Settings(
        description='a toy; "quoted": not a proton',
        authors="Ä. Nobody",
        pids=PIDS,
        order=2,
        m_z=91.1876,
        alphas_m_z=0.118,
        alphas_q=q,
        alphas=0.35 / (1.0 + 0.35 * np.log(q)),
        quark_masses={4: M_C, 5: M_B, 6: 172.5},
        error_type="replicas",
        extra={"SmallestUnit": 1e-06},
    )
    return replace(said, **changed)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the set `toy` of three members."""
    folder = tmp_path_factory.mktemp("sets")
    writer.write(folder, "toy", [toy(member) for member in range(3)], settings())
    return folder


def arrays_of(files):
    return {name: jnp.asarray(each) for name, each in lhapdf(files.member, info=files.info).items()}


@pytest.fixture(scope="module")
def arrays(folder):
    return arrays_of(locate("toy", folder))


@jax.jit
def compiled_at(arrays, x, q):
    table = bicubic.table(arrays)
    return bicubic.densities(table, x, bicubic.scale(table, q))


def at(arrays, x, q):
    """Densities at x and Q (GeV), each (event,) with at most 512 events."""
    x, q = np.broadcast_arrays(np.asarray(x, float), np.asarray(q, float))
    filled = (np.concatenate([v, np.full(EVENTS - v.size, v[-1])]) for v in (x, q))
    return np.asarray(compiled_at(arrays, *filled))[: x.size]


def test_what_is_written_is_read_to_the_bit(folder):
    for member in range(3):
        found = read(locate(f"toy/{member}", folder))
        assert found.pids == PIDS
        assert found.info["PdfType"] == ("replica" if member else "central")
        for one, other in zip(found.subgrids, toy(member), strict=True):
            for left, right in zip(one, other, strict=True):
                np.testing.assert_array_equal(left, right)


def test_the_set_says_what_it_was_given(folder):
    found = read(locate("toy", folder)).info
    assert found["SetDesc"] == settings().description
    assert found["Flavors"] == list(PIDS)
    said = ("NumMembers", "OrderQCD", "XMin", "QMax", "MCharm", "ThresholdBottom", "MUp")
    assert [found[name] for name in said] == [3, 2, 1e-5, 1e3, M_C, M_B, 0.0]
    assert found["Authors"] == "Ä. Nobody"
    assert found["SmallestUnit"] == 1e-6
    np.testing.assert_array_equal(found["AlphaS_Vals"], settings().alphas)
    yaml.safe_load((folder / "toy" / "toy.info").read_text())


def test_knots_are_reproduced_and_a_threshold_is_of_the_subgrid_above(arrays):
    for number, q in enumerate(Q):
        upper = len(Q) - 1 == number
        for place in range(q.size if upper else q.size - 1):
            found = at(arrays, X, q[place])
            # rounding of ln x and of the weights 1 and 0, at values up to 50
            np.testing.assert_allclose(found, toy()[number].xf[:, place], rtol=1e-13, atol=1e-13)


# in a process of its own, which it ends where it does not like a file
ORACLE = """
import json, sys
from neopdf.pdf import PDF
name, member, pids, x, q2 = json.load(sys.stdin)
pdf = PDF.mkPDF(name, member)
xf = [[pdf.xfxQ2(pid, *each) for pid in pids] for each in zip(x, q2)]
json.dump({"xf": xf, "alphas": [pdf.alphasQ2(each) for each in q2]}, sys.stdout)
"""


def oracle(folder, name, member, x, q):
    """xf (event, flavour) and alphas (event,) of a set, by another program."""
    pytest.importorskip(
        "neopdf", reason="neopdf-hep, an independent reader of LHAPDF sets, is not installed"
    )
    assert (folder / name).is_dir()  # else it would look for the set on the network
    done = subprocess.run(
        [sys.executable, "-c", ORACLE],
        input=json.dumps([name, member, PIDS, x.tolist(), (q**2).tolist()]),
        env=os.environ | {"NEOPDF_DATA_PATH": str(folder)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def points():
    """(x, Q): random, on x knots, on Q knots, at the ends and just above the thresholds."""
    rng = np.random.default_rng(1)
    q_knots = np.concatenate([q[:-1] for q in Q])
    q_knots[[Q[0].size - 1, Q[0].size + Q[1].size - 2]] *= 1.0 + 1e-9  # it takes the subgrid below
    ends = np.array([[1e-5, 1.0], [1e-5, 1e3], [0.9999, 1e3], [0.9999, 1.0]])
    x = [np.exp(rng.uniform(np.log(1e-5), 0.0, n)) for n in (300, q_knots.size)]
    q = [np.exp(rng.uniform(0.0, np.log(1e3), n)) for n in (300, X.size - 1)]
    return np.concatenate([*x, X[:-1], ends[:, 0]]), np.concatenate(
        [q[0], q_knots, q[1], ends[:, 1]]
    )


@pytest.mark.parametrize("member", [0, 2])
def test_interpolation_is_that_of_another_program(folder, member):
    x, q = points()
    exact = oracle(folder, "toy", member, x, q)["xf"]
    found = at(arrays_of(locate(f"toy/{member}", folder)), x, q)
    # rounding of ln x and ln Q, some 1e-16, amplified where x f falls as (1 - x)^3 towards x = 1
    np.testing.assert_allclose(found, exact, rtol=1e-12, atol=1e-15)


alphas_at = jax.jit(alpha_s.alphas)


def test_alphas_is_that_of_another_program(tmp_path):
    q = np.geomspace(1.0, 1e3, 20)
    single = Subgrid(X, q, analytic(X, q, 5))
    said = settings(alphas_q=q, alphas=0.4 / (1.0 + np.log(q)), error_type="none")
    writer.write(tmp_path, "single", [[single]], said)
    arrays = arrays_of(locate("single", tmp_path))
    scales = np.append(np.geomspace(1.0, 999.0, 60), q)
    found = alphas_at(arrays["alphas_q"], arrays["alphas"], jnp.asarray(scales))
    exact = oracle(tmp_path, "single", 0, np.full(scales.size, 0.1), scales)["alphas"]
    np.testing.assert_allclose(found, exact, rtol=1e-13)  # rounding


def test_alphas_jumps_at_a_threshold_and_is_of_the_side_above_there():
    q = np.array([1.0, 1.2, M_C, M_C, 2.0, 3.0, 9.0])
    above = np.arange(7) > 2
    lines = np.log(q) * np.where(above, -0.1, -0.2) + np.where(above, 0.5, 0.6)
    scales = np.array([1.0, 1.1, 1.3, np.nextafter(M_C, 0), M_C, 1.5, 2.7, 9.0, 0.99, 9.01])
    found = alphas_at(jnp.asarray(q), jnp.asarray(lines), jnp.asarray(scales))
    up = scales >= M_C
    exact = np.log(scales) * np.where(up, -0.1, -0.2) + np.where(up, 0.5, 0.6)
    np.testing.assert_allclose(found[:-2], exact[:-2], rtol=1e-14)  # lines are exact
    assert np.isnan(found[-2:]).all()


@pytest.mark.parametrize("count", [2, 3])
def test_few_scales_are_interpolated_linearly_in_both_logarithms(count):
    rng = np.random.default_rng(2)
    q, xf = np.geomspace(1.0, 10.0, count), rng.normal(size=(X.size, count, 2))
    arrays = {"x_0": jnp.asarray(X), "q_0": jnp.asarray(q), "xf_0": jnp.asarray(xf)}
    x, scale = np.exp(rng.uniform(-11.0, 0.0, 20)), np.exp(rng.uniform(0.0, np.log(10.0), 20))
    for flavour in range(2):
        in_x = [np.interp(np.log(x), np.log(X), xf[:, k, flavour]) for k in range(count)]
        exact = [
            np.interp(np.log(each), np.log(q), row)
            for each, row in zip(scale, np.transpose(in_x), strict=True)
        ]
        found = at(arrays, x, scale)[:, flavour]
        np.testing.assert_allclose(found, exact, rtol=1e-11, atol=1e-13)  # rounding


def test_subgrids_may_have_x_knots_of_their_own(arrays):
    other = X[::2]
    second = {"x_1": other, "xf_1": analytic(other, Q[1], 4)}
    mixed = arrays | {name: jnp.asarray(each) for name, each in second.items()}
    alone = {"x_0": mixed["x_1"], "q_0": mixed["q_1"], "xf_0": mixed["xf_1"]}
    x, q = np.array([1e-4, 0.03, 0.7]), np.array([2.0, 3.0, 4.0])
    np.testing.assert_array_equal(at(mixed, x, q), at(alone, x, q))
    np.testing.assert_array_equal(at(mixed, x, q + 9.0), at(arrays, x, q + 9.0))


def test_the_result_is_linear_in_the_grid(arrays, folder):
    other = arrays_of(locate("toy/1", folder))
    x, q = (each[:100] for each in points())
    mixed = arrays | {
        name: 2.0 * arrays[name] - 3.0 * other[name] for name in ("xf_0", "xf_1", "xf_2")
    }
    expected = 2.0 * at(arrays, x, q) - 3.0 * at(other, x, q)
    np.testing.assert_allclose(at(mixed, x, q), expected, rtol=1e-11, atol=1e-13)  # rounding


class Linearised(NamedTuple):
    """Densities around points (grids, x, Q): a pushforward and a pullback of random directions."""

    point: tuple
    tangent: tuple
    pushed: jax.Array
    cotangent: jax.Array
    pulled: tuple


def value(constant, grids, x, q):
    return compiled_at(constant | grids, x, q)


@jax.jit
def push_and_pull(constant, point, tangent, cotangent):
    """All that the tests of derivatives need, in one program: it is compiled once."""
    of = partial(value, constant)
    return jax.jvp(of, point, tangent)[1], jax.vjp(of, *point)[1](cotangent)


@pytest.fixture(scope="module")
def linearised(arrays):
    """At random points, the first of which has x > 1."""
    rng = np.random.default_rng(3)
    x, q = 10.0 ** rng.uniform(-4.9, -0.1, EVENTS), 10.0 ** rng.uniform(0.1, 2.9, EVENTS)
    x[0] = 1.5
    point = ({name: arrays[name] for name in arrays if name.startswith("xf")}, x, q)
    tangent = jax.tree.map(lambda each: jnp.asarray(each * rng.normal(size=each.shape)), point)
    cotangent = jnp.asarray(rng.normal(size=(EVENTS, len(PIDS))))
    pushed, pulled = push_and_pull(arrays, point, tangent, cotangent)
    return Linearised(point, tangent, pushed, cotangent, pulled)


def test_derivatives_in_x_scale_and_grid_are_those_of_finite_differences(arrays, linearised):
    step = 1e-6

    def moved(sign):
        grids, *events = jax.tree.map(
            lambda at, along: at + sign * step * along, linearised.point, linearised.tangent
        )
        return at(arrays | grids, *events)

    differences = (moved(1.0) - moved(-1.0)) / (2.0 * step)
    # rounding, 1e-16/step of values of some 10; second derivatives, which jump at knots, times step
    np.testing.assert_allclose(linearised.pushed, differences, rtol=1e-6, atol=1e-8)


def test_the_pullback_is_the_transpose_of_the_pushforward(linearised):
    terms = jax.tree.map(lambda a, b: float(jnp.sum(a * b)), linearised.pulled, linearised.tangent)
    left = float(jnp.sum(linearised.cotangent * linearised.pushed))
    right = jax.tree.leaves(terms)
    assert abs(left - sum(right)) < 1e-12 * sum(map(abs, right))  # thousands of terms of 1e-16


def test_above_one_the_gradient_is_zero(linearised):
    _, x, q = linearised.pulled
    assert x[0] == q[0] == 0.0
    assert np.isfinite(linearised.pushed).all()


def test_off_the_grid_is_refused_and_above_one_is_zero(arrays):
    x = np.array([0.99e-5, 0.1, 0.1, np.nan, 1.0, 1.5])
    found = at(arrays, x, np.array([10.0, 0.99, 1001.0, 10.0, 10.0, 10.0]))
    assert np.isnan(found[:4]).all()
    np.testing.assert_array_equal(found[4:], np.zeros((2, len(PIDS))))


@pytest.fixture
def changed(folder, tmp_path):
    """A copy of the toy set with its texts changed: a function of the text, by ending."""

    def change(**functions):
        for ending, name in (("dat", "toy_0000.dat"), ("info", "toy.info")):
            text = (folder / "toy" / name).read_text()
            (tmp_path / name).write_bytes(functions.get(ending, str)(text).encode())
        return SetFiles(tmp_path / "toy.info", tmp_path / "toy_0000.dat")

    return change


def repeated_first_x(text):
    """The first x node and its rows twice, in the first subgrid."""
    lines = text.splitlines()
    first, rows = lines[3].split()[0], lines[6 : 6 + Q[0].size]
    return "\n".join([*lines[:3], f"{first} {lines[3]}", *lines[4:6], *rows, *lines[6:]]) + "\n"


def reversed_columns(text):
    """The columns of the second subgrid the other way round."""
    parts = text.split("---\n")
    head, body = parts[2].split("\n", 2)[:2], parts[2].split("\n")[2:-1]
    turned = [" ".join(reversed(line.split())) for line in body]
    return "---\n".join([*parts[:2], "\n".join([*head, *turned, ""]), *parts[3:]])


@pytest.mark.parametrize(
    "trap",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text + "\n \n\n",
        lambda text: text.replace("---", "  ---").replace("PdfType", " PdfType"),
        lambda text: text.replace(" 21 ", " 0 "),
        repeated_first_x,
        reversed_columns,
    ],
    ids=["CRLF", "blank end", "leading spaces", "gluon 0", "repeated x", "other order"],
)
def test_what_real_files_look_like_is_understood(changed, trap):
    found = read(changed(dat=trap))
    assert found.pids == PIDS
    assert found.info["PdfType"] == "central"
    for one, other in zip(found.subgrids, toy(), strict=True):
        for left, right in zip(one, other, strict=True):
            np.testing.assert_array_equal(left, right)


def test_a_member_overrides_the_set(changed):
    one = "AlphaS_Qs: [1, 2,\n   3e+00]\nAlphaS_Vals: [0.3, 0.2, 1e-01]\n---"
    files = changed(dat=lambda text: text.replace("---", one, 1))
    found = lhapdf(files.member, info=files.info)
    np.testing.assert_array_equal(found["alphas_q"], [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(found["alphas"], [0.3, 0.2, 0.1])


def test_a_set_without_a_table_of_alphas_has_none(changed):
    files = changed(info=lambda text: text.replace('"ipol"', '"ode"'))
    assert not {"alphas_q", "alphas"} & lhapdf(files.member, info=files.info).keys()


def line(number, new):
    """Replaces a line, counted from 1, or the first `old` in it if new is (old, new)."""

    def change(text):
        lines = text.splitlines()
        old = lines[number - 1]
        lines[number - 1] = new if isinstance(new, str) else old.replace(*new, 1)
        assert lines[number - 1] != old
        return "\n".join(lines) + "\n"

    return change


SECOND = 7 + X.size * Q[0].size + 1  # the line of the x knots of the second subgrid


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text[: len(text) // 2], r"line \d+: the file breaks off"),
        (lambda text: text[: text.rindex("---")], r"line \d+: the file breaks off"),
        (lambda _: "", "line 0: the file breaks off"),
        (lambda _: "\x1f\x8b\x00---", "line 1: the file breaks off"),
        (line(10, "0.1 0.2"), "line 10: 2 values for 11 flavours"),
        (line(10, ("e", "x")), "line 10: could not convert string to float"),
        (line(10, "nan " * 11), "line 10: a value is not finite"),
        (line(10, ""), rf"line {SECOND - 2}: 119 rows of values end here; .* need 120"),
        (line(4, ("e-05", "e-01")), "line 4: the x knots do not rise"),
        (line(4, "0.1 0.2 1"), "line 4: 3 x knots; at least 4"),
        (line(4, "0.1 0.2 0.3 1.5"), "line 4: the x knots end at 1.5, above 1"),
        (line(5, "1 2 3 2"), "line 5: the Q knots do not rise"),
        (line(6, (" 21 ", " 1 ")), "line 6: a flavour stands twice"),
        (line(6, (" 21 ", " g ")), "line 6: no PDG numbers"),
        (line(SECOND + 2, ("21", "22")), rf"line {SECOND + 2}: flavours .* the first subgrid has"),
        (
            line(SECOND + 1, ("1.3999999999999999", "1.5")),
            rf"line {SECOND + 1}: the subgrid begins at Q = 1.5 GeV, .* ends at 1.4",
        ),
        (lambda text: text.replace("---", "---\n0.1 0.2\n---", 1), "line 5: .* before its Q knots"),
        (line(1, "PdfType: [central"), "line 2: "),
        (line(2, "Format: lhagrid2"), "line 2: the format is 'lhagrid2'"),
    ],
)
def test_a_broken_member_is_refused_with_file_and_line(changed, change, message):
    with pytest.raises(RefusedError, match=rf"toy_0000\.dat, {message}"):
        read(changed(dat=change))


@pytest.mark.parametrize(
    ("name", "new", "message"),
    [
        ("AlphaS_Vals", "[0.3, 0.2]", "2 values of alpha_s for 19 scales"),
        ("AlphaS_Vals", "[0.3, high]", "no list of numbers above zero"),
        ("AlphaS_Qs", "[2.0, 1.0]", "19 values of alpha_s for 2"),
        ("AlphaS_Qs", str([*range(2, 20), 3]), "the scales do not rise"),
        ("AlphaS_Qs", str([1, 1, *range(2, 19)]), "the scales do not rise, with thresholds twice"),
        ("AlphaS_Type", "[ipol", ""),
    ],
)
def test_a_broken_info_is_refused_with_file_and_line(changed, name, new, message):
    def change(text):
        return re.sub(rf"^{name}: .*$", f"{name}: {new}", text, flags=re.MULTILINE)

    files = changed(info=change)
    with pytest.raises(RefusedError, match=rf"toy\.info, line \d+: .*{message}"):
        lhapdf(files.member, info=files.info)


def test_an_info_without_metadata_is_refused(changed):
    with pytest.raises(RefusedError, match=r"toy\.info, line 1: no metadata"):
        read(changed(info=lambda _: "just text\n"))


def test_a_set_is_found_by_name_and_by_path(folder, tmp_path, monkeypatch):
    expected = SetFiles(folder / "toy" / "toy.info", folder / "toy" / "toy_0002.dat")
    assert locate("toy/2", folder) == expected
    assert locate(f"{folder}/toy/2", tmp_path) == expected
    assert locate("toy/2/", folder) == expected
    assert locate("../toy/2", folder / "toy") == expected
    monkeypatch.setenv("LHAPDF_DATA_PATH", f"{tmp_path}:{folder}")
    assert locate("toy/2", tmp_path) == expected
    assert locate("toy", tmp_path).member.name == "toy_0000.dat"


def test_what_is_not_there_is_refused_with_what_is(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("LHAPDF_DATA_PATH", str(folder))
    with pytest.raises(RefusedError, match="no LHAPDF set 'toys'") as caught:
        locate("toys/0", tmp_path)
    assert "did you mean toy?" in caught.value.hint
    with pytest.raises(RefusedError, match="no member 3") as caught:
        locate("toy/3", tmp_path)
    assert caught.value.hint == "its 3 members are 0, 1, 2"
    (tmp_path / "empty").mkdir()
    with pytest.raises(RefusedError, match=r"no LHAPDF set: it has no empty\.info"):
        locate("empty", tmp_path)


def test_a_set_is_located_without_numpy():
    script = (
        "import sys, diffpipe.pipelines.physics.pdf.lhapdf.files;"
        "print({'jax', 'numpy', 'yaml'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_a_set_that_is_there_is_replaced_only_when_asked(tmp_path):
    writer.write(tmp_path, "one", [toy()], settings(error_type="none"))
    before = contents(tmp_path / "one")
    with pytest.raises(RefusedError, match="already"):
        writer.write(tmp_path, "one", [toy(), toy(1)], settings())
    assert contents(tmp_path / "one") == before
    writer.write(tmp_path, "one", [toy(), toy(1)], settings(), overwrite=True)
    assert len(contents(tmp_path / "one")) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_a_set_is_there_whole_or_not_at_all(tmp_path):
    class DiskFullError(Exception):
        pass

    class Values(np.ndarray):
        def tolist(self):
            raise DiskFullError

    broken = [Subgrid(g.x, g.q, g.xf.view(Values)) for g in toy(1)]
    with pytest.raises(DiskFullError):
        writer.write(tmp_path, "one", [toy(), broken], settings())
    assert not list(tmp_path.iterdir())


def other(place, **changed):
    """The toy with one subgrid changed."""
    grids = toy()
    grids[place] = grids[place]._replace(**changed)
    return grids


@pytest.mark.parametrize(
    ("members", "said", "message"),
    [
        ([toy()], {"error_type": "replica"}, "unknown error type 'replica'"),
        ([toy()] * 2, {"error_type": "hessian"}, "2 members are no set .* hessian"),
        ([], {"error_type": "none"}, "0 members are no set"),
        ([toy(), toy()[:2]], {}, "member 1 has 2 subgrids, member 0 3"),
        ([toy(), other(1, xf=toy()[1].xf[..., 1:])], {}, r"member 1 .* shape \(30, 6, 10\)"),
        ([toy(), other(1, xf=np.full_like(toy()[1].xf, np.nan))], {}, "member 1 .* not finite"),
        ([toy(), other(1, q=1.01 * Q[1])], {}, "member 1 has other knots"),
        ([other(1, q=1.01 * Q[1])] * 2, {}, "subgrid 0 ends at Q = .*the next begins at"),
        ([other(0, x=X[::-1])] * 2, {}, "subgrid 0: 4 or more x knots that rise"),
        ([other(1, x=0.9 * X)] * 2, {}, "subgrid 1: the x knots must end at 1"),
        ([toy()] * 2, {"alphas": [0.1]}, "alphas of shape"),
        ([toy()] * 2, {"alphas_q": [2, 9e3], "alphas": [0.3, 0.1]}, "alphas from Q = 2 to 9000"),
    ],
)
def test_what_would_be_no_set_is_not_written(tmp_path, members, said, message):
    with pytest.raises(RefusedError, match=message):
        writer.write(tmp_path, "one", members, settings(**said))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["", "a/b", "..", "a b"])
def test_a_name_that_is_no_folder_is_refused(tmp_path, name):
    with pytest.raises(RefusedError, match="cannot name an LHAPDF set"):
        writer.write(tmp_path, name, [toy()], settings(error_type="none"))


def test_a_grid_of_falling_nodes_is_turned_and_ends_at_one():
    made = writer.subgrid(X[-2::-1], Q[0], analytic(X[-2::-1], Q[0], 3))
    np.testing.assert_array_equal(made.x, X)
    np.testing.assert_array_equal(made.xf, analytic(X, Q[0], 3))


def test_a_hessian_set_says_its_confidence_level(tmp_path):
    said = settings(error_type="hessian", confidence_level=90.0)
    writer.write(tmp_path, "eig", [toy(member) for member in range(3)], said)
    found = read(locate("eig/2", tmp_path)).info
    assert (found["PdfType"], found["ErrorType"], found["ErrorConfLevel"]) == (
        "error",
        "hessian",
        90.0,
    )


# f_a f_b of the luminosities, x f = x^a (1 - x)^b
POWERS = {21: (-0.1, 5.0), 2: (0.5, 3.0), -2: (0.3, 4.0)}
MASSES, ENERGY = [20.0, 91.1876, 900.0], 13000.0


def exact_luminosity(first, second, mass):
    tau = (mass / ENERGY) ** 2

    def integrand(ln_x):
        densities = [
            x**power * (1.0 - x) ** tail
            for x, (power, tail) in (
                (np.exp(ln_x), POWERS[first]),
                (tau * np.exp(-ln_x), POWERS[second]),
            )
        ]
        return densities[0] * densities[1] / tau

    middle = 0.5 * np.log(tau)
    halves = ((np.log(tau), middle), (middle, 0.0))
    return sum(quad(integrand, *ends, epsabs=0.0, epsrel=1e-11)[0] for ends in halves)


def as_set():
    """The powers as an LHAPDF set, with knots as dense as in a published one."""
    x = np.concatenate([np.geomspace(1e-7, 0.1, 100)[:-1], np.linspace(0.1, 1.0, 90)])
    xf = np.stack([x**a * (1.0 - x) ** b for a, b in POWERS.values()], axis=-1)
    q = np.geomspace(10.0, 1e3, 5)
    values = np.repeat(xf[:, None], q.size, axis=1)
    return {"pids": np.array(list(POWERS)), "x_0": x, "q_0": q, "xf_0": values}


def as_evolved():
    """The powers as `pdf_evolution` gives its grid; the other flavours are zero."""
    x, ln_q = grid.nodes(1e-7, 100), np.log(np.geomspace(10.0, 1e3, 5))
    values = np.zeros((x.size, ln_q.size, len(flavours.FLAVOURS)))
    for place, name in enumerate(flavours.FLAVOURS):
        if flavours.pid(name) in POWERS:
            power, tail = POWERS[flavours.pid(name)]
            values[:, :, place] = (x**power * (1.0 - x) ** tail)[:, None]
    return {"grid": values, "x": x, "ln_q": ln_q}


CHANNELS = [[21, 21], [2, -2], [-2, 2], [1, -1]]


@jax.jit
@partial(jax.value_and_grad, has_aux=True)
def luminosities(values, rest):
    """The sum of the logarithms of those that are not zero, and all of them."""
    options = {"channels": CHANNELS, "masses": MASSES, "collider_energy": ENERGY}
    found = parton_luminosity({}, rest | values, **options)["luminosity"]
    return jnp.sum(jnp.log(found[:3])), found


@pytest.mark.parametrize(
    ("inputs", "values"), [(as_set(), "xf_0"), (as_evolved(), "grid")], ids=["set", "evolution"]
)
def test_luminosities_are_the_integrals_and_quadratic_in_the_grid(inputs, values):
    inputs = jax.tree.map(jnp.asarray, inputs)
    given = inputs.pop(values)
    (_, found), gradient = luminosities({values: given}, inputs)
    exact = [[exact_luminosity(*pair, mass) for mass in MASSES] for pair in CHANNELS[:3]]
    np.testing.assert_allclose(found[:3], exact, rtol=5e-6)  # the interpolation's error, 2e-6
    np.testing.assert_allclose(found[1], found[2], rtol=1e-13)  # x and tau/x, up to rounding
    np.testing.assert_array_equal(found[3], np.zeros(3))  # flavours that are not there, or zero
    # Euler: the sum of xf dln L/dxf is 2 for each of the nine; thousands of terms of 1e-16
    total = jnp.sum(gradient[values] * given)
    np.testing.assert_allclose(total, 18.0, rtol=1e-11)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"channels": []}, r"channels must be a list of pairs"),
        ({"channels": [[2]]}, r"channels must be pairs"),
        ({"channels": [[2, "g"]]}, r"channels\[0\] must be a list of PDG numbers"),
        ({"channels": [[2, 77]]}, r"channels\[0\] must be a list of PDG numbers"),
        ({"masses": [90.0, 20.0]}, "each above the one before it"),
        ({"masses": [-1.0]}, r"masses\[0\] must be above zero"),
        ({"masses": [13000.0]}, "masses must be below collider_energy = 13000, got 13000"),
        ({"points": 0}, "points must be an integer of at least 1"),
    ],
)
def test_a_wrong_option_of_a_luminosity_is_refused(changed, message):
    options = {"channels": CHANNELS, "masses": MASSES, "collider_energy": ENERGY} | changed
    with pytest.raises(ValueError, match=message):
        parton_luminosity({}, {}, **options)


@pytest.mark.parametrize(
    ("taken", "options", "message"),
    [
        ("xf_0", {}, "no LHAPDF set among the inputs alphas, .*: give set: data.<name>"),
        ("alphas", {"alphas": True}, "alphas needs alphas_q and alphas"),
        (None, {"flavours": ["u"]}, "flavours must be a list of PDG numbers"),
        (None, {"block": 0}, "block must be an integer of at least 1"),
    ],
)
def test_a_wrong_input_or_option_of_an_interpolation_is_refused(arrays, taken, options, message):
    given = {name: each for name, each in arrays.items() if name != taken}
    events = {"x": jnp.ones(1), "q": jnp.ones(1)}
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(lambda inputs: pdf_interpolation({}, inputs, **options), given | events)


def test_a_grid_of_another_shape_than_its_knots_is_refused(arrays):
    with pytest.raises(ValueError, match="subgrid 1 has 30 x knots, 4 Q knots and values of shape"):
        bicubic.table(arrays | {"q_1": arrays["q_0"]})


PIPELINE = """
pipeline: toy_cross_section
parameters: {slope: {value: 7.0, fit: true}, scale: {value: 60.0, unit: GeV, fit: true}}
data: {toy: {reader: lhapdf, path: SETS/toy/toy_0001.dat, info: SETS/toy/toy.info}}
events: {uses: unit_cube, count: 48, shard: 16, seed: 3, options: {dimensions: 2}}
stages:
  kinematics: {uses: "stages:kinematics", over: events, inputs: {u: events.unit}, parameters: [slope, scale]}
  pdf: {uses: pdf_interpolation, over: events, inputs: {set: data.toy, x: kinematics.x, q: kinematics.q}, options: {flavours: [21, 2, -2, 6], alphas: true, block: 8}}
  weight: {uses: "stages:weight", over: events, inputs: {xf: pdf.xf, alphas: pdf.alphas}, outputs: {sum: {sum: true}}}
  total: {uses: "stages:total", over: once, inputs: {sum: weight.sum}}
objective: total.total
"""  # noqa: E501  one stage a line
STAGES = """
import jax.numpy as jnp
def kinematics(parameters, inputs):
    x = jnp.exp(-parameters["slope"] * inputs["u"][:, 0])
    return {"x": x, "q": parameters["scale"] * (1.0 + inputs["u"][:, 1])}
def weight(parameters, inputs):
    return {"sum": jnp.sum(inputs["alphas"][:, None] * inputs["xf"] ** 2, axis=0)}
def total(parameters, inputs):
    return {"total": jnp.log(jnp.sum(inputs["sum"]))}
"""


@pytest.mark.slow  # a whole pipeline is compiled
def test_a_pipeline_reads_a_set_and_pulls_a_gradient_back(folder, tmp_path, store):
    (tmp_path / "stages.py").write_text(STAGES)
    path = tmp_path / "pipeline.yaml"
    path.write_text(PIPELINE.replace("SETS", str(folder)))
    made = assemble(path)
    plan, _ = sweep(store, made)
    found = read_results(store, plan)
    value, gradient = jax.jit(jax.value_and_grad(composed(made)))(values(made))
    # rounding: some hundred operations of 1e-16 each
    np.testing.assert_allclose(found.objective, value, rtol=1e-13)
    for name in ("slope", "scale"):
        np.testing.assert_allclose(found.gradient[name], gradient[name], rtol=1e-12)


def test_an_event_off_the_grid_is_named(folder, tmp_path, store):
    (tmp_path / "stages.py").write_text(STAGES)
    path = tmp_path / "pipeline.yaml"
    path.write_text(PIPELINE.replace("SETS", str(folder)).replace("value: 60.0", "value: 600.0"))
    with pytest.raises(NonFiniteError, match=r"stage pdf, shard 0: .* is nan at event \d+"):
        sweep(store, assemble(path))
