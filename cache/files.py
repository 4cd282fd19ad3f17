"""Files of a store, which may be a copy of a stranger's: nothing outside it is read or written.

No symbolic link is followed, what is not a regular file is not waited for, and the size is known
before a byte is read. What is written gets a temporary name first and is renamed: it is there whole
or not at all. Where it has to outlast a power cut (`durable`), a file is synced before its rename
and the folder after it; else the kernel does both when it likes.
"""

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Any

from diffpipe.cache.errors import DamagedError, StoreError, UnwritableStoreError
from diffpipe.cache.layout import unique

_READABLE_BY_UMASK = 0o666
_FULL = (errno.ENOSPC, errno.EDQUOT)
_NOT_A_FILE = {errno.ELOOP: "a symbolic link", errno.EISDIR: "a folder", errno.ENXIO: "a pipe"}


@contextmanager
def writing(root: Path) -> Iterator[None]:
    """Turn a read-only or full disk, or an impossible path, into an error naming the store."""
    try:
        yield
    except StoreError:
        raise
    except OSError as error:
        cure = "free space" if error.errno in _FULL else "make it writable"
        raise UnwritableStoreError(
            f"cannot write the store {root}: {error.strerror}",
            hint=f"{cure} or choose another folder with --store; what is stored is kept",
        ) from error


def open_regular(path: Path, mode: str) -> FileIO:
    """Open a regular file, unbuffered; raises DamagedError for anything else, OSError."""
    try:
        file = FileIO(str(path), mode, opener=_open_without_following)
    except OSError as error:
        if error.errno in _NOT_A_FILE:
            raise DamagedError(f"{path} is {_NOT_A_FILE[error.errno]}, not a file") from error
        raise
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise DamagedError(f"{path} is a pipe or a device, not a file")
    return file


def _open_without_following(path: str, flags: int) -> int:
    quick = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY  # a pipe would be waited for
    return os.open(path, flags | quick, _READABLE_BY_UMASK)


def read(path: Path, most: int, least: int = 0) -> bytes:
    """The bytes of a file of `least` to `most`; raises DamagedError, FileNotFoundError, OSError."""
    with open_regular(path, "r") as file:
        size = os.fstat(file.fileno()).st_size
        if not least <= size <= most:
            asked = f"{most}" if least == most else f"at most {most}"
            raise DamagedError(f"{path.name} has {size} bytes, not {asked}")
        return file.readall()


def write(path: Path, *parts: Any, durable: bool = False) -> None:
    """Write a file under a temporary name, then give it its own."""
    partial = path.with_name(f"{path.name}.{unique()}.partial")
    try:
        with partial.open("xb", buffering=0) as file:
            for part in parts:
                _write_all(file, part)
            if durable:
                os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    if durable:
        sync(path.parent)


def _write_all(file: FileIO, part: Any) -> None:
    view = memoryview(part)
    while len(view):
        view = view[file.write(view) :]


def append(path: Path, line: str) -> None:
    """Add a line to a log."""
    with open_regular(path, "a") as file:
        _write_all(file, f"{line}\n".encode())


def move(path: Path, target: Path, *, durable: bool = False) -> None:
    """Rename a file, a folder or a link itself; what a link points to stays."""
    path.rename(target)
    if durable:
        sync(target.parent)
        sync(path.parent)


def delete(path: Path) -> None:
    """Delete a folder with all that is in it, or a file, or a link itself."""
    if is_folder(path):
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Wait until a file or a folder's list of names is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that cannot sync folders says this
            raise
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Wait until a folder is on the disk, with all that is in it first."""
    for path in sorted(folder.rglob("*"), reverse=True):
        sync(path)
    sync(folder)


def is_there(path: Path) -> bool:
    """Whether something has this name, be it a link to nowhere."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def is_folder(path: Path) -> bool:
    """Whether this is a folder, and not a link to one."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
