"""How a fit is followed: a line for each call of the objective, the sweep at work below it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from diffpipe.cli.progress import Silent

if TYPE_CHECKING:
    from diffpipe.pipelines.core.plan import Plan
    from diffpipe.rules.fit.sweeps import Call, Follower
    from diffpipe.rules.runs import Records

_SHOWN = 4  # numbers of a line


@contextmanager
def make_follower(quiet: bool) -> Iterator["Follower"]:
    """A display on standard error, as it suits where that goes."""
    if quiet:
        yield Quiet()
    elif sys.stderr.isatty():
        with Shown() as follower:
            yield follower
    else:
        yield Told()


class Quiet(Silent):
    """Says nothing."""

    def called(self, call: "Call") -> None:
        pass


class Told(Quiet):
    """Plain lines: each call, and what is out of the ordinary."""

    def said(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def called(self, call: "Call") -> None:
        self.said(line(call))


class Shown(Quiet):
    """Lines that stay, and below them how far the sweep at work is."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True)
        self._status = self._console.status("planning")
        self._plan: Plan | None = None
        self._records: Records | None = None

    def __enter__(self) -> "Shown":
        self._status.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._status.stop()

    def planned(self, plan: "Plan", records: "Records") -> None:
        self._plan, self._records = plan, records

    def tick(self, queued: int) -> None:
        if self._plan is None or self._records is None:
            return
        done, total = self._records.done.total(), sum(self._plan.missing.values())
        waiting = f", {queued} tasks queued" if queued else ""
        self._status.update(f"{self._plan.direction} sweep: {done} of {total} slots{waiting}")

    def said(self, text: str) -> None:
        self._console.print(text, highlight=False)

    def called(self, call: "Call") -> None:
        self._console.print(line(call), highlight=False, soft_wrap=True)


def line(call: "Call") -> str:
    """A call in words: where, what the objective is there, and whether it was known."""
    numbers = [f"{name}={_brief(value)}" for name, value in list(call.values.items())[:_SHOWN]]
    more = ", ..." if len(call.values) > _SHOWN else ""
    known = "  (remembered)" if call.remembered else ""
    where = ", ".join(numbers) + more
    return f"call {call.number:3d}  {call.found.objective:.8g}  {call.direction} at {where}{known}"


def _brief(value: Any) -> str:
    return f"[{len(value)}]" if isinstance(value, tuple) else f"{value:.8g}"
