"""`diffpipe status`: who is at work on the store, how runs ended, what a pipeline lacks."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from diffpipe.cli.follow import asked, follow, pilots
from diffpipe.cli.options import Chosen, Printed, grouped
from diffpipe.cli.report import print_json

if TYPE_CHECKING:
    from diffpipe.cache.checks import Check
    from diffpipe.cache.layout import RunLayout
    from diffpipe.cache.store import Store
    from diffpipe.pipelines.core.model import Pipeline
    from diffpipe.pipelines.core.plan import Plan
    from diffpipe.rules.proof.gradients import Gradient
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
    jobs, pipeline = pilots(store), chosen.open_pipeline()
    plan = _plan(store, pipeline)
    found = {
        "store": str(store.root),
        "at_work": lock.holder(store),
        "runs": [_run(store, run) for run in _last_runs(store)],
        "queue": [asdict(job) for job in jobs],
        "stages": _shards(pipeline, plan),
        "checked": _checked(store, plan),
        "gradients": [_gradient(each) for each in _gradients(store, pipeline)],
    }
    print_json(found) if printed.as_json else _print(found, jobs)


def _plan(store: "Store", pipeline: "Pipeline") -> "Plan":
    from diffpipe.pipelines.core.plan import Request, make_plan

    return make_plan(store, pipeline, Request("backward" if pipeline.objective else "forward"))


def _shards(pipeline: "Pipeline", plan: "Plan") -> dict[str, dict[str, list[int]]]:
    """Stage -> sweep -> [shards stored, shards in all]."""
    kinds = {"primal": "forward", "pullback": "backward"}
    found: dict[str, dict[str, list[int]]] = {name: {} for name in pipeline.stages}
    for step in plan.steps:
        if step.kind in kinds:
            found[step.stage][kinds[step.kind]] = [plan.slots_present[step.id], step.slots]
    return found


def _checked(store: "Store", plan: "Plan") -> dict[str, Any]:
    """Stage -> when it was last put to the proof as it is, and how that came out."""
    from diffpipe.cache.checks import Checks, key_of

    checks, primals = Checks(store.layout), [s for s in plan.steps if s.kind == "primal"]
    known = {step.stage: checks.get(key_of(step.key)) for step in primals}
    return {name: _check(each) for name, each in known.items() if each is not None}


def _gradients(store: "Store", pipeline: "Pipeline") -> "list[Gradient]":
    from diffpipe.rules.proof.gradients import gradients

    return gradients(store, pipeline)[:_LAST]


def _check(check: "Check") -> dict[str, Any]:
    return {"at": check.at, "verdict": check.verdict}


def _gradient(each: "Gradient") -> dict[str, Any]:
    """A stored gradient: of what, at which point, and when it was last put to the proof."""
    return {
        "objective": each.objective,
        "wrt": each.wrt,
        "moved": each.moved,
        "checked": _check(each.check) if each.check else None,
        "unchecked": each.unchecked if each.check else [],
    }


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
    for name in ("stage", "forward", "backward", "checked"):
        table.add_column(name, justify="right" if name.endswith("ward") else "left")
    for stage, sweeps in found["stages"].items():
        cells = ["/".join(map(str, sweeps.get(each, ["-"]))) for each in ("forward", "backward")]
        table.add_row(stage, *cells, _when(found["checked"].get(stage)))
    console.print(table)
    for gradient in found["gradients"]:
        console.print(_told(gradient), soft_wrap=True, markup=False, highlight=False)
    for run in found["runs"]:
        console.print(_line(run), soft_wrap=True, markup=False)
    for job in jobs:
        console.print(str(job), soft_wrap=True, markup=False)
    who = found["at_work"]
    text = f"at work: pid {who['pid']} on {who['host']}, since {who['since']}" if who else "idle"
    console.print(text, markup=False)


def _when(check: dict[str, Any] | None) -> str:
    return f"{check['verdict']} {check['at'][:16].replace('T', ' ')}" if check else "-"


def _told(gradient: dict[str, Any]) -> str:
    """One line: which gradient, where its parameters are, and when it was checked."""
    moved = ", ".join(f"{name}={value}" for name, value in [*gradient["moved"].items()][:_LAST])
    where = f" at {moved}" if moved else ""
    check = gradient["checked"]
    when = f"checked {check['at'][:16].replace('T', ' ')} UTC: {check['verdict']}" if check else ""
    left = gradient["unchecked"]
    but = f", but not in {', '.join(left[:_LAST])}{', ...' * (len(left) > _LAST)}" if left else ""
    return f"gradient of {gradient['objective']}{where}: {when or 'never checked'}{but}"


def _line(run: dict[str, Any]) -> str:
    job = f" (Slurm job {run['job']})" if run["job"] else ""
    if "tasks" in run:
        counts = (f"{count} {word.replace('_', ' ')}" for word, count in run["tasks"].items())
        return f"run {run['run']}{job} at work: tasks {', '.join(counts)}"
    why = f": {run['error']}" if run["error"] else ""
    took = f" after {run['seconds']:.1f} s" if run["seconds"] is not None else ""
    return f"run {run['run']}{job} {run['state']}{took}{why}"
