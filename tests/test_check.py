"""The proof of a whole pipeline: right gradients pass, wrong ones fail and are named."""

from dataclasses import replace

import pytest
from msgspec import structs
from support import CASES, diffpipe, document, sweep, with_values

from diffpipe.cache.checks import Check, Checks, key_of
from diffpipe.cache.errors import UsageError
from diffpipe.cache.upkeep import size
from diffpipe.pipelines.core.assemble import assemble
from diffpipe.pipelines.core.plan import Request, make_plan
from diffpipe.pipelines.core.results import read_results
from diffpipe.pipelines.core.steps import primal_id
from diffpipe.pipelines.proof.finding import Verdict
from diffpipe.pipelines.proof.point import Point
from diffpipe.pipelines.proof.reached import reached
from diffpipe.pipelines.proof.suite import LAWS, examine
from diffpipe.rules import runs
from diffpipe.rules.collect import collect
from diffpipe.rules.drive import Finished
from diffpipe.rules.proof.gradients import gradients
from diffpipe.rules.proof.proof import Asked, Proof
from diffpipe.rules.proof.shadow import keep_only, shadow
from diffpipe.rules.proof.whole import Whole

IN_PROCESS = tuple(name for name in LAWS if name != "reload")


def case(name, **options):
    """A pipeline of the list, one of its stages with other options."""
    made = assemble(CASES / name / "pipeline.yaml")
    stages = {
        stage.name: replace(stage, options={**stage.options, **options}) if stage.options else stage
        for stage in made.stages.values()
        if not stage.source
    }
    return replace(made, stages={**made.stages, **stages})


def run(store, made, request):
    plan, executed = sweep(store, made, request)
    return Finished(plan, read_results(store, plan), executed, {}, 0.0)


def whole(store, made, seed=0):
    wrt = reached(made, made.objective, made.parameters).wrt
    return Whole(store, made, made.objective, wrt, run, seed)


def failures(found):
    return [each for each in found if not each.passed]


def test_a_right_gradient_passes_with_rates_of_two(store):
    proof = whole(store, case("bent"))
    taylor, adjoint = proof.examine()
    assert (taylor.verdict, adjoint.verdict) == (Verdict.PASSED, Verdict.PASSED)
    # the third derivative adds 8e-4 of the second to a rate at the coarser step
    assert [rate for _, rate in taylor.numbers["rates"]] == pytest.approx([2, 2], abs=0.01)
    assert taylor.numbers["relative_error"] < 1e-9
    assert proof.sweeps == 11  # six steps, four points near by, one of tangents


def test_what_is_computed_for_a_check_is_not_kept(store):
    made = case("bent")
    run(store, made, Request("backward", wrt=["height", "shape", "shift"]))
    before, written = store.artefact_keys(), size(store.layout.runs)
    whole(store, made).examine()
    assert store.artefact_keys() == before
    assert size(store.layout.runs) == written
    assert not list(store.layout.staging.iterdir())


def test_the_store_beside_shares_files_and_is_deleted(store):
    steps = run(store, case("bent"), Request("forward")).plan.steps
    keys = {step.key for step in steps}
    with shadow(store, [*steps, *steps]) as beside:  # stages that do the same share a key
        assert set(beside.artefact_keys()) == keys
        key = steps[0].key
        files = [each.layout.artefact(key) / "zarr.json" for each in (store, beside)]
        assert files[0].samefile(files[1])
        keep_only(beside, keys - {key})
        assert beside.get(key) is None
    assert store.get(key).is_complete
    assert not list(store.layout.staging.iterdir())


def test_in_each_parameter_its_own_value_and_error_are_given(store):
    found = whole(store, case("bent")).examine(each=True)
    named = {each.array: each.numbers for each in found if each.array}
    assert set(named) == {"height", "shape", "shift"}
    assert (named["height"]["wrt"], named["height"]["at"]) == ("height", 2.0)
    assert all(each["relative_error"] < 1e-8 for each in named.values())


# fault -> the component that is most wrong
WRONG = {
    "wrong by 9%": "height",
    "wrong by 1e-5": "height",
    "one component": "shape[2]",
    "sign of a small term": "shape[1]",
}


LONG = ("wrong by 9%", "one component")


@pytest.mark.parametrize(
    "fault", [pytest.param(f, marks=pytest.mark.slow) if f in LONG else f for f in WRONG]
)
def test_a_wrong_vjp_fails_end_to_end_and_its_stage_is_named(store, fault):
    found = failures(whole(store, case("bent", fault=fault)).examine())
    assert [each.law for each in found] == ["taylor", "adjoint", "adjoint"]
    assert found[0].numbers["wrt"] == WRONG[fault]
    assert "where 2 is right" in found[0].words
    assert found[2].array == "bent"


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_right_gradient_of_a_stage_that_scatters_is_no_alarm(store, seed):
    assert not failures(whole(store, case("bent", fault="noisy"), seed).examine())


