"""What a run of the evolution is, fixed by options before any value is known.

Plain values only: a plan of a pipeline is made with it, without JAX and NumPy.
"""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from diffpipe.pipelines.physics import checks
from diffpipe.pipelines.physics.refusal import RefusedError, did_you_mean

STAGE = "pdf_evolution"
ORDERS = ("LO", "NLO", "NNLO")
SCHEMES = ("VFNS", "FFNS")
HEAVY_FROM_GLUON = ("parametrised", "exact")
PRECISIONS = {"fast": (70, 2), "precise": (100, 3)}  # points of the grid, steps in each leg
MIN_POINTS = 10
LARGEST_X_MIN, SMALLEST_X_MIN = 0.1, 1e-9
FEWEST, MOST = 3, 6  # flavours


class Plan(NamedTuple):
    """A run of the evolution."""

    order: str
    flavours: tuple[int, ...]  # met upwards from q0
    flavours_below: tuple[int, ...]  # met downwards; empty: never down
    x_min: float
    points: int
    steps: int
    heavy_from_gluon: str

    def kernels(self) -> dict[str, Any]:
        """What the kernel matrices depend on: the options of the stage `pdf_kernels`."""
        return {
            "order": self.order,
            "flavours": sorted({*self.flavours, *self.flavours_below}),
            "x_min": self.x_min,
            "points": self.points,
            "heavy_from_gluon": self.heavy_from_gluon,
        }


def plan(
    *,
    order: str = "LO",
    scheme: str = "VFNS",
    nf: int | None = None,
    nf_max: int | None = None,
    backward: bool = False,
    precision: str = "precise",
    x_min: float = 1e-7,
    points: int | None = None,
    steps: int | None = None,
    heavy_from_gluon: str = "parametrised",
) -> Plan:
    """A run from options as they are written; raises ValueError for a wrong one."""
    checks.one_of(STAGE, "precision", precision, PRECISIONS)
    usual_points, usual_steps = PRECISIONS[precision]
    points = usual_points if points is None else points
    steps = usual_steps if steps is None else steps
    up, below = _flavours(scheme, nf, nf_max, backward)
    return Plan(
        checks.one_of(STAGE, "order", order, ORDERS),
        up,
        below,
        _x_min(x_min),
        checks.integer(STAGE, "points", points, at_least=MIN_POINTS),
        checks.integer(STAGE, "steps", steps, at_least=1),
        checks.one_of(STAGE, "heavy_from_gluon", heavy_from_gluon, HEAVY_FROM_GLUON),
    )


def split(options: Mapping[str, Any], others: Collection[str]) -> tuple[Plan, dict[str, Any]]:
    """The run, and the options that are no part of it; ValueError for one not among `others`."""
    known = plan.__kwdefaults__ or {}
    rest = {name: value for name, value in options.items() if name not in known}
    for name in rest:
        if name not in others:
            hint = did_you_mean(name, [*known, *others])
            raise RefusedError(f"{STAGE}: unknown option {name!r}", hint=hint)
    return of_mapping(options), rest


def of_mapping(options: Mapping[str, Any]) -> Plan:
    """The run, from options of which it takes those it knows."""
    known = plan.__kwdefaults__ or {}
    return plan(**{name: options[name] for name in known if name in options})


def _flavours(
    scheme: str, nf: int | None, nf_max: int | None, backward: bool
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    checks.one_of(STAGE, "scheme", scheme, SCHEMES)
    if scheme == "FFNS":
        fixed = _number("nf", 4 if nf is None else nf, FEWEST)
        if nf_max not in (None, fixed):
            raise ValueError(f"{STAGE}: option nf_max is for VFNS; FFNS keeps nf = {fixed}")
        return (fixed,), (fixed,) if backward else ()
    first = _number("nf", FEWEST if nf is None else nf, FEWEST)
    last = _number("nf_max", max(first, 5) if nf_max is None else nf_max, first)
    return tuple(range(first, last + 1)), tuple(range(first, FEWEST - 1, -1)) if backward else ()


def _number(name: str, value: int, at_least: int) -> int:
    if checks.integer(STAGE, name, value, at_least=at_least) > MOST:
        raise ValueError(f"{STAGE}: option {name} must not be above {MOST}, got {value!r}")
    return value


def _x_min(x_min: float) -> float:
    if not SMALLEST_X_MIN <= checks.positive_number(STAGE, "x_min", x_min) <= LARGEST_X_MIN:
        raise ValueError(
            f"{STAGE}: option x_min must lie between {SMALLEST_X_MIN:g} and {LARGEST_X_MIN:g}, "
            f"got {x_min!r}"
        )
    return float(x_min)
