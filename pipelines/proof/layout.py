"""Named arrays as one vector, and back."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Arrays = Mapping[str, Any]


@dataclass(frozen=True)
class Layout:
    """Which component of a vector is which component of which array."""

    shapes: Mapping[str, tuple[int, ...]]
    dtypes: Mapping[str, str]

    @classmethod
    def of(cls, arrays: Arrays) -> "Layout":
        """Of the arrays that are differentiable: float64 and complex128."""
        smooth = {name: np.asarray(each) for name, each in arrays.items() if is_smooth(each)}
        return cls(
            {name: each.shape for name, each in smooth.items()},
            {name: str(each.dtype) for name, each in smooth.items()},
        )

    @property
    def size(self) -> int:
        return sum(int(np.prod(shape)) for shape in self.shapes.values())

    def flat(self, arrays: Arrays) -> np.ndarray:
        """The arrays one after the other; complex if one of them is."""
        parts = [np.asarray(arrays[name]).reshape(-1) for name in self.shapes]
        return np.concatenate(parts) if parts else np.zeros(0)

    def named(self, vector: np.ndarray) -> dict[str, np.ndarray]:
        """The arrays that a vector stands for; of real ones the real part."""
        found, first = {}, 0
        for name, shape in self.shapes.items():
            last = first + int(np.prod(shape))
            part = vector[first:last]
            real = part.real if self.dtypes[name] == "float64" else part
            found[name] = np.ascontiguousarray(real).astype(self.dtypes[name]).reshape(shape)
            first = last
        return found

    def levels(self, vector: np.ndarray) -> np.ndarray:
        """The sizes of the components; one that is near zero is taken for a small one of its array.

        What cancels, or is saturated, is rounded as what it comes from.
        """
        size = abs(vector)
        typical, first = np.full(self.size, _root_mean_square(size)), 0
        for shape in self.shapes.values():
            part = slice(first, first + int(np.prod(shape)))
            typical[part] = _root_mean_square(size[part]) or typical[part]
            first = part.stop
        return np.maximum(size, _NEAR * typical)

    def random(self, generator: np.random.Generator) -> np.ndarray:
        """A vector of random signs and sizes in [1/2, 1]; random phases where it is complex."""
        return self.flat(
            {n: signs(generator, shape, self.dtypes[n]) for n, shape in self.shapes.items()}
        )

    def place(self, index: int) -> str:
        """The component of this number as `name[i, j]`."""
        for name, shape in self.shapes.items():
            size = int(np.prod(shape))
            if index < size:
                return component(name, shape, index)
            index -= size
        raise IndexError(index)


def component(name: str, shape: tuple[int, ...], index: int) -> str:
    """A component of an array in words: `name`, or `name[3, 1]`."""
    if not shape:
        return name
    place = ", ".join(str(int(each)) for each in np.unravel_index(index, shape))
    return f"{name}[{place}]"


def signs(
    generator: np.random.Generator, shape: tuple[int, ...], dtype: str = "float64"
) -> np.ndarray:
    """Numbers of random sign and of sizes in [1/2, 1], so that no two of them cancel."""
    sizes = generator.uniform(0.5, 1.0, shape)
    if dtype == "complex128":
        return sizes * np.exp(2j * np.pi * generator.uniform(size=shape))
    return sizes * generator.choice([-1.0, 1.0], shape)


def real_sum(left: np.ndarray, right: np.ndarray) -> float:
    """Re(sum of products), over those on the left that are not zero."""
    left, right = np.ravel(left), np.ravel(right)
    kept = left != 0
    return float(np.sum(left[kept] * right[kept]).real)


def magnitudes(left: np.ndarray, right: np.ndarray) -> float:
    """The sum of the magnitudes of the products."""
    return real_sum(abs(left), abs(right))


def _root_mean_square(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2))) if values.size else 0.0


def is_smooth(each: Any) -> bool:
    """Whether an array is one that has derivatives; a whole dataset has none."""
    return not isinstance(each, Mapping) and str(np.asarray(each).dtype) in _SMOOTH


_NEAR = 1e-3  # of the typical size of an array: what is below is near zero
_SMOOTH = ("float64", "complex128")
