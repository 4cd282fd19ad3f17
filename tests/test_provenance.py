"""Looking back: the log of runs, what differs between two, where a result comes from, and who owes.

The pipeline is small enough to be done by hand: with t the events,

    y = a t + b_0 + b_1 t^2,    total = a sum(y),    end = a total + shift,

so `a` is used by three stages, and each of their contributions to its gradient is known.
"""

import json

import numpy as np
import pytest
import support
from msgspec import structs
from typer.testing import CliRunner

from diffpipe.cache.errors import DiffpipeError, UsageError
from diffpipe.cache.store import Store
from diffpipe.cli.app import app
from diffpipe.pipelines.core.assemble import assemble
from diffpipe.pipelines.core.plan import Request, make_plan
from diffpipe.pipelines.core.results import read_results
from diffpipe.rules import runs
from diffpipe.rules.provenance import contributions, history
from diffpipe.rules.provenance.changes import changes, fates, said
from diffpipe.rules.provenance.comparison import Comparison, Side
from diffpipe.rules.provenance.components import components, norm
from diffpipe.rules.provenance.lineage import lineage
from diffpipe.rules.provenance.past import read_past

PIPELINE = """
pipeline: walk
parameters:
  a: {value: 2.0, unit: GeV}
  b: {value: [0.5, -1.0]}
  idle: 7.0
data:
  offset: {reader: csv, path: offset.csv}
events: {uses: "stages:grid", count: 10, shard: 4, options: {length: 2.0}}
stages:
  points: {uses: "stages:points", over: events, inputs: {t: events.t}, parameters: [a, b]}
  total: {uses: "stages:total", over: events, inputs: {y: points.y}, parameters: [a],
    outputs: {total: {sum: true}}}
  end: {uses: "stages:end", over: once, parameters: [a],
    inputs: {total: total.total, shift: data.offset.value}}
objective: end.end
"""
STAGES = """
import jax.numpy as jnp
import numpy as np

def grid(start, stop, *, count, seed, length):
    return {"t": np.arange(start, stop) / count * length}

def points(parameters, inputs):
    t, b = inputs["t"], parameters["b"]
    return {"y": parameters["a"] * t + b[0] + b[1] * t**2}

def total(parameters, inputs):
    return {"total": parameters["a"] * inputs["y"].sum(), "count": jnp.ones_like(inputs["y"])}

def end(parameters, inputs):
    total, shift = inputs["total"], inputs["shift"]
    return {"end": parameters["a"] * total + shift[0], "size": jnp.abs(total)}
"""
T = np.arange(10) / 10 * 2.0


A, B, SHIFT = 2.0, (0.5, -1.0), 3.0
SUM = A * T.sum() + 10 * B[0] + B[1] * (T**2).sum()
BY_HAND = {
    "a": {"points": A**2 * T.sum(), "total": A * SUM, "end": A * SUM},
    "b[0]": {"points": A**2 * 10},
    "b[1]": {"points": A**2 * (T**2).sum()},
    "idle": {},
}
SUMS = 1e-14  # relative, of ten numbers of one size added up: some units in the last place


def write(folder, **changed):
    """The files of the pipeline, some given in other words; the pipeline file."""
    folder.mkdir(exist_ok=True)
    texts = {"pipeline": PIPELINE, "stages": STAGES, "offset": "value\n3.0\n"} | changed
    for name, ending in (("pipeline", "yaml"), ("stages", "py"), ("offset", "csv")):
        (folder / f"{name}.{ending}").write_text(texts[name])
    return folder / "pipeline.yaml"


def asked(store, path, direction="backward", **values):
    """A run that was asked and computed nothing."""
    made = assemble(path, set_values=values)
    return runs.start_run(store, make_plan(store, made, Request(direction)))


