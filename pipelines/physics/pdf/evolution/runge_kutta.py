"""Steps of the linear evolution d F/d ln a = -(P0 + a P1 + a^2 P2)/(b0 + b1 a + b2 a^2) F.

Each step is one of Dormand and Prince's method of eighth order (Hairer, Norsett and Wanner, Solving
Ordinary Differential Equations I, section II.10). Over the range of alpha_s met, three of its steps
(36 evaluations) are closer than 32 steps of the classical method of fourth order (128).
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy.integrate import DOP853

from diffpipe.pipelines.physics.pdf.evolution.coupling import Number, beta_coefficients
from diffpipe.pipelines.physics.pdf.evolution.state import State
from diffpipe.pipelines.physics.pdf.kernels.tables import KernelMatrices

STAGES = DOP853.n_stages
WEIGHTS, OFFSETS, SHARES = DOP853.A, DOP853.C, DOP853.B
MANY_COLUMNS = 12  # from here on the orders are added up before they are applied


def strengths(log_a: Array, length: Array, order: str, nf: Number, log_kr: Array) -> Array:
    """What multiplies P_k F at each stage of steps in ln a: shape (*steps, stage, order).

    log_a, length (*steps,): where a step begins, and how long it is. The scale muR^2 = kR muF^2 of
    the coupling moves terms between orders: eq. (2.8) of hep-ph/0408244.
    """
    a = jnp.exp(log_a[..., None] + jnp.einsum("...,s->...s", length, OFFSETS))
    betas = beta_coefficients(order, nf)
    b0, b1 = betas[0], betas[1] if len(betas) > 1 else 0.0
    first = b0 * log_kr * a
    mixed = {
        "LO": [jnp.ones_like(a)],
        "NLO": [1.0 + first, a],
        "NNLO": [1.0 + first + first**2 + b1 * log_kr * a**2, a * (1.0 + 2.0 * first), a**2],
    }[order]
    beta = sum(value * a**k for k, value in enumerate(betas))
    return jnp.stack(mixed, axis=-1) * (-length[..., None] / beta)[..., None]


def step(state: State, strength: Array, kernels: KernelMatrices) -> State:
    """The state after one step; strength (stage, order) of it.

    Few columns: a loop over the stages, which is short to compile. Many: the stages one by one,
    since there the sums over earlier changes, half of them zero, would cost as much as the kernels.
    """
    if state.valence.shape[1] < MANY_COLUMNS:
        return _looped(state, strength, kernels)
    return _one_by_one(state, strength, kernels)


# for a pullback the changes of all stages are a dozen states to keep, longer to write and read than
# the step is to take again; it is one of a scan, where nothing can merge its two runs
@partial(jax.checkpoint, prevent_cse=False)
def _one_by_one(state: State, strength: Array, kernels: KernelMatrices) -> State:
    changes: list[State] = []
    for stage in range(STAGES):
        moved = _moved(state, WEIGHTS[stage, :stage], changes)
        changes.append(_change(moved, strength[stage], kernels))
    return _moved(state, SHARES, changes)


def _looped(state: State, strength: Array, kernels: KernelMatrices) -> State:
    def advance(changes: State, now: tuple[Array, Array, Array]) -> tuple[State, None]:
        stage, weights, own = now
        change = _change(_shifted(state, weights, changes), own, kernels)
        return jax.tree.map(lambda all, new: all.at[stage].set(new), changes, change), None

    none = jax.tree.map(lambda block: jnp.zeros((STAGES, *block.shape)), state)
    stages = jnp.arange(STAGES), jnp.asarray(WEIGHTS[:STAGES, :STAGES]), strength
    changes, _ = jax.lax.scan(advance, none, stages)
    return _shifted(state, jnp.asarray(SHARES), changes)


def _shifted(state: State, weights: Array, changes: State) -> State:
    """The state plus the weighted changes, which have the stages as first axis."""
    return jax.tree.map(
        lambda block, change: block + jnp.einsum("s,s...->...", weights, change), state, changes
    )


def _moved(state: State, weights: np.ndarray, changes: list[State]) -> State:
    for weight, change in zip(weights, changes, strict=True):
        if weight:
            state = jax.tree.map(lambda block, add, w=weight: block + w * add, state, change)
    return state


def _change(state: State, strength: Array, kernels: KernelMatrices) -> State:
    plus, minus, valence = kernels.non_singlet
    pairs = zip((kernels.singlet, plus, minus, valence), state, strict=True)
    return State(*(_apply(kernel, strength, block) for kernel, block in pairs))


def _apply(kernel: Array, strength: Array, columns: Array) -> Array:
    """sum_k strength_k P_k columns, for kernel (order, n, n) and columns (n, m)."""
    if columns.shape[1] >= MANY_COLUMNS:
        return jnp.einsum("k,kij->ij", strength, kernel) @ columns
    orders, size, _ = kernel.shape
    products = (kernel.reshape(orders * size, size) @ columns).reshape(orders, size, -1)
    return jnp.einsum("k,kim->im", strength, products)
