"""Measure: what a shard of a stage takes with its residuals stored, and without.

Of the stages that leave the choice to the planner, by a worker, on the inputs of the first shard
that it has just computed; all that is written goes to a temporary place.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from diffpipe.cache import arrays, files
from diffpipe.cache.checkpoints import Measured, Times
from diffpipe.cache.errors import StoreError
from diffpipe.cache.layout import unique
from diffpipe.cache.specs import ArraySpec
from diffpipe.cache.store import Store
from diffpipe.pipelines.core import compute
from diffpipe.pipelines.core.compute import Reader
from diffpipe.pipelines.core.steps import Call, Source, Step
from diffpipe.pipelines.frameworks.base import Abstract, Pull, TracingFramework
from diffpipe.pipelines.frameworks.registry import tracer

Arrays = dict[str, np.ndarray]
_MOST_BYTES = 2_000_000_000  # residuals of a shard beyond this are not tried: a worker holds copies
_CALLS = 3  # of which the fastest counts
_MOST_WORDS = 200  # characters
_SECONDS = 0.5  # calls that take longer are not repeated


def measure(store: Store, step: Step, inputs: list[str], outputs: Arrays, read: Reader) -> Measured:
    """Time the pullback of a primal's first slot with respect to all parameters and some inputs.

    outputs: of that slot; each gets a cotangent of ones. Raises StoreError, and nothing else: what
    cannot be pulled back can still be run forward.
    """
    try:
        return _measured(store, step, inputs, outputs, read)
    except StoreError:
        raise
    except Exception as error:
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        return Measured(0, refused=f"residuals cannot be tried: {said[:_MOST_WORDS]}")


def _measured(
    store: Store, step: Step, inputs: list[str], outputs: Arrays, read: Reader
) -> Measured:
    call, framework = step.call, tracer(step)
    assert call is not None
    given = compute.parameters(call), compute.inputs(step, 0, read)
    kept = framework.describe_residuals(call, *_abstract(given))
    size = sum(ArraySpec.once(each.shape, each.dtype).nbytes for each in kept.values())
    if size > _MOST_BYTES:
        why = f"{size / 1e9:.3g} GB of residuals a shard are too many to be tried"
        return Measured(size, refused=why)
    ones = {name: np.ones_like(outputs[name]) for name in outputs if _moves(call, name, outputs)}
    times = _times(store, framework, call, given, _pull(step, inputs, ones, given[1]), ones)
    return Measured(size, times)


def _times(
    store: Store,
    framework: TracingFramework,
    call: Call,
    given: tuple[Arrays, Arrays],
    pull: Pull,
    ones: Arrays,
) -> Times:
    kept = {
        name: np.asarray(each) for name, each in framework.forward_keeping(call, *given)[1].items()
    }
    write, read = _stored(store, kept)
    return Times(
        forward=_seconds(lambda: framework.forward(call, *given)),
        forward_keeping=_seconds(lambda: framework.forward_keeping(call, *given)),
        pullback=_seconds(lambda: framework.pullback(call, pull, *given, ones)),
        pullback_from=_seconds(lambda: framework.pullback_from(call, pull, *given, ones, kept)),
        write=write,
        read=read,
    )


def _pull(step: Step, inputs: list[str], ones: Arrays, values: Arrays) -> Pull:
    """The pullback that a backward sweep in all parameters will apply."""
    call = step.call
    assert call is not None
    smooth = [name for name in inputs if values[name].dtype.kind in "fc"]
    sources = {name: step.inputs[name] for name in smooth}
    return Pull(
        tuple(ones),
        tuple(smooth),
        tuple(call.parameters),
        call.rows(0),
        frozenset(n for n, each in sources.items() if isinstance(each, Source) and each.slot),
        frozenset(name for name in ones if call.is_per_event(name)),
    )


def _moves(call: Call, name: str, outputs: Arrays) -> bool:
    return outputs[name].dtype.kind in "fc" and name not in call.constant


def _seconds(run: Callable[[], Any]) -> float:
    """The fastest of some calls, after one that compiles."""
    _done(run())
    times: list[float] = []
    while len(times) < _CALLS and sum(times) < _SECONDS:
        start = time.perf_counter()
        _done(run())
        times.append(time.perf_counter() - start)
    return min(times)


def _done(found: Any) -> None:
    """Wait for arrays that are still being computed."""
    for each in found if isinstance(found, tuple) else (found,):
        for array in each.values():
            np.asarray(array)


def _stored(store: Store, kept: Arrays) -> tuple[float, float]:
    """Seconds to write residuals into the store, with their checksums, and to read them."""
    specs = {
        name: ArraySpec.per_shard(1, each.shape, str(each.dtype)) for name, each in kept.items()
    }
    folder = store.layout.staging / unique()
    with files.writing(store.root):
        for name in specs:
            (folder / name).mkdir(parents=True)
        try:
            start = time.perf_counter()
            for name, spec in specs.items():
                arrays.write_slot(folder / name, spec, 0, kept[name], durable=store.durable)
            middle = time.perf_counter()
            for name, spec in specs.items():
                arrays.read_slot(folder / name, spec, 0)
            return middle - start, time.perf_counter() - middle
        finally:
            files.delete(folder)


def _abstract(values: Any) -> Any:
    if isinstance(values, tuple):
        return tuple(_abstract(each) for each in values)
    if isinstance(values, Mapping):
        return {name: _abstract(each) for name, each in values.items()}
    return Abstract(values.shape, str(values.dtype))
