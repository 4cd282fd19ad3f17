"""What `inference` brings along: what `histfactory` does, and names turned into places.

The options of a user, in a pipeline file: those of `histfactory`, and

    poi        the parameter of interest, by default the measurement's
    fix        [names], parameters of the workspace that the fit holds where they start
    statistic  qtilde or q (a test of mu), or q0 (of the background alone)
    mu         the tested value of the parameter of interest; statistic is then qtilde, unless said

Neither statistic nor mu: a fit. Plain values only: a plan is made with it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from diffpipe.pipelines.physics import checks
from diffpipe.pipelines.physics.likelihood.histfactory import companions as histfactory
from diffpipe.pipelines.physics.likelihood.histfactory.load import understood
from diffpipe.pipelines.physics.likelihood.histfactory.parameters import (
    ParameterSet,
    parameter_sets,
)
from diffpipe.pipelines.physics.likelihood.histfactory.patches import Patch
from diffpipe.pipelines.physics.likelihood.histfactory.workspace import Workspace
from diffpipe.pipelines.physics.refusal import RefusedError, did_you_mean

STAGE = "inference"
OWN = ("poi", "fix", "statistic", "mu")
STATISTICS = ("q", "qtilde", "q0")


def companions(
    options: Mapping[str, Any], parameters: Sequence[str], folder: Path
) -> Mapping[str, Any]:
    """The dataset `workspace`, and the options of the stage; raises RefusedError, ValueError."""
    own = {name: value for name, value in options.items() if name in OWN}
    rest = {name: value for name, value in options.items() if name not in OWN}
    said = histfactory.companions(rest, parameters, folder)
    workspace = _workspace(rest, folder)
    sets = parameter_sets(workspace)
    test = _test(own)
    poi = own.get("poi", workspace.poi)
    chosen = {
        "names": [name for each in sets.values() for name in each.names],
        "held": sorted({i for name in _listed(own) for i in _indices("fix", name, sets)}),
        **({"poi": _free(poi, sets, said["options"]["at"]), **test} if test else {}),
    }
    return {**said, "options": {**said["options"], **chosen}}


def _workspace(options: Mapping[str, Any], folder: Path) -> Workspace:
    patches = [Patch.of(str(folder / options["patch"]))] if "patch" in options else []
    return understood(folder / options["workspace"], patches, options.get("measurement"))


def _test(own: Mapping[str, Any]) -> dict[str, Any]:
    """statistic and mu, as the stage takes them; empty for a fit."""
    if "mu" not in own and "statistic" not in own:
        return {}
    statistic = checks.one_of(STAGE, "statistic", own.get("statistic", "qtilde"), STATISTICS)
    if statistic == "q0":
        if "mu" in own:
            raise RefusedError("the statistic q0 tests mu = 0", hint="take away the option mu")
        return {"statistic": statistic}
    if "mu" not in own:
        raise RefusedError(f"the statistic {statistic} tests a value of mu", hint="write mu: 1.0")
    return {"statistic": statistic, "mu": checks.positive_number(STAGE, "mu", own["mu"])}


def _free(poi: Any, sets: Mapping[str, ParameterSet], at: Mapping[str, Sequence[int]]) -> int:
    """The index of the parameter of interest, which the stage's parameters must not hold."""
    if not isinstance(poi, str) or not poi:
        raise RefusedError("the measurement has no parameter of interest", hint="write poi: NAME")
    (*found,) = _indices("poi", poi, sets)
    if len(found) != 1:
        raise RefusedError(f"option poi: {poi!r} has {len(found)} values", hint=f"write {poi}[0]")
    for local, indices in at.items():
        if found[0] in indices:
            raise RefusedError(
                f"the parameter {local!r} holds {poi!r}, which is to be tested",
                hint="take it from the stage's parameters; its tested value is the option mu",
            )
    return found[0]


def _indices(option: str, name: Any, sets: Mapping[str, ParameterSet]) -> list[int]:
    known = {set_name: list(each.indices) for set_name, each in sets.items()}
    for each in sets.values():
        known |= {one: [i] for one, i in zip(each.names, each.indices, strict=True)}
    if name not in known:
        raise RefusedError(
            f"option {option}: the workspace has no parameter {name!r}",
            hint=did_you_mean(str(name), known),
        )
    return known[name]


def _listed(own: Mapping[str, Any]) -> Sequence[Any]:
    names = own.get("fix", [])
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise RefusedError(f"option fix must be a list of parameters, got {names!r}")
    return names
