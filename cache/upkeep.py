"""Upkeep: read everything and set aside what is damaged; clear what killed runs left."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from diffpipe.cache import chunks, files, masks
from diffpipe.cache.artefact import Artefact
from diffpipe.cache.store import Store


@dataclass
class Verified:
    """How many chunks were read, and which were damaged."""

    chunks: int = 0
    damaged: list[str] = field(default_factory=list)


def verify(store: Store) -> Verified:
    """Check the checksum of every chunk; damaged ones are moved aside."""
    found = Verified()
    for key in store.artefact_keys():
        artefact = store.get(key)
        if artefact is None:
            found.damaged.append(f"{key} (manifest)")
            continue
        for name in artefact.specs:
            _verify_array(store, artefact, name, found)
    return found


def remove_partials(store: Store) -> None:
    """Delete the temporary files of killed writers; links to elsewhere are not followed."""
    for key in store.artefact_keys():
        for array in _folders(store.layout.artefact(key)):
            for orphan in array.glob("*.partial"):
                files.delete(orphan)


def size(path: Path) -> int:
    """The bytes of all files below a folder; links are not followed."""
    total, waiting = 0, [path] if files.is_folder(path) else []
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(Path(entry.path))
                else:
                    total += entry.stat(follow_symlinks=False).st_size
    return total


def _folders(path: Path) -> Iterator[Path]:
    if files.is_folder(path):
        yield from (each for each in path.iterdir() if files.is_folder(each))


def _verify_array(store: Store, artefact: Artefact, name: str, found: Verified) -> None:
    folder, spec = artefact.folder / name, artefact.specs[name]
    for shard in masks.members(chunks.present(folder, spec, artefact.slots)):
        if shard % spec.block:
            continue  # its block is read with the block's first shard
        found.chunks += 1
        try:
            chunks.payload(folder, spec, shard)
        except OSError as error:
            store.set_aside_slot(artefact, shard, str(error), array=name)
            stage, kind = artefact.manifest["stage"], artefact.manifest["kind"]
            found.damaged.append(f"{stage} {kind} {name} shard {shard} ({error})")
