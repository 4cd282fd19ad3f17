"""The response of a calorimeter to electrons, in PyTorch."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

_BARREL = 1.479  # |eta| up to which an electron is the barrel's


def response(
    parameters: Mapping[str, Tensor],
    inputs: Mapping[str, Tensor],
    *,
    crack: Sequence[float],
    most_eta: float,
) -> dict[str, Tensor]:
    """Measured energies, by a constant scale and a relative width for each region.

    Inputs: energy (event, electron) GeV, eta and noise (event, electron). Outputs: measured (event,
    electron) GeV; accepted (event,), one where both electrons lie within `most_eta` and outside
    the crack, else zero; region (event,), the number of electrons outside the barrel. Acceptance
    and region depend on directions alone, which no constant moves: the derivative is exact.
    """
    energy, size = inputs["energy"], inputs["eta"].abs()
    in_barrel = size < _BARREL
    measured = energy.clone()
    for region, inside in (("barrel", in_barrel), ("endcap", ~in_barrel)):
        if inside.any():
            scale = 1.0 + parameters[f"scale_{region}"]
            width = parameters[f"smear_{region}"]
            factor = scale * torch.exp(width * inputs["noise"][inside])
            measured[inside] = energy[inside] * factor
    lost = (size > most_eta) | ((size > crack[0]) & (size < crack[1]))
    accepted = (~lost.any(dim=1)).to(energy.dtype)
    return {
        "measured": measured,
        "accepted": accepted,
        "region": (~in_barrel).sum(dim=1).to(energy.dtype),
    }
