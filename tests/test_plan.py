"""Plans ahead: which stages store residuals, what a run will take, and budgets that are kept."""

import contextlib
import time
from dataclasses import replace

import psutil
import pytest
from support import (
    CASES,
    Checkpoint,
    Description,
    Request,
    Store,
    assemble,
    diffpipe,
    document,
    make_plan,
    pipeline,
    started,
    sweep,
    with_values,
)

from diffpipe.cache.checkpoints import Checkpoints, Measured, Times
from diffpipe.cache.errors import InterruptedRunError, OverBudgetError
from diffpipe.cache.specs import ArraySpec
from diffpipe.cli.forecast import Forecaster
from diffpipe.pipelines.core.costs import Costs
from diffpipe.pipelines.core.model import Derivative
from diffpipe.rules.budget import Budget, CrampedError, writes

CURVE = str(CASES / "curve" / "pipeline.yaml")
AUTO = ("table", "mix")  # of these one runs once, one over events
BACKWARD = Request("backward")


def left_open(made, *names):
    """The pipeline with the policy of some stages left to the planner."""
    auto = {name: replace(made.stages[name], checkpoint=Checkpoint.AUTO) for name in names}
    return replace(made, stages={**made.stages, **auto})


def joins(shard=None, **values):
    return with_values(left_open(pipeline("joins", shard), *AUTO), **values)


def policies(plan):
    return {name: choice.policy.value for name, choice in plan.checkpoints.items()}


def measured(size, saved):
    """A measurement of residuals of so many bytes that save so many seconds."""
    return Measured(size, Times(1.0, 1.0, 2.0, 2.0 - saved - 2e-3, 1e-3, 1e-3))


def paying(store, made, *names, size=1000, saved=1.0):
    """Say of some stages that residuals pay."""
    for name in names:
        key = make_plan(store, made, BACKWARD).checkpoints[name].measure
        Checkpoints(store.layout).put(key, measured(size, saved))


# --- the rule

# Seconds on one shared machine: forward, keeping residuals, pullback, from residuals; bytes. Of
# helicity amplitudes indexed by helicity and by column, an evolution by a scan of 100 steps, the
# same with its step checkpointed, a histogram by kernels. Written at 0.4 GB/s, read at 0.8.
PUBLISHED = {
    "helicities, indexed": ((0.056, 0.19, 6.1, 9.8), 429e6, False),
    "helicities, in columns": ((0.006, 0.09, 0.64, 0.37), 288e6, False),
    "evolution, all residuals": ((0.28, 1.2, 1.65, 0.85), 553e6, False),
    "evolution, scan carries": ((0.31, 0.45, 2.35, 1.55), 47e6, True),
    "kernels": ((0.5, 0.56, 1.15, 0.16), 262e6, False),
}


@pytest.mark.parametrize("stage", PUBLISHED)
def test_the_rule_decides_as_was_measured_to_be_best(stage):
    seconds, size, stored = PUBLISHED[stage]
    assert (Times(*seconds, write=size / 0.4e9, read=size / 0.8e9).saved > 0) == stored


