"""`diffpipe log`: the runs of a store, what each found, and what was changed before it."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from diffpipe.cli.columns import PLAIN, aligned
from diffpipe.cli.options import JsonOption, StoreOption, open_store
from diffpipe.cli.report import print_json

if TYPE_CHECKING:
    from diffpipe.rules.provenance.changes import Change
    from diffpipe.rules.provenance.history import Entry

LastOption = Annotated[int, typer.Option("--last", min=1, metavar="N", help="So many runs.")]
_FEW = 6  # changes that a line of the table shows


def log(last: LastOption = 10, store: StoreOption = None, as_json: JsonOption = False) -> None:
    """List the last runs of a store: objective, gradient, parameters changed, shards computed."""
    from diffpipe.rules.provenance import history

    opened = open_store(store, create=False)
    found = history.entries(opened, last)
    if as_json:
        print_json({"store": str(opened.root), "runs": [_document(each) for each in found]})
    elif found:
        _print(found, history.short_names(opened))
    else:
        print(f"no runs in {opened.root}")


def _document(entry: "Entry") -> dict[str, Any]:
    past, outcome = entry.past, entry.outcome
    name = past.objective_name if past else None
    return {
        "run": entry.name,
        "at": entry.began.astimezone().isoformat(timespec="seconds") if entry.began else None,
        "pipeline": past and past.pipeline,
        "direction": past and past.direction,
        "objective": {"name": name, "value": outcome.objective} if name else None,
        "gradient_norm": outcome.gradient_norm,
        "changed": [_changed(each) for each in entry.changed] if entry.before else None,
        "executed": entry.executed,
        "reused": entry.reused,
        "state": entry.state,
        "seconds": outcome.seconds,
        "error": outcome.message or None,
    }


def _changed(change: "Change") -> dict[str, Any]:
    return {"kind": change.kind, "name": change.name, "old": change.old, "new": change.new}


def _print(found: "list[Entry]", short: dict[str, str]) -> None:
    """A line a run, and under it what was changed."""
    from rich.console import Console

    console = Console()
    rows = [_HEAD, *([short[entry.name], *_cells(entry)] for entry in found)]
    head, *lines = aligned(rows, right=range(3, 7))
    console.print(head, style="bold", **PLAIN)
    for entry, line in zip(found, lines, strict=True):
        console.print(line, style=None if entry.state in ("done", "at work") else "red", **PLAIN)
        for said in _said(entry):
            console.print(f"    {said}", style="cyan", **PLAIN)


_HEAD = ["run", "pipeline", "sweep", "objective", "|gradient|", "computed", "reused", "ended"]


def _cells(entry: "Entry") -> list[str]:
    past, outcome = entry.past, entry.outcome
    seconds = "" if outcome.seconds is None else f" {outcome.seconds:.1f} s"
    return [
        past.pipeline if past else "?",
        past.direction if past else "?",
        "" if outcome.objective is None else f"{outcome.objective:.8g}",
        "" if outcome.gradient_norm is None else f"{outcome.gradient_norm:.3e}",
        str(entry.executed),
        str(entry.reused),
        entry.state + seconds,
    ]


def _said(entry: "Entry") -> list[str]:
    """What was changed, and why a run failed."""
    from diffpipe.rules.provenance.changes import said

    lines = said(entry.changed)
    lines, more = lines[:_FEW], len(lines) - _FEW
    return [*lines, *[f"... {more} more"] * (more > 0), *filter(None, [entry.outcome.message])]
