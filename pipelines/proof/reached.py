"""In which parameters the gradient of an objective can be checked."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from diffpipe.pipelines.core import graph
from diffpipe.pipelines.core.derivatives import active_stages, stopped_stages
from diffpipe.pipelines.core.model import Derivative, OutputRef, Pipeline


class Reached(NamedTuple):
    """The parameters that it can be checked in, and of others why not; the rest do nothing."""

    wrt: list[str]
    left_out: dict[str, str]


def reached(pipeline: Pipeline, objective: OutputRef, asked: Iterable[str]) -> Reached:
    """Those of the parameters asked for that an objective depends on by derivatives alone."""
    path = graph.above(pipeline, objective.stage) | {objective.stage}
    found = Reached([], {})
    for name in asked:
        passed = active_stages(pipeline, {name}) & path
        why = next(_reasons(pipeline, name, passed, path), None)
        if why is not None:
            found.left_out[name] = why
        elif objective.stage in passed:
            found.wrt.append(name)
    return found


def _reasons(pipeline: Pipeline, name: str, passed: set[str], path: set[str]) -> Iterator[str]:
    for stage in stopped_stages(pipeline, {name}):
        if stage in path:
            yield f"gradients stop at the stage {stage}, as its pipeline file says"
    for stage in pipeline.stages:
        if stage in passed and pipeline.stages[stage].derivative is Derivative.NONE:
            yield f"the stage {stage} has no derivative"
