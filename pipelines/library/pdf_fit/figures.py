"""The two plots of a fit: its loss, and its densities beside truth and data."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from diffpipe.pipelines.core.model import Pipeline
from diffpipe.pipelines.library.pdf_fit.plots import Axis, Panel, legend, page, text
from diffpipe.pipelines.library.pdf_fit.problem import Outputs
from diffpipe.pipelines.library.pdf_fit.report import report
from diffpipe.pipelines.physics.pdf.flavours import FLAVOURS
from diffpipe.pipelines.physics.pdf.stage import pdf_from_operator

COLOURS = ("#1f77b4", "#d9790b", "#2a8a3c")  # of the scales
BLACK, GREY, DASHES = "#222", "#e4e8ee", "5 3"
WIDTH, HEIGHT, PULLS_HEIGHT, GAP = 225.0, 170.0, 75.0, 12.0  # pixels
COLUMNS = 4
MOST_STEPS = 1000  # of the loss that are drawn


def write(made: Pipeline, outputs: Outputs, losses: np.ndarray, folder: Path) -> list[Path]:
    """Write loss.svg and pdfs.svg; their paths."""
    drawn = {"loss.svg": loss(losses, report(outputs).truth), "pdfs.svg": pdfs(made, outputs)}
    for name, svg in drawn.items():
        (folder / name).write_text(svg)
    return [folder / name for name in drawn]


def loss(losses: np.ndarray, truth: float) -> str:
    """chi^2 per point of training and validation at each step; truth: that of the truth."""
    step = np.arange(len(losses))
    best = int(np.argmin(losses[:, 1]))
    low, high = 0.8 * min(losses.min(), truth), 1.2 * losses.max()
    axes = Axis(0.0, float(len(losses)), "step"), Axis(low, high, "χ²/point", log=True)
    panel = Panel(60.0, 40.0, 560.0, 320.0, *axes)
    thin = slice(None, None, -(-len(losses) // MOST_STEPS))
    curves = [panel.line(step[thin], losses[thin, k], COLOURS[k]) for k in (1, 0)]
    marks = [
        panel.line(np.array(axes[0].ends), np.array([truth, truth]), BLACK, dashes=DASHES),
        panel.line(np.array([best, best]), np.array(axes[1].ends), COLOURS[1], dashes="2 3"),
    ]
    entries = [
        ("training", COLOURS[0], ""),
        ("validation", COLOURS[1], ""),
        (f"smallest validation, step {best}", COLOURS[1], "2 3"),
        ("the truth, all points", BLACK, DASHES),
    ]
    return page(
        650.0, 410.0, "loss", [*marks, *curves, *panel.frame(), *legend(380.0, 70.0, entries)]
    )


class _Curves(NamedTuple):
    """Of one flavour, by scale: on the nodes truth and fit; at the data points what is measured."""

    nodes: np.ndarray  # x (node,)
    truth: np.ndarray  # (q, node)
    fit: np.ndarray
    x: np.ndarray  # of the data (x,)
    measured: np.ndarray  # (q, x)
    error: np.ndarray
    pulls: np.ndarray  # (fit - truth)/error


def pdfs(made: Pipeline, outputs: Outputs) -> str:
    """x f at each scale with the data, and below it how far the fit is from the truth."""
    curves = _curves(made, outputs)
    scales = np.exp(np.asarray(outputs["operator"]["ln_q"]))
    parts: list[str] = []
    for number, (name, each) in enumerate(curves.items()):
        left, top = _corner(number)
        parts += _density(name, each, left, top) + _pulls(each, left, top + HEIGHT + GAP)
    left, top = _corner(len(curves))
    entries = [(f"fit, Q = {q:g} GeV", COLOURS[k], "") for k, q in enumerate(np.round(scales, 3))]
    parts += legend(left, top + 20.0, [*entries, ("truth", BLACK, DASHES)])
    parts.append(text(left, top + 110.0, "dots: pseudo-data; x f above,", size=12, anchor="start"))
    words = "below (fit − truth)/error, band ± 1"
    parts.append(text(left, top + 126.0, words, size=12, anchor="start"))
    _, height = _corner(COLUMNS * (1 + len(curves) // COLUMNS))
    return page(COLUMNS * (WIDTH + 50.0) + 20.0, height - 10.0, "densities", parts)


def _corner(number: int) -> tuple[float, float]:
    row, column = divmod(number, COLUMNS)
    return 45.0 + column * (WIDTH + 50.0), 20.0 + row * (HEIGHT + PULLS_HEIGHT + GAP + 60.0)


def _density(name: str, of: _Curves, left: float, top: float) -> list[str]:
    high = 1.08 * float(max(of.truth.max(), of.measured.max()))
    panel = Panel(left, top, WIDTH, HEIGHT, _x_axis(of, ""), Axis(0.0, high), f"x {name}")
    parts: list[str] = []
    for k, colour in enumerate(COLOURS[: len(of.truth)]):
        parts += panel.points(of.x, of.measured[k], colour, of.error[k])
        parts.append(panel.line(of.nodes, of.fit[k], colour))
        parts.append(panel.line(of.nodes, of.truth[k], BLACK, dashes=DASHES, width=1.1))
    return parts + panel.frame()


def _pulls(of: _Curves, left: float, top: float) -> list[str]:
    reach = max(2.4, 1.1 * float(abs(of.pulls).max()))
    panel = Panel(left, top, WIDTH, PULLS_HEIGHT, _x_axis(of, "x"), Axis(-reach, reach))
    lines = [panel.line(of.x, pulls, COLOURS[k]) for k, pulls in enumerate(of.pulls)]
    return [panel.band(-1.0, 1.0, GREY), *lines, *panel.frame()]


def _x_axis(of: _Curves, label: str) -> Axis:
    return Axis(0.8 * float(of.x[0]), 1.0, label, log=True)


def _curves(made: Pipeline, outputs: Outputs) -> Mapping[str, _Curves]:
    """By flavour."""
    options = made.stages["table"].options
    names, x = options["flavours"], np.array(options["x"])
    data = {name: np.asarray(each) for name, each in outputs["pseudo_data"].items()}
    points = {"measured": data["measured"], "error": data["error"], "pulls": report(outputs).pulls}
    shaped = {name: each.reshape(len(names), -1, len(x)) for name, each in points.items()}
    nodes = np.asarray(outputs["operator"]["x"])
    shown = nodes >= 0.8 * x[0]
    inputs = {"operator": outputs["operator"]["operator"], **outputs["density"]}
    grids = outputs["truth"]["grid"], pdf_from_operator({}, inputs)["grid"]
    truth, fit = (np.asarray(grid)[shown].T for grid in grids)  # (flavour, q, node)
    return {
        name: _Curves(
            nodes[shown],
            truth[FLAVOURS.index(name)],
            fit[FLAVOURS.index(name)],
            x,
            *(each[place] for each in shaped.values()),
        )
        for place, name in enumerate(names)
    }