def swept(store, path, **values):
    """A run in this process, with the notes that the drive leaves."""
    plan, _ = support.sweep(store, assemble(path, set_values=values))
    run = runs.all_runs(store)[-1]
    runs.end_run(run, runs.Outcome("done", 1.5))
    results = read_results(store, plan)
    runs.note_results(run, results.objective, results.gradient)
    return plan


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """A store with two runs, the second at another `a` and another `b[1]`; plans and the file."""
    folder = tmp_path_factory.mktemp("walk")
    store, path = Store.open(folder / "store"), write(folder / "pipeline")
    plans = swept(store, path), swept(store, path, a=2.5, b=(0.5, -1.5))
    return store, path, plans


def invoke(store, *arguments):
    """What a command prints, in this process; raises what it raises."""
    words = [*map(str, arguments), "--store", str(store.root)]
    done = CliRunner(env={"COLUMNS": "100"}).invoke(app, words)
    if isinstance(done.exception, Exception):
        raise done.exception
    return done.stdout


def test_the_log_has_the_objective_the_norm_of_the_gradient_and_the_parameters_that_moved(two):
    store, _, plans = two
    first, second = json.loads(invoke(store, "log", "--json"))["runs"]
    results = read_results(store, plans[1])
    assert first["objective"]["value"] == pytest.approx(A * A * SUM + SHIFT, rel=SUMS)
    flat = [sum(stages.values()) for stages in BY_HAND.values()]
    assert first["gradient_norm"] == pytest.approx(np.linalg.norm(flat), rel=SUMS)
    assert first["changed"] is None
    assert second["changed"] == [
        {"kind": "parameter", "name": "a", "old": 2.0, "new": 2.5},
        {"kind": "parameter", "name": "b[1]", "old": -1.0, "new": -1.5},
    ]
    assert second["objective"] == {"name": "end.end", "value": results.objective}
    assert (second["executed"], second["reused"]) == (3 * 2 + 3 * 2 + 2, 3)  # the events stay
    assert (second["state"], second["seconds"]) == ("done", 1.5)


def test_the_log_is_read_at_a_glance(two):
    lines = invoke(two[0], "log").splitlines()
    assert lines[0].split() == [
        "run", "pipeline", "sweep", "objective", "|gradient|", "computed", "reused", "ended"
    ]  # fmt: skip
    assert max(map(len, lines)) <= 100
    assert lines[3:] == ["    a: 2 -> 2.5", "    b[1]: -1 -> -1.5"]
    assert len(invoke(two[0], "log", "--last", "1").splitlines()) == 4


def test_a_run_that_was_killed_failed_or_is_of_another_version_stands_in_the_log(store, tmp_path):
    path = write(tmp_path / "pipeline")
    asked(store, path)
    failed = asked(store, path, a=3.0)
    runs.end_run(failed, runs.Outcome("failed", 0.5, UsageError("no such thing").to_json()))
    old = asked(store, path, a=3.0)
    old.outcome.write_text('{"state":"done","seconds":6.5}')  # as it was before results were noted
    asked(store, path).plan.write_text('{"steps": "of another kind"}')
    found = history.entries(store, 10)
    assert [each.state for each in found] == ["killed", "failed", "done", "killed"]
    assert [each.outcome.objective for each in found] == [None] * 4
    assert said(found[1].changed) == ["a: 2 -> 3"]
    assert found[2].changed == found[3].changed == []
    assert "no such thing" in invoke(store, "log")


def test_a_run_is_found_by_its_place_its_name_or_the_beginning_of_it(two):
    store = two[0]
    first, second = runs.all_runs(store)
    assert history.find(store, "last") == history.find(store, "-1") == second
    assert history.find(store, "last~1") == history.find(store, "-2") == first
    for run in (first, second):
        short = history.short_names(store)[run.folder.name]
        assert history.find(store, run.folder.name) == history.find(store, short) == run


