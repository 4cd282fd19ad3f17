"""The plan: from the pipeline and the store to what is missing, needed, and done by which task.

Made without importing a framework, from presence alone, and frozen as JSON: workers and cluster
jobs read it and see the same. A slot is computed if it is missing and either asked for or read by
something that is computed.
"""

from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import structs

from diffpipe.cache import files
from diffpipe.cache.artefact import Artefact
from diffpipe.cache.memo import Memo
from diffpipe.cache.store import Store
from diffpipe.pipelines.core import checkpoints
from diffpipe.pipelines.core.chain import Chain
from diffpipe.pipelines.core.checkpoints import Choice
from diffpipe.pipelines.core.demand import Presence, missing_slots
from diffpipe.pipelines.core.environment import Environment
from diffpipe.pipelines.core.identity import Identity
from diffpipe.pipelines.core.model import OutputRef, Pipeline
from diffpipe.pipelines.core.remarks import remarks
from diffpipe.pipelines.core.steps import Source, Step
from diffpipe.pipelines.core.sweeps.backward import ChoosePullback, exact_pullback
from diffpipe.pipelines.core.sweeps.goals import GOALS, Goal, asked, objective_of
from diffpipe.pipelines.core.sweeps.jacobian import Mode
from diffpipe.pipelines.core.tasks import Task, make_tasks

Direction = Literal["forward", "backward", "tangent", "jacobian", "hvp", "curvature"]


_MOST_BYTES = 1 << 30  # a million shards in 5000 tasks are some MB


class Request(msgspec.Struct, frozen=True):
    """What a user asks of a pipeline."""

    direction: Direction
    of: list[str] | None = None  # each a stage.output; None: the pipeline's objective
    wrt: list[str] | None = None  # parameters, or arrays between stages; None: all parameters
    along: dict[str, Any] | None = None  # parameter -> how far; None: unit vectors of `wrt`
    cotangent: str | None = None  # a file with the cotangents that a backward sweep starts from
    mode: Mode | None = None  # of a Jacobian
    cut: list[str] | None = None  # of a mixed one, the outputs at which its modes meet
    jobs: int = 1  # how many tasks the shards of a segment are cut into, at most
    force: bool = False
    durable: bool = False  # each chunk is synced to disk before it counts
    room: int | None = None  # bytes for residuals of `checkpoint: auto`; None: as many as pay
    mem_mb: int | None = None  # of each task; None: as its stages ask
    runtime_min: int | None = None


class Plan(msgspec.Struct, frozen=True):
    """One run, frozen."""

    pipeline: str
    path: str
    store: str
    direction: Direction
    objective: Source | None
    objective_name: str | None
    wrt: list[str]
    parameter_values: dict[str, Any]
    steps: list[Step]
    slots_present: dict[str, int]  # step -> complete slots when the plan was made
    tasks: list[Task]
    to_create: list[str]  # steps whose artefact does not exist yet
    outputs: dict[str, Source]  # what is asked for by name
    goal: Goal
    force: bool
    durable: bool
    remarks: list[str]  # what a user should know before it runs
    checkpoints: dict[str, Choice] = {}  # the policies of stages that leave it to the plan

    @property
    def gradients(self) -> dict[str, list[Source]]:
        return self.goal.gradients

    def step(self, step_id: str) -> Step:
        return next(step for step in self.steps if step.id == step_id)

    def task(self, task_id: str) -> Task:
        return next(task for task in self.tasks if task.id == task_id)

    @property
    def last_tasks(self) -> list[str]:
        """The tasks that no other waits for."""
        awaited = {each for task in self.tasks for each in task.after}
        return [task.id for task in self.tasks if task.id not in awaited]

    @property
    def missing(self) -> dict[str, int]:
        """Step -> number of slots that will be computed."""
        counts = {step.id: 0 for step in self.steps}
        for task in self.tasks:
            for work in task.work:
                counts[work.step] += sum(stop - first for first, stop in work.slots)
        return counts

    def write(self, path: Path) -> None:
        path.write_bytes(msgspec.json.encode(self))

    @classmethod
    def read(cls, path: Path) -> "Plan":
        return msgspec.json.decode(files.read(path, _MOST_BYTES), type=cls)


def make_plan(store: Store, pipeline: Pipeline, request: Request) -> Plan:
    """Find what must run for a request; raises UsageError, PipelineError."""
    environment = Environment.current()
    memo = Memo(store.layout.code)
    decided = checkpoints.decide(store, Identity(pipeline, environment, memo), request.room)
    pipeline = decided.pipeline
    chain = Chain(pipeline, Identity(pipeline, environment, memo))
    chain.add_forward()
    objective = objective_of(pipeline, request)
    ask = asked(store, pipeline, request, exact_pullback if request.force else _chooser(store))
    goal = GOALS[request.direction](chain, ask)
    memo.save()
    presence = Presence.read(store, chain.steps.values(), forget=request.force)
    ends = _asked(chain, [] if request.cotangent else ask.of, goal, request)
    keep = request.direction == "forward"
    missing = missing_slots(chain.steps, ends, presence, keep=keep)
    steps = list(chain.steps.values())
    todo = [step for step in steps if missing[step.id]]
    moved = ask.wrt.parameters if request.direction != "forward" else []
    return Plan(
        pipeline=pipeline.name,
        path=str(pipeline.path),
        store=str(store.root),
        direction=request.direction,
        objective=chain.source(objective) if objective else None,
        objective_name=str(objective) if objective else None,
        wrt=ask.wrt.names,
        parameter_values={name: each.value for name, each in pipeline.parameters.items()},
        steps=steps,
        slots_present={name: mask.bit_count() for name, mask in presence.made.items()},
        tasks=[_limited(task, request) for task in make_tasks(steps, missing, request.jobs)],
        to_create=[step.id for step in steps if missing[step.id] and step.id in presence.absent],
        outputs={str(ref): chain.source(ref) for ref in ask.of},
        goal=goal,
        force=request.force,
        durable=request.durable,
        remarks=[*remarks(pipeline, moved, todo, environment, foreign=presence.foreign)],
        checkpoints=dict(decided.choices),
    )


def _chooser(store: Store) -> ChoosePullback:
    """Use a complete pullback with respect to more than is asked, if one is stored."""
    stored = store.artefact_keys()

    def choose(base: str, wanted: list[str]) -> tuple[list[str], str]:
        exact = exact_pullback(base, wanted)
        candidates = (store.get(key) for key in stored if key.startswith(f"{base}-"))
        complete = {each.key: _active(each) for each in candidates if each and each.is_complete}
        wider = [(len(has), key) for key, has in complete.items() if has >= set(wanted)]
        if exact[1] in complete or not wider:
            return exact
        key = min(wider)[1]
        return sorted(complete[key]), key

    return choose


def _limited(task: Task, request: Request) -> Task:
    """The task with the memory and the time that the request gives each."""
    mem_mb = request.mem_mb or task.resources.mem_mb
    runtime_min = request.runtime_min or task.resources.runtime_min
    resources = structs.replace(task.resources, mem_mb=mem_mb, runtime_min=runtime_min)
    return structs.replace(task, resources=resources)


def _active(pullback: Artefact) -> set[str]:
    return set(pullback.manifest["ingredients"]["active"])


def _asked(chain: Chain, of: list[OutputRef], goal: Goal, request: Request) -> list[str]:
    """The steps whose results are asked for."""
    if request.direction == "forward" and request.of is None:
        return list(chain.steps)
    return [*(chain.source(ref).step for ref in of), *goal.steps]
