"""`diffpipe show PIPELINE`: its stages, parameters, shapes and units."""

import json
from typing import Any

from diffpipe.cli.options import (
    EventsOption,
    JsonOption,
    PipelineArgument,
    SetOption,
    StoreOption,
    open_pipeline,
    open_store,
)


def show(
    pipeline: PipelineArgument = None,
    settings: SetOption = None,
    events: EventsOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a pipeline's parameters and stages, with shapes and units."""
    from diffpipe.cli.forecast import predict_shapes

    opened = open_pipeline(pipeline, settings, events)
    shapes = predict_shapes(open_store(store, create=False), opened)
    if as_json:
        print(json.dumps(_document(opened, shapes)))
    else:
        _print(opened, shapes)


def _document(pipeline: Any, shapes: dict[str, Any]) -> dict[str, Any]:
    return {
        "pipeline": pipeline.name,
        "description": pipeline.description,
        "objective": str(pipeline.objective) if pipeline.objective else None,
        "parameters": {
            name: {"value": each.value, "unit": each.unit, "fit": each.fit}
            for name, each in pipeline.parameters.items()
        },
        "stages": {
            name: {
                "function": str(stage.function),
                "over": stage.over.value,
                "inputs": {local: str(ref) for local, ref in stage.inputs.items()},
                "parameters": list(stage.parameters.values()),
                "outputs": {
                    output: {"shape": list(spec.shape), "dtype": spec.dtype, "unit": spec.unit}
                    for output, spec in shapes[name].items()
                },
            }
            for name, stage in pipeline.stages.items()
        },
    }


def _print(pipeline: Any, shapes: dict[str, Any]) -> None:
    from rich.console import Console

    console = Console()
    console.print(f"[bold]{pipeline.name}[/]  {pipeline.path}", highlight=False, soft_wrap=True)
    if pipeline.description:
        console.print(pipeline.description)
    console.print(_stages_table(pipeline, shapes))
    console.print(_parameters_table(pipeline))
    console.print(f"objective: {pipeline.objective or 'none'}")


def _stages_table(pipeline: Any, shapes: dict[str, Any]) -> Any:
    from rich.table import Table

    table = Table(title="stages", title_justify="left")
    for name in ("stage", "over", "inputs", "outputs", "parameters"):
        table.add_column(name)
    for name, stage in pipeline.stages.items():
        inputs = "\n".join(f"{local} = {ref}" for local, ref in stage.inputs.items())
        outputs = "\n".join(_output(*each) for each in shapes[name].items())
        table.add_row(name, _over(stage), inputs, outputs, _few(list(stage.parameters.values())))
    return table


def _parameters_table(pipeline: Any) -> Any:
    from rich.table import Table

    table = Table(title="parameters", title_justify="left")
    for name in ("parameter", "value", "unit", "fit"):
        table.add_column(name, justify="right" if name == "value" else "left")
    for name, each in pipeline.parameters.items():
        table.add_row(name, str(each.value), each.unit, "yes" if each.fit else "")
    return table


def _over(stage: Any) -> str:
    if stage.sample is None:
        return "once"
    sample = stage.sample
    return f"{sample.count} events\n{sample.shards} x {sample.shard}"


def _output(name: str, spec: Any) -> str:
    shape = ", ".join(str(each) for each in spec.shape)
    if spec.placement == "event":
        shape = ", ".join(["event", *(str(each) for each in spec.shape[1:])])
    elif spec.placement == "shard":
        shape = ", ".join(str(each) for each in spec.shape[1:])
    summed = " summed" if spec.placement == "shard" else ""
    unit = "" if spec.unit == "1" else f" {spec.unit}"
    return f"{name} ({shape}){unit}{summed}"


def _few(names: list[str]) -> str:
    return "\n".join(names[:6]) + (f"\n... {len(names) - 6} more" if len(names) > 6 else "")
