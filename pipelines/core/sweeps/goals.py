"""Goals: what a request wants computed, by direction: the steps that it adds, and where to read.

forward     outputs
backward    an objective and its gradient; or J^T w for given cotangents w
tangent     outputs and J v
jacobian    outputs and J
hvp         an objective, its gradient g and H v
curvature   an objective and its Hessian by Gauss and Newton (see `tangents`)
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from diffpipe.cache.errors import UsageError, did_you_mean
from diffpipe.cache.store import Store
from diffpipe.pipelines.core.assemble import output_ref
from diffpipe.pipelines.core.chain import Chain
from diffpipe.pipelines.core.joins import is_per_event
from diffpipe.pipelines.core.model import OutputRef, Pipeline
from diffpipe.pipelines.core.steps import Source
from diffpipe.pipelines.core.sweeps import directions, jacobian
from diffpipe.pipelines.core.sweeps.backward import Backward, ChoosePullback
from diffpipe.pipelines.core.sweeps.bends import Bends
from diffpipe.pipelines.core.sweeps.jacobian import Jacobian
from diffpipe.pipelines.core.sweeps.starts import Starts
from diffpipe.pipelines.core.sweeps.tangents import Tangents
from diffpipe.pipelines.core.sweeps.wrt import Wrt, parse

if TYPE_CHECKING:
    from diffpipe.pipelines.core.plan import Request


class Goal(msgspec.Struct, frozen=True):
    """Where the results of a plan are.

    gradients: name -> what is added up; along: the directions of tangents, in words; direction:
    that of a tangent or a product, parameter -> how far, where there is one alone.
    """

    gradients: dict[str, list[Source]] = {}
    tangents: dict[str, Source] = {}
    products: dict[str, list[Source]] = {}  # with the Hessian, parameter -> what is added up
    jacobian: Jacobian | None = None
    several: list[str] = []  # objectives, where gradients have a row for each
    curvature: Source | None = None
    along: list[str] = []
    direction: dict[str, Any] = {}

    @property
    def steps(self) -> list[str]:
        """The steps that are asked for."""
        sources = [*self.tangents.values(), *([self.curvature] if self.curvature else [])]
        added = [*self.gradients.values(), *self.products.values()]
        if self.jacobian is not None:
            sources += [each.source for each in self.jacobian.pushed.values()]
            added += self.jacobian.pulled.values()
        return [each.step for each in [*sources, *(x for those in added for x in those)]]


@dataclass(frozen=True)
class Ask:
    """A request, its names understood."""

    request: "Request"
    of: list[OutputRef]
    wrt: Wrt
    store: Store
    choose: ChoosePullback


def asked(store: Store, pipeline: Pipeline, request: "Request", choose: ChoosePullback) -> Ask:
    """The names of a request understood; raises UsageError."""
    return Ask(request, outputs_of(pipeline, request), parse(pipeline, request.wrt), store, choose)


def outputs_of(pipeline: Pipeline, request: "Request") -> list[OutputRef]:
    """The outputs that a request is about: those named, else the objective, if there is one.

    Raises UsageError where one is needed and there is none.
    """
    if request.of is not None:
        return [output_ref(name, pipeline.stages, "--of") for name in request.of]
    if pipeline.objective is not None:
        return [pipeline.objective]
    if request.direction == "forward" or request.cotangent:
        return []
    raise UsageError(
        f"the pipeline {pipeline.name} has no objective",
        hint="name one with --of stage.output, or write objective: stage.output in the file",
    )


def objective_of(pipeline: Pipeline, request: "Request") -> OutputRef | None:
    """The one scalar that a request is about; None where it is about no one scalar.

    Raises UsageError.
    """
    of = outputs_of(pipeline, request)
    if request.cotangent or request.direction in ("tangent", "jacobian") or not of:
        return None
    if len(of) > 1 and request.direction in ("forward", "backward"):
        return None
    if len(of) > 1:
        names = ", ".join(map(str, of))
        raise UsageError(f"{names} are {len(of)} outputs: a {request.direction} sweep is of one")
    if request.direction == "forward" and is_per_event(pipeline.stages, of[0]):
        return None
    _refuse_events(pipeline, of[0], "a gradient is taken of a scalar")
    return of[0]


def _forward(chain: Chain, ask: Ask) -> Goal:
    del chain, ask
    return Goal()


def _backward(chain: Chain, ask: Ask) -> Goal:
    starts = _given(chain.pipeline, ask) if ask.request.cotangent else _objectives(chain, ask.of)
    gradients = Backward(chain, starts, ask.wrt, ask.choose).add()
    for name in ask.wrt.arrays:
        if not gradients[name]:
            raise UsageError(f"{', '.join(map(str, starts.cotangents))} does not depend on {name}")
    several = list(map(str, ask.of)) if starts.count is not None else []
    return Goal(gradients=gradients, several=several)


def _objectives(chain: Chain, of: list[OutputRef]) -> Starts:
    """The start from one scalar, or from several at once."""
    for ref in of:
        _refuse_events(chain.pipeline, ref, "a gradient is taken of a scalar")
    return Starts.at(of[0]) if len(of) == 1 else Starts.components(dict.fromkeys(of, ()))


def _given(pipeline: Pipeline, ask: Ask) -> Starts:
    """The start of a sweep from the cotangents of a file."""
    from diffpipe.pipelines.core.sweeps import cotangents  # here, since it needs NumPy

    assert ask.request.cotangent is not None
    if ask.request.of is not None:
        raise UsageError("--cotangent names its outputs itself", hint="leave out --of")
    found = cotangents.find(Path(ask.request.cotangent))
    refs = {name: output_ref(name, pipeline.stages, "--cotangent") for name in found}
    return Starts({refs[name]: given for name, given in found.items()})


def _tangent(chain: Chain, ask: Ask) -> Goal:
    wanted = directions.along(chain.pipeline, ask.request.along or {})
    tangents = Tangents(chain, wanted)
    found = tangents.add(ask.of)
    for ref in ask.of:
        tangents.check_moved(ref)
    return Goal(
        tangents={str(ref): source for ref, source in found.items()},
        along=wanted.labels,
        direction=ask.request.along or {},
    )


def _jacobian(chain: Chain, ask: Ask) -> Goal:
    jacobian.check_columns(chain.pipeline, ask.wrt)
    request = ask.request
    cut = [output_ref(name, chain.pipeline.stages, "--cut") for name in request.cut or []]
    if request.mode != "forward":
        for ref in ask.of:
            _refuse_events(chain.pipeline, ref, "a cotangent of each is too much: --mode forward")
    forward = request.mode == "forward"
    rows = {ref: _shape(chain, ask.store, ref, forward=forward) for ref in ask.of}
    found = jacobian.add(
        chain,
        rows,
        ask.wrt,
        request.mode or "forward",
        {ref: _shape(chain, ask.store, ref) for ref in cut},
        ask.choose,
    )
    return Goal(jacobian=found)


def _refuse_events(pipeline: Pipeline, ref: OutputRef, why: str) -> None:
    if is_per_event(pipeline.stages, ref):
        hint = "take a sum over events: outputs: {name: {sum: true}}, or a stage with over: once"
        raise UsageError(f"{ref} is per event; {why}", hint=hint)


def _hvp(chain: Chain, ask: Ask) -> Goal:
    pipeline, request = chain.pipeline, ask.request
    if ask.wrt.arrays:
        raise UsageError("products with the Hessian are taken in parameters", hint="see --wrt")
    if request.along:
        wanted = directions.along(pipeline, request.along)
    else:
        wanted = directions.unit_vectors(pipeline, ask.wrt.parameters)
    tangents = Tangents(chain, wanted)
    tangents.add_above(pipeline.stages[ask.of[0].stage])
    backward = Backward(chain, Starts.at(ask.of[0]), ask.wrt, ask.choose)
    gradients = backward.add()
    products = Bends(backward, tangents).add()
    return Goal(
        gradients=gradients,
        products=products,
        along=wanted.labels,
        direction=request.along or {},
    )


def _curvature(chain: Chain, ask: Ask) -> Goal:
    wanted = directions.unit_vectors(chain.pipeline, ask.wrt.parameters)
    found = Tangents(chain, wanted).add_curvature(ask.of[0])
    return Goal(curvature=found, along=wanted.labels)


def _shape(chain: Chain, store: Store, ref: OutputRef, *, forward: bool = False) -> tuple[int, ...]:
    """The shape of an output, which its artefact knows; of one with events, that of an event.

    forward: no cotangents of it are taken. Raises UsageError.
    """
    source = chain.source(ref)
    artefact = store.get(source.key)
    if artefact is None:
        raise UsageError(
            f"the shape of {ref} is not known yet",
            hint="diffpipe run forward finds it, or diffpipe run jacobian by itself",
        )
    if source.array not in artefact.specs:
        hint = did_you_mean(source.array, artefact.specs)
        raise UsageError(f"there is no output {ref}", hint=hint)
    spec = artefact.specs[source.array]
    if spec.dtype != "float64" and not forward:
        raise UsageError(f"{ref} is {spec.dtype}: its Jacobian is taken forward")
    return spec.shape[1:] if source.slot else spec.shape


GOALS: Mapping[str, Callable[[Chain, Ask], Goal]] = {
    "forward": _forward,
    "backward": _backward,
    "tangent": _tangent,
    "jacobian": _jacobian,
    "hvp": _hvp,
    "curvature": _curvature,
}
