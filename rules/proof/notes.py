"""What a check leaves in the store: a note of each stage, and of the gradient."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from diffpipe.cache.checks import Check, Checks, key_of, now
from diffpipe.cache.store import Store
from diffpipe.pipelines.core.environment import Environment
from diffpipe.pipelines.core.model import OutputRef, Pipeline
from diffpipe.pipelines.core.plan import Plan
from diffpipe.pipelines.core.steps import primal_id
from diffpipe.pipelines.proof.finding import Verdict

_WORST_FIRST = (Verdict.FAILED, Verdict.OPEN, Verdict.PASSED)  # remarks break no law


@dataclass(frozen=True)
class Notes:
    """Writes them; forward: a plan of the pipeline, which knows the keys."""

    store: Store
    pipeline: Pipeline
    forward: Plan
    seed: int

    def of_stage(self, found: dict[str, Any]) -> None:
        """A stage, at the values of its own parameters."""
        stage = self.pipeline.stages[found["stage"]]
        key = key_of(self.forward.step(primal_id(stage.name)).key)
        names = list(stage.parameters.values())
        self._put(key, self._check(stage.name, found, names, names, [stage.framework]))

    def of_gradient(self, found: dict[str, Any], objective: OutputRef, wrt: list[str]) -> None:
        """The gradient of an objective in some parameters, at the values of all."""
        source = self.forward.outputs[str(objective)]
        frameworks = [stage.framework for stage in self.pipeline.stages.values()]
        check = self._check(str(objective), found, wrt, self.pipeline.parameters, frameworks)
        self._put(key_of(source.key, source.array), check)

    def _check(
        self,
        of: str,
        found: dict[str, Any],
        wrt: list[str],
        named: Iterable[str],
        frameworks: Iterable[str],
    ) -> Check:
        said = [each["verdict"] for each in found["findings"]]
        versions = [Environment.current().versions(name) for name in sorted(set(frameworks))]
        return Check(
            of=of,
            verdict=next((each for each in _WORST_FIRST if each in said), Verdict.PASSED).value,
            counts={each.value: said.count(each) for each in Verdict if each in said},
            wrt=wrt,
            values={name: self.pipeline.parameters[name].value for name in named},
            seed=self.seed,
            versions={package: version for each in versions for package, version in each.items()},
            at=now(),
        )

    def _put(self, key: str, check: Check) -> None:
        Checks(self.store.layout).put(key, check)
