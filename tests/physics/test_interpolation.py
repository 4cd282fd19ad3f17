"""Densities at the (x, Q) of events."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from physics.reference import pdf_parameters

from diffpipe.pipelines.physics.pdf import interpolation
from diffpipe.pipelines.physics.pdf.stage import pdf_evolution

SCALES = {"min": 50.0, "max": 160.0, "count": 4}


def evolved(**options):
    return jax.jit(lambda p: pdf_evolution(p, {}, **options))(pdf_parameters())


@pytest.fixture(scope="module")
def made():
    return evolved(scales=SCALES)


@jax.jit
def at(made, x, q):
    table = interpolation.table(made["grid"], made["x"], made["ln_q"])
    weights = interpolation.scale_weights(table, jnp.log(q))
    return interpolation.densities(table, x, weights)


def test_nodes_are_reproduced(made):
    for scale, q in enumerate(np.exp(np.asarray(made["ln_q"]))):
        values = at(made, made["x"], np.full(made["x"].size, q))
        # rounding; a cubic's weights at a node are 1 and 0
        np.testing.assert_allclose(values, made["grid"][:, scale], rtol=1e-9, atol=1e-12)


def test_error_is_what_the_docstring_says(made):
    rng = np.random.default_rng(5)
    x, q = np.exp(rng.uniform(np.log(1e-4), np.log(0.5), 500)), rng.uniform(54.0, 150.0, 500)
    finer = evolved(scales={**SCALES, "count": 8}, points=140)
    exact = np.asarray(at(finer, x, q))
    error = np.abs(at(made, x, q) - exact).max(axis=1) / exact.max(axis=1)
    assert error.max() < 6e-5


@pytest.mark.parametrize("count", [4, 9])
def test_cubics_in_ln_q_are_exact(count):
    ln_q = jnp.linspace(4.0, 5.0, count)
    x = jnp.linspace(0.9, 0.001, 12)
    cubic = 1.0 + ln_q - 0.3 * ln_q**3
    grid = jnp.broadcast_to(((1.0 - x) ** 3)[:, None, None] * cubic[None, :, None], (12, count, 2))
    table = interpolation.table(grid, x, ln_q)
    event = jnp.asarray([3.99, 4.0, 4.31, 4.5, 4.77, 5.0, 5.01])
    rows = table.rows[:1].reshape(1, count, 2) * jnp.ones((7, 1, 1))
    weights = interpolation.scale_weights(table, event)
    values = jnp.einsum("eq,eqf->ef", weights, rows)
    np.testing.assert_allclose(values[:, 0], 1.0 + event - 0.3 * event**3, rtol=1e-12)


def test_nothing_lies_above_one_and_below_the_grid_is_refused(made):
    values = at(made, jnp.asarray([1.0, 1.5, 0.99e-5, 1e-5]), jnp.full(4, 91.0))
    np.testing.assert_array_equal(values[:2], np.zeros_like(values[:2]))
    assert np.isnan(values[2]).all()
    assert np.isfinite(values[3]).all()


def test_gradient_outside_the_grid_is_zero(made):
    def total(grid, x):
        return jnp.sum(at(made | {"grid": grid}, x, jnp.full(2, 91.0)))

    for gradient in jax.grad(total, argnums=(0, 1))(made["grid"], jnp.asarray([1.0, 2.0])):
        np.testing.assert_array_equal(gradient, np.zeros_like(gradient))
