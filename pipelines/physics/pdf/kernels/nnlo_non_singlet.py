"""Non-singlet splitting functions at next-to-next-to-leading order, parametrised.

Moch, Vermaseren and Vogt, hep-ph/0403192: eqs. (4.22)-(4.24), accurate to one part in a thousand or
better; the nf^2 terms and the coefficients of 1/(1-z)_+ are exact up to rounding of the latter.
"""

import numpy as np

from diffpipe.pipelines.physics.pdf.kernels.argument import Argument
from diffpipe.pipelines.physics.pdf.kernels.splitting import ZETA_2, ZETA_3, SplittingFunction


def ns_plus(nf: int) -> SplittingFunction:
    """P_ns+^(2): eq. (4.22)."""

    def regular(a: Argument) -> np.ndarray:
        z, l0, l1 = a.z, a.log_z, a.log_one_minus_z
        none = (
            714.1 * l1
            + 1641.1
            - 3135.0 * z
            + 243.6 * z**2
            - 522.1 * z**3
            + l0 * l1 * (563.9 + 256.8 * l0)
            + 1258.0 * l0
            + 294.9 * l0**2
            + 800.0 / 27.0 * l0**3
            + 128.0 / 81.0 * l0**4
        )
        one = (
            -5120.0 / 81.0 * l1
            - 197.0
            + 381.1 * z
            + 72.94 * z**2
            + 44.79 * z**3
            - 1.497 * z * l0**3
            - 56.66 * l0 * l1
            - 152.6 * l0
            - 2608.0 / 81.0 * l0**2
            - 64.0 / 27.0 * l0**3
        )
        return none + nf * one + nf**2 * _two_flavour_loops(a)

    return SplittingFunction(_plus(nf), _delta(1295.384, -173.927, nf), regular)


def ns_minus(nf: int) -> SplittingFunction:
    """P_ns-^(2): eq. (4.23)."""

    def regular(a: Argument) -> np.ndarray:
        z, l0, l1 = a.z, a.log_z, a.log_one_minus_z
        none = (
            714.1 * l1
            + 1860.2
            - 3505.0 * z
            + 297.0 * z**2
            - 433.2 * z**3
            + l0 * l1 * (684.0 + 251.2 * l0)
            + 1465.2 * l0
            + 399.2 * l0**2
            + 320.0 / 9.0 * l0**3
            + 116.0 / 81.0 * l0**4
        )
        one = (
            -5120.0 / 81.0 * l1
            - 216.62
            + 406.5 * z
            + 77.89 * z**2
            + 34.76 * z**3
            - 1.136 * z * l0**3
            - 65.43 * l0 * l1
            - 172.69 * l0
            - 3216.0 / 81.0 * l0**2
            - 256.0 / 81.0 * l0**3
        )
        return none + nf * one + nf**2 * _two_flavour_loops(a)

    return SplittingFunction(_plus(nf), _delta(1295.470, -173.933, nf), regular)


def sea(nf: int) -> SplittingFunction:
    """P_ns^s(2), what V has beyond P_ns-: eq. (4.24)."""

    def regular(a: Argument) -> np.ndarray:
        z, l0, l1 = a.z, a.log_z, a.log_one_minus_z
        soft = l1 * (-163.9 / z - 7.208 * z) + 151.49 + 44.51 * z - 43.12 * z**2 + 4.82 * z**3
        logs = 178.04 * l0 + 6.892 * l0**2 + 40.0 / 27.0 * (l0**4 - 2.0 * l0**3)
        return nf * (soft * a.one_minus_z + l0 * l1 * (-173.1 + 46.18 * l0) + logs)

    return SplittingFunction(0.0, 0.0, regular)


def _plus(nf: int) -> float:
    return 1174.898 - 183.187 * nf - 64.0 / 81.0 * nf**2


def _delta(none: float, one: float, nf: int) -> float:
    return none + one * nf - 64.0 / 81.0 * (51.0 / 16.0 + 3.0 * ZETA_3 - 5.0 * ZETA_2) * nf**2


def _two_flavour_loops(a: Argument) -> np.ndarray:
    """The nf^2 term, known exactly: J.A. Gracey, hep-ph/9401214; eq. (4.13)."""
    z, l0 = a.z, a.log_z
    soft = z / a.one_minus_z * l0 * (1.5 * l0 + 5.0) + 1.0
    return 64.0 / 81.0 * (soft + a.one_minus_z * (6.0 + 5.5 * l0 + 0.75 * l0**2))
