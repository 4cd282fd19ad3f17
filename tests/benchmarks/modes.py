"""Times Jacobians forward, reverse, mixed, and as picked, and says whether the pick was right.

    python tests/benchmarks/modes.py [REPEATS [EVENTS]]

Three parameters and 500 outputs; 500 parameters and 3 outputs; 500 parameters, three numbers in
the middle and 400 outputs. CPU seconds of the sweep's steps, summed over its slots as workers
recorded them, with compiled functions warm: the least of REPEATS, all ways in one loop.
"""

import sys
import tempfile
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np

from diffpipe.cache.store import Store
from diffpipe.pipelines.core.assemble import assemble
from diffpipe.pipelines.core.model import Pipeline
from diffpipe.pipelines.core.plan import Request
from diffpipe.rules import costs, modes, runs
from diffpipe.rules.drive import Drive
from diffpipe.rules.here import Here

CASES = Path(__file__).parent.parent / "cases" / "modes"
WIDE = {
    "many_outputs": "spectrum.power",
    "many_parameters": "powers.moments",
    "hourglass": "unfold.power",
}


class Quiet:
    """Follows a run without a word."""

    def planned(self, plan, records): ...

    def tick(self, queued): ...

    def said(self, text): ...


def wide(name: str, events: int) -> Pipeline:
    """The pipeline with 500 coefficients and so many events, in shards of a tenth."""
    made = assemble(CASES / f"{name}.yaml", events=events)
    stages = {
        each: replace(stage, sample=stage.sample and replace(stage.sample, shard=events // 10))
        for each, stage in made.stages.items()
    }
    made = replace(made, stages=stages)
    if "coefficients" not in made.parameters:
        return made
    numbers = tuple((np.random.default_rng(2).normal(size=500) / np.arange(1.0, 501.0)).tolist())
    coefficients = replace(made.parameters["coefficients"], value=numbers)
    return replace(made, parameters={**made.parameters, "coefficients": coefficients})


def seconds(store: Store, made: Pipeline, request: Request, place: Here) -> float:
    """What the slots of a Jacobian's steps took, computed again."""
    before = len(runs.all_runs(store))
    Drive(store, made, request, place, Quiet()).run()
    (run,) = runs.all_runs(store)[before:]
    return sum(
        line["seconds"] for line in costs.lines(run) if line["kind"] in ("tangent", "pullback")
    )


def main(repeats: int, events: int) -> None:
    """Print a table for each pipeline."""
    for name, of in WIDE.items():
        made, found = wide(name, events), defaultdict(list)
        with tempfile.TemporaryDirectory() as folder:
            store, place = Store.open(Path(folder) / "store"), Here(2)
            with place.kept():
                Drive(store, made, Request("forward"), place, Quiet()).run()
                request = Request("jacobian", of=[of], force=True)
                options = modes.options(store, made, request, costs.measured(store, made))
                for _ in range(repeats + 1):
                    for option in options:
                        found[option.words].append(seconds(store, made, option.request, place))
        least = {words: min(times[1:]) for words, times in found.items()}
        picked = options[0].words
        print(f"\n{name}, {events} events")
        for words, time in sorted(least.items(), key=lambda each: each[1]):
            print(f"  {words:32} {time:8.3f} s{'  picked' if words == picked else ''}")
        print(f"  picked / best: {least[picked] / min(least.values()):.2f}")


if __name__ == "__main__":
    given = [int(each) for each in sys.argv[1:]]
    main(*(given + [3, 20000][len(given) :]))
