"""The laws of values: as described, the same every time, float64, event by event, NaN for NaN."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from diffpipe.cache.errors import DiffpipeError
from diffpipe.pipelines.core.conform import DTYPES
from diffpipe.pipelines.frameworks.base import Abstract
from diffpipe.pipelines.frameworks.plain import declared, is_declared
from diffpipe.pipelines.frameworks.registry import runner
from diffpipe.pipelines.frameworks.stage_code import check_numbers, reporting
from diffpipe.pipelines.proof import calls
from diffpipe.pipelines.proof.finding import Finding, Verdict
from diffpipe.pipelines.proof.layout import component, is_smooth
from diffpipe.pipelines.proof.point import Point
from diffpipe.pipelines.proof.trial import Trial

_NANS = 3  # places that are tried, one by one: some events are cut away
_ROWS = 1e-12  # law 1 of the sweeps: what is per event does not know of other events, nor sums


def outputs(trial: Trial) -> Iterator[Finding]:
    """Names, shapes and dtypes as described; finite; what is given is left as it is."""
    point = trial.point
    before = _copies(point)
    with reporting(point.step.stage):
        check_numbers(point.call, point.parameters, point.inputs)
    yield from _as_described(point, trial.outputs)
    for name, values in trial.outputs.items():
        yield Finding("outputs", *_one_output(point, name, values), array=name)
    for name, values in _copies(point).items():
        if not _same_bits(values, before[name]):
            words = f"the stage writes into {name}, which it was given"
            yield Finding("outputs", Verdict.FAILED, words, array=name)


def _as_described(point: Point, found: Mapping[str, np.ndarray]) -> Iterator[Finding]:
    said = _described(point)
    for name in sorted(said.keys() - found.keys()):
        words = f"{name} is not given; given: {', '.join(found)}"
        yield Finding("outputs", Verdict.FAILED, words, name)
    for name in sorted(found.keys() - said.keys()):
        yield Finding("outputs", Verdict.FAILED, f"{name} is given, and was not declared", name)
    for name in said.keys() & found.keys():
        is_so, values = Abstract(found[name].shape, str(found[name].dtype)), said[name]
        if is_so != values:
            words = f"{name} is {_shown(is_so)}, described as {_shown(values)}"
            yield Finding("outputs", Verdict.FAILED, words, name)


def _described(point: Point) -> dict[str, Abstract]:
    call, rows = point.call, point.traits.rows
    if is_declared(call):
        return declared(call, rows)
    with reporting(point.step.stage):
        given = _abstract(point.parameters), _abstract(point.inputs)
        return runner(point.step).describe(call, rows, *given)


def _one_output(point: Point, name: str, values: np.ndarray) -> tuple[Verdict, str]:
    shown = _shown(Abstract(values.shape, str(values.dtype)))
    if str(values.dtype) not in DTYPES:
        return Verdict.FAILED, f"{name} is {shown}: stored are {', '.join(DTYPES)}"
    if point.call.is_per_event(name) and values.shape[:1] != (point.traits.rows,):
        return Verdict.FAILED, f"{name} is {shown} for {point.traits.rows} events"
    if values.dtype.kind in "fc" and not np.isfinite(values).all():
        index = int(np.flatnonzero(~np.isfinite(values))[0])
        return Verdict.FAILED, f"{component(name, values.shape, index)} is {values.flat[index]}"
    if is_single(values):
        return Verdict.REMARK, f"{name} is {shown}, with values of float32: is it computed in it?"
    return Verdict.PASSED, f"{name} is {shown}"


def is_single(values: np.ndarray) -> bool:
    """Whether the values are all those of float32, and not most of them shorter than that."""
    if values.dtype != np.float64 or values.size == 0:
        return False
    with np.errstate(over="ignore"):
        single, half = values.astype(np.float32), values.astype(np.float16)
    return bool((values == single).all() and np.mean(values == half) < 0.5)


def determinism(trial: Trial) -> Iterator[Finding]:
    """The same bits when it is called twice."""
    again = calls.forward(trial.point)
    differing = [*_differing(trial.outputs, again)]
    if trial.moved:
        w = trial.layout.random(trial.generator("determinism"))
        differing += _differing(trial.pulled(w), trial.pulled(w))
    for name, words in differing:
        yield Finding("determinism", Verdict.FAILED, f"called twice, {words}", name)
    if not differing:
        both = "outputs and VJP are" if trial.moved else "outputs are"
        yield Finding("determinism", Verdict.PASSED, f"called twice, {both} the same bits")


def dtype(trial: Trial) -> Iterator[Finding]:
    """A VJP of weights with all digits is float64, and not computed in less on the way."""
    if not trial.busy:
        return
    pulled = trial.pulled(trial.layout.random(trial.generator("dtype")))
    demoted = [each for each in trial.busy if is_single(pulled[each.array])]
    for moved in demoted:
        words = f"the VJP for {moved.words} has the digits of float32 alone: it is computed in it"
        yield Finding("dtype", Verdict.FAILED, words, moved.name)
    if not demoted:
        yield Finding("dtype", Verdict.PASSED, "the VJP has the digits of float64")


def _differing(once: Mapping[str, Any], twice: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, first in once.items():
        second = twice[name]
        if not _same_bits(first, second):
            index = int(np.flatnonzero(np.ravel(first != second))[0])
            place = component(name, first.shape, index)
            yield name, f"{place} is {first.flat[index]} and {second.flat[index]}"


def rows(trial: Trial) -> Iterator[Finding]:
    """Of half of the events, what is per event is the same, and sums add up.

    Where the number of events is fixed, each half is taken twice: a mean passes for a sum.
    """
    point, count = trial.point, trial.point.traits.rows
    if point.call.sample is None or not point.traits.event_inputs or count < 2:
        return
    copies = 2 if point.has_one_size else 1
    events = np.repeat(np.arange(count), copies)
    halves_of = events[: copies * count // 2], events[copies * count // 2 :]
    first, second = (calls.forward(point.of_events(half)) for half in halves_of)
    for name, whole in trial.outputs.items():
        if point.call.is_per_event(name):
            halves = np.concatenate([first[name], second[name]])[::copies]
            scale = abs(whole) + _typical(whole)
        else:
            halves = (first[name] + second[name]) / copies
            scale = abs(first[name]) + abs(second[name])
            scale = scale + _typical(scale)
        yield Finding("rows", *_joined(point, name, whole, halves, scale), array=name)


def _joined(
    point: Point, name: str, whole: np.ndarray, halves: np.ndarray, scale: Any
) -> tuple[Verdict, str]:
    what = "event by event" if point.call.is_per_event(name) else "added up"
    wrong = np.flatnonzero(np.ravel(~(abs(whole - halves) <= _ROWS * scale)))
    if wrong.size == 0:
        return Verdict.PASSED, f"{name} of halves of the events is that of all, {what}"
    index = int(wrong[0])
    place = component(name, whole.shape, index)
    return Verdict.FAILED, (
        f"{place} is {whole.flat[index]:.12g} with all events, and {halves.flat[index]:.12g} from "
        f"halves of them: it depends on other events, or is no sum"
    )


def nan(trial: Trial) -> Iterator[Finding]:
    """A NaN in a component of an input, of one event, comes out as NaN or is refused."""
    for name, values in trial.point.inputs.items():
        if is_smooth(values) and np.size(values):
            order = trial.generator(name, "nan").permutation(np.size(values))[:_NANS]
            seen = [_with_nan(trial, name, np.array(values), int(index)) for index in order]
            best = min(seen, key=lambda each: each[0] is not Verdict.PASSED)
            yield Finding("nan", *best, array=name)


def _with_nan(trial: Trial, name: str, values: np.ndarray, index: int) -> tuple[Verdict, str]:
    values.reshape(-1)[index] = np.nan
    place = component(name, values.shape, index)
    try:
        with np.errstate(all="ignore"):
            found = calls.forward(trial.point, inputs={name: values})
    except DiffpipeError as error:
        return Verdict.PASSED, f"a NaN in {place} is refused: {error.message}"
    seen = [n for n, each in found.items() if each.dtype.kind in "fc" and np.isnan(each).any()]
    if seen:
        return Verdict.PASSED, f"a NaN in {place} comes out in {', '.join(seen)}"
    return Verdict.REMARK, f"a NaN in {place} comes out nowhere: is it cut away?"


def _copies(point: Point) -> dict[str, np.ndarray]:
    plain = {n: v for n, v in point.inputs.items() if not isinstance(v, Mapping)}
    return {name: np.array(each) for name, each in {**point.parameters, **plain}.items()}


def _same_bits(first: np.ndarray, second: np.ndarray) -> bool:
    return first.dtype == second.dtype and first.tobytes() == second.tobytes()


def _abstract(given: Any) -> Any:
    if isinstance(given, Mapping):
        return {name: _abstract(each) for name, each in given.items()}
    return Abstract(np.shape(given), str(np.asarray(given).dtype))


def _typical(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(np.abs(values)))))


def _shown(each: Abstract) -> str:
    return f"{each.dtype} {each.shape}"
