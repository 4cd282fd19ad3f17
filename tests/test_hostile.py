"""A store copied from a stranger: nothing outside it is touched, nothing in it is executed.

What is wrong in an artefact is moved aside and counts as missing. Digests are forged where a
stranger could forge them.
"""

import ast
import fcntl
import json
import os
import shutil
import signal
import socket
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import support
from hypothesis import given, settings
from hypothesis import strategies as st
from support import diffpipe, document

from diffpipe.cache import keys, layout, lock, manifest, masks, upkeep
from diffpipe.cache.errors import BusyStoreError, DamagedError, StoreError, UsageError
from diffpipe.cache.memo import Memo
from diffpipe.cache.specs import ArraySpec
from diffpipe.cache.store import Store
from diffpipe.pipelines.core import code
from diffpipe.pipelines.core.model import Function
from diffpipe.pipelines.core.plan import Request, make_plan
from diffpipe.rules.collect import collect

ROOT = Path(__file__).parent.parent
CURVE = support.CASES / "curve" / "pipeline.yaml"
FACTS = {"kind": "primal", "stage": "s", "pipeline": "p", "slots": 3}
SPECS = {"x": ArraySpec.per_event(10, 4, (), "float64")}
REQUEST = Request("backward")
HANGS_AFTER = 60  # seconds; a pipe without a writer would be waited for without end


@pytest.fixture(autouse=True)
def nothing_hangs():
    def give_up(*_):
        raise TimeoutError("it hangs")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(HANGS_AFTER)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def snapshot(folder):
    """Names, types, contents and times of all below a folder."""
    return {
        path: (path.lstat().st_mode, path.lstat().st_mtime_ns, path.is_file() and path.read_bytes())
        for path in folder.rglob("*")
    }


@pytest.fixture
def outside(tmp_path):
    """A folder that is not the store's; whatever a test does, it is afterwards as it was."""
    folder = tmp_path / "outside"
    (folder / "x").mkdir(parents=True)
    (folder / "private.json").write_text('{"format": 1}')
    (folder / "x" / "c.0.partial").write_text("not an orphan of this store")
    before = snapshot(folder)
    yield folder
    assert snapshot(folder) == before


def make(store, key="key"):
    artefact = store.create(key, FACTS, SPECS)
    for shard, rows in enumerate((4, 4, 2)):
        artefact.write(shard, {"x": np.full(rows, shard, float)})
    return artefact


def forge(folder, **changed):
    """Change the manifest of an artefact, and give it a digest that holds."""
    path = folder / "zarr.json"
    group = json.loads(path.read_bytes())
    facts = group["attributes"]["diffpipe"] | changed
    unsigned = {name: value for name, value in facts.items() if name != "digest"}
    group["attributes"]["diffpipe"] = unsigned | {"digest": keys.digest(unsigned)}
    path.write_text(json.dumps(group))


def is_refused(store, key="key"):
    """Whether an artefact is moved aside with the reason, and can be made again."""
    aside = len(list(store.layout.damaged.glob("*")))
    if store.get(key) is not None:
        return False
    assert len(list(store.layout.damaged.glob("*"))) > aside
    assert json.loads((store.layout.damaged / "log.jsonl").read_text().splitlines()[-1])["why"]
    assert store.get(key) is None  # nothing is there any more
    return make(store, key).is_complete


def spec(**changed):
    return SPECS["x"].to_json() | changed


# --- manifests


def test_a_forged_manifest_that_says_the_same_is_believed(store):
    forge(make(store).folder, arrays={"x": spec()})
    assert store.get("key").present() == masks.full(3)


OUT_OF_THE_STORE = ["../../x", "../../../outside", "/etc/passwd", "a/b", "", ".", ".."]
NO_NAMES = [" ", "x\0y", "x\n", "\x1b[2J", "\ud800", "[/red]", "n" * 300, "ü" * 200, "zarr.json"]


