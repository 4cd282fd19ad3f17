"""`diffpipe histfactory WORKSPACE`: the likelihood of a pyhf workspace, its gradient, fit, CLs."""

import json
import math
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from diffpipe.cache.errors import NonFiniteError, UsageError
from diffpipe.cli.answer import answer, computing
from diffpipe.cli.options import Printed, grouped

CALLS = 2000  # at most so many, or so many seconds, to time a call; the fastest counts
CALLS_SECONDS = 0.5


@dataclass(frozen=True)
class Asked:
    """Which workspace, where, and what of it."""

    workspace: Annotated[
        Path | None, typer.Argument(metavar="WORKSPACE", help="A workspace, JSON as pyhf's.")
    ] = None
    patch: Annotated[
        list[str] | None,
        typer.Option("--patch", metavar="FILE", help="A JSON patch, or FILE:name of a patch set."),
    ] = None
    measurement: Annotated[
        str | None, typer.Option("--measurement", help="By name; default: the first.")
    ] = None
    at: Annotated[
        list[str] | None,
        typer.Option(
            "--at", metavar="NAME=VALUE,...", help="The point; default: the start of fits."
        ),
    ] = None
    mu: Annotated[
        float | None, typer.Option("--cls", metavar="MU", help="CLs of this signal strength.")
    ] = None


@grouped
def histfactory(asked: Asked, printed: Printed) -> None:
    """log L of a HistFactory workspace, its gradient, the best fit, and CLs."""
    if asked.workspace is None:
        raise UsageError("name a workspace", hint="diffpipe histfactory workspace.json")
    with computing():
        document = _document(asked.workspace, asked)
    answer(document, _lines(document, asked), printed)


def _document(path: Path, asked: Asked) -> dict[str, Any]:
    import jax

    from diffpipe.pipelines.frameworks import jax as _float64  # noqa: F401
    from diffpipe.pipelines.physics.likelihood.histfactory.compile import compile
    from diffpipe.pipelines.physics.likelihood.histfactory.evaluation import Evaluation
    from diffpipe.pipelines.physics.likelihood.histfactory.load import load
    from diffpipe.pipelines.physics.likelihood.histfactory.patches import Patch
    from diffpipe.pipelines.physics.likelihood.histfactory.point import point

    jax.devices()  # JAX starts, which is not the workspace's doing
    began = time.perf_counter()
    patches = [Patch.of(text) for text in asked.patch or []]
    workspace = load(path, patches, asked.measurement)
    made = compile(workspace)
    evaluation = Evaluation(made)
    built = time.perf_counter() - began
    poi = None if asked.mu is None else _poi(made.poi, workspace.poi, asked.mu)
    theta = jax.device_put(point(made, _settings(asked.at or [])))
    (value, gradient), seconds = _timed(lambda: evaluation.value_and_gradient(theta))
    if not math.isfinite(value):
        raise _not_finite(evaluation, workspace, theta)
    found = {"logpdf": float(value), "gradient": _named(made.names, gradient)}
    fit = evaluation.best_fit()
    found["bestfit"] = _named(made.names, fit.theta) if fit.converged else None
    if not fit.converged:
        found["why"] = _unconverged("the fit", fit.iterations, fit.gradient).message
    if poi is not None:
        found["cls"] = _cls(evaluation, poi, asked.mu)
    return found | {"seconds": {"build": built} | seconds}


