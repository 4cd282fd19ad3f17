"""The suite: all laws, in the order in which they are put to a stage."""

from collections.abc import Callable, Iterator, Mapping

from diffpipe.cache.errors import DiffpipeError, StageError
from diffpipe.pipelines.proof import derivatives, laws
from diffpipe.pipelines.proof.adjoint import adjoint
from diffpipe.pipelines.proof.finding import Finding, Verdict
from diffpipe.pipelines.proof.fresh import reload
from diffpipe.pipelines.proof.point import Point
from diffpipe.pipelines.proof.process import Fresh
from diffpipe.pipelines.proof.trial import Trial

Law = Callable[[Trial], Iterator[Finding]]

LAWS: Mapping[str, Law] = {
    "outputs": laws.outputs,
    "determinism": laws.determinism,
    "dtype": laws.dtype,
    "rows": laws.rows,
    "nan": laws.nan,
    "adjoint": adjoint,
    "jvp": derivatives.jvp,
    "vjp": derivatives.vjp,
    "reload": reload,
}
FIRST = ("outputs", "determinism")  # where one of these fails, the others say nothing
MOST_ROWS = 512  # events that the laws are put to: all derivatives take some dozen calls


def examine(
    point: Point,
    *,
    seed: int = 0,
    names: tuple[str, ...] = tuple(LAWS),
    rows: int = MOST_ROWS,
    fresh: Fresh | None = None,
) -> list[Finding]:
    """What each law finds of a stage at a point; what it raises is a failure of that law."""
    trial = Trial(point.first(rows), seed, fresh)
    found: list[Finding] = []
    for name in names:
        found += _put(name, trial)
        if name in FIRST and not all(each.passed for each in found):
            words = f"the others are put when {name} holds"
            return [*found, Finding("others", Verdict.OPEN, words)]
    return found


def _put(name: str, trial: Trial) -> list[Finding]:
    found: list[Finding] = []
    try:
        found.extend(LAWS[name](trial))
    except DiffpipeError as error:
        hint = None if isinstance(error, StageError) else error.hint  # of runs
        words = f"{error.message} ({hint})" if hint else error.message
        found.append(Finding(name, Verdict.FAILED, words))
    return found
