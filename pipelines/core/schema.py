"""The pipeline file: parsed at the edge into frozen values, each mistake named with its line.

This module knows what a file may say; what it means is `assemble`'s.
"""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType, structs

from diffpipe.cache.errors import PipelineError, did_you_mean
from diffpipe.cache.masks import MOST_SHARDS
from diffpipe.pipelines.core.document import line_of, load

_MAX_BYTES = 1_000_000
_POSITIVE = Annotated[int, Meta(ge=1)]


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Unknown words are refused."""


class ParameterEntry(_Strict, frozen=True):
    value: Any
    unit: str = "1"
    fit: bool = False
    bounds: tuple[float, float] | None = None
    prior: Annotated[float, Meta(gt=0)] | None = None


class OutputEntry(_Strict, frozen=True):
    unit: str = "1"
    sum: bool = False
    constant: bool = False
    shape: tuple[int, ...] | None = None
    dtype: Literal["float64", "int64", "int32", "uint32", "bool", "complex128"] | None = None


class EventsEntry(_Strict, frozen=True):
    """path: a file that the source reads, relative to the pipeline file as those of data are."""

    uses: str
    count: _POSITIVE
    shard: _POSITIVE
    block: Annotated[int, Meta(ge=1, le=MOST_SHARDS)] = 1
    seed: Annotated[int, Meta(ge=0)] = 0
    path: str | None = None
    options: dict[str, Any] = {}
    outputs: dict[str, OutputEntry] = {}


class FrameworkEntry(_Strict, frozen=True):
    """How a stage is run: what each framework takes of this, `frameworks` says."""

    name: str
    timeout: str | None = None
    arguments: list[str] | dict[str, str] = []
    files: list[str] = []
    jvp: bool | None = None
    model: str | None = None
    version: str | None = None
    retries: Annotated[int, Meta(ge=0, le=100)] | None = None


class DerivativeEntry(_Strict, frozen=True):
    """How a stage is differentiated; step: of a parameter or an input, by its local name."""

    by: Literal["exact", "finite-difference", "none", "stop"]
    step: dict[str, Annotated[float, Meta(gt=0)]] = {}


class StageEntry(_Strict, frozen=True):
    uses: str
    over: Literal["events", "once"] | UnsetType = UNSET
    inputs: dict[str, str] = {}
    parameters: list[str] | dict[str, str] = []
    outputs: dict[str, OutputEntry] = {}
    checkpoint: Literal["recompute", "residuals", "auto"] = "recompute"
    framework: str | dict[str, Any] = "jax"
    derivative: str | dict[str, Any] | UnsetType = UNSET
    resources: dict[str, Any] = {}
    options: dict[str, Any] = {}


class CompanionsEntry(_Strict, frozen=True):
    """What a stage brings along: stages and data, its inputs from them, and what it keeps."""

    parameters: list[str]
    options: dict[str, Any]
    stages: dict[str, Any] = {}
    data: dict[str, dict[str, Any]] = {}
    inputs: dict[str, str] = {}


class _TopLevel(_Strict, frozen=True):
    pipeline: str
    stages: dict[str, Any]
    description: str = ""
    parameters: dict[str, Any] = {}
    data: dict[str, dict[str, Any]] = {}
    events: dict[str, Any] | None = None
    objective: str | None = None


class PipelineFile(msgspec.Struct, frozen=True):
    """One pipeline file, its entries checked for form only.

    within: of what a stage of the file brings along, the place of that stage.
    """

    path: Path
    name: str
    description: str
    parameters: dict[str, ParameterEntry]
    data: dict[str, dict[str, Any]]
    events: EventsEntry | None
    stages: dict[str, StageEntry]
    objective: str | None
    text: str
    within: tuple[str, ...] = ()

    def fail(self, place: tuple[str, ...], message: str, hint: str | None = None) -> PipelineError:
        """An error about one place of this file, with its line."""
        full = (*self.within, *place)
        stage = full[1] if full[:1] == ("stages",) and len(full) > 1 else None
        where = f"{self.path}{line_of(self.text, full)}"
        return PipelineError(f"{where}: {'.'.join(full)}: {message}", hint=hint, stage=stage)

    def where(self, place: tuple[str, ...]) -> str:
        """The name of a place of this file."""
        return f"{self.path}: {'.'.join((*self.within, *place))}"


def read(path: Path) -> PipelineFile:
    """Parse a pipeline file; raises PipelineError with file and line."""
    try:
        data = path.read_bytes()
        text = data.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PipelineError(f"cannot read {path}: {error}") from error
    if len(data) > _MAX_BYTES:
        raise PipelineError(f"{path}: {len(data)} bytes; a pipeline file has at most {_MAX_BYTES}")
    return _parse(path, text)


def _parse(path: Path, text: str) -> PipelineFile:
    empty = PipelineFile(path, "", "", {}, {}, None, {}, None, text)
    top = _convert(empty, (), load(path, text), _TopLevel)
    parameters = {
        name: _convert(empty, ("parameters", name), _as_entry(value), ParameterEntry)
        for name, value in top.parameters.items()
    }
    stages = _stages(empty, top.stages)
    for name, value in {**top.stages, **top.data, "events": top.events}.items():
        _check_finite(empty, name, value)
    events = None if top.events is None else _convert(empty, ("events",), top.events, EventsEntry)
    return PipelineFile(
        path,
        top.pipeline,
        top.description,
        parameters,
        top.data,
        events,
        stages,
        top.objective,
        text,
    )


def companions(
    file: PipelineFile, place: tuple[str, ...], said: Mapping[str, Any]
) -> tuple[PipelineFile, CompanionsEntry]:
    """What the stage at a place brings along, and a file that says its stages and data.

    Raises PipelineError.
    """
    bare = PipelineFile(file.path, file.name, "", {}, {}, None, {}, None, file.text)
    inner = structs.replace(bare, within=(*file.within, *place))
    entry: CompanionsEntry = _convert(inner, (), said, CompanionsEntry)
    stages = _stages(inner, entry.stages)
    return structs.replace(inner, data=entry.data, stages=stages), entry


def framework(file: PipelineFile, stage: str, entry: StageEntry) -> FrameworkEntry:
    """How the file says that a stage is run; raises PipelineError."""
    said = entry.framework if isinstance(entry.framework, dict) else {"name": entry.framework}
    found: FrameworkEntry = _convert(file, ("stages", stage, "framework"), said, FrameworkEntry)
    return found


def derivative(file: PipelineFile, stage: str, entry: StageEntry) -> DerivativeEntry | None:
    """How the file says that a stage is differentiated, if it does; raises PipelineError."""
    if isinstance(entry.derivative, UnsetType):
        return None
    said = entry.derivative if isinstance(entry.derivative, dict) else {"by": entry.derivative}
    found: DerivativeEntry = _convert(file, ("stages", stage, "derivative"), said, DerivativeEntry)
    return found


def _stages(file: PipelineFile, raw: Mapping[str, Any]) -> dict[str, StageEntry]:
    return {
        name: _convert(file, ("stages", name), value, StageEntry) for name, value in raw.items()
    }


def _check_finite(file: PipelineFile, name: str, value: Any) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise file.fail((name,), f"{value} is not a finite number")
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for each in inner:
        _check_finite(file, name, each)


def _as_entry(value: Any) -> Any:
    return value if isinstance(value, dict) else {"value": value}


def _convert(file: PipelineFile, place: tuple[str, ...], value: Any, kind: type[Any]) -> Any:
    try:
        return msgspec.convert(value, kind, strict=True)
    except msgspec.ValidationError as error:
        message, _, inner = str(error).partition(" - at ")
        words = re.findall(r"\.(\w+)", inner.strip("`"))
        unknown = re.search(r"unknown field `(.*)`", message)
        hint = did_you_mean(unknown.group(1), kind.__struct_fields__) if unknown else None
        raise file.fail((*place, *words), message, hint) from error
