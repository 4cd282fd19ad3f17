"""ROOT files as an event source: what is read, what is refused, what a change does."""

import builtins
import re

import awkward as ak
import numpy as np
import pytest
import uproot
from support import Request, assemble, sweep

from diffpipe.cache.errors import PipelineError
from diffpipe.pipelines.physics.events.root import root
from diffpipe.pipelines.physics.refusal import RefusedError

COLUMNS = {
    "pt": np.array([10.5, 20.5, 30.5, 40.5, 50.5], np.float32),
    "charge": np.array([1, -1, 1, 1, -1], np.int32),
    "passes": np.array([True, False, True, True, False]),
    "axis": np.arange(15.0).reshape(5, 3),
    "Muon_pt": ak.Array([[5.0, 4.0], [], [3.0], [9.0, 8.0, 7.0], [2.0, 1.0]]),
}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A file of two trees, one in a folder, with five events."""
    path = tmp_path_factory.mktemp("root") / "events.root"
    with uproot.recreate(path) as file:
        file["events"] = COLUMNS
        file["other/broken"] = {"pt": np.array([1.0, 2.0, np.nan, np.inf])}
    return path


def read(path, start=0, stop=2, count=2, tree="events", **options):
    return root(start, stop, count=count, seed=0, path=path, tree=tree, **options)


BRANCHES = {"pt": "pt", "charge": "charge", "passes": "passes", "z": "axis[2]"}


def test_columns_are_the_branches_that_were_asked_for_in_float64(path):
    events = read(path, 0, 5, 5, branches=BRANCHES)
    assert {column.dtype for column in events.values()} == {np.dtype(np.float64)}
    for name in ("pt", "charge", "passes"):
        np.testing.assert_array_equal(events[name], COLUMNS[name].astype(np.float64))
    np.testing.assert_array_equal(events["z"], COLUMNS["axis"][:, 2])


def test_events_do_not_depend_on_how_the_range_is_cut(path):
    parts = [read(path, *rows, count=5, branches=BRANCHES) for rows in ((0, 3), (3, 5))]
    for name, whole in read(path, 0, 5, 5, branches=BRANCHES).items():
        np.testing.assert_array_equal(whole, np.concatenate([part[name] for part in parts]))


def test_events_that_lack_an_entry_are_dropped_where_asked(path):
    branches = {"leading": "Muon_pt[0]", "second": "Muon_pt[1]", "pt": "pt"}
    events = read(path, 0, 3, 3, branches=branches, lacking="drop")
    np.testing.assert_array_equal(events["leading"], [5.0, 9.0, 2.0])
    np.testing.assert_array_equal(events["second"], [4.0, 8.0, 1.0])
    np.testing.assert_array_equal(events["pt"], [10.5, 40.5, 50.5])


def test_an_ntuple_is_read_like_a_tree(tmp_path):
    path = tmp_path / "ntuple.root"
    with uproot.recreate(path) as file:
        file.mkrntuple("events", {"pt": COLUMNS["pt"]})
    np.testing.assert_array_equal(read(path, 0, 5, 5, branches={"pt": "pt"})["pt"], COLUMNS["pt"])


def test_a_file_that_changed_is_read_again(tmp_path):
    for values in ([1.0, 2.0], [3.0, 4.0, 5.0]):
        with uproot.recreate(tmp_path / "events.root") as file:
            file["events"] = {"x": np.array(values)}
        assert read(tmp_path / "events.root", branches={"x": "x"})["x"][0] == values[0]


PT = {"pt": "pt"}


@pytest.mark.parametrize(
    ("options", "says", "hint"),
    [
        (
            {"branches": {"pt": "p_t"}},
            "events has no branch 'p_t'",
            r"mean pt\? \(available: Muon_pt, axis, charge, passes, pt\)",
        ),
        ({"branches": {"m": "Muon_mass[0]"}}, "no branch 'Muon_mass'", "mean Muon_pt.*available:"),
        ({"branches": PT, "tree": "event"}, "no tree 'event'", "did you mean events"),
        ({"branches": PT, "tree": 3}, "no tree 3", "known: events, other/broken"),
        ({"branches": {"pt": "Muon_pt[0]"}}, r"event 1 has no Muon_pt\[0\], as 1 of 5", "drop"),
        ({"branches": {"z": "axis[3]"}}, r"event 0 has no axis\[3\], as 5 of 5", "drop"),
        ({"branches": PT, "count": 6}, "has 5 events, got count 6", "fewer"),
        (
            {"branches": {"pt": "Muon_pt[2]"}, "lacking": "drop"},
            "has 1 events, got count 2",
            "fewer",
        ),
        ({"branches": PT, "tree": "other/broken"}, "pt of event 2 is nan, not a finite", None),
    ],
)
def test_what_the_file_does_not_have_is_refused_by_name(path, options, says, hint):
    with pytest.raises(RefusedError, match=says) as caught:
        read(path, **options)
    assert str(path) in str(caught.value)
    assert (caught.value.hint is None) if hint is None else re.search(hint, caught.value.hint)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"branches": {}}, "branches must map column names"),
        ({"branches": ["pt"]}, "branches must map column names"),
        ({"branches": {"pt": 3}}, "branches.pt must be a branch or one entry of it"),
        ({"branches": {"pt": "Muon_pt[-1]"}}, "branches.pt must be a branch or one entry"),
        ({"branches": {"pt": "Muon_pt[0"}}, "branches.pt must be a branch or one entry"),
        ({"branches": {"pt": "Muon_pt"}}, r"several entries for each event.*write Muon_pt\[0\]"),
        ({"branches": {"pt": "pt[0]"}}, r"one number for each event, got 'pt\[0\]' \(write pt\)"),
        ({"branches": PT, "lacking": "ignore"}, "lacking must be one of drop, refuse"),
        ({"branches": PT, "stop": 3}, "events 0 to 3 are no range of 2 events"),
    ],
)
def test_wrong_options_are_refused_by_name(path, options, says):
    with pytest.raises(ValueError, match=says):
        read(path, **options)


@pytest.mark.parametrize("content", [b"", b"pt, eta\n1, 2\n", b"root"])
def test_what_is_no_root_file_is_refused_by_its_name(tmp_path, content):
    (tmp_path / "events.root").write_bytes(content)
    with pytest.raises(ValueError, match=r"(?s)cannot read .*events.root.*whole ROOT file"):
        read(tmp_path / "events.root", branches=PT)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6])
def test_a_file_that_breaks_off_is_refused_by_its_name(tmp_path, path, share):
    data = path.read_bytes()
    (tmp_path / "half.root").write_bytes(data[: int(share * len(data))])
    with pytest.raises(ValueError, match=r"half\.root"):
        read(tmp_path / "half.root", branches=PT)


@pytest.mark.parametrize("library", ["uproot", "awkward"])
def test_without_the_library_the_extra_is_named(path, monkeypatch, library):
    imported = builtins.__import__

    def refuse(name, *arguments):
        if name == library:
            raise ImportError(name)
        return imported(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ImportError, match=r"pip install 'diffpipe\[root\]'"):
        read(path, branches={"charge_alone": "charge"})


PIPELINE = """
pipeline: files
events: {uses: root, path: events.root, count: 5, shard: 2, options: {tree: events, branches: {pt: pt}}}
stages:
  selection: {uses: selection, over: events, inputs: {pt: events.pt}, outputs: {yields: {sum: true}}, options: {cuts: [{variable: pt, above: 15.0, temperature: 1.0}]}}
  cut_flow: {uses: cut_flow, over: once, inputs: {yields: selection.yields}}
