"""A HistFactory workspace as a data file of a pipeline."""

from pathlib import Path

import numpy as np

from diffpipe.pipelines.physics import checks
from diffpipe.pipelines.physics.likelihood.histfactory import interpolation, patches
from diffpipe.pipelines.physics.likelihood.histfactory.compile import compile
from diffpipe.pipelines.physics.likelihood.histfactory.load import load

READER = "histfactory"


def histfactory(
    path: Path,
    *,
    patch: Path | None = None,
    name: str | None = None,
    measurement: str | None = None,
    histosys: str = "code4p",
    normsys: str = "code4",
) -> dict[str, np.ndarray]:
    """The arrays of a workspace, those of `compile`; a reader of data files.

    path: pyhf's JSON; patch: a JSON patch, or a set of them with the name of one. measurement: by
    default the first. histosys (code0, code2, code4p), normsys (code1, code4): interpolation.
    Raises RefusedError for a workspace that is none, ValueError for a wrong option.
    """
    checks.one_of(READER, "histosys", histosys, interpolation.SHIFTS)
    checks.one_of(READER, "normsys", normsys, interpolation.FACTORS)
    chosen = [] if patch is None else [patches.Patch(patch, name)]
    made = compile(load(path, chosen, measurement), histosys=histosys, normsys=normsys)
    return dict(made.arrays)
