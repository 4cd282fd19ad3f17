"""Fits: closed forms, all minimizers, priors and profiles; killed ones that go on; refusals."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from support import CASES, Request, Store, diffpipe, document, executions, sweep

from diffpipe.cache.errors import NonFiniteError, UsageError
from diffpipe.cache.evaluations import Evaluation, Evaluations
from diffpipe.cli.fit_progress import Quiet
from diffpipe.pipelines.core.assemble import assemble
from diffpipe.pipelines.core.demand import Presence
from diffpipe.pipelines.core.model import Function
from diffpipe.pipelines.core.results import read_results
from diffpipe.rules.drive import Finished
from diffpipe.rules.fit.fit import Asked, fit
from diffpipe.rules.fit.minimizers import MINIMIZERS
from diffpipe.rules.fit.minimum import Settings
from diffpipe.rules.fit.space import chosen, space
from diffpipe.rules.fit.sweeps import Sweeps
from diffpipe.rules.here import Here as Cores

LINE = CASES / "line" / "pipeline.yaml"
FREE = ["height", "slope", "bend"]
MEASURED = np.array([1.13, 1.21, 1.52, 1.65, 1.98])
ERRORS = np.array([0.05, 0.06, 0.05, 0.07, 0.06])
PRIOR = (0.1, 0.05)  # of bend


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A store for the fits whose number of sweeps does not matter."""
    return Store.open(tmp_path_factory.mktemp("fit") / "store")


class Here(Sweeps):
    """Sweeps in this process, task by task."""

    def run(self, made, request):
        plan, executed = sweep(self.store, made, request)
        present = Presence.read(self.store, plan.steps, forget=False).made
        counts = {step: mask.bit_count() for step, mask in present.items()}
        return Finished(plan, read_results(self.store, plan), executed, counts, 0.0)


def sweeps(store, made=None, of=None):
    request = Request("backward", of=[of] if of else None)
    return Here(store, made or assemble(LINE), request, Cores(1), Quiet())


def design():
    """Predictions per unit of height, slope and bend, (bin, parameter)."""
    t = (np.arange(60) + 0.5) / 60
    columns = np.stack([np.ones(60), t, t**2], axis=1)
    return columns.reshape(5, 12, 3).mean(axis=1)


def closed_form(free, fixed=(), prior=True):
    """Values and covariance of linear least squares; fixed: (column, value)."""
    matrix, covariance = design(), 0.3 * np.outer(ERRORS, ERRORS) + 0.7 * np.diag(ERRORS**2)
    weight = np.linalg.inv(covariance)
    rest = MEASURED - sum((matrix[:, k] * value for k, value in fixed), np.zeros(5))
    used = matrix[:, free]
    hessian, slope = used.T @ weight @ used, used.T @ weight @ rest
    if prior and 2 in free:
        place = free.index(2)
        hessian[place, place] += 1.0 / PRIOR[1] ** 2
        slope[place] += PRIOR[0] / PRIOR[1] ** 2
    return np.linalg.solve(hessian, slope), np.linalg.inv(hessian)


SLOW = ("adam", "lbfgs")  # many calls
EACH = [pytest.param(n, marks=[pytest.mark.slow] * (n in SLOW)) for n in MINIMIZERS]


@pytest.mark.parametrize("minimizer", EACH)
def test_every_minimizer_finds_the_closed_form_and_its_covariance(shared, minimizer):
    steps = 80 if minimizer == "adam" else None
    rate = 0.1 if minimizer == "adam" else 0.01
    asked = Asked(["height", "slope"], Settings(minimizer, steps, rate))
    found = fit(sweeps(shared), asked).fitted
    values, covariance = closed_form([0, 1], [(2, 0.1)])
    near = 0.3 if minimizer == "adam" else 2e-3  # of an error: adam has no end of its own
    assert abs(found.minimum.point.x - values).max() < near * np.sqrt(covariance.diagonal()).min()
    # exact, since the prediction is linear; six digits are written of the covariance
    np.testing.assert_allclose(found.uncertainty.covariance, covariance, rtol=1e-5)


