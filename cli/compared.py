"""What was predicted of a run, beside what it took."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from diffpipe.cache.layout import RunLayout
    from diffpipe.cache.store import Store
    from diffpipe.rules.prediction import Found, Prediction, Row
    from diffpipe.rules.runs import Outcome


@dataclass(frozen=True)
class Compared:
    """A run, its prediction, and what each of its steps took."""

    run: "RunLayout"
    prediction: "Prediction"
    found: "dict[str, Found]"
    outcome: "Outcome"

    @property
    def rows(self) -> "list[tuple[str, Row, Found]]":
        """The steps that it was to compute."""
        from diffpipe.rules.prediction import Found

        rows = self.prediction.rows.items()
        return [(name, row, self.found.get(name, Found())) for name, row in rows if row.to_run]


def last(store: "Store") -> Compared | None:
    """The last run of a store of which something was predicted."""
    from diffpipe.rules import prediction, runs

    for run in reversed(runs.all_runs(store)):
        predicted = prediction.Prediction.read(run)
        if predicted is not None:
            return Compared(run, predicted, prediction.found(run), runs.outcome(run))
    return None


def document(compared: Compared) -> dict[str, Any]:
    """Predicted and measured, as plain values."""
    steps = {
        name: {
            "slots": {"predicted": row.to_run, "measured": one.slots},
            "seconds": {"predicted": row.seconds, "measured": one.seconds},
            "bytes": {"predicted": row.bytes, "measured": one.bytes},
            "peak_mb": {"predicted": row.peak_mb, "measured": one.peak_mb},
        }
        for name, row, one in compared.rows
    }
    predicted = compared.prediction
    return {
        "run": compared.run.folder.name,
        "steps": steps,
        "workers": predicted.workers,
        "seconds": {"predicted": predicted.seconds, "measured": compared.outcome.seconds},
        "peak_mb": {"predicted": predicted.peak_mb, "measured": _peak(compared)},
    }


def show(compared: Compared) -> None:
    """Print both, step by step."""
    from rich.console import Console

    from diffpipe.cli.columns import PLAIN, aligned

    rows = [[name, *_cells(row, one)] for name, row, one in compared.rows]
    total = ["in all", *_total(compared)]
    head, *lines = aligned([_HEAD, *rows, total], right=range(1, len(_HEAD)))
    console = Console()
    console.print(head, style="bold", **PLAIN)
    for line in [*lines, *_words(compared)]:
        console.print(line, **PLAIN)


_HEAD = ["step", "predicted s", "measured s", "predicted MB", "measured MB", "peak MB", "measured"]


def _cells(row: "Row", one: "Found") -> list[str]:
    seconds = "?" if row.seconds is None else f"{row.seconds:.2f}"
    sizes = [f"{each / 1e6:.3f}" for each in (row.bytes, one.bytes)]
    return [seconds, f"{one.seconds:.2f}", *sizes, f"{row.peak_mb:.0f}", f"{one.peak_mb:.0f}"]


def _total(compared: Compared) -> list[str]:
    known = [row.seconds for _, row, _ in compared.rows]
    seconds = [each for each in known if each is not None]
    return [
        f"{sum(seconds):.2f}" if len(seconds) == len(known) else "?",
        f"{sum(one.seconds for *_, one in compared.rows):.2f}",
        f"{sum(row.bytes for _, row, _ in compared.rows) / 1e6:.3f}",
        f"{sum(one.bytes for *_, one in compared.rows) / 1e6:.3f}",
        f"{compared.prediction.peak_mb:.0f}",
        f"{_peak(compared):.0f}",
    ]


def _peak(compared: Compared) -> float:
    return max((one.peak_mb for *_, one in compared.rows), default=0.0)


def _words(compared: Compared) -> list[str]:
    """How long it took, from the first worker's start to the end."""
    prediction, took = compared.prediction, compared.outcome.seconds
    workers = f"{prediction.workers} worker{'s' * (prediction.workers > 1)}"
    known = "not known" if prediction.seconds is None else f"{prediction.seconds:.1f} s"
    ended = "did not end" if took is None else f"took {took:.1f} s, with its start"
    return [f"run {compared.run.folder.name}: predicted {known} of {workers}, {ended}"]
