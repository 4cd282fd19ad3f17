"""Events spread evenly over the unit cube, for stages that map it to something else."""

import numpy as np

from diffpipe.pipelines.physics import checks
from diffpipe.pipelines.physics.events import sequence

STAGE = "unit_cube"
HALF_CELL = 2.0**-31


def unit_cube(
    start: int, stop: int, *, count: int, seed: int, dimensions: int
) -> dict[str, np.ndarray]:
    """Events start..stop of a scrambled Sobol' sequence: unit (stop - start, dimensions), float64.

    The numbers are odd multiples of 2^-31, so they lie inside (0, 1) and never at its ends.
    The bits of an event depend on its number, `seed` and the option alone.
    Raises ValueError for a wrong option.
    """
    checks.integer(STAGE, "dimensions", dimensions, at_least=1)
    sequence.check_range(STAGE, start, stop, count)
    return {"unit": sequence.scrambled(dimensions, seed, start, stop) + HALF_CELL}
