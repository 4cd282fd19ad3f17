"""How fast matrix elements are: events per CPU second of one core, compile times, memory.

    python tests/benchmarks/matrix_elements.py [PROCESS ...]

Values, and values with gradients in six parameters for each event, at the best of a few block
sizes. A fixed JAX computation is timed in the same run, so that machines can be compared: beside
each figure stands that of MadGraph's Fortran (values) and of madjax with all helicities (values
with gradients), measured once on a machine where that computation was not timed. Where madjax is
installed and DIFFPIPE_MADJAX_PACKAGES names a folder of generated packages, they run side by side.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from diffpipe.rules import machine

machine.prepare("cpu")
os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"

import jax  # noqa: E402  (after the environment it reads)
import jax.numpy as jnp  # noqa: E402

from diffpipe.pipelines.physics.blocks import map_blocks  # noqa: E402
from diffpipe.pipelines.physics.matrix_elements import element, evaluation, points  # noqa: E402
from diffpipe.pipelines.physics.matrix_elements.model.parameters import DEFAULTS  # noqa: E402

jax.config.update("jax_enable_x64", True)

WRT = ("MZ", "MT", "aEWM1", "Gf", "aS", "WZ")
BLOCKS = (64, 128, 256, 512)
EVENTS = 1 << 15
# events per CPU second: (MadGraph5_aMC 3.1.1 Fortran, values; madjax, values with gradients)
MEASURED = {
    "e+ e- > mu+ mu-": (2.0e6, 3.2e4),
    "u u~ > e+ e- g": (2.1e5, 6.0e3),
    "e+ e- > t t~, (t > b u d~), (t~ > b~ d u~)": (4.3e5, 6.4e2),
    "g g > t t~": (3.5e5, 7.7e4),
    "g g > g g": (2.1e5, 9.4e4),
}
MORE = ("u u~ > u u~ g", "g g > t t~ g", "g g > g g g", "e+ e- > w+ w- z")


def main() -> None:
    print(f"calibration: {calibration():.3g} complex multiply-adds per CPU s, one core")
    for process in sys.argv[1:] or [*MEASURED, *MORE]:
        (made,) = element.build(process)
        print(f"\n{process}: {made.kept} of {made.configurations} helicities")
        for line in lines(process, made):
            print(f"  {line}", flush=True)


def calibration() -> float:
    """A chain of complex multiplications and additions on arrays that fit the first cache."""
    chain = jax.jit(lambda z: jax.lax.fori_loop(0, 4000, lambda _, x: x * z + z, z))
    z = jnp.full(1024, 0.5 + 0.5j)
    return 4000 * 1024 / best(lambda: jax.block_until_ready(chain(z)))


def best(run: Callable[[], Any], times: int = 5) -> float:
    """The least CPU seconds of a few calls, the first one apart."""
    run()
    found = []
    for _ in range(times):
        start = time.process_time()
        run()
        found.append(time.process_time() - start)
    return min(found)


def lines(process: str, made: element.Element) -> Iterator[str]:
    masses = [float(mass) for mass in made.masses({})]
    first = len(made.process.initial)
    momenta = jnp.asarray(points.sample(masses[:first], masses[first:], EVENTS))
    fortran, madjax = MEASURED.get(process, (None, None))
    for what, function, elsewhere in (
        ("value", value, fortran),
        ("value + gradient", value_and_gradient, madjax),
    ):
        rate, block = max((EVENTS / best(call(function(made, b), momenta)), b) for b in BLOCKS)
        ratio = "" if elsewhere is None else f", {rate / elsewhere:.3g} times {elsewhere:.2g}"
        yield f"{what:17}{rate:9.3g} events/s at {block} a block{ratio}"
        yield f"{'':17}{compiled(function(made, 128), momenta)}"
    yield from beside(process, momenta)


def call(run: Callable[[Any], Any], momenta: jax.Array) -> Callable[[], Any]:
    return lambda: jax.block_until_ready(run(momenta))


def value(made: Any, block: int) -> Any:
    return jax.jit(
        lambda p: map_blocks(lambda e: made.squared(DEFAULTS, e["momenta"]), {"momenta": p}, block)
    )


def value_and_gradient(made: Any, block: int) -> Any:
    return evaluation.compiled(made, DEFAULTS, WRT, block=block)


def compiled(run: Any, momenta: jax.Array) -> str:
    """CPU seconds to trace and compile, and temporary memory for few and for many events."""
    temporary = []
    for events in (EVENTS // 8, EVENTS):
        start = time.process_time()
        ready = run.lower(momenta[:events]).compile()
        took = time.process_time() - start
        temporary.append(ready.memory_analysis().temp_size_in_bytes / 1e6)
    few, many = temporary
    memory = f"{few:.2f} MB for {EVENTS // 8} events, {many:.2f} MB for {EVENTS}"
    return f"compiled in {took:.1f} CPU s; temporary memory {memory}"


def beside(process: str, momenta: jax.Array) -> Iterator[str]:
    """The same with madjax, where it and a package are there."""
    folder = os.environ.get("DIFFPIPE_MADJAX_PACKAGES")
    for package in sorted(Path(folder).iterdir()) if folder and process in MEASURED else ():
        from diffpipe.pipelines.physics.matrix_elements.madjax.backend import open_backend

        try:
            made = open_backend(str(package), process)
        except ValueError:
            continue
        rate = EVENTS / best(call(value_and_gradient(made, 1024), momenta))
        yield f"madjax, {package.name}: value + gradient {rate:.3g} events/s"


if __name__ == "__main__":
    main()
