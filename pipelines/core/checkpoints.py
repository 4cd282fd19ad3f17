"""Checkpoints: the policy of the stages that leave it to the planner (`checkpoint: auto`).

A policy stands in the key of a primal, so it is decided before keys are taken, and stays decided:
what is stored of one variant is gone on with. Else the measurement decides. Residuals of R bytes a
shard are stored if

    R (1/B_w + 1/B_r) + (t_fwd_res - t_fwd) < t_recompute_bwd - t_bwd_res

and they fit the room that there is, those first that save most seconds a byte.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from diffpipe.cache import keys
from diffpipe.cache.checkpoints import Checkpoints, Measured
from diffpipe.cache.store import Store
from diffpipe.pipelines.core.amounts import bytes_in_words
from diffpipe.pipelines.core.derivatives import active_stages, moving_inputs
from diffpipe.pipelines.core.environment import cpu_type
from diffpipe.pipelines.core.identity import Identity
from diffpipe.pipelines.core.model import Checkpoint, Derivative, Over, Pipeline, Stage
from diffpipe.pipelines.core.ways import KEEPING


class Choice(msgspec.Struct, frozen=True):
    """The policy that a stage got, and why.

    measure: the key of a measurement that is to be made; inputs: those that move with parameters.
    """

    policy: Checkpoint
    why: str
    measure: str | None = None
    inputs: list[str] = []


@dataclass(frozen=True)
class Decision:
    """A pipeline in which every policy is decided, and what was decided."""

    pipeline: Pipeline
    choices: Mapping[str, Choice]


def decide(store: Store, identity: Identity, room: int | None = None) -> Decision:
    """Decide the policy of every stage that leaves it open, in order: keys depend on those before.

    room: how many bytes residuals may take in all; None: as many as pay.
    """
    pipeline = identity.pipeline
    stages = dict(pipeline.stages)
    undecided = [each for each in stages.values() if each.checkpoint is Checkpoint.AUTO]
    if not undecided:
        return Decision(pipeline, {})
    made = _Maker(store, identity, room, {each.name: each for each in undecided})
    known: dict[str, str] = {}
    for name, stage in stages.items():
        if stage.checkpoint is Checkpoint.AUTO:
            made.choices[name] = made.choose(stage, known)
            stages[name] = replace(stage, checkpoint=made.choices[name].policy)
        known[name] = identity.primal(stages[name], known)
    return Decision(replace(pipeline, stages=stages), made.choices)


@dataclass
class _Maker:
    """What is known when policies are decided."""

    store: Store
    identity: Identity
    room: int | None
    undecided: Mapping[str, Stage]
    choices: dict[str, Choice] = field(default_factory=dict)
    _keys: dict[str, str] = field(default_factory=dict)
    _measured: dict[str, Measured] = field(default_factory=dict)
    _fitting: set[str] = field(default_factory=set)  # the stages of which residuals pay, and fit

    def __post_init__(self) -> None:
        self._keys = dict(_measurement_keys(self.identity))
        kept = Checkpoints(self.store.layout)
        found = {name: kept.get(self._keys[name]) for name in self.undecided}
        self._measured = {name: each for name, each in found.items() if each is not None}
        self._fitting = set(self._fits())

    def choose(self, stage: Stage, known: Mapping[str, str]) -> Choice:
        """The policy of one stage; known: the keys of the stages before it."""
        inputs = self._moving(stage)
        impossible = _impossible(stage, inputs)
        if impossible:
            return Choice(Checkpoint.RECOMPUTE, impossible)
        measured = self._measured.get(stage.name)
        measure = None if measured else self._keys[stage.name]
        stored = self._stored(stage, known)
        if stored:
            words = f"; {verdict(measured)}" if measured else ""
            return Choice(stored, f"as it is stored already{words}", measure, inputs)
        if measured is None:
            return Choice(Checkpoint.RECOMPUTE, "not measured yet", measure, inputs)
        return self._by_measure(stage, measured)

    def _stored(self, stage: Stage, known: Mapping[str, str]) -> Checkpoint | None:
        """The variant that a store holds more slots of; one that was begun stays as it is."""
        slots = {}
        for policy in (Checkpoint.RESIDUALS, Checkpoint.RECOMPUTE):
            found = self.store.get(self.identity.primal(replace(stage, checkpoint=policy), known))
            slots[policy] = -1 if found is None else found.present().bit_count()
        kept, plain = slots[Checkpoint.RESIDUALS], slots[Checkpoint.RECOMPUTE]
        fits = self.room is None or kept == stage.slots or stage.name in self._fitting
        if kept > max(plain, 0) and fits:
            return Checkpoint.RESIDUALS
        return Checkpoint.RECOMPUTE if plain >= 0 else None

    def _by_measure(self, stage: Stage, measured: Measured) -> Choice:
        if stage.name in self._fitting:
            return Choice(Checkpoint.RESIDUALS, verdict(measured))
        crowded = ", and do not fit the disk" if _saved(measured) > 0.0 else ""
        return Choice(Checkpoint.RECOMPUTE, verdict(measured) + crowded)

    def _fits(self) -> Iterator[str]:
        """The stages whose residuals pay, as far as there is room, the best of a byte first."""
        paying = {n: each for n, each in self._measured.items() if each.times and _saved(each) > 0}
        left = self.room
        for name in sorted(paying, key=lambda name: -_saved(paying[name]) / _bytes(paying[name])):
            needed = paying[name].residual_bytes * self.undecided[name].slots
            if left is None or needed <= left:
                left = None if left is None else left - needed
                yield name

    def _moving(self, stage: Stage) -> list[str]:
        pipeline = self.identity.pipeline
        active = active_stages(pipeline, set(pipeline.parameters))
        return [name for name, _ in moving_inputs(pipeline, stage, active)]


def verdict(measured: Measured) -> str:
    """What storing residuals would save or cost, in words."""
    if measured.times is None:
        return measured.refused
    residuals = f"residuals of {bytes_in_words(measured.residual_bytes)} a shard"
    if measured.times.saved > 0.0:
        return f"{residuals} save {measured.times.saved:.2g} s"
    return f"{residuals} would cost {-measured.times.saved:.2g} s more than they save"


def _saved(measured: Measured) -> float:
    return measured.times.saved if measured.times else 0.0


def _bytes(measured: Measured) -> int:
    return max(measured.residual_bytes, 1)  # a linear stage has none


def _impossible(stage: Stage, inputs: list[str]) -> str:
    """Why no residuals can be of use, whatever they cost; empty where they may."""
    if stage.framework not in KEEPING:
        return f"a stage of {stage.framework} keeps no residuals"
    if stage.derivative is not Derivative.EXACT:
        return f"its derivative is {stage.derivative.value}"
    return "" if inputs or stage.parameters else "no derivative passes through it"


def _measurement_keys(identity: Identity) -> Iterator[tuple[str, str]]:
    """Stage -> the key of what is measured of it: all but the values of parameters.

    Code, options, framework, versions and platform stand in it, the number of events of a shard,
    and the same of all stages above, which give the shapes.
    """
    known: dict[str, str] = {}
    for name, stage in identity.pipeline.stages.items():
        given = identity.ingredients(stage, known) | _shapes(identity.pipeline, stage)
        known[name] = keys.key("checkpoint", **given, cpu=cpu_type())
        yield name, known[name]


def _shapes(pipeline: Pipeline, stage: Stage) -> dict[str, Any]:
    """What stands in the place of values that change nothing but numbers."""
    sample = stage.sample if stage.over is Over.EVENTS else None
    return {
        "parameters": {
            n: _shape(pipeline.parameters[f].value) for n, f in stage.parameters.items()
        },
        "sample": None if sample is None else min(sample.count, sample.shard),
        "seed": None,
        "residuals": None,
    }


def _shape(value: Any) -> list[int]:
    return [len(value), *_shape(value[0])] if isinstance(value, tuple) else []
