"""The ways to run a stage, by the name a pipeline file gives; imported when first used."""

from functools import cache

from diffpipe.pipelines.core.functions import load
from diffpipe.pipelines.core.model import Function
from diffpipe.pipelines.frameworks.base import Framework

FRAMEWORKS = {"jax": Function("diffpipe.pipelines.frameworks.jax", "JaxFramework")}


@cache
def framework(name: str) -> Framework:
    """The framework of this name."""
    made: Framework = load(FRAMEWORKS[name])()
    return made
