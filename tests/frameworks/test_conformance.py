"""Every way to run a stage holds the laws: one stage, written in each, in a pipeline of its own."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from support import needs, sweep

from diffpipe.cache.store import Store
from diffpipe.pipelines.core.assemble import assemble
from diffpipe.pipelines.core.plan import Request, make_plan
from diffpipe.pipelines.proof.calls import forward, pulled
from diffpipe.pipelines.proof.point import Point, before
from diffpipe.pipelines.proof.suite import examine
from diffpipe.pipelines.proof.trial import Trial

STAGES = Path(__file__).parent / "stages"
PIPELINE = yaml.safe_load((STAGES / "respond.yaml").read_text())
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
}
EXTRAS = {name: needs(name) for name in ("torch", "tensorflow")}  # way -> the package it needs
ALL = [pytest.param(way, marks=EXTRAS.get(way, [])) for way in WAYS]


@pytest.fixture(scope="module")
def point(tmp_path_factory):
    """The stage of a way, at what the stages before it give."""
    folder = tmp_path_factory.mktemp("ways")
    shutil.copytree(STAGES, folder, dirs_exist_ok=True)
    store = Store.open(folder / "store")

    def at(way):
        path = folder / f"{way}.yaml"
        stages = PIPELINE["stages"] | {"respond": PIPELINE["stages"]["respond"] | WAYS[way]}
        path.write_text(yaml.safe_dump(PIPELINE | {"stages": stages}, sort_keys=False))
        made = assemble(path)
        sweep(store, before(made, ["respond"]), Request("forward"))
        step = make_plan(store, made, Request("forward")).step("respond:primal")
        return Point.of_stage(made, step, store)

    return at


@pytest.mark.parametrize("way", ALL)
def test_a_way_to_run_a_stage_holds_every_law(point, way):
    found = examine(point(way))
    wrong = [each for each in found if each.verdict.value != "passed"]
    assert not wrong, "\n".join(f"{each.law} {each.array}: {each.words}" for each in wrong)
    laws = {each.law for each in found}
    assert laws == {"outputs", "determinism", "rows", "nan", "adjoint", "jvp", "vjp", "reload"}
    moved = {each.array for each in found if each.law == "vjp"}
    assert moved == {"scale", "shape", "x", "t", "table"}


# a dozen operations deep, of numbers of order one: rounding is some 1e-15
SAME = 1e-13
WHOLE = ("numpy", "torch", "tensorflow")


@pytest.mark.parametrize("way", [each for each in ALL if each.values[0] in WHOLE])
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
