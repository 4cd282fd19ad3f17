"""Sums stored in blocks of shards: the same numbers, fewer chunks, and the block is made again."""

import random
import shutil
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import support
import zarr
from support import bits, executions, pipeline, sweep

from diffpipe.cache import masks, upkeep
from diffpipe.cache.errors import (
    DamagedError,
    InterruptedRunError,
    NonFiniteError,
    PipelineError,
)
from diffpipe.cache.specs import ArraySpec
from diffpipe.cache.store import Store
from diffpipe.pipelines.core.assemble import assemble
from diffpipe.pipelines.core.environment import Environment
from diffpipe.pipelines.core.identity import Identity
from diffpipe.pipelines.core.plan import Plan, Request, make_plan
from diffpipe.pipelines.core.shards import BlockSum, pairwise_sum

BLOCK = 3  # of the pipeline "blocks": 11 shards, four blocks, the last of two shards
CASE = support.CASES / "blocks" / "pipeline.yaml"
REQUEST = Request("backward")


def chunks_of(store):
    """The bytes of every chunk."""
    files = (path for path in store.layout.objects.glob("*/*/c*") if path.is_file())
    return {path.relative_to(store.root): path.read_bytes() for path in files}


def chunks_in(artefact, name):
    return [path.name for path in (artefact.folder / name).glob("c*")]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A store with a finished sweep of the pipeline, and its plan."""
    store = Store.open(tmp_path_factory.mktemp("finished") / "store")
    plan, _ = sweep(store, pipeline("blocks"))
    return store, plan


@pytest.fixture
def copy(finished, tmp_path):
    shutil.copytree(finished[0].root, tmp_path / "copy")
    return Store.open(tmp_path / "copy")


# --- the numbers


@pytest.mark.parametrize(("name", "shard"), [("joins", 16), ("curve", 3), ("blocks", None)])
def test_blocks_of_a_power_of_two_give_the_bits_of_shards(tmp_path, name, shard):
    found = []
    for block in (1, 2, 4, 64):
        store = Store.open(tmp_path / str(block))
        plan, _ = sweep(store, pipeline(f"{name}{support.IN_BLOCKS}{block}", shard))
        found.append(bits(store, plan))
    assert found[0] == found[1] == found[2] == found[3]


@pytest.mark.parametrize("shards", [1, 2, 3, 7, 8, 21, 64, 100])
@pytest.mark.parametrize("block", [1, 2, 3, 4, 16, 1000])
def test_the_sum_over_a_block_is_the_pairwise_sum_of_its_shards(shards, block):
    values = np.random.default_rng(1).normal(size=(shards, 2)) * 10.0 ** np.arange(2)
    blocks = BlockSum(block, shards)
    found = [blocks.add(shard, value) for shard, value in enumerate(values)]
    parts = [each for each in found if each is not None]
    expected = [pairwise_sum(values[k : k + block]) for k in range(0, shards, block)]
    np.testing.assert_array_equal(parts, expected)
    if block & (block - 1) == 0:
        np.testing.assert_array_equal(pairwise_sum(parts), pairwise_sum(values))


def test_a_block_of_which_a_shard_is_not_given_has_no_sum():
    blocks = BlockSum(4, 12)
    given = [0, 1, 6, 7, 8, 9, 10, 11]
    found = {shard: blocks.add(shard, np.ones(())) for shard in given}
    assert [shard for shard, total in found.items() if total is not None] == [11]


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_bits_do_not_depend_on_jobs_or_order(finished, tmp_path, jobs, order):
    store = Store.open(tmp_path)
    plan, _ = sweep(store, pipeline("blocks"), Request("backward", jobs=jobs), order)
    assert bits(store, plan) == bits(*finished)
    assert chunks_of(store) == chunks_of(finished[0])


def test_a_sum_that_is_too_large_over_its_block_is_refused(tmp_path):
    (tmp_path / "stages.py").write_text(
        "import numpy as np\n"
        "def grid(start, stop, *, count, seed): return {'x': np.full(stop - start, 1e308)}\n"
        "def add(parameters, inputs): return {'total': inputs['x'].sum()}\n"
    )
    (tmp_path / "pipeline.yaml").write_text(
        "pipeline: large\nevents: {uses: 'stages:grid', count: 4, shard: 1, block: 2}\nstages:\n"
        "  add: {uses: 'stages:add', over: events, inputs: {x: events.x},"
        " outputs: {total: {sum: true}}}\n"
    )
    store, made = Store.open(tmp_path / "store"), assemble(tmp_path / "pipeline.yaml")
    with (
        np.errstate(over="ignore"),
        pytest.raises(NonFiniteError, match=r"stage add, shard 1: the sum of total over its block"),
    ):
        sweep(store, made, Request("forward"))
    artefact = store.get(make_plan(store, made, Request("forward")).step("add:primal").key)
    assert chunks_in(artefact, "total") == []


# --- what is stored


def test_a_sum_has_a_chunk_a_block_and_rows_have_one_a_shard(finished):
    store, plan = finished
    for step in (each for each in plan.steps if each.over == "events"):
        artefact = store.get(step.key)
        for name, spec in artefact.specs.items():
            count = -(-11 // BLOCK) if spec.placement == "shard" else 11
            assert len(chunks_in(artefact, name)) == count, (step.id, name)
            stored = zarr.open_group(artefact.folder, mode="r")[name]
            assert stored.shape == spec.shape
            assert stored.nchunks == count
    decay = store.get(plan.step("decay:pullback").key)
    assert {each.placement for each in decay.specs.values()} == {"shard"}  # blocks and nothing else
    parts = zarr.open_group(decay.folder, mode="r")["gradient.rate"][:]
    total = store.get(plan.step("decay:pullback:sum").key).read("gradient.rate", 0)
    assert pairwise_sum(parts) == total


def test_verify_reads_each_chunk_once_and_sets_a_block_aside(copy, finished):
    assert upkeep.verify(copy).chunks == len(chunks_of(copy))
    decay = copy.get(finished[1].step("decay:primal").key)
    decay._chunk("total", 10).write_bytes(b"")
    (said,) = upkeep.verify(copy).damaged
    assert "total" in said
    assert list(masks.members(decay.present())) == [*range(9)]


def test_another_block_is_another_key_where_something_is_added_up_and_only_there():
    keys = {}
    for block in (1, 3, 4):
        made = pipeline(f"joins{support.IN_BLOCKS}{block}")
        keys[block] = Identity(made, Environment(None)).primals
    for one, other in ((1, 3), (3, 4)):
        changed = {name for name in keys[one] if keys[one][name] != keys[other][name]}
        assert changed == {"first", "centre", "second", "fit"}


def test_a_block_of_one_shard_stands_in_no_key(tmp_path):
    made = pipeline("joins")
    ingredients = Identity(made, Environment(None)).ingredients(made.stages["first"])
    assert ingredients["sample"] == [103, 16]
    plan = make_plan(Store.open(tmp_path), made, REQUEST)
    for step in (each for each in plan.steps if each.kind == "pullback"):
        assert step.ingredients.keys() == {"primal", "cotangents", "active"}


def test_a_spec_of_one_shard_is_written_as_it_always_was():
    spec = ArraySpec.per_shard(7, (2,), "float64")
    assert spec.to_json().keys() == {"shape", "chunk", "dtype", "placement", "unit"}
    assert ArraySpec.from_json(spec.to_json(), 7) == spec
    blocks = ArraySpec.per_shard(7, (2,), "float64", block=3)
    assert blocks.shape == (3, 2)
    assert ArraySpec.from_json(blocks.to_json(), 7) == blocks


@pytest.mark.parametrize("block", [0, -3, 2, 4.0, "3", True, None, [3], 1e30, 10**30, 10**7 + 1])
def test_absurd_blocks_are_refused(block):
    document = ArraySpec.per_shard(7, (2,), "float64", block=3).to_json()
    with pytest.raises(DamagedError):
        ArraySpec.from_json(document | {"block": block}, 7)
    for spec in (ArraySpec.per_event(7, 1, (), "bool"), ArraySpec.once((7,), "bool")):
        with pytest.raises(DamagedError):
            ArraySpec.from_json(spec.to_json() | {"block": 3}, 7)


def test_an_artefact_cut_into_other_blocks_than_its_key_says_is_not_believed(copy, finished):
    step = finished[1].step("decay:pullback")
    facts, specs = copy.get(step.key).manifest, copy.get(step.key).specs
    copy.remove(step.key)
    copy.create(step.key, facts, {name: _in_twos(each) for name, each in specs.items()})
    plan = make_plan(copy, pipeline("blocks"), REQUEST)
    assert copy.get(step.key) is None
    assert plan.slots_present[step.id] == 0


def _in_twos(spec):
    return ArraySpec.per_shard(11, spec.shape[1:], spec.dtype, spec.unit, block=2)


# --- killed, and damaged


def stopping(after):
    """Say that a run is no longer wanted after so many slots."""
    slots = iter(range(after))
    return lambda: next(slots, None) is not None


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_run_killed_in_a_block_repeats_at_most_that_block(finished, tmp_path, jobs):
    made, request = pipeline("blocks"), Request("backward", jobs=jobs)
    for number, slots in enumerate(range(2, len(executions(finished[0])), 5)):
        store = Store.open(tmp_path / str(number))
        with pytest.raises(InterruptedRunError):
            sweep(store, made, request, still_wanted=stopping(slots))
        plan, _ = sweep(store, made, request)
        assert bits(store, plan) == bits(*finished)
        assert chunks_of(store) == chunks_of(finished[0])
        done = executions(store)
        repeated = {each for each in done if done.count(each) > 1}
        assert len({slot // BLOCK for _, slot in repeated}) <= 1
        assert all(plan.step(step).block == BLOCK for step, _ in repeated)


def test_a_run_killed_at_every_turn_comes_to_the_same_end(finished, tmp_path):
    store, made, turns = Store.open(tmp_path), pipeline("blocks"), random.Random(2)
    for _ in range(200):
        try:
            plan, _ = sweep(store, made, still_wanted=stopping(turns.randint(4, 20)))
            break
        except InterruptedRunError:
            continue
    assert bits(store, plan) == bits(*finished)


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


HURT = pytest.mark.parametrize("hurt", [flip, Path.unlink])


def sweep_until_sound(store, request):
    """As a run does: once more where damage was found."""
    try:
        return sweep(store, pipeline("blocks"), request)
    except DamagedError:
        return sweep(store, pipeline("blocks"), request)


@HURT
@pytest.mark.parametrize(
    ("step", "array", "direction"),
    [
        ("decay:primal", "total", "forward"),
        ("spread:primal", "count", "forward"),
        ("spread:pullback", "cotangent.mean", "backward"),
        ("decay:pullback", "gradient.rate", "backward"),
    ],
)
def test_the_shards_of_a_damaged_block_alone_are_computed_again(
    copy, finished, hurt, step, array, direction
):
    plan = finished[1]
    hurt(copy.get(plan.step(step).key)._chunk(array, 4))
    copy.remove(plan.step(f"{step}:sum").key)  # what reads the block is asked for again
    _, executed = sweep_until_sound(copy, Request(direction))
    stage, kind = step.split(":")
    assert executed == {(stage, kind): BLOCK, (stage, "reduction"): 1}
    assert chunks_of(copy).items() >= chunks_of(finished[0]).items()


@HURT
@pytest.mark.parametrize(
    ("step", "array", "reader", "direction"),
    [
        ("decay:primal", "y", "spread:primal", "forward"),
        ("spread:pullback", "cotangent.y", "decay:pullback", "backward"),
    ],
)
def test_a_damaged_row_costs_one_shard_and_leaves_its_block(
    copy, finished, hurt, step, array, reader, direction
):
    plan = finished[1]
    artefact = copy.get(plan.step(step).key)
    sums = [name for name, spec in artefact.specs.items() if spec.block > 1]
    before = {name: artefact._chunk(name, 4).stat() for name in sums}
    hurt(artefact._chunk(array, 4))
    for each in (reader, f"{reader}:sum"):
        copy.remove(plan.step(each).key)
    sweep_until_sound(copy, Request(direction))
    done = executions(copy)
    assert [slot for slot in range(11) if done.count((step, slot)) > 1] == [4]
    assert {name: artefact._chunk(name, 4).stat() for name in sums} == before
    assert chunks_of(copy).items() >= chunks_of(finished[0]).items()


def test_where_one_row_of_a_missing_block_is_needed_the_whole_block_is_computed(copy, finished):
    plan = finished[1]
    decay, pullback = (
        copy.get(plan.step(each).key) for each in ("decay:primal", "spread:pullback")
    )
    decay._chunk("total", 4).unlink()
    decay._chunk("y", 4).unlink()
    pullback._chunk("cotangent.y", 4).unlink()
    copy.remove(plan.step("spread:pullback:sum").key)
    _, executed = sweep(copy, pipeline("blocks"))
    assert executed["decay", "primal"] == BLOCK
    assert executed["spread", "pullback"] == 1
    assert chunks_of(copy) == chunks_of(finished[0])


# --- the pipeline file


def written(folder, **changed):
    """The pipeline file with words of its events changed."""
    shutil.copytree(CASE.parent, folder, dirs_exist_ok=True)
    events = "".join(f", {word}: {value}" for word, value in changed.items())
    text = CASE.read_text().replace("count: 41, shard: 4, block: 3", "count: 41, shard: 4" + events)
    (folder / "pipeline.yaml").write_text(text)
    return folder / "pipeline.yaml"


@pytest.mark.parametrize("block", [0, -1, 2.5, "'3'", "true", "[3]", "null", 10**30])
def test_a_block_that_is_no_number_of_shards_is_refused_with_its_line(tmp_path, block):
    with pytest.raises(PipelineError, match=r"line 7: events\.block"):
        assemble(written(tmp_path, block=block))


def test_a_block_is_one_shard_unless_the_file_says_otherwise(tmp_path):
    assert assemble(written(tmp_path)).stages["events"].sample.block == 1
    assert assemble(CASE).stages["events"].sample.block == BLOCK


def test_another_number_of_events_keeps_the_block():
    sample = assemble(CASE, events=7).stages["decay"].sample
    assert (sample.count, sample.shard, sample.block) == (7, 4, BLOCK)


def test_a_pipeline_in_another_keeps_its_own_block(tmp_path):
    for name in ("curve", "nested"):
        shutil.copytree(support.CASES / name, tmp_path / name)
    shutil.copytree(tmp_path / "curve", tmp_path / "other")
    path = tmp_path / "other" / "pipeline.yaml"
    path.write_text(path.read_text().replace("shard: 9", "shard: 9, block: 2"))
    path = tmp_path / "nested" / "pipeline.yaml"
    path.write_text(path.read_text().replace("right: {uses: ../curve", "right: {uses: ../other"))
    made = assemble(path)
    assert made.stages["left.area"].sample.block == 1
    assert made.stages["right.area"].sample.block == 2
    stores = Store.open(tmp_path / "mixed"), Store.open(tmp_path / "plain")
    plan, _ = sweep(stores[0], made, Request("backward", jobs=3))
    plain, _ = sweep(stores[1], pipeline("nested"))
    assert bits(stores[0], plan) == bits(stores[1], plain)


# --- batches


def test_batches_are_cut_between_blocks(tmp_path):
    made = pipeline(f"joins{support.IN_BLOCKS}4", 1)
    plan = make_plan(Store.open(tmp_path), made, Request("backward", jobs=7))
    for task in plan.tasks:
        for work in task.work if task.kind == "events" else ():
            ((first, stop),) = work.slots
            assert plan.step(work.step).slots == 103
            if any(plan.step(each.step).block > 1 for each in task.work):
                assert first % 4 == 0
                assert stop % 4 == 0 or stop == 103


@pytest.mark.parametrize("align", [1, 4, 7])
@pytest.mark.parametrize("parts", [1, 3, 50, 1000])
def test_spans_hold_all_of_a_set_in_parts_of_about_equal_size(parts, align):
    drawn = random.Random(9)
    for shards in ([5], [5, 6], range(300), drawn.sample(range(300), 40)):
        mask = masks.mask_of(shards, 300)
        found = masks.spans(mask, parts, align)
        pieces = [masks.within(masks.to_ranges(mask), each.start, each.stop) for each in found]
        sizes = [masks.from_ranges(piece).bit_count() for piece in pieces]
        assert sum(masks.from_ranges(piece) for piece in pieces) == mask
        assert 1 <= len(found) <= parts
        assert all(each.start % align == 0 for each in found)
        assert min(sizes) > 0
        assert max(sizes) <= -(-len(shards) // parts) + align - 1


@pytest.mark.parametrize("block", [1, 3, 8, 100])
def test_a_set_is_filled_up_to_blocks_of_which_nothing_is_made(block):
    drawn = random.Random(4)
    for _ in range(20):
        mask, made = (masks.mask_of(drawn.sample(range(50), 4), 50) for _ in range(2))
        untouched = [k for k in range(50) if not any(made >> s & 1 for s in block_of(k, block))]
        expected = {
            each
            for shard in masks.members(mask)
            for each in (block_of(shard, block) if shard in untouched else [shard])
        }
        assert set(masks.members(masks.in_whole_blocks(mask, made, block, 50))) == expected


def block_of(shard, block):
    first = shard - shard % block
    return range(first, min(first + block, 50))


def test_a_million_shards_are_planned_in_seconds_and_little_memory(tmp_path):
    made = support.cut(pipeline("blocks"), 1_000_000, 1, block=64)
    tracemalloc.start()
    start = time.process_time()
    plan = make_plan(Store.open(tmp_path), made, Request("backward", jobs=5000))
    seconds, (_, peak) = time.process_time() - start, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(plan.tasks) > 3 * 5000 * 0.9  # batches of 200 shards, in blocks of 64
    assert seconds < 30  # 3 on the machine measured; 80 and more where each task copies the set
    assert peak < 100e6  # 25 MB on the machine measured
    plan.write(tmp_path / "plan.json")
    assert (tmp_path / "plan.json").stat().st_size < 10e6
    assert Plan.read(tmp_path / "plan.json").tasks == plan.tasks
