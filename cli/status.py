"""`diffpipe status`: who is at work on the store, how runs ended, what a pipeline lacks."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from diffpipe.cli.follow import asked, follow, pilots
from diffpipe.cli.options import Chosen, Printed, grouped
from diffpipe.cli.report import print_json

if TYPE_CHECKING:
    from diffpipe.cache.layout import RunLayout
    from diffpipe.cache.store import Store
    from diffpipe.rules.slurm.commands import Job

_LAST = 5


@dataclass(frozen=True)
class Watching:
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Show the run at work until it ends.")
    ] = False


@grouped
def status(chosen: Chosen, watching: Watching, printed: Printed) -> None:
    """Show what is stored of a pipeline, the last runs on the store, and what is in the queue."""
    from diffpipe.cache import lock

    store = chosen.open_store(create=False)
    if watching.follow:
        follow(store)
    jobs = pilots(store)
    found = {
        "store": str(store.root),
        "at_work": lock.holder(store),
        "runs": [_run(store, run) for run in _last_runs(store)],
        "queue": [asdict(job) for job in jobs],
        "stages": _shards(store, chosen.open_pipeline()),
    }
    print_json(found) if printed.as_json else _print(found, jobs)


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


def _last_runs(store: "Store") -> "list[RunLayout]":
    from diffpipe.rules import runs

    return runs.all_runs(store)[-_LAST:]


def _run(store: "Store", run: "RunLayout") -> dict[str, Any]:
    """How a run ended; of one at work, how far it is."""
    from diffpipe.rules import runs

    found = {"run": run.folder.name, "job": runs.started(run).get("job")}
    if runs.at_work(store, run):
        return found | {"state": "at work", "tasks": _tasks(run)}
    ended = runs.outcome(run)
    how = {"state": ended.state, "seconds": ended.seconds, "error": ended.message or None}
    return found | how


def _tasks(run: "RunLayout") -> dict[str, int]:
    """How many tasks are queued in Slurm, run, have finished or failed, and are still to come."""
    from diffpipe.rules import runs

    records, plan = runs.Records(run), runs.plan(run)
    records.update(now=True)
    seen = [event for task, event in records.tasks.items() if task != "all"]
    counts = {event: seen.count(event) for event in ("finished", "failed")}
    queued = _queued(run)
    running = seen.count("started") - queued
    to_come = len(plan.tasks if plan else seen) - len(seen)
    return {"queued": queued, "running": max(running, 0)} | counts | {"to_come": to_come}


def _queued(run: "RunLayout") -> int:
    if not run.jobs.exists():
        return 0
    from diffpipe.rules.slurm import commands
    from diffpipe.rules.slurm.place import job_name

    return sum(not job.at_work for job in asked(lambda: commands.queue(job_name(run))))


def _print(found: dict[str, Any], jobs: "list[Job]") -> None:
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
        console.print(_line(run), soft_wrap=True, markup=False)
    for job in jobs:
        console.print(str(job), soft_wrap=True, markup=False)
    who = found["at_work"]
    text = f"at work: pid {who['pid']} on {who['host']}, since {who['since']}" if who else "idle"
    console.print(text, markup=False)


def _line(run: dict[str, Any]) -> str:
    job = f" (Slurm job {run['job']})" if run["job"] else ""
    if "tasks" in run:
        counts = (f"{count} {word.replace('_', ' ')}" for word, count in run["tasks"].items())
        return f"run {run['run']}{job} at work: tasks {', '.join(counts)}"
    why = f": {run['error']}" if run["error"] else ""
    took = f" after {run['seconds']:.1f} s" if run["seconds"] is not None else ""
    return f"run {run['run']}{job} {run['state']}{took}{why}"
