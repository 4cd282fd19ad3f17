"""The comparison of two runs: what was asked differently, and how far the results moved."""

from dataclasses import dataclass
from functools import cached_property

from diffpipe.cache.errors import UsageError
from diffpipe.cache.layout import RunLayout
from diffpipe.cache.store import Store
from diffpipe.rules.provenance import history
from diffpipe.rules.provenance.changes import Change, Fate, changes, fates
from diffpipe.rules.provenance.moved import Moved, Results, moved
from diffpipe.rules.provenance.past import Past, read_past


@dataclass(frozen=True)
class Side:
    """One of the two runs."""

    store: Store
    run: RunLayout
    past: Past

    @classmethod
    def find(cls, store: Store, text: str) -> "Side":
        """The run that is meant (see `history.find`); raises UsageError."""
        run = history.find(store, text)
        found = read_past(run)
        if found is None:
            raise UsageError(f"the plan of run {run.folder.name} cannot be read")
        return cls(store, run, found)

    @cached_property
    def results(self) -> Results:
        return Results(self.store, self.run, self.past)


@dataclass(frozen=True)
class Comparison:
    """Two runs, side by side."""

    old: Side
    new: Side

    @property
    def changed(self) -> list[Change]:
        return changes(self.old.past, self.new.past)

    @property
    def stages(self) -> dict[str, Fate]:
        return fates(self.old.past, self.new.past)

    @property
    def outputs(self) -> list[Moved]:
        return moved(self.old.results.outputs, self.new.results.outputs)

    @property
    def gradient(self) -> list[Moved]:
        return moved(self.old.results.gradient, self.new.results.gradient)
