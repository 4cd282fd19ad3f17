"""YAML text as plain values, and the lines where they stand.

Numbers such as 1e-3 are numbers; repeated names, cycles and huge values are refused.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from diffpipe.cache.errors import PipelineError

_MAX_VALUES = 200_000  # after aliases are unfolded
_MAX_DEPTH = 40


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


def load(path: Path, text: str) -> Any:
    """The plain values that the text of a file says; raises PipelineError."""
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


def line_of(text: str, place: tuple[str, ...]) -> str:
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
