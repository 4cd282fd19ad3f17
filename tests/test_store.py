"""The store: what zarr does by itself that would lose or invent results, and what is refused."""

import json
import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import zarr
from zarr.codecs import Crc32cCodec

from diffpipe.cache import chunks, keys, lock, masks, metadata
from diffpipe.cache.errors import (
    BusyStoreError,
    DamagedError,
    NewerStoreError,
    StoreError,
    UnwritableStoreError,
)
from diffpipe.cache.files import writing
from diffpipe.cache.specs import ArraySpec
from diffpipe.cache.store import Store

MANIFEST = {"kind": "primal", "stage": "s", "pipeline": "p", "slots": 3}


def make(store, **specs):
    return store.create("key", MANIFEST, specs)


@pytest.mark.parametrize("dtype", ["float64", "complex128", "int64", "bool"])
@pytest.mark.parametrize("value", [0, np.nan])
def test_a_shard_equal_to_the_fill_value_is_written_through_a_reopened_array(store, dtype, value):
    if value != 0 and dtype in ("int64", "bool"):
        pytest.skip("integers have no NaN")
    make(store, x=ArraySpec.per_event(10, 4, (), dtype))
    for shard, rows in enumerate((4, 4, 2)):
        reopened = store.get("key")
        reopened.write(shard, {"x": np.full(rows, value, dtype)})
    assert store.get("key").present() == masks.full(3)
    np.testing.assert_array_equal(store.get("key").read("x", 2), np.full(2, value, dtype))


def test_overwriting_a_shard_with_fill_keeps_its_chunk(store):
    artefact = make(store, x=ArraySpec.per_shard(3, (2,), "float64"))
    artefact.write(1, {"x": np.ones(2)})
    store.get("key").write(1, {"x": np.full(2, np.nan)})
    assert store.get("key").has(1)


def test_a_missing_chunk_is_an_error_and_not_fill(store):
    artefact = make(store, x=ArraySpec.per_event(10, 4, (), "float64"))
    with pytest.raises(DamagedError, match="missing"):
        artefact.read("x", 0)


def test_another_shape_or_dtype_is_refused_before_zarr_accepts_it_silently(store):
    artefact = make(store, x=ArraySpec.per_event(10, 4, (), "int64"))
    with pytest.raises(TypeError, match="float64"):
        artefact.write(0, {"x": np.ones(4)})
    with pytest.raises(ValueError, match="shape"):
        artefact.write(2, {"x": np.ones(4, np.int64)})  # the last shard has two rows
    assert artefact.present() == 0


def test_a_user_opens_an_artefact_as_an_ordinary_zarr_array(store):
    artefact = make(store, x=ArraySpec.per_event(10, 4, (2,), "float64", unit="GeV"))
    for shard, rows in enumerate((4, 4, 2)):
        artefact.write(shard, {"x": np.full((rows, 2), shard, float)})
    opened = zarr.open(artefact.folder, mode="r")["x"]
    assert opened.attrs["unit"] == "GeV"
    np.testing.assert_array_equal(opened[:, 0], [0, 0, 0, 0, 1, 1, 1, 1, 2, 2])


def test_small_results_are_read_without_zarr_to_the_same_numbers(store):
    spec = ArraySpec.once((2, 3), "float64")
    artefact = store.create("once", MANIFEST | {"slots": 1}, {"x": spec})
    numbers = np.arange(6.0).reshape(2, 3) / 7
    artefact.write(0, {"x": numbers})
    assert artefact.values("x") == numbers.tolist()


def damage_flip(path):
    data = bytearray(path.read_bytes())
    data[3] ^= 16
    path.write_bytes(bytes(data))


def damage_truncate(path):
    path.write_bytes(path.read_bytes()[:-5])


def damage_empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [damage_flip, damage_truncate, damage_empty])
def test_damaged_bytes_never_leave_the_store(store, damage):
    artefact = make(store, x=ArraySpec.per_event(12, 4, (), "float64"))
    artefact.write(1, {"x": np.ones(4)})
    damage(artefact.folder / "x" / "c.1")
    with pytest.raises(DamagedError, match="damaged"):
        artefact.read("x", 1)
    with pytest.raises(DamagedError):
        chunks.payload(artefact.folder / "x", artefact.specs["x"], 1)


@pytest.mark.parametrize("name", ["zarr.json", "x/zarr.json"])
def test_an_artefact_with_damaged_metadata_is_moved_aside_whole(store, name):
    artefact = make(store, x=ArraySpec.per_event(12, 4, (), "float64"))
    path = artefact.folder / name
    path.write_text(path.read_text().replace("12", "13").replace('"s"', '"t"'))
    assert store.get("key") is None
    assert len(list(store.layout.damaged.glob("*"))) == 2  # the folder, and the log that says why
    assert make(store, x=ArraySpec.per_event(12, 4, (), "float64")).present() == 0


