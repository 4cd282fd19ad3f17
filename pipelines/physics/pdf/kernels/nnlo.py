"""Splitting functions at next-to-next-to-leading order, of all evolving combinations."""

from diffpipe.pipelines.physics.pdf.kernels.nnlo_non_singlet import ns_minus, ns_plus, sea
from diffpipe.pipelines.physics.pdf.kernels.nnlo_singlet import p_gg, p_gq, p_qg, pure_singlet
from diffpipe.pipelines.physics.pdf.kernels.splitting import Order, added


def next_to_next_to_leading(nf: int) -> Order:
    """P^(2): the first order where V evolves otherwise than V3, V8, ..."""
    plus, minus = ns_plus(nf), ns_minus(nf)
    qq = added(plus, pure_singlet(nf))
    return Order(plus, minus, added(minus, sea(nf)), qq, p_qg(nf), p_gq(nf), p_gg(nf))
