"""A stage's function, loaded and guarded: options, names asked for, names given back, errors."""

import inspect
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from diffpipe.cache.errors import (
    DiffpipeError,
    NonFiniteError,
    PipelineError,
    StageError,
    did_you_mean,
)
from diffpipe.pipelines.core import functions
from diffpipe.pipelines.core.model import Function
from diffpipe.pipelines.core.steps import Call, Code

Convert = Callable[[Callable[..., Any]], Callable[..., Any]]
StageFunction = Callable[[Mapping[str, Any], Mapping[str, Any]], dict[str, Any]]


def code_of(call: Call) -> Code:
    """The function of a stage that is one."""
    assert isinstance(call.code, Code)
    return call.code


@cache
def load_code(code: Code) -> Callable[..., Any]:
    """Import the function a step names."""
    folder = None if code.folder is None else Path(code.folder)
    return functions.load(Function(code.module, code.name, folder))


@dataclass(frozen=True)
class StageKey:
    """A stage without its parameters' values: what one compiled or traced function serves."""

    name: str
    code: Code
    options: bytes

    @classmethod
    def of(cls, call: Call) -> "StageKey":
        return cls(call.stage, code_of(call), msgspec.json.encode(call.options))

    def function(self, converted: Convert = lambda function: function) -> StageFunction:
        """The stage, its own code converted as a framework needs it."""
        return load_stage(self.name, self.code, msgspec.json.decode(self.options), converted)


def load_stage(
    stage: str,
    code: Code,
    options: Mapping[str, Any],
    converted: Convert = lambda function: function,
) -> StageFunction:
    """The stage as a function of (parameters, inputs) alone; raises PipelineError for options."""
    function = load_code(code)
    check_options(stage, function, options)
    function = converted(function)

    def run(parameters: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return _checked(stage, function(dict(parameters), dict(inputs), **options))
        except KeyError as error:
            name = error.args[0] if error.args else None
            if name in parameters or name in inputs:
                raise
            raise _not_given(stage, name, parameters, inputs) from error

    return run


def only(run: StageFunction, kind: str, is_kind: Callable[[Any], bool]) -> StageFunction:
    """The stage, where what it gives is all of a kind; raises TypeError."""

    def checked(parameters: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
        outputs = run(parameters, inputs)
        for name, each in outputs.items():
            if not is_kind(each):
                raise TypeError(f"the output {name} is a {type(each).__name__}, not a {kind}")
        return outputs

    return checked


def check_options(stage: str, function: Callable[..., Any], options: Mapping[str, Any]) -> None:
    """Refuse options that the function does not have."""
    arguments = inspect.signature(function).parameters.values()
    if any(each.kind is each.VAR_KEYWORD for each in arguments):
        return
    known = [each.name for each in arguments if each.kind is each.KEYWORD_ONLY]
    known += [each.name for each in list(arguments)[2:] if each.kind is each.POSITIONAL_OR_KEYWORD]
    for name in options:
        if name not in known:
            hint = did_you_mean(name, known)
            raise PipelineError(f"stage {stage}: unknown option {name!r}", hint=hint, stage=stage)


def check_numbers(call: Call, parameters: Any, inputs: Any) -> None:
    """Let a stage look at the numbers of its first shard, which its traced function cannot.

    Calls the function `check_<name>` beside the stage's function <name>, if there is one, with the
    stage's own arguments; it raises what it refuses.
    """
    check = beside(call, "check")
    if check is not None:
        check(dict(parameters), dict(inputs), **call.options)


@contextmanager
def explaining(call: Call, parameters: Any, inputs: Any) -> Iterator[None]:
    """Let a stage say why a value of its own is NaN or Inf, as far as it knows.

    Calls the function `explain_<name>` beside the stage's function <name>, if there is one, with
    the stage's own arguments; what it says takes the place of the error's hint.
    """
    try:
        yield
    except NonFiniteError as error:
        explain = beside(call, "explain")
        said = explain and explain(dict(parameters), dict(inputs), **call.options)
        error.hint = said or error.hint
        raise


def beside(call: Call, what: str) -> Callable[..., Any] | None:
    """The function `<what>_<name>` that a stage has beside its own <name>, if there is one."""
    if not isinstance(call.code, Code):
        return None
    module = sys.modules[load_code(call.code).__module__]
    found: Callable[..., Any] | None = getattr(module, f"{what}_{call.code.name}", None)
    return found


@contextmanager
def reporting(stage: str, shard: int | None = None) -> Iterator[None]:
    """Turn what a stage raises into an error that names stage, shard and line.

    Before anything runs (shard None) a TypeError or ValueError is the pipeline's: a wrong shape or
    dtype at a join, an option with a wrong value. So is what a stage refuses in its own words: an
    error with a `hint`.
    """
    try:
        yield
    except DiffpipeError:
        raise
    except Exception as error:
        raise _told(stage, shard, error) from error


def _told(stage: str, shard: int | None, error: Exception) -> DiffpipeError:
    place = f"stage {stage}" if shard is None else f"stage {stage}, shard {shard}"
    if hasattr(error, "hint"):
        return PipelineError(
            f"{place}: {_message(error)}", stage=stage, shard=shard, hint=error.hint
        )
    text = f"{place}: {type(error).__name__}: {_message(error)}{_line(error)}"
    if shard is None and isinstance(error, TypeError | ValueError | ImportError):
        return PipelineError(text, stage=stage)
    hint = "finished shards are kept; mend the stage and run the same command"
    return StageError(text, stage=stage, shard=shard, hint=hint)


def _not_given(
    stage: str, name: Any, parameters: Mapping[str, Any], inputs: Mapping[str, Any]
) -> PipelineError:
    given = [*(f"parameter {each}" for each in parameters), *(f"input {each}" for each in inputs)]
    near = did_you_mean(str(name), [*parameters, *inputs])
    return PipelineError(
        f"stage {stage} asks for {name!r}, which is none of its parameters and inputs",
        hint=f"{near} (it is given: {', '.join(given) or 'nothing'})",
        stage=stage,
    )


def _checked(stage: str, outputs: Any) -> dict[str, Any]:
    if not isinstance(outputs, Mapping) or not outputs:
        raise PipelineError(
            f"stage {stage} gives {type(outputs).__name__}, not named arrays",
            hint='write return {"name": array}',
            stage=stage,
        )
    for name in outputs:
        if not isinstance(name, str) or not name.isidentifier() or len(name) > 64:
            raise PipelineError(
                f"stage {stage}: the output name {name!r} is not letters, digits and _", stage=stage
            )
    return dict(outputs)


def _message(error: Exception) -> str:
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    return " ".join(line.strip() for line in lines[:4])[:600]


def _line(error: Exception) -> str:
    """The innermost line of code outside installed packages."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if "site-packages" not in frame.filename and "frameworks" not in Path(frame.filename).parts
    ]
    return f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
