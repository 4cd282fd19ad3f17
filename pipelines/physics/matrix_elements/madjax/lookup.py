"""The class of a package for a process, and the order in which it takes the legs."""

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from diffpipe.pipelines.physics.matrix_elements.madjax import served
from diffpipe.pipelines.physics.matrix_elements.madjax.served import Served
from diffpipe.pipelines.physics.matrix_elements.process.concrete import Process, expand
from diffpipe.pipelines.physics.matrix_elements.process.notation import Limit, parse
from diffpipe.pipelines.physics.refusal import RefusedError

SHOWN = 12
_NUMBER = re.compile(r"@\s*(\d+)")
Order = tuple[int, ...]


def choose(text: str, known: Sequence[Served], package: str) -> tuple[str, Process, Order]:
    """The name of the class for a process, the process, and its legs in the order of the class.

    Legs may come in another order than in the class, as u~ u for u u~. Coupling orders have to be
    those that the package was generated with. RefusedError if it has no such process, or two.
    """
    process, number = _asked(_NUMBER.sub("", text)), _NUMBER.search(text)
    orders = [
        (each.name, _order(process, each))
        for each in known
        if number is None or each.number == int(number.group(1))
    ]
    fits = [(name, order) for name, order in orders if order is not None]
    straight = [(name, order) for name, order in fits if order == tuple(sorted(order))]
    classes = dict(straight or fits)
    if len(classes) != 1:
        raise _refusal(text, [*classes], known, package)
    ((name, order),) = classes.items()
    return name, process, order


def _refusal(text: str, names: list[str], known: Sequence[Served], package: str) -> RefusedError:
    if names:
        return RefusedError(
            f"the madjax package {package} has {len(names)} classes for {text!r}: "
            f"{', '.join(names)}",
            hint="write @N after the process, N as in Matrix_N",
        )
    return RefusedError(f"the madjax package {package} has no {text!r}", hint=_hint(known))


def _hint(known: Sequence[Served]) -> str:
    listed = "; ".join(str(each) for each in known[:SHOWN]) or "no process at all"
    more = f"; and {len(known) - SHOWN} more" if len(known) > SHOWN else ""
    return f"it has {listed}{more}; coupling orders and exclusions have to be the same, too"


def _asked(text: str) -> Process:
    found = expand(parse(text))
    if len(found) > 1:
        raise RefusedError(
            f"process {text!r} stands for {len(found)} processes",
            hint="a class computes one: name particles where labels stand",
        )
    return found[0]


def _order(asked: Process, offered: Served) -> Order | None:
    """The places of the class's legs in the process asked for; None if it is another process."""
    if offered.process is None:
        return next((order for order, word in _spelled(asked) if word == offered.text), None)
    if not _same_rules(asked, offered.process):
        return None
    initial = _places(asked.initial, offered.process.initial)
    final = _places(_outgoing(asked), _outgoing(offered.process))
    if initial is None or final is None:
        return None
    blocks = _blocks(asked)
    return (*initial, *(leg for place in final for leg in blocks[place]))


def _spelled(process: Process) -> Iterator[tuple[Order, str]]:
    """The names that a process may have, one for each order of its legs."""
    if process.forbidden or process.not_s_channel or process.limits:
        return  # not in the name
    count, rest = len(process.initial), len(process.final)
    orders = [range(rest)] if any(process.decays) else itertools.permutations(range(rest))
    for first, last in itertools.product(itertools.permutations(range(count)), orders):
        initial = tuple(process.initial[i] for i in first)
        final = tuple(process.final[i] for i in last)
        tail = range(rest, len(process.products))
        order = (*first, *(count + i for i in (*last, *tail)))
        yield order, served.shell(replace(process, initial=initial, final=final))


def _same_rules(asked: Process, offered: Process) -> bool:
    """Whether propagators and coupling orders are restricted alike.

    MadGraph writes WEIGHTED where no orders were given.
    """
    rules = [(p.required, p.forbidden, p.not_s_channel, _chosen(p)) for p in (asked, offered)]
    weighted = asked.limits.get("WEIGHTED")
    return rules[0] == rules[1] and weighted in (None, offered.limits.get("WEIGHTED"))


def _chosen(process: Process) -> dict[str, Limit]:
    return {name: limit for name, limit in process.limits.items() if name != "WEIGHTED"}


def _outgoing(process: Process) -> tuple[str, ...]:
    """Final particles, those that decay with all of their decay."""
    return tuple(
        str(decay) if decay else name
        for name, decay in zip(process.final, process.decays, strict=True)
    )


def _blocks(process: Process) -> list[range]:
    """The legs that come from each final particle."""
    sizes = [len(decay.products) if decay else 1 for decay in process.decays]
    starts = itertools.accumulate(sizes, initial=len(process.initial))
    return [range(start, start + size) for start, size in zip(starts, sizes, strict=False)]


def _places(asked: Sequence[str], offered: Sequence[str]) -> Order | None:
    """For each of the offered its place among the asked; None if these are others."""
    left = list(enumerate(asked))
    places = []
    for name in offered:
        match = next((each for each in left if each[1] == name), None)
        if match is None:
            return None
        left.remove(match)
        places.append(match[0])
    return tuple(places) if not left else None
