"""Why a likelihood is not a finite number."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np


def bins_in_trouble(
    expected: Any, observed: Any, channels: Mapping[str, int]
) -> Iterator[tuple[str, int, str]]:
    """Channel, bin and what is wrong there.

    expected, observed (bin,); channels: how many bins each has, in the order of the bins.
    """
    first = 0
    for channel, bins in channels.items():
        for i in range(bins):
            rate, count = float(expected[first + i]), float(observed[first + i])
            if not np.isfinite(rate):
                yield channel, i, f"expects {rate:g} events"
            elif rate < 0.0:
                yield channel, i, f"expects {rate:.6g} events: less than none"
            elif rate == 0.0 and count > 0.0:
                yield channel, i, f"expects no event, and has {count:g}"
        first += bins


def told(expected: Any, observed: Any, channels: Mapping[str, int]) -> str | None:
    """The first of these as a sentence, or None if nothing is wrong with the bins."""
    found = list(bins_in_trouble(expected, observed, channels))
    if not found:
        return None
    channel, i, text = found[0]
    more = f"; {len(found) - 1} more bins are no better" if len(found) > 1 else ""
    return f"bin {i} of channel {channel} {text}{more}; move the parameters, or merge bins"
