"""The parameter sets of a workspace, in pyhf's order, with their constraints and settings."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from diffpipe.pipelines.physics.likelihood.histfactory.workspace import Modifier, Workspace
from diffpipe.pipelines.physics.refusal import RefusedError

# the order of parameters: by type of their modifier, then as the modifiers are met; but staterror
# by name
TYPES = ("histosys", "lumi", "normfactor", "normsys", "shapefactor", "shapesys", "staterror")
CONSTRAINTS = {
    "histosys": "normal",
    "lumi": "normal",
    "normsys": "normal",
    "shapesys": "poisson",
    "staterror": "normal",
}
PER_BIN = ("shapefactor", "shapesys", "staterror")  # types with a parameter for each bin
TINY = 1e-10  # the least a factor of a bin can be, so that its Poisson term exists

_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "histosys": {"inits": 0.0, "bounds": (-5.0, 5.0), "auxdata": 0.0},
    "lumi": {"inits": None, "bounds": None, "auxdata": None, "sigmas": None},
    "normfactor": {"inits": 1.0, "bounds": (0.0, 10.0)},
    "normsys": {"inits": 0.0, "bounds": (-5.0, 5.0), "auxdata": 0.0},
    "shapefactor": {"inits": 1.0, "bounds": (0.0, 10.0)},
    # None: from the templates, unless the measurement says otherwise
    "shapesys": {"inits": 1.0, "bounds": (TINY, 10.0), "auxdata": None, "factors": None},
    "staterror": {"inits": 1.0, "bounds": (TINY, 10.0), "auxdata": 1.0, "sigmas": None},
}


class ParameterSet(NamedTuple):
    """The parameters of modifiers of one name.

    constraint: "normal", "poisson" or None. Of each parameter: inits, bounds; auxdata and widths,
    sigma of a normal and the factor of a Poisson constraint, None where the templates give them.
    fixed: None where the templates decide.
    """

    name: str
    type: str
    size: int
    first: int
    constraint: str | None
    inits: Sequence[float]
    bounds: Sequence[tuple[float, float]]
    fixed: bool | None
    auxdata: Sequence[float] | None
    widths: Sequence[float] | None

    @property
    def scalar(self) -> bool:
        return self.type not in PER_BIN

    @property
    def names(self) -> list[str]:
        """As pyhf's: the name alone for a scalar, name[i] else."""
        return [self.name] if self.scalar else [f"{self.name}[{i}]" for i in range(self.size)]

    @property
    def indices(self) -> range:
        """Where the parameters are in the vector of all."""
        return range(self.first, self.first + self.size)


def parameter_sets(workspace: Workspace) -> dict[str, ParameterSet]:
    """All sets by name, in pyhf's order of parameters; raises RefusedError."""
    found: dict[str, ParameterSet] = {}
    first = 0
    for name, (kind, size) in _declared(workspace).items():
        settings = workspace.settings.get(name, {})
        found[name] = _set(name, kind, size, first, settings)
        first += size
    if not found:
        raise RefusedError("the workspace has no modifier, so there is no parameter")
    return found


def _declared(workspace: Workspace) -> dict[str, tuple[str, int]]:
    """Type and size of each set, in order."""
    by_type: dict[str, dict[str, int]] = {kind: {} for kind in TYPES}
    types: dict[str, set[str]] = {}
    for channel, _, modifier in workspace.located():
        types.setdefault(modifier.name, set()).add(modifier.type)
        _count(by_type[modifier.type], channel.name, modifier, channel.bins)
    for name, kinds in types.items():
        if len(kinds) > 1 and kinds != {"histosys", "normsys"}:
            raise RefusedError(
                f"modifiers of types {' and '.join(sorted(kinds))} are called {name!r}, and cannot "
                "share parameters",
                hint="rename one of them",
            )
    by_type["staterror"] = _stat_sizes(workspace)
    ordered: dict[str, tuple[str, int]] = {}
    for kind, sizes in by_type.items():
        for name, size in sizes.items():
            ordered.setdefault(name, (kind, size))
    return ordered


def _count(sizes: dict[str, int], channel: str, modifier: Modifier, bins: int) -> None:
    size = bins if modifier.type in PER_BIN else 1
    if modifier.type == "shapesys" and modifier.name in sizes:
        raise RefusedError(
            f"two samples have the shapesys {modifier.name!r}, the second in channel {channel}",
            hint="a shapesys belongs to one sample: give each its name",
        )
    known = sizes.setdefault(modifier.name, size)
    if modifier.type == "shapefactor" and size > known:
        raise RefusedError(
            f"shapefactor {modifier.name!r} has {known} bins in one channel and {size} in "
            f"channel {channel}",
            hint="give the channels one binning, or the modifiers two names",
        )


def _stat_sizes(workspace: Workspace) -> dict[str, int]:
    """Bins of each staterror, over all channels that have it."""
    found = {
        (modifier.name, channel.name): channel.bins
        for channel, _, modifier in workspace.located()
        if modifier.type == "staterror"
    }
    sizes: dict[str, int] = {}
    for name, channel_name in sorted(found):
        sizes[name] = sizes.get(name, 0) + found[name, channel_name]
    return sizes


def _set(name: str, kind: str, size: int, first: int, settings: Mapping[str, Any]) -> ParameterSet:
    values = _values(name, kind, size, settings)
    from_templates = kind in ("shapesys", "staterror")
    return ParameterSet(
        name,
        kind,
        size,
        first,
        CONSTRAINTS.get(kind),
        values["inits"] or [],
        [_pair(name, each) for each in values["bounds"] or []],
        settings.get("fixed", None if from_templates else False),
        values.get("auxdata"),
        values.get("factors") or values.get("sigmas"),
    )


def _values(
    name: str, kind: str, size: int, settings: Mapping[str, Any]
) -> dict[str, list[Any] | None]:
    """The settings of a set, in full: those of the measurement over the defaults."""
    defaults = _DEFAULTS[kind]
    for word in settings.keys() - defaults.keys() - {"name", "fixed"}:
        raise RefusedError(
            f"the measurement sets {word} of {name!r}, which a {kind} has not",
            hint=f"it takes {', '.join(defaults)} and fixed",
        )
    for word in _DEFAULTS["lumi"] if kind == "lumi" else ():
        if word not in settings:
            raise RefusedError(
                f"the measurement does not set {word} of lumi",
                hint="it has to set inits, bounds, auxdata and sigmas of lumi",
            )
    for word in defaults.keys() & settings.keys():
        _check(name, word, settings[word], size)
    found = {word: None if each is None else [each] * size for word, each in defaults.items()}
    return found | {word: settings[word] for word in defaults if word in settings}


def _check(name: str, word: str, values: Sequence[Any], size: int) -> None:
    if len(values) != size:
        raise RefusedError(
            f"the measurement gives {len(values)} {word} for {name!r}, which has {size}",
            hint="one for each bin" if size > 1 else None,
        )
    if word in ("sigmas", "factors") and min(values) <= 0:
        raise RefusedError(f"the measurement gives {name!r} {word} that are not above zero")


def _pair(name: str, bounds: Sequence[float]) -> tuple[float, float]:
    if len(bounds) != 2 or not bounds[0] <= bounds[1]:
        raise RefusedError(f"the bounds {list(bounds)} of {name!r} are no lower and upper bound")
    return bounds[0], bounds[1]
