"""What a Hessian says: curvature, and of a likelihood information, covariances and errors."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffpipe.cache.errors import NonFiniteError
from diffpipe.cli import matrix

if TYPE_CHECKING:
    import numpy as np

    from diffpipe.rules.drive import Finished
    from diffpipe.rules.fit.information import Spread


@dataclass(frozen=True)
class Hessian:
    """From products with all unit vectors; bent: the curvature of Gauss and Newton, if there is.

    Both are of an objective in units of -2 log L where there are errors.
    """

    exact: "Finished"
    bent: "Finished | None"

    @property
    def labels(self) -> list[str]:
        return self.exact.plan.goal.along

    @cached_property
    def values(self) -> "np.ndarray":
        """(component, component), symmetric but for rounding, which is taken out."""
        import numpy as np

        products = self.exact.results.products.values()
        parts = [np.reshape(each, (len(self.labels), -1)) for each in products]
        found = np.concatenate(parts, axis=1)
        return 0.5 * (found + found.T)

    @cached_property
    def informations(self) -> dict[str, "np.ndarray"]:
        """Of a likelihood: the observed one, and that of Fisher."""
        import numpy as np

        curvature = self.bent.results.curvature if self.bent is not None else None
        if curvature is None:
            return {}
        return {"observed": self.values / 2, "fisher": np.array(curvature.matrix) / 2}

    def document(self) -> dict[str, Any]:
        """Everything as plain values; no covariance where the objective is no minimum."""
        found: dict[str, Any] = {
            "objective": {
                "name": self.exact.plan.objective_name,
                "value": self.exact.results.objective,
            },
            "gradient": dict(self.exact.results.gradient),
            "parameters": self.labels,
            "hessian": self.values,
        }
        for name, information in self.informations.items():
            spread = self._spread(information)
            more = {"covariance": spread.covariance, "errors": spread.errors} if spread else {}
            found[name] = {"information": information, **more}
        converted: dict[str, Any] = matrix.plain(found)
        return converted

    def show(self) -> None:
        """Print the matrix, and the errors that follow."""
        from rich.console import Console

        console = Console()
        rows = list(zip(self.labels, self.values.tolist(), strict=True))
        title = f"Hessian of {self.exact.plan.objective_name}"
        console.print(matrix.table(title, "parameter", self.labels, rows))
        spreads = {name: self._spread(each) for name, each in self.informations.items()}
        known = {_SOURCE[name]: each.errors for name, each in spreads.items() if each}
        if known:
            numbers = zip(self.labels, zip(*known.values(), strict=True), strict=True)
            console.print(matrix.table("errors", "parameter", list(known), list(numbers)))
        if spreads and spreads["observed"] is None:
            console.print("no covariance of Laplace: the objective curves downwards here, or not")

    def _spread(self, information: "np.ndarray") -> "Spread | None":
        from diffpipe.rules.fit.information import spread

        try:
            return spread(2 * information, self.labels)
        except NonFiniteError:
            return None


_SOURCE = {"observed": "Laplace (exact Hessian)", "fisher": "Fisher (Gauss-Newton)"}


def say(found: Hessian, *, as_json: bool, save: Path | None) -> None:
    """Print it, and write its arrays where asked; raises UsageError."""
    if save is not None:
        matrix.write_arrays(save, found.document())
    if as_json:
        from diffpipe.cli.report import print_json

        print_json(found.document())
    else:
        found.show()
