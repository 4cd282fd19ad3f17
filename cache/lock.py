"""One run at a time on a store, by an advisory file lock that the kernel drops when a run dies.

Politeness, not correctness: two writers of one slot would write the same content.
"""

import contextlib
import fcntl
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import Any

from diffpipe.cache import documents, files
from diffpipe.cache.errors import BusyStoreError, DamagedError, StoreError
from diffpipe.cache.files import writing
from diffpipe.cache.store import Store

_POLL_SECONDS = 0.2
_GLANCES, _GLANCE_SECONDS = 10, 0.01


@contextmanager
def hold(
    store: Store, *, wait: bool = False, on_wait: Callable[[str], None] = lambda _: None
) -> Iterator[None]:
    """Hold the store's lock; raises BusyStoreError naming the other run, or waits for it."""
    with writing(store.root):
        file = _open(store.layout.lock, "a+")
    with file:
        _acquire(file, store, wait, on_wait)
        with writing(store.root):
            _describe_holder(file)
        yield


def holder(store: Store) -> dict[str, Any] | None:
    """The run at work on this store (pid, host, since), or None."""
    try:
        with _open(store.layout.lock, "r") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return None
    except FileNotFoundError:
        return None
    except BlockingIOError:
        return _read_holder(store.layout.lock)


def _open(path: Path, mode: str) -> FileIO:
    try:
        return files.open_regular(path, mode)
    except DamagedError as error:
        raise StoreError(f"{error.message}, and no lock", hint=f"delete {path}") from error


def _acquire(file: FileIO, store: Store, wait: bool, on_wait: Callable[[str], None]) -> None:
    said = False
    while not _try(file):
        who = _read_holder(store.layout.lock)
        text = f"pid {who['pid']} on {who['host']}, since {who['since']}"
        if not wait:
            raise BusyStoreError(
                f"another run is at work on the store {store.root}: {text}",
                hint="wait for it (--wait queues behind it), or use another --store",
            )
        if not said:
            on_wait(text)
            said = True
        time.sleep(_POLL_SECONDS)


def _try(file: FileIO) -> bool:
    """Take the lock; one who only asks who holds it has it for a moment, which is no refusal."""
    for _ in range(_GLANCES):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(_GLANCE_SECONDS)
    return False


def _describe_holder(file: FileIO) -> None:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    who = {"pid": os.getpid(), "host": socket.gethostname(), "since": since}
    file.truncate(0)
    file.write(json.dumps(who).encode())


def _read_holder(path: Path) -> dict[str, Any]:
    try:
        found = documents.read(path)
    except OSError:  # it is being written just now
        found = {}
    return {name: _plain(found.get(name)) for name in ("pid", "host", "since")}


def _plain(value: Any) -> str | int:
    """What can be shown on a terminal."""
    known = type(value) is int or (isinstance(value, str) and value.isprintable())
    return value if known else "unknown"
