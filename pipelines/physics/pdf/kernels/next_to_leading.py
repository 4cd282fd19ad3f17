"""Splitting functions at next-to-leading order: eqs. (4.107)-(4.112) of Ellis, Stirling and Webber.

QCD and Collider Physics expands in alpha_s/(2 pi): its functions are a quarter of those here.
Original: Curci, Furmanski and Petronzio, Nucl. Phys. B175 (1980) 27, and Phys. Lett. B97 (1980)
437; the same functions are eqs. (4.6)-(4.8) of hep-ph/0403192 and (4.7)-(4.9) of hep-ph/0404111.
"""

import numpy as np

from diffpipe.pipelines.physics.pdf.kernels.argument import Argument
from diffpipe.pipelines.physics.pdf.kernels.splitting import (
    CA,
    CF,
    TR,
    ZETA_2,
    ZETA_3,
    Order,
    SplittingFunction,
    added,
)

FROM_ESW = 4.0  # (alpha_s/2 pi)^2 = 4 a^2


def next_to_leading(nf: int) -> Order:
    """P^(1); V evolves as V3, V8, ... do."""
    quark, antiquark = _quark_to_quark(nf), _quark_to_antiquark()
    plus = added(quark, antiquark)
    minus = added(quark, antiquark._replace(regular=lambda a: -antiquark.regular(a)))
    qq = added(plus, _pure_singlet(nf))
    return Order(plus, minus, minus, qq, _p_qg(nf), _p_gq(nf), _p_gg(nf))


def _p_qq_shape(a: Argument) -> np.ndarray:
    return 2.0 / a.one_minus_z - 1.0 - a.z


def _p_gg_shape(a: Argument) -> np.ndarray:
    return 1.0 / a.one_minus_z + 1.0 / a.z - 2.0 + a.z * a.one_minus_z


def _p_qg_shape(z: np.ndarray) -> np.ndarray:
    return z**2 + (1.0 - z) ** 2


def _p_gq_shape(z: np.ndarray) -> np.ndarray:
    return (1.0 + (1.0 - z) ** 2) / z


def _quark_to_quark(nf: int) -> SplittingFunction:
    """P_qq^V: eq. (4.107)."""
    flat = CF * CA * (67.0 / 18.0 - ZETA_2) - CF * TR * nf * 10.0 / 9.0
    delta = (
        CF**2 * (3.0 / 8.0 - 3.0 * ZETA_2 + 6.0 * ZETA_3)
        + CF * CA * (17.0 / 24.0 + 11.0 / 3.0 * ZETA_2 - 3.0 * ZETA_3)
        - CF * TR * nf * (1.0 / 6.0 + 4.0 / 3.0 * ZETA_2)
    )

    def regular(a: Argument) -> np.ndarray:
        z, log = a.z, a.log_z
        shape = _p_qq_shape(a)
        abelian = (
            -(2.0 * log * a.log_one_minus_z + 1.5 * log) * shape
            - (1.5 + 3.5 * z) * log
            - 0.5 * (1.0 + z) * log**2
            - 5.0 * a.one_minus_z
        )
        gluonic = (
            (0.5 * log**2 + 11.0 / 6.0 * log) * shape + (1.0 + z) * log + 20.0 / 3.0 * a.one_minus_z
        )
        fermionic = -2.0 / 3.0 * log * shape - 4.0 / 3.0 * a.one_minus_z
        return FROM_ESW * (
            CF**2 * abelian + CF * CA * gluonic + CF * TR * nf * fermionic - flat * (1.0 + z)
        )

    return SplittingFunction(FROM_ESW * 2.0 * flat, FROM_ESW * delta, regular)


def _quark_to_antiquark() -> SplittingFunction:
    """P_(q qbar)^V: eq. (4.108)."""

    def regular(a: Argument) -> np.ndarray:
        z = a.z
        shape = 2.0 / (1.0 + z) - 1.0 + z
        terms = 2.0 * shape * a.s_2 + 2.0 * (1.0 + z) * a.log_z + 4.0 * a.one_minus_z
        return FROM_ESW * CF * (CF - 0.5 * CA) * terms

    return SplittingFunction(0.0, 0.0, regular)


def _pure_singlet(nf: int) -> SplittingFunction:
    """2 nf P_qq^S: eq. (4.109)."""

    def regular(a: Argument) -> np.ndarray:
        z, log = a.z, a.log_z
        powers = 20.0 / (9.0 * z) - 2.0 + 6.0 * z - 56.0 / 9.0 * z**2
        logs = (1.0 + 5.0 * z + 8.0 / 3.0 * z**2) * log - (1.0 + z) * log**2
        return FROM_ESW * 2.0 * nf * CF * TR * (powers + logs)

    return SplittingFunction(0.0, 0.0, regular)


