"""How the arrays of a step are cut into chunks."""

from dataclasses import replace

from diffpipe.cache.specs import ArraySpec
from diffpipe.pipelines.core.steps import Step
from diffpipe.pipelines.frameworks.base import Abstract


def output(step: Step, name: str, each: Abstract) -> ArraySpec:
    """The array of an output: cut by events, by shards where it is summed, or whole."""
    call = step.call
    assert call is not None
    unit = call.units.get(name, "1")
    if call.sample is None:
        return ArraySpec.once(each.shape, each.dtype, unit)
    count, shard, _ = call.sample
    if name in call.summed:
        return ArraySpec.per_shard(step.slots, each.shape, each.dtype, unit, step.block)
    return ArraySpec.per_event(count, shard, each.shape[1:], each.dtype, unit)


def partial(step: Step, shape: tuple[int, ...], dtype: str, unit: str) -> ArraySpec:
    """The array of what a stage adds to a sum: for each shard or block, or whole."""
    if step.over == "once":
        return ArraySpec.once(shape, dtype, unit)
    return ArraySpec.per_shard(step.slots, shape, dtype, unit, step.block)


def many_of(step: Step, spec: ArraySpec, many: int) -> ArraySpec:
    """The array of many tangents or cotangents of an array: a row for each in its every slot."""
    if spec.placement == "event":
        return replace(
            spec,
            shape=(spec.shape[0], many, *spec.shape[1:]),
            chunk=(spec.chunk[0], many, *spec.chunk[1:]),
        )
    if spec.placement == "shard":
        return ArraySpec.per_shard(
            step.slots, (many, *spec.shape[1:]), spec.dtype, spec.unit, step.block
        )
    return ArraySpec.once((many, *spec.shape), spec.dtype, spec.unit)
