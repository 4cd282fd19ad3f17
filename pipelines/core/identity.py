"""Identity: the keys of all primals of a pipeline, from the file, the code and the data alone."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from diffpipe.cache import keys
from diffpipe.cache.errors import PipelineError
from diffpipe.cache.memo import Memo
from diffpipe.pipelines.core.code import code_digest
from diffpipe.pipelines.core.environment import Environment
from diffpipe.pipelines.core.model import (
    Checkpoint,
    DataRef,
    Dataset,
    OutputRef,
    Over,
    Pipeline,
    Ref,
    Stage,
)
from diffpipe.pipelines.core.targets import Program, Service

DTYPE = "float64"
SUMMATION = "pairwise in shard order"


@dataclass(frozen=True)
class Identity:
    """The keys of a pipeline's primals in one environment."""

    pipeline: Pipeline
    environment: Environment
    memo: Memo = field(default_factory=Memo)

    @cached_property
    def primals(self) -> Mapping[str, str]:
        """Stage -> key of its primal."""
        known: dict[str, str] = {}
        for stage in self.pipeline.stages.values():
            known[stage.name] = self.primal(stage, known)
        return known

    def primal(self, stage: Stage, known: Mapping[str, str]) -> str:
        """The key of a stage's primal, where those of the stages that it reads are known."""
        return keys.key("primal", **self.ingredients(stage, known))

    def ingredients(self, stage: Stage, known: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Everything that stands in the key of a stage's primal; known: as for `primal`."""
        known = self.primals if known is None else known
        files = {"files": self.files[stage.name]} if stage.files else {}
        return (
            _declared(stage)
            | files
            | {
                "function": str(stage.function),
                "code": self._code(stage),
                "options": dict(stage.options),
                "parameters": {
                    local: self.pipeline.parameters[name].value
                    for local, name in stage.parameters.items()
                },
                "inputs": {
                    local: self._input_key(ref, known) for local, ref in stage.inputs.items()
                },
                "summed": sorted(name for name in stage.outputs if stage.is_summed(name)),
                "sample": _sample(stage),
                "seed": stage.sample.seed if stage.sample is not None and stage.source else None,
                "residuals": _keeps(stage),
                "framework": stage.framework,
                "versions": self._versions(stage),
                "platform": self.environment.platform(stage.resources.gpus, stage.framework),
                "dtype": DTYPE,
            }
        )

    @cached_property
    def datasets(self) -> Mapping[str, str]:
        """Dataset -> digest of its bytes, its reader and the reader's options."""
        return {name: self._dataset(each) for name, each in self.pipeline.data.items()}

    @cached_property
    def files(self) -> Mapping[str, Mapping[str, str]]:
        """Stage -> the digests of the files a source reads, and of packages that options name."""
        stages = self.pipeline.stages.values()
        return {stage.name: _digests(stage.files) for stage in stages if stage.files}

    def reduction(self, summed: str) -> str:
        """The key of the sum over shards of an artefact."""
        return keys.key("reduction", of=summed, order=SUMMATION)

    def residuals(self, stage: Stage) -> str | None:
        """The key of the stored residuals of a stage, where its policy stores them."""
        if stage.checkpoint is not Checkpoint.RESIDUALS:
            return None
        return keys.key("residuals", primal=self.primals[stage.name], policy="residuals")

    def _versions(self, stage: Stage) -> dict[str, str]:
        try:
            return self.environment.versions(stage.framework)
        except PipelineError as error:
            text = f"stage {stage.name} is written for {stage.framework}: {error.message}"
            raise PipelineError(text, hint=error.hint, stage=stage.name) from error

    def _code(self, stage: Stage) -> Any:
        """The digest of a function; of a program its arguments, its content is in its files."""
        if isinstance(stage.function, Program):
            return stage.function.arguments
        if isinstance(stage.function, Service):
            given = list(stage.function.arguments.items())  # in order, which a key's names lose
            return [stage.function.version, given]
        return code_digest(stage.function, self.memo)

    def _input_key(self, ref: Ref, known: Mapping[str, str]) -> list[str | None]:
        if isinstance(ref, DataRef):
            return ["data", self.datasets[ref.dataset], ref.column]
        return ["output", self.output_key(ref, known), ref.output]

    def output_key(self, ref: OutputRef, known: Mapping[str, str] | None = None) -> str:
        """The key of the artefact that holds an output: the primal, or its sum over shards."""
        primal = (known or self.primals)[ref.stage]
        summed = self.pipeline.stages[ref.stage].is_summed(ref.output)
        return self.reduction(primal) if summed else primal

    def _dataset(self, dataset: Dataset) -> str:
        return keys.digest(
            {
                "files": _digests(dataset.files),
                "reader": str(dataset.reader),
                "code": code_digest(dataset.reader, self.memo),
                "options": dict(dataset.options),
            }
        )


def _digests(files: Mapping[str, Path]) -> dict[str, str]:
    """The digest of each file's bytes, by its word in the pipeline file."""
    return {word: _digest(path) for word, path in files.items()}


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise PipelineError(f"cannot read {path}: {error}") from error


def _declared(stage: Stage) -> dict[str, Any]:
    """The shapes that the file declares, where they and not the code decide what is stored."""
    if stage.framework == "jax":
        return {}
    return {"outputs": [[name, each.shape, each.dtype] for name, each in stage.outputs.items()]}


def _keeps(stage: Stage) -> bool | str:
    """Whether residuals are kept, which may change bits; a word where no plan has decided it."""
    if stage.checkpoint is Checkpoint.AUTO:
        return Checkpoint.AUTO.value
    return stage.checkpoint is Checkpoint.RESIDUALS


def _sample(stage: Stage) -> list[int] | None:
    """What the values of a stage depend on: the events, and how they are cut and added up."""
    if stage.over is not Over.EVENTS or stage.sample is None:
        return None
    block = [stage.block] if stage.has_sums and stage.block > 1 else []
    return [stage.sample.count, stage.sample.shard, *block]
