"""The laws of derivatives: the VJP and the JVP against differences."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from diffpipe.pipelines.proof import blame
from diffpipe.pipelines.proof.calls import error_of
from diffpipe.pipelines.proof.compared import Compared, Given
from diffpipe.pipelines.proof.finding import Finding, Verdict
from diffpipe.pipelines.proof.layout import magnitudes, real_sum
from diffpipe.pipelines.proof.slopes import Slopes, weights
from diffpipe.pipelines.proof.trial import FLOORS, Moved, Trial
from diffpipe.pipelines.proof.words import finding

_SUMS = 2


def vjp(trial: Trial) -> Iterator[Finding]:
    """J^T w against differences, for each parameter and each input."""
    if not trial.point.traits.has_vjp:
        words = "the stage has no VJP, or is not to use it: no gradient passes through it"
        yield Finding("vjp", Verdict.REMARK, words)
    misfit = list(_misfits(trial)) if trial.moved else []
    misfit = misfit or [_vjp_of(trial, moved) for moved in trial.moved]
    yield from (_weighed(trial, each) for each in misfit)


def jvp(trial: Trial) -> Iterator[Finding]:
    """J v against differences, for each parameter and each input."""
    if not trial.has_jvp:
        if trial.point.traits.has_jvp:
            words = "the VJP is written by hand, without a JVP: no tangent sweep passes through"
            yield Finding("jvp", Verdict.REMARK, words)
        return
    tangents = {moved.array: trial.narrow(moved) for moved in trial.moved}
    pushed = trial.pushed(tangents) if tangents else {}
    for moved in trial.moved:
        yield _weighed(trial, _jvp_of(trial, moved, pushed[moved.array]))


def _vjp_of(trial: Trial, moved: Moved) -> Finding:
    """One direction; others, where it decides nothing."""
    for attempt in _attempts(moved):
        tangent = trial.direction(moved, attempt)
        found = trial.line(moved, tangent)
        compared = _decisive(
            Compared(_pulled(trial, moved, tangent, w), found, w)
            for w in _weights(trial, moved, found)
        )
        if compared.verdict is not Verdict.OPEN:
            break
    search = blame.of_vjp(trial, moved, tangent, compared.w, found)
    return finding("vjp", trial, moved, compared, search)


def _jvp_of(trial: Trial, moved: Moved, pushed: np.ndarray) -> Finding:
    """One direction, along which the JVP is given; others, where it decides nothing."""
    if not np.isfinite(pushed).all():
        return _not_finite(trial, moved, pushed)
    for attempt in _attempts(moved):
        tangent = trial.narrow(moved, attempt)
        found = trial.line(moved, tangent)
        if attempt:
            pushed = trial.pushed({moved.array: tangent})[moved.array]
        compared = _decisive(
            Compared(_pushed(trial, moved, tangent, w, pushed), found, w)
            for w in _weights(trial, moved, found)
        )
        if compared.verdict is not Verdict.OPEN:
            break
    search = blame.of_jvp(trial, moved, tangent, found, pushed)
    return finding("jvp", trial, moved, compared, search)


def _pulled(trial: Trial, moved: Moved, tangent: np.ndarray, w: np.ndarray) -> Given:
    pulled = trial.pulled(w)
    given = pulled[moved.array]
    error = float(np.sum(abs(tangent) * error_of(pulled, moved.array)))
    return Given(real_sum(given, tangent), magnitudes(given, tangent), error)


def _pushed(
    trial: Trial, moved: Moved, tangent: np.ndarray, w: np.ndarray, pushed: np.ndarray
) -> Given:
    error = _pulled(trial, moved, tangent, w).error if _by_differences(trial) else 0.0
    return Given(real_sum(w, pushed), magnitudes(w, pushed), error)


def _by_differences(trial: Trial) -> bool:
    """Whether the derivatives that the stage gives are differences themselves, with errors."""
    return trial.point.call.steps is not None


def _attempts(moved: Moved) -> range:
    return range(len(FLOORS) if moved.value.size > 1 else 1)


def _weights(trial: Trial, moved: Moved, found: Slopes) -> Iterator[np.ndarray]:
    """Random weights of the outputs, some times over: in one sum, errors may cancel by chance."""
    if trial.layout.size == 1:
        yield np.ones(1)
        return
    for number in range(_SUMS):
        random = trial.layout.random(trial.generator(moved.array, f"weights {number}"))
        yield weights(found, random, trial.layout.levels(found.origin))


def _decisive(tried: Iterable[Compared]) -> Compared:
    """The first that failed, else the first."""
    first, *others = tried
    return next((each for each in (first, *others) if each.verdict is Verdict.FAILED), first)


def _not_finite(trial: Trial, moved: Moved, pushed: np.ndarray) -> Finding:
    index = int(np.flatnonzero(~np.isfinite(pushed))[0])
    words = f"the JVP along {moved.words} gives {pushed[index]} for {trial.layout.place(index)}"
    return Finding("jvp", Verdict.FAILED, words, moved.name)


def _misfits(trial: Trial) -> Iterator[Finding]:
    """Where a gradient or a cotangent is not of the shape and dtype of what it belongs to."""
    pulled = trial.pulled(trial.layout.random(trial.generator("shapes")))
    for moved in trial.moved:
        each, value = pulled[moved.array], moved.value
        if (each.shape, each.dtype) != (value.shape, value.dtype):
            words = (
                f"the VJP gives {each.dtype} {each.shape} for {moved.words}, "
                f"which is {value.dtype} {value.shape}"
            )
            yield Finding("vjp", Verdict.FAILED, words, moved.name)
        elif not np.isfinite(each).all():
            place = tuple(int(i) for i in np.argwhere(~np.isfinite(each))[0])
            words = (
                f"the VJP gives {each[place]} for {moved.words} at {list(place)}, "
                f"of {_non_finite(trial, moved)}"
            )
            yield Finding("vjp", Verdict.FAILED, words, moved.name)


def _non_finite(trial: Trial, moved: Moved) -> str:
    """The outputs of which a derivative is NaN or Inf, in words."""
    ones, found = trial.layout.named(np.ones(trial.layout.size)), []
    for name in ones:
        alone = {n: each if n == name else np.zeros_like(each) for n, each in ones.items()}
        pulled = trial.pulled(trial.layout.flat(alone))
        found += [] if np.isfinite(pulled[moved.array]).all() else [name]
    return ", ".join(found) or "all outputs together"


def _weighed(trial: Trial, found: Finding) -> Finding:
    """A failure where no gradient passes is but a remark."""
    if found.passed or found.array not in trial.point.traits.idle:
        return found
    words = f"{found.words}; no gradient passes through {found.array} in this pipeline"
    return replace(found, verdict=Verdict.REMARK, words=words)
