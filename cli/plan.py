"""`diffpipe plan`: what a run would do and take; afterwards, what it took beside that."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Annotated

import typer

from diffpipe.cache.errors import UsageError, did_you_mean
from diffpipe.cli.modes import Along, Blocks, Gradient, Matrix, Product, Sweep
from diffpipe.cli.options import Chosen, JsonOption, grouped
from diffpipe.cli.run import Manner, Run
from diffpipe.cli.where import Budgets, Where

# direction -> the options of its command, and what the command does
_COMMANDS: dict[str, tuple[type[Sweep], Callable[[Run], None]]] = {
    "forward": (Sweep, lambda run: run.simple("forward")),
    "backward": (Gradient, lambda run: run.simple("backward")),
    "tangent": (Along, lambda run: run.simple("tangent")),
    "jacobian": (Blocks, lambda run: run.jacobian(None)),
    "hvp": (Product, lambda run: run.simple("hvp")),
    "hessian": (Matrix, lambda run: run.hessian(None)),
}


@dataclass(frozen=True)
class Asked(Along, Blocks, Gradient):  # the options of all directions
    """What the run would be asked."""

    direction: Annotated[
        str, typer.Option("--direction", metavar="|".join(_COMMANDS), help="Which run.")
    ] = "backward"

    def command(self) -> tuple[Sweep, Callable[[Run], None]]:
        """The options of the direction alone, and what to do; raises UsageError."""
        if self.direction not in _COMMANDS:
            hint = did_you_mean(self.direction, _COMMANDS)
            raise UsageError(f"there is no run {self.direction!r}", hint=hint)
        kind, work = _COMMANDS[self.direction]
        return kind(**{each.name: getattr(self, each.name) for each in fields(kind)}), work


@dataclass(frozen=True)
class Past:
    """Whether a run is looked back at."""

    last: Annotated[
        bool, typer.Option("--last", help="Of the last run: what was predicted, and measured.")
    ] = False
    as_json: JsonOption = False


@grouped
def plan(chosen: Chosen, asked: Asked, where: Where, may: Budgets, past: Past) -> None:
    """Say, before anything runs, what is reused, computed, stored and recomputed, and the cost.

    Bytes and shapes are exact; seconds and memory are those of runs before, where there were any.
    """
    if past.last:
        _look_back(chosen, past)
        return
    sweep, work = asked.command()
    work(Run(chosen, sweep, where, may, Manner(dry_run=True, as_json=past.as_json)))


def _look_back(chosen: Chosen, past: Past) -> None:
    from diffpipe.cli import compared
    from diffpipe.cli.report import print_json

    store = chosen.open_store(create=False)
    found = compared.last(store)
    if found is None:
        raise UsageError(f"no run in {store.root} of which something was predicted")
    print_json(compared.document(found)) if past.as_json else compared.show(found)
