"""`diffpipe check`: the laws of derivatives, put to every stage of a pipeline and end to end."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from diffpipe.cli.options import Chosen, JsonOption, grouped, names
from diffpipe.cli.progress import Silent

if TYPE_CHECKING:
    from diffpipe.pipelines.core.plan import Plan
    from diffpipe.rules.proof.proof import Proof
    from diffpipe.rules.runs import Records


@dataclass(frozen=True)
class What:
    """What is put to the proof."""

    stage: Annotated[
        list[str] | None,
        typer.Option("--stage", metavar="NAME", help="Only this stage (again for others)."),
    ] = None
    of: Annotated[
        str | None,
        typer.Option("--of", metavar="STAGE.OUTPUT", help="Another objective (a scalar)."),
    ] = None
    wrt: Annotated[
        str | None,
        typer.Option("--wrt", metavar="NAME,...", help="End to end, only in these parameters."),
    ] = None
    each: Annotated[
        bool,
        typer.Option("--each", help="End to end, in each parameter by itself too: six sweeps."),
    ] = False
    shard: Annotated[int, typer.Option("--shard", min=0, help="Which shard of the events.")] = 0
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the random directions.")] = 0


@dataclass(frozen=True)
class Speech:
    """How much is said."""

    as_json: JsonOption = False
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say what passed, too.")] = False
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say only results and errors.")] = (
        False
    )


@grouped
def check(chosen: Chosen, what: What, speech: Speech) -> None:
    """Put stages and the gradient of the objective to the laws; exit code 1 where one fails.

    Each stage: values, determinism, float64, adjoint identity, JVP and VJP against differences, a
    fresh process. End to end: Taylor remainders along a random direction in all parameters, and
    <w, J v> = <J^T w, v>, some 11 sweeps beside the gradient's own.
    """
    from diffpipe.cli import findings

    start = time.monotonic()
    with _follower(quiet=speech.quiet) as follower:
        proof = _proof(chosen, what, follower)
        found = list(follower.following(proof))
    found.sort(key=lambda each: _place(proof, each["stage"]))
    passed = all(map(findings.passed, found))
    if speech.as_json:
        from diffpipe.cli.report import print_json

        print_json(_document(proof, found, time.monotonic() - start) | {"passed": passed})
    else:
        findings.show(found, verbose=speech.verbose)
    raise typer.Exit(0 if passed else 1)


def _proof(chosen: Chosen, what: What, follower: "Shown") -> "Proof":
    from diffpipe.rules.here import Here
    from diffpipe.rules.proof.proof import Asked, Proof

    asked = Asked(what.stage, what.shard, what.seed, what.of, names(what.wrt), what.each)
    place = Here(os.cpu_count() or 1)
    return Proof(chosen.open_store(), chosen.open_pipeline(), asked, place, follower)


def _place(proof: "Proof", name: str) -> int:
    """In the order of the pipeline; end to end is last."""
    stages = list(proof.pipeline.stages)
    return stages.index(name) if name in stages else len(stages)


def _document(proof: "Proof", found: list[dict[str, Any]], seconds: float) -> dict[str, Any]:
    from diffpipe.rules.proof.proof import END_TO_END

    return {
        "pipeline": proof.pipeline.name,
        "seed": proof.asked.seed,
        "stages": [each for each in found if each["stage"] != END_TO_END],
        "end_to_end": next((each for each in found if each["stage"] == END_TO_END), None),
        "seconds": round(seconds, 3),
        "store": str(proof.store.root),
    }


@contextmanager
def _follower(*, quiet: bool) -> "Iterator[Shown]":
    """A line on standard error, where that is a terminal."""
    if quiet or not sys.stderr.isatty():
        yield Shown()
        return
    from rich.console import Console

    with Console(stderr=True).status("planning") as status:
        yield Shown(status)


class Shown(Silent):
    """One line: how many stages have been put to the laws, or which sweep is at work."""

    def __init__(self, status: Any = None) -> None:
        self._status = status
        self._plan: Plan | None = None
        self._records: Records | None = None
        self._sweeps = 0

    def following(self, proof: "Proof") -> Iterator[dict[str, Any]]:
        """What is found, one by one."""
        total = len(proof.shards)
        for number, found in enumerate(proof.run(), 1):
            self._say(f"{number} of {total} stages put to the laws, {found['stage']} was the last")
            yield found

    def planned(self, plan: "Plan", records: "Records") -> None:
        self._plan, self._records = plan, records
        self._sweeps += 1

    def tick(self, queued: int) -> None:
        del queued
        if self._plan is not None and self._records is not None:
            done, total = self._records.done.total(), sum(self._plan.missing.values())
            sweep = f"{self._plan.direction} sweep ({self._sweeps})"
            self._say(f"{sweep}: {done} of {total} slots")

    def _say(self, text: str) -> None:
        if self._status is not None:
            self._status.update(text)
