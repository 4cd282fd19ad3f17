"""Where densities that are to be evolved come from, and the values that come with them."""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from diffpipe.pipelines.physics.pdf import flavours
from diffpipe.pipelines.physics.pdf.inputs.base import Input
from diffpipe.pipelines.physics.pdf.lhapdf import files, metadata, reader
from diffpipe.pipelines.physics.pdf.lhapdf.stage import lhapdf_density
from diffpipe.pipelines.physics.pdf.options import ORDERS
from diffpipe.pipelines.physics.pdf.parameters import M_TOP_GEV, M_Z_GEV, OWN
from diffpipe.pipelines.physics.refusal import RefusedError

Values = Mapping[str, Array]
Density = Callable[[Values, Mapping[str, Array]], Array]
THRESHOLDS = {"mc": "Charm", "mb": "Bottom", "mt": "Top"}


class Origin(NamedTuple):
    """Densities at q0, with the coupling, masses and parameters that are theirs unless set.

    values: GeV where they have a unit; parameters of the densities are named pdf.<name>. density:
    from the values and `x` (x,), beside `arrays`, to x f (11, x); None for an input that ships.
    any_parameter: the densities take names that are not known here. scales: where they are known.
    """

    values: Mapping[str, np.ndarray]
    order: str
    density: Density | None = None
    any_parameter: bool = False
    alphas_scale: float | None = None
    arrays: Mapping[str, Array] = {}
    x_min: float = 0.0
    scales: tuple[float, float] | None = None


def of_input(input: Input) -> Origin:
    """An input that ships."""
    theory = {"q0": input.q0, "alphas": input.alphas, "mc": input.mc, "mb": input.mb}
    own = {f"{OWN}{name}": value for name, value in input.defaults.items()}
    return Origin(_float64({**theory, "mt": M_TOP_GEV, **own}), input.order)


def of_set(name: str, folder: Path) -> Origin:
    """A member of an LHAPDF set, e.g. "SET/0", looked for from a folder; RefusedError otherwise.

    It begins at its first scale; alpha_s(M_Z), order, and the thresholds (else the masses) of the
    heavy quarks are those that its metadata name.
    """
    found = files.locate(name, folder)
    info = metadata.read(found.info)
    arrays = reader.lhapdf(found.member, info=found.info)
    last = max(int(key.removeprefix("q_")) for key in arrays if key.startswith("q_"))
    values = _theory_of(info) | {"q0": arrays["q_0"][0]}
    order = info.get("OrderQCD")
    return Origin(
        _float64(values),
        ORDERS[min(order, len(ORDERS) - 1)] if isinstance(order, int) and order >= 0 else ORDERS[0],
        _density_of_set,
        alphas_scale=_number(info, "MZ") or M_Z_GEV,
        arrays={key: jnp.asarray(each) for key, each in arrays.items()},
        x_min=float(arrays["x_0"][0]),
        scales=(float(arrays["q_0"][0]), float(arrays[f"q_{last}"][-1])),
    )


def of_function(name: str, function: Callable[..., Any]) -> Origin:
    """A function of a user's own: a stage (parameters, inputs={"x": ...}) -> {"density": (11, x)}.

    Its parameters are named pdf.<name>, as in a pipeline.
    """
    values = _float64({"mt": M_TOP_GEV})
    return Origin(values, ORDERS[0], _density_of_function(name, function), any_parameter=True)


def _float64(values: Mapping[str, Any]) -> dict[str, np.ndarray]:
    return {name: np.asarray(value, np.float64) for name, value in values.items()}


def _theory_of(info: Mapping[str, Any]) -> dict[str, float]:
    masses = {
        name: _number(info, f"Threshold{quark}") or _number(info, f"M{quark}")
        for name, quark in THRESHOLDS.items()
    }
    masses["mt"] = masses["mt"] or M_TOP_GEV
    found = {"alphas_mz": _number(info, "AlphaS_MZ"), **masses}
    return {name: value for name, value in found.items() if value}


def _number(info: Mapping[str, Any], name: str) -> float | None:
    """An entry that is a number above zero; sets write 0 for a mass that they do not say."""
    value = info.get(name)
    return float(value) if isinstance(value, int | float) and value > 0.0 else None


def _density_of_set(values: Values, inputs: Mapping[str, Array]) -> Array:
    return lhapdf_density({"q0": values["q0"]}, inputs)["density"]


@functools.lru_cache(maxsize=16)  # one density for a function, so that it is compiled once
def _density_of_function(name: str, function: Callable[..., Any]) -> Density:
    def density(values: Values, inputs: Mapping[str, Array]) -> Array:
        own = {key: value for key, value in values.items() if key.startswith(OWN)}
        try:
            found = jnp.asarray(function(own, inputs)["density"])
        except Exception as error:
            raise RefusedError(
                f"{name} gives no density: {type(error).__name__}: {error}",
                hint='it takes (parameters, inputs) and returns {"density": x f at inputs["x"]}; '
                "parameters come from --set, named pdf.<name>",
            ) from error
        expected = (len(flavours.FLAVOURS), inputs["x"].size)
        if found.shape != expected:
            raise RefusedError(
                f"{name} gives a density of shape {found.shape}, expected {expected}",
                hint=f"one row for each of {' '.join(flavours.FLAVOURS)}",
            )
        return found

    return density
