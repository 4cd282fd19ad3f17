"""What tangent sweeps, Jacobians and products with the Hessian are asked for."""

import json
import random
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from diffpipe.cache.errors import UsageError
from diffpipe.cli.options import names

if TYPE_CHECKING:
    from diffpipe.pipelines.core.model import Pipeline
    from diffpipe.pipelines.core.sweeps.jacobian import Mode

RANDOM = "random"
WrtOption = Annotated[
    str | None,
    typer.Option("--wrt", metavar="NAME,...", help="Only these parameters' derivatives."),
]
SaveOption = Annotated[
    Path | None, typer.Option("--save", metavar="FILE.npz", help="Write the results as arrays.")
]


@dataclass(frozen=True)
class Sweep:
    """What is asked of the pipeline."""

    of: Annotated[
        str | None,
        typer.Option("--of", metavar="STAGE.OUTPUT,...", help="Other outputs than the objective."),
    ] = None
    force: Annotated[bool, typer.Option("--force", help="Compute everything again.")] = False
    durable: Annotated[
        bool, typer.Option("--durable", help="Sync each shard to disk, against power cuts.")
    ] = False

    def asked(self, pipeline: "Pipeline") -> dict[str, Any]:
        """The fields of a Request that say what is asked; raises UsageError."""
        del pipeline
        return {"of": names(self.of), "force": self.force, "durable": self.durable}


@dataclass(frozen=True)
class Gradient(Sweep):
    """What is asked of a backward sweep."""

    wrt: Annotated[
        str | None,
        typer.Option(
            "--wrt",
            metavar="NAME,...",
            help="Only these parameters' gradients, or of arrays: stage.input, events.column.",
        ),
    ] = None
    cotangent: Annotated[
        Path | None,
        typer.Option(
            "--cotangent",
            metavar="FILE",
            help="Cotangents of outputs, a .npz or zarr of arrays named stage.output.",
        ),
    ] = None

    def asked(self, pipeline: "Pipeline") -> dict[str, Any]:
        path = None if self.cotangent is None else str(self.cotangent.absolute())
        return super().asked(pipeline) | {"wrt": names(self.wrt), "cotangent": path}


@dataclass(frozen=True)
class Along(Sweep):
    """What is asked of a tangent sweep."""

    wrt: WrtOption = None
    along: Annotated[
        str,
        typer.Option(
            "--along",
            metavar="NAME=VALUE,...",
            help="The direction; or `random`, in the parameters of --wrt.",
        ),
    ] = RANDOM
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of a random direction.")] = 0
    save: SaveOption = None

    def asked(self, pipeline: "Pipeline") -> dict[str, Any]:
        along = _direction(self, pipeline) if self.along == RANDOM else _along(self.along)
        return super().asked(pipeline) | {"along": along}


@dataclass(frozen=True)
class Product(Along):
    """What is asked of a product with the Hessian."""

    def asked(self, pipeline: "Pipeline") -> dict[str, Any]:
        return super().asked(pipeline) | {"wrt": names(self.wrt)}


@dataclass(frozen=True)
class Matrix(Sweep):
    """What is asked of a Hessian: in the parameters named, else in those fitted, else in all."""

    wrt: WrtOption = None
    save: SaveOption = None

    def asked(self, pipeline: "Pipeline") -> dict[str, Any]:
        return super().asked(pipeline) | {"wrt": names(self.wrt) or _fitted(pipeline)}


@dataclass(frozen=True)
class Blocks(Sweep):
    """What is asked of a Jacobian."""

    wrt: WrtOption = None
    save: SaveOption = None
    mode: Annotated[
        str,
        typer.Option("--mode", metavar="auto|forward|reverse|mixed", help="Which way it is taken."),
    ] = "auto"
    cut: Annotated[
        str | None,
        typer.Option(
            "--cut", metavar="STAGE.OUTPUT,...", help="Of a mixed one: where its two ways meet."
        ),
    ] = None

    def asked(self, pipeline: "Pipeline") -> dict[str, Any]:
        how = {"mode": _mode(self), "cut": names(self.cut)}
        return super().asked(pipeline) | how | {"wrt": names(self.wrt)}


def _mode(blocks: Blocks) -> "Mode | None":
    known: dict[str, Mode | None] = {
        "auto": None,
        "forward": "forward",
        "reverse": "reverse",
        "mixed": "mixed",
    }
    if blocks.mode not in known:
        raise UsageError(f"--mode {blocks.mode!r} is none of {', '.join(known)}")
    if blocks.cut is not None and blocks.mode in ("forward", "reverse"):
        raise UsageError(f"--cut is of a mixed Jacobian, and --mode is {blocks.mode}")
    return known[blocks.mode] or ("mixed" if blocks.cut is not None else None)


def _along(text: str) -> dict[str, Any]:
    """name=value,name=[value,value]; raises UsageError."""
    found: dict[str, Any] = {}
    for part in re.split(r",(?![^\[]*\])", text):
        name, _, raw = part.partition("=")
        try:
            found[name.strip()] = json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise UsageError(
                f"--along {part}: not name=value with a finite number or a list of them",
                hint="write --along m_z=0.1,b=[1,2,3], or --along random",
            ) from error
    return found


def _direction(along: Along, pipeline: "Pipeline") -> dict[str, Any]:
    """Normal numbers times the sizes of the parameters that are named, else of those fitted."""
    from diffpipe.pipelines.core.sweeps.wrt import parse

    chosen = parse(pipeline, names(along.wrt) or _fitted(pipeline))
    numbers = random.Random(along.seed)
    return {name: _random(pipeline.parameters[name].value, numbers) for name in chosen.parameters}


def _fitted(pipeline: "Pipeline") -> list[str]:
    found = [name for name, each in pipeline.parameters.items() if each.fit]
    return found or list(pipeline.parameters)


def _random(value: Any, numbers: random.Random) -> Any:
    if isinstance(value, tuple):
        return [_random(each, numbers) for each in value]
    return numbers.gauss() * (abs(value) or 1.0)
