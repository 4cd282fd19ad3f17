"""How far a fit is from the data and from the truth."""

from typing import NamedTuple

import numpy as np

from diffpipe.pipelines.library.pdf_fit.problem import Outputs


class Report(NamedTuple):
    """chi^2 per point, to the data, of the fit and of the truth; and the fit beside the truth.

    pulls: (fit - truth)/error of the pseudo-data, (point,).
    """

    fit: float
    truth: float
    pulls: np.ndarray

    def __str__(self) -> str:
        size = abs(self.pulls)
        return (
            f"{size.size} points: chi2/point {self.fit:.3f}; of the truth {self.truth:.3f}\n"
            f"fit - truth in errors of the data: rms {self.rms:.3f}, largest {size.max():.2f}, "
            f"below 1 at {100.0 * np.mean(size < 1.0):.1f} % of the points"
        )

    @property
    def rms(self) -> float:
        return float(np.sqrt(np.mean(self.pulls**2)))


def report(outputs: Outputs) -> Report:
    """From the outputs of all stages at the fitted weights."""
    data = {name: np.asarray(each) for name, each in outputs["pseudo_data"].items()}
    noise = (data["measured"] - data["truth"]) / data["error"]
    fitted = np.asarray(outputs["chi2"]["pulls"])
    return Report(float(np.mean(fitted**2)), float(np.mean(noise**2)), fitted + noise)
