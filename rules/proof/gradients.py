"""The gradients that runs have left in a store, and when each was last put to the proof."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from diffpipe.cache import files
from diffpipe.cache.checks import Check, Checks, key_of
from diffpipe.cache.layout import RunLayout
from diffpipe.cache.store import Store
from diffpipe.pipelines.core.model import Pipeline
from diffpipe.pipelines.core.parameters import as_value
from diffpipe.rules import runs

_MOST_BYTES = 1 << 30


class _Array(msgspec.Struct, frozen=True):
    key: str
    array: str


class _Asked(msgspec.Struct, frozen=True):
    """What of a frozen plan says which gradient it was for."""

    path: str
    direction: str
    objective_name: str | None
    objective: _Array | None
    wrt: list[str]
    parameter_values: dict[str, Any]


@dataclass(frozen=True)
class Gradient:
    """A gradient of an objective; moved: the parameters that differ from the pipeline's now.

    check: the last one at this very point, of this code and data; None: there was none.
    """

    objective: str
    wrt: list[str]
    moved: dict[str, Any]
    check: Check | None

    @property
    def unchecked(self) -> list[str]:
        """The parameters that it was not checked in."""
        known = set(self.check.wrt) if self.check else set()
        return [name for name in self.wrt if name not in known]


def gradients(store: Store, pipeline: Pipeline) -> list[Gradient]:
    """Those of a pipeline whose runs and values are kept, the latest first."""
    found: dict[tuple[str, str, tuple[str, ...]], Gradient] = {}
    for asked in _asked(store, pipeline):
        assert asked.objective is not None
        key, array = asked.objective.key, asked.objective.array
        if store.get(key) is not None:
            check = Checks(store.layout).get(key_of(key, array))
            moved = _moved(pipeline, asked.parameter_values)
            gradient = Gradient(asked.objective_name or "", asked.wrt, moved, check)
            found.setdefault((key, array, tuple(asked.wrt)), gradient)
    return list(found.values())


def _asked(store: Store, pipeline: Pipeline) -> Iterator[_Asked]:
    for run in reversed(runs.all_runs(store)):
        asked = _read(run)
        if asked is not None and asked.path == str(pipeline.path) and _gave_a_gradient(asked, run):
            yield asked


def _gave_a_gradient(asked: _Asked, run: RunLayout) -> bool:
    is_one = asked.direction == "backward" and asked.objective is not None
    return is_one and runs.outcome(run).state == "done"


def _read(run: RunLayout) -> _Asked | None:
    try:
        return msgspec.json.decode(files.read(run.plan, _MOST_BYTES), type=_Asked)
    except (OSError, RecursionError, msgspec.MsgspecError):
        return None


def _moved(pipeline: Pipeline, values: dict[str, Any]) -> dict[str, Any]:
    now = {name: each.value for name, each in pipeline.parameters.items()}
    return {name: value for name, value in values.items() if as_value(value) != now.get(name)}
