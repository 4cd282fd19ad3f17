"""What changes in the densities where a heavy flavour begins to count: at order alpha_s^2.

Operator matrix elements of a heavy quark of pole mass m at mu = m, in a = alpha_s/(4 pi):

    q_l(nf+1) = q_l + a^2 A_qq,H (x) q_l         for each light quark and antiquark
    g(nf+1)   = g + a^2 [A_gq,H (x) Sigma + A_gg,H (x) g]
    (h + hbar)(nf+1) = a^2 [A_Hq (x) Sigma + A_Hg (x) g]

At mu = m nothing happens at order a. a counts nf + 1 flavours.
Source: Buza, Matiounine, Smith and van Neerven, hep-ph/9612398, appendix B, at mu = m.
"""

from typing import NamedTuple

import numpy as np

from diffpipe.pipelines.physics.pdf.kernels.argument import Argument
from diffpipe.pipelines.physics.pdf.kernels.splitting import (
    CA,
    CF,
    TR,
    ZETA_2,
    ZETA_3,
    SplittingFunction,
)


class Matching(NamedTuple):
    """The operator matrix elements of order a^2."""

    qq: SplittingFunction
    gq: SplittingFunction
    gg: SplittingFunction
    hq: SplittingFunction
    hg: SplittingFunction


def second_order(heavy_from_gluon: str) -> Matching:
    """All of them, A_Hg parametrised or exact; none depends on the number of flavours."""
    heavy = {"parametrised": a_hg_parametrised, "exact": a_hg}[heavy_from_gluon]
    return Matching(a_qq(), a_gq(), a_gg(), a_hq(), heavy())


def a_qq() -> SplittingFunction:
    """A_qq,H^NS(2): eq. (B.4); its first moment is zero, as the number of quarks stays."""

    def regular(a: Argument) -> np.ndarray:
        z, log = a.z, a.log_z
        logs = (1.0 + z**2) / a.one_minus_z * (2.0 / 3.0 * log**2 + 20.0 / 9.0 * log)
        rest = 8.0 / 3.0 * a.one_minus_z * log + 44.0 / 27.0 - 268.0 / 27.0 * z
        return CF * TR * (logs + rest)

    delta = CF * TR * (-8.0 / 3.0 * ZETA_3 + 40.0 / 9.0 * ZETA_2 + 73.0 / 18.0)
    return SplittingFunction(CF * TR * 224.0 / 27.0, delta, regular)


def a_gq() -> SplittingFunction:
    """A_gq,H^S(2): eq. (B.5)."""

    def regular(a: Argument) -> np.ndarray:
        z, log_1 = a.z, a.log_one_minus_z
        terms = (
            4.0 / 3.0 * (2.0 / z - 2.0 + z) * log_1**2
            + 8.0 / 9.0 * (10.0 / z - 10.0 + 8.0 * z) * log_1
            + (448.0 / z - 448.0 + 344.0 * z) / 27.0
        )
        return CF * TR * terms

    return SplittingFunction(0.0, 0.0, regular)


def a_gg() -> SplittingFunction:
    """A_gg,H^S(2): eq. (B.7)."""

    def regular(a: Argument) -> np.ndarray:
        z, log = a.z, a.log_z
        abelian = (
            4.0 / 3.0 * (1.0 + z) * log**3
            + (6.0 + 10.0 * z) * log**2
            + (32.0 + 48.0 * z) * log
            - 8.0 / z
            + 80.0
            - 48.0 * z
            - 24.0 * z**2
        )
        gluonic = (
            4.0 / 3.0 * (1.0 + z) * log**2
            + (52.0 + 88.0 * z) / 9.0 * log
            - 4.0 / 3.0 * z * a.log_one_minus_z
            + (556.0 / z - 628.0 + 548.0 * z - 700.0 * z**2) / 27.0
        )
        return CF * TR * abelian + CA * TR * gluonic

    plus, delta = CA * TR * 224.0 / 27.0, -15.0 * CF * TR + 10.0 / 9.0 * CA * TR
    return SplittingFunction(plus, delta, regular)


def a_hq() -> SplittingFunction:
    """A_Hq^PS(2): eq. (B.1)."""

    def regular(a: Argument) -> np.ndarray:
        z, log, li2 = a.z, a.log_z, a.li2_one_minus_z
        terms = (
            (1.0 + z) * (32.0 * a.s12_one_minus_z + 16.0 * log * li2)
            - (1.0 + z) * (16.0 * ZETA_2 * log + 4.0 / 3.0 * log**3)
            + (32.0 / (3.0 * z) + 8.0 - 8.0 * z - 32.0 / 3.0 * z**2) * (li2 - ZETA_2)
            + (2.0 + 10.0 * z + 16.0 / 3.0 * z**2) * log**2
            - (56.0 / 3.0 + 88.0 / 3.0 * z + 448.0 / 9.0 * z**2) * log
            - 448.0 / (27.0 * z)
            - 4.0 / 3.0
            - 124.0 / 3.0 * z
            + 1600.0 / 27.0 * z**2
        )
        return CF * TR * terms

    return SplittingFunction(0.0, 0.0, regular)


