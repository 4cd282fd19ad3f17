"""The display of a run: bars per stage and sweep on a terminal, a few plain lines elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from diffpipe.pipelines.core.plan import Plan
    from diffpipe.rules.drive import Observer
    from diffpipe.rules.runs import Records

_LABELS = {
    "primal": "forward",
    "pullback": "backward",
    "reduction": "sum",
    "tangent": "tangents",
    "bend": "second derivatives",
    "curvature": "curvature",
}
_LINE_SECONDS = 60.0


@contextmanager
def make_observer(quiet: bool, verbose: bool) -> Iterator["Observer"]:
    """A display on standard error, as it suits where that goes."""
    if quiet:
        yield Silent()
    elif sys.stderr.isatty():
        with Live() as display:
            yield display
    else:
        yield Lines(verbose)


class Silent:
    """Says nothing."""

    def planned(self, plan: "Plan", records: "Records") -> None:
        pass

    def tick(self, queued: int) -> None:
        del queued

    def said(self, text: str) -> None:
        pass


class Lines:
    """Plain lines: what will run, how far it is once a minute, what is out of the ordinary."""

    def __init__(self, verbose: bool) -> None:
        self._verbose = verbose
        self._told: set[str] = set()
        self._next = time.monotonic() + _LINE_SECONDS
        self._plan: Plan | None = None
        self._records: Records | None = None

    def planned(self, plan: "Plan", records: "Records") -> None:
        missing = plan.missing
        steps = sum(1 for count in missing.values() if count)
        text = f"{sum(missing.values())} slots of {steps} steps to compute, {len(plan.tasks)} tasks"
        self.said(f"{plan.pipeline}: {text}")
        self._plan, self._records = plan, records

    def tick(self, queued: int) -> None:
        if self._plan is None or self._records is None:
            return
        if self._verbose:
            for task, event in self._records.tasks.items():
                if event != "started" and task not in self._told:
                    self._told.add(task)
                    self.said(f"task {task} {event}")
        if time.monotonic() > self._next:
            self._next += _LINE_SECONDS
            total = sum(self._plan.missing.values())
            tasks = _tasks(self._records, queued)
            self.said(f"{self._records.done.total()} of {total} slots, {tasks}")

    def said(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


class Live:
    """Bars that move from the first moment on; imported late, since rich takes a while."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            SpinnerColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self._progress = Progress(
            SpinnerColumn(finished_text="[green]✓"),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("[dim]{task.fields[note]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            refresh_per_second=8,
        )
        self._total = self._progress.add_task("[bold]planning", total=None, note="")
        self._bars: dict[tuple[str, str], Any] = {}
        self._reused: dict[tuple[str, str], int] = {}
        self._since: dict[tuple[str, str], float] = {}
        self._records: Records | None = None

    def __enter__(self) -> "Live":
        self._progress.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._progress.stop()

    def planned(self, plan: "Plan", records: "Records") -> None:
        for bar in self._bars.values():
            self._progress.remove_task(bar)
        self._bars, self._records = {}, records
        missing = plan.missing
        for step in plan.steps:
            if missing[step.id] and step.kind != "reduction":
                place = (step.stage, step.kind)
                label = f"{step.stage} [dim]{_LABELS[step.kind]}"
                self._bars[place] = self._progress.add_task(label, total=missing[step.id], note="")
                self._reused[place] = plan.slots_present[step.id]
        total = sum(missing.values())
        title = f"[bold]{plan.pipeline}"
        self._progress.update(self._total, description=title, total=total, completed=0)

    def tick(self, queued: int) -> None:
        if self._records is None:
            return
        for place, bar in self._bars.items():
            note = self._note(place)
            self._progress.update(bar, completed=self._records.done[place], note=note)
        done, note = self._records.done.total(), _tasks(self._records, queued)
        self._progress.update(self._total, completed=done, note=note)

    def said(self, text: str) -> None:
        self._progress.console.print(text)

    def _note(self, place: tuple[str, str]) -> str:
        """How many a second since it began, and how many are reused."""
        assert self._records is not None
        done, now = self._records.done[place], time.monotonic()
        seconds = now - self._since.setdefault(place, now) if done else 0.0
        rate = f"{done / seconds:.3g}/s " if seconds else ""
        return rate + (f"{self._reused[place]} reused" if self._reused[place] else "")


def _tasks(records: "Records", queued: int) -> str:
    """How many tasks run, and how many have been submitted and wait."""
    running = sum(1 for event in records.tasks.values() if event == "started") - queued
    return f"{max(running, 0)} tasks running" + (f", {queued} queued" if queued else "")