def _timed(call: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """What a function gives, and the seconds of its first call and of its fastest."""
    import jax

    began = time.perf_counter()
    found = jax.block_until_ready(call())
    first = time.perf_counter()
    fastest = math.inf
    for _ in range(CALLS):
        start = time.perf_counter()
        jax.block_until_ready(call())
        fastest = min(fastest, time.perf_counter() - start)
        if time.perf_counter() - first > CALLS_SECONDS:
            break
    return found, {"compile": first - began, "call": fastest}


def _named(names: Any, values: Any) -> dict[str, float]:
    return {name: float(value) for name, value in zip(names, values, strict=True)}


def _not_finite(evaluation: Any, workspace: Any, theta: Any) -> NonFiniteError:
    from diffpipe.pipelines.physics.likelihood.histfactory.diagnosis import told

    channels = {channel.name: channel.bins for channel in workspace.channels}
    observed = [count for channel in workspace.channels for count in channel.observed]
    why = told(evaluation.expected_bins(theta), observed, channels)
    return NonFiniteError("log L is not a finite number at this point", hint=why)


def _poi(poi: int | None, name: str, mu: float) -> int:
    """The parameter that a hypothesis is about."""
    if poi is None:
        raise UsageError(
            f"--cls: the measurement's parameter of interest, {name!r}, is none of the workspace",
            hint="apply the patch that adds the signal",
        )
    if not 0.0 <= mu < math.inf:
        raise UsageError(f"--cls {mu}: a signal strength to test is a number, zero or above")
    return poi


def _cls(evaluation: Any, poi: int, mu: Any) -> dict[str, Any]:
    from diffpipe.pipelines.physics.likelihood.inference.asymptotic import FITS

    found = evaluation.hypothesis(poi, mu)
    for name, converged, iterations, gradient in zip(
        FITS, found.fits.converged, found.fits.iterations, found.fits.gradient, strict=True
    ):
        if not converged:
            raise _unconverged(f"CLs: the {name}", iterations, gradient)
    expected = [float(each) for each in found.cls_expected]
    return {"observed": float(found.cls_observed), "expected": expected}


def _unconverged(name: str, iterations: Any, gradient: Any) -> NonFiniteError:
    return NonFiniteError(
        f"{name} has not converged: after {int(iterations)} steps the largest slope of log L is "
        f"{float(abs(gradient).max()):.3g}",
        hint="start it elsewhere: set inits of parameters in the measurement",
    )


def _settings(texts: list[str]) -> dict[str, Any]:
    """Values by name, from text such as mu=1,gamma=[1,1.1],alpha[0]=2."""
    parts = [part for text in texts for part in re.split(r",(?![^\[]*\])", text)]
    return dict(_setting(part) for part in parts)


def _setting(text: str) -> tuple[str, Any]:
    name, sign, raw = text.rpartition("=")
    try:
        value = json.loads(raw)
        numbers = [float(each) for each in (value if isinstance(value, list) else [value])]
    except (ValueError, TypeError, RecursionError):
        numbers = []
    if not sign or not numbers or not all(map(math.isfinite, numbers)):
        raise UsageError(
            f"--at {text}: not name=value with a finite number or a list of them",
            hint="--at mu=1, or --at 'gamma[0]=1.1,gamma[1]=0.9', or --at 'gamma=[1.1,0.9]'",
        )
    return name.strip(), numbers if isinstance(value, list) else numbers[0]


def _lines(document: dict[str, Any], asked: Asked) -> Iterator[str]:
    gradient, best = document["gradient"], document["bestfit"] or {}
    yield f"{asked.workspace}: {len(gradient)} parameters"
    yield f"  log L    = {document['logpdf']:.10g}"
    yield f"  -2 log L = {-2.0 * document['logpdf']:.10g}"
    width = max(map(len, [*gradient, "parameter"]))
    yield f"  {'parameter':{width}}  {'d log L/d parameter':>20}  {'best fit':>14}"
    for name, slope in gradient.items():
        fitted = f"{best[name]:14.8g}" if best else f"{'-':>14}"
        yield f"  {name:{width}}  {slope:20.10g}  {fitted}"
    if "why" in document:
        yield f"  {document['why']}"
    if "cls" in document:
        expected = ", ".join(f"{each:.6g}" for each in document["cls"]["expected"])
        yield f"  CLs of mu = {asked.mu:g}: {document['cls']['observed']:.8g}"
        yield f"    expected at -2, -1, 0, 1, 2 sigma: {expected}"
    times = ", ".join(f"{name} {each:.3g} s" for name, each in document["seconds"].items())
    yield f"  {times}"
