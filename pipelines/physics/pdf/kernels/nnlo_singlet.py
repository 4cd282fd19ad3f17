"""Singlet splitting functions at next-to-next-to-leading order, parametrised.

Vogt, Moch and Vermaseren, hep-ph/0404111: eqs. (4.32)-(4.35), accurate to one part in a thousand or
better.
"""

import numpy as np

from diffpipe.pipelines.physics.pdf.kernels.argument import Argument
from diffpipe.pipelines.physics.pdf.kernels.splitting import SplittingFunction


def pure_singlet(nf: int) -> SplittingFunction:
    """P_ps^(2), what P_qq has beyond P_ns+: eq. (4.32)."""

    def regular(a: Argument) -> np.ndarray:
        z, l0, l1 = a.z, a.log_z, a.log_one_minus_z
        one = (
            -5.926 * l1**3
            - 9.751 * l1**2
            - 72.11 * l1
            + 177.4
            + 392.9 * z
            - 101.4 * z**2
            - 57.04 * l0 * l1
            - 661.6 * l0
            + 131.4 * l0**2
            - 400.0 / 9.0 * l0**3
            + 160.0 / 27.0 * l0**4
            - 506.0 / z
            - 3584.0 / 27.0 * l0 / z
        )
        two = (
            1.778 * l1**2
            + 5.944 * l1
            + 100.1
            - 125.2 * z
            + 49.26 * z**2
            - 12.59 * z**3
            - 1.889 * l0 * l1
            + 61.75 * l0
            + 17.89 * l0**2
            + 32.0 / 27.0 * l0**3
            + 256.0 / 81.0 / z
        )
        return (nf * one + nf**2 * two) * a.one_minus_z

    return SplittingFunction(0.0, 0.0, regular)


def p_qg(nf: int) -> SplittingFunction:
    """P_qg^(2): eq. (4.33)."""

    def regular(a: Argument) -> np.ndarray:
        z, l0, l1 = a.z, a.log_z, a.log_one_minus_z
        one = (
            100.0 / 27.0 * l1**4
            - 70.0 / 9.0 * l1**3
            - 120.5 * l1**2
            + 104.42 * l1
            + 2522.0
            - 3316.0 * z
            + 2126.0 * z**2
            + l0 * l1 * (1823.0 - 25.22 * l0)
            - 252.5 * z * l0**3
            + 424.9 * l0
            + 881.5 * l0**2
            - 44.0 / 3.0 * l0**3
            + 536.0 / 27.0 * l0**4
            - 1268.3 / z
            - 896.0 / 3.0 * l0 / z
        )
        two = (
            20.0 / 27.0 * l1**3
            + 200.0 / 27.0 * l1**2
            - 5.496 * l1
            - 252.0
            + 158.0 * z
            + 145.4 * z**2
            - 139.28 * z**3
            - 98.07 * z * l0**2
            + 11.70 * z * l0**3
            - l0 * l1 * (53.09 + 80.616 * l0)
            - 254.0 * l0
            - 90.80 * l0**2
            - 376.0 / 27.0 * l0**3
            - 16.0 / 9.0 * l0**4
            + 1112.0 / 243.0 / z
        )
        return nf * one + nf**2 * two

    return SplittingFunction(0.0, 0.0, regular)


def p_gq(nf: int) -> SplittingFunction:
    """P_gq^(2): eq. (4.34)."""

    def regular(a: Argument) -> np.ndarray:
        z, l0, l1 = a.z, a.log_z, a.log_one_minus_z
        none = (
            400.0 / 81.0 * l1**4
            + 2200.0 / 27.0 * l1**3
            + 606.3 * l1**2
            + 2193.0 * l1
            - 4307.0
            + 489.3 * z
            + 1452.0 * z**2
            + 146.0 * z**3
            - 447.3 * l0**2 * l1
            - 972.9 * z * l0**2
            + 4033.0 * l0
            - 1794.0 * l0**2
            + 1568.0 / 9.0 * l0**3
            - 4288.0 / 81.0 * l0**4
            + 6163.1 / z
            + 1189.3 * l0 / z
        )
        one = (
            -400.0 / 81.0 * l1**3
            - 68.069 * l1**2
            - 296.7 * l1
            - 183.8
            + 33.35 * z
            - 277.9 * z**2
            + 108.6 * z * l0**2
            - 49.68 * l0 * l1
            + 174.8 * l0
            + 20.39 * l0**2
            + 704.0 / 81.0 * l0**3
            + 128.0 / 27.0 * l0**4
            - 46.41 / z
            + 71.082 * l0 / z
        )
        two = (
            96.0 * l1**2 * (1.0 / z - 1.0 + 0.5 * z)
            + 320.0 * l1 * (1.0 / z - 1.0 + 0.8 * z)
            - 64.0 * (1.0 / z - 1.0 - 2.0 * z)
        ) / 27.0
        return none + nf * one + nf**2 * two

    return SplittingFunction(0.0, 0.0, regular)


def p_gg(nf: int) -> SplittingFunction:
    """P_gg^(2): eq. (4.35)."""

    def regular(a: Argument) -> np.ndarray:
        z, l0, l1 = a.z, a.log_z, a.log_one_minus_z
        none = (
            3589.0 * l1
            - 20852.0
            + 3968.0 * z
            - 3363.0 * z**2
            + 4848.0 * z**3
            + l0 * l1 * (7305.0 + 8757.0 * l0)
            + 274.4 * l0
            - 7471.0 * l0**2
            + 72.0 * l0**3
            - 144.0 * l0**4
            + 14214.0 / z
            + 2675.8 * l0 / z
        )
        one = (
            -320.0 * l1
            - 350.2
            + 755.7 * z
            - 713.8 * z**2
            + 559.3 * z**3
            + l0 * l1 * (26.15 - 808.7 * l0)
            + 1541.0 * l0
            + 491.3 * l0**2
            + 832.0 / 9.0 * l0**3
            + 512.0 / 27.0 * l0**4
            + 182.96 / z
            + 157.27 * l0 / z
        )
        two = (
            -13.878
            + 153.4 * z
            - 187.7 * z**2
            + 52.75 * z**3
            - l0 * l1 * (115.6 - 85.25 * z + 63.23 * l0)
            - 3.422 * l0
            + 9.680 * l0**2
            - 32.0 / 27.0 * l0**3
            - 680.0 / 243.0 / z
        )
        return none + nf * one + nf**2 * two

    plus = 2643.521 - 412.172 * nf - 16.0 / 9.0 * nf**2
    delta = 4425.894 - 528.723 * nf + 6.4630 * nf**2
    return SplittingFunction(plus, delta, regular)
