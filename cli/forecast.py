"""`--dry-run`: what would be reused, what would run, and the bytes that it would write."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from diffpipe.cache.specs import ArraySpec
    from diffpipe.cache.store import Store
    from diffpipe.pipelines.core.model import Pipeline
    from diffpipe.pipelines.core.plan import Plan, Request

    Specs = dict[str, dict[str, ArraySpec]]


def predict(store: "Store", pipeline: "Pipeline", request: "Request") -> "tuple[Plan, Specs]":
    """The plan, and the arrays that it would fill; nothing is written."""
    from diffpipe.pipelines.core.plan import make_plan
    from diffpipe.rules.machine import prepare

    plan = make_plan(store, pipeline, request)
    if not plan.tasks:
        return plan, {}
    prepare("cpu")
    from diffpipe.pipelines.core.describe import Description

    description = Description(plan, store)
    description.run()
    return plan, description.specs


def document(plan: "Plan", specs: "Specs") -> dict[str, Any]:
    """The forecast as plain values."""
    rows = {
        step.id: {"reused": reused, "to_run": missing, "bytes": size}
        for step, reused, missing, size in _rows(plan, specs)
    }
    return {
        "pipeline": plan.pipeline,
        "direction": plan.direction,
        "dry_run": True,
        "steps": rows,
        "tasks": len(plan.tasks),
        "bytes": sum(each["bytes"] for each in rows.values()),
        "store": plan.store,
    }


def show(plan: "Plan", specs: "Specs") -> None:
    """Print the forecast as a table."""
    from rich.console import Console
    from rich.table import Table

    from diffpipe.cli.report import short

    table = Table(title=f"{plan.pipeline}: {plan.direction} (dry run)", title_justify="left")
    for name in ("step", "reused", "to run", "MB to write"):
        table.add_column(name, justify="left" if name == "step" else "right")
    total = 0
    for step, reused, missing, size in _rows(plan, specs):
        table.add_row(step.id, str(reused), str(missing), f"{size / 1e6:.3f}" if size else "")
        total += size
    console = Console()
    console.print(table)
    console.print(
        f"{len(plan.tasks)} tasks, {total / 1e6:.3f} MB to write, store {short(plan.store)}"
    )


def _rows(plan: "Plan", specs: "Specs") -> list[tuple[Any, int, int, int]]:
    missing = plan.missing
    return [
        (step, plan.slots_present[step.id], missing[step.id], _bytes(step, missing[step.id], specs))
        for step in plan.steps
    ]


def _bytes(step: Any, slots: int, specs: "Specs") -> int:
    arrays = specs.get(step.key, {}) | specs.get(step.residuals or "", {})
    return sum(-(-slots // spec.block) * spec.chunk_nbytes for spec in arrays.values())


def predict_shapes(store: "Store", pipeline: "Pipeline") -> "Specs":
    """Stage -> the arrays of its outputs, by abstract evaluation of the whole pipeline."""
    from diffpipe.pipelines.core.plan import Request, make_plan
    from diffpipe.rules.machine import prepare

    plan = make_plan(store, pipeline, Request("forward"))
    prepare("cpu")
    from diffpipe.pipelines.core.describe import Description

    description = Description(plan, store)
    description.run()
    return {step.stage: description.specs[step.key] for step in plan.steps if step.kind == "primal"}