@pytest.mark.usefixtures("outside")
@pytest.mark.parametrize("name", [*OUT_OF_THE_STORE, *NO_NAMES, "a" * 100_000], ids=len)
def test_array_names_that_are_no_names_are_refused(store, name):
    artefact = make(store)
    metadata = {name: artefact.manifest["metadata"]["x"]}
    forge(artefact.folder, arrays={name: spec()}, metadata=metadata)
    assert is_refused(store)


@pytest.mark.parametrize(
    "changed",
    [{"slots": value} for value in (None, -1, 0, 2, 3.0, "3", True, [3], 1e30, 10**30, 10**4000)]
    + [{"slots": value} for value in (masks.MOST_SHARDS, masks.MOST_SHARDS + 1)]
    + [{"arrays": value} for value in (None, [], "x", {"x": None}, {"x": {}}, {"y": spec()})]
    + [{"arrays": {"x": spec() | {"more": 1}}}]
    + [
        {name: value}
        for name in ("kind", "stage", "pipeline")
        for value in (None, 3, "[/red]", "s" * 9999)
    ]
    + [{"metadata": value} for value in (None, [], {}, {"x": "0" * 64}, {"x": None}, {"y": "0"})]
    + [{"key": value} for value in (None, "other", "../key", 3)]
    + [{"format": value} for value in (None, 0, 2, "1")],
    ids=lambda changed: str(changed)[:40],
)
def test_absurd_facts_are_refused(store, changed):
    forge(make(store).folder, **changed)
    assert is_refused(store)


@pytest.mark.parametrize("slots", [masks.MOST_SHARDS + 1, 10**12, 10**30])
def test_sets_of_shards_that_would_take_all_memory_are_refused(store, slots):
    forge(make(store).folder, slots=slots, arrays={}, metadata={})
    assert is_refused(store)


@pytest.mark.parametrize(
    "ingredients", [None, [], {}, {"active": 3}, {"active": [{}]}, {"active": []}]
)
def test_a_pullback_that_does_not_say_what_it_is_active_in_is_refused(store, ingredients):
    key = keys.active_key("base", ["cotangent.x"])
    facts = FACTS | {"ingredients": {"active": ["cotangent.x"]}}
    folder = store.create(key, facts, SPECS).folder
    forge(folder, ingredients=ingredients)
    assert store.get(key) is None


@pytest.mark.parametrize(
    "changed",
    [
        {"placement": "once", "shape": value, "chunk": value}
        for value in ([-10], [0], [10.0], ["10"], [True], [1e30], [10**30], [[10]], "10", None, {})
    ]
    + [{"shape": [1] * 1000, "chunk": [1] * 1000}, {"shape": [], "chunk": []}]
    + [{"chunk": value} for value in ([5], [4, 1], [16], [], [2], None, [-4])]
    + [{"shape": [3 << 40], "chunk": [1 << 40]}, {"placement": "once", "shape": [1 << 62]}]
    + [{"dtype": value} for value in ("object", "O", "|S8", "float128", None, ["float64"], {}, 8)]
    + [{"placement": value} for value in ("shard", "once", "nowhere", None, [], 3)]
    + [{"unit": value} for value in (None, 3, [], "\x1b[2J", "\ud800")],
    ids=lambda changed: str(changed)[:40],
)
def test_absurd_arrays_are_refused(store, changed):
    forge(make(store).folder, arrays={"x": spec(**changed)})
    assert is_refused(store)


PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
JSON = PLAIN | st.lists(PLAIN, max_size=3) | st.dictionaries(st.text(max_size=5), PLAIN, max_size=3)
PLACES = [["slots"], ["arrays"], ["arrays", "x"], ["arrays", "y"], ["stage"], ["ingredients"]]
PLACES += [["arrays", "x", name] for name in spec()]


