"""Scopes: a pipeline file at its place, and what its names stand for in the whole pipeline."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path

from diffpipe.cache.errors import did_you_mean
from diffpipe.pipelines.core.model import DataRef, OutputRef, Ref
from diffpipe.pipelines.core.schema import PipelineFile

_NAME = re.compile(r"[A-Za-z_]\w{0,63}", re.ASCII)


@dataclass(frozen=True)
class Scope:
    """One pipeline file at its place: its prefix, and what the outer pipeline gives it."""

    file: PipelineFile
    prefix: str
    given_inputs: Mapping[str, Ref]
    given_parameters: Mapping[str, str]
    above: tuple[Path, ...]

    @property
    def folder(self) -> Path:
        return self.file.path.parent

    @cached_property
    def parameters(self) -> Mapping[str, str]:
        """The parameters that may be named here, each with its full name."""
        own = {name: self.prefix + name for name in self.file.parameters}
        return {**own, **self.given_parameters}


def is_name(text: str) -> bool:
    """Whether this is letters, digits and _, at most 64."""
    return _NAME.fullmatch(text) is not None


def check_name(file: PipelineFile, place: tuple[str, ...], name: str) -> None:
    """Refuse the name of a pipeline, a stage or a dataset that is not a plain word."""
    if not is_name(name):
        raise file.fail(
            place, f"the name {name!r} is not letters, digits and _ (at most 64)", "rename it"
        )


def bound_parameters(
    scope: Scope, place: tuple[str, ...], said: Iterable[str] | Mapping[str, str]
) -> dict[str, str]:
    """Local name -> full name; patterns such as pdf.* are unfolded in the file's order."""
    pairs = dict(said) if isinstance(said, Mapping) else {x: x for x in _matching(scope, said)}
    for known in pairs.values():
        if known not in scope.parameters:
            hint = did_you_mean(known, scope.parameters)
            raise scope.file.fail(place, f"unknown parameter {known!r}", hint)
    return {local: scope.parameters[known] for local, known in pairs.items()}


def _matching(scope: Scope, patterns: Iterable[str]) -> list[str]:
    chosen: list[str] = []
    for pattern in patterns:
        wild = any(sign in pattern for sign in "*?[")
        matches = [each for each in scope.parameters if fnmatchcase(each, pattern)]
        chosen += matches if wild and matches else [pattern]
    return chosen


def references(scope: Scope, place: tuple[str, ...], said: Mapping[str, str]) -> dict[str, Ref]:
    """Local name of an input -> what it reads."""
    return {local: _reference(scope, (*place, local), text) for local, text in said.items()}


def _reference(scope: Scope, place: tuple[str, ...], text: str) -> Ref:
    if not is_name(place[-1]):
        raise scope.file.fail(place, f"the name {place[-1]!r} is not letters, digits and _")
    head, _, rest = text.partition(".")
    if not rest:
        raise scope.file.fail(place, f"{text!r} is not stage.output, data.name or inputs.name")
    if head == "inputs":
        return _given_input(scope, place, rest)
    if head == "data":
        return _data_reference(scope, place, rest)
    producer, _, output = text.rpartition(".")
    return OutputRef(scope.prefix + producer, output)


def _given_input(scope: Scope, place: tuple[str, ...], name: str) -> Ref:
    if name not in scope.given_inputs:
        hint = "it is given where this pipeline is used as a stage: inputs: {" + name + ": ...}"
        raise scope.file.fail(place, f"the input {name!r} of the pipeline is not given", hint)
    return scope.given_inputs[name]


def _data_reference(scope: Scope, place: tuple[str, ...], text: str) -> DataRef:
    name, _, column = text.partition(".")
    if name not in scope.file.data:
        hint = did_you_mean(name, scope.file.data)
        raise scope.file.fail(place, f"unknown dataset {name!r}", hint)
    return DataRef(scope.prefix + name, column or None)
