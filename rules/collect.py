"""Garbage collection: what no recent run used can be computed again, and may go."""

import shutil
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from diffpipe.cache import lock, upkeep
from diffpipe.cache.files import writing
from diffpipe.cache.store import Store
from diffpipe.pipelines.core.plan import Plan
from diffpipe.rules import runs


@dataclass
class Freed:
    """What was (or would be) removed."""

    removed: list[str] = field(default_factory=list)
    nbytes: int = 0
    runs: int = 0


def collect(store: Store, keep_runs: int, *, dry_run: bool) -> Freed:
    """Keep the artefacts of the last runs, so many of each kind (forward, backward, ...) of each
    pipeline; remove the others."""
    with lock.hold(store):
        kept_runs = _last_runs(store, keep_runs)
        wanted = {key for plan in kept_runs.values() for key in _keys(plan)}
        doomed = [key for key in store.artefact_keys() if key not in wanted]
        old = [run for run in runs.all_runs(store) if run.folder not in kept_runs]
        left = [store.layout.staging, store.layout.damaged]
        sizes = sum(upkeep.size(store.layout.artefact(key)) for key in doomed)
        freed = Freed(doomed, sizes + sum(upkeep.size(folder) for folder in left), len(old))
        if not dry_run:
            _remove(store, doomed, [*(run.folder for run in old), *left])
    return freed


def _remove(store: Store, keys: list[str], folders: list[Path]) -> None:
    with writing(store.root):
        for key in keys:
            store.remove(key)
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
        upkeep.remove_partials(store)


def _last_runs(store: Store, keep: int) -> dict[Path, Plan]:
    """The folders and plans of the last runs of each kind of each pipeline."""
    by_pipeline: defaultdict[tuple[str, str], list[tuple[Path, Plan]]] = defaultdict(list)
    for run in runs.all_runs(store):
        plan = runs.plan(run)
        if plan is not None:
            by_pipeline[plan.path, plan.direction].append((run.folder, plan))
    return {
        folder: plan
        for each in by_pipeline.values()
        for folder, plan in (each[-keep:] if keep else [])
    }


def _keys(plan: Plan) -> list[str]:
    return [key for step in plan.steps for key in (step.key, step.residuals) if key]