@pytest.mark.parametrize(
    ("text", "says", "hint"),
    [
        ("-3", "has 2 runs", "diffpipe log"),
        ("last~2", "has 2 runs", "diffpipe log"),
        ("2", "2 runs begin with '2'", "the last ones are 2"),
        ("", "there is no run", "the last ones are 2"),
        ("yesterday", "there is no run 'yesterday'", "the last ones are 2"),
        ("--jsn", "no such option", "--help"),
    ],
)
def test_a_run_that_is_not_there_is_named_with_those_that_are(two, text, says, hint):
    with pytest.raises(UsageError, match=says) as error:
        invoke(two[0], "diff", text, "last")
    assert hint in error.value.hint


def test_a_store_without_runs_has_an_empty_log_and_nothing_to_compare(store):
    assert "no runs" in invoke(store, "log")
    assert json.loads(invoke(store, "log", "--json"))["runs"] == []
    with pytest.raises(UsageError, match="has no runs"):
        invoke(store, "diff")


@pytest.mark.parametrize(
    ("changed", "words", "fate"),
    [
        ({"stages": STAGES.replace("abs(total)", "sqrt(total)")}, None, None),
        ({"stages": STAGES + "# a comment\n"}, [], {}),
        (
            {"pipeline": PIPELINE.replace("length: 2.0", "length: 4.0")},
            ["options events.length: 2 -> 4"],
            {"events": "changed", "points": "follows", "total": "follows", "end": "follows"},
        ),
        (
            {"pipeline": PIPELINE.replace("count: 10, shard: 4", "count: 12, shard: 4")},
            ["events: 10 -> 12"],
            {"events": "changed", "points": "changed", "total": "changed", "end": "follows"},
        ),
        (
            {"pipeline": PIPELINE.replace("a: {value: 2.0", "a: {value: 2.5")},
            ["a: 2 -> 2.5"],
            {"points": "follows", "total": "follows", "end": "follows"},
        ),
        (
            {"pipeline": PIPELINE.replace("{y: points.y}", "{y: events.t}")},
            ["input total.y: points.y -> events.t"],
            {"total": "changed", "end": "follows"},
        ),
        (
            {"pipeline": PIPELINE.replace("  idle: 7.0", "  lazy: [7.0, 8.0]")},
            ["idle: 7 -> none", "lazy: none -> [7, 8]"],
            {},
        ),
    ],
)
def test_what_was_changed_is_named_with_what_follows_from_it(store, tmp_path, changed, words, fate):
    folder = tmp_path / "pipeline"
    old = read_past(asked(store, write(folder)))
    new = read_past(asked(store, write(folder, **changed)))
    if words is None:
        (line,) = said(changes(old, new))
        assert line.startswith("code of events, points, total, end: ")
        assert set(fates(old, new).values()) == {"changed"}
        return
    assert [each for each in said(changes(old, new)) if not each.startswith("wrt")] == words
    still = dict.fromkeys(("events", "points", "total", "end"), "same")
    assert fates(old, new) == still | fate


def test_other_data_other_versions_and_another_stage_are_named(store, tmp_path):
    folder = tmp_path / "pipeline"
    old = read_past(asked(store, write(folder)))
    new = read_past(asked(store, write(folder, offset="value\n3.5\n")))
    (line,) = said(changes(old, new))
    assert line.startswith("data of offset.csv: ")
    assert fates(old, new)["end"] == "changed"
    (step,) = (each for each in old.steps if each.stage == "end" and each.kind == "primal")
    versions = step.ingredients["versions"] | {"jax": "0.9.9"}
    older = structs.replace(
        step, key="other", ingredients=step.ingredients | {"versions": versions}
    )
    steps = [older if each is step else each for each in old.steps]
    jax = step.ingredients["versions"]["jax"]
    assert said(changes(structs.replace(old, steps=steps), old)) == [f"jax: 0.9.9 -> {jax}"]
    bare = structs.replace(old, steps=[structs.replace(each, key="other") for each in old.steps])
    assert said(changes(old, bare)) == ["how diffpipe computes"]
    fewer = structs.replace(old, steps=[each for each in old.steps if each.stage != "end"])
    assert said(changes(old, fewer)) == ["stage end: stages:end -> none"]
    assert fates(old, fewer)["end"] == "gone"


