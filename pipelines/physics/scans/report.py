"""What a long scan holds and computes when it is pulled back, said before it runs."""

from dataclasses import dataclass

from diffpipe.pipelines.physics.scans import nested
from diffpipe.pipelines.physics.scans.schemes import SCHEMES


@dataclass(frozen=True)
class Scan:
    """One long scan of a stage, and what its pullback takes."""

    name: str
    scheme: str  # one of SCHEMES, or "nested"
    length: int  # steps
    snapshots: int  # slots: states held at most, that before the first step included
    slot_bytes: int  # of a state; mixed: with room for the residuals of a step
    forward_steps: int  # steps taken in all, the first sweep included

    @property
    def held_bytes(self) -> int:
        """Of all slots; for the nested scheme the residuals of a step count as a state."""
        return self.snapshots * self.slot_bytes


def describe(
    length: int,
    snapshots: int | None,
    slot_bytes: int,
    name: str = "scan",
    scheme: str = "revolve",
) -> Scan:
    """What `scan` of these `length` steps and `snapshots` takes; no JAX is needed to know it."""
    if snapshots is None:
        held, steps = nested.segments(length).snapshots, nested.forward_steps(length)
        return Scan(name, "nested", length, held, slot_bytes, steps)
    held = min(snapshots, max(1, length - 1))
    steps = SCHEMES[scheme].forward_steps(length, snapshots)
    return Scan(name, scheme, length, held, slot_bytes, steps)
