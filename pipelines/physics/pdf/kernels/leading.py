"""Splitting functions at leading order: eqs. (4.94)-(4.97) of Ellis, Stirling and Webber.

QCD and Collider Physics expands in alpha_s/(2 pi): its functions are half of those here.
"""

from diffpipe.pipelines.physics.pdf.kernels.splitting import CA, CF, TR, Order, SplittingFunction


def leading(nf: int) -> Order:
    """P^(0): all non-singlets evolve with P_qq."""
    qq = p_qq()
    return Order(qq, qq, qq, qq, p_qg(nf), p_gq(), p_gg(nf))


def p_qq() -> SplittingFunction:
    """P_qq^(0) = 2 CF [(1+z^2)/(1-z)_+ + 3/2 delta(1-z)]."""
    return SplittingFunction(4.0 * CF, 3.0 * CF, lambda a: -2.0 * CF * (1.0 + a.z))


def p_qg(nf: int) -> SplittingFunction:
    """P_qg^(0) = 4 nf TR [z^2 + (1-z)^2], from g into Sigma, all quarks and antiquarks."""
    return SplittingFunction(0.0, 0.0, lambda a: 4.0 * nf * TR * (a.z**2 + a.one_minus_z**2))


def p_gq() -> SplittingFunction:
    """P_gq^(0) = 2 CF [1 + (1-z)^2]/z."""
    return SplittingFunction(0.0, 0.0, lambda a: 2.0 * CF * (1.0 + a.one_minus_z**2) / a.z)


def p_gg(nf: int) -> SplittingFunction:
    """P_gg^(0) = 4 CA [z/(1-z)_+ + (1-z)/z + z(1-z)] + b0 delta(1-z)."""
    delta = (11.0 * CA - 4.0 * nf * TR) / 3.0
    return SplittingFunction(
        4.0 * CA, delta, lambda a: 4.0 * CA * (a.one_minus_z * (1.0 / a.z + a.z) - 1.0)
    )
