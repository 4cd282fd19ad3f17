"""Les Houches files as an event source: what is read, what is refused, what a change does."""

import builtins
import gzip
import os
import re

import numpy as np
import pytest
from support import Request, assemble, diffpipe, document, make_plan, sweep

from diffpipe.cache.errors import PipelineError
from diffpipe.pipelines.physics.events.lhe import lhe

HEAD = """<LesHouchesEvents version="3.0">
<header>
<!-- made by hand -->
</header>
<init>
2212 2212 6.5e+03 6.5e+03 0 0 247000 247000 -4 1
1.5 0.1 1.0 1
</init>
"""
TAIL = "</LesHouchesEvents>\n"
FIRST = ((21, -1), (2, -1), (23, 2), (-11, 1), (11, 1), (2, 1))  # the Z in between is no leg
SECOND = ((2, -1), (21, -1), (2, 1), (-11, 1), (11, 1))


def event(number, particles):
    """A text whose every number is its own: px is 0.25, 1.25, ... in the order of the lines."""
    lines = [f"{len(particles)} 1 {number + 1}.5 9.1e+01 7.8e-03 0.{number + 1}"]
    for line, (pdg, status) in enumerate(particles):
        momentum = f"{line}.25 -1.0 {number}.5 1{line}.0"  # px py pz E
        lines.append(f"{pdg} {status} 0 0 501 0 {momentum} 0.0 0.0 1.0")
    extra = '<rwgt>\n<wgt id="1"> 2.0 </wgt>\n</rwgt>'
    return "\n".join(["<event>", *lines, "# a comment", extra, "</event>", ""])


def text(*events):
    return HEAD + "".join(event(number, each) for number, each in enumerate(events)) + TAIL


TWO = text(FIRST, SECOND)


@pytest.fixture
def written(tmp_path):
    """Writes a file, compressed if its name says so, and gives its path."""

    def write(content, name="events.lhe"):
        path = tmp_path / name
        path.write_bytes(
            gzip.compress(content.encode()) if name.endswith("gz") else content.encode()
        )
        return path

    return write


def read(path, start=0, stop=2, count=2, **options):
    return lhe(start, stop, count=count, seed=0, path=path, **options)


@pytest.mark.parametrize("name", ["events.lhe", "events.lhe.gz"])
def test_a_file_gives_its_legs_incoming_first(written, name):
    events = read(written(TWO, name))
    np.testing.assert_array_equal(events["pdg"], [[21, 2, -11, 11, 2], [2, 21, 2, -11, 11]])
    assert events["pdg"].dtype == np.int64
    assert events["momenta"].shape == (2, 5, 4)
    np.testing.assert_array_equal(events["momenta"][0, 2], [13.0, 3.25, -1.0, 0.5])
    np.testing.assert_array_equal(events["momenta"][1, 4], [14.0, 4.25, -1.0, 1.5])
    np.testing.assert_array_equal(events["event_weight"], [1.5, 2.5])
    np.testing.assert_array_equal(events["alphas"], [0.1, 0.2])
    np.testing.assert_array_equal(events["scale"], [91.0, 91.0])


def test_an_incoming_leg_that_stands_last_is_put_first(written):
    events = read(written(text(SECOND[::-1], SECOND)))
    np.testing.assert_array_equal(events["pdg"][0], [21, 2, 11, -11, 2])
    np.testing.assert_array_equal(events["momenta"][0, :, 1], [3.25, 4.25, 0.25, 1.25, 2.25])


def test_legs_are_brought_into_the_order_of_the_process(written):
    events = read(written(TWO), process_order=[2, 21, 11, -11, 2])
    np.testing.assert_array_equal(events["pdg"], [[2, 21, 11, -11, 2]] * 2)
    # px says which line of the file a leg is from
    np.testing.assert_array_equal(events["momenta"][0, :, 1], [1.25, 0.25, 4.25, 3.25, 5.25])
    np.testing.assert_array_equal(events["momenta"][1, :, 1], [0.25, 1.25, 4.25, 3.25, 2.25])


def test_legs_of_one_kind_stay_in_the_order_of_the_file(written):
    gluons = ((21, -1), (21, -1), (21, 1), (6, 1), (21, 1), (-6, 1))
    events = read(written(text(gluons, gluons)), process_order=[21, 21, 6, -6, 21, 21])
    np.testing.assert_array_equal(events["momenta"][0, :, 1], [0.25, 1.25, 3.25, 5.25, 2.25, 4.25])


