"""A fit: the minimum, its uncertainties, and what the parameters with priors do to the others."""

from dataclasses import dataclass, field

import numpy as np

from diffpipe.cache.errors import UsageError, did_you_mean
from diffpipe.pipelines.core.model import Pipeline
from diffpipe.rules.fit.minimizers import minimize
from diffpipe.rules.fit.minimum import Minimum, Settings
from diffpipe.rules.fit.problem import Problem
from diffpipe.rules.fit.profiles import Scan, profile, scan
from diffpipe.rules.fit.space import space
from diffpipe.rules.fit.sweeps import Sweeps
from diffpipe.rules.fit.uncertainty import Goodness, Uncertainty, goodness, uncertainty


@dataclass(frozen=True)
class Asked:
    """What is asked of a fit: which parameters, how, and which scans after it."""

    names: list[str]
    settings: Settings = field(default_factory=Settings)
    up: float = 1.0  # by how much the objective rises at one standard deviation
    errors: bool = True
    profiles: list[str] = field(default_factory=list)
    scans: list[tuple[str, float, float, int]] = field(default_factory=list)

    def check(self, pipeline: Pipeline) -> None:
        """Refuse before anything runs what scans cannot be along."""
        labels = space(pipeline, self.names).labels
        for name in [*self.profiles, *(each[0] for each in self.scans)]:
            if name not in labels:
                text = f"{name} is not among the parameters that are fitted"
                raise UsageError(text, hint=did_you_mean(name, labels))


@dataclass(frozen=True)
class Fitted:
    """A problem, its minimum and what is known of it."""

    problem: Problem
    minimum: Minimum
    uncertainty: Uncertainty | None
    goodness: Goodness | None


@dataclass(frozen=True)
class Fit:
    """A finished fit. held: the fit with all parameters that have priors held, if there is one."""

    fitted: Fitted
    held: Fitted | None
    scans: list[Scan]


def fit(sweeps: Sweeps, asked: Asked) -> Fit:
    """Fit, from where the pipeline's parameters are; raises DiffpipeError.

    Where some parameters have priors and others have none, the others are fitted alone first.
    """
    with sweeps.place.kept():
        problem = Problem(sweeps, space(sweeps.pipeline, asked.names), asked.up)
        held = _without_priors(problem, asked)
        start = _start(problem, held)
        found = _fitted(problem.starting(start), asked)
        return Fit(found, held, _scans(found, asked))


def _without_priors(problem: Problem, asked: Asked) -> Fitted | None:
    known = problem.space.parameters
    with_prior = {name: each.value for name, each in known.items() if each.prior is not None}
    if not with_prior or len(with_prior) == len(known):
        return None
    return _fitted(problem.holding(with_prior), asked)


def _start(problem: Problem, held: Fitted | None) -> np.ndarray:
    if held is None:
        return problem.space.start
    found = dict(zip(held.problem.space.labels, held.minimum.point.x, strict=True))
    pairs = zip(problem.space.labels, problem.space.start, strict=True)
    return np.array([found.get(label, value) for label, value in pairs])


def _fitted(problem: Problem, asked: Asked) -> Fitted:
    minimum = minimize(problem, asked.settings)
    errors = uncertainty(problem, minimum) if asked.errors else None
    return Fitted(problem, minimum, errors, goodness(problem, minimum))


def _scans(found: Fitted, asked: Asked) -> list[Scan]:
    problem, minimum = found.problem, found.minimum
    scans = [
        scan(problem, minimum, name, np.linspace(low, high, count))
        for name, low, high, count in asked.scans
    ]
    for name in asked.profiles:
        assert found.uncertainty is not None
        spread = found.uncertainty
        scans.append(profile(problem, minimum, spread, name, asked.settings))
    return scans
