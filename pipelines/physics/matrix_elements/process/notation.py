"""MadGraph's process notation, parsed: `p p > t t~ QCD=2, (t > w+ b, w+ > e+ ve), t~ > w- b~`.

Words are left as they stand (particles or labels); what they mean is `concrete`'s.
"""

import re
from dataclasses import dataclass, field

from diffpipe.pipelines.physics.refusal import RefusedError

ORDERS = ("QCD", "QED", "HIG", "WEIGHTED")
_ORDER = re.compile(r"\b([A-Za-z]+)\s*(==|<=|=)\s*(\d+)")
_COMPARISON = re.compile(r"[<>=^]=|=")


@dataclass(frozen=True)
class Limit:
    """A bound on one coupling order: at most `value`, or exactly."""

    value: int
    exact: bool = False

    def admits(self, order: int) -> bool:
        return order == self.value if self.exact else order <= self.value


@dataclass(frozen=True)
class Notation:
    """One process and the decays of its final particles.

    required: each must appear as an s-channel propagator (alternatives within one entry);
    forbidden: nowhere; not_s_channel: not as an s-channel propagator.
    """

    text: str
    initial: tuple[str, ...]
    final: tuple[str, ...]
    required: tuple[tuple[str, ...], ...] = ()
    forbidden: tuple[str, ...] = ()
    not_s_channel: tuple[str, ...] = ()
    limits: dict[str, Limit] = field(default_factory=dict)
    decays: tuple["Notation", ...] = ()


def parse(text: str) -> Notation:
    """The process a string describes; raises RefusedError naming the part that is wrong."""
    if not isinstance(text, str) or not text.strip():
        raise RefusedError(f"a process is text such as 'u u~ > e+ e-', got {text!r}")
    core, *decays = _split(text)
    return _chain(core, decays)


def _chain(core: str, decays: list[str]) -> Notation:
    head = _single(core)
    return Notation(**{**vars(head), "decays": tuple(_decay(each) for each in decays)})


def _decay(text: str) -> Notation:
    inner = text.strip()
    if inner.startswith("(") and inner.endswith(")"):
        inner = inner[1:-1]
    core, *decays = _split(inner)
    found = _chain(core, decays)
    if len(found.initial) != 1:
        raise RefusedError(f"{text.strip()!r} is no decay: one particle stands before the '>'")
    return found


def _split(text: str) -> list[str]:
    """The parts between commas outside parentheses."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if depth < 0:
            break
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    if depth:
        raise RefusedError(f"process {text!r}: parentheses do not match")
    return parts


def _single(text: str) -> Notation:
    if "[" in text:
        raise RefusedError(
            f"process {text.strip()!r}: loop corrections, [...], are not computed",
            hint="tree level only; leave the brackets out",
        )
    body, limits = _take_orders(text)
    body = re.sub(r"@\s*\d+", " ", body)
    body, not_s_channel = _take(body, r"\$\$")
    if "$" in body:
        raise RefusedError(
            f"process {text.strip()!r}: $ is a cut on momenta, which events carry here",
            hint="write $$ to leave s-channel propagators out, or cut on the invariant mass",
        )
    body, forbidden = _take(body, "/")
    sides = [side.split() for side in body.split(">")]
    if len(sides) not in (2, 3) or not sides[0] or not sides[-1]:
        raise RefusedError(
            f"process {text.strip()!r} is not of the form 'u u~ > e+ e-'",
            hint="particles are separated by spaces; > z > requires an s-channel z",
        )
    required = tuple(tuple(word.split("|")) for word in sides[1]) if len(sides) == 3 else ()
    return Notation(
        text.strip(), tuple(sides[0]), tuple(sides[-1]), required, forbidden, not_s_channel, limits
    )


def _take_orders(text: str) -> tuple[str, dict[str, Limit]]:
    limits = {}
    for name, sign, value in _ORDER.findall(text):
        if name.upper() not in ORDERS:
            raise RefusedError(
                f"process {text.strip()!r}: unknown coupling order {name}",
                hint=f"the orders are {', '.join(ORDERS)}",
            )
        limits[name.upper()] = Limit(int(value), sign == "==")
    rest = _ORDER.sub(" ", text)
    if _COMPARISON.search(rest):
        raise RefusedError(
            f"process {text.strip()!r}: a coupling order that cannot be read",
            hint="write QCD=2, QED<=2 or QED==2; orders of the squared amplitude are not selected",
        )
    return rest, limits


def _take(text: str, sign: str) -> tuple[str, tuple[str, ...]]:
    """Cut the words after `sign`, up to the next sign."""
    match = re.search(rf"{sign}([^/$>]*)", text)
    if match is None:
        return text, ()
    return text[: match.start()] + " " + text[match.end() :], tuple(match.group(1).split())
