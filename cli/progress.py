"""The live display of a run: a bar per stage and sweep on a terminal, a few lines elsewhere."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from diffpipe.pipelines.core.plan import Plan
    from diffpipe.rules.drive import Observer
    from diffpipe.rules.runs import Records

_LABELS = {"primal": "forward", "pullback": "backward", "reduction": "sum"}


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

    def tick(self) -> None:
        pass

    def said(self, text: str) -> None:
        pass


class Lines:
    """Plain lines: what will run, and what is out of the ordinary."""

    def __init__(self, verbose: bool) -> None:
        self._verbose = verbose
        self._tasks: set[str] = set()
        self._records: Records | None = None

    def planned(self, plan: "Plan", records: "Records") -> None:
        missing = plan.missing
        stages = sum(1 for count in missing.values() if count)
        text = (
            f"{sum(missing.values())} slots of {stages} steps to compute, {len(plan.tasks)} tasks"
        )
        print(f"{plan.pipeline}: {text}", file=sys.stderr)
        self._records = records

    def tick(self) -> None:
        if self._verbose and self._records is not None:
            for path in sorted(self._records.run.done.glob("*")):
                if path.name not in self._tasks:
                    self._tasks.add(path.name)
                    print(f"task {path.name} done", file=sys.stderr)

    def said(self, text: str) -> None:
        print(text, file=sys.stderr)


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
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            refresh_per_second=8,
        )
        self._total = self._progress.add_task("[bold]planning", total=None)
        self._bars: dict[tuple[str, str], Any] = {}
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
                label = f"{step.stage} [dim]{_LABELS[step.kind]}"
                bar = self._progress.add_task(label, total=missing[step.id])
                self._bars[step.stage, step.kind] = bar
        self._progress.update(
            self._total,
            description=f"[bold]{plan.pipeline}",
            total=sum(missing.values()),
            completed=0,
        )

    def tick(self) -> None:
        if self._records is None:
            return
        for place, bar in self._bars.items():
            self._progress.update(bar, completed=self._records.done[place])
        self._progress.update(self._total, completed=self._records.done.total())

    def said(self, text: str) -> None:
        self._progress.console.print(text)
