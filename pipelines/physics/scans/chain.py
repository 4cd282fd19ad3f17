"""The body of a loop as a function of all that it depends on, with the VJP of a step."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import jax
from jax import Array, lax

Tree = Any  # arrays in tuples, lists, dicts
Body = Callable[[Tree, Tree], tuple[Tree, Tree]]
Step = Callable[..., tuple[Tree, Tree]]  # of a state, an x and the parameters


class Recipe(NamedTuple):
    """How to put the VJP of a step together again: x and the parameters are known anyway."""

    tree: Any
    sources: tuple[int | None, ...]  # leaf -> number of the known array that it is; None: residual
    kinds: list[jax.ShapeDtypeStruct]  # of the residuals

    def residuals(self, pull: Callable[..., Any]) -> list[Array]:
        """The leaves of a VJP that are known from nowhere else."""
        leaves = zip(jax.tree.leaves(pull), self.sources, strict=True)
        return [leaf for leaf, source in leaves if source is None]

    def pullback(self, residuals: Iterable[Array], *known: Tree) -> Callable[..., Any]:
        """The VJP, from its residuals and what is known."""
        rest, given = iter(residuals), jax.tree.leaves(known)
        leaves = [next(rest) if source is None else given[source] for source in self.sources]
        pull: Callable[..., Any] = jax.tree.unflatten(self.tree, leaves)
        return pull


@dataclass(frozen=True)
class Chain:
    """A step; shapes and types (kinds) of the state, the x and the parameters that it is given."""

    step: Step
    kinds: tuple[Tree, Tree, list[jax.ShapeDtypeStruct]]

    @cached_property
    def out(self) -> tuple[Tree, Tree]:
        """The kinds of the next state and of y."""
        return jax.eval_shape(lambda state, x, more: self.step(state, x, *more), *self.kinds)

    @property
    def state(self) -> list[jax.ShapeDtypeStruct]:
        """The kinds of the arrays of a state."""
        return jax.tree.leaves(self.kinds[0])

    def state_of(self, arrays: list[Array]) -> Tree:
        """The state of such arrays."""
        return jax.tree.unflatten(jax.tree.structure(self.kinds[0]), arrays)

    @cached_property
    def recipe(self) -> Recipe:
        """Found by a trace of the VJP."""
        sources: list[int | None] = []

        def record(state: Tree, *known: Tree) -> Any:
            x, parameters = known
            _, pull = jax.vjp(self.step, state, x, *parameters)
            given = jax.tree.leaves(known)
            for leaf in jax.tree.leaves(pull):
                sources.append(next((i for i, one in enumerate(given) if one is leaf), None))
            return pull

        leaves, tree = jax.tree.flatten(jax.eval_shape(record, *self.kinds))
        kinds = [leaf for leaf, source in zip(leaves, sources, strict=True) if source is None]
        return Recipe(tree, tuple(sources), kinds)


def chain_of(body: Body, init: Tree, xs: Tree) -> tuple[Chain, list[Array]]:
    """The chain, and the parameters that its body closes over."""
    x = row(xs, 0)
    # a function of its own, since closures are converted once for each
    step, parameters = jax.closure_convert(lambda state, x: body(state, x), init, x)
    return Chain(step, jax.eval_shape(lambda *given: given, init, x, parameters)), parameters


def row(tree: Tree, i: Array | int) -> Tree:
    """Row i of every array."""
    return jax.tree.map(lambda leaf: lax.dynamic_index_in_dim(leaf, i, keepdims=False), tree)
