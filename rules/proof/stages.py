"""Stages put to the laws: what they read is computed, then each is examined in a process.

A process has the environment of a worker. It takes all stages of one framework, which it imports
once.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from diffpipe.cache.errors import UsageError, WorkerError
from diffpipe.cache.store import Store
from diffpipe.pipelines.core.model import Pipeline
from diffpipe.pipelines.core.plan import Request, make_plan
from diffpipe.pipelines.core.steps import Step, primal_id
from diffpipe.pipelines.proof.job import Named, found_in, place
from diffpipe.pipelines.proof.point import Point, before
from diffpipe.rules import machine
from diffpipe.rules.drive import Drive, Observer
from diffpipe.rules.place import Place


class Subject(NamedTuple):
    """What is put to the laws, and where that is computed."""

    name: str
    platform: str
    framework: str
    what: Named | Point


def of_pipeline(
    store: Store,
    pipeline: Pipeline,
    shards: dict[str, int],
    where: Place,
    observer: Observer,
    idle: Collection[str] = (),
) -> list[Subject]:
    """Some stages with what they read, which is computed where it is not stored.

    shards: stage -> which shard of it; idle: stages that no gradient is taken through. Raises
    DiffpipeError.
    """
    steps = make_plan(store, pipeline, Request("forward")).steps
    asked = [step for step in steps if step.id in map(primal_id, shards)]
    for step in asked:
        _check(step, shards[step.stage])
    part = before(pipeline, shards)
    if part.stages:
        Drive(store, part, Request("forward", jobs=where.jobs), where, observer).run()
    return [_subject(pipeline, step, store, shards[step.stage], idle) for step in asked]


def examined(subjects: Iterable[Subject], seed: int) -> Iterator[dict[str, Any]]:
    """What the suite finds of each, framework by framework; raises DiffpipeError."""
    ordered = sorted(subjects, key=_process)
    for (platform, _), each in groupby(ordered, key=_process):
        yield from _in_a_process(platform, list(each), seed)


def _check(step: Step, shard: int) -> None:
    if step.call is None or step.call.source:
        raise UsageError(f"{step.stage} is a source of events: it has no inputs to be moved in")
    if shard >= step.slots:
        raise UsageError(f"--shard {shard}: the stage {step.stage} has {step.slots}, from 0 on")


def _subject(
    pipeline: Pipeline, step: Step, store: Store, shard: int, idle: Collection[str]
) -> Subject:
    point = Point.of_stage(pipeline, step, store, shard, is_passed=step.stage not in idle)
    return Subject(step.stage, step.platform, step.framework, point)


def _process(subject: Subject) -> tuple[str, str]:
    return subject.platform, subject.framework


def _in_a_process(platform: str, subjects: list[Subject], seed: int) -> Iterator[dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="diffpipe-") as folder:
        for number, subject in enumerate(subjects):
            subject.what.write(place(Path(folder), number))
        command = [sys.executable, "-m", "diffpipe.pipelines.proof.job", folder, str(seed)]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=_environment(platform)
        ) as process:
            assert process.stdout is not None
            try:
                for subject in subjects:
                    line = process.stdout.readline()
                    if not line:
                        raise _lost(subject, process.wait())
                    yield found_in(line)
            except BaseException:
                process.terminate()
                raise


def _environment(platform: str) -> dict[str, str]:
    """That of a worker; this process keeps its own, which says on which platform it plans."""
    own = dict(os.environ)
    try:
        machine.prepare(platform)
        return dict(os.environ)
    finally:
        os.environ.clear()
        os.environ.update(own)


def _lost(subject: Subject, code: int) -> WorkerError:
    text = f"the process of the laws ended with {code}, without a word of {subject.name}"
    return WorkerError(text, stage=subject.name)
