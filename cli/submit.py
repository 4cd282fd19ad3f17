"""`diffpipe submit`: a whole run as one job of a Slurm cluster (a pilot)."""

import typer

from diffpipe.cli.modes import Along, Blocks, Gradient, Matrix, Product, Sweep
from diffpipe.cli.options import Chosen, Printed, arguments, grouped
from diffpipe.cli.where import Pilot

app = typer.Typer(help="Submit a whole sweep as one Slurm job.", no_args_is_help=True)


@app.command()
@grouped
def forward(chosen: Chosen, sweep: Sweep, pilot: Pilot, printed: Printed) -> None:
    """Submit a forward sweep; the same options as `run forward`."""
    _submit("forward", chosen, sweep, pilot, printed)


@app.command()
@grouped
def backward(chosen: Chosen, sweep: Gradient, pilot: Pilot, printed: Printed) -> None:
    """Submit a backward sweep; the same options as `run backward`."""
    _submit("backward", chosen, sweep, pilot, printed)


@app.command()
@grouped
def tangent(chosen: Chosen, sweep: Along, pilot: Pilot, printed: Printed) -> None:
    """Submit a tangent sweep; the same options as `run tangent`."""
    _submit("tangent", chosen, sweep, pilot, printed)


@app.command()
@grouped
def jacobian(chosen: Chosen, sweep: Blocks, pilot: Pilot, printed: Printed) -> None:
    """Submit a Jacobian; the same options as `run jacobian`."""
    _submit("jacobian", chosen, sweep, pilot, printed)


@app.command()
@grouped
def hvp(chosen: Chosen, sweep: Product, pilot: Pilot, printed: Printed) -> None:
    """Submit a product with the Hessian; the same options as `run hvp`."""
    _submit("hvp", chosen, sweep, pilot, printed)


@app.command()
@grouped
def hessian(chosen: Chosen, sweep: Matrix, pilot: Pilot, printed: Printed) -> None:
    """Submit a Hessian; the same options as `run hessian`."""
    _submit("hessian", chosen, sweep, pilot, printed)


def _submit(direction: str, chosen: Chosen, sweep: Sweep, pilot: Pilot, printed: Printed) -> None:
    from diffpipe.cli.report import print_json
    from diffpipe.rules.slurm import pilot as pilots

    pipeline, store = chosen.open_pipeline(pilot.gpus_per_job), chosen.open_store()
    cores = ["--cores", str(pilot.cores)]
    here = [*arguments(chosen, sweep), "--store", str(store.root), *cores]
    gpus = [] if pilot.gpus_per_job is None else ["--gpus-per-job", str(pilot.gpus_per_job)]
    job = pilots.submit(
        store, ["run", direction, *here, *gpus], pilot.resources(pipeline), pilot.named
    )
    if printed.as_json:
        print_json({"job": job, "store": str(store.root)})
    else:
        print(f"submitted as Slurm job {job}")
        print("  diffpipe status --follow    shows it")
        print(f"  scancel {job:<19} ends it; nothing finished is lost")
