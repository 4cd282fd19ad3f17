"""Past plans: what runs were asked, as they were frozen, and what stood in the key of each step.

Only what is needed to look back is read, so that plans of other versions of diffpipe, whose steps
have more or fewer fields, are read too.
"""

from typing import Any

import msgspec

from diffpipe.cache import files
from diffpipe.cache.layout import RunLayout

_MOST_BYTES = 1 << 30


class PastSource(msgspec.Struct, frozen=True):
    """Where a past step read an array (or data: files and a column)."""

    key: str = ""
    array: str = ""
    step: str = ""
    files: dict[str, str] = {}
    column: str | None = None
    slot: bool = False


class PastStep(msgspec.Struct, frozen=True):
    """A step of a past run: which artefact it makes, and all that stands in the artefact's key."""

    id: str
    kind: str
    stage: str
    key: str
    slots: int
    over: str
    ingredients: dict[str, Any]
    inputs: dict[str, PastSource] = {}
    of: PastSource | None = None


class PastGoal(msgspec.Struct, frozen=True):
    """Where the gradients are that a run was asked for."""

    gradients: dict[str, list[PastSource]] = {}
    several: list[str] = []  # objectives, where gradients have a row for each


class Past(msgspec.Struct, frozen=True):
    """What a run was asked, and the steps that lead to it."""

    pipeline: str
    path: str
    direction: str
    objective_name: str | None = None
    wrt: list[str] = []
    parameter_values: dict[str, Any] = {}
    slots_present: dict[str, int] = {}
    outputs: dict[str, PastSource] = {}
    goal: PastGoal = PastGoal()
    steps: list[PastStep] = []

    @property
    def of(self) -> str | None:
        """The outputs that were asked for."""
        return ", ".join(self.outputs) or self.objective_name

    @property
    def gradients(self) -> dict[str, list[PastSource]]:
        """Parameter (or input of a stage) -> the arrays that are added up."""
        return self.goal.gradients

    @property
    def reused(self) -> int:
        """How many shards were there when it began, sums over them apart."""
        return sum(self.slots_present.get(s.id, 0) for s in self.steps if s.kind != "reduction")

    @property
    def primals(self) -> dict[str, PastStep]:
        """Stage -> its primal, in order."""
        return {step.stage: step for step in self.steps if step.kind == "primal"}


class _Head(msgspec.Struct, frozen=True):
    """Which pipeline a run was of."""

    path: str


def read_past(run: RunLayout) -> Past | None:
    """The frozen plan of a run; None where it cannot be read."""
    found: Past | None = _read(run, Past)
    return found


def pipeline_path(run: RunLayout) -> str | None:
    """The pipeline file of a run; None where its plan cannot be read."""
    head = _read(run, _Head)
    return head and head.path


def _read(run: RunLayout, kind: type[Any]) -> Any:
    try:
        return msgspec.json.decode(files.read(run.plan, _MOST_BYTES), type=kind)
    except (OSError, RecursionError, msgspec.MsgspecError):
        return None
