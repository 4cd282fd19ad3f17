"""Points of a scrambled Sobol' sequence, by their numbers."""

import warnings

import numpy as np


def check_range(source: str, start: int, stop: int, count: int) -> None:
    """ValueError unless start..stop is a range of `count` events."""
    if not 0 <= start < stop <= count:
        raise ValueError(f"{source}: events {start} to {stop} are no range of {count} events")


def scrambled(dimensions: int, seed: int, start: int, stop: int) -> np.ndarray:
    """Points start..stop in [0, 1), (stop - start, dimensions); multiples of 2^-30."""
    from scipy.stats import qmc  # slow to import

    points = qmc.Sobol(dimensions, scramble=True, seed=seed)
    if start:  # fast_forward(0) fails
        points.fast_forward(start)
    with warnings.catch_warnings():
        # a shard is a part of the sample: that it alone is no power of two says nothing
        warnings.simplefilter("ignore", UserWarning)
        return points.random(stop - start)
