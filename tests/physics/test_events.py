"""The Sobol' event source."""

import numpy as np
import pytest

from diffpipe.pipelines.physics.events.sobol import sobol

COLUMNS = {
    "m_ll": {
        "panels": [54, 66, 86, 96, 150],
        "shares": [0.125, 0.25, 0.5, 0.125],
        "map": "breit_wigner",
        "mass": 91.1876,
        "width": 2.4952,
    },
    "abs_y": {"panels": [0, 0.4, 1.2, 2.4]},
    "cos_theta": {"range": [-1, 1], "antithetic": True},
}
COUNT = 4096


def sample(start=0, stop=COUNT, seed=1, columns=COLUMNS):
    return sobol(start, stop, count=COUNT, seed=seed, columns=columns)


@pytest.mark.parametrize("cut", [2, 6, 1000, 4094])
def test_events_do_not_depend_on_how_the_range_is_cut(cut):
    whole, parts = sample(), [sample(0, cut), sample(cut, COUNT)]
    for name, column in whole.items():
        np.testing.assert_array_equal(column, np.concatenate([part[name] for part in parts]))
        assert column.dtype == np.float64


def test_partners_differ_in_the_sign_of_the_antithetic_column_alone():
    events = sample()
    np.testing.assert_array_equal(events["cos_theta"][::2], -events["cos_theta"][1::2])
    for name in ("m_ll", "abs_y", "density"):
        np.testing.assert_array_equal(events[name][::2], events[name][1::2])


def test_density_integrates():
    events = sample()
    volume = (150 - 54) * 2.4 * 2.0
    # quasi-random error at 4096 events; the weights vary over five orders of magnitude
    assert np.sum(1.0 / events["density"]) == pytest.approx(volume, rel=2e-2)
    line = 1.0 / ((events["m_ll"] ** 2 - 91.1876**2) ** 2 + (91.1876 * 2.4952) ** 2)
    exact = quadrature(lambda m: 1.0 / ((m**2 - 91.1876**2) ** 2 + (91.1876 * 2.4952) ** 2))
    assert np.sum(line / events["density"]) == pytest.approx(exact * 2.4 * 2.0, rel=1e-3)


def quadrature(function):
    node, weight = np.polynomial.legendre.leggauss(400)
    return 48.0 * np.sum(weight * function(102.0 + 48.0 * node))


def test_panels_receive_their_shares():
    filled, _ = np.histogram(sample()["m_ll"], bins=COLUMNS["m_ll"]["panels"])
    # exact: shares that are multiples of 1/8 hold whole cells of the sequence
    np.testing.assert_array_equal(filled, COUNT * np.array(COLUMNS["m_ll"]["shares"]))


def test_seeds_differ():
    assert not np.array_equal(sample(seed=1)["m_ll"], sample(seed=2)["m_ll"])


def changed(name, **options):
    return COLUMNS | {name: options}


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"start": 1}, "even"),
        ({"stop": COUNT + 2}, "no range"),
        ({"columns": {}}, "columns"),
        ({"columns": changed("abs_y", panels=[1, 0])}, "above the one"),
        ({"columns": changed("abs_y", panels=[0, 1], shares=[0.5])}, "add up"),
        ({"columns": changed("abs_y", panels=[0, 1], map="linear")}, "breit_wigner"),
        ({"columns": changed("abs_y", panels=[0, 1], map="breit_wigner")}, "mass"),
        ({"columns": changed("abs_y", range=[0, 1], antithetic=True)}, "if antithetic"),
        ({"columns": changed("abs_y", range=[-1, 1], antithetic=True)}, "one column"),
        ({"columns": changed("abs_y", width=[0, 1])}, "missing keys"),
    ],
)
def test_wrong_options_are_refused_by_name(arguments, word):
    with pytest.raises(ValueError, match=word):
        sample(**arguments)