def test_priors_and_how_much_they_matter(shared):
    found = fit(sweeps(shared), Asked(FREE))
    values, covariance = closed_form([0, 1, 2])
    alone, narrow = closed_form([0, 1], [(2, 0.1)])
    errors = np.sqrt(covariance.diagonal())
    assert abs(found.fitted.minimum.point.x - values).max() < 2e-3 * errors.min()
    np.testing.assert_allclose(found.fitted.uncertainty.covariance, covariance, rtol=1e-5)
    np.testing.assert_allclose(found.held.minimum.point.x, alone, rtol=1e-5)
    np.testing.assert_allclose(found.held.uncertainty.covariance, narrow, rtol=1e-5)
    assert found.fitted.goodness.degrees == 3  # a prior is a point of its own
    assert found.fitted.goodness.chi2 == pytest.approx(found.fitted.minimum.point.value)


def test_a_profile_fits_the_others_and_a_scan_holds_them(shared):
    asked = Asked(FREE, Settings(), profiles=["slope"], scans=[("slope", 0.9, 1.0, 3)])
    found = fit(sweeps(shared), asked)
    scan, profile = found.scans
    values, covariance = closed_form([0, 1, 2])
    error, hessian = np.sqrt(covariance[1, 1]), np.linalg.inv(covariance)
    np.testing.assert_allclose(profile.rises, [(k / 2.0 - 2.0) ** 2 for k in range(9)], atol=1e-5)
    np.testing.assert_allclose(profile.interval, values[1] + error * np.array([-1, 1]), rtol=1e-4)
    for value, height in zip(profile.values, profile.fitted["height"], strict=True):
        held, _ = closed_form([0, 2], [(1, value)])
        assert height == pytest.approx(held[0], rel=1e-5)
    steps = np.array([0.9, 0.95, 1.0]) - values[1]
    np.testing.assert_allclose(scan.rises, hessian[1, 1] * steps**2, rtol=1e-3)  # of 2e-3 errors


def test_an_objective_that_is_no_likelihood_has_errors_from_differences_of_gradients(
    shared,
):
    found = fit(sweeps(shared, of="steep.value"), Asked(["height", "slope"])).fitted
    x = found.minimum.point.x
    matrix = design()[:, :2]
    distance = matrix @ x + 0.1 * design()[:, 2] - np.array([1.0, 1.2, 1.4, 1.7, 1.9])
    hessian = matrix.T @ np.diag(np.cosh(distance)) @ matrix
    # gradient sinh and Hessian cosh of the distances; Minuit's differences are good to 1 %
    assert abs(matrix.T @ np.sinh(distance)).max() < 1e-3
    np.testing.assert_allclose(
        found.uncertainty.covariance, 2.0 * np.linalg.inv(hessian), rtol=0.01
    )
    assert found.uncertainty.source == "differences of gradients"
    assert found.goodness is None


def test_a_minimum_at_a_bound_is_said(shared):
    made = assemble(LINE)
    bounded = replace(made.parameters["slope"], bounds=(-1.0, 0.5))
    made = replace(made, parameters={**made.parameters, "slope": bounded})
    for minimizer in ("migrad", "lbfgs", "gauss-newton"):
        asked = Asked(["height", "slope"], Settings(minimizer))
        found = fit(sweeps(shared, made), asked).fitted
        values, _ = closed_form([0], [(1, 0.5), (2, 0.1)])
        assert found.minimum.point.x == pytest.approx([values[0], 0.5], abs=1e-4)
        said = found.problem.space.at_bounds(found.minimum.point.x)
        assert said == ["slope sits at its bound 0.5"]


