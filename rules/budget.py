"""The budget of a run: what it may add to the disk, and the memory that its processes may take.

Both are looked at when all shapes are known and before anything is computed.
"""

import shutil
from collections import Counter
from dataclasses import dataclass

from msgspec import structs

from diffpipe.cache.errors import OverBudgetError
from diffpipe.cache.store import Store
from diffpipe.pipelines.core import sizes
from diffpipe.pipelines.core.amounts import bytes_in_words
from diffpipe.pipelines.core.costs import Costs
from diffpipe.pipelines.core.demand import Presence
from diffpipe.pipelines.core.model import Checkpoint
from diffpipe.pipelines.core.plan import Plan
from diffpipe.pipelines.core.sizes import Specs

_HEAD_MB = 200.0  # the process that plans, and Snakemake in it
_SHOWN = 3  # of the largest artefacts
_DISK_HINT = (
    "ask for less (--wrt, --of, --events; of a Jacobian another --mode); diffpipe cache gc frees "
    "what is old; smaller shards take as much"
)
_MEMORY_HINT = "give it more, or cut the events of the pipeline file into smaller shards"


class CrampedError(OverBudgetError):
    """The residuals that a plan chose to store do not fit; room: the bytes that they may take."""

    kind = "cramped"
    room = 0


@dataclass(frozen=True)
class Writes:
    """What a plan adds to the disk, by artefact; chosen: that part which a plan may do without."""

    parts: Counter[str]
    chosen: int

    @property
    def total(self) -> int:
        return self.parts.total()

    @property
    def largest(self) -> str:
        """The largest artefacts, in words."""
        few = self.parts.most_common(_SHOWN)
        return ", ".join(f"{name} {bytes_in_words(size)}" for name, size in few)


@dataclass(frozen=True)
class Budget:
    """Bytes that a run may add to the disk, and its processes may hold; None: what there is."""

    disk: int | None = None
    memory: int | None = None

    def applied(self, plan: Plan) -> Plan:
        """The plan; under a memory budget nothing is measured, since that takes several copies."""
        if self.memory is None:
            return plan
        choices = plan.checkpoints.items()
        unmeasured = {name: structs.replace(each, measure=None) for name, each in choices}
        return structs.replace(plan, checkpoints=unmeasured)

    def check_disk(self, store: Store, plan: Plan, specs: Specs) -> None:
        """Refuse a plan that writes too much: CrampedError where residuals can be left out.

        Raises OverBudgetError where that would not be enough.
        """
        found = writes(store, plan, specs)
        limit, words = self._disk(store)
        if found.total <= limit:
            return
        left = limit - (found.total - found.chosen)
        if left < 0 or not found.chosen:
            raise OverBudgetError(
                f"this run writes {bytes_in_words(found.total)} ({found.largest}), and {words} "
                f"{bytes_in_words(limit)}",
                hint=_DISK_HINT,
            )
        error = CrampedError(
            f"with the residuals that it chose to store the run writes "
            f"{bytes_in_words(found.total)}, and {words} {bytes_in_words(limit)}"
        )
        error.room = left
        raise error

    def _disk(self, store: Store) -> tuple[int, str]:
        """How much may be written, and the words before that."""
        there = next(each for each in (store.root, *store.root.parents) if each.exists())
        free = shutil.disk_usage(there).free
        if self.disk is not None and self.disk < free:
            return self.disk, "the disk budget is"
        return free, f"the disk of {store.root} has left"

    def workers(self, plan: Plan, specs: Specs, costs: Costs, most: int) -> int:
        """How many workers of a kind fit into the memory, of `most`; raises OverBudgetError."""
        from diffpipe.rules.pool import places  # here, since most runs set no budget
        from diffpipe.rules.prediction import peaks

        if self.memory is None:
            return most
        each = peaks(plan, specs, costs)
        for cores in range(most, 0, -1):
            found = places(plan, cores)
            needed = _HEAD_MB + sum(len(found[kind]) * each.get(kind, 0.0) for kind in found)
            if needed * 1e6 <= self.memory:
                return cores
        shown = ", ".join(f"{kind[1]} {mb:.0f} MB" for kind, mb in each.items())
        raise OverBudgetError(
            f"one worker of each framework ({shown}) and the process that runs them need "
            f"{needed:.0f} MB, and the memory budget is {bytes_in_words(self.memory)}",
            hint=_MEMORY_HINT,
        )


UNLIMITED = Budget()


def writes(store: Store, plan: Plan, specs: Specs) -> Writes:
    """What the slots that are computed add to the disk; those written again add nothing."""
    missing = plan.missing
    if plan.force:
        made = Presence.read(store, plan.steps, forget=False).made
        missing = {step.id: step.slots - made[step.id].bit_count() for step in plan.steps}
    parts: Counter[str] = Counter()
    chosen = 0
    for step in plan.steps:
        slots = missing[step.id]
        kept = sizes.residuals(step, slots, specs)
        parts[f"{step.stage} {step.kind}"] += sizes.written(step, slots, specs) - kept
        parts[f"{step.stage} residuals"] += kept
        choice = plan.checkpoints.get(step.stage)
        if choice is not None and choice.policy is Checkpoint.RESIDUALS:
            chosen += kept
    return Writes(parts, chosen)
