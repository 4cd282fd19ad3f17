"""What a finished fit says: tables for people, one JSON document for programs."""

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from diffpipe.rules.fit.fit import Fit, Fitted
    from diffpipe.rules.fit.profiles import Scan
    from diffpipe.rules.fit.sweeps import Sweeps

_MOST_ROWS = 60
_MOST_CORRELATIONS = 7
_PRIORS = (
    "priors: independent widths, as written in the pipeline file; they are not the covariance of a "
    "set of densities"
)


def document(found: "Fit", sweeps: "Sweeps") -> dict[str, Any]:
    """The JSON document of a fit; numbers at full precision."""
    fitted = found.fitted
    return {
        "pipeline": sweeps.pipeline.name,
        **_fitted(fitted),
        "values": fitted.problem.space.values(fitted.minimum.point.x),
        "bounds": fitted.problem.space.at_bounds(fitted.minimum.point.x),
        "without_priors": None if found.held is None else _fitted(found.held),
        "scans": [_scan(each) for each in found.scans],
        "calls": sweeps.calls,
        "remembered": sweeps.remembered,
        "stages": {
            name: {"executed": sweeps.executed[name], "reused": sweeps.reused[name]}
            for name in sweeps.pipeline.stages
        },
        "seconds": round(sweeps.seconds, 3),
        "store": str(sweeps.store.root),
    }


def show(found: "Fit", sweeps: "Sweeps", minimizer: str) -> None:
    """Print values, errors, correlations, goodness of fit, scans, and what it took."""
    from rich.console import Console

    console = Console()
    fitted = found.fitted
    console.print(f"{sweeps.pipeline.name}: {sweeps.objective} by {minimizer}", highlight=False)
    console.print(_parameters(found))
    if fitted.uncertainty is not None and len(fitted.problem.space.labels) > 1:
        _print_correlations(console, fitted)
    for line in _lines(found, sweeps):
        console.print(line, highlight=False, soft_wrap=True)
    for each in found.scans:
        console.print(_scan_table(each))
        if each.fitted or each.interval:
            console.print(f"{each.name}: {_interval(each)}", highlight=False)
    executed, reused = sweeps.executed.total(), sweeps.reused.total()
    text = f"{sweeps.calls} calls, {sweeps.remembered} remembered; {executed} shards computed, "
    console.print(f"{text}{reused} reused; {sweeps.seconds:.1f} s", style="dim", highlight=False)


def _fitted(fitted: "Fitted") -> dict[str, Any]:
    space, point, spread = fitted.problem.space, fitted.minimum.point, fitted.uncertainty
    rows = zip(space.labels, point.x.tolist(), _errors(fitted), strict=True)
    good = fitted.goodness
    return {
        "parameters": {label: {"value": value, "error": error} for label, value, error in rows},
        "objective": point.value,
        "covariance": None if spread is None else spread.covariance.tolist(),
        "correlations": None if spread is None else spread.correlations.tolist(),
        "errors_from": None if spread is None else spread.source,
        "goodness": None
        if good is None
        else {
            "chi2": good.chi2,
            "points": good.points,
            "degrees": good.degrees,
            "probability": None if np.isnan(good.probability) else good.probability,
        },
        "converged": fitted.minimum.converged,
        "why": fitted.minimum.why,
    }


def _parameters(found: "Fit") -> Any:
    """One row a parameter; columns that say nothing are left out."""
    from rich.table import Table

    space = found.fitted.problem.space
    columns = {name: each for name, each in _columns(found).items() if any(each)}
    table = Table()
    table.add_column("parameter", no_wrap=True)
    for name in columns:
        table.add_column(name, justify="left" if name == "unit" else "right", no_wrap=True)
    for k, label in enumerate(space.labels[:_MOST_ROWS]):
        table.add_row(label, *(each[k] for each in columns.values()))
    if len(space.labels) > _MOST_ROWS:
        table.add_row(f"... {len(space.labels) - _MOST_ROWS} more")
    return table


def _columns(found: "Fit") -> dict[str, list[str]]:
    space, held = found.fitted.problem.space, _held(found)
    x, errors = found.fitted.minimum.point.x.tolist(), _errors(found.fitted)
    priors = zip(space.has_prior, space.mean, space.width, strict=True)
    units = [each.unit for each in space.parameters.values() for _ in range(np.size(each.value))]
    return {
        "unit": ["" if each == "1" else each for each in units],
        "value": [_rounded(*each) for each in zip(x, errors, strict=True)],
        "error": ["" if each is None else f"{each:.2g}" for each in errors],
        "prior": [f"{mean:.6g} ± {width:.3g}" if has else "" for has, mean, width in priors],
        "priors held": [held.get(label, "") for label in space.labels],
    }


