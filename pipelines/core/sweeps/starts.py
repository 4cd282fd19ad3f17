"""Where a backward sweep starts: outputs and their cotangents, one or many."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from diffpipe.pipelines.core.model import OutputRef
from diffpipe.pipelines.core.steps import Given, Units

Seed = Units | Given | None  # None: the 1 of a scalar objective


@dataclass(frozen=True)
class Starts:
    """Output -> its cotangent; count: how many cotangents go through at once (None: one)."""

    cotangents: Mapping[OutputRef, Seed]
    count: int | None = None

    @classmethod
    def at(cls, objective: OutputRef) -> "Starts":
        """The start of a gradient."""
        return cls({objective: None})

    @classmethod
    def components(cls, shapes: Mapping[OutputRef, tuple[int, ...]]) -> "Starts":
        """A cotangent for each component of some outputs, in their order."""
        found: dict[OutputRef, Seed] = {}
        count = 0
        for ref, shape in shapes.items():
            seed = Units(count, shape)
            found[ref], count = seed, count + seed.size
        return cls(found, count)

    def outputs(self, stage: str) -> list[str]:
        """The outputs of a stage where the sweep starts."""
        return [ref.output for ref in self.cotangents if ref.stage == stage]

    def seeds(self, stage: str) -> dict[str, Units | Given]:
        """Their cotangents, where these are not the 1 of an objective."""
        return {
            ref.output: seed
            for ref, seed in self.cotangents.items()
            if ref.stage == stage and seed is not None
        }

    def ingredients(self, stage: str) -> dict[str, Any]:
        """What of this stands in the key of a stage's pullback."""
        seeds = {name: seed.ingredients for name, seed in self.seeds(stage).items()}
        count = {} if self.count is None else {"count": self.count}
        return count | ({"seeds": seeds} if seeds else {})
