"""The history of a store: its runs, one after the other, and by which words each is found."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from diffpipe.cache.errors import UsageError, did_you_mean
from diffpipe.cache.layout import RunLayout
from diffpipe.cache.store import Store
from diffpipe.rules import runs
from diffpipe.rules.provenance.changes import Change, changes
from diffpipe.rules.provenance.past import Past, pipeline_path, read_past

_BACK = re.compile(r"last(?:~(\d+))?|-(\d+)")
_SHOWN = 3  # runs that a hint names
_STAMP = 15  # characters of a run's name that say when it began


@dataclass(frozen=True)
class Entry:
    """A run: what it was asked (None: its plan cannot be read), and how it ended.

    before: the run before of the same pipeline. executed, reused: shards, sums over them apart.
    """

    run: RunLayout
    past: Past | None
    before: Past | None
    state: str
    outcome: runs.Outcome
    executed: int
    reused: int

    @property
    def name(self) -> str:
        return self.run.folder.name

    @property
    def began(self) -> datetime | None:
        """When, in local time."""
        at = runs.started(self.run).get("at")
        return None if at is None else datetime.fromtimestamp(at)

    @cached_property
    def changed(self) -> list[Change]:
        """What differs from the run before of the same pipeline."""
        return changes(self.before, self.past) if self.before and self.past else []


def entries(store: Store, last: int) -> list[Entry]:
    """The last so many runs of a store, oldest first."""
    known = _all(store)
    paths = [pipeline_path(run) for run in known]
    first = max(0, len(known) - last)
    return [_entry(store, known, paths, number) for number in range(first, len(known))]


def _all(store: Store) -> list[RunLayout]:
    """The runs of a store, but for those that found shapes only."""
    return [run for run in runs.all_runs(store) if runs.outcome(run).state != "described"]


def _entry(store: Store, known: list[RunLayout], paths: list[str | None], number: int) -> Entry:
    run, mine, outcome = known[number], read_past(known[number]), runs.outcome(known[number])
    earlier = [k for k in range(number) if mine and paths[k] == mine.path]
    return Entry(
        run=run,
        past=mine,
        before=read_past(known[earlier[-1]]) if earlier else None,
        state="at work" if runs.at_work(store, run) else outcome.state,
        outcome=outcome,
        executed=sum(line["kind"] != "reduction" for line in runs.computed(run)),
        reused=mine.reused if mine else 0,
    )


def find(store: Store, text: str) -> RunLayout:
    """The run that is meant by its name, the beginning of it, `last`, `last~1`, or -1, -2.

    Raises UsageError.
    """
    known = _all(store)
    if not known:
        hint = "a run that finds nothing to compute is not kept; --store names another store"
        raise UsageError(f"the store {store.root} has no runs", hint=hint)
    back = _BACK.fullmatch(text)
    if back:
        return _counted(known, text, int(back[2] or int(back[1] or 0) + 1))
    matching = [run for run in known if text and run.folder.name.startswith(text)]
    if len(matching) > 1:
        text = f"{len(matching)} runs begin with {text!r}"
        raise UsageError(text, hint=f"the last ones are {_last(matching)}")
    if not matching:
        raise UsageError(f"there is no run {text!r}", hint=_nearest(known, text))
    return matching[0]


def _counted(known: list[RunLayout], text: str, back: int) -> RunLayout:
    if not 0 < back <= len(known):
        raise UsageError(f"{text}: the store has {len(known)} runs", hint="diffpipe log lists them")
    return known[-back]


def _nearest(known: list[RunLayout], text: str) -> str:
    near = did_you_mean(text, [run.folder.name for run in known])
    return near if near.startswith("did you mean") else f"the last ones are {_last(known)}"


def _last(known: list[RunLayout]) -> str:
    return ", ".join(run.folder.name for run in known[-_SHOWN:])


def short_names(store: Store) -> dict[str, str]:
    """Run -> the beginning of its name that says when it began, and that no other run has."""
    names = [run.folder.name for run in _all(store)]
    return {name: _prefix(name, *others) for name, *others in _beside(names)}


def _beside(names: list[str]) -> Iterator[tuple[str, str, str]]:
    """Each of the sorted names with its neighbours: no others begin more alike."""
    return zip(names, ["", *names], [*names[1:], ""], strict=False)


def _prefix(name: str, *others: str) -> str:
    longer = range(_STAMP, len(name))
    alone = (k for k in longer if not any(other.startswith(name[:k]) for other in others))
    return name[: next(alone, len(name))]
