"""Concrete processes: labels replaced by particles, names and conservation laws checked."""

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import factorial, prod

from diffpipe.pipelines.physics.matrix_elements.model.particles import (
    LABELS,
    PARTICLES,
    Particle,
    anti,
)
from diffpipe.pipelines.physics.matrix_elements.process.notation import Limit, Notation
from diffpipe.pipelines.physics.refusal import RefusedError, did_you_mean

MOST_LEGS, MOST_COLOURED = 8, 6
MOST_SUBPROCESSES = 400
NUMBERS = ("baryon number", "electron number", "muon number", "tau number")
_PDG = {each.pdg: name for name, each in PARTICLES.items()}


@dataclass(frozen=True)
class Process:
    """Particles in, particles out, and for each of these its decay or None."""

    initial: tuple[str, ...]
    final: tuple[str, ...]
    required: tuple[tuple[str, ...], ...]
    forbidden: tuple[str, ...]
    not_s_channel: tuple[str, ...]
    limits: dict[str, Limit]
    decays: tuple["Process | None", ...]

    def __str__(self) -> str:
        core = f"{' '.join(self.initial)} > {' '.join(self.final)}"
        chains = [f"({each})" if any(each.decays) else str(each) for each in self.decays if each]
        return ", ".join([core, *chains])

    @property
    def legs(self) -> tuple[str, ...]:
        """The names of all external particles, incoming first, decay products in place."""
        return (*self.initial, *self.products)

    @property
    def products(self) -> tuple[str, ...]:
        return tuple(
            leg
            for name, decay in zip(self.final, self.decays, strict=True)
            for leg in (decay.products if decay else (name,))
        )

    @property
    def identical_factor(self) -> int:
        """Permutations of identical final particles (and of identical decays) that count once."""
        plain = Counter(n for n, d in zip(self.final, self.decays, strict=True) if d is None)
        chains = Counter(str(each) for each in self.decays if each)
        inner = prod(each.identical_factor for each in self.decays if each)
        return inner * prod(factorial(n) for n in [*plain.values(), *chains.values()])

    @property
    def average(self) -> int:
        """Spin and colour states of the incoming particles."""
        incoming = [PARTICLES[name] for name in self.initial]
        return prod(each.helicities * each.colours for each in incoming)


def expand(notation: Notation) -> list[Process]:
    """All concrete processes of a notation that conserve charge and fermion numbers.

    Final particles that only differ in their order count once. Raises RefusedError for unknown
    names, broken conservation laws, too many legs.
    """
    candidates = list(_candidates(notation))
    allowed = [each for each in candidates if not _broken(each)]
    if not allowed:
        raise RefusedError(f"process {notation.text!r}: {_broken(candidates[0])}")
    for each in allowed:
        _check_size(notation, each)
    return allowed


def _candidates(notation: Notation) -> Iterator[Process]:
    seen: set[tuple[object, ...]] = set()
    initial, final = (
        [_named(notation, w) for w in side] for side in (notation.initial, notation.final)
    )
    filters = {
        "required": tuple(
            tuple(n for word in entry for n in _named(notation, word))
            for entry in notation.required
        ),
        "forbidden": _flat(notation, notation.forbidden),
        "not_s_channel": _flat(notation, notation.not_s_channel),
        "limits": notation.limits,
    }
    for incoming in itertools.product(*initial):
        for outgoing in itertools.product(*final):
            for decays in _decays(notation, outgoing):
                process = Process(incoming, outgoing, **filters, decays=decays)  # type: ignore[arg-type]
                key = (incoming, tuple(sorted(zip(outgoing, map(str, decays), strict=True))))
                if key not in seen:
                    seen.add(key)
                    yield process
                if len(seen) > MOST_SUBPROCESSES:
                    raise RefusedError(
                        f"process {notation.text!r} has more than {MOST_SUBPROCESSES} subprocesses",
                        hint="name particles where labels stand",
                    )


def _decays(notation: Notation, outgoing: tuple[str, ...]) -> Iterator[tuple[Process | None, ...]]:
    """For every final particle one of the decays given for it.

    As many decays as there are particles of the name: each is taken once, in order.
    """
    given: dict[str, list[list[Process]]] = {}
    for each in notation.decays:
        for name in _named(notation, each.initial[0]):
            mine = replace(each, initial=(name,))
            given.setdefault(name, []).append(expand(mine))
    unused = given.keys() - set(outgoing)
    if unused:
        raise RefusedError(
            f"process {notation.text!r} has no final {', '.join(sorted(unused))} to decay"
        )
    yield from itertools.product(*_choices(given, outgoing))


def _choices(
    given: dict[str, list[list[Process]]], outgoing: tuple[str, ...]
) -> list[list[Process | None]]:
    counts, taken = Counter(outgoing), Counter[str]()
    choices: list[list[Process | None]] = []
    for name in outgoing:
        chains = given.get(name, [])
        if len(chains) == counts[name] > 1:
            choices.append([*chains[taken[name]]])
        else:
            choices.append([each for chain in chains for each in chain] or [None])
        taken[name] += 1
    return choices


def _flat(notation: Notation, words: tuple[str, ...]) -> tuple[str, ...]:
    names = {n for word in words for n in _named(notation, word)}
    return tuple(sorted(names | {anti(each) for each in names}))


def _named(notation: Notation, word: str) -> tuple[str, ...]:
    """The particles a word stands for."""
    name = word.lower()
    if name in LABELS:
        return LABELS[name]
    if name.lstrip("-").isdigit() and int(name) in _PDG:
        return (_PDG[int(name)],)
    if name not in PARTICLES:
        raise RefusedError(
            f"process {notation.text!r}: unknown particle {word!r}",
            hint=did_you_mean(name, [*PARTICLES, *LABELS]),
        )
    return (name,)


def _broken(process: Process) -> str | None:
    """The first conservation law that the particles break, in words."""
    first, last = _total(process.initial), _total(process.final)
    if first.charge != last.charge:
        return f"charge is not conserved, {first.charge} before and {last.charge} after"
    for name, before, after in zip(NUMBERS, first.numbers, last.numbers, strict=True):
        if before != after:
            return f"{name} is not conserved, {before} before and {after} after"
    return next((text for each in process.decays if each and (text := _broken(each))), None)


def _total(names: tuple[str, ...]) -> Particle:
    """The sum of charges and numbers, as a particle."""
    each = [PARTICLES[name] for name in names]
    numbers = tuple(sum(column) for column in zip(*(one.numbers for one in each), strict=True))
    return replace(each[0], charge=sum(one.charge for one in each), numbers=numbers)  # type: ignore[arg-type]


def _check_size(notation: Notation, process: Process) -> None:
    legs = [PARTICLES[name] for name in process.legs]
    coloured = sum(each.colour != 1 for each in legs)
    if len(process.initial) > 2 or not 3 <= len(legs) <= MOST_LEGS or coloured > MOST_COLOURED:
        raise RefusedError(
            f"process {notation.text!r} has {len(process.initial)} incoming particles and "
            f"{len(legs)} legs, {coloured} of them coloured",
            hint=f"computed are 1 or 2 incoming particles, 3 to {MOST_LEGS} legs and at most "
            f"{MOST_COLOURED} coloured: diagrams and colour grow factorially; cut the process at "
            "a resonance into production and decay",
        )
