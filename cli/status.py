"""`diffpipe status`: who is at work on the store, how runs ended, what a pipeline lacks."""

from typing import TYPE_CHECKING, Any

from diffpipe.cli.options import (
    EventsOption,
    JsonOption,
    PipelineArgument,
    SetOption,
    StoreOption,
    open_pipeline,
    open_store,
)
from diffpipe.cli.report import print_json

if TYPE_CHECKING:
    from diffpipe.cache.store import Store

_LAST = 5


def status(
    pipeline: PipelineArgument = None,
    settings: SetOption = None,
    events: EventsOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what is stored of a pipeline, and the last runs on the store."""
    from diffpipe.cache import lock

    opened = open_store(store, create=False)
    shards = _shards(opened, open_pipeline(pipeline, settings, events))
    found = {
        "store": str(opened.root),
        "at_work": lock.holder(opened),
        "runs": _runs(opened),
        "stages": shards,
    }
    print_json(found) if as_json else _print(found)


def _shards(store: "Store", pipeline: Any) -> dict[str, dict[str, list[int]]]:
    """Stage -> sweep -> [shards stored, shards in all]."""
    from diffpipe.pipelines.core.plan import Request, make_plan

    direction: Any = "backward" if pipeline.objective else "forward"
    plan = make_plan(store, pipeline, Request(direction))
    kinds = {"primal": "forward", "pullback": "backward"}
    found: dict[str, dict[str, list[int]]] = {name: {} for name in pipeline.stages}
    for step in plan.steps:
        if step.kind in kinds:
            found[step.stage][kinds[step.kind]] = [plan.slots_present[step.id], step.slots]
    return found


def _runs(store: "Store") -> list[dict[str, Any]]:
    from diffpipe.cache import lock
    from diffpipe.rules import runs

    last = runs.all_runs(store)[-_LAST:]
    listed = [{"run": run.folder.name} | runs.outcome(run) for run in last]
    if listed and listed[-1]["state"] == "killed" and lock.holder(store):
        listed[-1]["state"] = "at work"
    return listed


def _print(found: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table(title=f"store {found['store']}", title_justify="left")
    for name in ("stage", "forward", "backward"):
        table.add_column(name, justify="left" if name == "stage" else "right")
    for stage, sweeps in found["stages"].items():
        cells = ["/".join(map(str, sweeps.get(each, ["-"]))) for each in ("forward", "backward")]
        table.add_row(stage, *cells)
    console.print(table)
    for run in found["runs"]:
        why = f": {run['error']['message']}" if run.get("error") else ""
        took = f" after {run['seconds']:.1f} s" if "seconds" in run else ""
        console.print(f"run {run['run']} {run['state']}{took}{why}", soft_wrap=True)
    who = found["at_work"]
    text = f"at work: pid {who['pid']} on {who['host']}, since {who['since']}" if who else "idle"
    console.print(text)
