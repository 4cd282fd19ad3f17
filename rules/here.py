"""This machine: warm workers, one per core."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from diffpipe.cache.layout import RunLayout
from diffpipe.cache.store import Store
from diffpipe.pipelines.core.plan import Plan
from diffpipe.rules.place import Place
from diffpipe.rules.pool import Pool

_TASKS_PER_CORE = 4  # so that a worker which is done early takes from the others


@final
@dataclass
class Here(Place):
    """Tasks are computed by a pool of processes that lives as long as the run, or as `kept`."""

    cores: int
    cut: int | None = None  # into how many tasks; None: a few per core
    _pool: Pool | None = field(default=None, init=False)
    _most: int | None = field(default=None, init=False)  # workers of a kind, if fewer than cores
    _plan: Plan | None = field(default=None, init=False)
    _keeps: bool = field(default=False, init=False)

    @property
    def jobs(self) -> int:
        return self.cut or _TASKS_PER_CORE * self.cores

    @property
    def pool(self) -> Pool:
        assert self._pool is not None, "not started"
        return self._pool

    @property
    def workers(self) -> int:
        return self._most or self.cores

    @property
    def limited(self) -> bool:
        return self._most is not None

    def limit(self, fitting: Callable[[int], int]) -> None:
        self._most = fitting(self.cores)
        if self._pool is not None and self._pool.cores > self._most:
            self._pool.close(at_once=False)  # those at work for the run before
            self._pool = None
        elif self._pool is not None:
            self._pool.cores = self._most

    def start(self, plan: Plan, run: RunLayout) -> None:
        self._pool, self._plan = self._pool or Pool(self.workers), plan
        self._pool.serve(plan, run)

    @contextmanager
    def kept(self) -> Iterator[None]:
        self._keeps = True
        try:
            yield
        finally:
            self._keeps = False
            self.stop(at_once=False)

    def describe(self) -> None:
        assert self._plan is not None, "not started"
        self.pool.describe(self._plan, Store.open(Path(self._plan.store), create=False))

    def resources(self) -> dict[str, Any]:
        no_defaults: dict[str, Any] = {}  # a temporary folder for each job is a tenth of planning
        return {"cores": self.workers, "default_resources": no_defaults}

    def execution(self) -> dict[str, Any]:
        from diffpipe.rules.plugins import executor  # imports Snakemake

        return {"executor": executor.NAME, "executor_settings": executor.settings(self.pool)}

    def check(self) -> None:
        """Nothing: workers answer for themselves."""

    def stop(self, *, at_once: bool) -> None:
        if self._pool is not None and (at_once or not self._keeps):
            self._pool.close(at_once=at_once)
            self._pool = None
