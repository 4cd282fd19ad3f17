"""What the tests share: the list of pipelines, sweeps in this process, the composed function."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffpipe.cache.store import Store
from diffpipe.pipelines.core import compute, library
from diffpipe.pipelines.core.assemble import assemble
from diffpipe.pipelines.core.data import read_data
from diffpipe.pipelines.core.describe import Description
from diffpipe.pipelines.core.functions import load
from diffpipe.pipelines.core.model import Checkpoint, DataRef, Pipeline, Stage
from diffpipe.pipelines.core.plan import Plan, Request, make_plan
from diffpipe.pipelines.core.steps import Code, DataSource, Step
from diffpipe.pipelines.frameworks.base import Pull
from diffpipe.pipelines.frameworks.registry import framework
from diffpipe.pipelines.frameworks.stage_code import load_stage
from diffpipe.pipelines.proof.point import Stored
from diffpipe.rules import runs
from diffpipe.rules.sweep import Sweep

CASES = Path(__file__).parent / "cases"
SYNTHETIC = ("joins", "nested", "curve", "blocks")
IN_BLOCKS = " in blocks of "
QUICKLY = {"xla_backend_optimization_level": 0, "xla_cpu_use_fusion_emitters": False}
quickly = partial(jax.jit, compiler_options=QUICKLY)  # for what compiles longer than it runs
SMALL_DRELL_YAN = (96, 32)  # events, and events in a shard: three shards of whole pairs


def needs(*modules: str) -> list[pytest.MarkDecorator]:
    """The marks of a test that needs packages which the tests alone do not install."""
    missing = [name for name in modules if find_spec(name) is None]
    reason = f"{', '.join(missing)} not installed"
    return [pytest.mark.extras, pytest.mark.skipif(bool(missing), reason=reason)]


def pipeline(name: str, shard: int | None = None) -> Pipeline:
    """A pipeline of the list, small enough for a test; with another shard size if asked.

    name: of a pipeline, or with its sums stored in blocks: "joins in blocks of 3".
    """
    name, _, block = name.partition(IN_BLOCKS)
    if name in SYNTHETIC:
        return cut(assemble(CASES / name / "pipeline.yaml"), None, shard, int(block or 0))
    count, size = SMALL_DRELL_YAN
    return cut(assemble(library.find(name)), count, shard or size, int(block or 0))


def cut(made: Pipeline, count: int | None, shard: int | None, block: int | None = None) -> Pipeline:
    """The pipeline with another number of events, or other shards or blocks."""
    stages = {}
    for name, stage in made.stages.items():
        sample = stage.sample
        if sample is not None:
            sample = replace(
                sample,
                count=count or sample.count,
                shard=shard or sample.shard,
                block=block or sample.block,
            )
        stages[name] = replace(stage, sample=sample)
    return replace(made, stages=stages)


def sweep(
    store: Store,
    made: Pipeline,
    request: Request | None = None,
    order: slice = slice(None),
    still_wanted: Callable[[], bool] = lambda: True,
) -> tuple[Plan, Counter[tuple[str, str]]]:
    """Compute a request in this process, task by task; the plan, and what was executed."""
    plan = make_plan(store, made, request or Request("backward"))
    if not plan.tasks:
        return plan, Counter()
    run = runs.start_run(store, plan)
    description = Description(plan, store)
    description.run()
    description.create()
    done: set[str] = set()
    waiting = list(plan.tasks)
    while waiting:
        ready = [task for task in waiting if done >= set(task.after)][order]
        with run.record(ready[0].id).open("a") as record:
            Sweep(plan, store, record, still_wanted).run(ready[0])
        done.add(ready[0].id)
        waiting.remove(ready[0])
    records = runs.Records(run)
    records.update()
    return plan, records.done


def bits(store: Store, plan: Plan) -> dict[str, bytes]:
    """The bytes of every gradient, and of the objective."""
    found = {}
    for name, sources in plan.gradients.items():
        parts = [store.get(each.key).read(each.array, 0).tobytes() for each in sources]
        found[name] = b"".join(parts)
    objective = plan.objective
    found["objective"] = store.get(objective.key).read(objective.array, 0).tobytes()
    return found


def executions(store):
    """(step, slot) of everything that was ever computed in a store."""
    found = []
    for run in runs.all_runs(store):
        for path in run.records.glob("*.jsonl"):
            for line in path.read_text().splitlines(keepends=True):
                if line.endswith("\n"):
                    record = json.loads(line)
                    found.append((record["step"], record["slot"]))
    return found


def composed(made: Pipeline) -> Callable[[Mapping[str, Any]], Any]:
    """The objective as one function of all parameters, over all events at once, without shards."""

    def objective(parameters: Mapping[str, Any]) -> Any:
        outputs: dict[str, Mapping[str, Any]] = {}
        for stage in made.stages.values():
            outputs[stage.name] = _run_whole(made, stage, parameters, outputs)
        return outputs[made.objective.stage][made.objective.output]

    return objective


def values(made: Pipeline) -> dict[str, Any]:
    """The parameters as float64 arrays."""
    return {
        name: jnp.asarray(np.array(each.value, float)) for name, each in made.parameters.items()
    }


def _run_whole(
    made: Pipeline, stage: Stage, parameters: Mapping[str, Any], outputs: Mapping[str, Any]
) -> Mapping[str, Any]:
    function = load(stage.function)
    if stage.source:
        sample = stage.sample
        columns = function(0, sample.count, count=sample.count, seed=sample.seed, **stage.options)
        return {name: jnp.asarray(column) for name, column in columns.items()}
    mine = {local: parameters[name] for local, name in stage.parameters.items()}
    inputs = {
        local: data_of(made, ref) if isinstance(ref, DataRef) else outputs[ref.stage][ref.output]
        for local, ref in stage.inputs.items()
    }
    return function(mine, inputs, **stage.options)


def data_of(made: Pipeline, ref: DataRef) -> Any:
    dataset = made.data[ref.dataset]
    reader = dataset.reader
    code = Code(reader.module, reader.name, None if reader.folder is None else str(reader.folder))
    files = {word: str(path) for word, path in dataset.files.items()}
    source = DataSource(code, files, dict(dataset.options), ref.column)
    return jax.tree.map(jnp.asarray, read_data(source))


def diffpipe(
    *arguments: str, store: Path, cwd: Path | None = None, cores: int | None = 1, **extra: Any
) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own, with one worker unless told otherwise.

    A worker imports JAX, which takes longer than what most tests compute. cores: None for as many
    as the command takes by itself.
    """
    own = cores is None or {"--cores", "--profile", "--on"} & {*arguments}
    if arguments[0] in ("run", "fit") and not own:
        arguments = (*arguments, "--cores", str(cores))
    return subprocess.run(
        [sys.executable, "-m", "diffpipe.cli.app", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=os.environ | {"DIFFPIPE_STORE": str(store)},
        timeout=300,
        **extra,
    )


def started(pipeline: Path, store: Path, *options: str) -> subprocess.Popen[str]:
    """`diffpipe run backward --json` as a process at the head of a group of its own."""
    command = [sys.executable, "-m", "diffpipe.cli.app", "run", "backward", str(pipeline), "--json"]
    return subprocess.Popen(
        [*command, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"DIFFPIPE_STORE": str(store)},
        start_new_session=True,
    )


def document(finished: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The JSON document that a command printed, alone, on standard output."""
    return json.loads(finished.stdout)


def with_values(made: Pipeline, **changed: Any) -> Pipeline:
    """The pipeline at another parameter point."""
    moved = {name: replace(made.parameters[name], value=value) for name, value in changed.items()}
    return replace(made, parameters={**made.parameters, **moved})


def with_residuals(made: Pipeline) -> Pipeline:
    """The pipeline with every stage's residuals stored."""
    stages = {
        name: stage if stage.source else replace(stage, checkpoint=Checkpoint.RESIDUALS)
        for name, stage in made.stages.items()
    }
    return replace(made, stages=stages)


def adjoint_pair(store: Store, step: Step, generator: np.random.Generator) -> tuple[float, ...]:
    """<w, J v>, <J^T w, v> of one slot of a pullback, and the sum of the terms' magnitudes."""
    shard = step.slots - 1
    given = jax.tree.map(jnp.asarray, compute.inputs(step, shard, Stored(store)))
    numbers = compute.parameters(step.call)
    point = {"inputs": {name: given[name] for name in step.active_inputs}, "parameters": {}}
    point["inputs"] = {n: v for n, v in point["inputs"].items() if v.dtype.kind == "f"}
    point["parameters"] = {name: numbers[name] for name in step.active_parameters}
    function = load_stage(step.stage, step.call.code, step.call.options)

    def outputs(active: Any) -> Any:
        found = function(numbers | active["parameters"], given | active["inputs"])
        return {name: found[name] for name in step.cotangents if found[name].dtype.kind == "f"}

    tangent = jax.tree.map(lambda each: generator.normal(size=each.shape), point)
    push = jax.jit(partial(jax.jvp, outputs))
    values_, pushed = push((jax.tree.map(jnp.asarray, point),), (tangent,))
    cotangent = jax.tree.map(lambda each: generator.normal(size=each.shape), values_)
    pull = Pull(tuple(cotangent), tuple(point["inputs"]), tuple(point["parameters"]))
    pulled = framework("jax").pullback(step.call, pull, numbers, given, cotangent)
    forward = [np.sum(cotangent[name] * pushed[name]) for name in cotangent]
    flat = {f"cotangent.{name}": each for name, each in tangent["inputs"].items()}
    flat |= {f"gradient.{name}": each for name, each in tangent["parameters"].items()}
    terms = [np.asarray(pulled[name]) * flat[name] for name in flat]
    scale = sum(np.sum(abs(each)) for each in terms)
    return float(sum(forward)), float(sum(np.sum(each) for each in terms)), float(scale)
