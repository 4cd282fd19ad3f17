"""The argument z of splitting functions, with the functions of it that they share."""

from functools import cached_property
from typing import final

import numpy as np
from scipy.special import spence

from diffpipe.pipelines.physics.pdf.kernels import polylogarithms


@final
class Argument:
    """Values 0 < z < 1, any shape; 1 - z is kept apart, since it may be far below rounding of z."""

    def __init__(self, z: np.ndarray, one_minus_z: np.ndarray) -> None:
        self.z = z
        self.one_minus_z = one_minus_z

    @classmethod
    def of_log(cls, minus_log_z: np.ndarray) -> "Argument":
        """From -ln z."""
        return cls(np.exp(-minus_log_z), -np.expm1(-minus_log_z))

    @cached_property
    def log_z(self) -> np.ndarray:
        near_one = self.one_minus_z < 0.5
        return np.where(
            near_one, np.log1p(-np.where(near_one, self.one_minus_z, 0.0)), np.log(self.z)
        )

    @cached_property
    def log_one_minus_z(self) -> np.ndarray:
        return np.log(self.one_minus_z)

    @cached_property
    def li2_one_minus_z(self) -> np.ndarray:
        """Li2(1-z)."""
        return spence(self.z)

    @cached_property
    def li2_minus_z(self) -> np.ndarray:
        """Li2(-z)."""
        return spence(1.0 + self.z)

    @cached_property
    def s_2(self) -> np.ndarray:
        """S2(z) = int_(z/(1+z))^(1/(1+z)) dy/y ln((1-y)/y): below eq. (4.107) of ESW."""
        log_z = self.log_z
        log_terms = 0.5 * log_z**2 - 2.0 * log_z * np.log1p(self.z)
        return log_terms - 2.0 * self.li2_minus_z - np.pi**2 / 6.0

    @cached_property
    def li3_one_minus_z(self) -> np.ndarray:
        """Li3(1-z)."""
        return polylogarithms.li3_one_minus(-self.log_z)

    @cached_property
    def s12_one_minus_z(self) -> np.ndarray:
        """S12(1-z)."""
        return polylogarithms.s12_one_minus(-self.log_z)

    @cached_property
    def li3_minus_z(self) -> np.ndarray:
        """Li3(-z)."""
        return polylogarithms.li3_minus(self.z)

    @cached_property
    def s12_minus_z(self) -> np.ndarray:
        """S12(-z)."""
        return polylogarithms.s12_minus(self.z)
