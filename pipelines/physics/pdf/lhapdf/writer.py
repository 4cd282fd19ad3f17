"""LHAPDF sets written without the LHAPDF library, in the format lhagrid1 (arXiv:1412.7420)."""

import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from diffpipe.pipelines.physics.pdf.lhapdf.metadata import FORMAT
from diffpipe.pipelines.physics.pdf.lhapdf.settings import (
    ERROR_TYPES,
    Settings,
    info_text,
    number,
)
from diffpipe.pipelines.physics.pdf.lhapdf.subgrids import MIN_KNOTS, SEPARATOR, Subgrid
from diffpipe.pipelines.physics.refusal import RefusedError, did_you_mean

Grids = Sequence[Subgrid]
_NAME = re.compile(r"[A-Za-z0-9][\w.+-]*", re.ASCII)


def write(
    folder: Path,
    name: str,
    members: Sequence[Grids],
    settings: Settings,
    *,
    overwrite: bool = False,
) -> Path:
    """Write the set `folder/name`, which is there whole or not at all; gives its folder.

    members: the subgrids of each, by rising Q, with common knots: x from above zero to 1, and the
    last Q of a subgrid again the first of the next one; xf (x, q, flavour) with columns as
    settings.pids. Member 0 is the central one. Numbers have 17 digits, which give the same doubles
    back. Raises RefusedError for what would be no valid set, and for a set that is there already,
    unless overwrite.
    """
    _check_name(folder, name, overwrite)
    _check_members(members, settings)
    _check_alphas(members[0], settings)
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix=f".{name}.") as scratch:
        made = Path(scratch) / name
        made.mkdir()
        for each, lines in _files(name, members, settings):
            with (made / each).open("w", encoding="utf-8") as file:
                file.writelines(lines)
        if (folder / name).exists():
            (folder / name).rename(Path(scratch) / "replaced")
        return made.rename(folder / name)


def subgrid(x: np.ndarray, q: np.ndarray, xf: np.ndarray) -> Subgrid:
    """A subgrid to be written from values xf (x, q, flavour) at nodes x that fall from below 1.

    So are those of `pdf_evolution`, whose grid has no node at x = 1, where x f is zero.
    """
    ends = np.zeros((1, *xf.shape[1:]))
    return Subgrid(np.append(x[::-1], 1.0), np.asarray(q), np.concatenate([xf[::-1], ends]))


def _files(
    name: str, members: Sequence[Grids], settings: Settings
) -> Iterator[tuple[str, Iterator[str]]]:
    grids = members[0]
    q = [each for grid in grids for each in grid.q]
    yield f"{name}.info", iter([info_text(settings, len(members), grids[0].x.tolist(), q)])
    for index, each in enumerate(members):
        error = "replica" if settings.error_type == "replicas" else "error"
        yield f"{name}_{index:04d}.dat", _lines(each, settings.pids, error if index else "central")


def _lines(grids: Grids, pids: Sequence[int], kind: str) -> Iterator[str]:
    yield f"PdfType: {kind}\nFormat: {FORMAT}\n{SEPARATOR}\n"
    for grid in grids:
        yield _row(grid.x) + _row(grid.q) + " ".join(str(int(pid)) for pid in pids) + "\n"
        yield from map(_row, grid.xf.reshape(-1, len(pids)))
        yield f"{SEPARATOR}\n"


def _row(values: np.ndarray) -> str:
    return " ".join(map(number, values.tolist())) + "\n"


def _check_name(folder: Path, name: str, overwrite: bool) -> None:
    if not _NAME.fullmatch(name):
        raise RefusedError(
            f"{name!r} cannot name an LHAPDF set", hint="use letters, digits and the signs _ . + -"
        )
    if (folder / name).exists() and not overwrite:
        raise RefusedError(
            f"there is a set {folder / name} already", hint="take another name, or overwrite it"
        )


def _check_members(members: Sequence[Grids], settings: Settings) -> None:
    kind, count = settings.error_type, len(members)
    if kind not in ERROR_TYPES:
        raise RefusedError(f"unknown error type {kind!r}", hint=did_you_mean(kind, ERROR_TYPES))
    fits = {"none": count == 1, "hessian": count > 2 and count % 2 == 1}.get(kind, count > 1)
    if not fits:
        raise RefusedError(
            f"{count} members are no set with errors of type {kind}",
            hint="none has 1; hessian 1 + 2 per eigenvector; symmhessian 1 + 1 per eigenvector; "
            "replicas 1, their average, and the replicas",
        )
    _check_knots(members[0])
    for index, grids in enumerate(members):
        _check_values(index, grids, members[0], len(settings.pids))


def _check_knots(grids: Grids) -> None:
    if not grids:
        raise RefusedError("member 0 has no subgrids")
    for index, grid in enumerate(grids):
        for knots, name in ((grid.x, "x"), (grid.q, "Q")):
            if knots.size < MIN_KNOTS[name] or not (np.diff(knots, prepend=0.0) > 0.0).all():
                raise RefusedError(
                    f"subgrid {index}: {MIN_KNOTS[name]} or more {name} knots that rise from above "
                    f"zero are needed, got {knots}"
                )
        if grid.x[-1] != 1.0 or not np.array_equal(grid.x, grids[0].x):
            raise RefusedError(f"subgrid {index}: the x knots must end at 1 and be common to all")
    for index, (below, above) in enumerate(itertools.pairwise(grids)):
        if below.q[-1] != above.q[0]:
            raise RefusedError(
                f"subgrid {index} ends at Q = {below.q[-1]!r} GeV, the next begins at "
                f"{above.q[0]!r}: both must have the threshold"
            )


def _check_values(index: int, grids: Grids, central: Grids, flavours: int) -> None:
    if len(grids) != len(central):
        raise RefusedError(f"member {index} has {len(grids)} subgrids, member 0 {len(central)}")
    for grid, common in zip(grids, central, strict=True):
        if not (np.array_equal(grid.x, common.x) and np.array_equal(grid.q, common.q)):
            raise RefusedError(f"member {index} has other knots than member 0")
        if grid.xf.shape != (grid.x.size, grid.q.size, flavours):
            raise RefusedError(
                f"member {index} has values of shape {grid.xf.shape} for {grid.x.size} x knots, "
                f"{grid.q.size} Q knots and {flavours} flavours"
            )
        if not np.isfinite(grid.xf).all():
            raise RefusedError(f"member {index} has a value that is not finite")


def _check_alphas(grids: Grids, settings: Settings) -> None:
    q, values = np.asarray(settings.alphas_q), np.asarray(settings.alphas)
    if q.ndim != 1 or q.size < 2 or q.shape != values.shape or (np.diff(q) < 0.0).any():
        raise RefusedError(f"alphas of shape {values.shape} at the scales {q}: they must rise")
    if q[0] > grids[0].q[0] or q[-1] < grids[-1].q[-1]:
        raise RefusedError(
            f"alphas from Q = {q[0]:g} to {q[-1]:g} GeV, the grids from {grids[0].q[0]:g} to "
            f"{grids[-1].q[-1]:g}",
            hint="tabulate alpha_s over all scales of the grids",
        )
