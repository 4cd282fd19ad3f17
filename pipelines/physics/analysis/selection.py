"""Selections with soft cuts, and their yields beside those of the hard cuts that they stand for."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from diffpipe.pipelines.physics import checks
from diffpipe.pipelines.physics.analysis import scalars
from diffpipe.pipelines.physics.refusal import RefusedError, did_you_mean

STAGE = "selection"
SIDES = {"above", "below"}


class Cut(NamedTuple):
    """One side of a threshold; without a temperature, the step itself."""

    variable: str
    above: bool
    threshold: Array
    temperature: Array | None

    def hard(self, x: Array) -> Array:
        """Whether each event passes: x >= c above, x < c below."""
        return x >= self.threshold if self.above else x < self.threshold

    def soft(self, x: Array) -> Array:
        """sigmoid((x - c)/T) above, sigmoid((c - x)/T) below."""
        if self.temperature is None:
            return self.hard(x).astype(x.dtype)
        margin = x - self.threshold if self.above else self.threshold - x
        return jax.nn.sigmoid(margin / self.temperature)


def selection(
    parameters: Mapping[str, Array],
    inputs: Mapping[str, Array],
    *,
    cuts: Sequence[Mapping[str, object]],
) -> dict[str, Array]:
    """The weight of each event after soft cuts, and the yields after each cut, soft and hard.

    Inputs: every cut variable (event,); weight (event,), 1 if not given; hard_weight (event,), what
    an earlier selection left of it with hard cuts, `weight` if not given.
    Outputs: weight (event,), the given one times the product of sigmoid((x - c)/T) over the cuts
    `above` and sigmoid((c - x)/T) over those `below`; hard_weight (event,), with steps in place of
    the sigmoids (x >= c above, x < c below); yields (2, 1 + cuts), a sum over events (`sum: true`):
    rows soft and hard, columns before all cuts and after each.
    Options: cuts, a list of {variable: name, above or below: c, temperature: T}, or with `hard:
    true` in place of a temperature, for what cannot be moved, such as a charge. c and T are numbers
    in the variable's unit or names of parameters.
    A soft yield is biased by what the density of x changes within T of the cut; derivatives with
    respect to c come from these events alone. The stage `cut_flow` gives the bias.
    Raises ValueError for a wrong option or an input that is missing.
    Source: sigmoid cuts as in arXiv:2502.08615 and arXiv:2503.22498.
    """
    parsed = parse(cuts, parameters, inputs)
    columns = [inputs[cut.variable].astype(float) for cut in parsed]  # a charge may be an integer
    given = inputs.get("weight", jnp.ones_like(columns[0]))
    soft, hard = [given], [inputs.get("hard_weight", given)]
    for cut, x in zip(parsed, columns, strict=True):
        soft.append(soft[-1] * cut.soft(x))
        hard.append(hard[-1] * cut.hard(x).astype(x.dtype))
    yields = [jnp.stack([jnp.sum(each) for each in row]) for row in (soft, hard)]
    return {"weight": soft[-1], "hard_weight": hard[-1], "yields": jnp.stack(yields)}


def check_selection(parameters: Mapping[str, Any], inputs: Mapping[str, Any], *, cuts: Any) -> None:
    """Refuse temperatures not above zero and weights that are not finite."""
    for number, cut in enumerate(parse(cuts, parameters, inputs)):
        if cut.temperature is not None:
            what = f"the temperature of cuts[{number}] ({cut.variable})"
            scalars.check_positive(STAGE, what, cut.temperature)
    weight = np.asarray(inputs.get("weight", 1.0))
    if not np.isfinite(weight).all():
        event = int(np.argmin(np.isfinite(weight)))
        raise RefusedError(
            f"{STAGE}: the weight of event {event} is {weight[event]}",
            hint="look at the stage that gives the weights",
        )


def parse(cuts: object, parameters: Mapping[str, Any], inputs: Mapping[str, Any]) -> list[Cut]:
    """The cuts of the option; raises ValueError."""
    if isinstance(cuts, str) or not isinstance(cuts, Sequence) or not cuts:
        raise ValueError(f"{STAGE}: option cuts must be a list of cuts, got {cuts!r}")
    return [_cut(f"cuts[{number}]", cut, parameters, inputs) for number, cut in enumerate(cuts)]


def _cut(what: str, said: object, parameters: Mapping[str, Any], inputs: Mapping[str, Any]) -> Cut:
    checks.known_keys(STAGE, what, said, {"variable"}, {*SIDES, "temperature", "hard"})
    assert isinstance(said, Mapping)
    sides = SIDES & said.keys()
    if len(sides) != 1:
        raise ValueError(f"{STAGE}: {what} needs one of above and below, got {dict(said)!r}")
    (side,) = sides
    return Cut(
        _variable(what, said["variable"], inputs),
        side == "above",
        scalars.scalar(STAGE, f"{what}.{side}", said[side], parameters),
        _temperature(what, said, parameters),
    )


def _variable(what: str, name: object, inputs: Mapping[str, Any]) -> str:
    if not isinstance(name, str) or name not in inputs:
        raise RefusedError(
            f"{STAGE}: {what} is on the variable {name!r}, which is no input of the stage",
            hint=did_you_mean(str(name), inputs),
        )
    return name


def _temperature(
    what: str, said: Mapping[str, object], parameters: Mapping[str, Any]
) -> Array | None:
    hard = said.get("hard", False)
    if not isinstance(hard, bool) or hard is ("temperature" in said):
        raise ValueError(
            f"{STAGE}: {what} needs either a temperature or hard: true, got {dict(said)!r}"
        )
    if "temperature" not in said:
        return None
    return scalars.positive(STAGE, f"{what}.temperature", said["temperature"], parameters)