def test_results_move_by_the_difference_of_what_the_runs_found(two):
    store, _, plans = two
    found = json.loads(invoke(store, "diff", "-2", "-1", "--json"))
    old, new = (read_results(store, plan) for plan in plans)
    assert found["stages"] == {
        "events": "same", "points": "follows", "total": "follows", "end": "follows"
    }  # fmt: skip
    chi2 = found["outputs"]["end.end"]
    assert (chi2["old"], chi2["new"]) == (old.objective, new.objective)
    assert chi2["moved"]["difference"] == new.objective - old.objective
    assert chi2["moved"]["relative"] == (new.objective - old.objective) / abs(old.objective)
    for name, moved in found["gradient"].items():
        assert (moved["old"], moved["new"]) == (old.gradient[name], new.gradient[name])
    most = max((0, 1), key=lambda k: abs(new.gradient["b"][k] - old.gradient["b"][k]))
    assert found["gradient"]["b"]["moved"]["component"] == f"b[{most}]"
    text = invoke(store, "diff")
    assert "stages the same: events" in text
    assert "gradient the same, to the bit: idle" in text
    assert max(map(len, text.splitlines())) <= 100


def test_what_was_collected_is_said_to_be_gone_and_the_objective_is_still_known(two, tmp_path):
    _, path, _ = two
    other = Store.open(tmp_path / "store")
    plans = swept(other, path), swept(other, path, a=2.5)
    values = [read_results(other, plan).objective for plan in plans]
    for step in plans[0].steps:
        if step.stage == "end":
            other.remove(step.key)
    asked(other, path, a=9.0)
    found = {each.name: each for each in _between(other, "-3", "-2").outputs}
    assert found["end.size"].old.why == "no longer stored"
    assert [found["end.end"].old.value, found["end.end"].new.value] == values
    assert {each.old.why for each in _between(other, "-3", "-2").gradient} == {
        "no longer stored", ""  # what only other stages owe is there; so is zero
    }  # fmt: skip
    assert {each.new.why for each in _between(other, "-2", "-1").outputs} == {"not computed"}
    assert "no longer stored" in invoke(other, "diff", "-3", "-2")


def _between(store, old, new):
    return Comparison(Side.find(store, old), Side.find(store, new))


def test_a_lineage_goes_down_to_parameters_data_and_events(two):
    store, path, _ = two
    plan = make_plan(store, assemble(path), Request("backward"))
    found = lineage(store, plan, [plan.objective])
    assert [*found] == [
        "end:primal",
        "total:primal:sum",
        "total:primal",
        "points:primal",
        "events:primal",
    ]
    assert found["end:primal"].parameters == {"a": 2.0}
    assert [*found["end:primal"].data] == ["shift"]
    assert found["total:primal:sum"].reads == {"total:primal": [""]}
    assert found["points:primal"].reads == {"events:primal": ["t"]}
    for link in found.values():
        (made,) = link.made
        assert made.slots == link.present == link.step.slots
    first, second = runs.all_runs(store)
    lines = [each for each in runs.computed(first) if each["step"] == "points:primal"]
    assert found["points:primal"].made[0].seconds == sum(each["seconds"] for each in lines)
    assert found["points:primal"].made[0].run == first
    document = json.loads(
        invoke(
            store, "explain", "end.end", path, "--set", "a=2.5", "--set", "b=[0.5,-1.5]", "--json"
        )
    )
    assert document["steps"]["points:primal"]["computed"][0]["run"] == second.folder.name
    assert document["steps"]["events:primal"]["computed"][0]["run"] == first.folder.name
    assert document["steps"]["points:primal"]["parameters"] == {"a": 2.5, "b": [0.5, -1.5]}


