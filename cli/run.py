"""`diffpipe run`: compute what is missing of a sweep, then say the results."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from diffpipe.cli.modes import Along, Blocks, Gradient, Matrix, Product, Sweep
from diffpipe.cli.options import Chosen, JsonOption, grouped
from diffpipe.cli.where import Budgets, Where

if TYPE_CHECKING:
    from pathlib import Path

    from diffpipe.pipelines.core.plan import Direction, Request
    from diffpipe.rules.drive import Finished

app = typer.Typer(
    help="Run a sweep: forward for values, backward for gradients, and what is made of both.",
    no_args_is_help=True,
)


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
def forward(chosen: Chosen, sweep: Sweep, where: Where, may: Budgets, manner: Manner) -> None:
    """Run every stage whose results are not stored yet."""
    Run(chosen, sweep, where, may, manner).simple("forward")


@app.command()
@grouped
def backward(chosen: Chosen, sweep: Gradient, where: Where, may: Budgets, manner: Manner) -> None:
    """Give the objective and its gradient, running what is missing of both sweeps."""
    Run(chosen, sweep, where, may, manner).simple("backward")


@app.command()
@grouped
def tangent(chosen: Chosen, sweep: Along, where: Where, may: Budgets, manner: Manner) -> None:
    """Give the derivative of outputs along a direction of the parameters: the JVP."""
    Run(chosen, sweep, where, may, manner).simple("tangent", sweep.save)


@app.command()
@grouped
def jacobian(chosen: Chosen, sweep: Blocks, where: Where, may: Budgets, manner: Manner) -> None:
    """Give all derivatives of outputs in parameters, in the way that costs least."""
    Run(chosen, sweep, where, may, manner).jacobian(sweep.save)


@app.command()
@grouped
def hvp(chosen: Chosen, sweep: Product, where: Where, may: Budgets, manner: Manner) -> None:
    """Give the product of the objective's Hessian with a direction, forward over reverse."""
    Run(chosen, sweep, where, may, manner).simple("hvp", sweep.save)


@app.command()
@grouped
def hessian(chosen: Chosen, sweep: Matrix, where: Where, may: Budgets, manner: Manner) -> None:
    """Give the Hessian, and the information and covariances that follow from it."""
    Run(chosen, sweep, where, may, manner).hessian(sweep.save)


class Run:
    """One command: what is asked of which pipeline, where it is computed, how it is said."""

    def __init__(
        self, chosen: Chosen, sweep: Sweep, where: Where, may: Budgets, manner: Manner
    ) -> None:
        self.sweep, self.where, self.manner = sweep, where, manner
        self.store = chosen.open_store(create=not manner.dry_run)
        self.pipeline = chosen.open_pipeline(where.gpus_per_job)
        self.place = where.place()
        self.budget = may.budget

    def simple(self, direction: "Direction", save: "Path | None" = None) -> None:
        """A sweep of which the plan is known at once."""
        request = self.request(direction)
        if self.manner.dry_run:
            self._forecast(request)
        else:
            self._say(self._driven(request), save)

    def jacobian(self, save: "Path | None") -> None:
        """The cheapest of the ways to a Jacobian, for which shapes have to be known first."""
        from diffpipe.cli import matrix
        from diffpipe.rules import costs, modes

        request = self.request("jacobian")
        known = costs.measured(self.store, self.pipeline)
        if self.manner.dry_run:
            options = modes.options(self.store, self.pipeline, request, known)
            self._forecast(options[0].request)
            return
        with self.place.kept():
            self._describe(request)
            options = modes.options(self.store, self.pipeline, request, known)
            if not self.manner.quiet:
                matrix.show_options(options)
            self._say(self._driven(options[0].request), save)

    def hessian(self, save: "Path | None") -> None:
        """The Hessian; beside it, of a likelihood, that of Gauss and Newton."""
        from diffpipe.cli.hessian import Hessian, say

        if self.manner.dry_run:
            self._forecast(self.request("hvp"))
            return
        with self.place.kept():
            exact = self._driven(self.request("hvp"))
            bent = self._driven(self.request("curvature")) if self._is_bent() else None
        say(Hessian(exact, bent), as_json=self.manner.as_json, save=save)

    def request(self, direction: "Direction") -> "Request":
        """What is asked, and the limits of each task."""
        from diffpipe.pipelines.core.plan import Request

        limits = self.where.limits
        return Request(
            direction,
            jobs=self.place.jobs,
            mem_mb=limits.mem_mb,
            runtime_min=limits.runtime_min,
            **self.sweep.asked(self.pipeline),
        )

    def _is_bent(self) -> bool:
        from diffpipe.pipelines.core.sweeps.goals import objective_of
        from diffpipe.rules.fit.information import is_bent

        request = self.request("curvature")
        objective = objective_of(self.pipeline, request)
        return objective is not None and is_bent(self.pipeline, objective, request.wrt or [])

    def _describe(self, request: "Request") -> None:
        """Make the artefacts of what the Jacobian is taken of, without computing anything."""
        from msgspec import structs

        forward = structs.replace(request, direction="forward", mode=None, cut=None)
        self._drive(forward, lambda drive: drive.describe(), quiet=True)

    def _driven(self, request: "Request") -> "Finished":
        found: Finished = self._drive(request, lambda drive: drive.run(wait=self.manner.wait))
        return found

    def _drive(self, request: "Request", work: Any, *, quiet: bool = False) -> Any:
        from diffpipe.cli.progress import make_observer
        from diffpipe.rules.drive import Drive

        with make_observer(quiet or self.manner.quiet, self.manner.verbose) as observer:
            drive = Drive(self.store, self.pipeline, request, self.place, observer, self.budget)
            return work(drive)

    def _say(self, finished: "Finished", save: "Path | None") -> None:
        from diffpipe.cli import matrix, report

        if self.manner.as_json:
            report.print_json(report.document(finished, self.pipeline))
        else:
            report.show(finished, self.pipeline, verbose=self.manner.verbose)
            self._compare(finished)
        if save is not None:
            matrix.save(save, finished.results)

    def _compare(self, finished: "Finished") -> None:
        """With -v say what was predicted of a run, and what it took."""
        from diffpipe.cli import compared

        found = compared.last(self.store) if self.manner.verbose and finished.executed else None
        if found is not None:
            compared.show(found)

    def _forecast(self, request: "Request") -> None:
        from diffpipe.cli import forecast, report

        workers = self.place.workers
        asked = forecast.Forecaster(self.store, self.pipeline, request, workers, self.budget)
        found = asked.forecast()
        if self.manner.as_json and found.refused is None:
            report.print_json(forecast.document(found))
        elif not self.manner.as_json:
            forecast.show(found)
        if found.refused is not None:
            raise found.refused