def test_left_over_temporary_files_are_not_taken_for_chunks(store):
    artefact = make(store, x=ArraySpec.per_event(12, 4, (), "float64"))
    (artefact.folder / "x" / "c.0.1234.partial").write_bytes(b"half")
    assert artefact.present() == 0


def test_making_an_artefact_twice_keeps_the_first(store):
    artefact = make(store, x=ArraySpec.per_event(12, 4, (), "float64"))
    artefact.write(0, {"x": np.ones(4)})
    assert make(store, x=ArraySpec.per_event(12, 4, (), "float64")).present() == 1


def test_a_store_of_a_newer_format_is_refused_by_name(store):
    store.layout.format_file.write_text(json.dumps({"format": keys.STORE_FORMAT + 1}))
    with pytest.raises(NewerStoreError, match=f"format {keys.STORE_FORMAT + 1}"):
        Store.open(store.root)


def test_a_folder_that_is_no_store_is_said_to_be_none(store):
    store.layout.format_file.write_text("[]")
    with pytest.raises(StoreError, match="format file"):
        Store.open(store.root)


def test_a_full_disk_is_an_error_that_names_the_store(tmp_path):
    with pytest.raises(UnwritableStoreError, match="No space left"), writing(tmp_path):
        raise OSError(28, "No space left on device")


def test_one_run_at_a_time_holds_the_store_and_the_second_names_the_first(store):
    with lock.hold(store):
        with pytest.raises(BusyStoreError, match="pid"), lock.hold(store):
            pass
        assert lock.holder(store)["pid"]
    assert lock.holder(store) is None


@pytest.mark.parametrize("dtype", ["float64", "complex128", "int64", "int32", "uint32", "bool"])
def test_metadata_are_byte_for_byte_those_that_zarr_writes(tmp_path, dtype):
    """zarr is not imported where it would take longer than a stage; what it says is law."""
    specs = {
        "once": ArraySpec.once((), dtype, "GeV"),
        "event": ArraySpec.per_event(100, 30, (2, 3), dtype),
        "shard": ArraySpec.per_shard(7, (4,), dtype, block=2),
    }
    metadata.write_group(tmp_path / "ours")
    group = zarr.create_group(tmp_path / "theirs")
    fill = np.nan if np.dtype(dtype).kind in "fc" else np.zeros((), dtype)[()]
    for name, spec in specs.items():
        metadata.write_array(tmp_path / "ours" / name, spec)
        group.create_array(
            name,
            shape=spec.shape,
            chunks=spec.chunk,
            dtype=dtype,
            fill_value=fill,
            compressors=[Crc32cCodec()],
            filters=None,
            chunk_key_encoding={"name": "default", "separator": "."},
            attributes={"unit": spec.unit},
        )
    for file in ("zarr.json", *(f"{name}/zarr.json" for name in specs)):
        assert (tmp_path / "ours" / file).read_bytes() == (tmp_path / "theirs" / file).read_bytes()


@pytest.mark.parametrize("dtype", ["float64", "complex128", "int64", "int32", "bool"])
@pytest.mark.parametrize("placement", ["per_event", "per_shard", "once"])
def test_chunks_are_byte_for_byte_those_that_zarr_writes(store, dtype, placement):
    spec = {
        "per_event": ArraySpec.per_event(10, 4, (2, 3), dtype),
        "per_shard": ArraySpec.per_shard(3, (2,), dtype),
        "once": ArraySpec.once((), dtype),
    }[placement]
    artefact = make(store, x=spec)
    shard = 2 if placement != "once" else 0
    values = np.arange(1, 1 + np.prod(spec.slot_shape(shard), dtype=int)).astype(dtype)
    values = values.reshape(spec.slot_shape(shard))
    artefact.write(shard, {"x": values})
    ours = artefact._chunk("x", shard).read_bytes()
    opened = zarr.open_array(artefact.folder / "x", mode="r+")
    np.testing.assert_array_equal(opened[8:] if placement == "per_event" else values, values)
    where = {"per_event": slice(8, 10), "per_shard": slice(2, 3), "once": ...}[placement]
    opened[where] = values[None] if placement == "per_shard" else values
    theirs = artefact._chunk("x", shard).read_bytes()
    data = len(values.tobytes())
    assert ours[:data] == theirs[:data]  # padding of a short last chunk is zarr's own affair
    if placement != "per_event":
        assert ours == theirs
    np.testing.assert_array_equal(store.get("key").read("x", shard), values)


