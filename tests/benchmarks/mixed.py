"""A chain over three frameworks on a million floats: through the store, and written by hand.

    python tests/benchmarks/mixed.py [REPEATS [FLOATS]]

CPU milliseconds of a forward and a backward pass of `mixed_wide`, with everything imported and
compiled before: by hand in one process, arrays handed over in memory; the same with np.save and
np.load of each array that one stage hands to another; and the workers of a run, a process for each
framework, arrays through the store. Beside it, what the process takes that plans the run and
drives Snakemake, whatever the size of the arrays. Where tesseract-core is installed: the three
steps as Tesseracts, in the process that calls them and served over HTTP by three others (client
and servers together), with replies in JSON, which is its default, and with arrays in base64.

Each repeat goes through all ways at another point, so that a machine which is busy slows down all
of them; the files of one repeat are deleted before the next. CPU times of other processes come in
steps of 10 ms.
"""

# ruff: noqa: E402 (the environment has to be there before a framework is imported)

import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

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

COUNT = int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000
WARM = 2  # repeats that are not counted: the first starts workers and compiles
TESSERACTS = Path(__file__).parent / "tesseracts"
IN_FILES, WORKERS = "by hand, npy files", "diffpipe: workers"
Chain = Callable[[float, float], tuple[float, float, float]]


@dataclass(frozen=True)
class Way:
    """A function of the two scales that gives y and its gradient, and what its CPU is read from."""

    run: Chain
    clocks: dict[str, Callable[[], float]]


class Silent:
    """Follows a run and says nothing."""

    planned = tick = said = staticmethod(lambda *_: None)


def cpu_of(word: str) -> float:
    """CPU seconds of those processes started by this one whose command has this word."""
    children = psutil.Process().children(recursive=True)
    found = [each for each in children if any(word in part for part in each.cmdline())]
    return sum(sum(each.cpu_times()[:2]) for each in found)


def rows(scale_a: float, scale_b: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    u = (np.arange(COUNT) + 0.5) / COUNT
    return scale_a * u, scale_b * (1.0 - u), u


def by_hand(keep: Callable[[np.ndarray], np.ndarray]) -> Chain:
    """The chain as one function; keep: what happens to each array between two stages."""
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

    def run(scale_a: float, scale_b: float) -> tuple[float, float, float]:
        a, b, u = rows(scale_a, scale_b)
        a, b = keep(a), keep(b)
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


def by_tesseract(add: Any, multiply: Any, square: Any) -> Chain:
    """The chain as its user writes it: outputs of one are inputs of the next, by name."""

    def run(scale_a: float, scale_b: float) -> tuple[float, float, float]:
        a, b, u = rows(scale_a, scale_b)
        first = {"a": a, "b": b}
        second = add.apply(first)
        third = multiply.apply(second)
        y = square.apply(third)["y"]
        pulled = square.vector_jacobian_product(third, ["product"], ["y"], {"y": 1.0})
        pulled = multiply.vector_jacobian_product(second, ["sum", "b"], ["product"], pulled)
        pulled = add.vector_jacobian_product(first, ["a", "b"], ["sum", "b"], pulled)
        return float(y), pulled["a"] @ u, pulled["b"] @ (1.0 - u)

    return run


def staged(folder: Path, place: Here) -> Chain:
    """A run of the pipeline by warm workers, on a store below the folder."""
    text = library.find("mixed_wide").read_text()

    def run(scale_a: float, scale_b: float) -> tuple[float, float, float]:
        set_values = {"scale_a": scale_a, "scale_b": scale_b}
        copy = shutil.copytree(library.find("mixed_wide").parent, folder / "pipeline")
        path = copy / "pipeline.yaml"
        path.write_text(text.replace("1000000", str(COUNT)))
        made = assemble(path, set_values=set_values)
        store = Store.open(folder / "store")
        found = Drive(store, made, Request("backward"), place, Silent()).run().results
        return found.objective, found.gradient["scale_a"], found.gradient["scale_b"]

    return run


@contextmanager
def tesseracts() -> Iterator[list[Way]]:
    """In process, and by three servers at 127.0.0.1."""
    if find_spec("tesseract_core") is None:
        yield []
        return
    from tesseract_core import Tesseract

    apis = [TESSERACTS / name / "tesseract_api.py" for name in ("add", "multiply", "square")]
    inside = by_tesseract(*(Tesseract.from_tesseract_api(each) for each in apis))
    ways = [Way(inside, {"Tesseract, in process": time.process_time})]

    def with_servers() -> float:
        return time.process_time() + cpu_of("tesseract-runtime")

    with ExitStack() as served:
        started = [Tesseract.from_source(each, python_executable=sys.executable) for each in apis]
        there = [served.enter_context(each) for each in started]
        for reply in ("json+base64", "json"):
            chain = by_tesseract(*(each.with_encoding(output_format=reply) for each in there))
            ways.append(Way(chain, {f"Tesseract, HTTP, {reply}": with_servers}))
        yield ways


def measure(ways: list[Way], folder: Path, repeats: int) -> tuple[dict[str, list[float]], float]:
    """CPU milliseconds by clock, and the largest relative difference between any two ways."""
    taken, differences = defaultdict(list), []
    for number in range(repeats + WARM):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        answers = []
        for way in ways:
            before = {label: clock() for label, clock in way.clocks.items()}
            answers.append(way.run(1.0 + 0.01 * number, 2.0))
            for label, clock in way.clocks.items():
                taken[label].append(1e3 * (clock() - before[label]))
        differences.append(np.abs(np.array(answers[1:]) / answers[0] - 1).max())
    return {label: times[WARM:] for label, times in taken.items()}, np.max(differences)


def main(repeats: int) -> None:
    place = Here(cores=1)
    with tempfile.TemporaryDirectory() as name, place.kept(), tesseracts() as more:
        folder = Path(name) / "repeat"
        clocks = {WORKERS: lambda: cpu_of("rules.worker"), "diffpipe: driver": time.process_time}
        ways = [
            Way(by_hand(lambda values: values), {"by hand": time.process_time}),
            Way(by_hand(through_files(folder)), {IN_FILES: time.process_time}),
            Way(staged(folder, place), clocks),
            *more,
        ]
        taken, difference = measure(ways, folder, repeats)
    assert difference < 1e-12, difference  # sums of a million terms in other orders
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}")
    print(f"{COUNT} floats, {repeats} repeats; values and gradients agree to {difference:.0e}")
    print(f"{'CPU ms':28}{'median':>8}{'least':>8}")
    for label, times in taken.items():
        print(f"{label:28}{statistics.median(times):8.0f}{min(times):8.0f}")
    ratios = [of(taken[WORKERS]) / of(taken[IN_FILES]) for of in (statistics.median, min)]
    print(f"{'workers / npy files':28}{ratios[0]:8.2f}{ratios[1]:8.2f}")


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