@settings(deadline=None)  # the machine may be busy
@given(st.sampled_from(PLACES), JSON)
def test_whatever_stands_in_a_manifest_it_is_refused_or_within_bounds(place, value):
    facts = FACTS | {"format": 1, "key": "key", "arrays": {"x": spec()}}
    inner = facts
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value
    with suppress(DamagedError):
        found = manifest.parse(facts, "key")
        assert 0 < found.slots <= masks.MOST_SHARDS
        assert all(each.chunk_nbytes <= 4 << 30 for each in found.specs.values())


@pytest.mark.usefixtures("outside")
def test_what_would_be_refused_on_reading_is_not_stored(store):
    for facts, specs in (
        (FACTS, {"../../../outside/y": SPECS["x"]}),
        (FACTS | {"slots": masks.MOST_SHARDS + 1}, SPECS),
        (FACTS, {"x": ArraySpec.once((1 << 40,), "float64")}),
        (FACTS | {"stage": "a b"}, SPECS),
        (FACTS | {"ingredients": "x" * (17 << 20)}, SPECS),
    ):
        with pytest.raises(StoreError, match=r"stored|over"):
            store.create("key", facts, specs)
    assert store.artefact_keys() == []


@pytest.mark.usefixtures("outside")
@pytest.mark.parametrize("key", ["../../outside", "/etc", "", ".", "a b", "k" * 101, "x\n"])
def test_a_key_that_leaves_the_store_is_no_key(store, key):
    for use in (store.get, store.remove, make):
        with pytest.raises(StoreError, match="no key"):
            use(store, key) if use is make else use(key)


def test_an_artefact_below_anothers_key_is_refused(store):
    shutil.copytree(make(store).folder, store.layout.artefact("another"))
    assert is_refused(store, "another")
    assert store.get("key").is_complete


def test_arrays_that_a_stage_does_not_have_are_named(store):
    artefact = make(store)
    for use in (artefact.values, lambda name: artefact.read(name, 0)):
        with pytest.raises(UsageError, match="no array y"):
            use("y")
    with pytest.raises(StoreError, match="computed were"):
        artefact.write(0, {"y": np.ones(4)})
    with pytest.raises(UsageError, match="printed"):
        artefact.values("x")  # it is per event


# --- links


def replace_by_link(path, target):
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    path.symlink_to(target)


@pytest.mark.parametrize("to_a_copy", [False, True])
@pytest.mark.parametrize("place", ["", "x", "zarr.json", "x/zarr.json"])
def test_a_link_in_place_of_metadata_or_folders_is_refused(store, outside, place, to_a_copy):
    path = make(store).folder / place
    target = outside
    if to_a_copy:  # where it points, all is as it should be
        target = store.root.parent / "copy"
        (shutil.copytree if path.is_dir() else shutil.copy)(path, target)
        before = target.read_bytes() if target.is_file() else snapshot(target)
    replace_by_link(path, target)
    assert is_refused(store)
    if to_a_copy:
        assert before == (target.read_bytes() if target.is_file() else snapshot(target))


def test_a_link_to_a_good_chunk_is_neither_read_nor_written_through(store):
    artefact = make(store)
    chunk = artefact.folder / "x" / "c.1"
    target = store.root.parent / "chunk"
    shutil.copy(chunk, target)
    replace_by_link(chunk, target)
    with pytest.raises(DamagedError, match="symbolic link"):
        artefact.read("x", 1)
    artefact.write(1, {"x": np.full(4, 7.0)})
    assert not chunk.is_symlink()
    assert artefact.read("x", 1)[0] == 7
    assert np.frombuffer(target.read_bytes()[:32])[0] == 1


def test_moving_aside_and_removing_take_the_link_and_not_what_it_points_to(store, outside):
    artefact = make(store)
    replace_by_link(artefact.folder / "x" / "c.0", outside / "private.json")
    store.set_aside_slot(artefact, 0, "a test")
    assert not artefact.has(0)
    replace_by_link(artefact.folder, outside)
    store.remove("key")
    store.layout.artefact("file").write_text("a file with the name of a key")
    store.remove("file")
    assert store.artefact_keys() == []
    assert list(store.layout.staging.iterdir()) == []


