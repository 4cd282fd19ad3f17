"""Changes: what two runs were asked differently, taken from all that stands in the keys.

A stage has the same key, or differs in itself (code, options, versions, ...), or follows: only
what it reads, or a parameter, has changed.
"""

import re
import reprlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from diffpipe.rules.provenance.components import components
from diffpipe.rules.provenance.past import Past, PastStep

Fate = Literal["same", "changed", "follows", "new", "gone"]

_SAMPLE = ("events", "events in a shard", "shards in a block")
_BARE = ("parameter", "events", "request", "version", "diffpipe")  # their names say what they are
_OF = ("code", "function", "framework", "platform", "data", "seed")  # of several stages at once
_FEW = 3  # values of an array
_DIGEST, _DIGITS = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}"), 8
_APART = ("parameters", "inputs", "sample", "versions", "options", "files")


@dataclass(frozen=True)
class Change:
    """One thing that differs. kind: parameter, data, events, version, code, options, ...

    old, new: None where there is no such thing.
    """

    kind: str
    name: str
    old: Any
    new: Any


def said(found: Iterable[Change]) -> list[str]:
    """Changes in words: what has changed alike in several places stands in one line."""
    places: dict[tuple[str, str], list[str]] = {}
    for each in found:
        places.setdefault((each.kind, _ends(each)), []).append(each.name)
    lines: list[str] = []
    for (kind, ends), names in places.items():
        word = "" if kind in _BARE else f"{kind} "
        alike = [f"{kind} of {', '.join(names)}"] if kind in _OF else [word + n for n in names]
        lines += [f"{text}{ends}" for text in alike]
    return lines


def _ends(change: Change) -> str:
    """' : old -> new'; code by the first digits of its digest."""
    ends = (change.old, change.new)
    return "" if ends == (None, None) else f": {' -> '.join(map(_brief, ends))}"


def _brief(value: Any) -> str:
    """A value in few characters; numbers with all their digits, since any may have changed."""
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    if isinstance(value, str) and _DIGEST.fullmatch(value):
        return value[:_DIGITS]
    if isinstance(value, list):
        shown = [_brief(each) for each in value[:_FEW]]
        return f"[{', '.join([*shown, *['...'] * (len(value) > _FEW)])}]"
    return "none" if value is None else reprlib.repr(value).strip("'")


def changes(old: Past, new: Past) -> list[Change]:
    """All that differs, each thing once: what was asked, parameters, data, events, stages."""
    found = [*_asked(old, new), *parameters(old, new)]
    before = old.primals
    for name, step in new.primals.items():
        if name in before and before[name].key != step.key:
            found += _stage(before[name], step)
    found += [Change("stage", name, *ends) for name, ends in _only_in_one(old, new)]
    return [each for place, each in enumerate(found) if each not in found[:place]]


def fates(old: Past, new: Past) -> dict[str, Fate]:
    """What became of each stage, in the order of the new run; those that are gone come last."""
    before, after = old.primals, new.primals
    found: dict[str, Fate] = {
        name: _fate(before[name], step) if name in before else "new" for name, step in after.items()
    }
    return found | dict.fromkeys((name for name in before if name not in after), "gone")


def parameters(old: Past, new: Past) -> list[Change]:
    """The parameters that differ, component by component where their shapes agree."""
    found: list[Change] = []
    for name in {**old.parameter_values, **new.parameter_values}:
        values = old.parameter_values.get(name), new.parameter_values.get(name)
        if values[0] != values[1]:
            found += _components(name, *values)
    return found


def _components(name: str, old: Any, new: Any) -> Iterator[Change]:
    before, after = ({} if v is None else dict(components(name, v)) for v in (old, new))
    if before.keys() == after.keys():
        pairs = ((label, before[label], after[label]) for label in before)
        yield from (Change("parameter", *each) for each in pairs if each[1] != each[2])
    else:
        yield Change("parameter", name, old, new)


def _asked(old: Past, new: Past) -> Iterator[Change]:
    """What the runs are about: pipeline file, sweep, objective, with respect to what."""
    for name, field in (("pipeline", "path"), ("sweep", "direction"), ("of", "of")):
        yield from _differing("request", {name: getattr(old, field)}, {name: getattr(new, field)})
    if old.direction == new.direction != "forward":
        yield from _differing("request", {"wrt": old.wrt}, {"wrt": new.wrt})


def _fate(old: PastStep, new: PastStep) -> Fate:
    if old.key == new.key:
        return "same"
    return "changed" if _stage(old, new) else "follows"


def _stage(old: PastStep, new: PastStep) -> list[Change]:
    """What differs of a stage itself; with nothing at all, how diffpipe computes has changed."""
    mine = [*_own(old, new)]
    explained = mine or old.ingredients != new.ingredients
    return mine if explained else [Change("diffpipe", "how diffpipe computes", None, None)]


def _own(old: PastStep, new: PastStep) -> Iterator[Change]:
    before, after = old.ingredients, new.ingredients
    for name in {**before, **after}:
        if name not in _APART and before.get(name) != after.get(name):
            yield Change(name, new.stage, before.get(name), after.get(name))
    for name in ("options", "files"):
        places = (_leaves(new.stage, each.get(name) or {}) for each in (before, after))
        yield from _differing(name, *places)
    yield from _differing("version", before.get("versions") or {}, after.get("versions") or {})
    yield from _differing("events", _sample(before), _sample(after))
    yield from _inputs(old, new)


def _inputs(old: PastStep, new: PastStep) -> Iterator[Change]:
    """Inputs that come from elsewhere, and data; not those whose stage gives something else."""
    for name in {**old.inputs, **new.inputs}:
        ends = _origin(old, name), _origin(new, name)
        if ends[0] != ends[1]:
            yield Change("input", f"{new.stage}.{name}", *ends)
        elif (data := _data(new, name)) and _data(old, name) != data:
            files = ", ".join(Path(each).name for each in new.inputs[name].files.values())
            yield Change("data", files, _data(old, name), data)


def _origin(step: PastStep, name: str) -> str | None:
    source = step.inputs.get(name)
    if source is None:
        return None
    if not source.files:
        return f"{source.step.partition(':')[0]}.{source.array}"
    return ", ".join(source.files.values()) + (f": {source.column}" if source.column else "")


def _data(step: PastStep, name: str) -> str | None:
    """The digest of the data that an input is."""
    stored = step.ingredients.get("inputs", {}).get(name) or [None]
    return stored[1] if stored[0] == "data" else None


def _sample(ingredients: Mapping[str, Any]) -> dict[str, Any]:
    return dict(zip(_SAMPLE, ingredients.get("sample") or [], strict=False))


def _leaves(name: str, value: Any) -> dict[str, Any]:
    """Nested options, each under the words that lead to it, joined by dots."""
    if not isinstance(value, Mapping):
        return {name: value}
    return {
        k: v for word, each in value.items() for k, v in _leaves(f"{name}.{word}", each).items()
    }


def _differing(kind: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    for name in {**old, **new}:
        if old.get(name) != new.get(name):
            yield Change(kind, name, old.get(name), new.get(name))


def _only_in_one(old: Past, new: Past) -> Iterator[tuple[str, tuple[Any, Any]]]:
    before, after = old.primals, new.primals
    for name in {**before, **after}:
        if (name in before) != (name in after):
            steps = before.get(name), after.get(name)
            yield name, (_function(steps[0]), _function(steps[1]))


def _function(step: PastStep | None) -> str | None:
    return None if step is None else str(step.ingredients.get("function"))
