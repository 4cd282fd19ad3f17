"""A point of a workspace's parameters, from values by name."""

from collections.abc import Mapping

import numpy as np

from diffpipe.pipelines.physics.likelihood.histfactory.compile import Compiled
from diffpipe.pipelines.physics.refusal import RefusedError, did_you_mean


def point(made: Compiled, values: Mapping[str, float | list[float]]) -> np.ndarray:
    """theta (n,): the start of fits, with some values changed.

    Names are those of pyhf: a scalar's, one of a list's as in gamma[0], or the list's with all its
    values. Raises RefusedError for unknown names and lists of a wrong length.
    """
    theta = np.array(made.tables["init"])
    for name, value in values.items():
        at, given = _indices(made, name), np.atleast_1d(np.asarray(value, np.float64))
        if given.shape != (len(at),):
            raise RefusedError(
                f"{name} has {len(at)} values, and {given.size} are given",
                hint=f"write {name}=[...], or {made.names[at[0]]}=... for one of them",
            )
        theta[at] = given
    return theta


def _indices(made: Compiled, name: str) -> list[int]:
    if name in made.sets:
        return list(made.sets[name].indices)
    if name in made.names:
        return [made.names.index(name)]
    raise RefusedError(
        f"the workspace has no parameter {name!r}",
        hint=did_you_mean(name, {**made.sets, **dict.fromkeys(made.names)}),
    )