@pytest.mark.parametrize("folder", ["staging", "damaged"])
def test_folders_of_the_stores_own_are_not_elsewhere(store, outside, folder):
    make(store)
    shutil.rmtree(store.root / folder, ignore_errors=True)
    (store.root / folder).symlink_to(outside)
    use = {"staging": store.remove, "damaged": lambda key: store.set_aside(store.root / key, "")}
    with pytest.raises(StoreError, match="symbolic link"):
        use[folder]("key")


def test_the_log_of_what_is_damaged_is_not_written_elsewhere(store, outside):
    store.layout.damaged.mkdir()
    for number, log in enumerate((outside / "private.json", None)):
        path = store.layout.damaged / "log.jsonl"
        path.unlink(missing_ok=True)
        os.mkfifo(path) if log is None else path.symlink_to(log)
        folder = make(store, f"key{number}").folder
        store.set_aside(folder, "a test")
        assert not folder.exists()


def test_a_format_file_or_memo_that_is_a_link_is_not_followed(store, outside):
    replace_by_link(store.layout.format_file, outside / "private.json")
    with pytest.raises(StoreError, match="symbolic link"):
        Store.open(store.root)
    (store.root / "code.json").symlink_to(outside / "private.json")
    memo = Memo(store.layout.code)
    assert memo.kept == {}
    memo.put("module", ["digest", []])
    memo.save()
    assert not store.layout.code.is_symlink()
    assert Memo(store.layout.code).get("module") == ["digest", []]


def test_a_lock_that_is_no_file_is_refused(store, outside):
    for make_it in (
        lambda path: path.symlink_to(outside / "private.json"),
        os.mkfifo,
        Path.mkdir,
    ):
        make_it(store.layout.lock)
        with pytest.raises(StoreError, match="no lock"), lock.hold(store):
            pass
        with pytest.raises(StoreError, match="no lock"):
            lock.holder(store)
        store.set_aside(store.layout.lock, "a test")


def test_a_store_and_its_objects_may_lie_behind_links_of_the_users_own(tmp_path):
    for name in ("root", "objects", "runs"):
        (tmp_path / "elsewhere" / name).mkdir(parents=True)
    root = tmp_path / "store"
    root.symlink_to(tmp_path / "elsewhere" / "root")
    for name in ("objects", "runs"):
        (root / name).symlink_to(tmp_path / "elsewhere" / name)
    store = Store.open(root)
    assert make(store).is_complete
    assert upkeep.verify(store).damaged == []
    store.remove("key")


# --- what is no file


def sparse(path):
    with path.open("wb") as file:
        file.truncate(1 << 40)


def device(path):
    try:
        os.mknod(path, 0o600 | 0o020000, os.makedev(1, 5))  # /dev/zero
    except PermissionError:
        pytest.skip("making a device needs root")


def full_folder(path):
    (path / "inside").mkdir(parents=True)


def listening(path):
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(path.parent)  # the path of a socket is short
        try:
            server.bind(path.name)
        finally:
            os.chdir(here)


NO_FILES = [os.mkfifo, Path.mkdir, full_folder, device, listening, sparse]


@pytest.mark.parametrize("kind", NO_FILES, ids=lambda kind: kind.__name__)
def test_a_chunk_that_is_no_file_or_far_too_large_is_damaged_and_replaced(store, kind):
    artefact = make(store)
    chunk = artefact.folder / "x" / "c.1"
    chunk.unlink()
    kind(chunk)
    with pytest.raises(DamagedError, match=r"c\.1"):
        artefact.read("x", 1)
    artefact.write(1, {"x": np.ones(4)})
    assert artefact.read("x", 1).sum() == 4
    chunk.unlink()
    kind(chunk)
    assert len(upkeep.verify(store).damaged) == 1
    assert artefact.present() == 0b101


