"""A pipeline put to the proof: its stages one by one, then the gradient of its objective."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from msgspec import structs

from diffpipe.cache.errors import UsageError, did_you_mean
from diffpipe.cache.store import Store
from diffpipe.pipelines.core import graph
from diffpipe.pipelines.core.model import OutputRef, Pipeline
from diffpipe.pipelines.core.plan import Request, make_plan
from diffpipe.pipelines.core.sweeps.goals import objective_of
from diffpipe.pipelines.core.sweeps.wrt import parse
from diffpipe.pipelines.proof.finding import Finding, Verdict
from diffpipe.pipelines.proof.reached import reached
from diffpipe.rules.drive import Drive, Finished, Observer
from diffpipe.rules.place import Place
from diffpipe.rules.proof import stages
from diffpipe.rules.proof.notes import Notes
from diffpipe.rules.proof.whole import REFUSALS, Whole

END_TO_END = "end to end"

Found = dict[str, Any]  # what was found of a stage, or end to end, as plain values


@dataclass(frozen=True)
class Asked:
    """What is put to the proof: these stages alone, or (None) all of them and the gradient.

    each: the gradient in every parameter by itself, too.
    """

    names: list[str] | None = None
    shard: int = 0
    seed: int = 0
    of: str | None = None
    wrt: list[str] | None = None
    each: bool = False


@dataclass(frozen=True)
class Proof:
    """A pipeline, what of it is asked, and where it is computed."""

    store: Store
    pipeline: Pipeline
    asked: Asked
    place: Place
    observer: Observer

    def run(self) -> Iterator[Found]:
        """What is found of each, noted in the store; raises DiffpipeError where nothing can be."""
        shards, objective, wrt = self.shards, self._objective(), self._wrt()
        of = None if objective is None else [str(objective)]
        forward = make_plan(self.store, self.pipeline, Request("forward", of=of))
        notes = Notes(self.store, self.pipeline, forward, self.asked.seed)
        made = stages.of_pipeline(
            self.store, self.pipeline, shards, self.place, self.observer, self._idle(objective)
        )
        for found in stages.examined(made, self.asked.seed):
            notes.of_stage(found)
            yield found
        if objective is not None:
            found = self._end_to_end(objective, wrt)
            notes.of_gradient(found, objective, wrt)
            yield found

    @cached_property
    def shards(self) -> dict[str, int]:
        """The stages that are put to the laws, each with its shard; sources of events are none.

        Raises UsageError.
        """
        known = {name: each for name, each in self.pipeline.stages.items() if not each.source}
        for name in self.asked.names or []:
            if name not in known:
                text = f"the pipeline {self.pipeline.name} has no stage {name!r} to check"
                raise UsageError(text, hint=did_you_mean(name, known))
        names = known if self.asked.names is None else self.asked.names
        asked = {name: each for name, each in known.items() if name in names}
        return {name: self.asked.shard if each.slots > 1 else 0 for name, each in asked.items()}

    def _objective(self) -> OutputRef | None:
        of = None if self.asked.of is None else [self.asked.of]
        if self.asked.names is not None or (of is None and self.pipeline.objective is None):
            return None
        return objective_of(self.pipeline, Request("backward", of=of))

    def _idle(self, objective: OutputRef | None) -> set[str]:
        """The stages beside the way to the objective: no gradient of it passes them."""
        if objective is None:
            return set()
        above = graph.above(self.pipeline, objective.stage)
        return self.pipeline.stages.keys() - above - {objective.stage}

    def _wrt(self) -> list[str]:
        wrt = parse(self.pipeline, self.asked.wrt)
        if wrt.arrays:
            text = f"--wrt {', '.join(wrt.arrays)}: end to end, parameters alone are moved"
            raise UsageError(text, hint="--stage moves the inputs of a stage, too")
        return wrt.parameters

    def _end_to_end(self, objective: OutputRef, asked: list[str]) -> Found:
        wrt, left_out = reached(self.pipeline, objective, asked)
        whole = Whole(self.store, self.pipeline, objective, wrt, self._run, self.asked.seed)
        findings = [
            _remark(f"not checked in {name}: {why}", name) for name, why in left_out.items()
        ]
        if wrt:
            findings += self._examined(whole)
        else:
            findings.append(_remark(f"{objective} depends on no parameter that is asked for"))
        return {
            "stage": END_TO_END,
            "objective": str(objective),
            "wrt": wrt,
            "sweeps": whole.sweeps,
            "findings": [each.to_json() for each in findings],
        }

    def _examined(self, whole: Whole) -> list[Finding]:
        """A sweep that fails is a law that is broken, since all stages could be computed."""
        try:
            with self.place.kept():
                return whole.examine(each=self.asked.each)
        except REFUSALS as error:
            return [Finding("gradient", Verdict.FAILED, error.message, error.stage or "")]

    def _run(self, store: Store, pipeline: Pipeline, request: Request) -> Finished:
        asked = structs.replace(request, jobs=self.place.jobs)
        return Drive(store, pipeline, asked, self.place, self.observer).run()


def _remark(words: str, array: str = "") -> Finding:
    return Finding("gradient", Verdict.REMARK, words, array)
