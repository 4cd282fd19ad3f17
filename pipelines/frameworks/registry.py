"""The ways to run a stage, by the name a pipeline file gives; imported when first used."""

from functools import cache

from diffpipe.cache.errors import PipelineError
from diffpipe.pipelines.core.functions import load
from diffpipe.pipelines.core.model import Function
from diffpipe.pipelines.core.steps import Step
from diffpipe.pipelines.frameworks.base import Framework, TracingFramework

_HERE = "diffpipe.pipelines.frameworks"
FRAMEWORKS = {
    "jax": Function(f"{_HERE}.jax", "JaxFramework"),
    "torch": Function(f"{_HERE}.torch", "TorchFramework"),
    "tensorflow": Function(f"{_HERE}.tensorflow", "TensorflowFramework"),
    "numpy": Function(f"{_HERE}.numpy", "NumpyFramework"),
    "command": Function(f"{_HERE}.command", "CommandFramework"),
    "umbridge": Function(f"{_HERE}.umbridge", "UmbridgeFramework"),
    "tesseract": Function(f"{_HERE}.tesseract", "TesseractFramework"),
}


@cache
def framework(name: str, platform: str = "cpu") -> Framework:
    """The framework of this name, computing on a platform ("cpu", "gpu")."""
    made: Framework = load(FRAMEWORKS[name])(platform)
    return made


def tracer(step: Step) -> TracingFramework:
    """The framework of a step that has to trace its stage; raises PipelineError for others."""
    found = framework(step.framework, step.platform)
    if isinstance(found, TracingFramework):
        return found
    raise PipelineError(
        f"stage {step.stage} is run by {step.framework}, which cannot trace it: it keeps no "
        "residuals and has no second derivatives",
        hint="write checkpoint: recompute, or take a likelihood that ships as objective",
        stage=step.stage,
    )


def runner(step: Step) -> Framework:
    """What runs the stage of a step, and differentiates it."""
    found = framework(step.framework, step.platform)
    if step.call is None or step.call.steps is None:
        return found
    from diffpipe.pipelines.frameworks.differences import Differences

    return Differences(found)
