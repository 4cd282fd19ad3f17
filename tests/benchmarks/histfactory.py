"""Time of log L and its gradient, and of what comes before, beside pyhf's with its JAX backend.

    python tests/benchmarks/histfactory.py [medium] [large] [FILE.json ...]

Both programs in this process, one thread each; the synthetic workspaces have every modifier type.
"""

# ruff: noqa: E402 (the environment has to be there before jax is imported)

import json
import os
import sys
import time
from pathlib import Path

from diffpipe.rules import machine

machine.prepare("cpu")
os.environ.pop("JAX_COMPILATION_CACHE_DIR", None)

import jax
import numpy as np
import pyhf

jax.config.update("jax_enable_x64", True)

from diffpipe.pipelines.physics.likelihood.histfactory.compile import compile
from diffpipe.pipelines.physics.likelihood.histfactory.evaluation import Evaluation
from diffpipe.pipelines.physics.likelihood.histfactory.load import load

SIZES = {"medium": (8, 8, 5, 20), "large": (30, 20, 20, 60)}  # channels, samples, bins, systematics


def synthetic(channels: int, samples: int, bins: int, systematics: int) -> dict:
    """A workspace: half of the systematics act on each sample, as shape, as norm, or as both."""
    generator = np.random.default_rng(1)
    listed, observed = [], []
    for c in range(channels):
        each = [_sample(generator, c, s, bins + c % 3, systematics) for s in range(samples)]
        listed.append({"name": f"channel_{c}", "samples": each})
        total = np.sum([sample["data"] for sample in each], axis=0)
        data = generator.poisson(total).astype(float).tolist()
        observed.append({"name": f"channel_{c}", "data": data})
    lumi = {"name": "lumi", "inits": [1.0], "bounds": [[0.9, 1.1]]}
    parameters = [lumi | {"auxdata": [1.0], "sigmas": [0.02]}]
    config = {"poi": "mu", "parameters": parameters}
    return {
        "channels": listed,
        "observations": observed,
        "measurements": [{"name": "m", "config": config}],
        "version": "1.0.0",
    }


def _sample(
    generator: np.random.Generator, channel: int, number: int, bins: int, systematics: int
) -> dict:
    data = generator.uniform(5.0, 50.0, bins)
    modifiers = [{"name": "lumi", "type": "lumi", "data": None}]
    errors = (0.05 * data).tolist()
    if number == 0:
        modifiers.append({"name": "mu", "type": "normfactor", "data": None})
    elif number == 1:
        name = f"free_{channel}"
        modifiers.append({"name": name, "type": "shapesys", "data": errors})
    elif number == 2 and channel < 2:
        modifiers.append({"name": f"driven_{channel}", "type": "shapefactor", "data": None})
    else:
        modifiers.append({"name": f"stat_{channel}", "type": "staterror", "data": errors})
    for i in generator.choice(systematics, systematics // 2, replace=False):
        if i % 3 != 0:
            shift = generator.normal(0.0, 0.05, bins)
            low, high = data * (1.0 - shift), data * (1.0 + shift)
            shape = {"lo_data": low.tolist(), "hi_data": high.tolist()}
            modifiers.append({"name": f"syst_{i}", "type": "histosys", "data": shape})
        if i % 3 != 1:
            factor = {"lo": 0.95, "hi": 1.06}
            modifiers.append({"name": f"syst_{i}", "type": "normsys", "data": factor})
    return {"name": f"sample_{number}", "data": data.tolist(), "modifiers": modifiers}


def of_diffpipe(path: Path) -> dict[str, float]:
    began = time.perf_counter()
    made = compile(load(path))
    evaluation = Evaluation(made)
    built = time.perf_counter()
    theta = jax.device_put(made.tables["init"])
    value, gradient = jax.block_until_ready(evaluation.value_and_gradient(theta))
    compiled = time.perf_counter()
    call = fastest(lambda: evaluation.value_and_gradient(theta))
    found = {"build": built - began, "compile": compiled - built, "call": call}
    return found | {"value": float(value), "size": float(abs(gradient).sum())}


def of_pyhf(path: Path) -> dict[str, float]:
    pyhf.set_backend("jax", precision="64b")
    began = time.perf_counter()
    workspace = pyhf.Workspace(json.loads(path.read_text()))
    model = workspace.model()
    data = jax.numpy.asarray(workspace.data(model))
    built = time.perf_counter()
    evaluate = jax.jit(jax.value_and_grad(lambda theta: model.logpdf(theta, data)[0]))
    theta = jax.device_put(np.array(model.config.suggested_init()))
    value, gradient = jax.block_until_ready(evaluate(theta))
    compiled = time.perf_counter()
    call = fastest(lambda: evaluate(theta))
    found = {"build": built - began, "compile": compiled - built, "call": call}
    return found | {"value": float(value), "size": float(abs(gradient).sum())}


def fastest(call) -> float:
    """Seconds of the fastest of many calls."""
    best, until = float("inf"), time.perf_counter() + 1.0
    while time.perf_counter() < until:
        began = time.perf_counter()
        jax.block_until_ready(call())
        best = min(best, time.perf_counter() - began)
    return best


def compare(path: Path) -> None:
    # pyhf last: it sets jax's state for itself
    ours, theirs = of_diffpipe(path), of_pyhf(path)
    print(f"{path} ({path.stat().st_size / 1e6:.2f} MB)")
    print(f"  {'':10} {'diffpipe':>12} {'pyhf':>12} {'ratio':>8}")
    for name in ("build", "compile", "call"):
        here, there = ours[name], theirs[name]
        print(f"  {name:10} {here:12.6f} {there:12.6f} {here / there:8.3f}")
    for name in ("value", "size"):
        print(f"  {name:10} relative difference {abs(ours[name] / theirs[name] - 1.0):.1e}")


def main() -> None:
    for name in sys.argv[1:] or ["medium"]:
        path = Path(name)
        if name in SIZES:
            path = Path(os.environ.get("TMPDIR", "/tmp")) / f"histfactory_{name}.json"
            path.write_text(json.dumps(synthetic(*SIZES[name])))
        compare(path)


if __name__ == "__main__":
    main()
