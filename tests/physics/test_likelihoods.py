"""The likelihoods: closed forms, other implementations, derivatives, and what they refuse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from diffpipe.pipelines.physics.likelihood.gaussian import check_gaussian, gaussian
from diffpipe.pipelines.physics.likelihood.poisson import check_poisson, poisson
from diffpipe.pipelines.physics.likelihood.unbinned import (
    check_unbinned,
    explain_unbinned,
    extended,
    unbinned,
)
from diffpipe.pipelines.physics.refusal import RefusedError

SIZE, SOURCES = 6, 3


@pytest.fixture(scope="module")
def measured():
    rng = np.random.default_rng(6)
    root = rng.normal(size=(SIZE, SIZE))
    return {
        "prediction": jnp.asarray(rng.uniform(1.0, 2.0, SIZE)),
        "measured": jnp.asarray(rng.uniform(1.0, 2.0, SIZE)),
        "covariance": jnp.asarray(root @ root.T + np.eye(SIZE)),
        "systematics": jnp.asarray(rng.normal(size=(SOURCES, SIZE))),
    }


@pytest.fixture(scope="module", params=[False, True], ids=["absolute", "relative"])
def with_systematics(request, measured):
    """Whether they are relative, the outputs, d chi2/d prediction and the absolute shifts."""

    @jax.jit
    def both(inputs):
        def chi2(prediction):
            made = gaussian({}, inputs | {"prediction": prediction}, relative=request.param)
            return made["chi2"], made

        (_, made), gradient = jax.value_and_grad(chi2, has_aux=True)(inputs["prediction"])
        return made, gradient

    factor = np.asarray(measured["prediction"]) if request.param else 1.0
    return both, np.asarray(measured["systematics"]) * factor


def test_nuisances_and_covariance_are_two_forms_of_one_chi2(measured, with_systematics):
    both, shifts = with_systematics
    made, _ = both(measured)
    residual = np.asarray(measured["prediction"] - measured["measured"])
    total = np.asarray(measured["covariance"]) + shifts.T @ shifts
    direct = residual @ np.linalg.solve(total, residual)
    assert float(made["chi2"]) == pytest.approx(direct, rel=1e-12)  # rounding
    assert float(jnp.sum(made["decorrelated"] ** 2)) == pytest.approx(direct, rel=1e-12)


def test_nuisances_are_where_chi2_is_least(measured, with_systematics):
    both, shifts = with_systematics
    made, _ = both(measured)
    nuisances = np.asarray(made["nuisances"])
    left = np.asarray(measured["prediction"] - measured["measured"]) - nuisances @ shifts
    slope = nuisances - shifts @ np.linalg.solve(np.asarray(measured["covariance"]), left)
    np.testing.assert_allclose(slope, 0.0, atol=1e-13)  # rounding of numbers of order one
    errors = np.sqrt(np.diag(measured["covariance"]))
    np.testing.assert_allclose(made["pulls"], left / errors, rtol=1e-12)


def test_gradient_with_systematics(measured, with_systematics):
    both, _ = with_systematics
    _, gradient = both(measured)
    step = 1e-5
    for i in range(SIZE):
        ends = [
            float(
                both(measured | {"prediction": measured["prediction"].at[i].add(sign * step)})[0][
                    "chi2"
                ]
            )
            for sign in (1, -1)
        ]
        # chi2 is about one: differences round by 1e-11, and miss terms of step squared
        assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(float(gradient[i]), abs=1e-9)


def test_a_normalisation_that_is_relative_does_not_pull_the_fit_down():
    """D'Agostini's example: 8.0 and 8.5, 2% each, with a common 10%: a mean of 7.87 or 8.23."""
    data = jnp.asarray([8.0, 8.5])
    inputs = {"measured": data, "covariance": jnp.diag((0.02 * data) ** 2)}

    def mean(systematics, relative):
        def chi2(x):
            given = {"prediction": x * jnp.ones(2), "systematics": systematics}
            return gaussian({}, inputs | given, relative=relative)["chi2"]

        scan = jnp.linspace(7.5, 8.5, 2001)
        return float(scan[jnp.argmin(jax.jit(jax.vmap(chi2))(scan))])

    assert mean(0.1 * data[None, :], False) == pytest.approx(7.87, abs=0.005)  # as printed
    assert mean(jnp.full((1, 2), 0.1), True) == pytest.approx(8.23, abs=0.01)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda c: c.at[2, 2].set(0.0), ["above zero", "rows 2"]),
        (lambda c: c.at[4].set(c[1]).at[:, 4].set(c[:, 1]).at[4, 4].set(c[1, 1]), ["1, 4"]),
        (lambda c: c.at[3, 0].add(0.5), ["not symmetric", "rows 0, 3"]),
        (lambda c: c.at[5, 1].set(jnp.nan), ["not finite", "rows 5"]),
        (lambda c: c.at[0, 5].set(9e3).at[5, 0].set(9e3), ["not positive definite", "rows 0, 5"]),
    ],
)
def test_a_covariance_that_is_none_is_refused_with_its_rows(measured, spoil, words):
    check_gaussian({}, measured)
    with pytest.raises(RefusedError) as caught:
        check_gaussian({}, measured | {"covariance": spoil(measured["covariance"])})
    for word in words:
        assert word in str(caught.value)


def test_shifts_of_another_number_of_values_are_refused(measured):
    with pytest.raises(ValueError, match="one shift for each value"):
        gaussian({}, measured | {"systematics": jnp.ones((SOURCES, SIZE + 1))})
    with pytest.raises(ValueError, match="systematics; give it"):
        gaussian({}, {k: v for k, v in measured.items() if k != "systematics"}, relative=True)


COUNTS = {
    "expected": jnp.asarray([0.4, 3.0, 51.7, 1200.0]),
    "observed": jnp.asarray([0.0, 4.0, 60.0, 1163.0]),
}


def test_poisson_is_that_of_scipy():
    made = jax.jit(lambda inputs: poisson({}, inputs))(COUNTS)
    expected, observed = (np.asarray(COUNTS[name]) for name in ("expected", "observed"))
    logs = stats.poisson.logpmf(observed, expected)
    best = stats.poisson.logpmf(observed, np.where(observed > 0, observed, 1e-300))
    # rounding of logarithms of factorials of about 1e4
    assert float(made["twice_nll"]) == pytest.approx(-2.0 * logs.sum(), rel=1e-12)
    assert float(made["saturated"]) == pytest.approx(2.0 * (best - logs).sum(), rel=1e-10)
    np.testing.assert_allclose(made["pulls"], (expected - observed) / np.sqrt(expected))


@pytest.mark.parametrize("name", ["twice_nll", "saturated"])
def test_slope_of_poisson_is_its_closed_form(name):
    pull = jax.grad(lambda expected: poisson({}, COUNTS | {"expected": expected})[name])
    closed = 2.0 * (1.0 - COUNTS["observed"] / COUNTS["expected"])
    np.testing.assert_allclose(pull(COUNTS["expected"]), closed, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("observed", -1.0, "is -1 in bin 2"),
        ("expected", 0.0, "is 0 in bin 2"),
        ("expected", jnp.nan, "nan in bin 2"),
    ],
)
def test_counts_that_are_none_are_refused_with_their_bin(name, value, word):
    check_poisson({}, COUNTS)
    with pytest.raises(RefusedError, match=word):
        check_poisson({}, COUNTS | {name: COUNTS[name].at[2].set(value)})


def test_an_extended_likelihood_knows_the_number_of_events():
    """Events at an exponential rate: log L = sum log(tau^-1 exp(-t/tau)) + log Poisson(N; nu)."""
    times = jnp.asarray(np.random.default_rng(1).exponential(2.0, 50))
    weight = jnp.where(jnp.arange(50) < 40, 1.0, 0.5)

    @jax.jit
    def both(tau, nu):
        shards = [slice(0, 20), slice(20, 50)]  # sums over shards are sums over events
        parts = [
            unbinned({}, {"density": jnp.exp(-times[s] / tau) / tau, "weight": weight[s]})
            for s in shards
        ]
        total = {name: parts[0][name] + parts[1][name] for name in parts[0]}
        return extended({}, total | {"expected": nu})["twice_nll"]

    log_densities = stats.expon.logpdf(times, scale=1.7) @ np.asarray(weight)
    number = 45.0  # whole, so that scipy has it too
    direct = -2.0 * (log_densities + stats.poisson.logpmf(number, 33.0))
    assert float(both(1.7, 33.0)) == pytest.approx(direct, rel=1e-13)
    best = float(times @ weight / number), number  # where the slopes vanish
    np.testing.assert_allclose(jax.jit(jax.grad(both, (0, 1)))(*best), 0.0, atol=1e-12)


def test_densities_that_are_none_are_refused_with_their_event():
    density = jnp.asarray([0.3, 0.0, -1.0])
    with pytest.raises(RefusedError, match="density of event 1 of the shard, and of 1 more is 0"):
        check_unbinned({}, {"density": density})
    weight = jnp.asarray([1.0, 1.0, jnp.inf])
    assert "weight of event 2" in explain_unbinned({}, {"density": density + 2.0, "weight": weight})
    assert explain_unbinned({}, {"density": density + 2.0}) is None
