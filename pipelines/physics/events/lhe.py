"""Events of a Les Houches event file: momenta, particle numbers, weights and scales.

A file is read whole, once in a process, by pylhe; hep-ph/0609017 defines what stands in it.
"""

import warnings
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from diffpipe.pipelines.physics import checks
from diffpipe.pipelines.physics.events import sequence

STAGE = "lhe"
INCOMING, OUTGOING = -1, 1  # ISTUP


class Events(NamedTuple):
    """All events of a file, their legs in order: incoming, then outgoing."""

    momenta: np.ndarray
    pdg: np.ndarray
    numbers: np.ndarray  # (event, 3): weight, alpha_s, scale
    incoming: int

    def order(self, places: np.ndarray) -> "Events":
        """With the leg at places[event, i] of each event as its i-th."""
        momenta = np.take_along_axis(self.momenta, places[:, :, None], axis=1)
        return self._replace(momenta=momenta, pdg=np.take_along_axis(self.pdg, places, axis=1))


@dataclass
class _Gathered:
    """What has been read so far, flat."""

    momenta: "array[float]" = field(default_factory=lambda: array("d"))
    pdg: "array[int]" = field(default_factory=lambda: array("q"))
    numbers: "array[float]" = field(default_factory=lambda: array("d"))
    legs: "array[int]" = field(default_factory=lambda: array("q"))  # (event, 2)

    def add(self, event: Any) -> None:
        """Another event, as pylhe gives it."""
        sides = [
            [leg for leg in event.particles if leg.status == status]
            for status in (INCOMING, OUTGOING)
        ]
        for leg in sides[0] + sides[1]:
            self.momenta.extend((leg.e, leg.px, leg.py, leg.pz))
            self.pdg.append(leg.id)
        info = event.eventinfo
        self.numbers.extend((info.weight, info.aqcd, info.scale))
        self.legs.extend(map(len, sides))

    def events(self, path: Path) -> Events:
        """As arrays; ValueError unless all events have as many legs."""
        incoming, outgoing = _common(path, np.array(self.legs).reshape(-1, 2))
        return Events(
            np.array(self.momenta).reshape(-1, incoming + outgoing, 4),
            np.array(self.pdg).reshape(-1, incoming + outgoing),
            np.array(self.numbers).reshape(-1, 3),
            incoming,
        )


def lhe(
    start: int,
    stop: int,
    *,
    count: int,
    seed: int,  # noqa: ARG001  a source takes both
    path: Path,
    legs: int | None = None,
    process_order: Sequence[int] | None = None,
) -> dict[str, np.ndarray]:
    """Events start..stop of a Les Houches file (plain or gzip), float64 but for pdg.

    Outputs: momenta (event, leg, 4), [E, px, py, pz] in GeV, the incoming legs (status -1) before
    the outgoing (status 1) and each in the order of the file; pdg (event, leg), int64;
    event_weight (event,) in the file's unit; alphas (event,); scale (event,) in GeV.
    Options: legs, how many every event must have; process_order, the PDG numbers of the incoming
    and then the outgoing legs, into which those of every event are brought (equal ones stay in the
    order of the file).
    Raises ValueError, naming the file, where it is none or breaks off, has fewer events than
    `count`, or an event with other legs; ImportError without pylhe.
    """
    order = None if process_order is None else _pdg_numbers(process_order)
    state = path.stat()
    events = _events(path, (state.st_size, state.st_mtime_ns), order)
    _check_size(path, events, count, legs)
    sequence.check_range(STAGE, start, stop, count)
    rows = slice(start, stop)
    weight, alphas, scale = events.numbers[rows].T.copy()
    columns = {"event_weight": weight, "alphas": alphas, "scale": scale}
    return {"momenta": events.momenta[rows], "pdg": events.pdg[rows], **columns}


@lru_cache(maxsize=2)
def _events(path: Path, state: tuple[int, int], order: tuple[int, ...] | None) -> Events:  # noqa: ARG001  what is kept is of one state of the file
    events = _read(path)
    if order is not None:
        events = events.order(_places(path, events, np.array(order)))
    for each in (events.momenta, events.pdg, events.numbers):
        each.setflags(write=False)
    return events


def _read(path: Path) -> Events:
    """The events of a file, the legs in its own order."""
    pylhe, gathered = _pylhe(), _Gathered()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)  # what pylhe says of broken XML
            for event in pylhe.LHEFile.fromfile(path, with_attributes=False).events:
                gathered.add(event)
    except Exception as error:
        raise ValueError(
            f"{STAGE}: cannot read {path} after {len(gathered.legs) // 2} events: {error} (is it "
            "a whole Les Houches event file?)"
        ) from error
    return gathered.events(path)


def _pylhe() -> Any:
    try:
        import pylhe  # slow to import, and an extra
    except ImportError as error:
        raise ImportError(
            f"{STAGE}: Les Houches files are read with pylhe: pip install 'diffpipe[lhe]'"
        ) from error
    return pylhe


def _common(path: Path, legs: np.ndarray) -> tuple[int, int]:
    """The numbers of incoming and outgoing legs that all events have; legs: (event, 2)."""
    if not len(legs):
        raise ValueError(f"{STAGE}: {path} has no events")
    others = np.flatnonzero((legs != legs[0]).any(axis=1))
    if others.size:
        raise ValueError(
            f"{STAGE}: {path}: event {others[0]} has (incoming, outgoing) legs "
            f"{tuple(legs[others[0]].tolist())}, event 0 has {tuple(legs[0].tolist())}: write a "
            "file for each number of legs"
        )
    return int(legs[0, 0]), int(legs[0, 1])


def _places(path: Path, events: Events, order: np.ndarray) -> np.ndarray:
    """Where the legs of `order` stand in each event, (event, leg)."""
    if len(order) != events.pdg.shape[1]:
        raise ValueError(
            f"{STAGE}: option process_order has {len(order)} legs, and the events of {path} have "
            f"{events.pdg.shape[1]}"
        )
    places = np.empty_like(events.pdg)
    for side in (slice(0, events.incoming), slice(events.incoming, len(order))):
        wanted = np.argsort(order[side], kind="stable")
        found = np.argsort(events.pdg[:, side], axis=1, kind="stable")
        same = np.take_along_axis(events.pdg[:, side], found, axis=1) == order[side][wanted]
        _check_process(path, events, order, same.all(axis=1))
        places[:, side.start + wanted] = side.start + found
    return places


def _check_process(path: Path, events: Events, order: np.ndarray, matches: np.ndarray) -> None:
    if not matches.all():
        number = int(np.argmin(matches))
        raise ValueError(
            f"{STAGE}: {path}: event {number} has the incoming and outgoing legs "
            f"{events.pdg[number].tolist()}, which are not those of process_order "
            f"{order.tolist()}"
        )


def _check_size(path: Path, events: Events, count: int, legs: int | None) -> None:
    found, each = events.pdg.shape
    if count > found:
        raise ValueError(f"{STAGE}: {path} has {found} events, got count {count}: ask for fewer")
    if legs is not None and checks.integer(STAGE, "legs", legs, at_least=1) != each:
        raise ValueError(f"{STAGE}: the events of {path} have {each} legs, got option legs {legs}")


def _pdg_numbers(values: object) -> tuple[int, ...]:
    numbers = values if isinstance(values, list | tuple) else ()
    if not numbers or any(isinstance(n, bool) or not isinstance(n, int) for n in numbers):
        raise ValueError(
            f"{STAGE}: option process_order must be a list of PDG numbers, got {values!r}"
        )
    return tuple(numbers)
