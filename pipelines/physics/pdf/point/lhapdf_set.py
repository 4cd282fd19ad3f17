"""An LHAPDF set made of an evolved density: one member, on subgrids between the thresholds."""

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from diffpipe.pipelines.physics.pdf import flavours, grid
from diffpipe.pipelines.physics.pdf.evolution.coupling import FOUR_PI
from diffpipe.pipelines.physics.pdf.evolution.theory import coupling_at, running_of
from diffpipe.pipelines.physics.pdf.lhapdf import writer
from diffpipe.pipelines.physics.pdf.lhapdf.settings import Settings
from diffpipe.pipelines.physics.pdf.lhapdf.subgrids import Subgrid
from diffpipe.pipelines.physics.pdf.options import ORDERS
from diffpipe.pipelines.physics.pdf.parameters import M_Z_GEV
from diffpipe.pipelines.physics.pdf.point.evaluation import Case, evaluate, ready
from diffpipe.pipelines.physics.pdf.problem import Problem
from diffpipe.pipelines.physics.refusal import RefusedError

FEWEST_KNOTS = 4  # of Q in a subgrid: with fewer, interpolation is linear
BESIDE = 1e-13  # relative distance from a threshold that is safely on one side of it
LOG_SCALE = 0.25  # of q0: knots are even in ln ln(Q / (0.25 q0)), nearly as alpha_s runs


class Segment(NamedTuple):
    """Knots of Q (GeV), rising, between two thresholds, and the flavours there."""

    nf: int
    q: np.ndarray


class Size(NamedTuple):
    """How large the set is: Q up to q_max GeV."""

    q_max: float = 1e5
    q_points: int = 40
    x_points: int = 100


def write_set(folder: Path, name: str, of: Case, size: Size, *, overwrite: bool = False) -> Path:
    """Write `folder/name`, the case's density from q0 to q_max as member 0; gives its folder.

    x knots from the case's x_min to 1, even in ln(1/x) + 8 (1 - x). At a threshold the subgrid
    below ends with the density just below it, and the one above begins with that just above. Values
    are those of the evolution. Raises RefusedError for what cannot be written.
    """
    found = ready(of)
    _check(found, size)
    q0, masses = float(found.theory.q0), _masses(found)
    segments = _segments(found, q0, size, masses)
    root_kr = float(found.theory.kr) ** 0.5  # alpha_s changes flavours at sqrt(kr) m
    shifted = {nf: root_kr * mass for nf, mass in masses.items()}
    running = _segments(found, q0, size, shifted)
    x = grid.nodes(of.plan.x_min, size.x_points)
    settings = Settings(
        description=f"{of.options['input']}, evolved by diffpipe at {of.plan.order}",
        pids=[pid for _, pid in _columns(of)],
        order=ORDERS.index(of.plan.order),
        m_z=M_Z_GEV,
        alphas_m_z=_alphas(found, _at_m_z(found, shifted))[0],
        alphas_q=np.concatenate([each.q for each in running]).tolist(),
        alphas=[value for each in running for value in _alphas(found, each)],
        quark_masses={nf: float(mass) for nf, mass in found.theory.masses.items()},
        flavour_scheme="variable" if len(of.plan.flavours) > 1 else "fixed",
        num_flavours=of.plan.flavours[-1],
    )
    return writer.write(folder, name, [_subgrids(of, x, segments)], settings, overwrite=overwrite)


def _check(found: Problem, size: Size) -> None:
    q0 = float(found.theory.q0)
    if not (np.isfinite(size.q_max) and size.q_max > q0):
        raise RefusedError(
            f"a set from q0 = {q0:g} GeV cannot end at Q = {size.q_max:g} GeV",
            hint=f"a largest Q above {q0:g} GeV",
        )
    for what, points in (("x", size.x_points), ("Q", size.q_points)):
        if points < 2 * FEWEST_KNOTS:
            raise RefusedError(
                f"{points} {what} knots are too few", hint=f"at least {2 * FEWEST_KNOTS}"
            )


def _masses(found: Problem) -> dict[int, float]:
    """The thresholds that the evolution meets upwards: flavours above -> mass."""
    return {nf: float(found.theory.masses[nf]) for nf in found.plan.flavours[1:]}


def _segments(
    found: Problem, q0: float, size: Size, thresholds: Mapping[int, float]
) -> list[Segment]:
    inside = {nf: m for nf, m in thresholds.items() if q0 * (1.0 + 1e-9) < m < size.q_max}
    passed = [nf for nf, m in thresholds.items() if m <= q0 * (1.0 + 1e-9)]
    edges = [q0, *inside.values(), size.q_max]
    first = max(passed, default=found.plan.flavours[0])
    length = _length(size.q_max, q0)
    return [
        Segment(nf, _knots(low, high, q0, round(size.q_points * share / length)))
        for nf, (low, high) in enumerate(itertools.pairwise(edges), first)
        for share in [_length(high, q0) - _length(low, q0)]
    ]


def _length(q: float, q0: float) -> float:
    return float(np.log(np.log(q / (LOG_SCALE * q0))))


def _knots(low: float, high: float, q0: float, count: int) -> np.ndarray:
    even = np.linspace(_length(low, q0), _length(high, q0), max(count, FEWEST_KNOTS))
    return np.concatenate([[low], LOG_SCALE * q0 * np.exp(np.exp(even[1:-1])), [high]])


def _subgrids(of: Case, x: np.ndarray, segments: list[Segment]) -> list[Subgrid]:
    """All scales in one evolution; at a threshold one just on each side of it."""
    asked = [each.q.copy() for each in segments]
    thresholds = np.array([float(mass) for mass in _masses(ready(of)).values()])
    for q in asked:
        q[0] *= 1.0 + BESIDE * float((abs(thresholds / q[0] - 1.0) < 1e-9).any())
        q[-1] *= 1.0 - BESIDE * float((abs(thresholds / q[-1] - 1.0) < 1e-9).any())
    at = {**of.values, "q2": jnp.asarray(np.concatenate(asked) ** 2)}
    nodes = np.asarray(evaluate(of._replace(values=at))[0]["grid"])
    weights = grid.basis(x, of.plan.x_min, of.plan.points)
    values = np.einsum("xn,nqf->xqf", weights, nodes)
    values = values[:, :, [place for place, _ in _columns(of)]]
    parts = np.split(values, np.cumsum([each.q.size for each in segments])[:-1], axis=1)
    return [writer.subgrid(x, each.q, part) for each, part in zip(segments, parts, strict=True)]


def _columns(of: Case) -> list[tuple[int, int]]:
    """Place on the flavour axis and PDG number of the set's columns: -5 ... 5, 21."""
    pids = [flavours.pid(each) for each in flavours.names(of.plan.flavours[-1])]
    return sorted(enumerate(pids), key=lambda column: column[1])


def _alphas(found: Problem, at: Segment) -> list[float]:
    """alpha_s(muR = Q) with the segment's flavours."""
    running = running_of(found.theory, found.plan.order)
    log_mu2 = jnp.asarray(2.0 * np.log(at.q))
    theory, nf = found.theory, found.alphas_flavours
    a = coupling_at(theory, nf, log_mu2, at.nf, running)
    found_alphas: list[float] = (FOUR_PI * a).tolist()
    return found_alphas


def _at_m_z(found: Problem, thresholds: Mapping[int, float]) -> Segment:
    passed = [nf for nf, m in thresholds.items() if m <= M_Z_GEV]
    return Segment(max(passed, default=found.plan.flavours[0]), np.array([M_Z_GEV]))
