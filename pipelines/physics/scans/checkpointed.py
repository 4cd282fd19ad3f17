"""A loop with a pullback by a schedule, both of them compiled once for any length."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from diffpipe.pipelines.physics.scans import slots
from diffpipe.pipelines.physics.scans.chain import Body, Chain, Tree, chain_of, row
from diffpipe.pipelines.physics.scans.cotangents import pulled, without_float0
from diffpipe.pipelines.physics.scans.legs import Table
from diffpipe.pipelines.physics.scans.slots import Slots

Carry = tuple[Slots, Tree, Tree]  # what is held, the state at hand, ys (None where of no use)


class Given(NamedTuple):
    """What the steps read beside their states."""

    xs: Tree
    parameters: list[Array]

    def to(self, i: Array | int) -> list[Tree]:
        """The x of step i and the parameters."""
        return [row(self.xs, i), *self.parameters]


class Kept(NamedTuple):
    """What the first sweep leaves to the reversal."""

    held: Slots
    last: Callable[..., Any]  # pulls the last step back
    given: Given


def scan(body: Body, init: Tree, xs: Tree, table: Table) -> tuple[Tree, Tree]:
    """`jax.lax.scan` of at least two steps, with a VJP that holds what the table says."""
    init = jax.tree.map(lambda leaf: lax.convert_element_type(leaf, jnp.result_type(leaf)), init)
    chain, parameters = chain_of(body, init, xs)

    @jax.custom_vjp
    def run(init: Tree, given: Given) -> tuple[Tree, Tree]:
        more = given.parameters
        return lax.scan(lambda s, x: chain.step(s, x, *more), init, given.xs, len(table.slot))

    run.defvjp(partial(_sweep, chain, table), partial(_reversal, chain, table))
    final, ys = run(init, Given(xs, parameters))
    return final, ys


def _sweep(chain: Chain, table: Table, init: Tree, given: Given) -> tuple[tuple[Tree, Tree], Kept]:
    """The first sweep: one leg after the other up to the last step, which is kept to pull back."""
    last = len(table.slot) - 1
    residuals = chain.recipe.kinds if table.residuals else []
    held = slots.empty((table.states, chain.state), (table.residuals, residuals))
    leg = partial(_leg, chain, table, given)
    ys = _room(last + 1, chain.out[1])
    held, state, ys = lax.fori_loop(0, table.behind[last], leg, (held, init, ys))
    (state, y), pull = jax.vjp(chain.step, state, *given.to(last))
    return (state, _put(ys, last, y)), Kept(held, pull, given)


def _leg(chain: Chain, table: Table, given: Given, i: Array, carry: Carry) -> Carry:
    """Hold the state, take steps; then record steps, if the schedule ever does."""
    slot, begin, end, recorded, free = jnp.asarray(table.legs)[i]

    def take(i: Array, carry: Carry) -> Carry:
        held, state, ys = carry
        state, y = chain.step(state, *given.to(i))
        return held, state, _put(ys, i, y)

    def record(i: Array, carry: Carry) -> Carry:
        held, state, ys = carry
        (state, y), pull = jax.vjp(chain.step, state, *given.to(i))
        return slots.put(held, free + i - end, chain.recipe.residuals(pull)), state, _put(ys, i, y)

    held, state, ys = carry
    held = slots.put(held, slot, jax.tree.leaves(state))
    carry = lax.fori_loop(begin, end, take, (held, state, ys))
    return lax.fori_loop(end, end + recorded, record, carry) if table.residuals else carry


def _reversal(
    chain: Chain, table: Table, kept: Kept, cotangents: tuple[Tree, Tree]
) -> tuple[Tree, Given]:
    """Each step before the last: the way to it, if there is one to go, and its pullback."""
    last, given = len(table.slot) - 1, kept.given
    of_state, of_ys = without_float0(cotangents)
    leg = partial(_leg, chain, table, given)

    def back(carry: tuple[Tree, ...], each: Any) -> tuple[tuple[Tree, ...], None]:
        held, of_state, of_xs, of_parameters = carry
        i, first, behind, slot = each
        state = chain.state_of(slots.at(held, jnp.asarray(table.legs)[first, 0], chain.state))
        held, state, _ = lax.fori_loop(first, behind, leg, (held, state, None))

        def taken(cotangents: Tree) -> Tree:
            return pulled(jax.vjp(chain.step, state, *given.to(i))[1], cotangents, chain.out)

        def recorded(cotangents: Tree) -> Tree:
            residuals = slots.at(held, slot, chain.recipe.kinds)
            return pulled(chain.recipe.pullback(residuals, given.to(i)), cotangents, chain.out)

        pull = partial(lax.cond, slot < 0, taken, recorded) if table.residuals else taken
        of_state, of_x, *more = pull((of_state, row(of_ys, i)))
        added = jax.tree.map(jnp.add, of_parameters, more)
        return (held, of_state, _put(of_xs, i, of_x), added), None

    of_state, of_x, *of_parameters = pulled(kept.last, (of_state, row(of_ys, last)), chain.out)
    of_xs = _put(_room(last + 1, of_x), last, of_x)
    steps = np.arange(last, dtype=np.int32), *(each[:last] for each in table[1:])
    carry = kept.held, of_state, of_xs, of_parameters
    (_, of_init, *of_given), _ = lax.scan(back, carry, steps, reverse=True)
    return of_init, Given(*of_given)


def _room(rows: int, kinds: Tree) -> Tree:
    """Zeros for so many rows."""
    return jax.tree.map(lambda kind: jnp.zeros((rows, *kind.shape), kind.dtype), kinds)


def _put(tree: Tree, i: Array | int, new: Tree) -> Tree:
    """Every array with another row i; None where there are no arrays."""
    if tree is None:
        return None
    update = partial(lax.dynamic_update_index_in_dim, index=i, axis=0)
    return jax.tree.map(lambda leaf, row: update(leaf, row), tree, new)
