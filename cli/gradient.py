"""`diffpipe gradient --by stage|shard`: what each stage, or shard, contributes to each gradient."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from diffpipe.cache.errors import UsageError, did_you_mean
from diffpipe.cli.options import Chosen, JsonOption, grouped, names
from diffpipe.cli.report import print_json
from diffpipe.cli.where import Where

if TYPE_CHECKING:
    from diffpipe.cache.store import Store
    from diffpipe.pipelines.core.model import Pipeline
    from diffpipe.rules.drive import Finished
    from diffpipe.rules.provenance.contributions import Spread


_Row = dict[str, Any]
_Rows = dict[str, dict[str, _Row]]  # component of a parameter -> stage -> what is said of it
_FEW = 12  # components of a parameter that are shown one by one
_LENGTH = 20  # characters of a bar that is the whole


class By(StrEnum):
    STAGE = "stage"
    SHARD = "shard"


@dataclass(frozen=True)
class Shared:
    """Of what the gradient is, and by what it is told apart."""

    by: Annotated[By, typer.Option("--by", help="What contributes.")] = By.STAGE
    of: Annotated[
        str | None, typer.Option("--of", metavar="STAGE.OUTPUT", help="Another objective.")
    ] = None
    wrt: Annotated[
        str | None, typer.Option("--wrt", metavar="NAME,...", help="Only these parameters.")
    ] = None
    as_json: JsonOption = False
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False


@grouped
def gradient(chosen: Chosen, shared: Shared, where: Where) -> None:
    """Show what each stage contributes to each parameter's gradient, computing what is missing."""
    store, pipeline = chosen.open_store(), chosen.open_pipeline(where.gpus_per_job)
    for name in names(shared.wrt) or []:
        if name not in pipeline.parameters:
            hint = did_you_mean(name, pipeline.parameters)
            raise UsageError(f"--wrt: unknown parameter {name!r}", hint=hint)
    finished = _finished(store, pipeline, shared, where)
    rows = _rows(store, finished, shared.by)
    if shared.as_json:
        print_json(_document(finished, shared.by, rows))
    else:
        _print(finished, shared.by, rows)


def _finished(store: "Store", pipeline: "Pipeline", shared: Shared, where: Where) -> "Finished":
    from diffpipe.cli.progress import make_observer
    from diffpipe.pipelines.core.plan import Request
    from diffpipe.rules.drive import Drive

    place, limits = where.place(), where.limits
    request = Request(
        direction="backward",
        of=[shared.of] if shared.of else None,
        wrt=names(shared.wrt),
        jobs=place.jobs,
        mem_mb=limits.mem_mb,
        runtime_min=limits.runtime_min,
    )
    with make_observer(shared.quiet, False) as observer:
        return Drive(store, pipeline, request, place, observer).run()


def _rows(store: "Store", finished: "Finished", by: By) -> _Rows:
    from diffpipe.rules.provenance import contributions

    if by is By.STAGE:
        return {
            label: {
                stage: {"contribution": part, "share": contributions.share(part, parts.values())}
                for stage, part in parts.items()
            }
            for label, parts in contributions.by_stage(store, finished.plan).items()
        }
    return {
        label: {stage: _spread(each) for stage, each in spreads.items()}
        for label, spreads in contributions.by_shard(store, finished.plan).items()
    }


def _spread(spread: "Spread") -> _Row:
    return {
        "contribution": spread.total,
        "parts": len(spread.parts),
        "least": spread.least,
        "most": spread.most,
        "largest": spread.largest,
        "its share": spread.share,
    }


def _document(finished: "Finished", by: By, rows: _Rows) -> dict[str, Any]:
    plan, results = finished.plan, finished.results
    return {
        "pipeline": plan.pipeline,
        "objective": {"name": plan.objective_name, "value": results.objective},
        "gradient": dict(results.gradient),
        f"by_{by.value}": rows,
        "store": plan.store,
    }


def _print(finished: "Finished", by: By, rows: _Rows) -> None:
    from rich.console import Console
    from rich.table import Table

    title = f"{finished.plan.pipeline}: gradient of {finished.plan.objective_name} by {by.value}"
    table = Table(title=title, title_justify="left")
    for name in ("parameter", "stage", *_COLUMNS[by]):
        table.add_column(name, justify="right" if name in _NUMBERS else "left")
    shown = _shown(rows)
    for label in shown:
        for cells in _cells(label, rows[label], by):
            table.add_row(*cells)
        if len(rows[label]) > 1:
            table.add_section()
    console = Console()
    console.print(table)
    if len(shown) < len(rows):
        text = f"of arrays of more than {_FEW}: the component with the largest parts; all by --json"
        console.print(text, style="dim")


def _shown(rows: _Rows) -> list[str]:
    """The components of a small parameter; of a large one that with the largest parts."""
    by_parameter: dict[str, list[str]] = {}
    for label in rows:
        by_parameter.setdefault(label.partition("[")[0], []).append(label)

    def size(label: str) -> float:
        return sum(abs(each["contribution"]) for each in rows[label].values())

    found: list[str] = []
    for labels in by_parameter.values():
        found += labels if len(labels) <= _FEW else [max(labels, key=size)]
    return found


def _cells(label: str, stages: dict[str, _Row], by: By) -> Iterator[list[str]]:
    names, parts = _COLUMNS[by], [row["contribution"] for row in stages.values()]
    for number, (stage, row) in enumerate(stages.items()):
        cells = [_COLUMNS[by][name](row[name]) for name in names]
        yield ["" if number else label, stage, *cells]
    if by is By.STAGE and len(stages) != 1:
        yield ["" if stages else label, "all", _signed(sum(parts)), ""]


def _signed(value: float) -> str:
    return f"{value:+.6e}"


def _rough(value: float) -> str:
    return f"{value:+.3e}"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"


def _bar(share: float | None) -> str:
    return "" if share is None else f"{share:6.1%} {'█' * round(_LENGTH * share)}"


_COLUMNS: dict[By, dict[str, Callable[[Any], str]]] = {
    By.STAGE: {"contribution": _signed, "share": _bar},
    By.SHARD: {
        "contribution": _signed,
        "parts": str,
        "least": _rough,
        "most": _rough,
        "largest": str,
        "its share": _percent,
    },
}
_NUMBERS = ("contribution", *_COLUMNS[By.SHARD])
