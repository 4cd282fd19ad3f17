"""Demand: which slots are missing and needed.

A slot is needed if it is asked for, or read by a slot that has to be computed. What is stored is
not needed again, and neither is what it was made from.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from diffpipe.cache import masks
from diffpipe.cache.artefact import Artefact
from diffpipe.cache.store import Store
from diffpipe.pipelines.core.environment import cpu_type
from diffpipe.pipelines.core.steps import Source, Step


@dataclass(frozen=True)
class Presence:
    """The complete slots of each step's artefact, and of the residuals that primals keep."""

    made: Mapping[str, int]
    kept: Mapping[str, int]
    absent: frozenset[str]  # steps of which an artefact does not exist yet
    foreign: bool  # whether slots were computed on another type of CPU

    @classmethod
    def read(cls, store: Store, steps: Iterable[Step], *, forget: bool) -> "Presence":
        """Look into the store; `forget` takes everything for missing."""
        made, kept, absent, foreign, here = {}, {}, set(), False, cpu_type()
        for step in steps:
            artefacts = [_artefact(store, key, step) for key in (step.key, step.residuals)]
            made[step.id], kept[step.id] = (0 if forget else _slots(each) for each in artefacts)
            if artefacts[0] is None or (step.residuals and artefacts[1] is None):
                absent.add(step.id)
            if artefacts[0] is not None and made[step.id]:
                foreign |= artefacts[0].manifest.get("cpu") != here
        return cls(made, kept, frozenset(absent), foreign)


def missing_slots(
    steps: Mapping[str, Step], asked: Iterable[str], presence: Presence, *, keep: bool
) -> dict[str, int]:
    """Step -> mask of the slots to compute; `steps` in order, each after those it reads.

    keep: residuals are asked for too (a forward sweep stores them for the backward one to come).
    """
    needed = {step_id: masks.full(steps[step_id].slots) for step_id in asked}
    saved = {step_id: mask for step_id, mask in needed.items() if keep and steps[step_id].residuals}
    missing: dict[str, int] = {}
    for step in reversed(list(steps.values())):
        lacking = needed.get(step.id, 0) & ~presence.made[step.id]
        lacking |= saved.get(step.id, 0) & ~presence.kept[step.id]
        missing[step.id] = _whole_blocks(step, lacking, presence.made[step.id])
        for source in step.reads() if missing[step.id] else ():
            wanted = saved if _is_saved(source, steps) else needed
            wanted[source.step] = wanted.get(source.step, 0) | _read_slots(
                source, missing[step.id], steps
            )
    return missing


def _is_saved(source: Source, steps: Mapping[str, Step]) -> bool:
    return source.key == steps[source.step].residuals


def _whole_blocks(step: Step, lacking: int, made: int) -> int:
    """What has to be computed: a block's sums need all of its shards, unless they are stored."""
    if step.block == 1 or not lacking:
        return lacking
    return masks.in_whole_blocks(lacking, made, step.block, step.slots)


def _read_slots(source: Source, slots: int, steps: Mapping[str, Step]) -> int:
    return slots if source.slot else masks.full(steps[source.step].slots)


def _artefact(store: Store, key: str | None, step: Step) -> Artefact | None:
    """A step's artefact; one that is cut otherwise than its key says is not believed."""
    found = store.get(key) if key else None
    if found is None or _is_cut_as_planned(found, step):
        return found
    store.set_aside(found.folder, f"not {step.slots} slots, with sums over {step.block} each")
    return None


def _is_cut_as_planned(artefact: Artefact, step: Step) -> bool:
    block = step.block if artefact.key == step.key else 1  # residuals are not added up
    blocks = {each.block for each in artefact.specs.values() if each.placement == "shard"}
    return artefact.slots == step.slots and blocks <= {block}


def _slots(artefact: Artefact | None) -> int:
    return 0 if artefact is None else artefact.present()
