"""How far results moved from one run to another, as far as the store still has them."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from diffpipe.cache.artefact import Artefact
from diffpipe.cache.chunks import is_printable
from diffpipe.cache.layout import RunLayout
from diffpipe.cache.store import Store
from diffpipe.rules import runs
from diffpipe.rules.provenance.components import add, components
from diffpipe.rules.provenance.past import Past, PastSource, PastStep

GONE, NEVER, NONE = "no longer stored", "not computed", "not asked for"
PER_EVENT, DAMAGED = "one for each event", "damaged"
_SMALL = 1000  # values of an array that is compared


@dataclass(frozen=True)
class Result:
    """A number or nested lists of them, or why there is none."""

    value: Any
    unit: str = ""
    why: str = ""


@dataclass(frozen=True)
class Component:
    """One number, before and after; relative: to its magnitude before (None: that was zero)."""

    name: str
    old: float
    new: float

    @property
    def difference(self) -> float:
        return self.new - self.old

    @property
    def relative(self) -> float | None:
        return self.difference / abs(self.old) if self.old else None


@dataclass(frozen=True)
class Moved:
    """A result of one run or of both."""

    name: str
    old: Result
    new: Result

    @property
    def compared(self) -> list[Component]:
        """Component by component; empty where one is missing or their shapes differ."""
        if self.old.why or self.new.why:
            return []
        before, after = (dict(components(self.name, r.value)) for r in (self.old, self.new))
        if before.keys() != after.keys():
            return []
        return [Component(label, before[label], after[label]) for label in before]

    @property
    def largest(self) -> Component | None:
        """The component that moved furthest."""
        return max(self.compared, key=lambda each: abs(each.difference), default=None)

    @property
    def unit(self) -> str:
        unit = self.new.unit or self.old.unit
        return "" if unit == "1" else unit

    @property
    def is_same(self) -> bool:
        """Whether both are there, and not a bit differs."""
        return bool(self.compared) and all(each.old == each.new for each in self.compared)


def moved(old: Mapping[str, Result], new: Mapping[str, Result]) -> list[Moved]:
    """The results that one of two runs had, side by side, in the order of the new one."""
    every = {**new, **old}
    known = {_all_of(name) for name in every if name != _all_of(name)}
    both = [Moved(name, _of(old, name), _of(new, name)) for name in every if name not in known]
    return [each for each in both if not {each.old.why, each.new.why} <= {NEVER, NONE}]


def _all_of(name: str) -> str:
    """What stands for all outputs of a stage, where their names went with them."""
    return f"{name.rpartition('.')[0]}.*"


def _of(results: Mapping[str, Result], name: str) -> Result:
    return results.get(name) or results.get(_all_of(name)) or Result(None, why=NONE)


@dataclass(frozen=True)
class Results:
    """What a run found, as the store has it; nothing is repaired or moved aside by reading."""

    store: Store
    run: RunLayout
    past: Past

    @property
    def outputs(self) -> dict[str, Result]:
        """Scalars and small arrays that are not per event; the objective also where it is gone."""
        found = {name: each for step in self._ends() for name, each in self._arrays(step)}
        objective, noted = self.past.objective_name, runs.outcome(self.run).objective
        if objective and noted is not None and objective not in found:
            found[objective] = Result(noted)
        return found

    @property
    def gradient(self) -> dict[str, Result]:
        """The gradients; of several objectives those of each, as `objective: parameter`."""
        found = {name: self._sum(name, each) for name, each in self.past.gradients.items()}
        several = self.past.goal.several
        return {
            f"{of}: {name}": _row(each, row) if self.past.gradients[name] else each
            for row, of in enumerate(several)
            for name, each in found.items()
        } or found

    def _ends(self) -> Iterator[PastStep]:
        """The steps of the forward sweep that make what is not per event."""
        forward = {step.key for step in self.past.steps if step.kind == "primal"}
        for step in self.past.steps:
            if step.over == "once" and (
                step.key in forward or (step.of and step.of.key in forward)
            ):
                yield step

    def _arrays(self, step: PastStep) -> Iterator[tuple[str, Result]]:
        artefact = self.store.get(step.key)
        if artefact is None:
            yield _all_of(f"{step.stage}."), Result(None, why=self._why(step.id))
            return
        for name, spec in artefact.specs.items():
            if is_printable(spec) and math.prod(spec.shape) <= _SMALL:
                yield f"{step.stage}.{name}", self._value(artefact, step.id, name)

    def _sum(self, name: str, sources: list[PastSource]) -> Result:
        """A gradient: what the stages contribute, added up in their order."""
        total = Result(_zeros(self.past.parameter_values.get(name, 0.0)))
        for number, source in enumerate(sources):
            if source.slot:
                return Result(None, why=PER_EVENT)
            artefact = self.store.get(source.key)
            if artefact is None:
                return Result(None, why=self._why(source.step))
            found = self._value(artefact, source.step, source.array)
            if found.why:
                return found
            total = Result(add(total.value, found.value) if number else found.value, found.unit)
        return total

    def _value(self, artefact: Artefact, step: str, name: str) -> Result:
        try:
            return Result(artefact.values(name), artefact.specs[name].unit)
        except FileNotFoundError:
            return Result(None, why=self._why(step))
        except OSError:
            return Result(None, why=DAMAGED)

    def _why(self, step: str) -> str:
        """Whether a result that is not there ever was."""
        held = self.past.slots_present.get(step) or step in self._computed
        return GONE if held else NEVER

    @cached_property
    def _computed(self) -> set[str]:
        return {line["step"] for line in runs.computed(self.run)}


def _row(result: Result, number: int) -> Result:
    """The gradient of one of several objectives."""
    return result if result.why else replace(result, value=result.value[number])


def _zeros(value: Any) -> Any:
    return [_zeros(each) for each in value] if isinstance(value, list) else 0.0
