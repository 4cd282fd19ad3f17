"""The diagrams of a concrete process: which orders, which decays, which cuts, which colours."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from diffpipe.pipelines.physics.matrix_elements.diagrams import colour
from diffpipe.pipelines.physics.matrix_elements.diagrams.colour import Palette
from diffpipe.pipelines.physics.matrix_elements.diagrams.currents import (
    NO_ORDERS,
    Closing,
    Current,
    Key,
    Leg,
)
from diffpipe.pipelines.physics.matrix_elements.diagrams.growth import (
    Growth,
    Selection,
    external,
)
from diffpipe.pipelines.physics.matrix_elements.model.interactions import Orders
from diffpipe.pipelines.physics.matrix_elements.model.particles import anti
from diffpipe.pipelines.physics.matrix_elements.process.concrete import Process
from diffpipe.pipelines.physics.refusal import RefusedError

UNLIMITED = 99
MOST_EFFECTIVE = 2  # gluon-Higgs vertices tried where nothing else contributes


@dataclass(frozen=True)
class Diagrams:
    """The amplitude of a process as cuts between currents; `tensors` are their colours."""

    process: Process
    legs: tuple[Leg, ...]
    closings: tuple[Closing, ...]
    tensors: tuple[np.ndarray, ...]

    @property
    def count(self) -> int:
        return sum(each.diagrams for each in self.closings)

    @property
    def weighted(self) -> int:
        return min(each.orders.weighted for each in self.closings)

    @cached_property
    def colours(self) -> tuple[int, ...]:
        """The numbers of the distinct colour tensors of the amplitude."""
        return tuple(sorted({each.colour for each in self.closings}))

    @cached_property
    def colour_root(self) -> np.ndarray:
        """R of `colour.square_root`, one column for each of `colours`."""
        states = next((leg.particle.colours for leg in self.legs if leg.particle.colour != 1), 1)
        return colour.square_root([self.tensors[number] for number in self.colours], states)


def generate(process: Process) -> Diagrams | None:
    """All tree diagrams that the process's limits admit; None if there are none.

    Without limits, those of the lowest WEIGHTED order that has any, as MadGraph does. The effective
    gluon-Higgs vertex is used where HIG asks for it, or where no limit is set and nothing else
    contributes.
    """
    palette = Palette()
    legs = _legs(process)
    coloured = [leg.number for leg in legs if leg.particle.colour != 1]
    leaves = [
        external(leg, _position(coloured, leg.number), len(coloured), palette) for leg in legs
    ]
    first = len(process.initial)
    units = [[leaf] for leaf in leaves[:first]] + _final_units(process, leaves[first:], palette)
    final = sum(1 << leg.number for leg in legs if not leg.incoming)
    for selection in _selections(process, len(units), final, (1 << len(legs)) - 1):
        closings = _admitted(process, Growth(units, selection, palette).closings())
        if closings:
            return Diagrams(process, legs, tuple(closings), tuple(palette.tensors))
    return None


def _legs(process: Process) -> tuple[Leg, ...]:
    incoming = [Leg(i, name, True) for i, name in enumerate(process.initial)]
    start = len(incoming)
    outgoing = [Leg(start + i, anti(name), False) for i, name in enumerate(process.products)]
    return (*incoming, *outgoing)


def _position(coloured: list[int], number: int) -> int | None:
    return coloured.index(number) if number in coloured else None


def _final_units(process: Process, leaves: list[Current], palette: Palette) -> list[list[Current]]:
    """One unit for each final particle: its leg, or the currents of its decay."""
    units, start = [], 0
    for name, decay in zip(process.final, process.decays, strict=True):
        size = len(decay.products) if decay else 1
        mine = leaves[start : start + size]
        units.append(_decayed(name, decay, mine, palette) if decay else mine)
        start += size
    return units


def _decayed(name: str, decay: Process, leaves: list[Current], palette: Palette) -> list[Current]:
    """The currents of a decaying particle, made of all products of its decay."""
    units = _final_units(decay, leaves, palette)
    legs = sum(leaf.key.legs for leaf in leaves)
    everything = (1 << len(units)) - 1
    for selection in _selections(decay, len(units) + 1, legs, legs):
        found = Growth(units, selection, palette).currents(everything).values()
        wanted = [
            each
            for each in found
            if each.key.name == anti(name) and len(each.key.passed) == len(decay.required)
        ]
        if wanted := _admitted(decay, wanted):
            return _as_unit(wanted)
    raise RefusedError(f"the decay {decay} has no tree diagram")


def _as_unit(currents: list[Current]) -> list[Current]:
    """The currents of a decayed particle: its orders and s-channels do not count any more."""
    found: dict[Key, Current] = {}
    for each in currents:
        key = replace(each.key, orders=NO_ORDERS, passed=frozenset())
        found.setdefault(key, Current(key, each.fermions)).terms.extend(each.terms)
    return list(found.values())


def _selections(process: Process, units: int, final: int, legs: int) -> Iterable[Selection]:
    """What to try, in order, until something is found."""
    base = Selection(
        Orders(UNLIMITED, UNLIMITED, 0),
        UNLIMITED,
        final,
        legs,
        tuple(frozenset(names) for names in process.required),
        frozenset(process.forbidden),
        frozenset(process.not_s_channel),
    )
    if process.limits:
        limits = {name: limit.value for name, limit in process.limits.items()}
        most = Orders(
            limits.get("QCD", UNLIMITED), limits.get("QED", UNLIMITED), limits.get("HIG", 0)
        )
        yield replace(base, most=most, weighted=limits.get("WEIGHTED", UNLIMITED))
        return
    for hig in range(MOST_EFFECTIVE + 1):
        for order in range(units - 2, 2 * (units - 2) + 1):
            yield replace(base, most=Orders(UNLIMITED, UNLIMITED, hig), weighted=order)


def _admitted(process: Process, found: Iterable[Any]) -> list[Any]:
    """Those whose orders fulfil the exact limits, too."""
    return [each for each in found if _fulfils(process, _orders(each))]


def _orders(of: Current | Closing) -> Orders:
    return of.orders if isinstance(of, Closing) else of.key.orders


def _fulfils(process: Process, orders: Orders) -> bool:
    have = {"QCD": orders.qcd, "QED": orders.qed, "HIG": orders.hig, "WEIGHTED": orders.weighted}
    return all(limit.admits(have[name]) for name, limit in process.limits.items())