def test_events_do_not_depend_on_how_the_range_is_cut(written):
    path = written(text(*[FIRST] * 7))
    parts = [read(path, *rows, count=7) for rows in ((0, 3), (3, 7))]
    for name, whole in read(path, 0, 7, count=7).items():
        np.testing.assert_array_equal(whole, np.concatenate([part[name] for part in parts]))


def test_a_file_that_changed_is_read_again(written):
    assert read(written(TWO))["event_weight"][0] == 1.5
    assert read(written(TWO.replace(" 1.5 9", " 1.75 9")))["event_weight"][0] == 1.75


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "after 0 events.*whole Les Houches"),
        ("pT, eta\n1, 2\n", "after 0 events.*whole Les Houches"),
        ("<html><body></body></html>", "after 0 events.*whole Les Houches"),
        (HEAD + TAIL, "has no events"),
        (TWO.replace(TAIL, ""), "after 2 events"),
        (TWO[: TWO.rindex("0 0 501")], "after 1 events"),
        (TWO.replace("2 1 0 0 501 0 2.25", "2 1 0 0 501 0 x"), "after 1 events.*'x'"),
        (TWO.replace("1 2.5 9.1e+01", "1"), "after 1 events"),
        (text(FIRST, FIRST, FIRST[:-1]), r"event 2 has .* legs \(2, 2\), event 0 has \(2, 3\)"),
        (text(FIRST, FIRST[1:]), r"event 1 has .* legs \(1, 3\)"),
        (text(FIRST), "has 1 events, got count 2"),
    ],
)
def test_what_is_no_file_of_such_events_is_refused_by_its_name(written, content, says):
    path = written(content)
    with pytest.raises(ValueError, match=f"(?s){says}") as caught:
        read(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("lost", [1, 8, 100])
def test_a_truncated_gzip_file_is_refused_by_its_name(written, lost):
    path = written(TWO, "events.lhe.gz")
    path.write_bytes(path.read_bytes()[:-lost])
    with pytest.raises(ValueError, match=r"cannot read .*events.lhe.gz after 0 events"):
        read(path)


@pytest.mark.parametrize("place", [0.1, 0.5, 0.99])
def test_a_damaged_gzip_file_is_refused_by_its_name(written, place):
    path = written(TWO, "events.lhe.gz")
    data = bytearray(path.read_bytes())
    data[int(place * len(data))] ^= 0xFF
    path.write_bytes(bytes(data))
    with pytest.raises(ValueError, match=r"cannot read .*events.lhe.gz after 0 events"):
        read(path)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"process_order": [2, 21, 11, -11, 4]}, r"event 0 has .* \[21, 2, -11, 11, 2\], which"),
        ({"process_order": [21, 21, 11, -11, 2]}, "event 0"),
        ({"process_order": [2, 21, 11]}, "process_order has 3 legs, .* have 5"),
        ({"process_order": []}, "process_order must be a list of PDG numbers"),
        ({"process_order": ["u", "g"]}, "process_order must be a list of PDG numbers"),
        ({"legs": 4}, "have 5 legs, got option legs 4"),
        ({"legs": "5"}, "option legs must be an integer"),
        ({"stop": 3}, "events 0 to 3 are no range of 2 events"),
    ],
)
def test_wrong_options_are_refused_by_name(written, options, says):
    with pytest.raises(ValueError, match=says):
        read(written(TWO), **options)


def test_the_event_of_another_process_is_named(written):
    other = ((21, -1), (2, -1), (13, 1), (-13, 1), (2, 1))
    path = written(text(FIRST, SECOND, other))
    with pytest.raises(ValueError, match=r"event 2 has .* \[21, 2, 13, -13, 2\]"):
        read(path, count=3, process_order=[2, 21, 11, -11, 2])


def test_without_pylhe_the_extra_is_named(written, monkeypatch):
    imported = builtins.__import__

    def refuse(name, *arguments):
        if name == "pylhe":
            raise ImportError(name)
        return imported(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ImportError, match=r"pip install 'diffpipe\[lhe\]'"):
        read(written(TWO))


