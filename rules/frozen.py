"""The plan that a Snakefile reads: the one it is given, else one that the main process makes."""

import os
from collections.abc import MutableMapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from diffpipe.cache import lock
from diffpipe.cache.errors import PipelineError
from diffpipe.cache.layout import default_root
from diffpipe.cache.store import Store
from diffpipe.pipelines.core import library
from diffpipe.pipelines.core.assemble import assemble
from diffpipe.pipelines.core.plan import Plan, Request, make_plan
from diffpipe.rules import runs
from diffpipe.rules.place import describe

PLAN_VARIABLE = "DIFFPIPE_PLAN"
_HELD = ExitStack()  # the store, while this process lives


def frozen_plan(config: MutableMapping[str, Any], workflow: Any) -> tuple[Path, Plan]:
    """The plan's file and the plan; every process that parses the Snakefile sees the same.

    config: plan=FILE, or pipeline, direction (forward, backward), store, of, wrt (lists),
    jobs (into how many tasks the shards are cut).
    """
    given = config.get("plan") or os.environ.get(PLAN_VARIABLE)
    if given:
        return Path(given), Plan.read(Path(given))
    if not workflow.is_main_process:
        raise PipelineError("a job step was started without a plan")
    path = _make(config)
    os.environ[PLAN_VARIABLE] = str(path)
    return path, Plan.read(path)


def _make(config: MutableMapping[str, Any]) -> Path:
    store = Store.open(Path(config["store"]).absolute() if "store" in config else default_root())
    request = Request(
        direction=config.get("direction", "backward"),
        of=_names(config.get("of")),
        wrt=_names(config.get("wrt")),
        jobs=int(config.get("jobs", 4 * (os.cpu_count() or 1))),
    )
    _HELD.enter_context(lock.hold(store))
    plan = make_plan(store, assemble(library.find(config.get("pipeline"))), request)
    run = runs.start_run(store, plan)
    if plan.to_create:
        describe(run)
    return run.plan


def _names(said: Any) -> list[str] | None:
    """A list of names, or their text with commas."""
    return said.split(",") if isinstance(said, str) else said