def test_a_lineage_is_drawn_with_each_step_once(two):
    store, path, (plan, _) = two
    text = invoke(store, "explain", "end.end", path)
    assert f"walk: end.end = {read_results(store, plan).objective:.10g}" in text
    key = plan.step("points:primal").key[:8]
    assert text.count(key) == 1
    for words in (
        "a = 2, b = [0.5, -1]",
        "10 events in 3 shards of 4",
        "data offset.csv",
        "jax on cpu",
    ):
        assert words in text
    text = invoke(store, "explain", "gradient.a", path)
    assert text.count(key) == 1
    assert "points: cotangent" not in text  # no one reads it
    assert "end: cotangent.total" in text
    nothing = invoke(store, "explain", "points.y", path, "--set", "a=1")
    assert "0/3" in nothing


@pytest.mark.parametrize(
    ("text", "says", "hint"),
    [
        ("end.ende", "end gives no 'ende'", "did you mean end"),
        ("ende.end", "names no stage's output", "did you mean end.end"),
        ("gradient.idl", "idl", "did you mean idle"),
    ],
)
def test_a_result_that_is_not_there_is_named_with_the_nearest(two, text, says, hint):
    with pytest.raises(DiffpipeError, match=says) as error:
        invoke(two[0], "explain", text, two[1])
    assert hint in error.value.hint


def test_the_contributions_are_those_by_hand_and_add_up_to_the_gradient(two):
    store, _, (plan, _) = two
    found = contributions.by_stage(store, plan)
    assert found.keys() == BY_HAND.keys()
    for label, stages in BY_HAND.items():
        assert found[label] == pytest.approx(stages, rel=SUMS)
    gradient = read_results(store, plan).gradient
    whole = {label: value for name in gradient for label, value in components(name, gradient[name])}
    for label, stages in found.items():
        assert sum(stages.values()) == whole[label]


def test_shards_contribute_as_their_events_do(two):
    store, _, (plan, _) = two
    spread = contributions.by_shard(store, plan)
    assert "end" not in spread["a"]  # it runs once
    parts = [A**2 * (T[k : k + 4] ** 2).sum() for k in (0, 4, 8)]
    found = spread["b[1]"]["points"]
    assert found.parts == pytest.approx(dict(enumerate(parts)), rel=SUMS)
    assert (found.largest, found.share) == (2, pytest.approx(parts[2] / sum(parts), rel=SUMS))
    assert (found.least, found.most) == (found.parts[0], found.parts[2])
    summed = contributions.by_stage(store, plan)["b[1]"]["points"]
    assert found.total == pytest.approx(summed, rel=SUMS)


def test_the_contributions_are_computed_where_they_are_missing_and_the_run_is_noted(tmp_path):
    path, store = write(tmp_path / "pipeline"), tmp_path / "store"
    done = support.diffpipe("gradient", str(path), "--by", "stage", "--json", store=store)
    assert done.returncode == 0, done.stderr
    found = support.document(done)
    assert found["by_stage"]["a"]["points"]["contribution"] == pytest.approx(
        BY_HAND["a"]["points"], rel=SUMS
    )
    shares = [each["share"] for each in found["by_stage"]["a"].values()]
    assert sum(shares) == pytest.approx(1, rel=SUMS)
    (entry,) = history.entries(Store.open(store), 10)
    assert entry.outcome.objective == found["objective"]["value"]
    assert entry.outcome.gradient_norm == norm(*found["gradient"].values())
    table = invoke(Store.open(store), "gradient", path, "--wrt", "a,idle")
    assert next(line.split()[1] for line in table.splitlines() if "│" in line) == "a"
    with pytest.raises(UsageError, match="unknown parameter"):
        invoke(Store.open(store), "gradient", path, "--wrt", "aa")
