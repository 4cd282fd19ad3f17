"""The suite in a process of its own, whose environment is that of a worker.

    python -m diffpipe.pipelines.proof.job <folder> <seed>

puts to the proof the point that is saved in the folder, or the example of the function that is
named there, and leaves what it found in the folder.
"""

import contextlib
import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from diffpipe.cache.errors import DiffpipeError, PipelineError, from_json
from diffpipe.pipelines.core.functions import load
from diffpipe.pipelines.core.model import Function
from diffpipe.pipelines.frameworks.registry import framework
from diffpipe.pipelines.proof.example import example_name, point_of
from diffpipe.pipelines.proof.point import Point
from diffpipe.pipelines.proof.suite import MOST_ROWS, examine

_EXAMPLE, _FOUND = "example.json", "found.json"


class Named(msgspec.Struct, frozen=True):
    """A function that has an example beside it."""

    module: str
    name: str
    folder: str | None
    framework: str

    def write(self, folder: Path) -> None:
        (folder / _EXAMPLE).write_bytes(msgspec.json.encode(self))

    def point(self) -> Point:
        """Where its example puts it; raises PipelineError."""
        place = None if self.folder is None else Path(self.folder)
        function = Function(self.module, self.name, place)
        example = load(Function(self.module, example_name(function), place))
        return point_of(function, self.framework, example())


def found_in(folder: Path) -> dict[str, Any] | None:
    """What the job left; None where it left nothing. Raises the DiffpipeError that it raised."""
    path = folder / _FOUND
    if not path.exists():
        return None
    document: dict[str, Any] = json.loads(path.read_text())
    if "error" in document:
        raise from_json(document["error"])
    return document


def main(folder: Path, seed: int) -> int:
    """Put what is in the folder to the proof; 1 where it cannot be."""
    try:
        document = _examined(_point(folder), seed)
    except DiffpipeError as error:
        document = {"error": error.to_json()}
    (folder / _FOUND).write_text(json.dumps(document, default=float))
    return int("error" in document)


def _point(folder: Path) -> Point:
    if not (folder / _EXAMPLE).exists():
        return Point.read(folder)
    return msgspec.json.decode((folder / _EXAMPLE).read_bytes(), type=Named).point()


def _examined(point: Point, seed: int) -> dict[str, Any]:
    step, traits = point.step, point.traits
    _require(step.framework, step.platform)
    findings = examine(point, seed=seed)
    return {
        "stage": step.stage,
        "framework": step.framework,
        "over": step.over,
        "shard": traits.shard,
        "rows": point.first(MOST_ROWS).traits.rows,
        "of_rows": traits.of_rows,
        "findings": [each.to_json() for each in findings],
    }


def _require(name: str, platform: str) -> None:
    """Import the framework; raises PipelineError that says what to install."""
    try:
        framework(name, platform)
    except PipelineError as error:
        if not isinstance(error.__cause__, ModuleNotFoundError):
            raise
        text = f"{name} is not installed: {error.__cause__}"
        raise PipelineError(text, hint=f"pip install 'diffpipe[{name}]'") from error


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):  # a stage may print
        code = main(Path(sys.argv[1]), int(sys.argv[2]))
    sys.exit(code)
