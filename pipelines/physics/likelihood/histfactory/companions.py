"""What `histfactory` brings along: its workspace as data; and names turned into places.

The options of a user, in a pipeline file:

    workspace     pyhf's JSON, relative to the pipeline file
    patch         a JSON patch, or FILE:name of a patch set
    measurement   by default the first
    names         {parameter of the stage: parameter of the workspace}, where they differ; that of
                  the workspace may be one of a list, as gamma[0]
    templates     {input: {channel: ..., sample: ...}}, a template that another stage computes; of a
                  modifier: with `modifier`, `side` (lo or hi), and `type` if its name has two
    interpolation {histosys: code4p, normsys: code4}

Plain values only: a plan is made with it, and imports neither JAX nor NumPy.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from diffpipe.pipelines.physics.likelihood.histfactory.layout import layout
from diffpipe.pipelines.physics.likelihood.histfactory.load import understood
from diffpipe.pipelines.physics.likelihood.histfactory.parameters import (
    ParameterSet,
    parameter_sets,
)
from diffpipe.pipelines.physics.likelihood.histfactory.patches import Patch
from diffpipe.pipelines.physics.likelihood.histfactory.templates import (
    Place,
    Template,
    templates,
)
from diffpipe.pipelines.physics.likelihood.histfactory.workspace import Workspace
from diffpipe.pipelines.physics.refusal import RefusedError, did_you_mean

OPTIONS = ("workspace", "patch", "measurement", "names", "templates", "interpolation")
INTERPOLATION = ("histosys", "normsys")
WORDS = ("channel", "sample", "modifier", "type", "side")


def companions(
    options: Mapping[str, Any], parameters: Sequence[str], folder: Path
) -> Mapping[str, Any]:
    """The dataset `workspace`, and the options of the stage; raises RefusedError."""
    _known("option", options, OPTIONS)
    path = options.get("workspace")
    if not isinstance(path, str) or not (folder / path).is_file():
        raise RefusedError(f"option workspace: there is no file {path!r} in {folder}")
    patch = None if "patch" not in options else Patch.of(str(folder / _text(options, "patch")))
    patches = [] if patch is None else [patch]
    workspace = understood(folder / path, patches, options.get("measurement"))
    bins = {channel.name: channel.bins for channel in workspace.channels}
    return {
        "data": {"workspace": _dataset(options, patch, folder)},
        "inputs": {"workspace": "data.workspace"},
        "options": {
            "at": _at(parameters, _mapping(options, "names"), parameter_sets(workspace)),
            "templates": _templates(_mapping(options, "templates"), workspace),
            "channels": bins,
        },
    }


def _dataset(options: Mapping[str, Any], patch: Patch | None, folder: Path) -> dict[str, Any]:
    codes = _mapping(options, "interpolation")
    _known("interpolation of", codes, INTERPOLATION)
    chosen = {**codes}
    if "measurement" in options:
        chosen["measurement"] = options["measurement"]
    entry = {"reader": "histfactory", "path": options["workspace"]}
    if patch is not None:
        entry["patch"] = str(patch.path.relative_to(folder))
        chosen |= {} if patch.name is None else {"name": patch.name}
    return {**entry, "options": chosen}


def _at(
    parameters: Sequence[str], names: Mapping[str, Any], sets: Mapping[str, ParameterSet]
) -> dict[str, list[int]]:
    """The indices in theta of each parameter of the stage."""
    for local in names:
        if local not in parameters:
            raise RefusedError(
                f"option names: the stage has no parameter {local!r}",
                hint=did_you_mean(str(local), parameters),
            )
    known = {name: list(each.indices) for name, each in sets.items()}
    for each in sets.values():
        known |= {name: [i] for name, i in zip(each.names, each.indices, strict=True)}
    found: dict[str, list[int]] = {}
    taken: dict[int, str] = {}
    for local in parameters:
        name = names.get(local, local)
        if name not in known:
            raise RefusedError(
                f"the workspace has no parameter {name!r}",
                hint=f"{did_you_mean(str(name), known)}; option names maps names",
            )
        for i in known[name]:
            if i in taken:
                raise RefusedError(f"{taken[i]!r} and {local!r} are both {name!r} of the workspace")
            taken[i] = local
        found[local] = known[name]
    return found


def _templates(named: Mapping[str, Any], workspace: Workspace) -> dict[str, Any]:
    places = templates(workspace, layout(workspace)).places
    taken: dict[Template, str] = {}
    found = {}
    for name, said in named.items():
        if not isinstance(said, Mapping):
            raise RefusedError(
                f"option templates: {name}: {said!r} is no mapping",
                hint="write {channel: SR, sample: signal}",
            )
        _known(f"templates: {name}:", said, WORDS)
        template = _chosen(name, said, places)
        if template in taken:
            raise RefusedError(f"option templates: {name} and {taken[template]} are the same")
        taken[template] = name
        place = places[template]
        found[name] = {"array": place.array, "at": list(place.at), "label": _label(template)}
    return found


def _chosen(name: str, said: Mapping[str, Any], places: Mapping[Template, Place]) -> Template:
    """The one template that is meant: word by word, from channel to side."""
    left = list(places)
    for word in WORDS:
        known = sorted({getattr(each, word) for each in left})
        wanted = said.get(word, known[0] if len(known) == 1 else "")
        if wanted not in known:
            where = f"option templates: {name}"
            if word not in said:
                raise RefusedError(f"{where}: {word} is missing", hint=f"one of {_listed(known)}")
            hint = did_you_mean(str(wanted), [each for each in known if each] or ["none"])
            raise RefusedError(f"{where}: there is no {word} {wanted!r} there", hint=hint)
        left = [each for each in left if getattr(each, word) == wanted]
    return left[0]


def _label(template: Template) -> str:
    named = zip(WORDS, template, strict=True)
    return ", ".join(f"{word} {text}" for word, text in named if text)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(each for each in names if each)


def _known(what: str, given: Mapping[str, Any], known: Sequence[str]) -> None:
    for word in given:
        if word not in known:
            raise RefusedError(f"unknown {what} {word!r}", hint=did_you_mean(str(word), known))


def _mapping(options: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = options.get(name, {})
    if not isinstance(value, Mapping):
        raise RefusedError(f"option {name} must be a mapping, got {value!r}")
    return value


def _text(options: Mapping[str, Any], name: str) -> str:
    value = options[name]
    if not isinstance(value, str):
        raise RefusedError(f"option {name} must be text, got {value!r}")
    return value
