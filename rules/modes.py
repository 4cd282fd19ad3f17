"""The mode of a Jacobian: every one that there is planned and priced, the cheapest taken."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from msgspec import structs

from diffpipe.cache.errors import DiffpipeError, UsageError
from diffpipe.cache.store import Store
from diffpipe.pipelines.core.costs import Costs
from diffpipe.pipelines.core.joins import is_per_event
from diffpipe.pipelines.core.model import OutputRef, Pipeline
from diffpipe.pipelines.core.plan import Plan, Request, make_plan
from diffpipe.pipelines.core.sweeps import jacobian
from diffpipe.pipelines.core.sweeps.goals import outputs_of
from diffpipe.pipelines.core.sweeps.wrt import parse

_MOST_CUTS = 8


@dataclass(frozen=True)
class Option:
    """A way to a Jacobian, and what it would cost: seconds, or primals of a stage (`relative`)."""

    request: Request
    plan: Plan
    cost: float
    relative: bool

    @property
    def words(self) -> str:
        """The mode, and where a mixed one is cut."""
        cut = f" at {', '.join(self.request.cut)}" if self.request.cut else ""
        return f"{self.request.mode}{cut}"


def options(store: Store, pipeline: Pipeline, request: Request, costs: Costs) -> list[Option]:
    """The ways there are, cheapest first; raises what the last refused where there is none.

    The shapes of the outputs have to be known (see `Drive.describe`). Where not all of them have
    been measured, all are priced by the number of primals that they are worth.
    """
    plans = _plans(store, pipeline, request)
    known = all(costs.knows(plan) for _, plan in plans)
    price = costs if known else Costs()
    found = [Option(each, plan, price.total(plan), not known) for each, plan in plans]
    return sorted(found, key=lambda option: option.cost)


def _plans(store: Store, pipeline: Pipeline, request: Request) -> list[tuple[Request, Plan]]:
    """The request in each mode that there is, and its plan."""
    found, refused = [], None
    for each in _requests(pipeline, request):
        try:
            found.append((each, make_plan(store, pipeline, each)))
        except DiffpipeError as error:
            refused = error
    if not found:
        raise refused or UsageError(
            "there is no cut for a mixed Jacobian: no few numbers that all of it passes",
            hint="--mode auto takes the better of forward and reverse",
        )
    return found


def _requests(pipeline: Pipeline, request: Request) -> Iterator[Request]:
    """The request in each mode, or in the one that it says."""
    of = outputs_of(pipeline, request)
    if request.mode in (None, "forward"):
        yield structs.replace(request, mode="forward", cut=None)
    if request.mode is None and any(is_per_event(pipeline.stages, ref) for ref in of):
        return  # a cotangent for each event is too much
    if request.mode in (None, "reverse"):
        yield structs.replace(request, mode="reverse", cut=None)
    if request.mode in (None, "mixed"):
        for cut in _cuts(pipeline, request, of):
            yield structs.replace(request, mode="mixed", cut=cut)


def _cuts(pipeline: Pipeline, request: Request, of: list[OutputRef]) -> Iterator[list[str]]:
    if request.cut is not None:
        yield request.cut
        return
    found = jacobian.cuts(pipeline, of, parse(pipeline, request.wrt))
    yield from ([str(ref) for ref in cut] for cut in islice(found, _MOST_CUTS))
