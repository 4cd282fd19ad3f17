"""What a user should know of a plan before it runs, and of nothing else."""

from collections.abc import Iterable, Iterator

from diffpipe.pipelines.core.derivatives import stopped_stages
from diffpipe.pipelines.core.environment import Environment
from diffpipe.pipelines.core.model import Pipeline
from diffpipe.pipelines.core.steps import Step


def remarks(
    pipeline: Pipeline,
    wrt: Iterable[str],
    todo: Iterable[Step],
    environment: Environment,
    *,
    foreign: bool,
) -> Iterator[str]:
    """What is out of the ordinary, one sentence each.

    wrt: the parameters that derivatives are taken in; todo: the steps that will be computed;
    foreign: part of what is stored comes from another type of CPU.
    """
    todo = list(todo)
    if foreign:
        yield "part of this was computed on another type of CPU: bits may differ"
    yield from _gpus(todo, environment)
    for name in stopped_stages(pipeline, set(wrt)):
        yield f"stage {name} stops derivatives: none passes through it, as if they were zero"
    yield from _differences(todo)


def _gpus(todo: Iterable[Step], environment: Environment) -> Iterator[str]:
    asking = {step.stage: step for step in todo if step.resources.gpus}
    for stage, step in asking.items():
        lacking = f"{step.framework} cannot use one here"
        why = "JAX_PLATFORMS says so" if environment.forced else lacking
        said = "runs on the GPU" if step.platform == "gpu" else f"runs on the CPU: {why}"
        yield f"stage {stage} asks for a GPU and {said}"


def _differences(todo: Iterable[Step]) -> Iterator[str]:
    for step in todo:
        if step.kind == "pullback" and step.call is not None and step.call.steps is not None:
            names = ", ".join([*step.active_parameters, *step.active_inputs])
            yield (
                f"stage {step.stage} is differentiated by finite differences: four calls for each "
                f"component of {names}"
            )
