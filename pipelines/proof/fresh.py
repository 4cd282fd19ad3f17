"""A stage computed again in a fresh process, from JSON and plain arrays alone.

    python -m diffpipe.pipelines.proof.fresh <folder>

reads the point and the cotangents that are saved there, and prints what it gives as digests of its
bits, and which frameworks the stage imports beside its own.
"""

import contextlib
import hashlib
import json
import subprocess
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
from diffpipe.pipelines.proof.trial import Trial

_COTANGENTS = "cotangents.npz"
_SECONDS = 600


def reload(trial: Trial) -> Iterator[Finding]:
    """The same bits from a fresh process, which knows no more than what is stored."""
    cotangents = {}
    if trial.moved:
        w = trial.layout.random(trial.generator("reload"))
        cotangents = trial.layout.named(w)
    with tempfile.TemporaryDirectory(prefix="diffpipe-") as folder:
        trial.point.write(Path(folder))
        np.savez(Path(folder) / _COTANGENTS, **cotangents)  # type: ignore[arg-type]
        there = _run(Path(folder))
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


def _run(folder: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "diffpipe.pipelines.proof.fresh", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        return {"error": f"no answer in {_SECONDS} s"}
    lines = done.stdout.splitlines()
    if done.returncode == 0 and lines:
        found: dict[str, Any] = json.loads(lines[-1])
        return found
    said = [line for line in done.stderr.splitlines() if line.strip()]
    return {"error": said[-1].strip() if said else f"it ends with {done.returncode}"}


def _digests(point: Point, cotangents: Mapping[str, np.ndarray]) -> dict[str, str]:
    found = calls.forward(point)
    if cotangents:
        found |= calls.pulled(point, cotangents)
    return {
        name: f"{each.dtype} {each.shape} {hashlib.sha256(each.tobytes()).hexdigest()}"
        for name, each in found.items()
    }


def main(folder: Path) -> int:
    """Compute what is saved in a folder."""
    with np.load(folder / _COTANGENTS, allow_pickle=False) as saved:
        cotangents = {name: saved[name] for name in saved.files}
    with contextlib.redirect_stdout(sys.stderr):  # a stage may print
        point = Point.read(folder)
        runner(point.step)
        before = set(sys.modules)
        digests = _digests(point, cotangents)
    imported = [name for name in TRACED if name in sys.modules.keys() - before]
    print(json.dumps({"digests": digests, "imported": imported}))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
