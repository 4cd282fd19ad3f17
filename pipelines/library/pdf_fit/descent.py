"""The descent of `pdf_fit`: weights of the network from pseudo-data, in one process.

    python -m diffpipe.pipelines.library.pdf_fit.descent [--steps N] [--folder OUT]

The operator is computed once; after that a step is a network and a matrix product. A tenth of the
points, at random, is kept for validation: the weights given back are those at its smallest chi^2,
as in section 3 of arXiv:2109.02653, since a descent that goes on fits noise. The state is saved
every 500 steps, and a descent that was interrupted goes on from there, to the same bits.

Found with 5000 steps, 504 points of 2 % (and 0.002 in x f) and the seeds that ship: chi^2/point is
0.92, where that of the truth is 0.98; the fit is away from the truth by 0.35 errors of the data
(rms), 1.21 at most, by less than one error at 98 % of the points. It takes 35 CPU seconds, most of
them to compile the operator.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from diffpipe.cache.errors import DiffpipeError, NonFiniteError, UsageError
from diffpipe.pipelines.core import library
from diffpipe.pipelines.core.assemble import assemble
from diffpipe.pipelines.library.pdf_fit import adam, figures, saved
from diffpipe.pipelines.library.pdf_fit.adam import Adam
from diffpipe.pipelines.library.pdf_fit.problem import Problem, problem
from diffpipe.pipelines.library.pdf_fit.report import report

CHUNK = 500  # steps between two saved states


@dataclass(frozen=True)
class Settings:
    """How to descend."""

    steps: int = 5000
    rate: float = 0.01  # of the first step
    validation: float = 0.1  # share of the points
    seed: int = 1  # which of them

    def __post_init__(self) -> None:
        if not (self.steps >= 1 and 0.0 < self.rate < np.inf and 0.0 < self.validation < 1.0):
            raise UsageError(
                f"steps {self.steps}, rate {self.rate:g}, validation {self.validation:g}",
                hint="at least one step, a rate above zero, a share between 0 and 1",
            )


class State(NamedTuple):
    """What the next step needs, and the best so far."""

    adam: Adam
    best: Array  # weights with the smallest validation
    best_loss: Array


class Descent(NamedTuple):
    """A finished descent: weights (weight,); losses (step, 2), chi^2 per point of training and of
    validation before each step."""

    weights: Array
    losses: np.ndarray


def descend(
    of: Problem,
    settings: Settings,
    folder: Path,
    say: Callable[[str], None] = print,
    until: int | None = None,
) -> Descent:
    """The descent, from the state in `folder` if there is one; raises UsageError, NonFiniteError.

    until: a step to stop after, once its state is saved.
    """
    identity = json.dumps({"key": of.key, **asdict(settings)})
    run = jax.jit(_chunk(of, settings))
    state, losses = _restored(of, saved.load(folder, identity))
    last = settings.steps if until is None else min(until, settings.steps)
    while len(losses) < last:
        numbers = np.arange(len(losses), min(len(losses) + CHUNK, settings.steps), dtype=float)
        state, found = run(state, numbers)
        losses = np.concatenate([losses, found])
        _check(losses)
        saved.save(folder, identity, _flat(state) | {"losses": losses})
        say(f"step {len(losses):6d}: training {losses[-1, 0]:9.4f} validation {losses[-1, 1]:9.4f}")
    return Descent(state.best, losses)


def _chunk(of: Problem, settings: Settings) -> Callable[[State, Array], tuple[State, Array]]:
    """From a state and the numbers of steps to the state after them and their losses."""

    def loss(weights: Array) -> tuple[Array, Array]:
        squares = of.pulls(weights) ** 2
        kept = jnp.asarray(_validation(squares.size, settings))
        training, validation = (
            jnp.sum(jnp.where(chosen, squares, 0.0)) / jnp.sum(chosen, dtype=jnp.float64)
            for chosen in (~kept, kept)
        )
        return training, validation

    def step(now: State, number: Array) -> tuple[State, Array]:
        weights = now.adam.weights
        (training, validation), slope = jax.value_and_grad(loss, has_aux=True)(weights)
        rate = adam.rate(number, settings.steps, settings.rate)
        better = validation < now.best_loss
        best = jnp.where(better, weights, now.best), jnp.where(better, validation, now.best_loss)
        moved = adam.step(now.adam, slope, number, rate)
        return State(moved, *best), jnp.stack([training, validation])

    return lambda state, numbers: jax.lax.scan(step, state, numbers)


def _validation(points: int, settings: Settings) -> np.ndarray:
    """Which points are kept for validation, (point,), at least one."""
    order = np.random.RandomState(settings.seed).permutation(points)
    return order < max(1, round(settings.validation * points))


def _restored(of: Problem, arrays: dict[str, np.ndarray] | None) -> tuple[State, np.ndarray]:
    if arrays is None:
        return State(adam.begin(of.start), of.start, jnp.asarray(jnp.inf)), np.zeros((0, 2))
    losses = arrays.pop("losses")
    given = {name: jnp.asarray(each) for name, each in arrays.items()}
    moving = Adam(*(given[name] for name in Adam._fields))
    return State(moving, given["best"], given["best_loss"]), losses


def _flat(state: State) -> dict[str, Array]:
    return state.adam._asdict() | {"best": state.best, "best_loss": state.best_loss}


def _check(losses: np.ndarray) -> None:
    bad = ~np.isfinite(losses).all(axis=1)
    if bad.any():
        raise NonFiniteError(
            f"the loss is not finite at step {int(np.argmax(bad))}: an integral of a sum rule "
            "diverges, as an exponent of x or of 1 - x fell too far",
            hint="lower --rate",
        )


def _arguments() -> argparse.Namespace:
    usual = Settings()
    parser = argparse.ArgumentParser(prog="descent", description="Fit the network of pdf_fit.")
    parser.add_argument("--steps", type=int, default=usual.steps)
    parser.add_argument("--rate", type=float, default=usual.rate, help="of the first step")
    parser.add_argument("--folder", type=Path, default=Path("pdf_fit"), help="of state and plots")
    return parser.parse_args()


def main() -> None:
    """Fit, report, plot; what a user can mend is said in two lines, exit code as its error's."""
    try:
        _fit(_arguments())
    except DiffpipeError as error:
        print(f"error: {error.message}\n  try: {error.hint}", file=sys.stderr)
        sys.exit(error.exit_code)


def _fit(asked: argparse.Namespace) -> None:
    settings = Settings(steps=asked.steps, rate=asked.rate)
    os.environ["NPROC"] = "1"  # XLA's sums depend on how many threads it has; read at its first use
    jax.config.update("jax_enable_x64", True)
    made = assemble(library.find("pdf_fit"))
    of = problem(made)
    found = descend(of, settings, asked.folder)
    outputs = jax.jit(of.outputs)(found.weights)
    print(report(outputs))
    for path in figures.write(made, outputs, found.losses, asked.folder):
        print(path)


if __name__ == "__main__":
    main()
