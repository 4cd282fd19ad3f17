"""The pipeline file: YAML parsed at the edge into frozen values, each mistake named with its line.

This module knows what a file may say; what it means is `assemble`'s.
"""

import math
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import yaml
from msgspec import UNSET, Meta, UnsetType

from diffpipe.cache.errors import PipelineError, did_you_mean
from diffpipe.cache.masks import MOST_SHARDS

_MAX_BYTES = 1_000_000
_MAX_VALUES = 200_000  # after aliases are unfolded
_MAX_DEPTH = 40
_POSITIVE = Annotated[int, Meta(ge=1)]


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Unknown words are refused."""


class ParameterEntry(_Strict, frozen=True):
    value: Any
    unit: str = "1"
    fit: bool = False
    bounds: tuple[float, float] | None = None


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


class StageEntry(_Strict, frozen=True):
    uses: str
    over: Literal["events", "once"] | UnsetType = UNSET
    inputs: dict[str, str] = {}
    parameters: list[str] | dict[str, str] = []
    outputs: dict[str, OutputEntry] = {}
    checkpoint: Literal["recompute", "residuals"] = "recompute"
    framework: Literal["jax"] = "jax"
    derivative: Literal["exact"] = "exact"
    resources: dict[str, Any] = {}
    options: dict[str, Any] = {}


class _TopLevel(_Strict, frozen=True):
    pipeline: str
    stages: dict[str, Any]
    description: str = ""
    parameters: dict[str, Any] = {}
    data: dict[str, dict[str, Any]] = {}
    events: dict[str, Any] | None = None
    objective: str | None = None


class PipelineFile(msgspec.Struct, frozen=True):
    """One pipeline file, its entries checked for form only."""

    path: Path
    name: str
    description: str
    parameters: dict[str, ParameterEntry]
    data: dict[str, dict[str, Any]]
    events: EventsEntry | None
    stages: dict[str, StageEntry]
    objective: str | None
    text: str

    def fail(self, place: tuple[str, ...], message: str, hint: str | None = None) -> PipelineError:
        """An error about one place of this file, with its line."""
        stage = place[1] if place[:1] == ("stages",) and len(place) > 1 else None
        where = f"{self.path}{_line_of(self.text, place)}"
        label = ".".join(place)
        return PipelineError(f"{where}: {label}: {message}", hint=hint, stage=stage)


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
    top = _convert(empty, (), _load_yaml(path, text), _TopLevel)
    parameters = {
        name: _convert(empty, ("parameters", name), _as_entry(value), ParameterEntry)
        for name, value in top.parameters.items()
    }
    stages = {
        name: _convert(empty, ("stages", name), value, StageEntry)
        for name, value in top.stages.items()
    }
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


class _Loader(yaml.CSafeLoader if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader):  # type: ignore[misc]
    """Plain YAML, with numbers such as 1e-3 read as numbers and repeated keys refused."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


def _mapping(loader: Any, node: yaml.MappingNode) -> dict[Any, Any]:
    loader.flatten_mapping(node)
    mapping: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str):
            raise yaml.constructor.ConstructorError(
                None, None, f"the name {key!r} is not text: quote it", key_node.start_mark
            )
        if key in mapping:
            raise yaml.constructor.ConstructorError(
                None, None, f"{key!r} stands twice", key_node.start_mark
            )
        mapping[key] = loader.construct_object(value_node, deep=True)
    return mapping


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)


def _load_yaml(path: Path, text: str) -> Any:
    try:
        value = yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise PipelineError(f"{path}{line}: {error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError) as error:
        raise PipelineError(f"{path}: {' '.join(str(error).split())}") from error
    _check_plain(path, value)
    return value


def _check_plain(path: Path, value: Any) -> None:
    """Refuse what aliases can hide: cycles, and small files that unfold to huge values."""
    waiting: list[tuple[Any, int]] = [(value, 0)]
    seen = 0
    while waiting:
        each, depth = waiting.pop()
        seen += 1
        if depth > _MAX_DEPTH or seen > _MAX_VALUES:
            raise PipelineError(f"{path}: nested too deeply or too large once aliases are unfolded")
        if isinstance(each, dict):
            waiting += [(inner, depth + 1) for inner in each.values()]
        elif isinstance(each, list):
            waiting += [(inner, depth + 1) for inner in each]
        elif not isinstance(each, str | int | float | bool | None):
            raise PipelineError(f"{path}: {each!r} is no plain value: quote it")


def _line_of(text: str, place: tuple[str, ...]) -> str:
    """', line N' of the innermost named place that the text has; read only to report a mistake."""
    try:
        node = yaml.compose(text, yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError):
        return ""
    line = None
    for name in place:
        if not isinstance(node, yaml.MappingNode):
            break
        pairs = [pair for pair in node.value if pair[0].value == name]
        if not pairs:
            break
        line, node = pairs[0][0].start_mark.line + 1, pairs[0][1]
    return "" if line is None else f", line {line}"
