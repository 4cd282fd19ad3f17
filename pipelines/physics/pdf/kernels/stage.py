"""The stage that computes kernel matrices: constants of a grid, kept in the store."""

from collections.abc import Mapping, Sequence

import jax.numpy as jnp
import numpy as np
from jax import Array

from diffpipe.pipelines.physics.pdf import grid
from diffpipe.pipelines.physics.pdf.kernels import tables


def pdf_kernels(
    parameters: Mapping[str, Array],  # noqa: ARG001  a stage takes both
    inputs: Mapping[str, Array],  # noqa: ARG001
    *,
    order: str,
    flavours: Sequence[int],
    x_min: float,
    points: int,
    heavy_from_gluon: str,
) -> dict[str, Array]:
    """Matrices of the splitting functions and operator matrix elements, for `pdf_evolution`.

    Options: order LO, NLO or NNLO; flavours, the numbers of them that are met; x_min and points of
    the grid (n points); heavy_from_gluon, parametrised or exact, how A_Hg is taken.
    Outputs: non_singlet (flavours, 3, order, n, n) for ns+, ns-, valence; singlet (flavours, order,
    2n, 2n) on (g, Sigma); at NNLO matching (5, n, n): A_qq, A_gq, A_gg, A_Hq, A_Hg of order a^2; x
    (n,), the nodes, falling.
    """
    made = [tables.kernel_matrices(order, nf, x_min, points) for nf in flavours]
    outputs = {name: np.stack([getattr(each, name) for each in made]) for name in made[0]._fields}
    if order == "NNLO":
        outputs["matching"] = np.stack(tables.matching_matrices(heavy_from_gluon, x_min, points))
    outputs["x"] = grid.nodes(x_min, points)
    return {name: jnp.asarray(each) for name, each in outputs.items()}
