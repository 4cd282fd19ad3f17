"""A stage computed again in a fresh process, from JSON and plain arrays alone.

    python -m diffpipe.pipelines.proof.fresh

reads names of folders, a line each. Of the point and the cotangents that are saved in one it prints
what it gives as digests of its bits, and which frameworks the stage imports beside its own.
"""

import hashlib
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from diffpipe.pipelines.core.ways import TRACED
from diffpipe.pipelines.frameworks.registry import runner
from diffpipe.pipelines.proof import calls
from diffpipe.pipelines.proof.finding import Finding, Verdict
from diffpipe.pipelines.proof.point import Point
from diffpipe.pipelines.proof.process import Fresh, own_stdout
from diffpipe.pipelines.proof.trial import Trial

_COTANGENTS = "cotangents.npz"


def reload(trial: Trial) -> Iterator[Finding]:
    """The same bits from a fresh process, which knows no more than what is stored."""
    cotangents = {}
    if trial.moved:
        w = trial.layout.random(trial.generator("reload"))
        cotangents = trial.layout.named(w)
    with tempfile.TemporaryDirectory(prefix="diffpipe-") as folder:
        trial.point.write(Path(folder))
        np.savez(Path(folder) / _COTANGENTS, **cotangents)  # type: ignore[arg-type]
        there = _computed(trial, Path(folder))
    if "error" in there:
        yield Finding("reload", Verdict.FAILED, f"a fresh process fails: {there['error']}")
        return
    here = _digests(trial.point, cotangents)
    differing = [name for name, digest in here.items() if there["digests"].get(name) != digest]
    for name in differing:
        words = f"{name} has other bits in a fresh process: something outside counts"
        yield Finding("reload", Verdict.FAILED, words, name)
    if not differing:
        yield Finding("reload", Verdict.PASSED, "the same bits from a fresh process")
    for name in there["imported"]:
        yield Finding("reload", Verdict.REMARK, f"the stage imports {name} as well")


def _computed(trial: Trial, folder: Path) -> dict[str, Any]:
    if trial.fresh is not None:
        return trial.fresh.ask(folder)
    with Fresh() as fresh:
        return fresh.ask(folder)


def _digests(point: Point, cotangents: Mapping[str, np.ndarray]) -> dict[str, str]:
    found = calls.forward(point)
    if cotangents:
        found |= calls.pulled(point, cotangents)
    return {
        name: f"{each.dtype} {each.shape} {hashlib.sha256(each.tobytes()).hexdigest()}"
        for name, each in found.items()
    }


def computed(folder: Path) -> str:
    """What the point gives that is saved in a folder, as JSON."""
    with np.load(folder / _COTANGENTS, allow_pickle=False) as saved:
        cotangents = {name: saved[name] for name in saved.files}
    point = Point.read(folder)
    runner(point.step)
    before = set(sys.modules)
    digests = _digests(point, cotangents)
    imported = [name for name in TRACED if name in sys.modules.keys() - before]
    return json.dumps({"digests": digests, "imported": imported})


if __name__ == "__main__":
    with own_stdout() as told:
        for name in sys.stdin:
            print(computed(Path(name.strip())), file=told, flush=True)