def test_directions_that_data_do_not_determine_are_named(store, tmp_path):
    folder = tmp_path / "twins"
    shutil.copytree(LINE.parent, folder)
    code = (folder / "stages.py").read_text()
    (folder / "stages.py").write_text(code.replace('["slope"] * t ', '["slope"] '))
    with pytest.raises(
        NonFiniteError, match=r"does not curve upwards along (height, slope|slope, height)"
    ):
        fit(sweeps(store, assemble(folder / "pipeline.yaml")), Asked(["height", "slope"]))


def test_what_the_objective_does_not_depend_on_is_named(store):
    with pytest.raises(UsageError, match=r"likelihood\.chi2 does not depend on idle"):
        fit(sweeps(store), Asked(["height", "idle"], Settings("gauss-newton")))


def test_a_point_where_a_stage_fails_is_named(store, tmp_path):
    folder = tmp_path / "log"
    shutil.copytree(LINE.parent, folder)
    code = (folder / "stages.py").read_text()
    (folder / "stages.py").write_text(
        code.replace("weight = ", "weight = jnp.log(parameters['slope']) + ")
    )
    made = assemble(folder / "pipeline.yaml")
    words = r"count.*-inf.*this is where the fit tried height=1, slope=0"
    with pytest.raises(NonFiniteError, match=words):
        fit(sweeps(store, made), Asked(["height", "slope"]))


def test_a_repeated_fit_runs_no_sweep_and_ends_at_the_same_bits(store):
    first = sweeps(store)
    found = fit(first, Asked(FREE))
    before = len(executions(store))
    again = sweeps(store)
    repeated = fit(again, Asked(FREE))
    assert repeated.fitted.minimum.point.x.tobytes() == found.fitted.minimum.point.x.tobytes()
    assert again.calls == again.remembered == first.calls
    assert len(executions(store)) == before


def test_a_damaged_evaluation_is_computed_again_from_what_is_stored(store):
    fit(sweeps(store), Asked(["height"]))
    before, files = len(executions(store)), sorted(store.layout.evaluations.iterdir())
    files[0].write_bytes(files[0].read_bytes().replace(b'"objective":', b'"objective":1'))
    files[1].write_bytes(b"{")
    files[2].unlink()
    again = sweeps(store)
    fit(again, Asked(["height"]))
    assert again.calls - again.remembered == 3
    assert len(executions(store)) == before


def test_evaluations_keep_every_bit(store):
    kept = Evaluations(store.layout)
    numbers = [0.1 + 0.2, 5e-324, -1.7976931348623157e308]
    kept.put("a" * 40, Evaluation(numbers[0], numbers, [numbers], 1.0 / 3.0, 5))
    assert kept.get("a" * 40) == Evaluation(numbers[0], numbers, [numbers], 1.0 / 3.0, 5)
    assert kept.get("b" * 40) is None


