"""What an LHAPDF set says of itself, and how its .info file says it (arXiv:1412.7420)."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from diffpipe.pipelines.physics.pdf.lhapdf.metadata import FORMAT

ERROR_TYPES = ("none", "hessian", "symmhessian", "replicas")
ONE_SIGMA = 68.268949  # per cent
QUARK_NAMES = ("Down", "Up", "Strange", "Charm", "Bottom", "Top")  # PDG numbers 1 to 6


@dataclass(frozen=True)
class Settings:
    """The metadata of a set; scales and masses in GeV.

    pids: PDG numbers of the flavours, in the order of the columns. order: 0 for LO, 1 for NLO, ...
    quark_masses, thresholds: by PDG number, 1 to 6; a mass that is not given is 0, a threshold the
    mass. error_type: none (one member), hessian (a pair of members per eigenvector after the
    central one), symmhessian (one per eigenvector) or replicas (after their average).
    confidence_level: of the errors of a Hessian set, in per cent. alphas_q, alphas: alpha_s at
    scales that cover those of the grids, a threshold standing twice. set_index: the number that
    LHAPDF gives published sets. extra: further entries.
    """

    description: str
    pids: Sequence[int]
    order: int
    m_z: float
    alphas_m_z: float
    alphas_q: Sequence[float]
    alphas: Sequence[float]
    quark_masses: Mapping[int, float] = field(default_factory=dict)
    thresholds: Mapping[int, float] = field(default_factory=dict)
    flavour_scheme: str = "variable"
    num_flavours: int = 5
    error_type: str = "none"
    confidence_level: float = ONE_SIGMA
    authors: str = ""
    reference: str = ""
    set_index: int = 0
    data_version: int = 1
    particle: int = 2212
    extra: Mapping[str, str | int | float] = field(default_factory=dict)


def info_text(of: Settings, members: int, x: Sequence[float], q: Sequence[float]) -> str:
    """The text of the .info file, for knots x and q (GeV) of the grids, rising."""
    masses = {name: of.quark_masses.get(pid, 0.0) for pid, name in enumerate(QUARK_NAMES, 1)}
    thresholds = {
        name: of.thresholds.get(pid, masses[name]) for pid, name in enumerate(QUARK_NAMES, 1)
    }
    hessian = {"ErrorConfLevel": of.confidence_level} if "hessian" in of.error_type else {}
    entries = {
        "SetDesc": of.description,
        "SetIndex": of.set_index,
        "Authors": of.authors,
        "Reference": of.reference,
        "Format": FORMAT,
        "DataVersion": of.data_version,
        "NumMembers": members,
        "Particle": of.particle,
        "Flavors": [int(pid) for pid in of.pids],
        "OrderQCD": of.order,
        "FlavorScheme": of.flavour_scheme,
        "NumFlavors": of.num_flavours,
        "ErrorType": of.error_type,
        **hessian,
        "XMin": x[0],
        "XMax": x[-1],
        "QMin": q[0],
        "QMax": q[-1],
        "MZ": of.m_z,
        **{f"M{name}": mass for name, mass in masses.items()},
        **{f"Threshold{name}": scale for name, scale in thresholds.items()},
        "AlphaS_MZ": of.alphas_m_z,
        "AlphaS_OrderQCD": of.order,
        "AlphaS_Type": "ipol",
        "AlphaS_Qs": of.alphas_q,
        "AlphaS_Vals": of.alphas,
        **of.extra,
    }
    return "".join(f"{name}: {_yaml(value)}\n" for name, value in entries.items())


def number(value: float) -> str:
    """A double with the 17 digits that give it back."""
    return f"{value:.16e}"


def _yaml(value: str | int | float | Iterable[int] | Iterable[float]) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Iterable):
        return f"[{', '.join(map(_yaml, value))}]"
    return number(value)
