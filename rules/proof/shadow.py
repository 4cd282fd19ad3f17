"""A store beside another, for what is computed and not to be kept.

It has the files of some artefacts of the other, by hard links: none of them is ever written in
place. It stands among what the other is still making, so what a killed process leaves of it goes
with that.
"""

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from diffpipe.cache import files
from diffpipe.cache.layout import unique
from diffpipe.cache.store import Store
from diffpipe.pipelines.core.steps import Step


@contextmanager
def shadow(store: Store, steps: Iterable[Step]) -> Iterator[Store]:
    """A store with what another has of some steps; it is deleted in the end."""
    with files.writing(store.root):
        store.layout.staging.mkdir(exist_ok=True)
    folder = store.layout.staging / unique()
    try:
        beside = Store.open(folder)
        keys = {key for step in steps for key in (step.key, step.residuals) if key}
        for key in keys:  # steps that do the same share one
            if files.is_folder(store.layout.artefact(key)):
                _link(store.layout.artefact(key), beside.layout.artefact(key))
        yield beside
    finally:
        files.delete(folder)


def keep_only(store: Store, keys: set[str]) -> None:
    """Remove what else has been made in it."""
    for key in set(store.artefact_keys()) - keys:
        store.remove(key)


def _link(folder: Path, target: Path) -> None:
    with files.writing(target):
        shutil.copytree(folder, target, symlinks=True, copy_function=_linked)


def _linked(source: str, target: str) -> None:
    """A hard link; a copy, where the disk has none."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)
