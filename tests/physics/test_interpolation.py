"""Densities at the (x, Q) of events."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffpipe.pipelines.physics.pdf import interpolation

EVENTS = 512  # all evaluations are of so many, so that they share their compilation


@pytest.fixture(scope="module")
def made(cross_section_8tev):
    return cross_section_8tev.pdf


@pytest.fixture(scope="module")
def finer(cross_section_8tev):
    """The same densities with more nodes and scales."""
    scales = {**cross_section_8tev.options("pdf")["scales"], "count": 8}
    return cross_section_8tev.densities(points=110, scales=scales)


@jax.jit
def compiled_at(made, x, q):
    table = interpolation.table(made["grid"], made["x"], made["ln_q"])
    return interpolation.densities(table, x, interpolation.scale_weights(table, jnp.log(q)))


def at(made, x, q):
    """Densities at x and Q (GeV), each (event,) with at most 512 events."""
    x, q = (np.concatenate([v, np.full(EVENTS - len(v), v[-1])]) for v in (x, q))
    return np.asarray(compiled_at(made, x, q))


def test_nodes_are_reproduced(made):
    x, q = np.asarray(made["x"]), np.exp(np.asarray(made["ln_q"]))
    values = at(made, np.repeat(x, q.size), np.tile(q, x.size))[: x.size * q.size]
    # rounding; a cubic's weights at a node are 1 and 0
    np.testing.assert_allclose(
        values.reshape(made["grid"].shape), made["grid"], rtol=1e-9, atol=1e-12
    )


def test_error_is_what_the_docstring_says(made, finer):
    rng = np.random.default_rng(5)
    x, q = np.exp(rng.uniform(np.log(1e-4), np.log(0.7), 500)), rng.uniform(60.0, 120.0, 500)
    exact = at(finer, x, q)
    error = np.abs(at(made, x, q) - exact).max(axis=1) / exact.max(axis=1)
    assert error.max() < 5e-5  # 4e-5, and the finer grid's own error


def test_scales_outside_the_table_are_refused(made):
    first, last = np.exp(np.asarray(made["ln_q"]))[[0, -1]]
    values = at(made, [0.1] * 4, [first * 0.999, first, last, last * 1.001])
    assert np.isnan(values[[0, 3]]).all()
    assert np.isfinite(values[[1, 2]]).all()


def test_fewer_than_four_scales_are_refused(made):
    with pytest.raises(ValueError, match="3 scales cannot be interpolated"):
        interpolation.scale_weights(
            interpolation.table(made["grid"][:, :3], made["x"], made["ln_q"][:3]), made["ln_q"][:1]
        )


@pytest.mark.parametrize("count", [4, 9])
def test_cubics_in_ln_q_are_exact(count):
    ln_q, x = np.linspace(4.0, 5.0, count), np.linspace(0.9, 0.001, 12)
    cubic = 1.0 + ln_q - 0.3 * ln_q**3
    grid = np.repeat((cubic[None] * (1.0 - x)[:, None] ** 3)[:, :, None], 2, axis=2)
    event = np.array([4.0, 4.01, 4.31, 4.5, 4.77, 4.99, 5.0])

    @jax.jit
    def in_ln_q(grid, x, ln_q, event):
        table = interpolation.table(grid, x, ln_q)
        rows = table.rows[0].reshape(count, 2)
        return interpolation.scale_weights(table, event) @ rows

    values = in_ln_q(grid, x, ln_q, event)
    np.testing.assert_allclose(values[:, 0], 1.0 + event - 0.3 * event**3, rtol=1e-12)


def test_nothing_lies_above_one_and_below_the_grid_is_refused(made):
    values = at(made, [1.0, 1.5, 0.99e-5, 1e-5], np.full(4, 91.0))
    np.testing.assert_array_equal(values[:2], np.zeros_like(values[:2]))
    assert np.isnan(values[2]).all()
    assert np.isfinite(values[3]).all()


def test_gradient_outside_the_grid_is_zero(made):
    def total(grid, x):
        return jnp.sum(compiled_at(made | {"grid": grid}, x, jnp.full(2, 91.0)))

    gradients = jax.jit(jax.grad(total, argnums=(0, 1)))(made["grid"], jnp.asarray([1.0, 2.0]))
    for gradient in gradients:
        np.testing.assert_array_equal(gradient, np.zeros_like(gradient))