def _errors(fitted: "Fitted") -> list[float | None]:
    if fitted.uncertainty is None:
        return [None] * len(fitted.problem.space.labels)
    return list(map(float, fitted.uncertainty.errors))


def _held(found: "Fit") -> dict[str, str]:
    """Values and errors of the fit with the priors' parameters held, in words, by label."""
    if found.held is None:
        return {}
    labels, x = found.held.problem.space.labels, found.held.minimum.point.x.tolist()
    return {
        label: _rounded(value, error) + (f" ± {error:.2g}" if error else "")
        for label, value, error in zip(labels, x, _errors(found.held), strict=True)
    }


def _lines(found: "Fit", sweeps: "Sweeps") -> list[str]:
    fitted = found.fitted
    lines = [f"{sweeps.objective} = {fitted.minimum.point.value:.10g}"]
    if fitted.goodness is not None:
        good = fitted.goodness
        lines.append(
            f"chi^2 = {good.chi2:.6g} for {good.degrees} degrees of freedom "
            f"({good.points} points), p = {good.probability:.3g}"
        )
    if fitted.uncertainty is not None:
        lines.append(f"errors from the Hessian ({fitted.uncertainty.source})")
    if fitted.problem.space.has_prior.any():
        lines.append(_PRIORS)
    lines += _moves(found)
    lines += [f"{each}: its error does not hold there" for each in _at_bounds(fitted)]
    if not fitted.minimum.converged:
        lines.append(f"not converged: {fitted.minimum.why}")
    return lines


def _moves(found: "Fit") -> list[str]:
    """By how much parameters and errors move when those with priors are let go."""
    if found.held is None or found.held.uncertainty is None or found.fitted.uncertainty is None:
        return []
    whole, held, lines = found.fitted, found.held, []
    assert whole.uncertainty is not None
    assert held.uncertainty is not None
    for k, label in enumerate(held.problem.space.labels):
        place = whole.problem.space.labels.index(label)
        shift = whole.minimum.point.x[place] - held.minimum.point.x[k]
        before, after = held.uncertainty.errors[k], whole.uncertainty.errors[place]
        lines.append(
            f"{label} moves by {shift:+.2g} ({shift / before:+.2f} of its error) when they are let "
            f"go; its error grows {after / before:.2f} times"
        )
    return lines


def _at_bounds(fitted: "Fitted") -> list[str]:
    return fitted.problem.space.at_bounds(fitted.minimum.point.x)


def _print_correlations(console: Any, fitted: "Fitted") -> None:
    from rich.table import Table

    assert fitted.uncertainty is not None
    labels, matrix = fitted.problem.space.labels, fitted.uncertainty.correlations
    shown = labels[:_MOST_CORRELATIONS]
    columns = [f"{k + 1}" for k in range(len(shown))]
    table = Table("", "correlation with", *columns, title_justify="left")
    for k, label in enumerate(shown):
        row = [f"{each:+.2f}" for each in matrix[k, : k + 1]]
        table.add_row(columns[k], label, *row)
    console.print(table)
    if len(labels) > len(shown):
        console.print(f"... of {len(labels)} parameters; --json gives all", highlight=False)


def _scan(each: "Scan") -> dict[str, Any]:
    return {
        "name": each.name,
        "values": each.values,
        "rises": each.rises,
        "fitted": dict(each.fitted),
        "interval": None if each.interval is None else list(each.interval),
    }


def _scan_table(each: "Scan") -> Any:
    from rich.table import Table

    others = list(each.fitted)[:4]
    what = "others fitted" if each.interval is not None else "others held"
    table = Table(title=f"{each.name}, {what}", title_justify="left")
    for name in (each.name, "rise", *others):
        table.add_column(name, justify="right")
    for k, (value, rise) in enumerate(zip(each.values, each.rises, strict=True)):
        table.add_row(f"{value:.8g}", f"{rise:.6g}", *(f"{each.fitted[n][k]:.6g}" for n in others))
    return table


def _interval(each: "Scan") -> str:
    assert each.interval is not None
    low, high = ("beyond the scan" if end is None else f"{end:.8g}" for end in each.interval)
    return f"one sigma from {low} to {high}"


def _rounded(value: float, error: float | None) -> str:
    """A value with two digits of its error."""
    if error is None or not error > 0.0:
        return f"{value:.8g}"
    digits = max(0, 1 - int(np.floor(np.log10(error))))
    return f"{value:.{digits}f}" if digits <= 12 else f"{value:.8g}"
