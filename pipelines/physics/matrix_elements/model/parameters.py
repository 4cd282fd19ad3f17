"""The model's inputs: names, default values, units and their places in an SLHA card."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from diffpipe.pipelines.physics.matrix_elements.model.particles import PARTICLES
from diffpipe.pipelines.physics.refusal import RefusedError, did_you_mean


@dataclass(frozen=True)
class Input:
    """One independent parameter: its value in MadGraph's default card, and its SLHA entry."""

    value: float
    unit: str
    block: str
    code: int


INPUTS = {
    "MZ": Input(91.188, "GeV", "mass", 23),
    "aEWM1": Input(132.507, "1", "sminputs", 1),
    "Gf": Input(1.16639e-5, "GeV^-2", "sminputs", 2),
    "aS": Input(0.118, "1", "sminputs", 3),
    "MT": Input(173.0, "GeV", "mass", 6),
    "MB": Input(4.7, "GeV", "mass", 5),
    "MTA": Input(1.777, "GeV", "mass", 15),
    "MH": Input(125.0, "GeV", "mass", 25),
    "ymt": Input(173.0, "GeV", "yukawa", 6),
    "ymb": Input(4.7, "GeV", "yukawa", 5),
    "ymtau": Input(1.777, "GeV", "yukawa", 15),
    "WZ": Input(2.441404, "GeV", "decay", 23),
    "WW": Input(2.0476, "GeV", "decay", 24),
    "WT": Input(1.4915, "GeV", "decay", 6),
    "WH": Input(6.382339e-3, "GeV", "decay", 25),
}

DEFAULTS = {name: each.value for name, each in INPUTS.items()}
ENTRIES = {(each.block, each.code): name for name, each in INPUTS.items()}


def canonical(name: str) -> str:
    """The input's name for a name or an SLHA entry ("mass 6", "mass:6"); RefusedError if unknown.

    Letters may be of either case where that is unambiguous.
    """
    exact = {known.lower(): known for known in INPUTS}
    entry = name.replace(":", " ").lower().split()
    if name.lower() in exact:
        return exact[name.lower()]
    if len(entry) == 2 and entry[1].isdigit():
        return entry_name(entry[0], int(entry[1]))
    raise RefusedError(f"the model has no parameter {name!r}", hint=_hint(name))


def entry_name(block: str, code: int) -> str:
    """The input at an SLHA entry; RefusedError if the model has none there."""
    try:
        return ENTRIES[block.lower(), code]
    except KeyError:
        known = ", ".join(f"{b} {c} ({n})" for (b, c), n in ENTRIES.items())
        raise RefusedError(
            f"the model has no free parameter at SLHA entry {block} {code}", hint=f"known: {known}"
        ) from None


def values(given: Mapping[str, float]) -> dict[str, float]:
    """All inputs: those given by name or SLHA entry, the others at their defaults."""
    return DEFAULTS | {canonical(name): value for name, value in given.items()}


def _hint(name: str) -> str:
    if name.upper() == "MW":
        return "MW follows from MZ, aEWM1 and Gf; set those"
    return did_you_mean(name, INPUTS)


def behind_masses(names: Iterable[str]) -> set[str]:
    """The inputs that set the masses of these particles."""
    masses = {PARTICLES[name].mass for name in names} - {None}
    derived = {"MZ", "aEWM1", "Gf"} if "MW" in masses else set()
    return {mass for mass in masses if mass in INPUTS} | derived
