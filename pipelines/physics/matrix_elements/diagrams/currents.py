"""Off-shell currents and the terms they are made of: the graph that the amplitude walks."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from diffpipe.pipelines.physics.matrix_elements.model.interactions import Interaction, Orders
from diffpipe.pipelines.physics.matrix_elements.model.particles import PARTICLES, Particle

NO_ORDERS = Orders()


@dataclass(frozen=True)
class Leg:
    """An external particle by the name under which it enters a vertex.

    An outgoing particle enters as its antiparticle with the opposite momentum.
    """

    number: int
    name: str
    incoming: bool

    @property
    def particle(self) -> Particle:
        return PARTICLES[self.name]


@dataclass(frozen=True)
class Key:
    """What currents are added up by.

    legs: a bit mask; orders: powers that the selection looks at; passed: which required s-channels
    it holds; strong: power of gs; colour: number of its tensor in the palette.
    """

    legs: int
    name: str
    orders: Orders = NO_ORDERS
    passed: frozenset[int] = frozenset()
    strong: int = 0
    colour: int = 0


@dataclass(frozen=True, eq=False)
class Term:
    """One vertex with its inputs, in the interaction's slots; `out` is the slot left open.

    factor: sign of the fermions' order times the colour factor. diagrams: how many it stands for.
    """

    interaction: Interaction
    slots: tuple[int, ...]
    inputs: tuple["Current", ...]
    out: int
    factor: complex
    diagrams: int


@dataclass(eq=False)
class Current:
    """The sum of terms with one key: an external leg (no terms), or what enters the next vertex.

    propagates: False for the side of a cut that carries no propagator.
    """

    key: Key
    fermions: tuple[int, ...]  # the fermions among its legs
    leg: Leg | None = None
    terms: list[Term] = field(default_factory=list)
    propagates: bool = True

    @property
    def particle(self) -> Particle:
        return PARTICLES[self.key.name]

    @property
    def diagrams(self) -> int:
        return 1 if self.leg else sum(each.diagrams for each in self.terms)

    @cached_property
    def sources(self) -> tuple["Current", ...]:
        """The distinct currents that enter the terms."""
        return tuple(dict.fromkeys(each for term in self.terms for each in term.inputs))


@dataclass(frozen=True, eq=False)
class Closing:
    """Two currents that meet: the one with leg 0 (with propagator) and all the rest (without)."""

    near: Current
    far: Current
    factor: complex
    colour: int

    @property
    def orders(self) -> Orders:
        return self.near.key.orders + self.far.key.orders

    @property
    def strong(self) -> int:
        """The power of gs."""
        return self.near.key.strong + self.far.key.strong

    @property
    def diagrams(self) -> int:
        return self.near.diagrams * self.far.diagrams


def in_order(roots: list[Current]) -> Iterator[Current]:
    """All currents that the roots need, each after its sources, the roots included."""
    done: set[Current] = set()

    def visit(current: Current) -> Iterator[Current]:
        if current not in done:
            done.add(current)
            for each in current.sources:
                yield from visit(each)
            yield current

    for root in roots:
        yield from visit(root)
