"""The matrix element of one concrete process, ready to be evaluated."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from diffpipe.pipelines.physics.matrix_elements import kinematics, points
from diffpipe.pipelines.physics.matrix_elements.amplitude import squared
from diffpipe.pipelines.physics.matrix_elements.amplitude.walk import Walk
from diffpipe.pipelines.physics.matrix_elements.diagrams.generate import Diagrams, generate
from diffpipe.pipelines.physics.matrix_elements.diagrams.signature import signature
from diffpipe.pipelines.physics.matrix_elements.model.couplings import constants
from diffpipe.pipelines.physics.matrix_elements.model.parameters import DEFAULTS
from diffpipe.pipelines.physics.matrix_elements.model.particles import PARTICLES
from diffpipe.pipelines.physics.matrix_elements.process.concrete import Process, expand
from diffpipe.pipelines.physics.matrix_elements.process.notation import Notation, parse
from diffpipe.pipelines.physics.refusal import RefusedError

PROBES = 20
FEW = 3
STEP = 0.01  # of an input's value, to see whether anything changes
EFFECTIVE = "with the effective gluon-Higgs vertex (a top loop, expanded in MH^2/(4 MT^2))"
VANISHING = 1e-12  # of the largest contribution at a point: what is left of exact zeros


@dataclass(frozen=True)
class Element:
    """|M|^2 of one process at tree level.

    chiralities: assignments to massless fermions that contribute; kept: how many spin
    configurations do, of `configurations` that there are.
    """

    diagrams: Diagrams
    chiralities: tuple[int, ...]
    kept: int

    @property
    def process(self) -> Process:
        return self.diagrams.process

    @property
    def configurations(self) -> int:
        return prod(PARTICLES[name].helicities for name in self.process.legs)

    @property
    def count(self) -> int:
        """How many diagrams."""
        return self.diagrams.count

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know of it."""
        effective = any(each.orders.hig for each in self.diagrams.closings)
        return (EFFECTIVE,) if effective else ()

    @property
    def colours(self) -> int:
        """Independent colour structures."""
        return len(self.diagrams.colour_root)

    @cached_property
    def signature(self) -> Hashable:
        """Elements of one signature have the same values."""
        return signature(self.diagrams), self.chiralities

    def active(self, inputs: Mapping[str, float]) -> set[str]:
        """The inputs that |M|^2 at given momenta changes with: tried at a few points."""
        at, moved = self._probe(inputs), {n: x + (x * STEP or STEP) for n, x in inputs.items()}
        there = {name: self._probe({**inputs, name: moved[name]}) for name in inputs}
        return {n for n, each in there.items() if (abs(each - at) > VANISHING * abs(at)).any()}

    def _probe(self, inputs: Mapping[str, float]) -> np.ndarray:
        """Values at a few points, by NumPy."""
        arrays: dict[str, Any] = {name: np.asarray(value) for name, value in inputs.items()}
        momenta: Any = points.of(self.process, constants(_defaults()), FEW)
        known = constants(arrays)
        return np.asarray(squared.squared(self.diagrams, known, momenta, self.chiralities))

    def masses(self, inputs: Mapping[str, Array]) -> list[Array | float]:
        """The masses of the legs in GeV."""
        known = _constants(inputs)
        names = [PARTICLES[name].mass for name in self.process.legs]
        return [0.0 if name is None else known[name] for name in names]

    def on_shell(self, inputs: Mapping[str, Array], momenta: Array) -> Array:
        """Momenta that follow the masses of the legs: see `kinematics.on_shell`."""
        return kinematics.on_shell(momenta, self.masses(inputs), len(self.process.initial))

    def squared(self, inputs: Mapping[str, Array], momenta: Array) -> Array:
        """|M|^2, (event,), summed over final and averaged over initial spins and colours.

        inputs: the model's inputs by name, others at their defaults, numbers or (event,); momenta:
        (event, leg, 4) in GeV, [E, px, py, pz], incoming first, in the order of the process.
        """
        # real masses times complex waves, scalars times arrays: both are meant
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            known = _constants(inputs)
            return squared.squared(self.diagrams, known, momenta, self.chiralities)


def _defaults() -> dict[str, Any]:
    return {name: np.asarray(value) for name, value in DEFAULTS.items()}


def _constants(inputs: Mapping[str, Array]) -> dict[str, Array]:
    return constants({name: jnp.asarray(each) for name, each in (DEFAULTS | dict(inputs)).items()})


def build(text: str) -> list[Element]:
    """The elements of all subprocesses of a process; raises RefusedError if there is none.

    Without coupling orders, subprocesses that only exist at a higher WEIGHTED order than the lowest
    one are left out, as in MadGraph.
    """
    notation = parse(text)
    found = [diagrams for each in expand(notation) if (diagrams := generate(each))]
    if not found:
        raise RefusedError(
            f"process {text!r} has no tree diagram{_orders(notation)}", hint=_hint(notation)
        )
    if not notation.limits:
        lowest = min(each.weighted for each in found)
        found = [each for each in found if each.weighted == lowest]
    return [_probed(each) for each in found]


def _orders(notation: Notation) -> str:
    limits = [
        f"{n}{'==' if each.exact else '<='}{each.value}" for n, each in notation.limits.items()
    ]
    return f" with {', '.join(limits)}" if limits else ""


def _hint(notation: Notation) -> str:
    if notation.limits:
        return "raise the orders, or add HIG=1 for the effective gluon-Higgs vertex"
    return "is a flavour changed (the CKM matrix is one), or a particle forbidden?"


def _probed(diagrams: Diagrams) -> Element:
    """Find out, at a few points, which spin states contribute."""
    defaults = constants(_defaults())
    momenta: Any = points.of(diagrams.process, defaults, PROBES)
    walk = Walk(diagrams.legs, defaults, momenta)
    parts = {
        each: squared.by_chirality(diagrams, walk, each) for each in squared.assignments(diagrams)
    }
    largest = np.max([part.reshape(-1, PROBES).max(axis=0) for part in parts.values()], axis=0)
    counts = {
        each: int((part > VANISHING * largest).any(axis=-1).sum()) for each, part in parts.items()
    }
    kept = tuple(each for each, count in counts.items() if count)
    return Element(diagrams, kept, sum(counts.values()))
