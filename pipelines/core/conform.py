"""What a stage gave against what was described: names, dtypes and shapes, before it is stored."""

from collections.abc import Iterable, Mapping

import numpy as np

from diffpipe.cache.errors import StageError
from diffpipe.cache.specs import ArraySpec
from diffpipe.pipelines.core.steps import Step


def check_as_described(
    step: Step, shard: int, found: Mapping[str, np.ndarray], specs: Mapping[str, ArraySpec]
) -> None:
    """Raise StageError, naming stage, shard and array, where one is not as it was described."""
    missing, extra = sorted(specs.keys() - found.keys()), sorted(found.keys() - specs.keys())
    if missing:
        raise _wrong(step, shard, f"{_words(missing)} is not given; given: {_words(found)}")
    if extra:
        raise _wrong(step, shard, f"{_words(extra)} is given, and was not declared")
    for name, spec in specs.items():
        values, shape = found[name], spec.slot_shape(shard)
        if str(values.dtype) != spec.dtype:
            raise _wrong(step, shard, f"{name} is {values.dtype}, declared {spec.dtype}")
        if values.shape != shape:
            raise _wrong(step, shard, f"{name} has shape {values.shape}, declared {shape}")


def _words(names: Iterable[str]) -> str:
    return ", ".join(names) or "nothing"


def _wrong(step: Step, shard: int, what: str) -> StageError:
    kind = "output" if step.kind == "primal" else step.kind
    return StageError(
        f"stage {step.stage}, shard {shard}: {kind} {what}",
        stage=step.stage,
        shard=shard,
        hint="nothing of this shard was stored; mend the stage or its declaration",
    )
