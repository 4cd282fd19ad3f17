"""A pipeline as a function of some of its parameters, that others may call.

Calls come from many threads and are worked off one after the other by the thread that serves:
a sweep has all cores, and signals reach the main thread only. Workers stay warm between calls,
and what was found at a point is remembered in the store.
"""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, NoReturn

import numpy as np
from msgspec import structs

from diffpipe.cache.errors import InterruptedRunError, UsageError
from diffpipe.pipelines.core.model import Parameter, Pipeline, Value
from diffpipe.pipelines.core.parameters import as_value, shape_of
from diffpipe.rules.drive import Drive
from diffpipe.rules.fit.space import chosen
from diffpipe.rules.fit.sweeps import BACKWARD, FORWARD, Sweeps


class _Turn:
    """A call that waits for its turn."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._work = work
        self.result: Future[Any] = Future()

    def take(self) -> None:
        try:
            self.result.set_result(self._work())
        except BaseException as error:
            self.result.set_exception(error)
            if isinstance(error, InterruptedRunError) or not isinstance(error, Exception):
                raise


@dataclass(frozen=True)
class Component:
    """The objective of a pipeline, a scalar, over the parameters named."""

    sweeps: Sweeps
    names: list[str]
    _turns: SimpleQueue[_Turn] = field(default_factory=SimpleQueue)

    @property
    def name(self) -> str:
        return self.sweeps.pipeline.name

    @property
    def output(self) -> str:
        """The name of the objective, without that of its stage."""
        return self.sweeps.objective.output

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        return {name: self.sweeps.pipeline.parameters[name] for name in self.names}

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        return {name: shape_of(each.value) for name, each in self.parameters.items()}

    @contextmanager
    def ready(self) -> Iterator[None]:
        """Check the pipeline's shapes, and keep workers; raises DiffpipeError."""
        sweeps = self.sweeps
        request = structs.replace(sweeps.request, wrt=self.names)
        with sweeps.place.kept():
            Drive(sweeps.store, sweeps.pipeline, request, sweeps.place, sweeps.follower).describe()
            yield

    def work(self) -> NoReturn:
        """Work off calls until the process is interrupted."""
        while True:
            self._turns.get().take()

    def value(self, values: Mapping[str, Value]) -> float:
        """The objective at a point; parameters that are not named are where the pipeline has them.

        Raises DiffpipeError.
        """
        found: float = self._wait(lambda: self._evaluate(values, FORWARD).objective)
        return found

    def gradient(self, values: Mapping[str, Value]) -> dict[str, np.ndarray]:
        """The derivatives of the objective in all its parameters, each of the parameter's shape."""
        slopes = self._wait(lambda: self._evaluate(values, BACKWARD).slopes)
        sizes = [int(np.prod(shape)) for shape in self.shapes.values()]
        parts = np.split(np.array(slopes, np.float64), np.cumsum(sizes)[:-1])
        return {
            name: part.reshape(shape)
            for (name, shape), part in zip(self.shapes.items(), parts, strict=True)
        }

    def _evaluate(self, values: Mapping[str, Value], direction: Any) -> Any:
        return self.sweeps.evaluate(values, self.names, direction)

    def _wait(self, work: Callable[[], Any]) -> Any:
        turn = _Turn(work)
        self._turns.put(turn)
        return turn.result.result()


def served(pipeline: Pipeline, patterns: list[str] | None) -> list[str]:
    """The parameters that are served: those named, else those that are fitted, else all of them.

    Raises UsageError.
    """
    if not pipeline.parameters:
        raise UsageError(f"the pipeline {pipeline.name} has no parameters to serve")
    if patterns is None and not any(each.fit for each in pipeline.parameters.values()):
        return list(pipeline.parameters)
    return chosen(pipeline, patterns)


def point(values: np.ndarray) -> Value:
    """An array of finite numbers as the value of a parameter."""
    found = as_value(np.asarray(values, np.float64).tolist())
    assert found is not None
    return found
