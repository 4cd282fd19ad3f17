"""The DAG as SVG: columns by depth, event stages shaded, an arrow for each pair of stages."""

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from diffpipe.pipelines.core.model import Pipeline

_BOX = (168, 44)
_GAP = (84, 28)
_MARGIN = 20
_DIP = 70
_FILL = {"events": "#dbe9f6", "once": "#fdf3d8"}
_STYLE = "font-family='sans-serif' font-size='13' text-anchor='middle'"


def draw(pipeline: "Pipeline") -> str:
    """An SVG document."""
    places = _places(pipeline)
    width = max(x for x, _ in places.values()) + _BOX[0] + _MARGIN
    height = max(y for _, y in places.values()) + _BOX[1] + _MARGIN + _DIP // 2
    head = f"<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{height}'>"
    title = f"<title>{escape(pipeline.name)}</title>"
    return "\n".join(
        [head, title, _ARROW, *_edges(pipeline, places), *_boxes(pipeline, places), "</svg>"]
    )


_ARROW = (
    "<defs><marker id='tip' viewBox='0 0 8 8' refX='8' refY='4' markerWidth='7' markerHeight='7' "
    "orient='auto'><path d='M0,0 L8,4 L0,8 z' fill='#555'/></marker></defs>"
)


def _places(pipeline: "Pipeline") -> dict[str, tuple[int, int]]:
    """The upper left corner of each stage's box: its depth, and its turn at that depth."""
    depth: dict[str, int] = {}
    for stage in pipeline.stages.values():
        depth[stage.name] = 1 + max(
            (depth[ref.stage] for _, ref in stage.output_inputs()), default=-1
        )
    taken = dict.fromkeys(depth.values(), 0)
    places = {}
    for name, column in depth.items():
        row = taken[column]
        taken[column] += 1
        places[name] = (
            _MARGIN + column * (_BOX[0] + _GAP[0]),
            _MARGIN + row * (_BOX[1] + _GAP[1]) + (column % 2) * 18,
        )
    return places


def _boxes(pipeline: "Pipeline", places: dict[str, tuple[int, int]]) -> list[str]:
    boxes = []
    for stage in pipeline.stages.values():
        x, y = places[stage.name]
        fill = _FILL[stage.over.value]
        boxes.append(
            f"<rect x='{x}' y='{y}' width='{_BOX[0]}' height='{_BOX[1]}' rx='6' fill='{fill}' "
            f"stroke='#555'/><text x='{x + _BOX[0] // 2}' y='{y + 27}' {_STYLE}>"
            f"{escape(stage.name)}</text>"
        )
    return boxes


def _edges(pipeline: "Pipeline", places: dict[str, tuple[int, int]]) -> list[str]:
    edges = []
    pairs = {
        (ref.stage, stage.name): None
        for stage in pipeline.stages.values()
        for _, ref in stage.output_inputs()
    }
    for start, end in pairs:
        x1, y1 = places[start][0] + _BOX[0], places[start][1] + _BOX[1] // 2
        x2, y2 = places[end][0], places[end][1] + _BOX[1] // 2
        bend = max(30, (x2 - x1) // 3)
        dip = _DIP if x2 - x1 > _BOX[0] else 0  # passes below the boxes between
        curve = f"M{x1},{y1} C{x1 + bend},{y1 + dip} {x2 - bend},{y2 + dip} {x2},{y2}"
        edges.append(f"<path d='{curve}' fill='none' stroke='#777' marker-end='url(#tip)'/>")
    return edges
