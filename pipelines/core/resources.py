"""Resources: what a stage needs of the machine it runs on, parsed from the pipeline file.

    resources: {cpus: 4, mem: 8 GB, gpus: 1, runtime: 2 h}

They decide where a stage runs, never what it computes, and stand in no key, except that a stage
which asks for GPUs and gets one is computed there.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

_WORDS = ("cpus", "gpus", "mem", "runtime")
_QUANTITY = re.compile(r"\s*(\d+(?:\.\d*)?)\s*([a-z]+)\s*")
_MEGABYTES = {"mb": 1, "m": 1, "mib": 1, "gb": 1024, "g": 1024, "gib": 1024, "tb": 1048576}
_MINUTES = {"s": 1 / 60, "min": 1, "m": 1, "h": 60, "d": 1440}


# A worker and its arrays; to a job that does not ask, clusters give all of a node's memory or none.
DEFAULT_MEMORY_MB = 2048


class Resources(msgspec.Struct, frozen=True, omit_defaults=True):
    """Processors, GPUs, memory in MB (2**20 bytes) and minutes; None: as the machine gives."""

    cpus: int = 1
    gpus: int = 0
    mem_mb: int | None = None
    runtime_min: int | None = None

    @property
    def memory_mb(self) -> int:
        """What a job asks for."""
        return self.mem_mb or DEFAULT_MEMORY_MB

    def or_more(self, other: "Resources") -> "Resources":
        """What serves both, one after the other: the larger of each, and the sum of the times."""
        return Resources(
            max(self.cpus, other.cpus),
            max(self.gpus, other.gpus),
            max((each for each in (self.mem_mb, other.mem_mb) if each), default=None),
            sum(each for each in (self.runtime_min, other.runtime_min) if each) or None,
        )


def together(each: Iterable[Resources]) -> Resources:
    """What a task needs that runs these stages one after the other."""
    total = Resources()
    for resources in each:
        total = total.or_more(resources)
    return total


def parse(raw: Mapping[str, Any]) -> Resources:
    """The resources that a pipeline file or the command line names; raises ValueError."""
    unknown = [word for word in raw if word not in _WORDS]
    if unknown:
        raise ValueError(f"unknown resource {unknown[0]!r}; known: {', '.join(_WORDS)}")
    return Resources(
        cpus=_count(raw, "cpus", least=1),
        gpus=_count(raw, "gpus", least=0),
        mem_mb=_quantity(raw["mem"], "mem", _MEGABYTES, "8 GB") if "mem" in raw else None,
        runtime_min=_quantity(raw["runtime"], "runtime", _MINUTES, "2 h")
        if "runtime" in raw
        else None,
    )


def seconds(value: Any, word: str) -> int:
    """A time such as 10 min, in seconds; raises ValueError."""
    per_second = {unit: 60 * minutes for unit, minutes in _MINUTES.items()}
    return _quantity(value, word, per_second, "10 min")


def _count(raw: Mapping[str, Any], word: str, least: int) -> int:
    value = raw.get(word, least)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{word}: {value!r} is not a whole number of at least {least}")
    return value


def _quantity(value: Any, word: str, units: Mapping[str, float], example: str) -> int:
    """A number with a unit, in the unit whose factor is 1, rounded up; raises ValueError."""
    match = _QUANTITY.fullmatch(str(value).lower())
    if match is None or match.group(2) not in units or not float(match.group(1)):
        raise ValueError(f"{word}: {value!r} is not a number with a unit: write {example!r}")
    return -int(-float(match.group(1)) * units[match.group(2)] // 1)
