"""The store: artefacts under their keys, each an ordinary zarr group that a user can open.

A slot (one shard of an artefact) is complete when the chunks of all its arrays are present; every
read checks crc32c. An artefact's manifest and empty arrays are made once, in a staging folder that
is renamed. What is damaged, or is not what it should be, is moved aside and noted, never read.
"""

import errno
import json
import os
import reprlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from diffpipe.cache import documents, files, keys, manifest, metadata
from diffpipe.cache.artefact import Artefact
from diffpipe.cache.errors import DamagedError, NewerStoreError, StoreError
from diffpipe.cache.files import writing
from diffpipe.cache.layout import Layout, is_key, unique
from diffpipe.cache.specs import ArraySpec


@dataclass(frozen=True)
class Store:
    """The artefacts below one root folder.

    durable: what is written outlasts a power cut, at the price of waiting for the disk.
    """

    root: Path
    durable: bool = False

    @cached_property
    def layout(self) -> Layout:
        return Layout(self.root)

    @classmethod
    def open(cls, root: Path, *, create: bool = True, durable: bool = False) -> "Store":
        """The store at `root`; raises NewerStoreError, UnwritableStoreError, StoreError."""
        store = cls(root, durable)
        if files.is_there(store.layout.format_file):
            store._check_format()
        elif create:
            store._initialise()
        return store

    def artefact_keys(self) -> list[str]:
        """The keys of all artefacts, sorted; what has another name is no artefact."""
        try:
            with os.scandir(self.layout.objects) as entries:
                return sorted(entry.name for entry in entries if is_key(entry.name))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def get(self, key: str) -> Artefact | None:
        """The artefact of this key, or None; one that is not sound is moved aside."""
        folder = self._folder(key)
        if not files.is_there(folder):
            return None
        try:
            found = manifest.read(folder)
        except OSError as error:
            self.set_aside(folder, f"manifest: {error}")
            return None
        return Artefact(self, folder, found.facts, found.slots, found.specs)

    def create(
        self, key: str, facts: Mapping[str, Any], specs: Mapping[str, ArraySpec]
    ) -> Artefact:
        """Make an artefact with empty arrays; where it exists already, that one is returned."""
        return self.get(key) or self._publish(key, manifest.make(key, facts, specs))

    def set_aside(self, path: Path, reason: str) -> None:
        """Move what is damaged (a file, a folder, a link itself) out of reach, and note it."""
        with writing(self.root):
            target = self._own(self.layout.damaged) / unique()
            try:
                files.move(path, target, durable=self.durable)
            except FileNotFoundError:
                return
            note = {"path": str(path.relative_to(self.root)), "as": target.name, "why": reason}
            with suppress(DamagedError):  # a log that is no file is not written
                files.append(self.layout.damaged / "log.jsonl", json.dumps(note))

    def set_aside_slot(
        self, artefact: Artefact, shard: int, reason: str, *, array: str | None = None
    ) -> None:
        """Move the chunks of a slot aside, or that of one array, so that it counts as missing."""
        for name in artefact.specs if array is None else (array,):
            self.set_aside(artefact._chunk(name, shard), reason)

    def remove(self, key: str) -> None:
        """Delete an artefact: first out of sight, then from disk."""
        with writing(self.root):
            doomed = self._own(self.layout.staging) / unique()
            files.move(self._folder(key), doomed, durable=self.durable)
            files.delete(doomed)

    def _publish(self, key: str, made: manifest.Manifest) -> Artefact:
        with writing(self.root):
            staged = self._own(self.layout.staging) / unique()
            metadata.write_group(staged)
            for name, spec in made.specs.items():
                metadata.write_array(staged / name, spec)
            manifest.write(staged, made)
            if self.durable:
                files.sync_tree(staged)
            try:
                files.move(staged, self._folder(key), durable=self.durable)
            except OSError as error:
                if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                    raise
                files.delete(staged)  # another process made the same artefact first
        found = self.get(key)
        if found is None:
            raise StoreError(f"the artefact {key} vanished while it was made")
        return found

    def _folder(self, key: str) -> Path:
        if not is_key(key):
            raise StoreError(f"{key!r} is no key", hint="diffpipe cache ls shows the keys")
        return self.layout.artefact(key)

    def _own(self, folder: Path) -> Path:
        """A folder for the store's own use, which cannot be elsewhere."""
        folder.mkdir(exist_ok=True)
        if not files.is_folder(folder):
            raise StoreError(f"{folder} is a symbolic link", hint="delete it: it is made again")
        return folder

    def _initialise(self) -> None:
        with writing(self.root):
            for folder in (self.root, self.layout.objects, self.layout.runs):
                folder.mkdir(parents=True, exist_ok=True)
            text = json.dumps({"format": keys.STORE_FORMAT}) + "\n"
            files.write(self.layout.format_file, text.encode(), durable=self.durable)
            if self.durable:
                files.sync(self.root.parent)

    def _check_format(self) -> None:
        try:
            found = documents.read(self.layout.format_file).get("format")
        except OSError as error:
            raise self._no_store(str(error)) from error
        if type(found) is not int or found < 1:
            raise self._no_store(f"{reprlib.repr(found)} is no format")
        if found > keys.STORE_FORMAT:
            raise NewerStoreError(
                f"the store {self.root} has format {reprlib.repr(found)}; "
                f"this diffpipe reads up to format {keys.STORE_FORMAT}",
                hint="upgrade diffpipe, or choose another folder with --store",
            )

    def _no_store(self, why: str) -> StoreError:
        return StoreError(
            f"{self.layout.format_file} is not a store's format file: {why}",
            hint="restore it, or choose another folder with --store",
        )
