"""FK tables of PineAPPL (arXiv:2008.12789): predictions from densities at one scale.

A table holds for each bin and channel the weights of products of densities f on nodes in x, and
what each channel's numbers mean: PDG numbers, or combinations of the evolution basis (Sigma 100,
V 200, T3 103, V3 203, ...), which is that of `flavours` with six quarks.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from diffpipe.pipelines.physics.pdf import flavours
from diffpipe.pipelines.physics.pdf.external.library import imported
from diffpipe.pipelines.physics.refusal import RefusedError

NAMES = flavours.names(6)
SINGLET, VALENCE = 100, 200
COMBINATIONS = (0, *(k * k - 1 for k in range(2, 7)))
EVOLUTION = (
    flavours.GLUON_PID,
    *(SINGLET + each for each in COMBINATIONS),
    *(VALENCE + each for each in COMBINATIONS),
)
PHOTON = 22


def fk_table(path: Path) -> dict[str, np.ndarray]:
    """An FK table of PineAPPL, for one hadron or two, for x f; a reader of data files.

    Arrays: x (x,), falling; q0 () in GeV, the scale of the densities; table (bin, channel, x) or
    (bin, channel, x, x), divided by the nodes, as densities come as x f, and by the normalisation
    of the bin; partons (hadron, channel, 13), each channel's weights of `flavours.names(6)`, those
    of an antiparticle's quarks and antiquarks exchanged; bin_limits (bin, dimension, 2);
    bin_normalizations (bin,).
    Raises RefusedError for a table of three hadrons, of two that are not one kind, of fragmentation
    functions, and for a parton that is not in `flavours` (a photon); ImportError without pineappl.
    """
    fk = _read(path, imported("pineappl.fk_table", "an FK table", "pineappl").FkTable)
    signs = _hadrons(path, fk)
    channels = np.array(fk.channels())
    table, x = np.asarray(fk.table()), np.asarray(fk.x_grid())
    used = table.any(axis=(0, *range(2, table.ndim)))
    order = np.argsort(-x)
    nodes = [np.arange(len(table)), np.flatnonzero(used), *[order] * len(signs)]
    normalizations = np.array(fk.bin_normalizations())
    weights = table[np.ix_(*nodes)]
    for hadron in range(len(signs)):
        weights = weights / x[order].reshape(-1, *[1] * (len(signs) - 1 - hadron))
    evolution = str(fk.pid_basis).endswith("Evol")
    return {
        "x": x[order],
        "q0": np.sqrt(fk.fac0()),
        "table": weights / normalizations.reshape(-1, *[1] * (weights.ndim - 1)),
        "partons": np.array(
            [
                [_weights(path, int(code), evolution, sign) for code in codes]
                for codes, sign in zip(channels[used].T, signs, strict=True)
            ]
        ),
        "bin_limits": np.array(fk.bin_limits()),
        "bin_normalizations": normalizations,
    }


def _read(path: Path, reader: Any) -> Any:
    try:
        fk = reader.read(str(path))
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # of its Rust code; no Exception
            raise
        raise RefusedError(f"{path} is no FK table of PineAPPL: {error}") from error
    if any(factor != 1.0 for factor in getattr(fk, "channels_factors", list)()):
        raise RefusedError(f"{path}: channels with factors; let pineappl merge_channel_factors()")
    return fk


def _hadrons(path: Path, fk: Any) -> Sequence[int]:
    """1 for each hadron, -1 for an antiparticle of it."""
    kinds = [
        (abs(each.pid), each.convolution_types.polarized, each.convolution_types.time_like)
        for each in fk.convolutions
    ]
    if len(kinds) not in (1, 2) or len(set(kinds)) != 1:
        raise RefusedError(
            f"{path}: hadrons (PDG number, polarized, time-like) {kinds}; one, or two of the same "
            "kind, can be computed"
        )
    if kinds[0][2]:
        raise RefusedError(f"{path}: fragmentation functions, which evolve otherwise, are not here")
    return [1 if each.pid > 0 else -1 for each in fk.convolutions]


def _weights(path: Path, code: int, evolution: bool, sign: int) -> np.ndarray:
    """What a number of a channel means, (13,)."""
    known = EVOLUTION if evolution else [flavours.pid(name) for name in NAMES]
    if code not in known:
        kind = "a photon" if code == PHOTON else "unknown"
        basis = "evolution basis" if evolution else "PDG numbers"
        raise RefusedError(f"{path}: a channel has the parton {code} ({basis}), {kind}")
    size = len(NAMES)
    meaning = flavours.to_basis(6, size) if evolution else np.eye(size)
    weights = meaning[known.index(code)]
    quarks, antiquarks, gluon = np.split(weights, [size // 2, size - 1])
    return weights if sign > 0 else np.concatenate([antiquarks, quarks, gluon])
