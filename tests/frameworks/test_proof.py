"""The suite finds what is wrong with a stage, names it, and is silent where nothing is."""

import re
import shutil
from itertools import product
from pathlib import Path

import pytest
from support import diffpipe, document

from diffpipe.cache.errors import PipelineError, UsageError
from diffpipe.cli.stage import check
from diffpipe.pipelines.core.model import Function
from diffpipe.pipelines.proof.example import point_of
from diffpipe.pipelines.proof.finding import Verdict
from diffpipe.pipelines.proof.suite import LAWS, examine

STAGES = Path(__file__).parent / "stages"
IN_PROCESS = tuple(name for name in LAWS if name != "reload")


@pytest.fixture(autouse=True)
def _stages(monkeypatch):
    """The modules of the stages, as a pipeline file in their folder would find them."""
    monkeypatch.syspath_prepend(STAGES)


def failures(point, names=IN_PROCESS, **more):
    return [each for each in examine(point, names=names, **more) if not each.passed]


def faulty(fault):
    import faults

    function = Function("faults", "respond", STAGES)
    return point_of(function, "numpy", faults.example(fault))


def random_stage(*arguments, **more):
    import smooth

    function = Function("smooth", "curve", STAGES)
    return point_of(function, "numpy", smooth.point(*arguments, **more))


