"""The store: artefacts under their keys, each an ordinary zarr group that a user can open.

A slot (one shard of an artefact) is complete when the chunks of all its arrays are present; every
read checks crc32c. An artefact's manifest and empty arrays are made once, in a staging folder that
is renamed. What is damaged is moved aside and noted, never read.
"""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffpipe.cache import chunks, keys, masks
from diffpipe.cache.chunks import ArraySpec
from diffpipe.cache.errors import DamagedError, NewerStoreError, StoreError, UnwritableStoreError
from diffpipe.cache.layout import Layout, chunk_name, unique

if TYPE_CHECKING:
    import numpy as np

_ATTRIBUTE = "diffpipe"


@contextmanager
def writing(root: Path) -> Iterator[None]:
    """Turn a read-only or full disk, or an impossible path, into an error naming the store."""
    try:
        yield
    except StoreError:
        raise
    except OSError as error:
        raise UnwritableStoreError(
            f"cannot write the store {root}: {error.strerror}",
            hint="free space or choose another folder with --store; what is stored is kept",
        ) from error


@dataclass(frozen=True)
class Artefact:
    """One stored artefact: its manifest, and the values of its slots."""

    folder: Path
    manifest: Mapping[str, Any]
    specs: Mapping[str, ArraySpec]

    @property
    def key(self) -> str:
        return self.folder.name

    @property
    def slots(self) -> int:
        return int(self.manifest["slots"])

    @property
    def nbytes(self) -> int:
        return sum(spec.nbytes for spec in self.specs.values())

    def present(self) -> int:
        """The set of complete slots, by one listing per array."""
        complete = masks.full(self.slots)
        for name in self.specs:
            complete &= chunks.present(self.folder / name, self.slots)
        return complete

    @property
    def is_complete(self) -> bool:
        return self.present() == masks.full(self.slots)

    def has(self, shard: int) -> bool:
        return all(self._chunk(name, shard).exists() for name in self.specs)

    def values(self, name: str) -> Any:
        """A once-array as plain numbers, without zarr; raises DamagedError."""
        return chunks.values(self.folder / name, self.specs[name])

    def read(self, name: str, shard: int) -> "np.ndarray":
        """One array of one slot; raises DamagedError where the chunk is missing or damaged."""
        from diffpipe.cache import arrays

        try:
            return arrays.read_slot(self.folder / name, self.specs[name], shard)
        except FileNotFoundError as error:
            raise self._damaged(name, shard, "is missing") from error
        except (DamagedError, OSError) as error:
            raise self._damaged(name, shard, f"is damaged ({error})") from error

    def write(self, shard: int, values: Mapping[str, Any]) -> None:
        """Write one slot: every array of the artefact."""
        from diffpipe.cache import arrays

        with writing(self.folder.parent.parent):
            for name, spec in self.specs.items():
                arrays.write_slot(self.folder / name, spec, shard, values[name])

    def _chunk(self, name: str, shard: int) -> Path:
        return self.folder / name / chunk_name(len(self.specs[name].shape), shard)

    def _damaged(self, name: str, shard: int, what: str) -> DamagedError:
        stage = self.manifest.get("stage")
        return DamagedError(
            f"{self.manifest.get('kind')} array {name} of stage {stage} {what}: "
            f"{self._chunk(name, shard)}",
            stage=stage,
            shard=shard,
            hint="the same command recomputes it",
        )


