"""`diffpipe fit`: fit parameters of a pipeline to its data, by sweeps that can be killed."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from diffpipe.cache.errors import UsageError
from diffpipe.cli.options import Chosen, JsonOption, grouped, names
from diffpipe.cli.where import Budgets, FitWhere, Profile

if TYPE_CHECKING:
    from diffpipe.rules.fit.fit import Asked
    from diffpipe.rules.fit.sweeps import Follower, Sweeps


class Minimizer(StrEnum):
    MIGRAD = "migrad"
    LBFGS = "lbfgs"
    ADAM = "adam"
    GAUSS_NEWTON = "gauss-newton"


@dataclass(frozen=True)
class How:
    """What is fitted, and how."""

    wrt: Annotated[
        str | None,
        typer.Option(
            "--wrt",
            metavar="NAME,...",
            help="The parameters to fit, * and ? for groups; default: those with fit: true.",
        ),
    ] = None
    of: Annotated[
        str | None,
        typer.Option("--of", metavar="STAGE.OUTPUT", help="Another objective (a scalar)."),
    ] = None
    minimizer: Annotated[
        Minimizer, typer.Option("--minimizer", help="How to find the minimum.")
    ] = Minimizer.MIGRAD
    steps: Annotated[int | None, typer.Option("--steps", help="At most so many steps.")] = None
    rate: Annotated[float, typer.Option("--rate", help="Of adam: share of a scale a step.")] = 0.01
    up: Annotated[
        float, typer.Option("--up", help="Rise of the objective at one sigma; 1 for chi^2.")
    ] = 1.0
    no_errors: Annotated[
        bool, typer.Option("--no-errors", help="Only the minimum, without uncertainties.")
    ] = False
    profile: Annotated[
        str | None,
        typer.Option("--profile", metavar="NAME,...", help="Fit the others along a parameter."),
    ] = None
    scan: Annotated[
        list[str] | None,
        typer.Option("--scan", metavar="NAME=LO:HI:N", help="The objective along a parameter."),
    ] = None


@dataclass(frozen=True)
class Speech:
    """How a fit is to speak."""

    as_json: JsonOption = False
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say only results and errors.")] = (
        False
    )


@grouped
def fit(chosen: Chosen, how: How, where: FitWhere, may: Budgets, speech: Speech) -> None:
    """Fit parameters: the minimum of the objective, errors, correlations, goodness of fit.

    The objective is in units of chi^2 or -2 log L. Each evaluation is a sweep that computes only
    what the moved parameters touch; a fit that was killed goes on when the command is repeated.
    """
    from diffpipe.cli import fit_progress, fit_report
    from diffpipe.rules.fit import fit as fitting

    with fit_progress.make_follower(speech.quiet) as follower:
        sweeps = _sweeps(chosen, how, where, may, follower)
        found = fitting.fit(sweeps, _asked(sweeps, how))
    if speech.as_json:
        from diffpipe.cli.report import print_json

        print_json(fit_report.document(found, sweeps))
    else:
        fit_report.show(found, sweeps, how.minimizer.value)


def _sweeps(
    chosen: Chosen, how: How, where: FitWhere, may: Budgets, follower: "Follower"
) -> "Sweeps":
    from diffpipe.pipelines.core.plan import Request
    from diffpipe.rules.fit.sweeps import Sweeps

    place = where.place()
    limits = where.limits
    request = Request(
        "backward",
        of=names(how.of),
        jobs=place.jobs,
        mem_mb=limits.mem_mb,
        runtime_min=limits.runtime_min,
    )
    store, pipeline = chosen.open_store(), chosen.open_pipeline(where.gpus_per_job)
    return Sweeps(store, pipeline, request, place, follower, budget=may.budget)


def _asked(sweeps: "Sweeps", how: How) -> "Asked":
    from diffpipe.rules.fit.fit import Asked
    from diffpipe.rules.fit.minimum import Settings
    from diffpipe.rules.fit.space import chosen

    if not 0.0 < how.up < float("inf"):
        raise UsageError(f"--up {how.up:g}: not above zero")
    profiles = names(how.profile) or []
    if Profile.SLURM in profiles and Profile.SLURM not in sweeps.pipeline.parameters:
        raise UsageError("--profile names a parameter of a fit", hint="a cluster is --on slurm")
    if profiles and how.no_errors:
        raise UsageError("--profile needs the errors", hint="leave out --no-errors")
    asked = Asked(
        names=chosen(sweeps.pipeline, names(how.wrt)),
        settings=Settings(how.minimizer.value, how.steps, how.rate),
        up=how.up,
        errors=not how.no_errors,
        profiles=profiles,
        scans=[_scan(text) for text in how.scan or []],
    )
    asked.check(sweeps.pipeline)
    return asked


def _scan(text: str) -> tuple[str, float, float, int]:
    name, _, grid = text.partition("=")
    try:
        low, high, count = grid.split(":")
        found = name.strip(), float(low), float(high), int(count)
    except ValueError:
        found = name, 0.0, 0.0, 0
    if not (found[1] < found[2] < float("inf") and found[1] > -float("inf") and found[3] >= 2):
        raise UsageError(
            f"--scan {text}: not name=lo:hi:n with lo below hi and n at least two",
            hint="write --scan m_z=91.0:91.4:9",
        )
    return found
