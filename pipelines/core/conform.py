"""What a stage gives against what was declared: names, dtypes and shapes, before it is stored."""

from collections.abc import Iterable, Mapping

import numpy as np

from diffpipe.cache.errors import PipelineError, StageError
from diffpipe.cache.specs import ArraySpec
from diffpipe.pipelines.core.steps import Call, Step
from diffpipe.pipelines.frameworks.base import Abstract

DTYPES = ("float64", "complex128", "int64", "int32", "uint32", "bool")


def check_storable(call: Call, name: str, each: Abstract) -> None:
    """Refuse an output of a dtype that is not stored, or without values; raises PipelineError."""
    if each.dtype not in DTYPES:
        raise PipelineError(
            f"stage {call.stage}: output {name} has dtype {each.dtype}",
            hint=f"stored are {', '.join(DTYPES)}; cast it in the stage",
            stage=call.stage,
        )
    if 0 in each.shape:
        raise PipelineError(
            f"stage {call.stage}: output {name} is empty: shape {each.shape}", stage=call.stage
        )


def check_declared(call: Call, name: str, each: Abstract) -> None:
    """Refuse an output of another shape or dtype than the file declares; raises PipelineError."""
    declared = call.declared.get(name, {})
    shape = each.shape[1:] if call.is_per_event(name) else each.shape
    for what, said, found in (
        ("shape", declared.get("shape"), list(shape)),
        ("dtype", declared.get("dtype"), each.dtype),
    ):
        if said is not None and (list(said) if what == "shape" else said) != found:
            raise PipelineError(
                f"stage {call.stage}: output {name} has {what} {found}, declared {said}",
                stage=call.stage,
            )


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
