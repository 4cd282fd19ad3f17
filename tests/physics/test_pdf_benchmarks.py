"""Evolution of parton densities against published tables and against another program."""

import functools

import numpy as np
import pytest
from physics.reference import BENCHMARK
from support import quickly

from diffpipe.pipelines.physics.pdf import flavours, grid
from diffpipe.pipelines.physics.pdf.evolution import coupling
from diffpipe.pipelines.physics.pdf.evolution.theory import coupling_at, running_of
from diffpipe.pipelines.physics.pdf.problem import problem
from diffpipe.pipelines.physics.pdf.stage import pdf_evolution

TOY = {"input": "les_houches_toy", "precision": "precise"}
X_MIN, POINTS = 1e-7, 100
TABLE_X = np.array(BENCHMARK["x"])
SEA_AT_LARGE_X = 2.0e-8  # 2xL_+ at x = 0.9
MASSES = {"mc": 1.414213563, "mb": 4.5}  # those of the other program's files: mc just above Q0


@functools.cache
def compiled(order, scheme):
    """The toy evolved to some scales, as a function of them, kR and the charm mass."""
    options = TOY | {"order": order, "scheme": scheme}
    return quickly(lambda parameters: pdf_evolution(parameters, {}, **options))


def evolved(order, scheme, scales, *, kr=1.0, **masses):
    values = {"scales": scales, "kr": kr, **masses}
    return compiled(order, scheme)({name: np.asarray(value) for name, value in values.items()})


def columns(x_f):
    """What the tables list, from arrays by flavour."""
    combined = {
        "xu_v": x_f["u"] - x_f["ubar"],
        "xd_v": x_f["d"] - x_f["dbar"],
        "xL_-": x_f["dbar"] - x_f["ubar"],
        "2xL_+": 2.0 * (x_f["dbar"] + x_f["ubar"]),
        "xs_v": x_f["s"] - x_f["sbar"],
        "xg": x_f["g"],
    }
    return combined | {f"x{q}_+": x_f[q] + x_f[f"{q}bar"] for q in ("s", "c", "b")}


def at(x, grid_at_q):
    """Columns at x from a grid (x, flavour)."""
    values = grid.basis(x, X_MIN, POINTS) @ np.asarray(grid_at_q)
    return columns(dict(zip(flavours.FLAVOURS, values.T, strict=True)))


@pytest.mark.parametrize("scheme", ["FFNS", "VFNS"])
@pytest.mark.parametrize("order", ["LO", "NLO", "NNLO"])
def test_the_published_tables(order, scheme):
    found = at(TABLE_X, evolved(order, scheme, [100.0])["grid"][:, 0])
    for name, published in BENCHMARK["tables"][f"{order} {scheme}"].items():
        published = np.array(published)
        deviation = np.abs(found[name] - published)
        # five digits are printed: 5e-5. One entry of xu_v (NLO, VFNS) is off by 7e-5 in other
        # programs too.
        assert (deviation[:-1] <= 7.01e-5 * np.abs(published[:-1])).all(), name
        # at x = 0.9 the sea has four digits, and that of c and b crosses zero nearby
        allowed = 5e-4 * np.abs(published[-1]) + 2e-5 * SEA_AT_LARGE_X
        assert deviation[-1] <= allowed, name


ALPHAS = {
    (f"{key} 1" if not isinstance(value, dict) else f"{key} {name.removeprefix('kR=')}"): number
    for key, value in BENCHMARK["alphas"].items()
    for name, number in (value.items() if isinstance(value, dict) else [("", value)])
}


@pytest.mark.parametrize("case", ALPHAS)
def test_alpha_s_at_1e4_gev2(case):
    order, scheme, kr = case.split()
    options = TOY | {"order": order, "scheme": scheme, "scales": [100.0], "points": 10}
    of = problem({"kr": np.asarray(float(kr))}, {}, options)
    running = running_of(of.theory, order)
    log_mu2 = np.asarray(np.log(1e4))
    nf = of.plan.flavours[-1]
    a = coupling_at(of.theory, of.alphas_flavours, log_mu2, nf, running)
    assert coupling.FOUR_PI * float(a) == pytest.approx(ALPHAS[case], abs=6e-7)  # digits printed


@functools.cache
def other_program(order, scheme, kr):
    """HOPPET's evolution of the toy, as a function of x and Q."""
    hoppet = pytest.importorskip("hoppet", reason="the extra pdf-oracles is not installed")
    loops = {"LO": 1, "NLO": 2, "NNLO": 3}[order]
    spacing, largest_log = 0.05, 18.0
    hoppet.StartExtended(largest_log, spacing, 1.0, 2e4, 0.03, loops, -6, hoppet.factscheme_MSbar)
    if scheme == "FFNS":
        hoppet.SetFFN(4)
    else:
        hoppet.SetPoleMassVFN(MASSES["mc"], MASSES["mb"], 1e5)
    hoppet.Evolve(0.35, 2.0**0.5, loops, kr**0.5, _toy, 2.0**0.5)
    places = [6 if name == "g" else 6 + flavours.pid(name) for name in flavours.FLAVOURS]
    return lambda x, q: np.array([np.array(hoppet.Eval(each, q))[places] for each in x])


def _toy(x, _):
    dbar = 0.1939875 * x**-0.1 * (1.0 - x) ** 6
    ubar = (1.0 - x) * dbar
    strange = 0.2 * (ubar + dbar)
    down = 3.06432 * x**0.8 * (1.0 - x) ** 4 + dbar
    up = 5.1072 * x**0.8 * (1.0 - x) ** 3 + ubar
    gluon = 1.7 * x**-0.1 * (1.0 - x) ** 5
    none = [0.0] * 3
    return np.array([*none, strange, ubar, dbar, gluon, down, up, strange, *none])


@pytest.mark.parametrize(
    ("scheme", "kr", "tolerance"), [("FFNS", 1.0, 1e-5), ("FFNS", 2.0, 1e-5), ("VFNS", 1.0, 2e-5)]
)
def test_nnlo_agrees_with_another_program(scheme, kr, tolerance):
    # measured: 7e-6 in FFNS, 1e-5 in VFNS (b just above its threshold): the two grids' errors
    other = other_program("NNLO", scheme, kr)
    scales = [5.0, 20.0, 100.0, 1000.0]
    x = np.concatenate([np.geomspace(1e-6, 0.1, 11), [0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]])
    made = evolved("NNLO", scheme, scales, kr=kr, **(MASSES if scheme == "VFNS" else {}))
    for place, q in enumerate(scales):
        theirs = columns(dict(zip(flavours.FLAVOURS, other(x, q).T, strict=True)))
        ours = at(x, made["grid"][:, place])
        for name in ("xu_v", "xd_v", "xL_-", "2xL_+", "xs_+", "xc_+", "xb_+", "xg"):
            np.testing.assert_allclose(
                ours[name], theirs[name], rtol=tolerance, atol=1e-14, err_msg=f"{name} at {q} GeV"
            )
