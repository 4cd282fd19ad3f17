"""Sizes: the bytes that steps write, and those that a worker holds at a time."""

from collections.abc import Iterable, Iterator, Mapping

from diffpipe.cache.specs import ArraySpec
from diffpipe.cache.store import Store
from diffpipe.pipelines.core.plan import Plan
from diffpipe.pipelines.core.steps import Source, Step

Specs = Mapping[str, Mapping[str, ArraySpec]]  # key of an artefact -> its arrays


def stored_specs(store: Store, plan: Plan) -> Specs:
    """The arrays of all artefacts of a plan that have been made."""
    keys = (key for step in plan.steps for key in (step.key, step.residuals) if key)
    found = {key: store.get(key) for key in keys}
    return {key: each.specs for key, each in found.items() if each is not None}


def written(step: Step, slots: int, specs: Specs) -> int:
    """The bytes of so many slots of a step, with the residuals that it keeps."""
    return _chunks(specs.get(step.key, {}), slots) + residuals(step, slots, specs)


def residuals(step: Step, slots: int, specs: Specs) -> int:
    """The bytes of the residuals that so many slots of a primal keep."""
    return _chunks(specs.get(step.residuals or "", {}), slots)


def held(steps: Iterable[Step], specs: Specs) -> int:
    """The bytes of all arrays that steps read and write for one slot each."""
    places = {place for step in steps for place in _touched(step, specs)}
    return sum(_of(specs[key][name], slot=slot) for key, name, slot in places)


def _touched(step: Step, specs: Specs) -> Iterator[tuple[str, str, bool]]:
    """Key, array, and whether a slot of it or all."""
    own = (step.key, step.residuals or "")
    yield from ((key, name, True) for key in own for name in specs.get(key, {}))
    for source in step.reads():
        for name in _arrays(source, specs):
            yield source.key, name, source.slot or source is step.of  # which is read bit by bit


def _arrays(source: Source, specs: Specs) -> Iterable[str]:
    """The array that is read; of residuals, all of them."""
    there = specs.get(source.key, {})
    return [name for name in there if source.array in ("", name)]


def _of(spec: ArraySpec, *, slot: bool) -> int:
    return spec.chunk_nbytes if slot else spec.nbytes


def _chunks(arrays: Mapping[str, ArraySpec], slots: int) -> int:
    return sum(-(-slots // spec.block) * spec.chunk_nbytes for spec in arrays.values())
