"""Events from a scrambled Sobol' sequence, optionally in antithetic pairs.

The unit cube's axes are the columns, in the order of the options. An axis is cut into panels with a
fixed share each and a fixed map inside, so the density of events is a known product. Antithetic
partners (+c, -c) make sums of odd functions of c exact to rounding.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from diffpipe.pipelines.physics import checks
from diffpipe.pipelines.physics.events import sequence

STAGE = "sobol"
UNIFORM, BREIT_WIGNER = "uniform", "breit_wigner"
SHARES_TOLERANCE = 1e-12


class Axis(NamedTuple):
    """One column: panel edges, cumulative shares (0 ... 1), and the map's variable."""

    edges: np.ndarray
    cumulative: np.ndarray
    mass: float | None  # of the Breit-Wigner map; None for uniform panels
    width: float | None
    antithetic: bool


def sobol(
    start: int, stop: int, *, count: int, seed: int, columns: Mapping[str, Mapping[str, object]]
) -> dict[str, np.ndarray]:
    """Events start..stop of a sample of `count`, float64, one array (stop - start,) per column.

    Further output: density, the expected number of sampled events per unit volume of the columns,
    so that the sum over the sample of f/density estimates the integral of f.
    Options: columns, a mapping of name to {panels: edges, shares: one per panel (equal if not
    given), map: uniform | breit_wigner, mass, width (GeV)} or {range: [low, high], antithetic}. The
    panels' edges are in the column's unit; breit_wigner is uniform in
    arctan((m^2 - mass^2)/(mass width)). antithetic (one column at most, one panel, range [-h, h])
    puts c and -c in rows 2k and 2k+1, all other columns equal.
    The bits of an event depend on its number, `count`, `seed` and the options alone.
    Raises ValueError for a wrong option, and for an odd count or range with antithetic.
    """
    axes = {name: parse_axis(name, options) for name, options in _columns(columns).items()}
    pairs = _pairs(axes, start, stop, count)
    step = 2 if pairs else 1
    unit = sequence.scrambled(len(axes), seed, start // step, stop // step)
    density = np.full(stop - start, float(count))
    events = {}
    for axis_number, (name, axis) in enumerate(axes.items()):
        value, axis_density = _place(axis, unit[:, axis_number])
        events[name] = np.repeat(value, step)
        density *= np.repeat(axis_density, step)
        if axis.antithetic:
            events[name][1::2] *= -1.0
    return {**events, "density": density}


def _columns(columns: object) -> Mapping[str, Mapping[str, object]]:
    if not isinstance(columns, Mapping) or not columns or "density" in columns:
        raise ValueError(
            f"{STAGE}: option columns must map names (other than density) to their panels or "
            f"range, got {columns!r}"
        )
    return columns


def parse_axis(name: str, options: Mapping[str, object]) -> Axis:
    """The axis described by one entry of `columns`."""
    what = f"columns.{name}"
    if isinstance(options, dict) and "range" in options:
        checks.known_keys(STAGE, what, options, {"range"}, {"antithetic"})
        edges = checks.rising(STAGE, f"{what}.range", options["range"], at_least=2)
        return _range_axis(what, edges, options.get("antithetic", False))
    checks.known_keys(STAGE, what, options, {"panels"}, {"shares", "map", "mass", "width"})
    edges = checks.rising(STAGE, f"{what}.panels", options["panels"], at_least=2)
    cumulative = _cumulative(what, options.get("shares"), len(edges) - 1)
    kind = checks.one_of(STAGE, f"{what}.map", options.get("map", UNIFORM), {UNIFORM, BREIT_WIGNER})
    if kind == UNIFORM:
        return Axis(np.array(edges), cumulative, None, None, False)
    mass = checks.positive_number(STAGE, f"{what}.mass", options.get("mass"))
    width = checks.positive_number(STAGE, f"{what}.width", options.get("width"))
    return Axis(np.array(edges), cumulative, mass, width, False)


def _range_axis(what: str, edges: list[float], antithetic: object) -> Axis:
    if not isinstance(antithetic, bool):
        raise ValueError(f"{STAGE}: {what}.antithetic must be true or false, got {antithetic!r}")
    if len(edges) != 2 or (antithetic and edges[0] != -edges[1]):
        raise ValueError(
            f"{STAGE}: {what}.range must be [low, high], and [-h, h] if antithetic, got {edges}"
        )
    half = [0.0, edges[1]] if antithetic else edges
    return Axis(np.array(half), np.array([0.0, 1.0]), None, None, antithetic)


def _cumulative(what: str, shares: object, panels: int) -> np.ndarray:
    if shares is None:
        return np.arange(panels + 1) / panels
    if not isinstance(shares, list) or len(shares) != panels:
        raise ValueError(f"{STAGE}: {what}.shares must list {panels} numbers, got {shares!r}")
    values = [checks.positive_number(STAGE, f"{what}.shares", share) for share in shares]
    if abs(math.fsum(values) - 1.0) > SHARES_TOLERANCE:
        raise ValueError(f"{STAGE}: {what}.shares must add up to 1, got {math.fsum(values)!r}")
    return np.concatenate([[0.0], np.cumsum(values)[:-1], [1.0]])


def _pairs(axes: Mapping[str, Axis], start: int, stop: int, count: int) -> bool:
    antithetic = [name for name, axis in axes.items() if axis.antithetic]
    if len(antithetic) > 1:
        raise ValueError(f"{STAGE}: one column can be antithetic, got {antithetic}")
    if antithetic and (count % 2 or start % 2 or stop % 2):
        raise ValueError(
            f"{STAGE}: events come in pairs, so count and shard must be even: got events "
            f"{start} to {stop} of {count}"
        )
    sequence.check_range(STAGE, start, stop, count)
    return bool(antithetic)


def _place(axis: Axis, unit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values of the column and their probability density (over the whole range if antithetic)."""
    panel = np.searchsorted(axis.cumulative, unit, side="right") - 1
    low, share = axis.cumulative[panel], np.diff(axis.cumulative)[panel]
    mapped = _forward(axis, axis.edges)
    width = np.diff(mapped)[panel]
    value = _backward(axis, mapped[panel] + width * ((unit - low) / share))
    value = np.clip(value, axis.edges[panel], axis.edges[panel + 1])
    density = share / width * _slope(axis, value)
    return value, 0.5 * density if axis.antithetic else density


def _forward(axis: Axis, value: np.ndarray) -> np.ndarray:
    if axis.mass is None or axis.width is None:
        return value
    return np.arctan((value**2 - axis.mass**2) / (axis.mass * axis.width))


def _backward(axis: Axis, mapped: np.ndarray) -> np.ndarray:
    if axis.mass is None or axis.width is None:
        return mapped
    return np.sqrt(axis.mass**2 + axis.mass * axis.width * np.tan(mapped))


def _slope(axis: Axis, value: np.ndarray) -> np.ndarray:
    if axis.mass is None or axis.width is None:
        return np.ones_like(value)
    scale = axis.mass * axis.width
    return 2.0 * value * scale / ((value**2 - axis.mass**2) ** 2 + scale**2)
