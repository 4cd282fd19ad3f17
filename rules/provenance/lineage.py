"""The lineage of a result: the steps that lead to it, what is stored of each, who computed it."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from diffpipe.cache.layout import RunLayout
from diffpipe.cache.store import Store
from diffpipe.pipelines.core.plan import Plan
from diffpipe.pipelines.core.steps import DataSource, Source, Step
from diffpipe.rules import runs
from diffpipe.rules.provenance.past import read_past


@dataclass(frozen=True)
class Made:
    """Slots of an artefact that one run computed, and the seconds that its workers spent on it."""

    run: RunLayout
    slots: int
    seconds: float


@dataclass(frozen=True)
class Link:
    """A step of a lineage.

    present: how many of its slots are stored. reads: step -> its arrays that are read.
    """

    step: Step
    present: int
    reads: dict[str, list[str]]
    made: list[Made]

    @property
    def data(self) -> dict[str, DataSource]:
        """The inputs that are data, by local name."""
        inputs = self.step.inputs.items()
        return {name: each for name, each in inputs if isinstance(each, DataSource)}

    @property
    def parameters(self) -> dict[str, Any]:
        """The values that the stage is given, by local name."""
        return self.step.call.parameters if self.step.call else {}


def lineage(store: Store, plan: Plan, roots: Iterable[Source]) -> dict[str, Link]:
    """Step -> its link, for all steps that lead to the arrays at the roots; these come first."""
    steps = {step.id: step for step in plan.steps}
    reads = {name: _grouped(step.reads()) for name, step in steps.items()}
    found, waiting = dict[str, Step](), [source.step for source in roots]
    for name in waiting:
        if name not in found:
            found[name] = steps[name]
            waiting += reads[name]
    history = made(store, {step.key for step in found.values()})
    return {
        name: Link(step, plan.slots_present[name], reads[name], history[step.key])
        for name, step in found.items()
    }


def made(store: Store, keys: Collection[str]) -> dict[str, list[Made]]:
    """Which runs computed artefacts, oldest first; of a slot computed again the last one counts."""
    slots: defaultdict[str, dict[int, tuple[RunLayout, float]]] = defaultdict(dict)
    for run in runs.all_runs(store):
        asked = read_past(run)
        wanted = {step.id: step.key for step in asked.steps if step.key in keys} if asked else {}
        for line in runs.computed(run) if wanted else ():
            if line["step"] in wanted:
                slots[wanted[line["step"]]][line["slot"]] = run, line["seconds"]
    return {key: _by_run(slots[key].values()) for key in keys}


def _by_run(slots: Iterable[tuple[RunLayout, float]]) -> list[Made]:
    seconds: defaultdict[RunLayout, list[float]] = defaultdict(list)
    for run, took in slots:
        seconds[run].append(took)
    in_order = sorted(seconds, key=lambda run: run.folder.name)
    return [Made(run, len(seconds[run]), sum(seconds[run])) for run in in_order]


def _grouped(sources: Iterable[Source]) -> dict[str, list[str]]:
    """Step -> the arrays of it, each once."""
    found: dict[str, list[str]] = {}
    for source in sources:
        arrays = found.setdefault(source.step, [])
        arrays += [source.array] * (source.array not in arrays)
    return found