# --- decisions


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A store with a backward sweep that measured, and its plan."""
    store = Store.open(tmp_path_factory.mktemp("plans") / "store")
    plan, _ = sweep(store, joins(), BACKWARD)
    return store, plan


def test_the_first_shard_is_measured_and_an_unchanged_rerun_executes_nothing(swept):
    store, plan = swept
    assert policies(plan) == dict.fromkeys(AUTO, "recompute")
    found = {name: Checkpoints(store.layout).get(plan.checkpoints[name].measure) for name in AUTO}
    # of `mix` the 16 pairs' sines and cosines and what they are made from, at least
    assert found["mix"].residual_bytes > 16 * 8
    assert all(second > 0 for each in found.values() for second in vars_of(each.times))
    again = make_plan(store, joins(), BACKWARD)
    assert not again.tasks
    assert not any(choice.measure for choice in again.checkpoints.values())
    assert not list(store.layout.staging.iterdir())


def vars_of(times):
    return [getattr(times, name) for name in ("forward", "pullback", "write", "read")]


def test_elsewhere_the_measurement_decides_and_gives_the_keys_of_the_policy(tmp_path):
    store = Store.open(tmp_path / "store")
    paying(store, joins(), "mix")
    plan, done = sweep(store, joins(slope=0.8), BACKWARD)
    assert policies(plan) == {"table": "recompute", "mix": "residuals"}
    assert "save 1 s" in plan.checkpoints["mix"].why
    assert plan.step("mix:pullback").saved is not None
    assert done
    # the file of this pipeline says residuals of mix, and nothing of the others
    assert not make_plan(store, with_values(pipeline("joins"), slope=0.8), BACKWARD).tasks


def test_what_was_begun_is_gone_on_with_whatever_is_measured_since(tmp_path):
    store, made = Store.open(tmp_path / "store"), joins()
    key = make_plan(store, made, BACKWARD).checkpoints["mix"].measure
    paying(store, made, "mix")
    left = iter(range(12))  # slots until the run is killed: the source, the table, a few shards
    with pytest.raises(InterruptedRunError):
        sweep(store, made, Request("forward"), still_wanted=lambda: next(left, None) is not None)
    Checkpoints(store.layout).put(key, measured(1000, -1.0))
    plan = make_plan(store, made, BACKWARD)
    assert 0 < plan.slots_present["mix:primal"] < plan.step("mix:primal").slots
    assert policies(plan)["mix"] == "residuals"


def test_a_measurement_holds_for_other_values_and_not_for_other_shapes(tmp_path):
    store = Store.open(tmp_path)
    keys = {
        make_plan(store, made, BACKWARD).checkpoints["mix"].measure
        for made in (joins(), joins(slope=0.9, matrix=((2.0, 0.0), (0.0, 2.0))))
    }
    assert len(keys) == 1
    assert make_plan(store, joins(shard=8), BACKWARD).checkpoints["mix"].measure not in keys


def test_a_damaged_measurement_counts_as_missing(tmp_path):
    store = Store.open(tmp_path)
    paying(store, joins(), "mix")
    (path,) = store.layout.checkpoints.iterdir()
    path.write_text(path.read_text().replace("1000", "1001"))
    assert make_plan(store, joins(), BACKWARD).checkpoints["mix"].why == "not measured yet"


def test_room_goes_to_the_residuals_that_save_most_a_byte(tmp_path):
    store, made = Store.open(tmp_path), left_open(pipeline("joins"), "warp", "mix")
    paying(store, made, "warp", size=1000, saved=3.0)
    paying(store, made, "mix", size=500, saved=2.0)
    slots = made.stages["mix"].slots
    chosen = {
        room: policies(make_plan(store, made, Request("backward", room=room)))
        for room in (None, 1500 * slots, 1000 * slots, 499 * slots)
    }
    stores = [{name for name, each in of.items() if each == "residuals"} for of in chosen.values()]
    assert stores == [{"warp", "mix"}, {"warp", "mix"}, {"mix"}, set()]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"framework": "numpy"}, "a stage of numpy keeps no residuals"),
        ({"derivative": Derivative.STOP}, "its derivative is stop"),
    ],
)
def test_where_residuals_are_of_no_use_nothing_is_measured(tmp_path, changes, why):
    made = joins()
    made.stages["table"] = replace(made.stages["table"], **changes)
    choice = make_plan(Store.open(tmp_path), made, BACKWARD).checkpoints["table"]
    assert (choice.policy, choice.why, choice.measure) == (Checkpoint.RECOMPUTE, why, None)


# --- budgets


def described(store, made):
    plan = make_plan(store, made, BACKWARD)
    description = Description(plan, store)
    description.run()
    return plan, description.specs


def test_a_disk_budget_gives_up_chosen_residuals_first_and_is_refused_by_name(tmp_path):
    store = Store.open(tmp_path)
    plain, specs = described(store, joins())
    with pytest.raises(OverBudgetError, match=r"writes .* kB \(.* pullback .*budget is 2 kB"):
        Budget(disk=2000).check_disk(store, plain, specs)
    needed = writes(store, plain, specs).total
    Budget(disk=needed).check_disk(store, plain, specs)
    paying(store, joins(), "mix")
    plan, specs = described(store, joins())
    with pytest.raises(CrampedError) as cramped:
        Budget(disk=needed + 10).check_disk(store, plan, specs)
    assert cramped.value.room == 10
    ahead = Forecaster(store, joins(), BACKWARD, 2, Budget(disk=needed + 10)).forecast()
    assert ahead.refused is None
    assert [step.key for step in ahead.plan.steps] == [step.key for step in plain.steps]


def test_a_run_that_would_fill_the_disk_is_refused(tmp_path):
    store = Store.open(tmp_path)
    plan = make_plan(store, pipeline("curve"), BACKWARD)
    key = plan.step("height:primal").key
    with pytest.raises(OverBudgetError, match=r"writes 8e\+03 TB .*the disk of .* has left"):
        Budget().check_disk(store, plan, {key: {"x": ArraySpec.once((10**15,), "float64")}})


@pytest.mark.parametrize(("memory", "workers"), [(900e6, 2), (799e6, 1), (499e6, None)])
def test_a_memory_budget_sets_how_many_workers_there_are(tmp_path, memory, workers):
    plan = make_plan(Store.open(tmp_path), pipeline("curve"), Request("backward", jobs=4))
    sizes = {step.id: 1 if step.call is None else step.call.rows(0) for step in plan.steps}
    peaks = {
        (step.stage, step.kind, int(step.kind == "pullback"), sizes[step.id]): 300.0
        for step in plan.steps
    }
    budget, costs = Budget(memory=int(memory)), Costs(peaks=peaks)
    if workers is None:
        with pytest.raises(OverBudgetError, match="jax 300 MB"):
            budget.workers(plan, {}, costs, 2)
    else:
        assert budget.workers(plan, {}, costs, 2) == workers


def test_long_scans_are_said_with_the_states_and_the_steps_that_their_pullback_takes(tmp_path):
    (tmp_path / "stages.py").write_text(
        "import jax.numpy as jnp\n"
        "from diffpipe.pipelines.physics.scans.scan import scan\n"
        "def long(parameters, inputs):\n"
        "    step = lambda state, _: (state + parameters['rate'] * jnp.sin(state), None)\n"
        "    return {'y': jnp.sum(scan(step, jnp.ones(100), None, 1000)[0])}\n"
    )
    (tmp_path / "pipeline.yaml").write_text(
        "pipeline: long\nparameters: {rate: 0.1}\nobjective: long.y\n"
        "stages: {long: {uses: 'stages:long', over: once, parameters: [rate]}}\n"
    )
    made, store = assemble(tmp_path / "pipeline.yaml"), Store.open(tmp_path / "store")
    (scan,) = Forecaster(store, made, BACKWARD, 1, Budget()).forecast().scans["long"]
    assert (scan.length, scan.held_bytes) == (1000, 800 * scan.snapshots)
    assert scan.snapshots < 100 < 1000 < scan.forward_steps < 3000  # square roots, not lengths


# --- the command line


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """A run under a memory budget for one worker; MB that its processes held, and how many work."""
    store = tmp_path_factory.mktemp("watched") / "store"
    most, workers = 0.0, 0
    with started(CURVE, store, "--memory-budget", "1100MB", "--cores", "2") as run:
        tree = psutil.Process(run.pid)
        while run.poll() is None:
            with contextlib.suppress(psutil.Error):
                processes = [tree, *tree.children(recursive=True)]
                most = max(most, sum(each.memory_info().rss for each in processes) / 1e6)
                workers = max(workers, sum("serve" in each.cmdline() for each in processes))
            time.sleep(0.02)  # seldom enough to leave the run its processor
        assert run.returncode == 0, run.stderr.read()
    return store, most, workers


def test_a_memory_budget_is_kept(watched):
    _, most, workers = watched
    assert workers == 1
    assert most < 1100 * 2**20 / 1e6


def test_bytes_are_predicted_exactly_and_what_was_measured_predicts_the_next_run(watched):
    store, most, _ = watched
    found = document(diffpipe("plan", "--last", "--json", store=store))
    steps = found["steps"].values()
    for step in steps:
        assert step["bytes"]["predicted"] == step["bytes"]["measured"]
        assert step["slots"]["predicted"] == step["slots"]["measured"]
        assert step["seconds"]["predicted"] is None
        assert 0 < step["peak_mb"]["measured"] < most
    chunks = (store / "objects").glob("*/*/c*")
    assert sum(path.stat().st_size - 4 for path in chunks) == sum(  # without checksums
        step["bytes"]["measured"] for step in steps
    )
    ahead = document(diffpipe("plan", CURVE, "--set", "rate=1.1", "--json", store=store))
    assert ahead["peak_measured"]
    took = sum(step["seconds"]["measured"] for step in steps)
    assert 0 < ahead["seconds"] <= took  # the source and the once-stage are reused


def test_a_plan_over_its_budget_is_refused_and_says_so_in_words(tmp_path):
    small = diffpipe("plan", CURVE, "--memory-budget", "300MB", store=tmp_path / "none")
    assert small.returncode == 1
    assert "height:primal" in small.stdout
    assert "the memory budget is 315 MB" in small.stderr
    assert not (tmp_path / "none").exists()
    wrong = diffpipe("plan", CURVE, "--disk-budget", "much", store=tmp_path / "none")
    assert wrong.returncode == 2
    assert "--disk-budget: 'much' is not a number with a unit" in wrong.stderr
