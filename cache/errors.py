"""The exceptions of diffpipe, one tree.

    DiffpipeError                 exit code 1
    ├── UsageError                exit code 2: the command line asks for what is not there
    ├── PipelineError             exit code 2: the pipeline file, a stage or a join is wrong
    ├── StageError                a stage raised while it ran
    ├── NonFiniteError            NaN or Inf in an event, an output or a cotangent
    ├── WorkerError               a worker process died without a word
    ├── OverBudgetError           it would take more disk or memory than it may
    ├── ClusterError              the batch system refuses, or cannot be asked
    ├── StoreError                the store cannot be used
    │   ├── NewerStoreError       it was written by a later version
    │   ├── BusyStoreError        another run is at work on it
    │   ├── UnwritableStoreError  read-only, or the disk is full
    │   └── DamagedError          what fails its checksum, or is not what it should be
    └── InterruptedRunError       exit code 130

A message says what happened and the value got; `hint` says what to try. Each error can be written
as JSON by a worker and raised again by the process that started it.
"""

from collections.abc import Iterable
from typing import Any, ClassVar


class DiffpipeError(Exception):
    """Something a user can act on; shown without a traceback."""

    kind: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        stage: str | None = None,
        shard: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.stage = stage
        self.shard = shard

    def to_json(self) -> dict[str, Any]:
        """The error as plain values: kind, message, hint, stage, shard."""
        fields = ("kind", "message", "hint", "stage", "shard")
        return {name: getattr(self, name) for name in fields}


class UsageError(DiffpipeError, ValueError):
    kind, exit_code = "usage", 2


class PipelineError(DiffpipeError, ValueError):
    kind, exit_code = "pipeline", 2


class StageError(DiffpipeError, RuntimeError):
    kind = "stage"


class NonFiniteError(DiffpipeError, ArithmeticError):
    kind = "non_finite"


class WorkerError(DiffpipeError, RuntimeError):
    kind = "worker"


class OverBudgetError(DiffpipeError, MemoryError):
    kind = "over_budget"


class ClusterError(DiffpipeError, RuntimeError):
    kind = "cluster"


class StoreError(DiffpipeError, OSError):
    kind = "store"


class NewerStoreError(StoreError):
    kind = "newer_store"


class BusyStoreError(StoreError):
    kind = "busy_store"


class UnwritableStoreError(StoreError):
    kind = "unwritable_store"


class DamagedError(StoreError):
    kind = "damaged"


class InterruptedRunError(DiffpipeError):
    kind, exit_code = "interrupted", 130


def from_json(document: dict[str, Any]) -> DiffpipeError:
    """The error that `to_json` wrote, of the same class."""
    classes = {each.kind: each for each in _subclasses(DiffpipeError)}
    fields = {name: document.get(name) for name in ("hint", "stage", "shard")}
    return classes.get(document["kind"], DiffpipeError)(document["message"], **fields)


def _subclasses(root: type[DiffpipeError]) -> Iterable[type[DiffpipeError]]:
    for each in root.__subclasses__():
        yield each
        yield from _subclasses(each)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint that names the nearest known names, or all of them where none is near."""
    from difflib import get_close_matches  # here, since most commands end without a mistake

    names = sorted(known)
    near = get_close_matches(name, names, n=3, cutoff=0.6)
    if near:
        return f"did you mean {' or '.join(near)}?"
    shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    return f"known: {shown}" if names else "there are none"
