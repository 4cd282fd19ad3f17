"""What steps cost: seconds for each slot, as measured in runs before, or as the mathematics says.

A tangent along k directions costs about (1 + k) primals, a pullback of k cotangents (1 + 2 k): the
operations of a JVP and of a VJP (A. Griewank, A. Walther, Evaluating Derivatives, 2008, 3.2-3.3).
What was measured of a kind of step replaces that, in proportion to k.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from diffpipe.pipelines.core.plan import Plan
from diffpipe.pipelines.core.steps import Kind, Step

# kind -> primals for the values, and for each direction or cotangent
_RATIO: Mapping[str, tuple[float, float]] = {
    "primal": (1.0, 0.0),
    "tangent": (1.0, 1.0),
    "pullback": (1.0, 2.0),
    "bend": (1.0, 4.0),
    "curvature": (1.0, 4.0),
    "reduction": (0.0, 0.0),
}
Slots = Mapping[tuple[str, Kind, int], float]  # (stage, kind, width) -> seconds for a slot
Peaks = Mapping[tuple[str, Kind, int, int], float]  # and events of a shard -> MB


@dataclass(frozen=True)
class Costs:
    """Seconds for a slot, measured; width: how many directions or cotangents went through.

    starts: how much longer the first slot of a worker takes, which compiles or loads what was.
    peaks: the most memory that a worker held while it computed a slot, MB (10**6 bytes).
    """

    measured: Slots = field(default_factory=dict)
    starts: Slots = field(default_factory=dict)
    peaks: Peaks = field(default_factory=dict)

    def of(self, step: Step) -> float | None:
        """Seconds for one slot of a step; None where nothing is known of its stage."""
        near = [
            (abs(width - width_of(step)), width, seconds)
            for (stage, kind, width), seconds in self.measured.items()
            if (stage, kind) == (step.stage, step.kind)
        ]
        if near:
            _, width, seconds = min(near)
            return seconds * _work(step.kind, width_of(step)) / (_work(step.kind, width) or 1.0)
        primal = self.measured.get((step.stage, "primal", 0))
        return None if primal is None else primal * _work(step.kind, width_of(step))

    def start(self, step: Step) -> float:
        """How much longer a worker's first slot of a step takes, s, as far as it is known."""
        return self.starts.get((step.stage, step.kind, width_of(step)), 0.0)

    def peak(self, step: Step) -> float | None:
        """The memory of a worker while it computes a slot, MB; None where it was not measured."""
        return self.peaks.get((step.stage, step.kind, width_of(step), size_of(step)))

    def relative(self, step: Step) -> float:
        """As `of`; where nothing is known, in units of one primal of any stage."""
        found = self.of(step)
        return _work(step.kind, width_of(step)) if found is None else found

    def total(self, plan: Plan) -> float:
        """What the slots that a plan lacks cost together."""
        missing = plan.missing
        return sum(missing[step.id] * self.relative(step) for step in plan.steps)

    def knows(self, plan: Plan) -> bool:
        """Whether all that a plan lacks has been measured, so that its total is in seconds."""
        missing = plan.missing
        return all(self.of(step) is not None for step in plan.steps if missing[step.id])


def size_of(step: Step) -> int:
    """How many events are in the first shard of a step; one where it has none."""
    return 1 if step.call is None else step.call.rows(0)


def width_of(step: Step) -> int:
    """How many directions or cotangents go through a step at once."""
    if step.along is not None:
        return step.along.count
    if step.kind == "pullback":
        return step.count or 1
    return 0


def _work(kind: str, width: int) -> float:
    own, each = _RATIO[kind]
    return own + each * width
