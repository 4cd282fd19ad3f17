"""The vertices of the model, each once, all particles entering.

A vertex is the coefficient Gamma of a term of the Lagrangian, with the power of the strong coupling
given by its QCD order left out. The unitary gauge needs no Goldstone bosons; the CKM matrix is one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from diffpipe.pipelines.physics.matrix_elements.model.couplings import YUKAWAS
from diffpipe.pipelines.physics.matrix_elements.model.particles import PARTICLES, anti


class Orders(NamedTuple):
    """Powers of the couplings; HIG counts effective gluon-Higgs vertices."""

    qcd: int = 0
    qed: int = 0
    hig: int = 0

    def __add__(self, other: "Orders") -> "Orders":  # type: ignore[override]
        return Orders(*(a + b for a, b in zip(self, other, strict=True)))

    @property
    def weighted(self) -> int:
        """MadGraph's WEIGHTED: electroweak couplings count twice."""
        return self.qcd + 2 * self.qed + 2 * self.hig

    @property
    def strong(self) -> int:
        """Powers of gs; the effective vertex has two."""
        return self.qcd + 2 * self.hig


@dataclass(frozen=True)
class Interaction:
    """One vertex: its Lorentz structure, the particles that enter, couplings, colour, orders.

    couplings: one name, or (left, right) for fermions and vectors; None is zero, "" is one.
    """

    structure: str
    particles: tuple[str, ...]
    couplings: tuple[str | None, ...]
    colour: str
    orders: Orders


KINDS = {"up": ("u", "c", "t"), "down": ("d", "s", "b")}
LEPTONS = {"lepton": ("e-", "mu-", "ta-"), "neutrino": ("ve", "vm", "vt")}
DOUBLETS = (("u", "d"), ("c", "s"), ("t", "b"), ("ve", "e-"), ("vm", "mu-"), ("vt", "ta-"))
QCD, QED = Orders(qcd=1), Orders(qed=1)


@cache
def interactions() -> tuple[Interaction, ...]:
    """Every vertex of the model."""
    return (*_fermions(), *_gluons(), *_electroweak(), *_higgs(), *_effective())


def _fermions() -> Iterator[Interaction]:
    for kind, names in (KINDS | LEPTONS).items():
        for name in names:
            pair = (anti(name), name)
            colour = "delta" if kind in KINDS else "one"
            if kind in KINDS:
                yield Interaction("ffv", (*pair, "g"), ("", ""), "T", QCD)
            if kind != "neutrino":
                yield Interaction("ffv", (*pair, "a"), (f"a_{kind}",) * 2, colour, QED)
            right = None if kind == "neutrino" else f"z_right_{kind}"
            yield Interaction("ffv", (*pair, "z"), (f"z_left_{kind}", right), colour, QED)
    for up, down in DOUBLETS:
        colour = "delta" if PARTICLES[up].colour == 3 else "one"
        yield Interaction("ffv", (anti(up), down, "w+"), ("w", None), colour, QED)
        yield Interaction("ffv", (anti(down), up, "w-"), ("w", None), colour, QED)


def _gluons() -> Iterator[Interaction]:
    yield Interaction("vvv", ("g", "g", "g"), ("-1",), "F", QCD)
    yield Interaction("gggg", ("g", "g", "g", "g"), ("",), "FF", Orders(qcd=2))


def _electroweak() -> Iterator[Interaction]:
    yield Interaction("vvv", ("w+", "w-", "a"), ("wwa",), "one", QED)
    yield Interaction("vvv", ("w+", "w-", "z"), ("wwz",), "one", QED)
    for name, particles in (
        ("wwww", ("w+", "w+", "w-", "w-")),
        ("wwaa", ("w+", "w-", "a", "a")),
        ("wwaz", ("w+", "w-", "a", "z")),
        ("wwzz", ("w+", "w-", "z", "z")),
    ):
        yield Interaction("vvvv", particles, (name,), "one", Orders(qed=2))


def _higgs() -> Iterator[Interaction]:
    for name in YUKAWAS:
        colour = "delta" if PARTICLES[name].colour == 3 else "one"
        yield Interaction("ffs", (anti(name), name, "h"), (f"h_{name}",), colour, QED)
    yield Interaction("vvs", ("w+", "w-", "h"), ("wwh",), "one", QED)
    yield Interaction("vvs", ("z", "z", "h"), ("zzh",), "one", QED)
    yield Interaction("sss", ("h", "h", "h"), ("hhh",), "one", QED)
    yield Interaction("vvss", ("w+", "w-", "h", "h"), ("wwhh",), "one", Orders(qed=2))
    yield Interaction("vvss", ("z", "z", "h", "h"), ("zzhh",), "one", Orders(qed=2))
    yield Interaction("ssss", ("h", "h", "h", "h"), ("hhhh",), "one", Orders(qed=2))


def _effective() -> Iterator[Interaction]:
    """h G G with two, three and four gluons."""
    hig = Orders(hig=1)
    yield Interaction("ggh", ("g", "g", "h"), ("ggh",), "delta", hig)
    yield Interaction("vvvs", ("g", "g", "g", "h"), ("gggh",), "F", hig + QCD)
    four = hig + Orders(qcd=2)
    yield Interaction("ggggh", ("g", "g", "g", "g", "h"), ("ggggh",), "FF", four)
