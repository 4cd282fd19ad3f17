"""Time and memory of the gradient of a long scan, for each way to hold its states.

    python tests/benchmarks/scans.py [STEPS [SIZE]]

1000 steps on a state of 240 x 240 floats: the tangent hyperbolic of a matrix product, compiled
before, one thread. Each way has a process of its own, so that its peak memory is known; beside the
seconds of the gradient stand those of a forward pass of `jax.lax.scan` in the same process.
"""

# ruff: noqa: E402 (the environment has to be there before jax is imported)

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from diffpipe.rules import machine

machine.prepare("cpu")
os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"

import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_enable_x64", True)

from diffpipe.pipelines.physics.scans.modes import recording
from diffpipe.pipelines.physics.scans.scan import scan
from diffpipe.pipelines.physics.scans.schemes import SCHEMES

STEPS, SIZE = 1000, 240
WAYS = {
    "lax.scan, all residuals": jax.lax.scan,
    "lax.scan of jax.checkpoint": lambda body, *given: jax.lax.scan(jax.checkpoint(body), *given),
    "nested": scan,
} | {
    f"{scheme}, snapshots={number}": partial(scan, snapshots=number, scheme=scheme)
    for scheme in SCHEMES
    for number in (10, 40, 64)
}


def main() -> None:
    steps, size = (int(each) for each in (sys.argv[1:] + [STEPS, SIZE][len(sys.argv) - 1 :])[:2])
    if way := os.environ.get("DIFFPIPE_BENCHMARK_WAY"):
        print(json.dumps(measured(way, steps, size)))
        return
    print(f"{steps} steps, state {size} x {size}, {8e-6 * size**2:.2f} MB")
    print(f"{'':28}{'fwd s':>7}{'grad s':>8}{'ratio':>7}{'peak MB':>9}{'held MB':>9}{'steps':>7}"
          f"{'compile s':>11}  gradient")  # fmt: skip
    for way in WAYS:
        print(f"{way:28}{line(way, steps, size)}", flush=True)


def line(way: str, steps: int, size: int) -> str:
    command = [sys.executable, __file__, str(steps), str(size)]
    environment = os.environ | {"DIFFPIPE_BENCHMARK_WAY": way}
    found = json.loads(subprocess.check_output(command, env=environment))
    said = "".join(f"{held:9.1f}{taken:7}" for held, taken in found["noted"])
    return (
        f"{found['forward']:7.2f}{found['gradient']:8.2f}"
        f"{found['gradient'] / found['forward']:7.2f}"
        f"{found['peak']:9.0f}{said:16}{found['compile']:11.2f}  {found['sum']!r}"
    )


def measured(way: str, steps: int, size: int) -> dict[str, Any]:
    """Seconds, and MB of memory beyond that before the first gradient."""
    generator = np.random.default_rng(1)
    matrix, start = generator.normal(size=(2, size, size)) / np.sqrt(size)

    def loss(run: Callable[..., Any], matrix: jax.Array, start: jax.Array) -> jax.Array:
        def step(state: jax.Array, _: None) -> tuple[jax.Array, None]:
            return jnp.tanh(matrix @ state), None

        return jnp.sum(run(step, start, None, steps)[0] ** 2)

    forward = jax.jit(partial(loss, jax.lax.scan))
    gradient = jax.jit(jax.grad(partial(loss, WAYS[way]), (0, 1)))
    forward_seconds = best(lambda: forward(matrix, start))
    begin = time.process_time()
    with recording() as scans:
        compiled = gradient.lower(matrix, start).compile()
    compile_seconds = time.process_time() - begin
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = best(lambda: compiled(matrix, start))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {
        "forward": forward_seconds, "gradient": seconds, "compile": compile_seconds,
        "noted": [(each.held_bytes / 1e6, each.forward_steps) for each in scans],
        "peak": peak / 1e3, "sum": float(jnp.sum(compiled(matrix, start)[0])),
    }  # fmt: skip


def best(run: Callable[[], Any], times: int = 2) -> float:
    """The lesser CPU seconds of two calls, the first one apart."""
    jax.block_until_ready(run())
    found = []
    for _ in range(times):
        begin = time.process_time()
        jax.block_until_ready(run())
        found.append(time.process_time() - begin)
    return min(found)


if __name__ == "__main__":
    main()
