"""A chain over three frameworks on a million floats: through the store, and written by hand.

    python tests/benchmarks/mixed.py [REPEATS]

CPU milliseconds of a forward and a backward pass of `mixed_wide`, with everything imported and
compiled before: by hand in one process, arrays handed over in memory; the same with np.save and
np.load of each array that one stage hands to another; and the workers of a run, a process for each
framework, arrays through the store. Beside it, what the process takes that plans the run and
drives Snakemake, whatever the size of the arrays. Two rows of Tesseract (the three steps served
over HTTP, and in the process that calls them) where tesseract-core is installed.
"""

import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

from diffpipe.rules import machine

machine.prepare("cpu")

import numpy as np
import psutil

from diffpipe.cache.store import Store
from diffpipe.pipelines.core import library
from diffpipe.pipelines.core.assemble import assemble
from diffpipe.pipelines.core.plan import Request
from diffpipe.rules.drive import Drive
from diffpipe.rules.here import Here

COUNT = 1_000_000


class Silent:
    """Follows a run and says nothing."""

    def planned(self, plan, records):
        pass

    def tick(self, queued):
        pass

    def said(self, text):
        pass


def by_hand(keep: Callable[[np.ndarray], np.ndarray]) -> Callable[[float, float], tuple]:
    """The chain as one function of the two scales that gives the value and the gradient.

    keep: what happens to each array between two stages.
    """
    import jax
    import tensorflow as tf
    import torch

    jax.config.update("jax_enable_x64", True)
    multiply = jax.jit(lambda total, b: total * b)

    @jax.jit
    def pull_multiply(total, b, cotangent):
        return jax.vjp(lambda total, b: total * b, total, b)[1](cotangent)

    square = tf.function(lambda x: tf.reduce_mean(tf.square(x)), autograph=False)

    @tf.function(autograph=False)
    def pull_square(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.reduce_mean(tf.square(x))
        return tape.gradient(y, x)

    def run(scale_a: float, scale_b: float) -> tuple:
        u = (np.arange(COUNT) + 0.5) / COUNT
        a, b = keep(scale_a * u), keep(scale_b * (1.0 - u))
        with torch.no_grad():
            total = keep((torch.from_numpy(a) + torch.from_numpy(b)).numpy())
        product = keep(np.asarray(multiply(total, b)))
        y = float(square(tf.constant(product)))
        of_product = keep(pull_square(tf.constant(product)).numpy())
        of_total, of_b = (keep(np.asarray(x)) for x in pull_multiply(total, b, of_product))
        leaves = [torch.from_numpy(each).requires_grad_() for each in (a, b)]
        outputs = (leaves[0] + leaves[1], leaves[1])
        weights = [torch.from_numpy(each.copy()) for each in (of_total, of_b)]
        slopes = torch.autograd.grad(outputs, leaves, weights)
        of_a, of_b = (keep(each.numpy()) for each in slopes)
        return y, of_a @ u, of_b @ (1.0 - u)

    return run


def through_files(folder: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Each array is saved in a file of its own, and loaded again."""
    numbers = count()

    def keep(values: np.ndarray) -> np.ndarray:
        path = folder / f"{next(numbers)}.npy"
        np.save(path, values)
        return np.load(path)

    return keep


def cpu_ms(run: Callable[[], object], clock: Callable[[], float]) -> float:
    start = clock()
    run()
    return 1e3 * (clock() - start)


def cpu_of_workers() -> float:
    """CPU seconds of the processes that this one started, to 10 ms."""
    workers = psutil.Process().children(recursive=True)
    return sum(sum(each.cpu_times()[:2]) for each in workers)


def staged(folder: Path, repeats: int) -> tuple[list[float], list[float], tuple]:
    """CPU of the workers and of this process for a run, and the last value and gradient."""
    store, place = Store.open(folder / "store"), Here(cores=1)
    workers, drivers, found = [], [], None
    with place.kept():
        for number in range(repeats + 1):
            made = assemble(library.find("mixed_wide"), set_values=scales(number))
            drive = Drive(store, made, Request("backward"), place, Silent())
            before, start = (cpu_of_workers() if number else 0.0), time.process_time()
            found = drive.run().results
            workers.append(1e3 * (cpu_of_workers() - before))
            drivers.append(1e3 * (time.process_time() - start))
    gradient = found.gradient
    return workers[1:], drivers[1:], (found.objective, gradient["scale_a"], gradient["scale_b"])


def scales(number: int) -> dict[str, float]:
    """Another point for every run."""
    return {"scale_a": 1.0 + 0.01 * number, "scale_b": 2.0}


def main(repeats: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        in_memory, in_files = by_hand(lambda values: values), by_hand(through_files(folder))
        rows: dict[str, list[float]] = {"by hand": [], "by hand, npy files": []}
        expected: tuple = ()
        for number in range(repeats + 1):
            point = scales(number)
            for label, run in zip(rows, (in_memory, in_files), strict=True):
                taken = cpu_ms(lambda run=run, point=point: run(**point), time.process_time)
                rows[label].append(taken)
            expected = in_memory(**point)
        rows = {label: times[1:] for label, times in rows.items()}
        rows["diffpipe: workers"], rows["diffpipe: driver"], found = staged(folder, repeats)
    difference = max(abs(f / e - 1) for f, e in zip(found, expected, strict=True))
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}")
    print(f"{COUNT} floats, median of {repeats}; values and gradients agree to {difference:.0e}")
    for label, times in rows.items():
        print(f"{label:24}{statistics.median(times):8.0f} CPU ms")
    ratio = statistics.median(rows["diffpipe: workers"]) / statistics.median(
        rows["by hand, npy files"]
    )
    print(f"workers / by hand with npy files: {ratio:.2f}")


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
