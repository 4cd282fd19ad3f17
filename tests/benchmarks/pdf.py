"""How fast the evolution of parton densities is: CPU ms of one core, beside other programs.

    python tests/benchmarks/pdf.py [SCHEME ...]

NNLO evolution of the Les Houches toy from sqrt 2 to 100 GeV, compiled before: with FFNS (default)
or VFNS. The gradient is that of one number in alpha_s, Q and the 13 parameters of the densities.
Where it is installed, HOPPET is timed in the same run.
"""

import os
import sys
import time
from collections.abc import Callable
from typing import Any

from diffpipe.rules import machine

machine.prepare("cpu")
os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"

import jax  # noqa: E402  (after the environment it reads)
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402

from diffpipe.pipelines.physics.pdf.evolution import operator  # noqa: E402
from diffpipe.pipelines.physics.pdf.inputs.catalogue import INPUTS  # noqa: E402
from diffpipe.pipelines.physics.pdf.kernels import quadrature, tables  # noqa: E402
from diffpipe.pipelines.physics.pdf.kernels.stage import pdf_kernels  # noqa: E402
from diffpipe.pipelines.physics.pdf.options import PRECISIONS, plan  # noqa: E402
from diffpipe.pipelines.physics.pdf.problem import problem  # noqa: E402
from diffpipe.pipelines.physics.pdf.stage import (  # noqa: E402
    pdf_evolution,
    pdf_from_operator,
)

jax.config.update("jax_enable_x64", True)

TOY = INPUTS["les_houches_toy"]
MEMBERS = 1000


def main() -> None:
    schemes = sys.argv[1:] or ["FFNS"]
    for scheme in schemes:
        for precision in PRECISIONS:
            print(f"\nNNLO, {scheme}, {precision}: points, steps = {PRECISIONS[precision]}")
            _ours(scheme, precision)
        _hoppet(scheme)


def _ours(scheme: str, precision: str) -> None:
    options = {
        "input": "les_houches_toy", "order": "NNLO", "scheme": scheme, "precision": precision,
    }  # fmt: skip
    made = plan(order="NNLO", scheme=scheme, precision=precision).kernels()
    _show("kernels, per number of flavours", _kernels(made), 1)
    kernels = {name: each for name, each in pdf_kernels({}, {}, **made).items() if name != "x"}
    given = {"alphas": jnp.asarray(0.35), "scales": jnp.asarray([100.0])}
    given |= {f"pdf.{name}": jnp.asarray(value) for name, value in TOY.defaults.items()}
    size = (made["points"], 1, 11)
    weights = jnp.asarray(np.random.default_rng(1).normal(size=size))

    def value(parameters: Any, kernels: Any) -> Any:
        return jnp.sum(weights * pdf_evolution(parameters, kernels, **options)["grid"])

    def unit(parameters: Any, kernels: Any) -> Any:
        """The operator between columns, which many densities are applied to."""
        of = problem(parameters, kernels, options)
        columns = operator.unit(of.plan.points, len(of.plan.flavours) - 1)
        return of.evolve(columns, lambda now, _: jnp.concatenate([each.ravel() for each in now]))

    def many(parameters: Any, kernels: Any, densities: Any) -> Any:
        of = problem(parameters, kernels, options)

        def read(now: Any, projection: Any) -> Any:
            return operator.in_flavours(now, projection, of.plan.flavours[0])

        columns = operator.unit(of.plan.points, len(of.plan.flavours) - 1)
        made = of.evolve(columns, read).values
        return pdf_from_operator({}, {"operator": made, "density": densities})["grid"]

    densities = jnp.asarray(np.random.default_rng(2).normal(size=(MEMBERS, 11, size[0])))
    _compiled("one evolution", value, given, kernels)
    _compiled("value and gradient", jax.value_and_grad(value), given, kernels)
    theory = {name: given[name] for name in ("alphas", "scales")}
    _compiled("operator", unit, theory, kernels)
    _compiled(f"{MEMBERS} densities", many, theory, kernels, densities)


def _kernels(made: dict[str, Any]) -> float:
    """CPU ms of all kernels of one number of flavours, nothing kept from before."""
    for kept in (tables.kernel_matrices, quadrature._hard, quadrature._soft):
        kept.cache_clear()
    start = time.process_time()
    tables.kernel_matrices(made["order"], 4, made["x_min"], made["points"])
    return 1e3 * (time.process_time() - start)


def _compiled(name: str, function: Callable[..., Any], *arguments: Any) -> None:
    start = time.process_time()
    compiled = jax.jit(function)
    jax.block_until_ready(compiled(*arguments))
    compiling = time.process_time() - start
    found = _best(lambda: jax.block_until_ready(compiled(*arguments)))
    _show(f"{name} (compiled in {compiling:.1f} s)", found, 2)


def _hoppet(scheme: str) -> None:
    try:
        import hoppet
    except ImportError:
        print("HOPPET is not installed")
        return
    start = time.process_time()
    hoppet.StartExtended(16.2, 0.1, 1.0, 2e4, 0.1, 3, -6, hoppet.factscheme_MSbar)
    if scheme == "FFNS":
        hoppet.SetFFN(4)
    else:
        hoppet.SetPoleMassVFN(1.414213563, 4.5, 1e5)
    started = time.process_time()

    def evolve() -> None:
        hoppet.Evolve(0.35, 2.0**0.5, 3, 1.0, lambda x, _: np.full(13, x**0.5 * (1 - x)), 2.0**0.5)

    _show("HOPPET: its kernels (dy = 0.1)", 1e3 * (started - start), 1)
    _show("HOPPET: evolution to all scales", _best(evolve, 3), 1)


def _best(function: Callable[[], Any], runs: int = 15) -> float:
    """CPU ms of the fastest of some runs."""
    times = []
    for _ in range(runs):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return 1e3 * min(times)


def _show(name: str, milliseconds: float, digits: int) -> None:
    print(f"  {name:55} {milliseconds:10.{digits}f} CPU ms", flush=True)


if __name__ == "__main__":
    main()
