"""Every way to run a stage holds the laws: one stage, written in each, in a pipeline of its own."""

import shutil
import sys
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import yaml
from servers import SERVERS, serving
from support import needs, sweep

from diffpipe.cache.store import Store
from diffpipe.pipelines.core.assemble import assemble
from diffpipe.pipelines.core.plan import Request, make_plan
from diffpipe.pipelines.frameworks.base import Pull
from diffpipe.pipelines.frameworks.registry import runner
from diffpipe.pipelines.proof.calls import forward, pulled
from diffpipe.pipelines.proof.point import Point, before
from diffpipe.pipelines.proof.suite import LAWS, examine
from diffpipe.pipelines.proof.trial import Trial

STAGES = Path(__file__).parent / "stages"
PIPELINE = yaml.safe_load((STAGES / "respond.yaml").read_text())
ARGUMENTS = ["scale", "shape", "x", "t", "table", "label"]
UMBRIDGE = {"name": "umbridge", "model": "respond", "arguments": ARGUMENTS}
EACH = {"y": {}, "z": {"shape": [2]}}  # differences are taken of what is per event

# way -> what its stage has in the pipeline file; a new way is one line
WAYS = {
    "jax": {"uses": "in_jax:respond", "framework": "jax"},
    "numpy": {"uses": "in_numpy:respond", "framework": "numpy"},
    "differences": {
        "uses": "in_numpy:respond_each",
        "framework": "numpy",
        "derivative": "finite-difference",
        "outputs": EACH,
    },
    "torch": {"uses": "in_torch:respond", "framework": "torch"},
    "tensorflow": {"uses": "in_tensorflow:respond", "framework": "tensorflow"},
    "command": {"uses": "./in_command", "framework": {"name": "command", "jvp": True}},
    "umbridge": {"framework": UMBRIDGE},
    "tesseract": {"framework": "tesseract"},
}
PACKAGES = {"torch": "torch", "tensorflow": "tensorflow"} | SERVERS  # way -> the one it needs
ALL = [pytest.param(way, marks=needs(PACKAGES[way]) if way in PACKAGES else []) for way in WAYS]


@pytest.fixture(scope="module")
def point(tmp_path_factory):
    """The stage of a way, at what the stages before it give."""
    folder = tmp_path_factory.mktemp("ways")
    shutil.copytree(STAGES, folder, dirs_exist_ok=True)
    program = folder / "in_command"  # -I -S: it needs nothing that is installed
    program.write_text(f"#!{sys.executable} -IS\n{(STAGES / 'in_command.py').read_text()}")
    program.chmod(0o755)
    store = Store.open(folder / "store")
    with ExitStack() as running:
        address = cache(lambda way: running.enter_context(serving(way, folder)))

        def at(way, **more):
            path, said = folder / f"{way}.yaml", WAYS[way] | more
            if way in SERVERS:
                said |= {"uses": address(way)}
            stages = PIPELINE["stages"] | {"respond": PIPELINE["stages"]["respond"] | said}
            path.write_text(yaml.safe_dump(PIPELINE | {"stages": stages}, sort_keys=False))
            made = assemble(path)
            sweep(store, before(made, ["respond"]), Request("forward"))
            step = make_plan(store, made, Request("forward")).step("respond:primal")
            return Point.of_stage(made, step, store)

        yield at


@pytest.mark.parametrize("way", ALL)
def test_a_way_to_run_a_stage_holds_every_law(point, way):
    found = examine(point(way))
    wrong = [each for each in found if each.verdict.value != "passed"]
    assert not wrong, "\n".join(f"{each.law} {each.array}: {each.words}" for each in wrong)
    laws = {each.law for each in found}
    assert laws == set(LAWS)
    moved = {each.array for each in found if each.law == "vjp"}
    assert moved == {"scale", "shape", "x", "t", "table"}


@pytest.mark.parametrize("way", [each for each in ALL if each.values[0] == "umbridge"])
def test_of_vectors_of_one_size_events_that_know_of_others_are_found(point, way):
    found = examine(point(way, framework=UMBRIDGE | {"model": "leaky"}), names=("rows",), rows=12)
    failed = {each.array for each in found if each.verdict.value == "failed"}
    assert failed == {"y"}


# a dozen operations deep, of numbers of order one: rounding is some 1e-15
SAME = 1e-13


@pytest.mark.parametrize("way", ALL)
def test_many_cotangents_at_once_give_what_each_gives_alone(point, way):
    at = point(way)
    trial, generator = Trial(at), np.random.default_rng(5)
    rows = [trial.layout.named(trial.layout.random(generator)) for _ in range(3)]
    axes = {name: int(at.call.is_per_event(name)) for name in rows[0]}
    many = {name: np.stack([row[name] for row in rows], axis) for name, axis in axes.items()}
    pull = Pull(
        tuple(many),
        tuple(at.traits.moving),
        tuple(at.parameters),
        at.traits.rows,
        frozenset(at.traits.event_inputs) & frozenset(at.traits.moving),
        frozenset(name for name, axis in axes.items() if axis),
        len(rows),
    )
    found = runner(at.step).pullbacks(at.call, pull, at.parameters, at.inputs, many)
    for k, row in enumerate(rows):
        for name, alone in pulled(at, row).items():
            values = np.take(np.asarray(found[name]), k, axis=pull.axis(name))
            np.testing.assert_allclose(values, alone, rtol=0, atol=SAME * np.max(abs(alone)))


OTHERS = [each for each in ALL if each.values[0] not in ("jax", "differences")]


@pytest.mark.parametrize("way", OTHERS)
def test_values_and_gradients_are_those_of_jax(point, way):
    with_jax, other = point("jax"), point(way)
    trial = Trial(with_jax)
    w = trial.layout.named(trial.layout.random(np.random.default_rng(3)))
    for take in (forward, lambda each: pulled(each, w)):
        expected, found = take(with_jax), take(other)
        assert found.keys() == expected.keys()
        for name, values in expected.items():
            scale = np.max(abs(values))
            np.testing.assert_allclose(found[name], values, rtol=0, atol=SAME * scale)