@pytest.mark.slow  # a fit is begun many times
def test_law_5_a_fit_killed_at_random_moments_ends_at_the_same_bits(tmp_path):
    whole = document(diffpipe("fit", str(LINE), "--json", "-q", store=tmp_path / "whole"))
    store, moments = tmp_path / "killed", random.Random(7)
    for _ in range(2):
        started = subprocess.Popen(
            [sys.executable, "-m", "diffpipe.cli.app", "fit", str(LINE), "--json"],
            env=os.environ | {"DIFFPIPE_STORE": str(store)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        with started.stderr:
            while started.poll() is None and "(remembered)" in (started.stderr.readline() or " "):
                pass
            time.sleep(moments.uniform(0.0, 0.6))
            os.killpg(started.pid, signal.SIGKILL)
            started.wait()
    ended = document(diffpipe("fit", str(LINE), "--json", "-q", store=store))
    for name in ("parameters", "objective", "covariance", "calls"):
        assert ended[name] == whole[name]
    assert ended["remembered"] > 0
    slots = [len(executions(Store.open(tmp_path / name))) for name in ("whole", "killed")]
    assert slots[0] <= slots[1] <= slots[0] + 2  # law 5: the slot in flight, of each kill


def test_the_document_of_a_fit_has_what_it_promises(tmp_path):
    found = document(
        diffpipe("fit", str(LINE), "--minimizer", "gauss-newton", "--json", store=tmp_path / "s")
    )
    values, covariance = closed_form([0, 1], [(2, 0.1)])
    assert list(found["parameters"]) == ["height", "slope"]
    assert found["parameters"]["slope"]["value"] == pytest.approx(values[1], rel=1e-5)
    assert found["parameters"]["slope"]["error"] == pytest.approx(covariance[1, 1] ** 0.5, rel=1e-5)
    np.testing.assert_allclose(found["covariance"], covariance, rtol=1e-5)
    assert found["objective"] == pytest.approx(found["goodness"]["chi2"])
    assert found["calls"] >= 2
    assert found["stages"]["count"]["executed"] > 0
    (tmp_path / "fit.json").write_text(json.dumps(found))
    given = ("--values", str(tmp_path / "fit.json"), "--json")
    there = document(diffpipe("run", "forward", str(LINE), *given, store=tmp_path / "s"))
    assert there["objective"]["value"] == found["objective"]


@pytest.mark.parametrize(
    ("text", "words"),
    [("{", "--values"), ("[1]", "--values"), ('{"height": "x"}', "height is not a finite number")],
)
def test_values_of_a_file_that_are_none_are_refused(shared, tmp_path, text, words):
    path = tmp_path / "values.json"
    path.write_text(text)
    done = diffpipe("run", "forward", str(LINE), "--values", str(path), store=shared.root)
    assert done.returncode == 2
    assert words in done.stderr


REFUSED = {
    "unknown parameter": (["--wrt", "hight"], "did you mean height"),
    "unknown minimizer": (["--minimizer", "simplex"], "simplex"),
    "scan without a grid": (["--scan", "slope"], "name=lo:hi:n"),
    "scan downwards": (["--scan", "slope=1:0:3"], "lo below hi"),
    "profile of what is held": (["--profile", "bend"], "not among the parameters that are fitted"),
    "profile of a cluster": (["--profile", "slurm"], "--on slurm"),
    "start outside its bounds": (["--set", "slope=7"], "outside its bounds"),
    "no steps": (["--steps", "0"], "at least one step"),
    "no rise": (["--up", "0"], "--up 0"),
    "not a likelihood": (["--of", "steep.value", "--minimizer", "gauss-newton"], "likelihood"),
    "not of any objective": (["--of", "steep.valu"], "value"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_fitted_is_refused_in_words(shared, case):
    options, words = REFUSED[case]
    done = diffpipe("fit", str(LINE), *options, store=shared.root)
    assert done.returncode in (1, 2)
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_names_may_be_patterns_and_keep_the_order_of_the_pipeline():
    made = assemble(LINE)
    assert chosen(made, ["slo*", "height"]) == ["height", "slope"]
    assert chosen(made, None) == ["height", "slope"]
    assert space(made, ["bend"]).width == [0.05]
    with pytest.raises(UsageError, match="unknown parameter"):
        chosen(made, ["x*"])


@pytest.mark.slow  # fits by all that change
def test_an_objective_in_other_units_gives_the_same_fit(shared):
    """log L instead of 2 log L: half of chi^2, which rises by a half at one sigma."""
    made = assemble(LINE)
    half = replace(made.stages["likelihood"], function=Function("stages", "half", LINE.parent))
    made = replace(made, stages={**made.stages, "likelihood": half})
    found = fit(sweeps(shared, made), Asked(FREE, up=0.5)).fitted
    values, covariance = closed_form([0, 1, 2])
    assert abs(found.minimum.point.x - values).max() < 5e-3 * np.sqrt(covariance.diagonal()).min()
    # a parabola, of which Minuit's differences are good to 1e-5
    np.testing.assert_allclose(found.uncertainty.covariance, covariance, rtol=1e-4)