def _p_qg(nf: int) -> SplittingFunction:
    """2 nf P_(q g): eq. (4.110)."""

    def regular(a: Argument) -> np.ndarray:
        z, log, log_1 = a.z, a.log_z, a.log_one_minus_z
        shape, ratio = _p_qg_shape(z), log_1 - log
        abelian = (
            4.0
            - 9.0 * z
            - (1.0 - 4.0 * z) * log
            - (1.0 - 2.0 * z) * log**2
            + 4.0 * log_1
            + (2.0 * ratio**2 - 4.0 * ratio - 4.0 * ZETA_2 + 10.0) * shape
        )
        gluonic = (
            182.0 / 9.0
            + 14.0 / 9.0 * z
            + 40.0 / (9.0 * z)
            + (136.0 / 3.0 * z - 38.0 / 3.0) * log
            - 4.0 * log_1
            - (2.0 + 8.0 * z) * log**2
            + (-(log**2) + 44.0 / 3.0 * log - 2.0 * log_1**2 + 4.0 * log_1) * shape
            + (2.0 * ZETA_2 - 218.0 / 9.0) * shape
            + 2.0 * _p_qg_shape(-z) * a.s_2
        )
        return FROM_ESW * nf * TR * (CF * abelian + CA * gluonic)

    return SplittingFunction(0.0, 0.0, regular)


def _p_gq(nf: int) -> SplittingFunction:
    """P_(g q): eq. (4.111)."""

    def regular(a: Argument) -> np.ndarray:
        z, log, log_1 = a.z, a.log_z, a.log_one_minus_z
        shape = _p_gq_shape(z)
        abelian = (
            -2.5
            - 3.5 * z
            + (2.0 + 3.5 * z) * log
            - (1.0 - 0.5 * z) * log**2
            - 2.0 * z * log_1
            - (3.0 * log_1 + log_1**2) * shape
        )
        gluonic = (
            28.0 / 9.0
            + 65.0 / 18.0 * z
            + 44.0 / 9.0 * z**2
            - (12.0 + 5.0 * z + 8.0 / 3.0 * z**2) * log
            + (4.0 + z) * log**2
            + 2.0 * z * log_1
            + a.s_2 * _p_gq_shape(-z)
            + (0.5 - 2.0 * log * log_1 + 0.5 * log**2 + 11.0 / 3.0 * log_1 + log_1**2) * shape
            - ZETA_2 * shape
        )
        fermionic = -4.0 / 3.0 * z - (20.0 / 9.0 + 4.0 / 3.0 * log_1) * shape
        return FROM_ESW * (CF**2 * abelian + CF * CA * gluonic + CF * TR * nf * fermionic)

    return SplittingFunction(0.0, 0.0, regular)


def _p_gg(nf: int) -> SplittingFunction:
    """P_(g g): eq. (4.112)."""
    flat = CA**2 * (67.0 / 9.0 - 2.0 * ZETA_2) - CA * TR * nf * 20.0 / 9.0
    delta = CA**2 * (8.0 / 3.0 + 3.0 * ZETA_3) - CF * TR * nf - 4.0 / 3.0 * CA * TR * nf

    def regular(a: Argument) -> np.ndarray:
        z, log = a.z, a.log_z
        difference = z**2 - 1.0 / z
        quark = (
            -16.0
            + 8.0 * z
            + 20.0 / 3.0 * z**2
            + 4.0 / (3.0 * z)
            - (6.0 + 10.0 * z) * log
            - (2.0 + 2.0 * z) * log**2
        )
        gluon_quark = 2.0 * a.one_minus_z + 26.0 / 9.0 * difference - 4.0 / 3.0 * (1.0 + z) * log
        crossed = 1.0 / (1.0 + z) - 1.0 / z - 2.0 - z * (1.0 + z)
        gluonic = (
            13.5 * a.one_minus_z
            + 67.0 / 9.0 * difference
            - (25.0 / 3.0 - 11.0 / 3.0 * z + 44.0 / 3.0 * z**2) * log
            + 4.0 * (1.0 + z) * log**2
            + 2.0 * crossed * a.s_2
            + (log**2 - 4.0 * log * a.log_one_minus_z) * _p_gg_shape(a)
        )
        flat_rest = flat * (1.0 / z - 2.0 + z * a.one_minus_z)
        return FROM_ESW * (
            CF * TR * nf * quark + CA * TR * nf * gluon_quark + CA**2 * gluonic + flat_rest
        )

    return SplittingFunction(FROM_ESW * flat, FROM_ESW * delta, regular)
