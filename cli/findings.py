"""What laws found, printed: failures first."""

from collections.abc import Iterable
from typing import Any

Found = dict[str, Any]  # of a stage, or of a whole pipeline: `findings`, and what they are about

_ORDER = {"failed": "bold red", "not decided": "yellow", "remark": "yellow", "passed": "green"}


def passed(found: Found) -> bool:
    """Whether no law failed."""
    return all(each["verdict"] != "failed" for each in found["findings"])


def show_all(found: Found) -> None:
    """Print all that was found of a stage, failures first."""
    from rich.console import Console

    console = Console()
    console.print(_title(found), highlight=False)
    console.print(_table(_rows([found], named=False)))
    counts = _counts(found)
    summary = ", ".join([f"{counts['passed']} passed", *_others(counts)])
    console.print(summary, style="dim", highlight=False)


def show(all_found: list[Found], *, verbose: bool) -> None:
    """Print failures and what is not decided; of what else was found a line each, or all of it."""
    from rich.console import Console

    console = Console()
    rows = list(_rows(all_found, named=True))
    told = [row for row in rows if verbose or row[1] not in ("passed", "remark")]
    if told:
        console.print(_table(told))
    lines = [_line(found) for found in all_found if passed(found)]
    if lines:
        console.print(_table(lines))


def _rows(all_found: Iterable[Found], *, named: bool) -> list[tuple[str, ...]]:
    """(stage,) verdict, law, array and words of each finding, failures first."""
    rows: list[tuple[str, ...]] = [
        (found["stage"], each["verdict"], each["law"], each["array"], each["words"])
        for found in all_found
        for each in found["findings"]
    ]
    rows.sort(key=lambda row: [*_ORDER].index(row[1]))
    return rows if named else [row[1:] for row in rows]


def _line(found: Found) -> tuple[str, ...]:
    """`pdf  passed 23 laws`; how many others there are, and how many sweeps it took."""
    counts = _counts(found)
    laws = "law" if counts["passed"] == 1 else "laws"
    sweeps = [f"{found['sweeps']} sweeps beside the gradient's"] if "sweeps" in found else []
    return found["stage"], ", ".join(
        [f"passed {counts['passed']} {laws}", *_others(counts), *sweeps]
    )


def _table(rows: Iterable[tuple[str, ...]]) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for row in rows:
        table.add_row(*(Text(text, style=_ORDER.get(text, "")) for text in row))
    return table


def _title(found: Found) -> str:
    place = ""
    if found["over"] == "events":
        place = f", {found['rows']} of {found['of_rows']} events of shard {found['shard']}"
    return f"{found['stage']} ({found['framework']}){place}"


def _counts(found: Found) -> dict[str, int]:
    said = [each["verdict"] for each in found["findings"]]
    return {word: said.count(word) for word in _ORDER}


def _others(counts: dict[str, int]) -> list[str]:
    """What did not pass, in words."""
    remarks = "remark" if counts["remark"] == 1 else "remarks"
    texts = {"failed": "failed", "not decided": "not decided", "remark": remarks}
    return [f"{counts[word]} {text}" for word, text in texts.items() if counts[word]]
