"""What a law finds."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """How a law came out; a remark is something to know that breaks no law."""

    FAILED = "failed"
    OPEN = "not decided"
    REMARK = "remark"
    PASSED = "passed"


@dataclass(frozen=True)
class Finding:
    """One law, put to a stage, or to one parameter, input or output of it.

    array: its local name; "" where the law is about the stage. numbers: the same as in the words,
    at full precision.
    """

    law: str
    verdict: Verdict
    words: str
    array: str = ""
    numbers: Mapping[str, Any] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        return self.verdict is not Verdict.FAILED

    def to_json(self) -> dict[str, Any]:
        """The finding as plain values; a number that is not finite is None, as JSON has it."""
        numbers = {name: _finite(each) for name, each in self.numbers.items()}
        return asdict(self) | {"verdict": self.verdict.value, "numbers": numbers}


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def verdict(holds: bool) -> Verdict:
    """Passed or failed."""
    return Verdict.PASSED if holds else Verdict.FAILED
