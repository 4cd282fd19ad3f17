"""`diffpipe graph`: the pipeline's DAG as text, DOT or SVG."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from diffpipe.cli.options import Chosen, grouped

if TYPE_CHECKING:
    from diffpipe.pipelines.core.model import Pipeline, Stage


class Format(StrEnum):
    TEXT = "text"
    DOT = "dot"
    SVG = "svg"


@dataclass(frozen=True)
class Drawing:
    form: Annotated[Format, typer.Option("--format", "-f", help="How to draw it.")] = Format.TEXT


@grouped
def graph(chosen: Chosen, drawing: Drawing) -> None:
    """Draw the stages and what flows between them."""
    opened, form = chosen.open_pipeline(), drawing.form
    if form is Format.SVG:
        from diffpipe.cli.svg import draw

        print(draw(opened))
    else:
        print(_dot(opened) if form is Format.DOT else _text(opened))


def _text(pipeline: "Pipeline") -> str:
    """A line a stage, in order, with what it reads under it."""
    lines = [pipeline.name]
    for stage in pipeline.stages.values():
        lines.append(f"{_sign(stage)} {stage.name}{_parameters(stage)}")
        for local, ref in stage.inputs.items():
            lines.append(f"    {local} <- {ref}")
    if pipeline.objective:
        lines.append(f"objective: {pipeline.objective}")
    lines.append("● once   ≡ per event   ▷ event source")
    return "\n".join(lines)


def _sign(stage: "Stage") -> str:
    if stage.source:
        return "▷"
    return "≡" if stage.over == "events" else "●"


def _parameters(stage: "Stage") -> str:
    names = list(stage.parameters.values())
    if not names:
        return ""
    more = f", ... {len(names) - 4} more" if len(names) > 4 else ""
    return f"  [{', '.join(names[:4])}{more}]"


def _dot(pipeline: "Pipeline") -> str:
    lines = [f'digraph "{pipeline.name}" {{', "  rankdir=LR;"]
    for stage in pipeline.stages.values():
        shape = "box3d" if stage.over == "events" else "box"
        lines.append(f'  "{stage.name}" [shape={shape}];')
    for stage in pipeline.stages.values():
        for _, ref in stage.output_inputs():
            lines.append(f'  "{ref.stage}" -> "{stage.name}" [label="{ref.output}"];')
    return "\n".join([*lines, "}"])
