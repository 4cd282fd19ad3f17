"""Splitting functions and operator matrix elements: sum rules, and their matrices."""

import numpy as np
import pytest
from scipy.special import zeta

from diffpipe.pipelines.physics.pdf import grid
from diffpipe.pipelines.physics.pdf.kernels import (
    leading,
    matching,
    next_to_leading,
    nnlo,
    polylogarithms,
    quadrature,
)
from diffpipe.pipelines.physics.pdf.kernels.argument import Argument

NODE, WEIGHT = grid.gauss(600)
LOG_RANGE = np.log(1e10)  # moments are cut at z = 1e-10
EXACT = {"LO": leading.leading, "NLO": next_to_leading.next_to_leading}


def moment(function, n):
    """int_0^1 dz z^(n-1) P(z), points crowding at z = 1."""
    argument = Argument.of_log(LOG_RANGE * NODE**6)
    measure = WEIGHT * LOG_RANGE * 6.0 * NODE**5
    regular = measure @ (argument.z**n * function.regular(argument))
    subtracted = argument.z * np.expm1((n - 1) * argument.log_z) / argument.one_minus_z
    return function.delta + regular + function.plus * (measure @ subtracted)


@pytest.mark.parametrize("nf", [3, 4, 5, 6])
@pytest.mark.parametrize("order", EXACT)
def test_exact_splitting_functions_keep_momentum_and_numbers(order, nf):
    made = EXACT[order](nf)
    # up to what lies below the cut at z = 1e-10
    assert moment(made.ns_minus, 1) == pytest.approx(0.0, abs=1e-6)
    assert moment(made.valence, 1) == pytest.approx(0.0, abs=1e-6)
    assert moment(made.qq, 2) + moment(made.gq, 2) == pytest.approx(0.0, abs=1e-7)
    assert moment(made.qg, 2) + moment(made.gg, 2) == pytest.approx(0.0, abs=1e-7)


@pytest.mark.parametrize("nf", [3, 4, 5, 6])
def test_parametrised_splitting_functions_keep_them_to_their_accuracy(nf):
    made = nnlo.next_to_next_to_leading(nf)
    size = abs(moment(made.qq, 2)) + abs(moment(made.gg, 2)) + 100.0
    # a part in a thousand of each function is promised; their second moments are adjusted
    assert abs(moment(made.qq, 2) + moment(made.gq, 2)) < 1e-4 * size
    assert abs(moment(made.qg, 2) + moment(made.gg, 2)) < 1e-4 * size
    assert abs(moment(made.ns_minus, 1)) < 5e-3
    assert abs(moment(made.valence, 1)) < 5e-3


@pytest.mark.parametrize(("heavy", "tolerance"), [("exact", 1e-7), ("parametrised", 2e-2)])
def test_a_new_flavour_keeps_momentum_and_numbers(heavy, tolerance):
    made = matching.second_order(heavy)
    assert moment(made.qq, 1) == pytest.approx(0.0, abs=1e-6)
    assert moment(made.qq, 2) + moment(made.gq, 2) + moment(made.hq, 2) == pytest.approx(
        0.0, abs=1e-7
    )
    # the parametrised A_Hg is good to some parts in a thousand of its terms, about 10
    assert moment(made.gg, 2) + moment(made.hg, 2) == pytest.approx(0.0, abs=tolerance)


def test_the_parametrised_matrix_element_is_near_the_exact_one():
    argument = Argument.of_log(np.linspace(0.7, 14.0, 200))
    exact = matching.a_hg().regular(argument)
    near = matching.a_hg_parametrised().regular(argument)
    scale = np.abs(argument.z * exact).max()
    assert np.abs(argument.z * (near - exact)).max() < 5e-3 * scale  # "a few thousandth"


def test_polylogarithms_at_their_ends():
    # Li3(1) = S12(1) = zeta(3), Li3(-1) = -3/4 zeta(3), S12(-1) = zeta(3)/8
    far = np.array(24.0)
    assert polylogarithms.li3_one_minus(far) == pytest.approx(zeta(3), abs=1e-8)  # 24 e^-24
    assert polylogarithms.s12_one_minus(far) == pytest.approx(zeta(3), abs=2e-8)
    assert polylogarithms.li3_minus(np.array(1.0)) == pytest.approx(-0.75 * zeta(3), rel=1e-14)
    assert polylogarithms.s12_minus(np.array(1.0)) == pytest.approx(zeta(3) / 8.0, rel=1e-14)


@pytest.mark.parametrize("power", [-0.2, 0.5, 1.5])
@pytest.mark.parametrize("name", ["qq", "qg", "gq", "gg"])
def test_a_matrix_convolutes(name, power):
    """Against direct integration of P with x^power (1-x)^3."""
    function = getattr(next_to_leading.next_to_leading(4), name)
    x_min, points, place = 1e-5, 70, 45

    def density(x):
        return x**power * (1.0 - x) ** 3

    nodes = grid.nodes(x_min, points)
    x = nodes[place]
    found = quadrature.matrix(function, x_min, points)[place] @ density(nodes)
    argument = Argument.of_log(-np.log(x) * NODE**6)
    measure = WEIGHT * -np.log(x) * 6.0 * NODE**5 * argument.z
    shifted = density(np.minimum(x / argument.z, 1.0))
    direct = measure @ (function.regular(argument) * shifted)
    soft = (shifted - density(x)) / argument.one_minus_z
    direct += function.plus * (measure @ soft + density(x) * np.log1p(-x))
    direct += function.delta * density(x)
    assert found == pytest.approx(direct, rel=1e-5)  # the interpolation on 70 nodes