# fault -> the laws that fail, the array, and words of what is said of it
FAULTS = {
    "unsteady": ({"determinism"}, "y", "called twice, y[0] is "),
    "vjp_unsteady": ({"determinism"}, "gradient.scale", "called twice, gradient.scale is "),
    "single": ({"outputs"}, "y", "y is float32 (24,), described as float64 (24,)"),
    "missing": ({"outputs"}, "z", "z is not given; given: y, total"),
    "extra": ({"outputs"}, "more", "more is given, and was not declared"),
    "shape": ({"outputs"}, "z", "z is float64 (2, 24), described as float64 (24, 2)"),
    "infinite": ({"outputs"}, "y", "is inf"),
    "writes": ({"outputs"}, "", "ValueError"),
    "raises": ({"outputs"}, "", "asks for 'nothing'"),
    "leak": ({"rows", "adjoint", "jvp", "vjp"}, "y", "it depends on other events"),
    "average": ({"rows", "adjoint", "jvp", "vjp"}, "total", "or is no sum"),
    "vjp_9_percent": ({"adjoint", "vjp"}, "scale", "(times 1.09)"),
    "vjp_1e-5": ({"adjoint", "vjp"}, "scale", "(times 1.00001)"),
    "vjp_one_event": ({"adjoint", "vjp"}, "x", " / d x[5]: given"),
    "vjp_one_component": ({"adjoint", "vjp"}, "t", " / d t[7, 2]: given"),
    "vjp_of_array": ({"adjoint", "vjp"}, "shape", " / d shape[1]: given"),
    "vjp_sign": ({"adjoint", "vjp"}, "x", "d total[2] / d x["),
    "vjp_lost": ({"adjoint", "vjp"}, "table", " / d table[3]: given 0,"),
    "vjp_zero": ({"adjoint", "vjp"}, "t", ": given 0,"),
    "vjp_shape": ({"vjp"}, "scale", "gives float64 (1,) for parameter scale, which is float64 ()"),
    "vjp_single": (
        {"vjp", "adjoint"},
        "x",
        "gives float32 (24,) for input x, which is ",
    ),
    "vjp_nan": ({"vjp", "adjoint"}, "scale", "gives nan for parameter scale"),
    "jvp_9_percent": ({"adjoint", "jvp"}, "scale", "(times 1.09)"),
    "jvp_1e-5": ({"adjoint", "jvp"}, "x", "d y[4] / d x[4]: given"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found_and_named(fault):
    laws, array, words = FAULTS[fault]
    found = failures(faulty(fault))
    assert {each.law for each in found} <= laws
    named = [each.words for each in found if each.array == array]
    assert any(words in each for each in named), "\n".join(each.words for each in found)


def test_a_stage_that_counts_on_its_process_is_found_by_the_fresh_one():
    found = failures(faulty("process"), ("determinism", "reload"))
    words = "y has other bits in a fresh process: something outside counts"
    assert [(each.law, each.words) for each in found] == [("reload", words)]


REMARKS = {
    "swallows": ("nan", "comes out nowhere: is it cut away?"),
    "single_inside": ("outputs", "with values of float32: is it computed in it?"),
}


@pytest.mark.parametrize("fault", REMARKS)
def test_what_breaks_no_law_is_a_remark(fault):
    law, words = REMARKS[fault]
    found = examine(faulty(fault), names=("outputs", "determinism", "nan"))
    remarks = {each.law: each.words for each in found if each.verdict is Verdict.REMARK}
    assert all(each.passed for each in found)
    assert words in remarks[law]


SMOOTH = ("sine", "fast", "bell", "tanh", "cube", "linear")
ROUGH = ("offset", "zero", "root", "kink", "absolute", "cut", "steps", "noisy", "single")
SEEDS, MANY = range(3), range(3, 26)  # with all kinds and sizes 135 and 1035 stages
SIZES = ((1.0, 1.0), (1e12, 1e-12), (1e-12, 1e12))  # of what moves, and of what is given
DERIVATIVES = ("adjoint", "jvp", "vjp")


@pytest.mark.parametrize("kind", [*SMOOTH, *ROUGH])
@pytest.mark.parametrize("seeds", [SEEDS, pytest.param(MANY, marks=pytest.mark.slow)], ids=len)
def test_a_right_stage_never_alarms(kind, seeds):
    for seed, (size, level) in product(seeds, SIZES):
        found = examine(random_stage(kind, seed, size, level), seed=seed, names=DERIVATIVES)
        alarms = [each.words for each in found if each.verdict is Verdict.FAILED]
        assert not alarms, f"seed {seed}, size {size}: {alarms}"


@pytest.mark.parametrize("kind", SMOOTH)
def test_of_a_smooth_stage_everything_is_decided(kind):
    for seed in SEEDS:
        found = examine(random_stage(kind, seed), seed=seed, names=DERIVATIVES)
        assert {each.verdict for each in found} == {Verdict.PASSED}


# One component wrong by a part in 1e5; in 1e4 where slopes change within 1 / 40; by 9% where the
# values scatter by 1e-9.
EXACT = [kind for kind in (*SMOOTH, "root") if kind != "fast"]
DETECTED = [*((kind, 1e-5) for kind in EXACT), ("fast", 1e-4), ("noisy", 0.09)]


def failed(kind, seed, fault, wrong):
    """(law, array) -> the component that is named."""
    stage = random_stage(kind, seed, fault=fault, wrong=wrong)
    found = failures(stage, ("jvp", "vjp"), seed=seed)
    return {(each.law, each.array): each.numbers["wrt"] for each in found}


@pytest.mark.parametrize(("kind", "wrong"), DETECTED)
def test_a_wrong_component_is_found_in_any_direction(kind, wrong):
    for seed in SEEDS:
        found = failed(kind, seed, "component", wrong)
        both = {"p": "p[1]", "x": "x[2]"}
        assert found == {(law, n): at for law in ("jvp", "vjp") for n, at in both.items()}, seed


EVERYWHERE = {(law, name) for law in ("jvp", "vjp") for name in ("p", "x")}
FAULTY = [("all", 0.09), ("all", 1e-5), ("component", 1e-5), ("sign", 0.0)]


@pytest.mark.parametrize(("fault", "wrong"), FAULTY)
@pytest.mark.parametrize("seeds", [range(1), pytest.param(MANY, marks=pytest.mark.slow)], ids=len)
def test_every_planted_fault_is_found_whatever_the_function(fault, wrong, seeds):
    tried = [(kind, seed) for kind in EXACT for seed in seeds]
    found = [set(failed(kind, seed, fault, wrong)) == EVERYWHERE for kind, seed in tried]
    print(f"{fault} {wrong}: found {sum(found)} of {len(found)}")
    missed = [each for each, hit in zip(tried, found, strict=True) if not hit]
    assert not missed, f"{len(missed)} of {len(tried)} are not found"


def test_a_stage_that_refuses_to_be_moved_is_not_decided():
    (found,) = failures_and_open(faulty("refuses_others"), "scale")
    assert found.verdict is Verdict.OPEN
    assert "the stage refuses values near by" in found.words


def test_where_only_small_steps_are_allowed_those_decide():
    (found,) = failures_and_open(faulty("refuses_far"), "scale")
    assert found.verdict is Verdict.PASSED


def failures_and_open(point, array):
    return [each for each in examine(point, names=("vjp",)) if each.array == array]


def edge(name, **more):
    import edges

    function = Function("edges", name, STAGES)
    return point_of(function, "numpy", getattr(edges, f"example_{name}")(**more))


def test_a_component_at_a_kink_is_left_out_and_the_others_decide():
    right = examine(edge("hinge"), names=("vjp",))
    assert {each.verdict for each in right} == {Verdict.PASSED}
    (wrong,) = failures(edge("hinge", wrong=1e-5), ("vjp",))
    assert (wrong.numbers["of"], wrong.numbers["wrt"]) == ("y[1]", "x[1]")


def test_a_stage_at_a_kink_is_not_decided():
    (found,) = examine(edge("corner"), names=("vjp",))
    assert found.verdict is Verdict.OPEN
    assert found.words.startswith("d y / d a: given 0, by differences 0 ± ")
    assert "a kink or a cut is near" in found.words


def test_a_slope_that_is_lost_in_rounding_is_no_alarm():
    (found,) = examine(edge("saturated"), names=("vjp",))
    assert found.verdict is Verdict.PASSED


def test_a_covariance_is_moved_as_a_symmetric_matrix():
    found = examine(edge("chi2"), names=("vjp",))
    assert [(each.array, each.verdict) for each in found] == [
        ("covariance", Verdict.PASSED),
        ("r", Verdict.PASSED),
    ]


def test_complex_numbers_have_derivatives_too():
    found = examine(edge("wave"), names=("outputs", "adjoint", "jvp", "vjp"))
    assert {each.verdict for each in found} == {Verdict.PASSED}
    assert [each.array for each in found if each.law == "vjp"] == ["a", "z"]


def test_a_stage_without_derivatives_is_told_so():
    (found,) = examine(edge("plain"), names=("adjoint", "jvp", "vjp"))
    assert found.verdict is Verdict.REMARK
    assert "no gradient passes through it" in found.words


BAD_EXAMPLES = {
    "not a mapping": (7, "example_plain() gives: Expected `object`, got `int`"),
    "an unknown word": ({"input": {}}, "unknown field `input`"),
    "differences of sums": (
        {"over": "events", "outputs": {"y": {"sum": True}}, "derivative": "finite-difference"},
        "example_plain(): no finite differences of the sum y over events",
    ),
    "no outputs": ({"inputs": {"x": [1.0]}}, "declares no outputs, which numpy needs"),
}


@pytest.mark.parametrize("name", BAD_EXAMPLES)
def test_a_bad_example_is_refused(name):
    said, words = BAD_EXAMPLES[name]
    with pytest.raises(PipelineError, match=re.escape(words)):
        point_of(Function("edges", "plain", STAGES), "numpy", said)


def run(folder, *arguments):
    """`diffpipe stage check` in a folder."""
    return diffpipe("stage", "check", *arguments, store=folder / "store", cwd=folder)


@pytest.fixture
def folder(tmp_path):
    """A folder with the modules of the stages."""
    shutil.copytree(STAGES, tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_the_command_says_what_holds_of_a_function_with_an_example(folder):
    done = run(folder, "in_numpy:respond", "--framework", "numpy")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("respond (numpy), 24 of 24 events of shard 0\n")
    assert done.stdout.endswith("\n23 passed\n")


def test_the_command_says_failures_first_with_both_numbers(folder):
    done = run(folder, "faults:respond", "--framework", "numpy")
    first, *_, last = done.stdout.splitlines()[1:]
    assert done.returncode == 1
    assert first.startswith("failed ")
    assert last == "17 passed, 6 failed"
    assert done.stdout.count("(times 1.09)") == 5


def test_the_command_takes_the_inputs_of_a_stage_from_its_pipeline(folder):
    for target in ("respond", "in_numpy:respond"):  # by its name, and by its function
        done = run(folder, target, "--pipeline", "respond.yaml", "--shard", "1", "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        (found,) = document(done)["stages"]
        assert (found["shard"], found["rows"], found["of_rows"]) == (1, 16, 16)
        moved = {each["array"] for each in found["findings"] if each["law"] == "vjp"}
        assert moved == {"scale", "shape", "x", "t", "table"}


WRONG_USE = {
    ("maths:example",): "no numbers to put maths:example to the proof with",
    ("in_numpy:respnd",): "there is no function in_numpy:respnd in",
    ("matrix_elemnt",): "the pipeline drell_yan has no stage 'matrix_elemnt'",
    ("events",): "events is a source of events",
    ("table", "respond.yaml", None, 1): "the stage table has 1, from 0 on",
    ("respond", "respond.yaml", "torch"): "--framework is of a function that no stage uses",
    ("maths:example", None, "numpi"): "unknown framework 'numpi'",
}


@pytest.mark.parametrize("arguments", WRONG_USE)
def test_wrong_use_of_the_command_is_said(folder, monkeypatch, arguments):
    monkeypatch.chdir(folder)
    with pytest.raises(UsageError, match=re.escape(WRONG_USE[arguments])):
        check(*arguments, store=folder / "store")


def test_a_framework_that_is_not_installed_is_named_with_its_extra(folder):
    absent = "raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')\n"
    (folder / "torch.py").write_text(absent)
    done = run(folder, "in_numpy:respond", "--framework", "torch")
    assert (done.returncode, done.stdout) == (2, "")
    assert "torch is not installed: No module named 'torch'" in done.stderr
    assert "pip install 'diffpipe[torch]'" in done.stderr
