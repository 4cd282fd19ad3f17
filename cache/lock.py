"""One run at a time on a store, by an advisory file lock that the kernel drops when a run dies.

Politeness, not correctness: two writers of one slot would write the same content.
"""

import fcntl
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from diffpipe.cache.errors import BusyStoreError
from diffpipe.cache.store import Store, writing

_POLL_SECONDS = 0.2


@contextmanager
def hold(
    store: Store, *, wait: bool = False, on_wait: Callable[[str], None] = lambda _: None
) -> Iterator[None]:
    """Hold the store's lock; raises BusyStoreError naming the other run, or waits for it."""
    with writing(store.root):
        file = store.layout.lock.open("a+")
    with file:
        _acquire(file, store, wait, on_wait)
        with writing(store.root):
            _describe_holder(file)
        yield


def holder(store: Store) -> dict[str, Any] | None:
    """The run at work on this store (pid, host, since), or None."""
    try:
        with store.layout.lock.open("r") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return None
    except FileNotFoundError:
        return None
    except BlockingIOError:
        return _read_holder(store.layout.lock)


def _acquire(file: IO[str], store: Store, wait: bool, on_wait: Callable[[str], None]) -> None:
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


def _try(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _describe_holder(file: IO[str]) -> None:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    file.truncate(0)
    file.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": since}))
    file.flush()


def _read_holder(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError):  # it is being written just now
        return {"pid": "unknown", "host": "unknown", "since": "just now"}
