"""`diffpipe diff RUN RUN`: what was changed between two runs, and how far their results moved."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from diffpipe.cache.errors import UsageError
from diffpipe.cli.columns import PLAIN
from diffpipe.cli.options import JsonOption, StoreOption, open_store
from diffpipe.cli.report import print_json

if TYPE_CHECKING:
    from diffpipe.rules.provenance.comparison import Comparison, Side
    from diffpipe.rules.provenance.moved import Component, Moved, Result

_WORDS = "A run's name, the beginning of it, last, last~1, ... or -1, -2, ..."
OldRun = Annotated[str, typer.Argument(metavar="[OLD]", help=_WORDS)]
NewRun = Annotated[str, typer.Argument(metavar="[NEW]", help="The same.")]
_WORDY = ("output", "gradient", "unit")  # columns of words
_OF = "x[2] of 9: of the 9 components of x, x[2] moved most"
_FEW = {"outputs": 4, "gradient": 12}  # components of an array that are shown one by one


def diff(
    old: OldRun = "last~1",
    new: NewRun = "last",
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what changed between two runs, and by how much outputs and gradients moved."""
    from diffpipe.rules.provenance.comparison import Comparison, Side

    for text in (old, new):
        if text.startswith("-") and not text[1:].isdigit():
            raise UsageError(f"no such option: {text}", hint="diffpipe diff --help")
    opened = open_store(store, create=False)
    found = Comparison(Side.find(opened, old), Side.find(opened, new))
    print_json(_document(found)) if as_json else _print(found)


def _document(found: "Comparison") -> dict[str, Any]:
    return {
        "old": _run(found.old),
        "new": _run(found.new),
        "changed": [
            {"kind": each.kind, "name": each.name, "old": each.old, "new": each.new}
            for each in found.changed
        ],
        "stages": found.stages,
        "outputs": {each.name: _moved(each) for each in found.outputs},
        "gradient": {each.name: _moved(each) for each in found.gradient},
    }


def _run(side: "Side") -> dict[str, Any]:
    past = side.past
    return {"run": side.run.folder.name, "pipeline": past.pipeline, "direction": past.direction}


def _moved(moved: "Moved") -> dict[str, Any]:
    ends = {"old": moved.old, "new": moved.new}
    values = {word: each.value for word, each in ends.items()}
    missing = {word: each.why for word, each in ends.items() if each.why}
    largest = moved.largest
    found: dict[str, Any] = values | ({"missing": missing} if missing else {})
    if largest is not None:
        by = {"difference": largest.difference, "relative": largest.relative}
        found["moved"] = {"component": largest.name} | by
    return found


def _print(found: "Comparison") -> None:
    from rich.console import Console

    from diffpipe.rules.provenance.changes import said

    console = Console()
    for word, side in (("old", found.old), ("new", found.new)):
        past = side.past
        line = f"{word}: run {side.run.folder.name}, {past.pipeline} {past.direction}"
        console.print(line, **PLAIN)
    lines = [f"  {each}" for each in said(found.changed)] or ["  nothing that was asked differs"]
    console.print("changed:", style="bold")
    for line in [*lines, *_fates(found)]:
        console.print(line, **PLAIN)
    for title, results in (("outputs", found.outputs), ("gradient", found.gradient)):
        if results:
            _table(console, title, results)


def _fates(found: "Comparison") -> Iterator[str]:
    words = {
        "same": "the same",
        "changed": "changed themselves",
        "follows": "follow from a parameter or an input",
        "new": "only in the new run",
        "gone": "only in the old run",
    }
    for fate, text in words.items():
        stages = [name for name, each in found.stages.items() if each == fate]
        if stages:
            yield f"  stages {text}: {', '.join(stages)}"


def _table(console: Any, title: str, results: "list[Moved]") -> None:
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold")
    for name in (title.removesuffix("s"), "old", "new", "difference", "relative", "unit"):
        table.add_column(name, justify="left" if name in _WORDY else "right")
    for moved in results:
        for row in () if moved.is_same else _rows(moved, _FEW[title]):
            table.add_row(*row)
    same = [each.name for each in results if each.is_same]
    if table.row_count:
        console.print(table)
    if any(len(each.compared) > _FEW[title] and not each.is_same for each in results):
        console.print(_OF, style="dim", **PLAIN)
    if same:
        text = f"{title} the same, to the bit: {', '.join(same)}"
        console.print(text, style="dim", **PLAIN)


def _rows(moved: "Moved", few: int) -> Iterator[list[str]]:
    compared = moved.compared
    if not compared:
        yield [moved.name, _words(moved.old), _words(moved.new), "", "", ""]
    elif len(compared) <= few:
        yield from (_row(each.name, each, moved.unit) for each in compared)
    elif moved.largest is not None:
        name = f"{moved.largest.name} of {len(compared)}"
        yield _row(name, moved.largest, moved.unit)


def _words(result: "Result") -> str:
    """Why there is no value, or the value, which is not compared."""
    from diffpipe.rules.provenance.components import components

    if result.why:
        return result.why
    first, *more = (f"{number:.8g}" for _, number in components("", result.value))
    return ", ".join([first, *more[:1]]) + (", ..." if len(more) > 1 else "")


def _row(name: str, each: "Component", unit: str) -> list[str]:
    relative = "" if each.relative is None else f"{each.relative:+.2e}"
    return [name, f"{each.old:.8g}", f"{each.new:.8g}", f"{each.difference:+.3e}", relative, unit]
