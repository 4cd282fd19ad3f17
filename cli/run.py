"""`diffpipe run forward|backward`: compute what is missing, then say the results."""

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from diffpipe.cli.options import (
    EventsOption,
    JsonOption,
    PipelineArgument,
    SetOption,
    StoreOption,
    names,
    open_pipeline,
    open_store,
)

if TYPE_CHECKING:
    from diffpipe.cache.store import Store
    from diffpipe.pipelines.core.model import Pipeline
    from diffpipe.pipelines.core.plan import Direction, Request

app = typer.Typer(
    help="Run a sweep: forward for values, backward for gradients.", no_args_is_help=True
)

OfOption = Annotated[
    str | None, typer.Option("--of", metavar="STAGE.OUTPUT", help="Another objective (a scalar).")
]
WrtOption = Annotated[
    str | None, typer.Option("--wrt", metavar="NAME,...", help="Only these parameters' gradients.")
]
CoresOption = Annotated[
    int, typer.Option("--cores", min=1, help="Worker processes at a time.", show_default="all")
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Print what would be reused and what would run.")
]
WaitOption = Annotated[bool, typer.Option("--wait", help="Queue behind a run on this store.")]
ForceOption = Annotated[bool, typer.Option("--force", help="Compute everything again.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Say more.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Say only results and errors.")]
_CORES = os.cpu_count() or 1


@app.command()
def forward(
    pipeline: PipelineArgument = None,
    settings: SetOption = None,
    of: OfOption = None,
    events: EventsOption = None,
    cores: CoresOption = _CORES,
    store: StoreOption = None,
    dry_run: DryRunOption = False,
    wait: WaitOption = False,
    force: ForceOption = False,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
) -> None:
    """Run every stage whose results are not stored yet."""
    chosen = open_store(store, create=not dry_run), open_pipeline(pipeline, settings, events)
    request = _request("forward", of, None, cores, force)
    _run(*chosen, request, _Manner(dry_run, wait, as_json, verbose, quiet))


@app.command()
def backward(
    pipeline: PipelineArgument = None,
    settings: SetOption = None,
    wrt: WrtOption = None,
    of: OfOption = None,
    events: EventsOption = None,
    cores: CoresOption = _CORES,
    store: StoreOption = None,
    dry_run: DryRunOption = False,
    wait: WaitOption = False,
    force: ForceOption = False,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
) -> None:
    """Give the objective and its gradient, running what is missing of both sweeps."""
    chosen = open_store(store, create=not dry_run), open_pipeline(pipeline, settings, events)
    request = _request("backward", of, names(wrt), cores, force)
    _run(*chosen, request, _Manner(dry_run, wait, as_json, verbose, quiet))


@dataclass(frozen=True)
class _Manner:
    """How a run is to behave and to speak."""

    dry_run: bool
    wait: bool
    as_json: bool
    verbose: bool
    quiet: bool


def _request(
    direction: "Direction", of: str | None, wrt: list[str] | None, cores: int, force: bool
) -> "Request":
    from diffpipe.pipelines.core.plan import Request

    return Request(direction, of, wrt, cores, force)


def _run(store: "Store", pipeline: "Pipeline", request: "Request", manner: _Manner) -> None:
    if manner.dry_run:
        _dry_run(store, pipeline, request, manner)
        return
    from diffpipe.cli import report
    from diffpipe.cli.progress import make_observer
    from diffpipe.rules import drive

    with make_observer(manner.quiet, manner.verbose) as observer:
        finished = drive.run(store, pipeline, request, observer, wait=manner.wait)
    if manner.as_json:
        report.print_json(report.document(finished, pipeline))
    else:
        report.show(finished, pipeline, verbose=manner.verbose)


def _dry_run(store: "Store", pipeline: "Pipeline", request: "Request", manner: _Manner) -> None:
    from diffpipe.cli import forecast, report

    plan, specs = forecast.predict(store, pipeline, request)
    if manner.as_json:
        report.print_json(forecast.document(plan, specs))
    else:
        forecast.show(plan, specs)
