"""Particles and multi-particle labels, under MadGraph's names."""

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class Particle:
    """One particle or antiparticle.

    spin in units of 1/2; colour 1, 3, -3 or 8; charge in units of e; mass and width are names of
    parameters, None for exactly zero; numbers: (baryon, e, mu, tau) number.
    """

    name: str
    anti: str
    pdg: int
    spin: int
    colour: int
    charge: Fraction
    mass: str | None = None
    width: str | None = None
    numbers: tuple[Fraction, int, int, int] = (Fraction(0), 0, 0, 0)

    @property
    def is_fermion(self) -> bool:
        return self.spin == 1

    @property
    def is_antiparticle(self) -> bool:
        return self.pdg < 0

    @property
    def is_chiral(self) -> bool:
        """A massless fermion, whose chirality is its helicity."""
        return self.is_fermion and self.mass is None

    @property
    def helicities(self) -> int:
        """Spin states counted as MadGraph does: two for every fermion, neutrinos included."""
        return (1, 2, 2 if self.mass is None else 3)[self.spin]

    @property
    def colours(self) -> int:
        return abs(self.colour)


def _fermions() -> list[Particle]:
    third = Fraction(1, 3)
    quarks = [
        Particle(name, f"{name}~", pdg, 1, 3, charge, mass, width, (third, 0, 0, 0))
        for name, pdg, charge, mass, width in (
            ("d", 1, -third, None, None),
            ("u", 2, 2 * third, None, None),
            ("s", 3, -third, None, None),
            ("c", 4, 2 * third, None, None),
            ("b", 5, -third, "MB", None),
            ("t", 6, 2 * third, "MT", "WT"),
        )
    ]
    leptons = []
    for generation, (name, neutrino, mass) in enumerate(
        (("e", "ve", None), ("mu", "vm", None), ("ta", "vt", "MTA"))
    ):
        family = tuple(int(i == generation) for i in range(3))
        numbers = (Fraction(0), family[0], family[1], family[2])
        pdg = 11 + 2 * generation
        leptons += [
            Particle(f"{name}-", f"{name}+", pdg, 1, 1, Fraction(-1), mass, None, numbers),
            Particle(neutrino, f"{neutrino}~", pdg + 1, 1, 1, Fraction(0), numbers=numbers),
        ]
    return quarks + leptons


_BOSONS = [
    Particle("g", "g", 21, 2, 8, Fraction(0)),
    Particle("a", "a", 22, 2, 1, Fraction(0)),
    Particle("z", "z", 23, 2, 1, Fraction(0), "MZ", "WZ"),
    Particle("w+", "w-", 24, 2, 1, Fraction(1), "MW", "WW"),
    Particle("h", "h", 25, 0, 1, Fraction(0), "MH", "WH"),
]


def _conjugate(of: Particle) -> Particle:
    colour = -of.colour if of.colour == 3 else of.colour
    baryon, e, mu, tau = of.numbers
    numbers = (-baryon, -e, -mu, -tau)
    return Particle(
        of.anti, of.name, -of.pdg, of.spin, colour, -of.charge, of.mass, of.width, numbers
    )


def _all() -> dict[str, Particle]:
    found = {each.name: each for each in [*_fermions(), *_BOSONS]}
    conjugates = [_conjugate(each) for each in found.values() if each.anti != each.name]
    return found | {each.name: each for each in conjugates}


PARTICLES = _all()

_LIGHT = ("g", "u", "c", "d", "s", "u~", "c~", "d~", "s~")
LABELS = {
    "p": _LIGHT,
    "j": _LIGHT,
    "l+": ("e+", "mu+"),
    "l-": ("e-", "mu-"),
    "vl": ("ve", "vm", "vt"),
    "vl~": ("ve~", "vm~", "vt~"),
}


def anti(name: str) -> str:
    """The name of the antiparticle."""
    return PARTICLES[name].anti