PIPELINE = """
pipeline: files
parameters: {scale: 2.0}
events: {uses: lhe, path: events.lhe.gz, count: 7, shard: 4, options: {process_order: [2, 21, 11, -11, 2]}}
stages:
  energy: {uses: "energy:energy", over: events, inputs: {momenta: events.momenta, weight: events.event_weight}, parameters: [scale], outputs: {total: {sum: true}}}
  loss: {uses: "energy:loss", over: once, inputs: {total: energy.total}}
objective: loss.loss
"""  # noqa: E501
CODE = """
import jax.numpy as jnp


def energy(parameters, inputs):
    leptons = inputs["momenta"][:, 2:4, 0].sum(axis=1)
    return {"total": parameters["scale"] * jnp.sum(inputs["weight"] * leptons)}


def loss(parameters, inputs):
    return {"loss": inputs["total"] ** 2}
"""


@pytest.fixture
def project(written, tmp_path):
    """A pipeline over seven events of a file."""
    written(text(*[FIRST, SECOND] * 3, FIRST), "events.lhe.gz")
    written(PIPELINE, "pipeline.yaml")
    written(CODE, "energy.py")
    return tmp_path / "pipeline.yaml"


def test_a_run_from_a_file_gives_the_gradient(project, tmp_path):
    arguments = ("run", "backward", str(project), "--json", "--jobs", "2")
    first = document(diffpipe(*arguments, store=tmp_path / "store"))
    # the leptons of events 0, 2, 4, 6 have 13 + 14 GeV, those of the others as well
    total = 27.0 * sum(number + 1.5 for number in range(7))
    assert first["objective"]["value"] == pytest.approx((2.0 * total) ** 2, rel=1e-14)  # roundings
    assert first["gradient"]["scale"] == pytest.approx(4.0 * total**2, rel=1e-14)


def test_an_unchanged_file_computes_nothing_and_a_changed_one_everything(project, store, written):
    plan, executed = sweep(store, assemble(project), Request("backward"))
    assert executed["events", "primal"] == 2
    os.utime(project.parent / "events.lhe.gz", ns=(1, 1))
    assert not make_plan(store, assemble(project), Request("backward")).tasks
    changed = text(*[SECOND, FIRST] * 3, SECOND)
    written(changed, "events.lhe.gz")
    again, executed = sweep(store, assemble(project), Request("backward"))
    assert executed["events", "primal"] == 2
    assert {step.key for step in plan.steps}.isdisjoint(step.key for step in again.steps)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("events.lhe.gz,", "event.lhe.gz,", "line 4: events.path: there is no file 'event.lhe.gz'"),
        ("events.lhe.gz,", "3,", "line 4: events.path: Expected `str"),
        ("path: events.lhe.gz,", "", "missing 1 required keyword-only argument: 'path'"),
        ("uses: lhe,", "uses: lh,", "unknown 'lh'"),
        (
            "options: {",
            "options: {path: events.lhe.gz, ",
            "events.options.path: a file is no option",
        ),
        ("count: 7", "count: 8", "has 7 events, got count 8"),
        ("-11, 2]", "-11, 4]", "event 0 has"),
    ],
)
def test_a_mistake_is_named_before_anything_runs(project, store, old, new, says):
    project.write_text(project.read_text().replace(old, new))
    with pytest.raises(PipelineError, match=re.escape(says)) as caught:
        sweep(store, assemble(project), Request("backward"))
    assert caught.value.exit_code == 2


def test_a_source_that_reads_no_file_says_so(project, store):
    lines = project.read_text().splitlines()
    place = next(i for i, line in enumerate(lines) if line.startswith("events:"))
    lines[place] = "events: {uses: unit_cube, path: energy.py, count: 7, shard: 4}"
    project.write_text("\n".join(lines))
    with pytest.raises(PipelineError, match="stage events: unknown option 'path'"):
        sweep(store, assemble(project), Request("backward"))


def test_a_file_that_breaks_off_is_said_without_a_traceback(project, tmp_path):
    path = project.parent / "events.lhe.gz"
    path.write_bytes(path.read_bytes()[:-20])
    done = diffpipe("run", "backward", str(project), "--json", store=tmp_path / "store")
    assert done.returncode == 2
    assert "events.lhe.gz after" in done.stderr
    assert "Traceback" not in done.stderr