"""  # noqa: E501


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("branches: {pt: pt}", "branches: {pt: Pt_1}", "no branch 'Pt_1'"),
        ("count: 5", "count: 6", "has 5 events, got count 6"),
        ("tree: events", "tree: tree", "no tree 'tree'"),
        ("temperature: 1.0", "temperature: 0", "temperature must be above zero, got 0"),
        ("variable: pt", "variable: p", "variable 'p', which is no input"),
        (", outputs: {yields: {sum: true}}", "", "declare outputs: {yields: {sum: true}}"),
    ],
)
def test_a_mistake_is_named_before_anything_runs(tmp_path, store, path, old, new, says):
    (tmp_path / "events.root").write_bytes(path.read_bytes())
    (tmp_path / "pipeline.yaml").write_text(PIPELINE.replace(old, new))
    with pytest.raises(PipelineError) as caught:
        sweep(store, assemble(tmp_path / "pipeline.yaml"), Request("forward"))
    assert says in f"{caught.value} {caught.value.hint}"
    assert caught.value.exit_code == 2


def test_an_empty_selection_is_refused_with_the_cut_that_empties_it(tmp_path, store, path):
    (tmp_path / "events.root").write_bytes(path.read_bytes())
    (tmp_path / "pipeline.yaml").write_text(PIPELINE.replace("above: 15.0", "above: 51.0"))
    with pytest.raises(PipelineError, match="empty selection: the hard yield after cut 1 of 1"):
        sweep(store, assemble(tmp_path / "pipeline.yaml"), Request("forward"))
