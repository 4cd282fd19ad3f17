"""`diffpipe stage check TARGET`: the laws of a stage, put to one of the user's own."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from diffpipe.cache.errors import UsageError, did_you_mean
from diffpipe.cli.options import JsonOption, StoreOption, open_store

if TYPE_CHECKING:
    from diffpipe.pipelines.core.model import Function, Pipeline
    from diffpipe.rules.proof.stages import Subject

app = typer.Typer(help="Look at one stage.", no_args_is_help=True)

TargetArgument = Annotated[
    str, typer.Argument(metavar="TARGET", help="module:function, or a stage of the pipeline.")
]
PipelineOption = Annotated[
    str | None,
    typer.Option(
        "--pipeline", metavar="PIPELINE", help="A name or a file; default: pipeline.yaml here."
    ),
]
FrameworkOption = Annotated[
    str | None, typer.Option("--framework", help="Of a function with an example; default: jax.")
]
ShardOption = Annotated[int, typer.Option("--shard", min=0, help="Which shard of the events.")]
SeedOption = Annotated[
    int, typer.Option("--seed", min=0, help="Of the directions that it is moved in.")
]


class Target(NamedTuple):
    """Which stage, and where its inputs come from."""

    target: str
    pipeline: str | None
    framework: str | None
    shard: int
    store: Path | None


@app.callback()
def _group() -> None:
    """Look at one stage."""


@app.command()
def check(
    target: TargetArgument,
    pipeline: PipelineOption = None,
    framework: FrameworkOption = None,
    shard: ShardOption = 0,
    seed: SeedOption = 0,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put a stage to the laws: values, determinism, derivatives, NaN, a fresh process."""
    from diffpipe.cli import findings
    from diffpipe.rules.proof.stages import examined

    chosen = Target(target, pipeline, framework, shard, store)
    found = list(examined(_subjects(chosen), seed))
    passed = all(findings.passed(each) for each in found)
    if as_json:
        from diffpipe.cli.report import print_json

        head = {"target": target, "seed": seed, "passed": passed}
        print_json(head | {"stages": found})
    else:
        for each in found:
            findings.show_all(each)
    raise typer.Exit(0 if passed else 1)


def _subjects(chosen: Target) -> "list[Subject]":
    """The stages of the pipeline that the target is, or the function with its example."""
    from diffpipe.pipelines.core import library
    from diffpipe.pipelines.core.assemble import assemble

    is_function = ":" in chosen.target
    local = chosen.pipeline is not None or Path(library.LOCAL_FILE).exists()
    folder = Path.cwd()
    if local or not is_function:
        opened = assemble(library.find(chosen.pipeline))
        folder = opened.path.parent
        names = _stages(opened, chosen.target)
        if names:
            return _of_pipeline(chosen, opened, names)
    return [_of_example(chosen, folder)]


def _stages(pipeline: "Pipeline", target: str) -> list[str]:
    """The names of the stages that a target is; none, where it is a function no stage uses."""
    if ":" in target:
        return [name for name, each in pipeline.stages.items() if str(each.function) == target]
    if target not in pipeline.stages:
        raise UsageError(
            f"the pipeline {pipeline.name} has no stage {target!r}",
            hint=f"{did_you_mean(target, pipeline.stages)} (a function is module:function)",
        )
    return [target]


def _of_pipeline(chosen: Target, pipeline: "Pipeline", names: list[str]) -> "list[Subject]":
    """The stages with what they read, which is computed where it is not stored."""
    from diffpipe.cli.progress import make_observer
    from diffpipe.rules.here import Here
    from diffpipe.rules.proof import stages

    if chosen.framework is not None:
        hint = f"the stage {names[0]} says its own in {pipeline.path}"
        raise UsageError("--framework is of a function that no stage uses", hint=hint)
    place, shards = Here(os.cpu_count() or 1), dict.fromkeys(names, chosen.shard)
    with make_observer(quiet=True, verbose=False) as observer:
        return stages.of_pipeline(open_store(chosen.store), pipeline, shards, place, observer)


def _of_example(chosen: Target, folder: Path) -> "Subject":
    """The function at the point that `example_<function>()` beside it says."""
    from diffpipe.pipelines.core import functions
    from diffpipe.pipelines.core.code import defined
    from diffpipe.pipelines.core.environment import Environment
    from diffpipe.pipelines.frameworks.registry import FRAMEWORKS
    from diffpipe.pipelines.proof.job import Named
    from diffpipe.rules.proof.stages import Subject

    function = functions.find(chosen.target, {}, folder, "stage check")
    name = chosen.framework or "jax"
    if name not in FRAMEWORKS:
        raise UsageError(f"unknown framework {name!r}", hint=did_you_mean(name, FRAMEWORKS))
    _require_example(function, defined(function))
    named = Named(function.module, function.name, str(folder), name)
    return Subject(function.name, Environment.current().platform(gpus=0), name, named)


def _require_example(function: "Function", there: set[str]) -> None:
    from diffpipe.pipelines.proof.example import example_name

    if function.name not in there:
        text = f"there is no function {function} in {function.folder}"
        raise UsageError(text, hint=did_you_mean(function.name, there))
    if example_name(function) not in there:
        raise UsageError(
            f"no numbers to put {function} to the proof with",
            hint=f"use it in a pipeline.yaml here (or --pipeline FILE), or write beside it a "
            f'function {example_name(function)}() that returns {{"parameters": {{...}}, '
            f'"inputs": {{...}}}}',
        )
