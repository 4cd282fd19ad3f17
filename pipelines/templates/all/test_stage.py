"""The pipeline's objective and gradient, against the same physics in a few lines of NumPy."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy.special import expit, gammaln, ndtr

from diffpipe.pipelines.physics.events.sobol import sobol

HERE = Path(__file__).parent
EDGES = np.array([25.0, 35.0, 45.0, 55.0, 70.0, 90.0])
START = {"scale": 1.0, "saturation": 300.0}


def twice_nll(scale, saturation):
    events = yaml.safe_load((HERE / "pipeline.yaml").read_text())["events"]
    count = events["count"]
    energy = sobol(0, count, count=count, seed=events["seed"], **events["options"])["energy"]
    measured = (scale * energy / np.sqrt(1.0 + (energy / saturation) ** 2))[:, None]
    shares = np.diff(ndtr((EDGES - measured) / (0.8 * np.sqrt(measured))), axis=1)
    expected = np.sum(expit((measured - 30.0) / 4.0) * shares, axis=0)
    seen = np.loadtxt(HERE / "counts.csv", skiprows=2)
    return -2.0 * np.sum(seen * np.log(expected) - expected - gammaln(seen + 1.0))


@pytest.fixture(scope="module")
def found():
    """What `diffpipe run backward --json` says; a program is built first."""
    if (HERE / "Makefile").exists():
        subprocess.run(["make"], cwd=HERE, check=True)
    command = ["diffpipe", "run", "backward", "--cores", "1", "--json"]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_objective_is_that_of_the_composition(found):
    assert found["objective"]["value"] == pytest.approx(twice_nll(**START), rel=1e-12)


@pytest.mark.parametrize("name", START)
def test_the_gradient_is_the_slope_of_the_composition(found, name):
    step = 1e-3 * START[name]
    up, down = (twice_nll(**START | {name: START[name] + sign * step}) for sign in (1, -1))
    # a central difference is wrong by about the square of the relative step
    assert found["gradient"][name] == pytest.approx((up - down) / (2 * step), rel=1e-4)
