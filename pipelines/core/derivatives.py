"""Which stages derivatives pass through; one that would be needed and is not there is refused by
name, before anything runs."""

from collections.abc import Iterable, Iterator, Mapping

from diffpipe.cache.errors import PipelineError
from diffpipe.pipelines.core import graph
from diffpipe.pipelines.core.joins import is_per_event
from diffpipe.pipelines.core.model import Derivative, OutputRef, Pipeline, Stage
from diffpipe.pipelines.core.sweeps.wrt import Input
from diffpipe.pipelines.core.ways import BENT


def active_stages(
    pipeline: Pipeline, wrt: set[str], inputs: frozenset[Input] = frozenset()
) -> set[str]:
    """The stages through which derivatives in the parameters and inputs named can pass."""
    active: set[str] = set()
    for stage in pipeline.stages.values():
        if stage.derivative is not Derivative.STOP and _moves(pipeline, stage, active, wrt, inputs):
            active.add(stage.name)
    return active


def has_tangents(pipeline: Pipeline, objective: OutputRef, wrt: Iterable[str]) -> bool:
    """Whether the stages before the objective's have JVPs, as far as parameters move them."""
    passed = active_stages(pipeline, set(wrt)) & graph.above(pipeline, objective.stage)
    return all(has_jvp(pipeline.stages[name]) for name in passed)


def stopped_stages(pipeline: Pipeline, wrt: set[str]) -> list[str]:
    """The stages at which derivatives in the parameters named end."""
    active = active_stages(pipeline, wrt)
    return [
        stage.name
        for stage in pipeline.stages.values()
        if stage.derivative is Derivative.STOP and _moves(pipeline, stage, active, wrt)
    ]


def _moves(
    pipeline: Pipeline,
    stage: Stage,
    active: set[str],
    wrt: set[str],
    inputs: frozenset[Input] = frozenset(),
) -> bool:
    own = any(name in wrt for name in stage.parameters.values())
    return own or any(moving_inputs(pipeline, stage, active, inputs))


def moving_inputs(
    pipeline: Pipeline, stage: Stage, active: set[str], inputs: frozenset[Input] = frozenset()
) -> Iterator[tuple[str, OutputRef]]:
    """The inputs of a stage that can move, since they come from a stage that is active.

    inputs: those that move by themselves.
    """
    for local, ref in stage.output_inputs():
        moved = ref.stage in active and not pipeline.stages[ref.stage].output(ref.output).constant
        if moved or (stage.name, local) in inputs:
            yield local, ref


def check_pullback(
    pipeline: Pipeline,
    stage: Stage,
    moving: Mapping[str, OutputRef],
    wrt: Iterable[str],
    outputs: Iterable[str],
) -> None:
    """Refuse the pullback of a stage that has none; raises PipelineError.

    moving: the inputs that it is taken in; outputs: those with cotangents.
    """
    if stage.derivative is Derivative.NONE:
        raise _refused(stage, _through(pipeline, stage, moving, set(wrt)))
    if stage.derivative is Derivative.DIFFERENCES:
        _check_differences(pipeline, stage, moving, outputs)


def has_jvp(stage: Stage) -> bool:
    """Whether a stage can be pushed forward."""
    return stage.has_jvp and stage.derivative is not Derivative.NONE


def check_pushforward(stage: Stage) -> None:
    """Refuse the tangents of a stage that has no JVP; raises PipelineError."""
    if not has_jvp(stage):
        raise PipelineError(
            f"stage {stage.name} ({stage.framework}) has no JVP, which a tangent sweep needs",
            hint="write one, or derivative: finite-difference",
            stage=stage.name,
        )


def check_bend(stage: Stage) -> None:
    """Refuse the second derivatives of a stage that has none; raises PipelineError."""
    if stage.framework not in BENT or stage.derivative is not Derivative.EXACT:
        way = stage.framework if stage.derivative is Derivative.EXACT else stage.derivative.value
        raise PipelineError(
            f"stage {stage.name} ({way}) has no second derivatives, which products with the "
            "Hessian need",
            hint=f"write it in {' or '.join(BENT)}, leave out what moves it, or take differences "
            "of two backward sweeps",
            stage=stage.name,
        )


def _refused(stage: Stage, names: list[str]) -> PipelineError:
    return PipelineError(
        f"stage {stage.name} has no derivative, and gradients with respect to "
        f"{', '.join(names)} pass through it",
        hint="write its VJP, or derivative: finite-difference, or derivative: stop (zero), or "
        "leave these parameters out by --wrt",
        stage=stage.name,
    )


def _through(
    pipeline: Pipeline, stage: Stage, moving: Mapping[str, OutputRef], wrt: set[str]
) -> list[str]:
    """The parameters whose derivatives pass through a stage."""
    above = graph.above(pipeline, stage.name) if moving else set()
    found: set[str] = set()
    for name in (stage.name, *above):
        found |= set(pipeline.stages[name].parameters.values()) & wrt
    return [name for name in pipeline.parameters if name in found]


def _check_differences(
    pipeline: Pipeline, stage: Stage, moving: Mapping[str, OutputRef], outputs: Iterable[str]
) -> None:
    """A sum over events moves with each of its events: so many calls are not made."""
    rows = [name for name, ref in moving.items() if is_per_event(pipeline.stages, ref)]
    sums = [name for name in outputs if stage.is_summed(name)]
    if rows and sums:
        raise PipelineError(
            f"stage {stage.name}: finite differences of the sum {sums[0]} with respect to "
            f"{rows[0]} would take calls for each single event",
            hint="give a value for each event, and add these up in a stage of its own",
            stage=stage.name,
        )
