"""`diffpipe show PIPELINE`: its stages, parameters, shapes and units."""

import textwrap
from collections.abc import Iterator
from typing import Any

from diffpipe.cli.options import Chosen, Printed, grouped
from diffpipe.cli.report import print_json


@grouped
def show(chosen: Chosen, printed: Printed) -> None:
    """Show a pipeline's parameters and stages, with shapes and units."""
    from diffpipe.cli.forecast import predict_shapes

    opened = chosen.open_pipeline()
    shapes = predict_shapes(chosen.open_store(create=False), opened)
    if printed.as_json:
        print_json(_document(opened, shapes))
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
                "framework": stage.framework,
                "derivative": stage.derivative.value,
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

    print(f"{pipeline.name}  ({pipeline.path})")
    for line in filter(None, [pipeline.description, *_stage_lines(pipeline, shapes)]):
        print(line)
    print(f"\nobjective: {pipeline.objective or 'none'}\n")
    Console().print(_parameters_table(pipeline))


def _stage_lines(pipeline: Any, shapes: dict[str, Any]) -> Iterator[str]:
    for name, stage in pipeline.stages.items():
        yield f"\n{name}: {stage.function}{_way(stage)}, {_over(stage)}"
        yield _wrapped("reads", [f"{local} = {ref}" for local, ref in stage.inputs.items()])
        yield _wrapped("moves with", list(stage.parameters.values()))
        yield _wrapped("gives", [_output(*each) for each in shapes[name].items()])


def _way(stage: Any) -> str:
    """How a stage is run and differentiated, where that is not by JAX."""
    way = "" if stage.framework == "jax" else f" in {stage.framework}"
    return way if stage.derivative == "exact" else f"{way}, derivative: {stage.derivative.value}"


def _wrapped(label: str, items: list[str]) -> str:
    """'  label: a, b, c', broken into lines that stand under each other."""
    indent = " " * 14
    text = textwrap.fill(", ".join(items), 100, initial_indent=indent, subsequent_indent=indent)
    return f"  {label + ':':12}{text[14:]}" if items else ""


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
    return f"over {sample.count} events in {sample.shards} shards of {sample.shard}"


def _output(name: str, spec: Any) -> str:
    axes = [str(each) for each in spec.shape]
    if spec.placement == "event":
        axes = ["event", *axes[1:]]
    elif spec.placement == "shard":
        axes = axes[1:]
    summed = ", summed" if spec.placement == "shard" else ""
    unit = "" if spec.unit == "1" else f" {spec.unit}"
    return f"{name} ({', '.join(axes)}){unit}{summed}"
