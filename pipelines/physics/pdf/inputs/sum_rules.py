"""What an input's densities carry in all: momentum and numbers of valence quarks."""

from collections.abc import Mapping

from jax import Array

from diffpipe.pipelines.physics.pdf.flavours import FLAVOURS
from diffpipe.pipelines.physics.pdf.inputs import catalogue, quadrature
from diffpipe.pipelines.physics.pdf.inputs.base import Input

# A number is a difference q - qbar: at smaller x it drowns in the rounding of the sea, at larger
# ones it is not yet complete. For x^0.2, the slowest of the inputs that ship, both are below 1e-8.
X_MIN = 1e-38


def number_and_momentum(input: Input, parameters: Mapping[str, Array]) -> dict[str, Array]:
    """The momentum that all densities carry, and the numbers of valence quarks q - qbar.

    momentum = int_0^1 dx x sum of all f (1 for a proton); u_valence, d_valence, s_valence =
    int_0^1 dx (q - qbar) (2, 1, 0). Scalars, to 1e-8 where x (q - qbar) falls at small x as x^0.2
    or faster; parameters not given take the input's defaults. Errors as in `catalogue.density`.
    """
    x, weight = quadrature.log_nodes(X_MIN)
    densities = catalogue.density(input, parameters, x)
    row = dict(zip(FLAVOURS, densities, strict=True))
    numbers = {
        f"{quark}_valence": (row[quark] - row[f"{quark}bar"]) @ weight for quark in ("u", "d", "s")
    }
    return {"momentum": densities.sum(axis=0) @ (weight * x), **numbers}