@pytest.mark.parametrize("shards", [[], [0], [0, 1, 2, 7, 8, 9, 63, 64, 1000]])
def test_a_set_of_shards_survives_its_way_through_ranges(shards):
    mask = masks.mask_of(shards, 1001)
    assert list(masks.members(mask)) == shards
    assert masks.from_ranges(masks.to_ranges(mask)) == mask
    ranges = masks.to_ranges(mask)
    spans = [masks.within(ranges, each.start, each.stop) for each in masks.spans(mask, 3)]
    pieces = [masks.from_ranges(each) for each in spans]
    assert sum(pieces) == mask
    assert sum(piece.bit_count() for piece in pieces) == len(shards)


def test_who_only_asks_for_the_holder_refuses_nobody(store):
    stop = threading.Event()

    def ask():
        while not stop.is_set():
            lock.holder(store)

    asking = threading.Thread(target=ask)
    asking.start()
    for _ in range(200):
        with lock.hold(store):
            pass
    stop.set()
    asking.join()


def test_a_run_that_waits_takes_the_store_when_the_first_one_ends(store):
    order = []

    def first():
        with lock.hold(store):
            held.set()
            time.sleep(0.3)
            order.append("first")

    held = threading.Event()
    thread = threading.Thread(target=first)
    thread.start()
    held.wait()
    with lock.hold(store, wait=True, on_wait=lambda who: order.append(f"waits for {who[:3]}")):
        order.append("second")
    thread.join()
    assert order == ["waits for pid", "first", "second"]


@pytest.fixture
def disk(monkeypatch):
    """What the disk is told, in order: ("sync", inode) and ("rename", new path)."""
    told, fsync = [], os.fsync

    def recording(name):
        rename = getattr(os, name)
        return lambda old, new: (told.append(("rename", Path(new))), rename(old, new))

    def sync(descriptor):
        told.append(("sync", os.fstat(descriptor).st_ino))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", sync)
    for name in ("rename", "replace"):
        monkeypatch.setattr(os, name, recording(name))
    return told


def sync_of(path):
    return ("sync", path.stat().st_ino)


def test_a_durable_store_syncs_a_chunk_before_its_rename_and_its_folder_after(tmp_path, disk):
    store = Store.open(tmp_path / "store", durable=True)
    artefact = make(store, x=ArraySpec.per_event(10, 4, (), "float64"))
    for each in (artefact, store.get("key")):
        disk.clear()
        each.write(1, {"x": np.ones(4)})
        chunk = artefact.folder / "x" / "c.1"
        assert disk == [sync_of(chunk), ("rename", chunk), sync_of(chunk.parent)]


def test_a_durable_store_syncs_all_of_an_artefact_before_it_is_seen(tmp_path, disk):
    store = Store.open(tmp_path / "store", durable=True)
    whole = store.layout.format_file
    assert disk[:3] == [sync_of(whole), ("rename", whole), sync_of(store.root)]
    disk.clear()
    folder = make(store, x=ArraySpec.per_event(10, 4, (), "float64")).folder
    seen = disk.index(("rename", folder))
    inside = [folder / "x" / "zarr.json", folder / "x", folder / "zarr.json", folder]
    order = [disk.index(sync_of(path)) for path in inside]
    assert max(order) < seen
    assert order[0] < order[1] < order[3] > order[2]  # a folder after what is in it
    assert sync_of(store.layout.objects) in disk[seen:]


def test_a_durable_store_syncs_the_folder_that_something_left(tmp_path, disk):
    store = Store.open(tmp_path / "store", durable=True)
    artefact = make(store, x=ArraySpec.per_event(10, 4, (), "float64"))
    artefact.write(1, {"x": np.ones(4)})
    disk.clear()
    store.set_aside_slot(artefact, 1, "a test")
    store.remove("key")
    what = [each for each, _ in disk]
    assert what == ["rename", "sync", "sync", "rename", "sync", "sync"]
    assert disk[5] == sync_of(store.layout.objects)


def test_a_store_waits_for_no_disk_by_default_and_its_bytes_are_the_same(tmp_path, disk):
    written = {}
    for durable in (False, True):
        store = Store.open(tmp_path / str(durable), durable=durable)
        make(store, x=ArraySpec.per_event(10, 4, (), "float64")).write(1, {"x": np.ones(4)})
        assert ("sync" in {each for each, _ in disk}) == durable
        files = (path for path in store.root.rglob("*") if path.is_file())
        written[durable] = {path.relative_to(store.root): path.read_bytes() for path in files}
    assert written[False] == written[True]
