"""One process of a package, with the use of the native `Element`."""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from diffpipe.pipelines.physics.matrix_elements import kinematics
from diffpipe.pipelines.physics.matrix_elements.madjax import (
    calls,
    frame,
    lookup,
    probes,
    served,
    slha,
)
from diffpipe.pipelines.physics.matrix_elements.madjax.finding import Finding
from diffpipe.pipelines.physics.matrix_elements.madjax.helicities import Rows, contributing
from diffpipe.pipelines.physics.matrix_elements.madjax.look import look
from diffpipe.pipelines.physics.matrix_elements.madjax.package import Package
from diffpipe.pipelines.physics.matrix_elements.model.parameters import INPUTS
from diffpipe.pipelines.physics.matrix_elements.model.particles import PARTICLES
from diffpipe.pipelines.physics.matrix_elements.process.concrete import Process
from diffpipe.pipelines.physics.refusal import RefusedError


@dataclass(frozen=True, eq=False)
class MadjaxElement:
    """|M|^2 of one process, computed by a generated class.

    name: of the class; order: the places of its legs in the process; configurations: of helicities
    that there are; rows: those that contribute, None where all are evaluated; findings: what was
    looked at, repaired, refused.
    """

    name: str
    process: Process
    package: Package
    order: tuple[int, ...]
    configurations: int
    rows: Rows | None
    findings: tuple[Finding, ...]

    @property
    def kept(self) -> int:
        """How many helicity configurations are evaluated."""
        return self.configurations if self.rows is None else len(self.rows.table)

    @property
    def count(self) -> int | None:
        """How many diagrams, where the class shows it."""
        return None if self.rows is None else self.rows.diagrams

    @property
    def colours(self) -> None:
        """Colour structures: a class does not show them."""
        return

    @property
    def notes(self) -> tuple[str, ...]:
        """What was found of madjax and of the class."""
        return (f"computed by {self.name} of {self.package.folder}", *map(str, self.findings))

    @property
    def signature(self) -> Hashable:
        """Elements of one signature have the same values."""
        return self.package.folder, self.name, self.order

    def active(self, inputs: Mapping[str, float]) -> set[str]:
        """Those of the inputs that the package reads at all."""
        return {n for n in inputs if (INPUTS[n].block, INPUTS[n].code) in self.package.entries}

    def masses(self, inputs: Mapping[str, Array]) -> list[Array | float]:
        """The masses of the legs in GeV, in the order of the process."""
        incoming, outgoing = calls.masses(self._code, self._card(inputs))
        by_place = dict(zip(self.order, [*incoming, *outgoing], strict=True))
        return [by_place[place] for place in range(len(self.order))]

    def on_shell(self, inputs: Mapping[str, Array], momenta: Array) -> Array:
        """Momenta that follow the masses of the legs: see `kinematics.on_shell`."""
        return kinematics.on_shell(momenta, self.masses(inputs), len(self.process.initial))

    def squared(self, inputs: Mapping[str, Array], momenta: Array) -> Array:
        """|M|^2, (event,), summed over final and averaged over initial spins and colours.

        inputs: the model's inputs by name, others at their defaults, numbers or (event,); momenta:
        (event, leg, 4) in GeV, [E, px, py, pz], incoming first, in the order of the process.
        RefusedError for inputs unknown to the model or not read by the package.
        """
        kinematics.check_shape(jnp.shape(momenta), self.process.legs)
        return _squared(self, self._card(inputs), jnp.asarray(momenta, float))

    @property
    def _code(self) -> tuple[Package, type]:
        return self.package, self.package.processes[self.name]

    def _card(self, inputs: Mapping[str, Any]) -> dict[slha.Entry, Array]:
        return slha.entries(inputs, self.package.entries)


@partial(jax.jit, static_argnums=0)
def _squared(element: MadjaxElement, card: Mapping[slha.Entry, Array], momenta: Array) -> Array:
    """Compiled as one piece: generated code is slow where it is not compiled."""
    turned = momenta[:, np.array(element.order)] @ frame.of(element.process).T
    if element.rows is None:
        return calls.over_events(calls.smatrix, element._code, card, turned)
    by_row = calls.rows(np.array(element.rows.table), element.rows.diagrams)
    found = calls.over_events(by_row, element._code, card, turned)
    return found.sum(axis=1) / element.rows.denominator


def find(package: Package, process: str) -> MadjaxElement:
    """The element of a process such as "u u~ > mu+ mu-", in MadGraph's notation.

    Compiles the class once to look at it. RefusedError if the package does not have the process,
    or computes it wrongly in a way that could not be repaired.
    """
    name, asked, order = lookup.choose(process, served.processes(package.source), package.name)
    _refuse(name, package.findings)
    seen = look((package, package.processes[name]), frame.of(asked))
    verified = tuple(probes.verified(each, seen) for each in package.findings)
    _refuse(name, verified)
    rows, total = contributing(seen), prod(PARTICLES[leg].helicities for leg in asked.legs)
    findings = (*verified, probes.gradients(asked), probes.helicities(rows, total))
    return MadjaxElement(name, asked, package, order, total, rows, findings)


def _refuse(name: str, findings: Iterable[Finding]) -> None:
    for each in findings:
        if each.state == "refused":
            raise RefusedError(
                f"{name} of the madjax package is not used, {each.name}: {each.text}",
                hint="repair madjax itself, or use the native matrix element",
            )
