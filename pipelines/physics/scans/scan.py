"""Long loops that can be pulled back without every state of theirs being kept.

In a stage:

    def step(state, field):
        return evolve(state, field, parameters["coupling"]), observable(state)

    final, observables = scan(step, start, fields, snapshots=20)
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from diffpipe.pipelines.physics.refusal import RefusedError, did_you_mean
from diffpipe.pipelines.physics.scans import checkpointed, modes, nested, slots
from diffpipe.pipelines.physics.scans.chain import chain_of
from diffpipe.pipelines.physics.scans.report import describe
from diffpipe.pipelines.physics.scans.schemes import SCHEMES, table_of

Tree = Any  # arrays in tuples, lists, dicts
Body = Callable[[Any, Any], tuple[Any, Any]]


def scan(
    body: Body,
    init: Tree,
    xs: Tree = None,
    length: int | None = None,
    *,
    snapshots: int | None = None,
    scheme: str = "revolve",
    name: str = "scan",
) -> tuple[Tree, Tree]:
    """`jax.lax.scan`, with steps taken again on the way back instead of all their residuals kept.

    snapshots: None takes each step twice and keeps of the order of 2 sqrt(n) states, in every mode
    of JAX; a number keeps as many states, and takes the fewest steps that this allows, each step's
    residuals being there for that step alone. Parameters that `body` closes over are differentiated
    like `init` and `xs`. With a number, the pullback is the only derivative, and its JVP (forward
    over reverse) with it; for the JVP of the scan itself trace it within `forward_mode`.
    scheme: of a number of snapshots. "mixed" keeps as many slots, each with a state or with the
    residuals of a step, and takes fewer steps: for residuals that are no larger than a state.
    name: what `diffpipe plan` calls it. RefusedError where snapshots is not an integer above zero,
    or the scheme is not one for it.
    """
    length = _length(xs, length)
    _check(snapshots, scheme)
    modes.note(
        lambda: describe(length, snapshots, _slot_bytes(body, init, xs, scheme), name, scheme)
    )
    if modes.is_forward():
        return lax.scan(body, init, xs, length)
    if snapshots is None:
        return _nested(body, init, xs, length)
    if length < 2:
        return lax.scan(body, init, xs, length)
    return checkpointed.scan(body, init, xs, table_of(scheme, length, snapshots))


def _nested(body: Body, init: Tree, xs: Tree, length: int) -> tuple[Tree, Tree]:
    """The rest of the steps as one segment, then a scan of segments."""
    number, size, rest = nested.segments(length)
    ahead, behind = (_cut(xs, part) for part in (slice(rest), slice(rest, None)))
    rows = jax.tree.map(lambda leaf: leaf.reshape(number, size, *leaf.shape[1:]), behind)
    # within a scan nothing can merge the two runs of a segment
    segment = jax.checkpoint(lambda state, xs: lax.scan(body, state, xs, size), prevent_cse=False)
    if not rest:
        final, ys = lax.scan(segment, init, rows, number)
        return final, _joined(ys)
    first = jax.checkpoint(lambda state, xs: lax.scan(body, state, xs, rest))
    state, first_ys = first(init, ahead)
    final, ys = lax.scan(segment, state, rows, number)
    return final, jax.tree.map(lambda *parts: jnp.concatenate(parts), first_ys, _joined(ys))


def _cut(tree: Tree, part: slice) -> Tree:
    return jax.tree.map(lambda leaf: leaf[part], tree)


def _joined(ys: Tree) -> Tree:
    """The first two axes as one."""
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), ys)


def _length(xs: Tree, length: int | None) -> int:
    """The number of steps, on which all must agree: an index too large would be moved silently."""
    shapes = {jnp.shape(leaf)[:1] for leaf in jax.tree.leaves(xs)}
    found = shapes | (set() if length is None else {(length,)})
    if len(found) != 1 or found == {()}:
        axes = ", ".join(str(shape[0]) if shape else "none" for shape in sorted(shapes))
        raise RefusedError(
            f"a scan needs one number of steps; first axes of xs: {axes or 'no arrays'}; "
            f"length: {length}",
            hint="give every array of xs the steps as first axis, or length= without xs",
        )
    ((steps,),) = found
    return steps


def _check(snapshots: object, scheme: object) -> None:
    if scheme not in list(SCHEMES):
        hint = did_you_mean(str(scheme), SCHEMES)
        raise RefusedError(f"a scan has no scheme {scheme!r}", hint=hint)
    if snapshots is None and scheme != "revolve":
        raise RefusedError(
            f"a scan has scheme {scheme!r} and no number of snapshots",
            hint="give snapshots=, a number of slots, or leave scheme= out",
        )
    wrong = isinstance(snapshots, bool) or not isinstance(snapshots, int) or snapshots < 1
    if snapshots is not None and wrong:
        raise RefusedError(
            f"a scan keeps a number of states, at least one; snapshots is {snapshots!r}",
            hint="snapshots=None keeps of the order of sqrt(n) states",
        )


def _slot_bytes(body: Body, init: Tree, xs: Tree, scheme: str) -> int:
    """Room for a state; in the mixed scheme for the residuals of a step, too."""
    if scheme == "mixed":
        chain, _ = chain_of(body, init, xs)
        return slots.size(chain.state, chain.recipe.kinds)
    return slots.size(jax.tree.leaves(jax.eval_shape(lambda: init)))