@dataclass(frozen=True)
class Store:
    """The artefacts below one root folder."""

    root: Path

    @cached_property
    def layout(self) -> Layout:
        return Layout(self.root)

    @classmethod
    def open(cls, root: Path, *, create: bool = True) -> "Store":
        """The store at `root`; raises NewerStoreError, UnwritableStoreError, StoreError."""
        store = cls(root)
        if store.layout.format_file.exists():
            store._check_format()
        elif create:
            store._initialise()
        return store

    def artefact_keys(self) -> list[str]:
        """The keys of all artefacts, sorted."""
        try:
            return sorted(entry.name for entry in self.layout.objects.iterdir())
        except FileNotFoundError:
            return []

    def get(self, key: str) -> Artefact | None:
        """The artefact of this key, or None; one with damaged metadata is moved aside."""
        folder = self.layout.artefact(key)
        if not folder.exists():
            return None
        try:
            return _load(folder)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            self.set_aside(folder, f"manifest: {error}")
            return None

    def create(
        self, key: str, manifest: Mapping[str, Any], specs: Mapping[str, ArraySpec]
    ) -> Artefact:
        """Make an artefact with empty arrays; where it exists already, that one is returned."""
        existing = self.get(key)
        return existing or self._publish(key, manifest, specs)

    def set_aside(self, path: Path, reason: str) -> None:
        """Move a damaged file or folder out of reach, and note it."""
        with writing(self.root):
            self.layout.damaged.mkdir(exist_ok=True)
            target = self.layout.damaged / unique()
            try:
                path.rename(target)
            except FileNotFoundError:
                return
            note = {"path": str(path.relative_to(self.root)), "as": target.name, "why": reason}
            with (self.layout.damaged / "log.jsonl").open("a") as log:
                log.write(json.dumps(note) + "\n")

    def set_aside_slot(self, artefact: Artefact, shard: int, reason: str) -> None:
        """Move all chunks of a slot aside, so that it counts as missing."""
        for name in artefact.specs:
            self.set_aside(artefact._chunk(name, shard), reason)

    def remove(self, key: str) -> None:
        """Delete an artefact: first out of sight, then from disk."""
        with writing(self.root):
            self.layout.staging.mkdir(exist_ok=True)
            doomed = self.layout.staging / unique()
            self.layout.artefact(key).rename(doomed)
            shutil.rmtree(doomed)

    def _publish(
        self, key: str, manifest: Mapping[str, Any], specs: Mapping[str, ArraySpec]
    ) -> Artefact:
        from diffpipe.cache import arrays

        with writing(self.root):
            self.layout.staging.mkdir(exist_ok=True)
            staged = self.layout.staging / unique()
            arrays.create_group(staged, {}, specs)
            document = dict(manifest) | {"format": keys.STORE_FORMAT, "key": key}
            document["arrays"] = {name: spec.to_json() for name, spec in specs.items()}
            document["metadata"] = {name: _sha256(staged / name / "zarr.json") for name in specs}
            _write_attributes(staged / "zarr.json", document)
            try:
                staged.rename(self.layout.artefact(key))
            except OSError as error:
                if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                    raise
                shutil.rmtree(staged)  # another process made the same artefact first
        made = self.get(key)
        if made is None:
            raise StoreError(f"the artefact {key} vanished while it was made")
        return made

    def _initialise(self) -> None:
        with writing(self.root):
            for folder in (self.root, self.layout.objects, self.layout.runs):
                folder.mkdir(parents=True, exist_ok=True)
            staged = self.root / f"store.{os.getpid()}.partial"
            staged.write_text(json.dumps({"format": keys.STORE_FORMAT}) + "\n")
            staged.rename(self.layout.format_file)

    def _check_format(self) -> None:
        try:
            found = int(json.loads(self.layout.format_file.read_text())["format"])
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise StoreError(
                f"{self.layout.format_file} is not a store's format file: {error}",
                hint="restore it, or choose another folder with --store",
            ) from error
        if found > keys.STORE_FORMAT:
            raise NewerStoreError(
                f"the store {self.root} has format {found}; this diffpipe reads up to format "
                f"{keys.STORE_FORMAT}",
                hint="upgrade diffpipe, or choose another folder with --store",
            )


def _load(folder: Path) -> Artefact:
    document = json.loads((folder / "zarr.json").read_bytes())["attributes"][_ATTRIBUTE]
    if document["digest"] != _document_digest(document) or document["key"] != folder.name:
        raise ValueError("the manifest fails its digest")
    for name, expected in document["metadata"].items():
        if _sha256(folder / name / "zarr.json") != expected:
            raise ValueError(f"the metadata of array {name} fails its digest")
    specs = {name: ArraySpec.from_json(each) for name, each in document["arrays"].items()}
    return Artefact(folder, document, specs)


def _write_attributes(path: Path, document: dict[str, Any]) -> None:
    document["digest"] = _document_digest(document)
    group = json.loads(path.read_bytes())
    group["attributes"] = {_ATTRIBUTE: document}
    path.write_text(json.dumps(group, indent=1))


def _document_digest(document: Mapping[str, Any]) -> str:
    return keys.digest({name: value for name, value in document.items() if name != "digest"})


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