def a_hg() -> SplittingFunction:
    """A_Hg^S(2): eq. (B.3)."""
    return SplittingFunction(
        0.0, 0.0, lambda a: CF * TR * _a_hg_abelian(a) + CA * TR * _a_hg_gluonic(a)
    )


def a_hg_parametrised() -> SplittingFunction:
    """A_Hg^S(2) to a few parts in a thousand: A. Vogt, in use since hep-ph/0408244.

    The published benchmark tables rest on it; c and b differ from the exact one's by up to 4e-4.
    """

    def regular(a: Argument) -> np.ndarray:
        z, l0, l1 = a.z, a.log_z, a.log_one_minus_z
        return (
            -24.89 / z
            - 187.8
            + 249.6 * z
            - 146.8 * l0**2 * l1
            - 1.556 * l0**3
            - 3.292 * l0**2
            - 93.68 * l0
            - 1.111 * l1**3
            - 0.400 * l1**2
            - 2.770 * l1
        )

    return SplittingFunction(0.0, -0.006, regular)


def _a_hg_abelian(a: Argument) -> np.ndarray:
    """The CF TR part of eq. (B.3)."""
    z, log, log_1 = a.z, a.log_z, a.log_one_minus_z
    li2, li3, s12 = a.li2_one_minus_z, a.li3_one_minus_z, a.s12_one_minus_z
    decaying = (
        8.0 * ZETA_3
        + 4.0 / 3.0 * log_1**3
        - 8.0 * log_1 * li2
        + 8.0 * ZETA_2 * log
        - 4.0 * log * log_1**2
        + 2.0 / 3.0 * log**3
        - 8.0 * log * li2
        + 8.0 * li3
        - 24.0 * s12
    )
    square = -16.0 * ZETA_2 * log + 4.0 / 3.0 * log**3 + 16.0 * log * li2 + 32.0 * s12
    return (
        (1.0 - 2.0 * z + 2.0 * z**2) * decaying
        + z**2 * square
        - (4.0 + 96.0 * z - 64.0 * z**2) * li2
        - (4.0 - 48.0 * z + 40.0 * z**2) * ZETA_2
        - (8.0 + 48.0 * z - 24.0 * z**2) * log * log_1
        + (4.0 + 8.0 * z - 12.0 * z**2) * log_1**2
        - (1.0 + 12.0 * z - 20.0 * z**2) * log**2
        - (52.0 * z - 48.0 * z**2) * log_1
        - (16.0 + 18.0 * z + 48.0 * z**2) * log
        + 26.0
        - 82.0 * z
        + 80.0 * z**2
    )


def _a_hg_gluonic(a: Argument) -> np.ndarray:
    """The CA TR part of eq. (B.3)."""
    z, log, log_1, log_p = a.z, a.log_z, a.log_one_minus_z, np.log1p(a.z)
    li2, li2_m = a.li2_one_minus_z, a.li2_minus_z
    decaying = -4.0 / 3.0 * log_1**3 + 8.0 * log_1 * li2 - 8.0 * a.li3_one_minus_z
    crossed = (
        -8.0 * ZETA_2 * log_p
        - 16.0 * log_p * li2_m
        - 8.0 * log * log_p**2
        + 4.0 * log**2 * log_p
        + 8.0 * log * li2_m
        - 8.0 * a.li3_minus_z
        - 16.0 * a.s12_minus_z
    )
    return (
        (1.0 - 2.0 * z + 2.0 * z**2) * decaying
        + (1.0 + 2.0 * z + 2.0 * z**2) * crossed
        + (16.0 + 64.0 * z) * (2.0 * a.s12_one_minus_z + log * li2)
        - (4.0 / 3.0 + 8.0 / 3.0 * z) * log**3
        + (8.0 - 32.0 * z + 16.0 * z**2) * ZETA_3
        - (16.0 + 64.0 * z) * ZETA_2 * log
        + (16.0 * z + 16.0 * z**2) * (li2_m + log * log_p)
        + (32.0 / (3.0 * z) + 12.0 + 64.0 * z - 272.0 / 3.0 * z**2) * li2
        - (12.0 + 48.0 * z - 260.0 / 3.0 * z**2 + 32.0 / (3.0 * z)) * ZETA_2
        - 4.0 * z**2 * log * log_1
        - (2.0 + 8.0 * z - 10.0 * z**2) * log_1**2
        + (2.0 + 8.0 * z + 46.0 / 3.0 * z**2) * log**2
        + (4.0 + 16.0 * z - 16.0 * z**2) * log_1
        - (56.0 / 3.0 + 172.0 / 3.0 * z + 1600.0 / 9.0 * z**2) * log
        - 448.0 / (27.0 * z)
        - 4.0 / 3.0
        - 628.0 / 3.0 * z
        + 6352.0 / 27.0 * z**2
    )
