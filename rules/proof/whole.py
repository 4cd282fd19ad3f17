"""A whole pipeline put to the laws: its gradient, against differences and against tangents.

The gradient is that of a backward sweep, and is stored as always. All else is computed in a store
beside and not kept: forward sweeps at shifted points, which compute only what a shift touches, and
one tangent sweep.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from diffpipe.cache import lock
from diffpipe.cache.errors import DiffpipeError, NonFiniteError, PipelineError, StageError
from diffpipe.cache.store import Store
from diffpipe.pipelines.core.model import OutputRef, Pipeline
from diffpipe.pipelines.core.parameters import with_values
from diffpipe.pipelines.core.plan import Request
from diffpipe.pipelines.proof import direction as directions
from diffpipe.pipelines.proof.compared import ROUNDING, Compared, Given
from diffpipe.pipelines.proof.finding import Finding, Verdict, verdict
from diffpipe.pipelines.proof.flow import Balance, Flow
from diffpipe.pipelines.proof.slopes import STEPS, Slopes, slopes
from diffpipe.pipelines.proof.trial import lacks_jvp
from diffpipe.pipelines.proof.words import told, why_open
from diffpipe.rules.drive import Finished
from diffpipe.rules.proof.shadow import keep_only, shadow

_STEPS = STEPS[1:4]  # 2e-3 to 3e-5 of a parameter: of a whole pipeline each costs two sweeps
_NEAR = 2
_EACH = 1e3  # roundings in each term: a product of some hundred operations
_DIFFERENCES = 10.0  # times the errors that derivatives by differences are said to have
REFUSALS = (StageError, PipelineError, NonFiniteError)  # of a stage, where a sweep leads

Along = Mapping[str, np.ndarray]
Run = Callable[[Store, Pipeline, Request], Finished]


@dataclass
class Whole:
    """The gradient of an objective in some parameters, and how a sweep is run."""

    store: Store
    pipeline: Pipeline
    objective: OutputRef
    wrt: list[str]
    run: Run
    seed: int = 0
    sweeps: int = 0
    refusal: str | None = None
    _beside: Store | None = None
    _linked: set[str] = field(default_factory=set)

    def examine(self, *, each: bool = False) -> list[Finding]:
        """What the laws find; each: of every parameter by itself. Raises DiffpipeError."""
        steps = self.backward.plan.steps  # this sweep takes the lock by itself
        primals = [step for step in steps if step.kind in ("primal", "reduction")]
        with lock.hold(self.store), shadow(self.store, primals) as beside:
            self._beside, self._linked = beside, set(beside.artefact_keys())
            try:
                balances = self._balances()
            except REFUSALS as error:
                return [self._taylor(0.0), *self._of_parameters(each), _untold(error)]
            known = sum(balance.receives.error for balance in balances)
            taylor = [self._taylor(known), *self._of_parameters(each)]
            return [*taylor, *self._adjoint(balances)]

    @cached_property
    def backward(self) -> Finished:
        return self.run(self.store, self.pipeline, self._request("backward", wrt=self.wrt))

    @cached_property
    def gradient(self) -> dict[str, np.ndarray]:
        found = self.backward.results.gradient
        return {name: np.array(found[name], np.float64) for name in self.wrt}

    @cached_property
    def along(self) -> Along:
        """The direction in which the objective is moved."""
        generator = np.random.default_rng([self.seed, *b"end to end"])
        return directions.direction(self.pipeline.parameters, self.gradient, generator)

    def _taylor(self, error: float) -> Finding:
        """All parameters together; where that fails, the component that is most wrong.

        error: what stages that are differentiated by differences say that the slope has.
        """
        compared = self._compared(self.along, self._line, error)
        if compared.verdict is Verdict.FAILED:
            worst = self._of_element(self._worst())
            if not worst.passed:
                return worst
        place = {"of": str(self.objective), "wrt": "v"}
        return self._finding(compared, place | compared.numbers(), "")

    def _of_parameters(self, asked: bool) -> Iterator[Finding]:
        for name, v in self.along.items() if asked else ():
            if v.size == 1:
                yield self._of_element((name, 0))
            else:
                compared = self._compared({name: v}, self._slopes({name: v}))
                place = {"of": str(self.objective), "wrt": f"{name} along v"}
                yield self._finding(compared, place | compared.numbers(), name)

    def _of_element(self, element: directions.Element) -> Finding:
        name, index = element
        along = directions.only(self.along, [element])
        compared = self._compared(along, self._slopes(along))
        value = np.ravel(np.array(self.pipeline.parameters[name].value, np.float64))[index]
        label = directions.label(self.along, element)
        place = {"of": str(self.objective), "wrt": label, "at": float(value)}
        numbers = compared.numbers(float(np.ravel(self.along[name])[index]))
        return self._finding(compared, place | numbers, name)

    def _worst(self) -> directions.Element:
        """The component whose derivative is furthest from differences, by halving."""
        left, found = list(directions.elements(self.along)), self._line
        while len(left) > 1:
            half, others = left[: len(left) // 2], left[len(left) // 2 :]
            first = self._slopes(directions.only(self.along, half))
            rest = found._replace(value=found.value - first.value, error=found.error + first.error)
            sides = [(half, first), (others, rest)]
            left, found = max(sides, key=lambda side: self._apart(*side))
        return left[0]

    def _apart(self, part: list[directions.Element], found: Slopes) -> float:
        compared = self._compared(directions.only(self.along, part), found)
        return abs(compared.given.value - compared.expected)

    def _compared(self, along: Along, found: Slopes, error: float | None = None) -> Compared:
        terms = [np.ravel(self.gradient[name] * v) for name, v in along.items()]
        known, value = self.backward.results.errors, float(sum(np.sum(each) for each in terms))
        if error is None:
            error = sum(float(np.sum(known[n] * abs(v))) for n, v in along.items() if n in known)
        size = float(sum(np.sum(abs(each)) for each in terms))
        return Compared(Given(value, size, _DIFFERENCES * error), found, np.ones(1))

    def _finding(self, compared: Compared, numbers: dict[str, Any], array: str) -> Finding:
        why = why_open(compared)
        if self.refusal is not None:
            why = f"the pipeline refuses values near by ({self.refusal})"
        words = told(numbers, compared.verdict, why)
        return Finding("taylor", compared.verdict, words, array, numbers)

    def _adjoint(self, balances: list[Balance]) -> Iterator[Finding]:
        """<w, J v> against <J^T w, v>, and the stages that make them differ."""
        tolerance = sum(map(self._tolerance, balances))
        left = float(sum(np.sum(v * self.gradient[name]) for name, v in self.along.items()))
        right = next(each.gives.value for each in balances if each.stage == self.objective.stage)
        words = f"<w, J v> = {right:.12g}, <J^T w, v> = {left:.12g}"
        yield _identity(words, left, right, tolerance, "")
        for each in balances:
            found = self._balance(each)
            if not found.passed:
                yield found

    def _balance(self, each: Balance) -> Finding:
        gives, receives = each.gives.value, each.receives.value
        words = (
            f"<w, J v> of the outputs of {each.stage} is {gives:.12g}, "
            f"<J^T w, v> of its inputs and parameters is {receives:.12g}"
        )
        return _identity(words, receives, gives, self._tolerance(each), each.stage)

    def _tolerance(self, each: Balance) -> float:
        """From the magnitudes of all terms, and from how much the objective itself scatters."""
        level, scatter = abs(float(self._line.origin[0])), float(self._line.scatter[0])
        rounding = max(float(ROUNDING), scatter / level if level else 0.0)
        parts = each.gives, each.receives
        terms, error = (sum(part.terms for part in parts), sum(part.error for part in parts))
        return _EACH * rounding * terms + _DIFFERENCES * error

    def _balances(self) -> list[Balance]:
        """Of each stage, from a tangent sweep along the direction; raises DiffpipeError."""
        assert self._beside is not None
        along = {name: v.tolist() for name, v in self.along.items() if v.any()}
        pushed = self._sweep(self.pipeline, self._request("tangent", along=along))
        sweeps = (self.backward.plan, self.store), (pushed.plan, self._beside)
        return list(Flow(self.pipeline, self.objective, self.along, *sweeps).balances())

    @cached_property
    def _line(self) -> Slopes:
        return slopes(self._moved(self.along), np.abs, _STEPS, _NEAR)

    def _slopes(self, along: Along) -> Slopes:
        """Along another direction; how the objective scatters is known."""
        scatter = self._line.scatter
        return slopes(self._moved(along), np.abs, _STEPS, scatter=scatter)

    def _moved(self, along: Along) -> Callable[[float], np.ndarray]:
        """The objective at a distance along a direction."""

        def run(t: float) -> np.ndarray:
            values = directions.shifted(self.pipeline.parameters, along, t)
            made = replace(self.pipeline, parameters=with_values(self.pipeline.parameters, values))
            try:
                found = self._sweep(made, self._request("forward")).results.objective
            except REFUSALS as error:
                self.refusal = error.message
                found = float("nan")
            return np.array([found], np.float64)

        return run

    def _sweep(self, made: Pipeline, request: Request) -> Finished:
        """One sweep in the store beside, in which nothing of the one before is left."""
        assert self._beside is not None
        keep_only(self._beside, self._linked)
        finished = self.run(self._beside, made, request)
        self.sweeps += bool(finished.executed)
        return finished

    def _request(self, direction: Any, **more: Any) -> Request:
        return Request(direction, of=[str(self.objective)], **more)


def _identity(words: str, pulled: float, pushed: float, tolerance: float, stage: str) -> Finding:
    apart = abs(pulled - pushed)
    numbers = {"pushed": pushed, "pulled": pulled, "tolerance": tolerance}
    words = f"{words}: {apart:.1e} apart, {tolerance:.1e} allowed"
    return Finding("adjoint", verdict(apart <= tolerance), words, stage, numbers)


def _untold(error: DiffpipeError) -> Finding:
    """A tangent sweep that could not be made: wrong only where the stage says that it can."""
    known = isinstance(error, PipelineError) or lacks_jvp(error)
    said = Verdict.REMARK if known else Verdict.FAILED
    return Finding("adjoint", said, f"no tangents: {error.message}", error.stage or "")