@pytest.mark.parametrize("kind", NO_FILES, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("place", ["zarr.json", "x/zarr.json", ""])
def test_metadata_that_is_no_file_is_refused(store, kind, place):
    path = make(store).folder / place
    path.unlink() if place else shutil.rmtree(path)
    kind(path)
    assert is_refused(store)


def test_once_values_that_are_no_file_are_damaged(store):
    artefact = store.create("once", FACTS | {"slots": 1}, {"x": ArraySpec.once((), "float64")})
    os.mkfifo(artefact.folder / "x" / "c")
    with pytest.raises(DamagedError):
        artefact.values("x")


# --- JSON

BOMBS = {
    "nested lists": b"[" * 100_000,
    "nested objects": b'{"format":' * 100_000,
    "closed nesting": b'{"format":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a huge integer": b'{"format": ' + b"9" * 100_000 + b"}",
    "a large integer": b'{"format": -' + b"9" * 4000 + b"}",
    "a huge float": b'{"format": 1e999}',
    "NaN": b'{"format": NaN}',
    "infinity": b'{"format": -Infinity}',
    "a boolean": b'{"format": true}',
    "text": b'{"format": "1"}',
    "no UTF-8": b'{"format": "\xff"}',
    "UTF-16": '{"format": 1}'.encode("utf-16"),
    "a list": b"[1]",
    "a number": b"1",
    "null": b"null",
    "nothing": b"",
    "twice the same": b'{"format": "x", "format": 1}',
    "half an object": b'{"format": 1',
}


def huge(path):
    with path.open("wb") as file:
        file.write(b'{"format": 1')
        file.truncate(100 << 20)


@pytest.fixture(params=[*BOMBS, "100 MB"])
def bomb(request):
    """Puts JSON that no one needs where a file is to be."""
    if request.param == "100 MB":
        return huge
    return lambda path: path.write_bytes(BOMBS[request.param])


def test_a_manifest_that_is_a_bomb_is_refused(store, bomb):
    bomb(make(store).folder / "zarr.json")
    assert is_refused(store)


def test_a_format_file_that_is_a_bomb_is_refused(store, bomb):
    bomb(store.layout.format_file)
    with pytest.raises(StoreError) as caught:
        Store.open(store.root)
    assert len(str(caught.value)) < 5000


def test_a_memo_that_is_a_bomb_is_empty(store, bomb):
    bomb(store.layout.code)
    memo = Memo(store.layout.code)
    assert memo.kept == {}
    function = Function("stages", "area", CURVE.parent)
    assert code.code_digest(function, memo) == code.code_digest(function, Memo())
    memo.save()
    assert Memo(store.layout.code).kept


def test_a_lock_that_is_a_bomb_is_held_and_its_holder_named_unknown(store, bomb):
    bomb(store.layout.lock)
    with store.layout.lock.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(BusyStoreError, match="pid unknown"), lock.hold(store):
            pass
    with lock.hold(store):
        assert lock.holder(store)["pid"] == os.getpid()


@pytest.mark.parametrize(
    "entry", [None, "ab", [], [1, []], ["d", "ab"], ["d", [1]], ["d", ["../x"]], ["d", ["a\0b"]]]
)
def test_an_entry_of_the_memo_of_another_form_is_left_out(store, entry):
    function = Function("stages", "area", CURVE.parent)
    memo = Memo(store.layout.code)
    expected = code.code_digest(function, memo)
    memo.save()
    store.layout.code.write_text(json.dumps(dict.fromkeys(memo.fresh, entry)))
    assert code.code_digest(function, Memo(store.layout.code)) == expected


# --- names

NO_KEYS = [".hidden", ".nfs0001", "a b", "x" * 200, "new\nline", "é", "-rf", "...", "k.partial"]


def test_names_that_are_no_keys_are_neither_listed_nor_removed(store):
    make(store)
    for name in NO_KEYS:
        (store.layout.objects / name / "x").mkdir(parents=True)
    (store.layout.objects / os.fsdecode(b"\xff")).mkdir()
    assert store.artefact_keys() == ["key"]
    assert upkeep.verify(store).chunks == 3
    assert collect(store, 1, dry_run=False).removed == ["key"]
    assert len(list(store.layout.objects.iterdir())) == len(NO_KEYS) + 1


def test_what_only_has_the_name_of_a_key_is_cleared_away(store, outside):
    (store.layout.objects / "link").symlink_to(outside)
    (store.layout.objects / "nowhere").symlink_to("nowhere at all")
    (store.layout.objects / "file").write_text("no artefact")
    (store.layout.objects / "folder").mkdir()
    os.mkfifo(store.layout.objects / "pipe")
    assert len(store.artefact_keys()) == 5
    assert len(upkeep.verify(store).damaged) == 5
    assert store.artefact_keys() == []
    (store.layout.objects / "link").symlink_to(outside)
    (store.layout.objects / "nowhere").symlink_to("nowhere at all")
    os.mkfifo(store.layout.objects / "pipe")
    assert collect(store, 1, dry_run=False).removed == ["link", "nowhere", "pipe"]
    assert store.artefact_keys() == []


def test_a_file_in_place_of_all_artefacts_is_said(store):
    store.layout.objects.rmdir()
    store.layout.objects.write_text("no folder")
    assert store.artefact_keys() == []
    assert store.get("key") is None
    with pytest.raises(StoreError, match="Not a directory"):
        make(store)


def test_left_over_temporary_files_are_cleared_away_and_others_files_are_not(store, outside):
    array = make(store).folder / "x"
    (array / "c.0.1234.partial").write_bytes(b"half")
    (array / "folder.partial").mkdir()
    (array / "link.partial").symlink_to(outside)
    (make(store, "other").folder / "link").symlink_to(outside / "x")  # it has a c.0.partial
    (store.layout.objects / "a link").symlink_to(outside)
    (store.layout.artefact("link")).symlink_to(outside)
    upkeep.remove_partials(store)
    assert sorted(path.name for path in array.iterdir()) == ["c.0", "c.1", "c.2", "zarr.json"]
    assert upkeep.size(store.layout.artefact("link")) == 0
    assert 0 < upkeep.size(store.layout.artefact("other")) < 5000


NO_CHUNKS = ["c.99999999999999999999", "c." + "9" * 200, "c.-1", "c.٣", "c.²", "c.0.0.0.0.0", "c"]
NO_CHUNKS += ["c.", "c.00", "c.+1", "c.1_0", "c.1 ", " c.1", "c.1\n", "C.1", "d.1", "c.3", "c.1."]


@pytest.mark.parametrize("name", NO_CHUNKS, ids=ascii)
def test_absurd_names_of_chunks_are_ignored(store, name):
    artefact = store.create("key", FACTS, SPECS)
    (artefact.folder / "x" / name).write_bytes(b"")
    assert artefact.present() == 0


@pytest.mark.parametrize("dimensions", range(5))
def test_the_name_of_a_chunk_gives_its_shard(dimensions):
    for shard in (0, 1, 10, masks.MOST_SHARDS - 1) if dimensions else (0,):
        name = layout.chunk_name(dimensions, shard)
        assert layout.chunk_shard(dimensions, name) == shard
        assert layout.chunk_shard(dimensions + 1, name) is None


# --- whole commands


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A store after a run, and what the run found."""
    store = tmp_path_factory.mktemp("ran") / "store"
    done = diffpipe("run", "backward", str(CURVE), "--json", store=store)
    assert done.returncode == 0, done.stderr
    return store, document(done)


def poison(store, outside):
    """Something wrong in every artefact of a finished run, and beside them."""
    by_place = {}
    for artefact in map(store.get, store.artefact_keys()):
        by_place[artefact.manifest["stage"], artefact.manifest["kind"]] = artefact
    forge(by_place["events", "primal"].folder, slots=10**30)
    replace_by_link(by_place["points", "primal"].folder / "y", outside / "x")
    gradient = by_place["points", "reduction"].folder / "gradient.rate" / "c"
    gradient.unlink()
    os.mkfifo(gradient)
    partial = by_place["points", "pullback"].folder / "gradient.rate" / "c.2"
    partial.unlink()
    full_folder(partial)
    area = by_place["area", "primal"]
    forge(area.folder, arrays={"../../../outside/x": area.specs["area"].to_json()})
    replace_by_link(by_place["height", "primal"].folder, outside)
    forge(by_place["height", "pullback"].folder, ingredients={"active": 3})
    sparse(by_place["area", "reduction"].folder / "area" / "c")
    (by_place["area", "pullback"].folder / "zarr.json").write_bytes(b"[" * 100_000)
    for name in NO_KEYS:
        (store.layout.objects / name).mkdir()
    store.layout.code.write_bytes(BOMBS["nested lists"])
    store.layout.lock.write_bytes(BOMBS["no UTF-8"])


def test_a_run_on_a_strangers_store_ends_with_the_right_numbers(ran, tmp_path, outside):
    root = tmp_path / "store"
    shutil.copytree(ran[0], root)
    poison(Store.open(root), outside)
    signal.alarm(5 * HANGS_AFTER)
    listed = diffpipe("cache", "ls", "--json", store=root)
    assert listed.returncode == 0, listed.stderr
    again = diffpipe("run", "backward", str(CURVE), "--json", store=root)
    assert again.returncode == 0, again.stderr
    for part in ("objective", "gradient", "outputs"):
        assert document(again)[part] == ran[1][part]
    assert diffpipe("cache", "verify", store=root).returncode in (0, 1)  # what was not read
    assert diffpipe("cache", "verify", store=root).returncode == 0
    collected = diffpipe("cache", "gc", store=root)
    assert collected.returncode == 0, collected.stderr
    last = diffpipe("run", "backward", str(CURVE), "--json", store=root)
    assert document(last)["gradient"] == ran[1]["gradient"]


def test_a_plan_is_made_from_a_store_in_which_everything_is_wrong(ran, tmp_path):
    root = tmp_path / "store"
    shutil.copytree(ran[0], root)
    store, made = Store.open(root), support.assemble(CURVE)
    whole = {task.id for task in make_plan(Store(tmp_path / "empty"), made, REQUEST).tasks}
    for key in store.artefact_keys():
        forge(store.layout.artefact(key), ingredients=None, slots=-1)
    assert {task.id for task in make_plan(store, made, REQUEST).tasks} == whole


# --- nothing is executed

EXECUTES = {"eval", "exec", "compile", "__import__"}
UNPICKLES = {"pickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}
UNSAFE_YAML = {"unsafe_load", "full_load", "Loader", "CLoader", "UnsafeLoader", "FullLoader"}


def offences(source):
    """What could execute or unpickle what is read."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from UNPICKLES & {each.name.split(".")[0] for each in names}
            case ast.ImportFrom(module=str(module)):
                yield from UNPICKLES & {module.split(".")[0]}
            case ast.Call(func=ast.Name(id=name)):
                yield from EXECUTES & {name}
            case ast.keyword(arg="allow_pickle", value=value):
                yield from set() if ast.unparse(value) == "False" else {"allow_pickle"}
            case ast.Attribute(value=ast.Name(id="yaml"), attr=name):
                yield from UNSAFE_YAML & {name}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from marshal import loads",
        "import numpy, dill.source",
        "eval('1')",
        "exec(text)",
        "__import__(name)",
        "np.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=flag)",
        "yaml.load(text, yaml.Loader)",
        "yaml.unsafe_load(text)",
    ],
)
def test_what_could_execute_data_is_seen(source):
    assert list(offences(source))


@pytest.mark.parametrize("folder", ["cache", "pipelines/core", "rules"])
def test_no_code_executes_or_unpickles_what_it_reads(folder):
    paths = sorted((ROOT / folder).rglob("*.py"))
    assert paths
    for path in paths:
        assert list(offences(path.read_text())) == [], path
