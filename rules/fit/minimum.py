"""What a minimizer is asked, and what it gives."""

from dataclasses import dataclass

import numpy as np

from diffpipe.cache.errors import UsageError
from diffpipe.rules.fit.problem import Point

CLOSE = 1e-6  # distance to the minimum in units of the objective: a thousandth of an error


@dataclass(frozen=True)
class Settings:
    """How to minimize. steps: at most, None: as suits the minimizer; rate: of Adam, of a scale."""

    minimizer: str = "migrad"
    steps: int | None = None
    rate: float = 0.01

    def __post_init__(self) -> None:
        if (self.steps is not None and self.steps < 1) or not 0.0 < self.rate < np.inf:
            raise UsageError(
                f"--steps {self.steps}, --rate {self.rate:g}",
                hint="at least one step, a rate above zero",
            )


@dataclass(frozen=True, eq=False)
class Minimum:
    """Where a minimizer ended, whether that is a minimum, and why not."""

    point: Point
    converged: bool
    why: str = ""
