"""`diffpipe explain STAGE.OUTPUT`: the chain of all that a result was made from."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from diffpipe.cache.errors import UsageError, did_you_mean
from diffpipe.cli.columns import PLAIN, aligned
from diffpipe.cli.options import Chosen, Printed, grouped
from diffpipe.cli.report import print_json

if TYPE_CHECKING:
    from diffpipe.cache.store import Store
    from diffpipe.pipelines.core.model import Pipeline
    from diffpipe.pipelines.core.plan import Plan
    from diffpipe.pipelines.core.steps import Source
    from diffpipe.rules.provenance.lineage import Link, Made

_GRADIENT = "gradient."


@dataclass(frozen=True)
class Asked:
    """Which result is to be explained."""

    result: Annotated[
        str, typer.Argument(metavar="STAGE.OUTPUT", help="A result, or gradient.PARAMETER.")
    ]


@grouped
def explain(asked: Asked, chosen: Chosen, printed: Printed) -> None:
    """Show what a result is made from: steps, keys, versions, parameters, data, timings."""
    from diffpipe.rules.provenance.lineage import lineage

    store, pipeline = chosen.open_store(create=False), chosen.open_pipeline()
    plan, roots = _roots(store, pipeline, asked.result)
    links = lineage(store, plan, roots)
    shown = _Shown(asked.result, pipeline, roots, links)
    print_json(_document(shown, plan)) if printed.as_json else _print(shown, store)


@dataclass(frozen=True)
class _Shown:
    result: str
    pipeline: "Pipeline"
    roots: "list[Source]"
    links: "dict[str, Link]"


def _roots(store: "Store", pipeline: "Pipeline", text: str) -> "tuple[Plan, list[Source]]":
    """The plan of the sweep that makes a result, and the arrays that it is (or is the sum of)."""
    from diffpipe.pipelines.core.assemble import output_ref
    from diffpipe.pipelines.core.plan import Request, make_plan

    name = text.removeprefix(_GRADIENT)
    if text.startswith(_GRADIENT) and "gradient" not in pipeline.stages:
        plan = make_plan(store, pipeline, Request("backward", wrt=[name]))
        return plan, plan.gradients[name]
    ref = output_ref(text, pipeline.stages, "explain")
    plan = make_plan(store, pipeline, Request("forward"))
    return plan, [_source(store, pipeline, plan, ref.stage, ref.output)]


def _source(
    store: "Store", pipeline: "Pipeline", plan: "Plan", stage: str, output: str
) -> "Source":
    from diffpipe.pipelines.core.steps import Source, primal_id, reduction_id

    known = _outputs(store, pipeline, plan.step(primal_id(stage)).key, stage)
    if output not in known:
        raise UsageError(f"{stage} gives no {output!r}", hint=did_you_mean(output, known))
    summed = pipeline.stages[stage].is_summed(output)
    step = plan.step(reduction_id(primal_id(stage)) if summed else primal_id(stage))
    return Source(step.id, step.key, output, slot=False)


def _outputs(store: "Store", pipeline: "Pipeline", key: str, stage: str) -> list[str]:
    """The outputs of a stage, as stored, else as its code says."""
    from diffpipe.cli.forecast import predict_shapes

    artefact = store.get(key)
    return list(artefact.specs if artefact else predict_shapes(store, pipeline)[stage])


def _document(shown: _Shown, plan: "Plan") -> dict[str, Any]:
    return {
        "result": shown.result,
        "pipeline": shown.pipeline.name,
        "arrays": [{"step": each.step, "array": each.array} for each in shown.roots],
        "steps": {name: _link(shown, link) for name, link in shown.links.items()},
        "store": plan.store,
    }


def _link(shown: _Shown, link: "Link") -> dict[str, Any]:
    step = link.step
    return {
        "stage": step.stage,
        "kind": step.kind,
        "key": step.key,
        "stored": [link.present, step.slots],
        "reads": link.reads,
        "parameters": _parameters(shown, link),
        "data": {name: each.files for name, each in link.data.items()},
        "framework": step.framework,
        "platform": step.platform,
        "ingredients": step.ingredients,
        "seconds": sum(each.seconds for each in link.made) if link.made else None,
        "computed": [_made(each) for each in link.made],
    }


def _made(made: "Made") -> dict[str, Any]:
    from diffpipe.rules import runs

    began = runs.started(made.run)
    facts = {"host": began.get("host"), "at": began.get("at")}
    return {"run": made.run.folder.name, "slots": made.slots, "seconds": made.seconds} | facts


def _parameters(shown: _Shown, link: "Link") -> dict[str, Any]:
    """The parameters of a primal by the names that they have in the pipeline."""
    names = shown.pipeline.stages[link.step.stage].parameters
    given = link.parameters if link.step.kind == "primal" else {}
    return {names[local]: value for local, value in given.items()}


def _print(shown: _Shown, store: "Store") -> None:
    from rich.console import Console

    from diffpipe.cli.tree import COLUMNS, NUMBERS, Tree
    from diffpipe.rules.provenance.history import short_names

    short = short_names(store)
    parameters = {name: _parameters(shown, link) for name, link in shown.links.items()}
    tree, rows = Tree(shown.links, short, parameters), [[*COLUMNS]]
    for root in shown.roots:
        rows += tree.rows(root.step, [root.array])
    head, *lines = aligned(rows, right=NUMBERS)
    console = Console()
    console.print(f"{shown.pipeline.name}: {shown.result}{_value(store, shown)}", **PLAIN)
    console.print(head, style="bold", **PLAIN)
    for row, line in zip(rows[1:], lines, strict=True):
        console.print(line, style="dim" if len(row) == 1 else None, **PLAIN)
    for line in [*_versions(shown), *_runs(shown, short)]:
        console.print(line, style="dim", **PLAIN)


def _value(store: "Store", shown: _Shown) -> str:
    """The result itself, where it is a number that is stored."""
    artefact = store.get(shown.roots[0].key) if len(shown.roots) == 1 else None
    name = shown.roots[0].array if artefact else ""
    if artefact is None or artefact.specs[name].shape or not artefact.has(0):
        return ""
    return f" = {artefact.values(name):.10g}"


def _versions(shown: _Shown) -> list[str]:
    """What computes, a line for each framework and platform."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for link in shown.links.values():
        for each, version in link.step.ingredients.get("versions", {}).items():
            found.setdefault((link.step.framework, link.step.platform), {})[each] = version
    return [
        f"{framework} on {platform}: {', '.join(f'{n} {v}' for n, v in versions.items())}"
        for (framework, platform), versions in found.items()
    ]


def _runs(shown: _Shown, short: dict[str, str]) -> list[str]:
    """When and where the runs began that computed it."""
    from diffpipe.rules import runs

    made = {each.run for link in shown.links.values() for each in link.made}
    found = []
    for run in sorted(made, key=lambda each: each.folder.name):
        host = runs.started(run).get("host", "an unknown host")
        found.append(f"run {short[run.folder.name]}: started on {host}")
    return found
