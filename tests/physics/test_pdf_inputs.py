"""Starting densities: published values, sum rules, derivatives in every parameter, tables."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from physics.reference import MSTW2008LO, TABLE_X, columns
from support import quickly

from diffpipe.pipelines.physics.pdf import grid, sum_rules
from diffpipe.pipelines.physics.pdf.flavours import FLAVOURS
from diffpipe.pipelines.physics.pdf.inputs import herapdf, quadrature, tabulated
from diffpipe.pipelines.physics.pdf.inputs.catalogue import INPUTS, density
from diffpipe.pipelines.physics.pdf.problem import problem
from diffpipe.pipelines.physics.refusal import RefusedError

X = grid.nodes(1e-6, 40)
PROTON = {"momentum": 1.0, "u_valence": 2.0, "d_valence": 1.0, "s_valence": 0.0}
HEAVY = ("c", "b", "cbar", "bbar")

# Table 2, part 1, of hep-ph/0204316: the input at Q^2 = 2 GeV^2
TABLE_TOY = columns(
    "xu_v xd_v xL_- 2xL_+ xs_+ xg",
    """
    1.2829e-05 7.6972e-06 9.7224e-08 3.8890 0.77779 8.5202
    8.0943e-05 4.8566e-05 7.7227e-07 3.0891 0.61782 6.7678
    0.00051070 0.00030642 6.1341e-06 2.4536 0.49072 5.3756
    0.0032215 0.0019327 4.8698e-05 1.9478 0.38957 4.2681
    0.020271 0.012151 0.00038474 1.5382 0.30764 3.3750
    0.12448 0.073939 0.0028946 1.1520 0.23041 2.5623
    0.59008 0.31864 0.012979 0.49319 0.098638 1.2638
    0.66861 0.28082 0.0077227 0.087524 0.017505 0.32228
    0.36666 0.11000 0.0016243 0.0097458 0.0019492 0.056938
    0.10366 0.018659 0.00010259 0.00038103 7.6207e-05 0.0042810
    """,
)


def by_flavour(name, x, **given):
    """{flavour: x f (n,)} of an input with its defaults, or others."""
    given = {key: jnp.asarray(value) for key, value in given.items()}
    return dict(zip(FLAVOURS, np.asarray(density(INPUTS[name], given, x)), strict=True))


# A number is a difference q - qbar: at smaller x it drowns in the rounding of the sea, at larger
# ones it is not yet complete. For x^0.2, the slowest of the inputs that ship, both are below 1e-8.
SMALLEST_X = 1e-38


def sums(name, given):
    """Momentum and numbers of valence quarks, by quadrature from x = 1e-38."""
    x, weight = quadrature.log_nodes(SMALLEST_X)
    x_f = by_flavour(name, x, **given)
    numbers = {
        f"{quark}_valence": float((x_f[quark] - x_f[f"{quark}bar"]) @ weight) for quark in "uds"
    }
    return {"momentum": float(sum(x_f.values()) @ (weight * x)), **numbers}


def near(name, rng, size):
    """All parameters of an input, each moved by normal numbers of this size."""
    defaults = INPUTS[name].defaults
    return {key: np.asarray(v) + size * rng.normal(size=np.shape(v)) for key, v in defaults.items()}


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [
        ("mstw2008lo", 1e-4),  # the five digits of the published parameters
        ("mstw2008nlo", 1e-4),
        ("les_houches_toy", 3e-8),  # the seven digits of its normalisations
        ("herapdf20nlo", 1e-8),  # imposed, by Beta functions; 1e-8 is promised of the quadrature
        ("herapdf20nnlo", 1e-8),
        ("nn", 1e-8),
    ],
)
def test_inputs_are_protons(name, tolerance):
    assert sums(name, {}) == pytest.approx(PROTON, abs=tolerance)


@pytest.mark.parametrize("seed", range(3))
def test_sum_rules_of_the_network_hold_for_any_weights(seed):
    given = near("nn", np.random.default_rng(seed), 0.1)
    # normalisations may be large where a network changes sign, and rounding with them
    assert sums("nn", given) == pytest.approx(PROTON, abs=1e-8)


def test_normalisations_of_herapdf_follow_its_shapes():
    given = near("herapdf", np.random.default_rng(1), 0.05)
    assert sums("herapdf", given) == pytest.approx(PROTON, abs=1e-8)


@pytest.mark.parametrize(
    ("name", "published", "rounding"),
    [  # A_g, A_uv, A_dv as arXiv:1506.06042 prints them
        # the printed B_g -0.015, C_g 9.11, B_uv 0.714, ... move A_g, A_uv by up to half a percent
        ("herapdf20nlo", (4.34, 4.07, 3.15), 5e-3),
        ("herapdf20nnlo", (2.27, 5.55, 6.29), 2e-3),  # of the printed A themselves
    ],
)
def test_herapdf_normalisations_are_the_published_ones(name, published, rounding):
    parameters = {key: jnp.asarray(value) for key, value in INPUTS[name].defaults.items()}
    found = herapdf.normalisations(parameters)
    np.testing.assert_allclose(found, published, rtol=rounding)


def test_toy_is_the_published_table():
    x_f = by_flavour("les_houches_toy", TABLE_X)
    found = {
        "xu_v": x_f["u"] - x_f["ubar"],
        "xd_v": x_f["d"] - x_f["dbar"],
        "xL_-": x_f["dbar"] - x_f["ubar"],
        "2xL_+": 2.0 * (x_f["dbar"] + x_f["ubar"]),
        "xs_+": x_f["s"] + x_f["sbar"],
        "xg": x_f["g"],
    }
    for name, published in TABLE_TOY.items():
        # five digits are printed
        np.testing.assert_allclose(found[name], published, rtol=5e-5, err_msg=name)


def test_mstw_is_the_published_one():
    assert INPUTS["mstw2008lo"].defaults == MSTW2008LO
    x, weight = quadrature.log_nodes(1e-38)
    x_f = by_flavour("mstw2008lo", x)
    # int dx (dbar - ubar), to the digits given
    assert (x_f["dbar"] - x_f["ubar"]) @ weight == pytest.approx(0.091031, abs=1e-6)


def test_herapdf_has_one_light_sea_at_small_x():
    x_f = by_flavour("herapdf", np.array([1e-12]))
    np.testing.assert_allclose(x_f["ubar"], x_f["dbar"], rtol=1e-10)  # they differ by D x
    np.testing.assert_allclose(x_f["s"], (2.0 / 3.0) * x_f["dbar"], rtol=1e-14)  # f_s/(1 - f_s)


@pytest.mark.parametrize("name", INPUTS)
def test_quarks_that_are_not_there_yet_are_zero(name):
    x_f = by_flavour(name, X)
    assert INPUTS[name].nf == 3
    assert not any(x_f[heavy].any() for heavy in HEAVY)


@pytest.mark.parametrize("name", ["les_houches_toy", "herapdf20nlo", "herapdf20nnlo", "nn"])
def test_light_densities_are_positive(name):
    x_f = by_flavour(name, X)
    light = [flavour for flavour in FLAVOURS if flavour not in (*HEAVY, "g")]
    assert all((x_f[flavour] > 0.0).all() for flavour in light)
    seen = X > 1e-3  # the gluon of HERAPDF may be negative below
    assert (x_f["g"][seen] > 0.0).all()


@pytest.mark.parametrize("name", INPUTS)
def test_order_of_the_nodes_does_not_matter(name):
    falling, rising = by_flavour(name, X), by_flavour(name, X[::-1])
    for flavour in FLAVOURS:
        # vectorised functions may round differently at another place of an array
        np.testing.assert_allclose(falling[flavour], rising[flavour][::-1], rtol=1e-12)


@pytest.mark.parametrize("name", [name for name in INPUTS if name != "herapdf"])  # an alias
def test_derivatives_are_those_of_finite_differences(name):
    start = {key: jnp.asarray(v, jnp.float64) for key, v in INPUTS[name].defaults.items()}
    flat, unravel = ravel_pytree(start)
    cotangent = np.random.default_rng(5).normal(size=(len(FLAVOURS), X.size))

    def projected(flat):
        rows = density(INPUTS[name], unravel(flat), X)
        return jnp.vdot(cotangent, rows), jnp.sum(jnp.abs(cotangent * rows))

    each = quickly(lambda points: jax.lax.map(jax.value_and_grad(projected, has_aux=True), points))
    centre = np.asarray(flat)
    step = 1e-3 * np.clip(np.abs(centre), 0.1, 3.0)
    moved = [centre[None] + k * np.diag(step) for k in (-2.0, -1.0, 1.0, 2.0)]
    (values, sizes), gradients = jax.tree.map(
        np.asarray, each(np.concatenate([centre[None], *moved]))
    )
    low, below, above, high = values[1:].reshape(4, -1)
    slope = (low - 8.0 * below + 8.0 * above - high) / (12.0 * step)
    # truncation of fourth-order differences is (1e-3)^4 times moderate numbers; what the sum of
    # terms of this size loses to rounding, 1e-15 of it, is divided by the step
    limit = 1e-7 * np.abs(gradients[0]) + 1e-15 * sizes[0] / step
    np.testing.assert_array_less(np.abs(gradients[0] - slope), limit)


def test_given_parameters_replace_defaults():
    more = by_flavour("les_houches_toy", X, N_g=3.4)["g"]
    # one product by two, nothing else
    np.testing.assert_allclose(more, 2.0 * by_flavour("les_houches_toy", X)["g"], rtol=1e-15)


def test_unknown_parameters_are_refused_with_the_nearest_name():
    with pytest.raises(RefusedError, match="'A_gg'") as refusal:
        density(INPUTS["mstw2008lo"], {"A_gg": jnp.ones(())}, X)
    assert "A_g" in refusal.value.hint


def test_parameters_of_another_shape_are_refused():
    with pytest.raises(RefusedError, match=r"'w_1'.*\(2, 20\).*\(3, 20\)"):
        density(INPUTS["nn"], {"w_1": jnp.ones((3, 20))}, X)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("herapdf", {"B_uv": -0.1}),
        ("herapdf", {"B_g": -1.2}),
        ("nn", {"small_x": [-0.1, -0.1, 0.3, 0.3, 0.0, 0.3, 0.3]}),
        ("nn", {"large_x": [5.0, 3.0, 3.0, 3.0, -1.5, 3.0, 3.0]}),
    ],
)
def test_divergent_sum_rules_give_nan_and_no_number(name, given):
    x_f = by_flavour(name, X, **given)
    assert np.isnan(x_f["u"]).all() or np.isnan(x_f["g"]).all()


def table_nodes(points):
    """Nodes as grids in use have them: logarithmic below 0.1, linear above, 1 included."""
    small = np.geomspace(1e-7, 0.1, points // 2, endpoint=False)
    return np.concatenate([small, np.linspace(0.1, 1.0, points - points // 2)])


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
def test_table_is_exact_on_its_nodes(order):
    nodes = table_nodes(60)[order]
    matrix = tabulated.table_matrix(nodes, nodes[nodes < 1.0])
    np.testing.assert_array_equal(matrix, np.eye(60)[nodes < 1.0])


@pytest.mark.parametrize("name", ["les_houches_toy", "mstw2008nlo", "herapdf", "nn"])
def test_table_interpolates_densities(name):
    nodes = table_nodes(150)
    xf = np.pad(np.stack(list(by_flavour(name, nodes[:-1]).values())), ((0, 0), (0, 1)))
    found = tabulated.from_table(nodes, jnp.asarray(xf))({}, X)
    expected = np.stack(list(by_flavour(name, X).values()))
    # the interpolation through six nodes of a table as fine as those in use, relative to the peak
    size = np.abs(expected).max(axis=1, keepdims=True)
    assert (np.abs(found - expected) <= 1e-6 * size).all()


def test_table_is_linear_in_its_values_and_finds_rows_by_pdg_number():
    nodes, pids = table_nodes(60), (21, -1, 2)
    values = np.random.default_rng(2).normal(size=(3, 60))
    matrix = tabulated.table_matrix(nodes, X)
    found, transposed = jax.vjp(
        lambda xf: tabulated.from_table(nodes, xf, pids)({}, X), jnp.asarray(values)
    )
    row = dict(zip(FLAVOURS, np.asarray(found), strict=True))
    for flavour, own in zip(("g", "dbar", "u"), values @ matrix.T, strict=True):
        np.testing.assert_allclose(row[flavour], own, rtol=1e-12, atol=1e-13)  # one matrix product
    assert not any(row[flavour].any() for flavour in FLAVOURS if flavour not in ("g", "dbar", "u"))
    (back,) = transposed(jnp.ones((len(FLAVOURS), X.size)))
    expected = np.broadcast_to(matrix.sum(axis=0), (3, 60))
    np.testing.assert_allclose(back, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    ("nodes", "x", "pids", "words"),
    [
        (table_nodes(60)[10:], X, tabulated.PIDS, "begins at x = .*1e-06 is asked"),
        (table_nodes(60)[:40], X, tabulated.PIDS, "far from 1"),
        (table_nodes(60)[-5:], X, tabulated.PIDS, "6 different nodes"),
        (np.repeat(table_nodes(30), 2), X, tabulated.PIDS, "different nodes"),
        (table_nodes(60), X, (21, 6, 22), r"PDG numbers \[6, 22\]"),
    ],
)
def test_tables_that_cannot_be_used_are_refused(nodes, x, pids, words):
    with pytest.raises(RefusedError, match=words):
        tabulated.from_table(nodes, jnp.ones((len(pids), nodes.size)), pids)({}, x)


# ------------------------------------------------------------------- sum_rules: kept

KEPT = {"order": "LO", "scales": [91.2], "x_min": 1e-4, "points": 40, "sum_rules": "kept"}


def carried(**given):
    """Densities of mstw2008lo with sums kept, and their momentum and numbers of u and d."""
    parameters = {f"pdf.{name}": jnp.asarray(value) for name, value in given.items()}
    found = problem(parameters, {}, KEPT).densities()
    momentum = sum_rules.momentum(found, KEPT["x_min"], KEPT["points"])
    return found, np.append(sum_rules.numbers(found, KEPT["x_min"], KEPT["points"])[:2], momentum)


def test_kept_sums_leave_the_published_densities_as_they_are():
    found, _ = carried(eta_1=0.45232)  # its default
    wanted = density(INPUTS["mstw2008lo"], {}, grid.nodes(KEPT["x_min"], KEPT["points"]))
    np.testing.assert_allclose(found, wanted, rtol=1e-14)  # factors of one, up to rounding


@pytest.mark.parametrize("shape", [{"eta_1": 0.5}, {"eta_4": 4.0}, {"delta_S": -0.2}])
def test_shapes_leave_kept_sums_as_they_are(shape):
    moved, sums = carried(**shape)
    published, wanted = carried()
    assert abs(np.asarray(moved - published)).max() > 1e-3
    np.testing.assert_allclose(sums[:2], wanted[:2], rtol=1e-12)
    # momentum below x_min is a power of x, of quarks and gluon each or of their sum
    np.testing.assert_allclose(sums[2], wanted[2], rtol=2e-4)


def test_normalisations_move_kept_sums():
    _, sums = carried(A_u=1.01 * 1.4335)
    _, published = carried()
    assert sums[0] / published[0] == pytest.approx(1.01, rel=1e-12)  # u valence is linear in A_u
    assert sums[2] > published[2]


def test_sums_of_a_set_cannot_be_kept():
    with pytest.raises(RefusedError, match="kept is for inputs of the library"):
        problem({}, {}, KEPT | {"input": "table", "table_x": [1e-4, 1.0]})
