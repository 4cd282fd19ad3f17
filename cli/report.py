"""What a finished run says: a table for people, one JSON document for programs."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffpipe.cli import matrix

if TYPE_CHECKING:
    from diffpipe.pipelines.core.model import Pipeline
    from diffpipe.rules.drive import Finished

_SWEEPS = {"forward": "primal", "backward": "pullback"}
_OTHERS = {"tangents": "tangent", "bends": "bend", "curvature": "curvature"}  # where there are some


def print_json(found: dict[str, Any]) -> None:
    """One document on standard output; complex numbers as pairs."""
    import json

    print(json.dumps(found, default=lambda number: [number.real, number.imag]))


def document(finished: "Finished", pipeline: "Pipeline") -> dict[str, Any]:
    """The JSON document of a run; numbers at full precision."""
    plan, results = finished.plan, finished.results
    found: dict[str, Any] = {"pipeline": pipeline.name, "direction": plan.direction}
    if plan.objective_name is not None:
        found["objective"] = {"name": plan.objective_name, "value": results.objective}
    if plan.goal.direction:
        found["along"] = plan.goal.direction
    if plan.direction in ("backward", "hvp"):
        found["gradient"] = {n: matrix.plain(each) for n, each in results.gradient.items()}
        if results.errors:
            found["gradient_errors"] = dict(results.errors)
    return (
        found
        | matrix.document(results)
        | {
            "outputs": dict(results.outputs),
            "stages": {name: _counts(finished, name) for name in pipeline.stages},
            "seconds": round(finished.seconds, 3),
            "store": plan.store,
        }
    )


def show(finished: "Finished", pipeline: "Pipeline", *, verbose: bool = False) -> None:
    """Print the objective, the gradient, and what was computed or reused."""
    from rich.console import Console

    console = Console()
    plan, results = finished.plan, finished.results
    if plan.direction == "backward" and results.gradient:
        _show_gradient(console, finished, pipeline)
    for each in matrix.tables(finished, pipeline):
        console.print(each, soft_wrap=isinstance(each, str), markup=False, highlight=False)
    if verbose or plan.direction == "forward":
        console.print(_outputs_table(finished, pipeline))
    if plan.objective_name is not None and results.objective is not None:
        unit = _unit(pipeline, plan.objective_name)
        console.print(f"{plan.objective_name} = [bold]{results.objective:.10g}[/]{unit}")
    for name, error in results.errors.items():
        text = f"gradient of {name}: finite differences, good to about {_largest(error):.1e}"
        console.print(text, style="dim", highlight=False, soft_wrap=True)
    console.print(_summary(finished, pipeline), style="dim", highlight=False, soft_wrap=True)


def _largest(error: Any) -> float:
    return max(map(_largest, error)) if isinstance(error, list) else float(error)


def _summary(finished: "Finished", pipeline: "Pipeline") -> str:
    counts = [each for name in pipeline.stages for each in _counts(finished, name).values()]
    executed = sum(each["executed"] for each in counts)
    reused = sum(each["reused"] for each in counts)
    done = f"{executed} shards computed, {reused} reused" if executed else "nothing to compute"
    return f"{done}; {finished.seconds:.1f} s; store {short(finished.plan.store)}"


def short(folder: str) -> str:
    """A folder as seen from here, if it lies below."""
    path, here = Path(folder), Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _counts(finished: "Finished", stage: str) -> dict[str, dict[str, int]]:
    """Executed and reused shards of a stage, by sweep."""
    counts = {}
    for sweep, kind in (_SWEEPS | _OTHERS).items():
        steps = [step for step in finished.plan.steps if (step.stage, step.kind) == (stage, kind)]
        if not steps and sweep in _OTHERS:
            continue
        executed = finished.executed[stage, kind]
        present = sum(finished.present[step.id] for step in steps)
        counts[sweep] = {"executed": executed, "reused": max(0, present - executed)}
    return counts


def _show_gradient(console: Any, finished: "Finished", pipeline: "Pipeline") -> None:
    """The gradient in parameters as a table; of arrays, a line that says where it is."""
    gradient = finished.results.gradient
    named = {name: each for name, each in gradient.items() if name in pipeline.parameters}
    if named:
        console.print(_gradient_table(finished, pipeline, named))
    for name, each in gradient.items():
        if name not in named:
            stored = hasattr(each, "arrays")
            text = matrix.line((name, each)) if stored else f"{name} = {matrix.brief(each)}"
            console.print(text, soft_wrap=True, markup=False, highlight=False)


def _gradient_table(finished: "Finished", pipeline: "Pipeline", gradient: Any) -> Any:
    from rich.table import Table

    of = finished.plan.objective_name or "the outputs given, times their cotangents"
    table = Table(title=f"{pipeline.name}: gradient of {of}", title_justify="left")
    for name in ("parameter", "value", "unit", "gradient (per unit)"):
        table.add_column(name, justify="left" if name in ("parameter", "unit") else "right")
    for name, slopes in gradient.items():
        parameter = pipeline.parameters[name]
        for label, value, slope in _rows(name, parameter.value, slopes):
            table.add_row(label, f"{value:.8g}", parameter.unit, f"{slope:+.8e}")
    return table


def _rows(name: str, value: Any, gradient: Any) -> Iterator[tuple[str, float, float]]:
    if not isinstance(gradient, list):
        yield name, value, gradient
        return
    for index, pair in enumerate(zip(value, gradient, strict=True)):
        yield from _rows(f"{name}[{index}]", *pair)


def _outputs_table(finished: "Finished", pipeline: "Pipeline") -> Any:
    from rich.table import Table

    table = Table(title=f"{pipeline.name}: outputs", title_justify="left")
    for name in ("output", "value", "unit"):
        table.add_column(name)
    for name, value in finished.results.outputs.items():
        table.add_row(name, matrix.brief(value), _unit(pipeline, name))
    return table


def _unit(pipeline: "Pipeline", output: str) -> str:
    stage, _, name = output.rpartition(".")
    unit = pipeline.stages[stage].output(name).unit
    return "" if unit == "1" else f" {unit}"
