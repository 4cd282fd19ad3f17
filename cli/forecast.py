"""`diffpipe plan` and `--dry-run`: what would be reused, what would run, and what it would take."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from diffpipe.cache.errors import OverBudgetError

if TYPE_CHECKING:
    from diffpipe.cache.specs import ArraySpec
    from diffpipe.cache.store import Store
    from diffpipe.pipelines.core.costs import Costs
    from diffpipe.pipelines.core.describe import Description
    from diffpipe.pipelines.core.model import Pipeline
    from diffpipe.pipelines.core.plan import Plan, Request
    from diffpipe.pipelines.core.steps import Step
    from diffpipe.pipelines.physics.scans.report import Scan
    from diffpipe.rules.budget import Budget
    from diffpipe.rules.prediction import Prediction, Row

    Specs = dict[str, dict[str, ArraySpec]]


@dataclass(frozen=True)
class Forecast:
    """A plan, and what it would take; refused: why it would not run."""

    plan: "Plan"
    prediction: "Prediction"
    scans: "dict[str, list[Scan]]"  # of the stages that are computed
    refused: OverBudgetError | None


@dataclass(frozen=True)
class Forecaster:
    """What is asked of which pipeline, of how many workers, within which budget."""

    store: "Store"
    pipeline: "Pipeline"
    request: "Request"
    workers: int
    budget: "Budget"

    def forecast(self) -> Forecast:
        """Plan and describe; nothing is written."""
        from diffpipe.rules.budget import CrampedError

        try:
            return self._forecast(self.budget.disk)
        except CrampedError as error:
            return self._forecast(error.room)

    def _forecast(self, room: int | None) -> Forecast:
        from msgspec import structs

        from diffpipe.pipelines.core.plan import make_plan
        from diffpipe.rules import costs, prediction

        plan = make_plan(self.store, self.pipeline, structs.replace(self.request, room=room))
        specs, scans = self._described(plan) if plan.tasks else ({}, {})
        known = costs.measured(self.store, self.pipeline)
        workers, refused = self._within(plan, specs, known)
        return Forecast(plan, prediction.predict(plan, specs, known, workers), scans, refused)

    def _described(self, plan: "Plan") -> "tuple[Specs, dict[str, list[Scan]]]":
        description = _describe(plan, self.store)
        return description.specs, _scans(plan, description)

    def _within(
        self, plan: "Plan", specs: "Specs", known: "Costs"
    ) -> tuple[int, OverBudgetError | None]:
        """How many workers fit the budget, and why it would be refused."""
        from diffpipe.rules.budget import CrampedError

        try:
            self.budget.check_disk(self.store, plan, specs)
            return self.budget.workers(plan, specs, known, self.workers), None
        except CrampedError:
            raise
        except OverBudgetError as error:
            return self.workers, error


def _describe(plan: "Plan", store: "Store") -> "Description":
    """The arrays that a plan would fill."""
    from diffpipe.rules.machine import prepare

    prepare("cpu")
    from diffpipe.pipelines.core.describe import Description

    description = Description(plan, store)
    description.run()
    return description


def _scans(plan: "Plan", description: "Description") -> "dict[str, list[Scan]]":
    """The long scans that are met while the stages are traced of which something is computed."""
    from diffpipe.pipelines.core.steps import Code
    from diffpipe.pipelines.frameworks.registry import runner
    from diffpipe.pipelines.physics.scans.modes import recording

    missing, found = plan.missing, {}
    todo = {step.stage for step in plan.steps if missing[step.id]}
    for step in plan.steps:
        call = step.call
        if step.kind != "primal" or step.stage not in todo or call is None or call.source:
            continue
        if step.framework == "jax" and isinstance(call.code, Code):
            with recording() as scans:
                runner(step).describe(call, call.rows(0), *description.given(step))
            found[step.stage] = list(scans)
    return {stage: scans for stage, scans in found.items() if scans}


def document(found: Forecast) -> dict[str, Any]:
    """The forecast as plain values."""
    from msgspec import to_builtins

    plan, prediction = found.plan, found.prediction
    rows: dict[str, Any] = to_builtins(prediction.rows)
    for step in plan.steps:
        rows[step.id]["from"] = _way(step)
    return {
        "pipeline": plan.pipeline,
        "direction": plan.direction,
        "dry_run": True,
        "steps": rows,
        "checkpoints": {name: _choice(each) for name, each in plan.checkpoints.items()},
        "scans": {name: [asdict(each) for each in scans] for name, scans in found.scans.items()},
        "tasks": len(plan.tasks),
        "workers": prediction.workers,
        "bytes": prediction.bytes,
        "seconds": prediction.seconds,
        "peak_mb": prediction.peak_mb,
        "peak_measured": prediction.measured,
        "store": plan.store,
    }


def _choice(choice: Any) -> dict[str, str]:
    return {"policy": choice.policy.value, "why": choice.why}


def show(found: Forecast) -> None:
    """Print the forecast, a line a step, and what was decided."""
    from rich.console import Console

    from diffpipe.cli.columns import PLAIN, aligned

    plan, rows = found.plan, found.prediction.rows
    table = [[step.id, *_cells(rows[step.id]), _way(step) or ""] for step in plan.steps]
    head, *lines = aligned([_HEAD, *table], right=range(1, 6))
    console = Console()
    console.print(f"{plan.pipeline}: {plan.direction} (dry run)", style="italic", **PLAIN)
    console.print(head, style="bold", **PLAIN)
    for line in [*lines, *_words(found)]:
        console.print(line, **PLAIN)


_HEAD = ["step", "reused", "to run", "MB to write", "seconds", "peak MB", ""]


def _cells(row: "Row") -> list[str]:
    if not row.to_run:
        return [str(row.reused), "0", "", "", ""]
    seconds = "not measured" if row.seconds is None else f"{row.seconds:.2f}"
    return [str(row.reused), str(row.to_run), megabytes(row.bytes), seconds, f"{row.peak_mb:.0f}"]


def megabytes(count: int) -> str:
    """Bytes in MB (10**6 bytes), as tables have them."""
    return f"{count / 1e6:.3f}"


def _way(step: "Step") -> str | None:
    """Where a pullback takes what the forward pass knew, and which primals keep it for that."""
    if step.kind == "pullback":
        return "from residuals" if step.saved else "recomputes"
    return "keeps residuals" if step.residuals else None


def _words(found: Forecast) -> list[str]:
    from diffpipe.cli.report import short

    plan, prediction = found.plan, found.prediction
    chosen = [f"{name}: {c.policy.value}, {c.why}" for name, c in plan.checkpoints.items()]
    chosen += [f"{name}: {_scan(each)}" for name, scans in found.scans.items() for each in scans]
    if not plan.tasks:
        return [*chosen, f"nothing to compute; store {short(plan.store)}"]
    peak = f"{prediction.peak_mb:.0f} MB ({'measured' if prediction.measured else 'assumed'})"
    tasks = f"{len(plan.tasks)} task{'s' * (len(plan.tasks) > 1)}"
    return [
        *chosen,
        f"{tasks}, {megabytes(prediction.bytes)} MB to write, {_time(prediction)}, "
        f"up to {peak} a worker; store {short(plan.store)}",
    ]


def _scan(scan: "Scan") -> str:
    from diffpipe.pipelines.core.amounts import bytes_in_words

    return (
        f"{scan.name} of {scan.length} steps ({scan.scheme}), pulled back from {scan.snapshots} "
        f"snapshots ({bytes_in_words(scan.held_bytes)}) in {scan.forward_steps} forward steps"
    )


def _time(prediction: "Prediction") -> str:
    workers = f"{prediction.workers} worker{'s' * (prediction.workers > 1)}"
    if prediction.seconds is None:
        return f"{workers}, seconds not measured yet"
    return f"{prediction.seconds:.3g} s of {workers}"


def predict_shapes(store: "Store", pipeline: "Pipeline") -> "Specs":
    """Stage -> the arrays of its outputs, by abstract evaluation of the whole pipeline."""
    from diffpipe.pipelines.core.plan import Request, make_plan

    plan = make_plan(store, pipeline, Request("forward"))
    specs = _describe(plan, store).specs
    return {step.stage: specs[step.key] for step in plan.steps if step.kind == "primal"}
