"""What is seen to once the shapes of a plan are known: its budget, and what is predicted of it."""

from collections.abc import Iterator
from dataclasses import dataclass

from diffpipe.cache.checkpoints import Checkpoints
from diffpipe.cache.layout import RunLayout
from diffpipe.cache.store import Store
from diffpipe.pipelines.core import sizes
from diffpipe.pipelines.core.checkpoints import verdict
from diffpipe.pipelines.core.model import Pipeline
from diffpipe.pipelines.core.plan import Plan
from diffpipe.rules import costs, prediction
from diffpipe.rules.budget import Budget
from diffpipe.rules.place import Place


@dataclass(frozen=True)
class Preparation:
    """A plan that is about to run at a place."""

    store: Store
    pipeline: Pipeline
    plan: Plan
    place: Place
    budget: Budget

    def start(self) -> None:
        """Before anything is known: with a memory budget, one worker finds out the shapes."""
        if self.budget.memory is not None and not self.place.limited:
            self.place.limit(lambda _: 1)

    def described(self, run: RunLayout) -> None:
        """Keep within the budget, and keep what is predicted; raises OverBudgetError."""
        if not self.plan.tasks:
            return
        specs = sizes.stored_specs(self.store, self.plan)
        self.budget.check_disk(self.store, self.plan, specs)
        known = costs.measured(self.store, self.pipeline)
        if self.budget.memory is not None:
            self.place.limit(lambda cores: self.budget.workers(self.plan, specs, known, cores))
            self.place.start(self.plan, run)
        prediction.predict(self.plan, specs, known, self.place.workers).write(run)

    def measured(self) -> Iterator[str]:
        """What was measured while it ran, for the next plans."""
        kept = Checkpoints(self.store.layout)
        for stage, choice in self.plan.checkpoints.items():
            found = kept.get(choice.measure) if choice.measure else None
            if found is not None:
                yield f"stage {stage} was measured: {verdict(found)}"