def test_at_a_minimum_rounding_is_no_alarm(store):
    """There, terms cancel to a part in 1e9 of themselves."""
    made = case("bent")

    def slope(height):
        request = Request("backward", wrt=["height"])
        return run(store, with_values(made, height=height), request).results.gradient["height"]

    before, after = slope(2.0), slope(3.0)
    lowest = 2.0 - before / (after - before)  # chi2 is a parabola in the height
    proof = Whole(store, with_values(made, height=lowest), made.objective, ["height"], run)
    assert abs(slope(lowest)) < 1e-9 * abs(before)
    assert not failures(proof.examine())


def test_a_vjp_by_hand_that_is_wrong_by_1e_5_is_found_in_its_stage_and_end_to_end(store):
    made = case("by_hand", factor=1 + 1e-5)
    taylor, adjoint = whole(store, made).examine()
    assert (taylor.verdict, taylor.array) == (Verdict.FAILED, "rate")
    assert taylor.numbers["given"] / taylor.numbers["differences"] - 1 == pytest.approx(1e-5, 1e-3)
    assert (adjoint.verdict, adjoint.array) == (Verdict.REMARK, "decay")
    steps = make_plan(store, made, Request("forward")).steps
    wrong = {}
    for step in steps:
        if step.id in map(primal_id, ("decay", "total")):
            found = examine(Point.of_stage(made, step, store), names=IN_PROCESS)
            wrong[step.stage] = [each.array for each in failures(found)]
    assert wrong == {"decay": ["rate"], "total": []}


def test_a_right_vjp_by_hand_passes(store):
    made = case("by_hand")
    taylor, adjoint = whole(store, made).examine()
    assert (taylor.verdict, adjoint.verdict) == (Verdict.PASSED, Verdict.REMARK)


def test_what_is_wrong_beside_the_way_to_the_objective_is_a_remark(store):
    made = case("bent", fault="wrong by 9%")
    run(store, made, Request("forward"))
    step = make_plan(store, made, Request("forward")).step(primal_id("bent"))
    point = Point.of_stage(made, step, store, is_passed=False)
    found = examine(point, names=("adjoint", "jvp", "vjp"))
    said = {(each.law, each.verdict) for each in found}
    assert said == {("jvp", Verdict.PASSED), ("vjp", Verdict.REMARK)}


def test_parameters_whose_gradient_is_cut_off_are_left_out_with_the_reason():
    made = case("bent")
    wrt, left_out = reached(made, made.objective, made.parameters)
    assert wrt == ["height", "shape", "shift"]
    assert left_out == {"cut": "gradients stop at the stage level, as its pipeline file says"}


def test_the_command_says_failures_first_and_status_when_a_gradient_was_checked(tmp_path):
    text = (CASES / "bent" / "pipeline.yaml").read_text()
    (tmp_path / "pipeline.yaml").write_text(text.replace("fault: none", "fault: wrong by 1e-5"))
    (tmp_path / "stages.py").write_text((CASES / "bent" / "stages.py").read_text())
    done = diffpipe("check", "--wrt", "height", store=tmp_path / "store", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split()[:2] == ["bent", "failed"]
    assert [line.split() for line in lines[-3:]] == [
        ["moved", "passed", "9", "laws"],
        ["level", "passed", "3", "laws,", "1", "remark"],
        ["fit", "passed", "9", "laws"],
    ]
    found = document(diffpipe("status", "--json", store=tmp_path / "store", cwd=tmp_path))
    (gradient,) = found["gradients"]
    assert (gradient["objective"], gradient["moved"]) == ("fit.chi2", {})
    assert gradient["unchecked"] == []
    assert gradient["checked"]["verdict"] == found["checked"]["bent"]["verdict"] == "failed"
    assert found["checked"]["moved"]["verdict"] == "passed"


CHECK = Check("fit.chi2", "passed", {"passed": 2}, ["a"], {"a": 1.0}, 0, {"numpy": "2"}, "2026")


def test_a_check_is_kept_whole_or_counts_as_missing_and_is_no_garbage(store):
    checks, key = Checks(store.layout), key_of("0" * 40, "chi2")
    assert checks.get(key) is None
    checks.put(key, CHECK)
    assert checks.get(key) == CHECK
    collect(store, 0, dry_run=False)
    assert checks.get(key) == CHECK
    path = store.layout.check(key)
    path.write_text(path.read_text().replace("passed", "failed"))
    assert checks.get(key) is None


def test_gradients_are_listed_with_where_they_are_and_what_they_were_not_checked_in(store):
    made = case("bent")
    for height in (2.0, 2.5):
        request = Request("backward", wrt=["height", "shift"])
        plan, _ = sweep(store, with_values(made, height=height), request)
        runs.end_run(runs.all_runs(store)[-1], runs.Outcome("done"))
    key = key_of(plan.objective.key, plan.objective.array)
    Checks(store.layout).put(key, structs.replace(CHECK, wrt=["height"]))
    checked, never = gradients(store, made)
    assert (checked.objective, checked.wrt) == ("fit.chi2", ["height", "shift"])
    assert (checked.moved, checked.unchecked) == ({"height": 2.5}, ["shift"])
    assert (never.moved, never.check) == ({}, None)


def test_a_stage_that_is_not_there_is_refused(store):
    proof = Proof(store, case("bent"), Asked(names=["bend"]), None, None)
    with pytest.raises(UsageError, match="no stage 'bend' to check"):
        list(proof.run())
