"""`diffpipe run forward|backward`: compute what is missing, then say the results."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from diffpipe.cli.options import Chosen, JsonOption, grouped, names
from diffpipe.cli.where import Where

if TYPE_CHECKING:
    from diffpipe.cache.store import Store
    from diffpipe.pipelines.core.model import Pipeline
    from diffpipe.pipelines.core.plan import Request
    from diffpipe.pipelines.core.resources import Resources

app = typer.Typer(
    help="Run a sweep: forward for values, backward for gradients.", no_args_is_help=True
)


@dataclass(frozen=True)
class Sweep:
    """What is asked of the pipeline."""

    of: Annotated[
        str | None,
        typer.Option("--of", metavar="STAGE.OUTPUT", help="Another objective (a scalar)."),
    ] = None
    force: Annotated[bool, typer.Option("--force", help="Compute everything again.")] = False
    durable: Annotated[
        bool, typer.Option("--durable", help="Sync each shard to disk, against power cuts.")
    ] = False


@dataclass(frozen=True)
class Gradient(Sweep):
    """What is asked of a backward sweep."""

    wrt: Annotated[
        str | None,
        typer.Option("--wrt", metavar="NAME,...", help="Only these parameters' gradients."),
    ] = None


@dataclass(frozen=True)
class Manner:
    """How a run is to behave and to speak."""

    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be reused and what would run.")
    ] = False
    wait: Annotated[bool, typer.Option("--wait", help="Queue behind a run on this store.")] = False
    as_json: JsonOption = False
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more.")] = False
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say only results and errors.")] = (
        False
    )


@app.command()
@grouped
def forward(chosen: Chosen, sweep: Sweep, where: Where, manner: Manner) -> None:
    """Run every stage whose results are not stored yet."""
    _run(chosen, sweep, where, manner)


@app.command()
@grouped
def backward(chosen: Chosen, sweep: Gradient, where: Where, manner: Manner) -> None:
    """Give the objective and its gradient, running what is missing of both sweeps."""
    _run(chosen, sweep, where, manner)


def _run(chosen: Chosen, sweep: Sweep, where: Where, manner: Manner) -> None:
    store = chosen.open_store(create=not manner.dry_run)
    pipeline = chosen.open_pipeline(where.gpus_per_job)
    place = where.place()
    request = _request(sweep, place.jobs, where.limits)
    if manner.dry_run:
        _dry_run(store, pipeline, request, manner)
        return
    from diffpipe.cli import report
    from diffpipe.cli.progress import make_observer
    from diffpipe.rules.drive import Drive

    with make_observer(manner.quiet, manner.verbose) as observer:
        finished = Drive(store, pipeline, request, place, observer).run(wait=manner.wait)
    if manner.as_json:
        report.print_json(report.document(finished, pipeline))
    else:
        report.show(finished, pipeline, verbose=manner.verbose)


def _request(sweep: Sweep, jobs: int, limits: "Resources") -> "Request":
    from diffpipe.pipelines.core.plan import Request

    return Request(
        direction="backward" if isinstance(sweep, Gradient) else "forward",
        of=sweep.of,
        wrt=names(sweep.wrt) if isinstance(sweep, Gradient) else None,
        jobs=jobs,
        force=sweep.force,
        durable=sweep.durable,
        mem_mb=limits.mem_mb,
        runtime_min=limits.runtime_min,
    )


def _dry_run(store: "Store", pipeline: "Pipeline", request: "Request", manner: Manner) -> None:
    from diffpipe.cli import forecast, report

    plan, specs = forecast.predict(store, pipeline, request)
    if manner.as_json:
        report.print_json(forecast.document(plan, specs))
    else:
        forecast.show(plan, specs)
