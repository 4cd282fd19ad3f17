"""`diffpipe stage check TARGET`: the laws of a stage, put to one of the user's own."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from diffpipe.cache.errors import UsageError, WorkerError, did_you_mean
from diffpipe.cli.options import JsonOption, StoreOption, open_store

if TYPE_CHECKING:
    from diffpipe.cache.store import Store
    from diffpipe.pipelines.core.model import Function, Pipeline
    from diffpipe.pipelines.core.steps import Step
    from diffpipe.pipelines.proof.job import Named
    from diffpipe.pipelines.proof.point import Point

    Subject = tuple[str, Named | Point]  # a platform, and what is put to the proof on it

app = typer.Typer(help="Look at one stage.", no_args_is_help=True)

_ORDER = {"failed": "bold red", "not decided": "yellow", "remark": "yellow", "passed": "green"}
_COUNTED = {"failed": "failed", "not decided": "not decided", "remark": "remarks"}


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
    chosen = Target(target, pipeline, framework, shard, store)
    found = [_examined(subject, seed) for subject in _subjects(chosen)]
    passed = all(each["verdict"] != "failed" for one in found for each in one["findings"])
    if as_json:
        from diffpipe.cli.report import print_json

        head = {"target": target, "seed": seed, "passed": passed}
        print_json(head | {"stages": found})
    else:
        for one in found:
            _show(one)
    raise typer.Exit(0 if passed else 1)


def _subjects(chosen: Target) -> "Iterator[Subject]":
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
            yield from _of_pipeline(chosen, opened, names)
            return
    yield _of_example(chosen, folder)


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


def _of_pipeline(chosen: Target, pipeline: "Pipeline", names: list[str]) -> "Iterator[Subject]":
    """The stages with what they read, which is computed where it is not stored."""
    from diffpipe.pipelines.core.plan import Request, make_plan
    from diffpipe.pipelines.core.steps import primal_id
    from diffpipe.pipelines.proof.point import Point

    if chosen.framework is not None:
        hint = f"the stage {names[0]} says its own in {pipeline.path}"
        raise UsageError("--framework is of a function that no stage uses", hint=hint)
    store = open_store(chosen.store)
    steps = make_plan(store, pipeline, Request("forward")).steps
    asked = [step for step in steps if step.id in {primal_id(name) for name in names}]
    for step in asked:
        _check_asked(step, chosen.shard)
    _compute_above(store, pipeline, names)
    for step in asked:
        yield step.platform, Point.of_stage(pipeline, step, store, chosen.shard)


def _check_asked(step: "Step", shard: int) -> None:
    if step.call is None or step.call.source:
        raise UsageError(f"{step.stage} is a source of events: it has no inputs to be moved in")
    if shard >= step.slots:
        raise UsageError(f"--shard {shard}: the stage {step.stage} has {step.slots}, from 0 on")


def _compute_above(store: "Store", pipeline: "Pipeline", names: list[str]) -> None:
    """Run what the stages read, as `diffpipe run forward` does."""
    from diffpipe.cli.progress import make_observer
    from diffpipe.pipelines.core.plan import Request
    from diffpipe.pipelines.proof.point import before
    from diffpipe.rules.drive import Drive
    from diffpipe.rules.here import Here

    part = before(pipeline, names)
    if not part.stages:
        return
    place = Here(os.cpu_count() or 1)
    with make_observer(quiet=True, verbose=False) as observer:
        Drive(store, part, Request("forward", jobs=place.jobs), place, observer).run()


def _of_example(chosen: Target, folder: Path) -> "Subject":
    """The function at the point that `example_<function>()` beside it says."""
    from diffpipe.pipelines.core import functions
    from diffpipe.pipelines.core.code import defined
    from diffpipe.pipelines.core.environment import Environment
    from diffpipe.pipelines.frameworks.registry import FRAMEWORKS
    from diffpipe.pipelines.proof.job import Named

    function = functions.find(chosen.target, {}, folder, "stage check")
    name = chosen.framework or "jax"
    if name not in FRAMEWORKS:
        raise UsageError(f"unknown framework {name!r}", hint=did_you_mean(name, FRAMEWORKS))
    _require_example(function, defined(function))
    named = Named(function.module, function.name, str(folder), name)
    return Environment.current().platform(gpus=0), named


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


def _examined(subject: "Subject", seed: int) -> dict[str, Any]:
    """What the suite finds, in a process with a worker's environment."""
    from diffpipe.pipelines.proof.job import found_in
    from diffpipe.rules import machine

    platform, what = subject
    machine.prepare(platform)
    with tempfile.TemporaryDirectory(prefix="diffpipe-") as folder:
        what.write(Path(folder))
        command = [sys.executable, "-m", "diffpipe.pipelines.proof.job", folder, str(seed)]
        code = subprocess.run(command, stdout=sys.stderr, check=False).returncode
        found = found_in(Path(folder))
    if found is None:
        raise WorkerError(f"the process of the laws ended with {code}, without a word")
    return found


def _show(found: dict[str, Any]) -> None:
    """Print what was found of a stage, failures first."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for each in sorted(found["findings"], key=lambda each: [*_ORDER].index(each["verdict"])):
        said = Text(each["verdict"], style=_ORDER[each["verdict"]])
        table.add_row(said, each["law"], each["array"], Text(each["words"]))
    console = Console()
    console.print(_title(found), highlight=False)
    console.print(table)
    console.print(_summary(found["findings"]), style="dim", highlight=False)


def _title(found: dict[str, Any]) -> str:
    place = ""
    if found["over"] == "events":
        place = f", {found['rows']} of {found['of_rows']} events of shard {found['shard']}"
    return f"{found['stage']} ({found['framework']}){place}"


def _summary(findings: list[dict[str, Any]]) -> str:
    counts = {word: sum(each["verdict"] == word for each in findings) for word in _ORDER}
    others = [f"{counts[word]} {text}" for word, text in _COUNTED.items() if counts[word]]
    return ", ".join([f"{counts['passed']} passed", *others])
