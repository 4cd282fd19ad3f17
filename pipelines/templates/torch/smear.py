"""The response of a calorimeter: expected counts in bins of measured energy. Energies in GeV."""

import torch

THRESHOLD, TURN_ON = 30.0, 4.0  # GeV, of the trigger
RESOLUTION = 0.8  # sigma = RESOLUTION sqrt(energy), in sqrt(GeV)


def smear(parameters, inputs, *, edges):
    """Counts in bins of measured energy (bin,), of events with true energies (event,)."""
    energy = inputs["energy"]
    bend = 1.0 + (energy / parameters["saturation"]) ** 2
    measured = (parameters["scale"] * energy / torch.sqrt(bend))[:, None]
    accepted = torch.sigmoid((measured - THRESHOLD) / TURN_ON)
    edges = torch.tensor(edges, dtype=energy.dtype, device=energy.device)
    below = torch.special.ndtr((edges[None, :] - measured) / (RESOLUTION * torch.sqrt(measured)))
    return {"content": torch.sum(accepted * torch.diff(below, dim=1), dim=0)}
