"""`diffpipe me PROCESS`: a matrix element and its gradient, at a point or for events of a file."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from diffpipe.cache.errors import UsageError
from diffpipe.cli.answer import answer, computing
from diffpipe.cli.options import Printed, grouped, names

if TYPE_CHECKING:
    import numpy as np

SHOWN = 20  # events of a table


@dataclass(frozen=True)
class Asked:
    """Which process, where, with which values."""

    process: Annotated[
        str, typer.Argument(metavar="PROCESS", help="In MadGraph's notation: 'g g > t t~'.")
    ] = ""
    momenta: Annotated[
        Path | None,
        typer.Option("--momenta", help="Events: .npy or JSON, (event, leg, 4), GeV."),
    ] = None
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="MT=172.5,...", help="Values of the model's inputs."),
    ] = None
    card: Annotated[Path | None, typer.Option("--card", help="A param_card with values.")] = None
    wrt: Annotated[
        str | None, typer.Option("--wrt", metavar="MT,aS", help="Derivatives; default: all.")
    ] = None
    on_shell: Annotated[
        bool, typer.Option("--on-shell", help="Momenta follow the masses of external legs.")
    ] = False
    energy: Annotated[
        float | None, typer.Option("--energy", help="sqrt(s) of the sample point, GeV.")
    ] = None
    backend: Annotated[
        str, typer.Option("--backend", help="native, or madjax:PACKAGE (a folder or a module).")
    ] = "native"


@grouped
def me(asked: Asked, printed: Printed) -> None:
    """|M|^2 of a tree-level process of the Standard Model, and its derivatives."""
    if not asked.process:
        raise UsageError("name a process", hint="diffpipe me 'g g > t t~'")
    with computing():
        document = _documents(asked)
    answer(document, _lines(document), printed)


def _documents(asked: Asked) -> dict[str, Any]:
    """The JSON document: that of one process, or of each subprocess that labels stand for."""
    from diffpipe.pipelines.frameworks import jax as _float64  # noqa: F401

    inputs = _inputs(asked)
    elements = _elements(asked)
    distinct = {each.signature: each for each in elements}
    numbers = {key: _numbers(each, asked, inputs) for key, each in distinct.items()}
    found = [_described(each) | numbers[each.signature] for each in elements]
    if len(found) == 1:
        return found[0] | {"process": asked.process}
    return {"process": asked.process, "subprocesses": found}


def _elements(asked: Asked) -> Sequence[Any]:
    from diffpipe.pipelines.physics.matrix_elements.stage import BACKENDS, elements_of

    backend, sign, package = asked.backend.partition(":")
    if backend not in BACKENDS:
        raise UsageError(
            f"unknown backend {asked.backend!r}", hint="write native, or madjax:PACKAGE"
        )
    return elements_of(asked.process, backend, package if sign else None)


def _inputs(asked: Asked) -> dict[str, float]:
    from diffpipe.pipelines.physics.matrix_elements.model import card, parameters

    given: dict[str, float] = {}
    if asked.card is not None:
        try:
            given = {name: float(value) for name, value in card.param_card(asked.card).items()}
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"cannot read {asked.card}: {error}") from error
    settings = [part for text in asked.settings or [] for part in text.split(",")]
    return parameters.values(given | dict(_setting(text) for text in settings))


def _setting(text: str) -> tuple[str, float]:
    from diffpipe.pipelines.physics.matrix_elements.model.parameters import canonical

    name, sign, raw = text.partition("=")
    try:
        value = float(raw)
    except ValueError:
        value = float("nan")
    if not sign or not abs(value) < float("inf"):
        raise UsageError(
            f"--set {text}: not name=value with a finite number", hint="--set MT=172.5"
        )
    return canonical(name.strip()), value


def _described(element: Any) -> dict[str, Any]:
    return {
        "process": str(element.process),
        "diagrams": element.count,
        "helicities": {"kept": element.kept, "of": element.configurations},
        "colours": element.colours,
        "notes": list(element.notes),
    }


def _numbers(element: Any, asked: Asked, inputs: Mapping[str, float]) -> dict[str, Any]:
    from diffpipe.pipelines.physics.matrix_elements.evaluation import evaluate
    from diffpipe.pipelines.physics.matrix_elements.model.parameters import canonical

    wrt = [canonical(name) for name in names(asked.wrt) or []]
    momenta = _momenta(element, asked, inputs)
    active = _active(element, asked, inputs)
    moving = [name for name in wrt or inputs if name in active]
    values, gradient = evaluate(element, inputs, momenta, moving, on_shell=asked.on_shell)
    still = {name: [0.0] * len(values) for name in wrt if name not in active}
    return {
        "value": values.tolist(),
        "gradient": {name: each.tolist() for name, each in gradient.items()} | still,
        "independent_of": list(still),
        "momenta": None if asked.momenta else momenta.tolist(),
    }


def _active(element: Any, asked: Asked, inputs: Mapping[str, float]) -> set[str]:
    """The inputs that the values move with, through the momenta too where they follow masses."""
    from diffpipe.pipelines.physics.matrix_elements.model.parameters import behind_masses

    found: set[str] = element.active(inputs)
    return found | behind_masses(element.process.legs) if asked.on_shell else found


def _momenta(element: Any, asked: Asked, inputs: Mapping[str, float]) -> "np.ndarray":
    from diffpipe.pipelines.physics.matrix_elements import kinematics, points

    masses = [float(mass) for mass in element.masses(inputs)]
    legs, incoming = element.process.legs, len(element.process.initial)
    if asked.momenta is None:
        return points.sample(masses[:incoming], masses[incoming:], 1, asked.energy)
    momenta = _read(asked.momenta)
    try:
        kinematics.check(momenta, legs, masses, incoming)
    except ValueError as error:
        raise UsageError(f"{asked.momenta}: {error}", hint=getattr(error, "hint", None)) from error
    return momenta


def _read(path: Path) -> "np.ndarray":
    """Events of a .npy or JSON file; one event may stand alone."""
    import numpy as np

    try:
        if path.suffix == ".npy":
            events = np.asarray(np.load(path, allow_pickle=False), np.float64)
        else:
            events = np.array(json.loads(path.read_text()), np.float64)
    except (OSError, ValueError, TypeError, EOFError) as error:
        raise UsageError(
            f"cannot read momenta from {path}: {error}",
            hint="a .npy file, or JSON lists, of shape (event, leg, 4)",
        ) from error
    return events[None] if events.ndim == 2 else events


def _lines(document: dict[str, Any]) -> Iterator[str]:
    if "subprocesses" in document:
        yield f"{document['process']}: {len(document['subprocesses'])} subprocesses"
        for each in document["subprocesses"]:
            yield ""
            yield from _lines(each)
        return
    kept, of = document["helicities"]["kept"], document["helicities"]["of"]
    yield document["process"]
    counted = {"diagrams": document["diagrams"], "colour dimension": document["colours"]}
    found = [f"{name} {number}" for name, number in counted.items() if number is not None]
    yield "  " + ", ".join([*found, f"helicities kept {kept} of {of}"])
    yield from (f"  {note}" for note in document["notes"])
    yield from _table(document)
    for name in document["independent_of"]:
        yield f"  the process does not depend on {name}: its derivative is zero"


def _table(document: dict[str, Any]) -> Iterator[str]:
    if document["momenta"]:
        yield "  at the sample point [E, px, py, pz] in GeV"
        for leg in document["momenta"][0]:
            yield "    " + " ".join(f"{component:14.6f}" for component in leg)
    columns = {"|M|^2": document["value"]}
    columns |= {f"d/d{name}": each for name, each in document["gradient"].items()}
    count = len(document["value"])
    if count == 1:
        yield from (f"  {name:8} {each[0]: .12e}" for name, each in columns.items())
        return
    yield "  event " + " ".join(f"{name:>17}" for name in columns)
    for event in range(min(count, SHOWN)):
        yield f"  {event:5} " + " ".join(f"{each[event]: .10e}" for each in columns.values())
    if count > SHOWN:
        yield f"  ... {count - SHOWN} more events; --json gives all"
