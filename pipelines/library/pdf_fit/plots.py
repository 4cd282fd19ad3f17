"""Plots as SVG: panels with linear or logarithmic axes, lines, points, bands and a legend."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

_FONT = "font-family='sans-serif' font-size='{size}' text-anchor='{anchor}'"
_TICK = 5  # length, pixels
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Axis:
    """A range of values, linear or logarithmic."""

    low: float
    high: float
    label: str = ""
    log: bool = False

    @property
    def ends(self) -> tuple[float, float]:
        return self.low, self.high

    def way(self, values: Sequence[float] | np.ndarray) -> np.ndarray:
        """How far along the axis, 0 at low and 1 at high; values beyond are at an end."""
        inside = np.clip(np.asarray(values, float), self.low, self.high)
        if self.log:
            return np.log(inside / self.low) / np.log(self.high / self.low)
        return (inside - self.low) / (self.high - self.low)

    def ticks(self) -> dict[float, str]:
        """Values and how they are written: powers of ten, or three to nine round numbers."""
        if self.log:
            first, last = np.ceil(np.log10(self.low)), np.floor(np.log10(self.high))
            return {10.0**n: _power(int(n)) for n in np.arange(first, last + 1.0)}
        widest = (self.high - self.low) / 3.0
        step = 10.0 ** np.floor(np.log10(widest))
        step *= next(m for m in (5.0, 2.0, 1.0) if m * step <= widest or m == 1.0)
        first, last = np.ceil(self.low / step - 1e-9), np.floor(self.high / step + 1e-9)
        return {float(n * step): f"{n * step + 0.0:g}" for n in np.arange(first, last + 1.0)}


@dataclass(frozen=True)
class Panel:
    """One plot: its place on the page in pixels, and its axes."""

    left: float
    top: float
    width: float
    height: float
    x: Axis
    y: Axis
    title: str = ""

    def at(self, x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray) -> np.ndarray:
        """Pixels (point, 2)."""
        return np.stack(
            [
                self.left + self.width * self.x.way(x),
                self.top + self.height * (1.0 - self.y.way(y)),
            ],
            axis=1,
        )

    def frame(self) -> list[str]:
        """The box with ticks, labels and title."""
        made = [
            f"<rect x='{self.left}' y='{self.top}' width='{self.width}' height='{self.height}' "
            "fill='none' stroke='#333'/>"
        ]
        bottom, middle = self.top + self.height, self.left + 0.5 * self.width
        for value, name in self.x.ticks().items():
            ((x, _),) = self.at([value], [self.y.low])
            made.append(_segment((x, bottom), (x, bottom - _TICK)))
            made += [text(x, bottom + 14, name)] if self.x.label else []
        for value, name in self.y.ticks().items():
            ((_, y),) = self.at([self.x.low], [value])
            made.append(_segment((self.left, y), (self.left + _TICK, y)))
            made.append(text(self.left - 5, y + 4, name, anchor="end"))
        made.append(text(middle, bottom + 30, self.x.label, size=12))
        right = self.left + self.width
        made.append(text(right - 10, self.top + 22, self.title, size=15, anchor="end"))
        return [*made, text(self.left, self.top - 7, self.y.label, size=12, anchor="start")]

    def line(
        self, x: np.ndarray, y: np.ndarray, colour: str, *, dashes: str = "", width: float = 1.6
    ) -> str:
        """A line through points; parts outside the panel run along its edge."""
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in self.at(x, y))
        return (
            f"<polyline points='{path}' fill='none' stroke='{colour}' stroke-width='{width}' "
            f"stroke-dasharray='{dashes}'/>"
        )

    def points(
        self, x: np.ndarray, y: np.ndarray, colour: str, error: np.ndarray | None = None
    ) -> list[str]:
        """Dots, with bars of +- error."""
        made = [
            f"<circle cx='{a:.1f}' cy='{b:.1f}' r='1.8' fill='{colour}'/>" for a, b in self.at(x, y)
        ]
        if error is not None:
            ends = zip(self.at(x, y - error), self.at(x, y + error), strict=True)
            made += [_segment(low, high, colour) for low, high in ends]
        return made

    def band(self, low: float, high: float, colour: str) -> str:
        """A horizontal band between two values."""
        (_, bottom), (_, top) = self.at([self.x.low, self.x.low], [low, high])
        return (
            f"<rect x='{self.left}' y='{top:.1f}' width='{self.width}' "
            f"height='{bottom - top:.1f}' fill='{colour}'/>"
        )


def text(x: float, y: float, words: str, *, size: int = 11, anchor: str = "middle") -> str:
    """Words at a place in pixels."""
    font = _FONT.format(size=size, anchor=anchor)
    return f"<text x='{x:.1f}' y='{y:.1f}' {font}>{escape(words)}</text>"


def legend(left: float, top: float, entries: Sequence[tuple[str, str, str]]) -> list[str]:
    """Entries (words, colour, dashes), one below the other."""
    made = []
    for number, (words, colour, dashes) in enumerate(entries):
        y = top + 18 * number
        made.append(
            f"<path d='M{left},{y} h26' stroke='{colour}' stroke-width='2' "
            f"stroke-dasharray='{dashes}'/>"
        )
        made.append(text(left + 34, y + 4, words, size=12, anchor="start"))
    return made


def page(width: float, height: float, title: str, parts: Sequence[str]) -> str:
    """An SVG document."""
    head = f"<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{height}'>"
    white = "<rect width='100%' height='100%' fill='white'/>"
    return "\n".join([head, f"<title>{escape(title)}</title>", white, *parts, "</svg>"])


def _segment(start: Sequence[float], end: Sequence[float], colour: str = "#333") -> str:
    (a, b), (c, d) = start, end
    return f"<path d='M{a:.1f},{b:.1f} L{c:.1f},{d:.1f}' stroke='{colour}'/>"


def _power(exponent: int) -> str:
    return {0: "1", 1: "10"}.get(exponent, f"10{str(exponent).translate(_SUPERSCRIPT)}")
