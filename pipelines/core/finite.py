"""NaN and Inf are refused where they arise, by stage, shard, array and first bad event."""

import numpy as np

from diffpipe.cache.errors import NonFiniteError
from diffpipe.pipelines.core.steps import Step


def refuse_non_finite(
    step: Step, shard: int, what: str, values: np.ndarray, *, per_event: bool
) -> None:
    """Raise NonFiniteError if a value is NaN or Inf."""
    if values.dtype.kind not in "fc" or np.isfinite(values).all():
        return
    index = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
    raise NonFiniteError(
        f"stage {step.stage}, shard {shard}: {what} is {values[index]}"
        f"{_place(step, shard, index, per_event)}",
        stage=step.stage,
        shard=shard,
        hint="nothing of this shard was stored; look at this event's inputs",
    )


def _place(step: Step, shard: int, index: tuple[int, ...], per_event: bool) -> str:
    if per_event and index and step.call is not None and step.call.sample is not None:
        event = shard * step.call.sample[1] + index[0]
        rest = f", component {list(index[1:])}" if index[1:] else ""
        return f" at event {event}{rest}"
    return f" at index {list(index)}" if index else ""
