"""The suite in a process of its own, whose environment is that of a worker.

    python -m diffpipe.pipelines.proof.job <folder> <seed>

puts to the proof, one after the other, what is saved in the numbered folders 0, 1, ... below: a
point, or the name of a function with an example beside it. What it found of each is a line of JSON
on standard output.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from diffpipe.cache.errors import DiffpipeError, PipelineError, from_json
from diffpipe.pipelines.core.functions import load
from diffpipe.pipelines.core.model import Function
from diffpipe.pipelines.frameworks.registry import framework
from diffpipe.pipelines.proof.example import example_name, point_of
from diffpipe.pipelines.proof.point import Point
from diffpipe.pipelines.proof.process import Fresh, own_stdout
from diffpipe.pipelines.proof.suite import MOST_ROWS, examine

_EXAMPLE = "example.json"


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


def place(folder: Path, number: int) -> Path:
    """Where what is to be examined is saved."""
    made = folder / str(number)
    made.mkdir()
    return made


def found_in(line: str) -> dict[str, Any]:
    """What a line says that was found; raises the DiffpipeError that it says instead."""
    document: dict[str, Any] = json.loads(line)
    if "error" in document:
        raise from_json(document["error"])
    return document


def main(folder: Path, seed: int) -> Iterator[str]:
    """Put what is in the folders to the proof, up to one that cannot be."""
    with Fresh() as fresh:
        for each in sorted(folder.iterdir(), key=lambda each: int(each.name)):
            try:
                document = _examined(_point(each), seed, fresh)
            except DiffpipeError as error:
                document = {"error": error.to_json()}
            yield json.dumps(document, default=float)
            if "error" in document:
                return


def _point(folder: Path) -> Point:
    if not (folder / _EXAMPLE).exists():
        return Point.read(folder)
    return msgspec.json.decode((folder / _EXAMPLE).read_bytes(), type=Named).point()


def _examined(point: Point, seed: int, fresh: Fresh) -> dict[str, Any]:
    step, traits = point.step, point.traits
    _require(step.framework, step.platform)
    findings = examine(point, seed=seed, fresh=fresh)
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
    with own_stdout() as told:
        for line in main(Path(sys.argv[1]), int(sys.argv[2])):
            print(line, file=told, flush=True)
